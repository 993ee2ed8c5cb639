/*
 * Any bytes as a msgpack document and as a batch of each kind of record. What is taken must survive being written and
 * read again, and a record must give a JSON object.
 */
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/codec/batch.h"
#include "common/codec/json.h"
#include "common/codec/msgpack.h"

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void document(const uint8_t *data, size_t len)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	_cleanup_(ps_value_free) struct ps_value *again = NULL;
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	size_t used = 0;

	if (!ps_msgpack_measure(data, len, &used))
		check(used > 0 && used <= len);
	if (ps_msgpack_parse(data, len, &v))
		return;
	check(used == len);
	ps_msgpack_write(&out, v);
	check(!out.error && !ps_msgpack_parse(out.data, out.len, &again));
	check(ps_value_equal(v, again));
}

static void record_to_json(enum ps_record_type type, const void *record)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	ps_buf_addc(&out, '{');
	ps_json_record(&out, &ps_schemas[type], record);
	ps_buf_addc(&out, '}');
	check(!ps_json_parse((const char *)out.data, out.len, &v, NULL));
	check(ps_value_count(v) == ps_schemas[type].n_fields);
}

static void batch(enum ps_record_type type, const uint8_t *data, size_t len)
{
	_cleanup_(ps_value_free) struct ps_value *fields = NULL;
	_cleanup_(ps_buf_free) struct ps_buf names = PS_BUF_INIT;
	_cleanup_(ps_batch_free) struct ps_batch out;
	union {
		struct ps_conn conn;
		struct ps_icmp icmp;
		struct ps_drop drop;
	} record;
	struct ps_batch_reader r;

	ps_batch_init(&out, type);
	ps_batch_fields(&names, type);
	check(!ps_msgpack_parse(names.data, names.len, &fields));
	if (ps_batch_reader_init(&r, type, fields, data, len))
		return;
	while (ps_batch_next(&r, &record) == 1) {
		record_to_json(type, &record);
		check(out.n == PS_BUS_RECORDS_MAX || !ps_batch_add(&out, &record));
	}
	ps_batch_payload(&out, &data, &len);
	check(!ps_msgpack_measure(data, len, &len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	document(data, len);
	for (int type = 0; type < PS_RECORD_TYPES; type++)
		batch((enum ps_record_type)type, data, len);
	return 0;
}
