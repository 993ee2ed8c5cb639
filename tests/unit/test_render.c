/* Replies of records as REST shows them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/codec/batch.h"
#include "common/codec/json.h"
#include "common/codec/msgpack.h"
#include "gateway/render.h"

static struct ps_value *parsed(struct ps_buf *b)
{
	struct ps_value *v = NULL;

	assert_int_equal(b->error, 0);
	assert_int_equal(ps_json_parse((const char *)b->data, b->len, &v, NULL), 0);
	return v;
}

/* A reply of n ICMP records. */
static void make_reply(struct ps_reply *reply, unsigned n)
{
	_cleanup_(ps_buf_free) struct ps_buf fields = PS_BUF_INIT;
	struct ps_value *list = NULL;
	struct ps_batch batch;
	const uint8_t *data;

	ps_batch_init(&batch, PS_RECORD_ICMP);
	for (unsigned i = 0; i < n; i++) {
		struct ps_icmp r = {.icmp_type = (uint8_t)i};

		assert_int_equal(ps_batch_add(&batch, &r), 0);
	}
	ps_batch_payload(&batch, &data, &reply->payload_len);
	reply->payload = malloc(reply->payload_len);
	assert_non_null(reply->payload);
	memcpy(reply->payload, data, reply->payload_len);
	ps_batch_free(&batch);
	ps_batch_fields(&fields, PS_RECORD_ICMP);
	assert_int_equal(ps_msgpack_parse(fields.data, fields.len, &list), 0);
	reply->body = ps_value_map();
	assert_int_equal(ps_value_set(reply->body, "fields", list), 0);
}

static void replies(void **state)
{
	_cleanup_(ps_reply_free) struct ps_reply reply = {0};
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	(void)state;
	make_reply(&reply, 3);
	ps_buf_addc(&b, '[');
	assert_int_equal(ps_render_reply(&b, PS_RECORD_ICMP, &reply, false), 3);
	assert_int_equal(ps_render_reply(&b, PS_RECORD_ICMP, &reply, true), 3);
	ps_buf_addc(&b, ']');
	v = parsed(&b);
	assert_int_equal(ps_value_count(v), 6);
	assert_int_equal(ps_value_get_int(ps_value_at(v, 4), "icmp_type", -1), 1);
}

static void broken_replies(void **state)
{
	_cleanup_(ps_reply_free) struct ps_reply reply = {0};
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	size_t whole;

	(void)state;
	assert_int_equal(ps_render_reply(&b, PS_RECORD_ICMP, &reply, false), 0); /* no payload: no records */
	make_reply(&reply, 3);
	whole = reply.payload_len;
	for (size_t len = 1; len < whole; len++) {
		reply.payload_len = len;
		assert_int_equal(ps_render_reply(&b, PS_RECORD_ICMP, &reply, false), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies),
		cmocka_unit_test(broken_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
