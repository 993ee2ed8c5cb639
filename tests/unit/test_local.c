/* Which packets a host has sent. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "replay/local.h"

static struct ps_local local(const char *list)
{
	struct ps_local l;

	assert_int_equal(ps_local_parse(list, &l, NULL), 0);
	return l;
}

/* A frame with `tags` VLAN tags from that source; the destination is all ones. Its length. */
static size_t make(uint8_t *frame, int tags, const char *source)
{
	struct ps_addr a;
	size_t at = 12;

	assert_int_equal(ps_addr_parse(source, strlen(source), &a), 0);
	memset(frame, 0xff, 128);
	for (int i = 0; i < tags; i++, at += 4) {
		frame[at] = i ? 0x81 : 0x88;
		frame[at + 1] = i ? 0x00 : 0xa8;
	}
	frame[at] = a.family == 6 ? 0x86 : 0x08;
	frame[at + 1] = a.family == 6 ? 0xdd : 0x00;
	at += 2;
	memcpy(frame + at + (a.family == 6 ? 8 : 12), a.word, a.family == 6 ? 16 : 4);
	return at + (a.family == 6 ? 40 : 20);
}

static bool sent(const char *list, int tags, const char *source)
{
	struct ps_local l = local(list);
	uint8_t frame[128];
	size_t len = make(frame, tags, source);

	return ps_local_sent(&l, frame, len);
}

static void networks(void **state)
{
	(void)state;
	assert_false(sent("", 0, "192.0.2.7"));
	assert_true(sent("192.0.2.7", 0, "192.0.2.7"));
	assert_false(sent("192.0.2.7", 0, "192.0.2.6"));
	assert_true(sent("10.0.0.0/8,192.0.2.0/25", 0, "192.0.2.127"));
	assert_false(sent("10.0.0.0/8,192.0.2.0/25", 0, "192.0.2.128"));
	assert_true(sent("192.0.2.99/25", 0, "192.0.2.1")); /* bits behind the prefix */
	assert_true(sent("0.0.0.0/0", 0, "203.0.113.1"));
	assert_false(sent("0.0.0.0/0", 0, "2001:db8::1"));
	assert_true(sent("2001:db8::/33", 0, "2001:db8:7fff::1"));
	assert_false(sent("2001:db8::/33", 0, "2001:db8:8000::1"));
	assert_true(sent("192.0.2.7,::1", 0, "::1"));
}

static void tags(void **state)
{
	(void)state;
	assert_true(sent("192.0.2.7", 1, "192.0.2.7"));
	assert_true(sent("192.0.2.7", 2, "192.0.2.7"));
	assert_false(sent("192.0.2.7", 3, "192.0.2.7")); /* the kernel part reads two */
	assert_true(sent("2001:db8::7", 2, "2001:db8::7"));
}

/* However short it is. */
static void cut_frames(void **state)
{
	struct ps_local l = local("192.0.2.7,2001:db8::7");
	uint8_t frame[128];
	size_t len = make(frame, 2, "192.0.2.7");

	(void)state;
	for (size_t n = 0; n < len; n++)
		assert_int_equal(ps_local_sent(&l, frame, n), n >= 12 + 8 + 2 + 16);
	len = make(frame, 0, "2001:db8::7");
	for (size_t n = 0; n < len; n++)
		assert_int_equal(ps_local_sent(&l, frame, n), n >= 14 + 24);
	frame[12] = 0x08;
	frame[13] = 0x06;
	assert_false(ps_local_sent(&l, frame, len));
}

static void refusals(void **state)
{
	static const char *const bad[] = {"x", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/1x", "::/129",
		"::/1000", "1.2.3.4,", ",1.2.3.4", "1.2.3.4,,5.6.7.8", "1.2.3.4 ", "fe80::1%eth0"};
	char many[PS_REPLAY_LOCAL_MAX * 8 + 16] = "";
	struct ps_local l = {.n = 77};
	struct ps_error err;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(ps_local_parse(bad[i], &l, &err), -EINVAL);
		assert_string_equal(err.field, "local");
		assert_true(err.message[0]);
		assert_int_equal(l.n, 77);
	}
	for (unsigned i = 0; i < PS_REPLAY_LOCAL_MAX; i++)
		strcat(many, i ? ",1.1.1.1" : "1.1.1.1");
	assert_int_equal(ps_local_parse(many, &l, NULL), 0);
	assert_int_equal(l.n, PS_REPLAY_LOCAL_MAX);
	strcat(many, ",1.1.1.1");
	assert_int_equal(ps_local_parse(many, &l, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks),
		cmocka_unit_test(tags),
		cmocka_unit_test(cut_frames),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
