#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "collector/event.h"

#define CONN_SHORT (offsetof(struct ps_event_conn, conn) + offsetof(struct ps_conn_raw, tcp))

static struct ps_event_conn conn(void)
{
	struct ps_event_conn e = {
		.head = {.type = PS_EV_CONN_UPDATE, .size = sizeof(e), .cpu = 1, .time = 7},
		.conn = {.id = 42, .proto = IPPROTO_TCP, .packets = {3, 4}},
	};

	e.conn.tcp.state = PS_TCP_ESTABLISHED;
	e.conn.tcp.hist_len = PS_HISTORY_MAX;
	return e;
}

static void whole_connection(void **state)
{
	struct ps_event_conn in = conn();
	struct ps_event out;

	(void)state;
	assert_int_equal(ps_event_read(&in, sizeof(in), &out), 0);
	assert_int_equal(out.type, PS_EV_CONN_UPDATE);
	assert_memory_equal(&out.conn, &in, sizeof(in));
}

static void connection_without_tcp(void **state)
{
	struct ps_event_conn in = conn();
	struct ps_event out;
	struct ps_conn_tcp zero = {0};

	(void)state;
	in.conn.proto = IPPROTO_UDP;
	in.head.size = CONN_SHORT;
	memset(&out, 0xff, sizeof(out));
	/* The rest of `in` is not the event's: it must not be read. */
	assert_int_equal(ps_event_read(&in, CONN_SHORT, &out), 0);
	assert_int_equal(out.conn.conn.id, 42);
	assert_memory_equal(&out.conn.conn.tcp, &zero, sizeof(zero));
}

static void icmp_and_drop(void **state)
{
	struct ps_event_icmp icmp = {
		.head = {.type = PS_EV_ICMP, .size = sizeof(icmp)}, .key = {.family = PS_FAMILY_IPV6}};
	struct ps_event_drop drop = {.head = {.type = PS_EV_DROP, .size = sizeof(drop)}, .rule_id = PS_RULES_MAX - 1};
	struct ps_event out;

	(void)state;
	assert_int_equal(ps_event_read(&icmp, sizeof(icmp), &out), 0);
	assert_int_equal(out.type, PS_EV_ICMP);
	assert_int_equal(ps_event_read(&drop, sizeof(drop), &out), 0);
	assert_int_equal(out.drop.rule_id, PS_RULES_MAX - 1);
	assert_int_equal(out.drop.mode, PS_DROP_ENFORCED);
	drop.mode = PS_DROP_SHADOW;
	assert_int_equal(ps_event_read(&drop, sizeof(drop), &out), 0);
	assert_int_equal(out.drop.mode, PS_DROP_SHADOW);
	/* A ring's records are padded to eight bytes. */
	struct {
		struct ps_event_drop drop;
		char pad[8];
	} padded = {.drop = drop};
	assert_int_equal(ps_event_read(&padded, sizeof(drop) + 7, &out), 0);
	assert_int_equal(ps_event_read(&padded, sizeof(drop) + 8, &out), -EBADMSG);
}

static void sizes_that_lie(void **state)
{
	struct ps_event_conn in = conn();
	struct ps_event out = {.type = PS_EV_DROP};

	(void)state;
	for (size_t n = 0; n < sizeof(in); n++)
		assert_int_equal(ps_event_read(&in, n, &out), -EBADMSG);
	for (unsigned size = 0; size < sizeof(in); size++) {
		in.head.size = (uint16_t)size;
		if (size != CONN_SHORT)
			assert_int_equal(ps_event_read(&in, sizeof(in), &out), -EBADMSG);
	}
	in.head.size = UINT16_MAX;
	assert_int_equal(ps_event_read(&in, sizeof(in), &out), -EBADMSG);
	assert_int_equal(out.type, PS_EV_DROP); /* outputs change only on success */
}

static void contents_that_lie(void **state)
{
	struct ps_event_icmp icmp = {.head = {.type = PS_EV_ICMP, .size = sizeof(icmp)}, .key = {.family = 5}};
	struct ps_event_drop drop = {.head = {.type = PS_EV_DROP, .size = sizeof(drop)}, .rule_id = PS_RULES_MAX};
	struct ps_event_conn in;
	struct ps_event out;

	(void)state;
	in = conn();
	in.head.type = 0;
	assert_int_equal(ps_event_read(&in, sizeof(in), &out), -EBADMSG);
	in.head.type = PS_EV_TYPES;
	assert_int_equal(ps_event_read(&in, sizeof(in), &out), -EBADMSG);
	in = conn();
	in.conn.proto = IPPROTO_ICMP;
	assert_int_equal(ps_event_read(&in, sizeof(in), &out), -EBADMSG);
	in = conn();
	in.conn.tcp.state = PS_TCP_STATES;
	assert_int_equal(ps_event_read(&in, sizeof(in), &out), -EBADMSG);
	in = conn();
	in.conn.tcp.hist_len = PS_HISTORY_MAX + 1;
	assert_int_equal(ps_event_read(&in, sizeof(in), &out), -EBADMSG);
	in = conn();
	in.conn.end_reason = PS_END_DETACHED + 1;
	assert_int_equal(ps_event_read(&in, sizeof(in), &out), -EBADMSG);
	assert_int_equal(ps_event_read(&icmp, sizeof(icmp), &out), -EBADMSG);
	icmp.key.family = PS_FAMILY_IPV4;
	icmp.val.inner_family = 1;
	assert_int_equal(ps_event_read(&icmp, sizeof(icmp), &out), -EBADMSG);
	assert_int_equal(ps_event_read(&drop, sizeof(drop), &out), -EBADMSG);
	drop.rule_id = 0;
	drop.mode = PS_DROP_SHADOW + 1;
	assert_int_equal(ps_event_read(&drop, sizeof(drop), &out), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_connection),
		cmocka_unit_test(connection_without_tcp),
		cmocka_unit_test(icmp_and_drop),
		cmocka_unit_test(sizes_that_lie),
		cmocka_unit_test(contents_that_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
