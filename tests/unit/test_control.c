/* Each operation of docs/control.md: what it answers, and what it says when it can't. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "aggregator/control.h"
#include "common/codec/json.h"
#include "tests/unit/feed_message.h"
#include "tests/unit/memory_kernel.h"
#include "tests/unit/tempdir.h"

#define WALL (1700000000 * (int64_t)MK_SEC)

struct fixture {
	struct memory_kernel k;
	struct ps_aggregator *a;
	struct ps_agg_time now;
	struct ps_answer answer;
	struct ps_value *told; /* last map on the bus */
	enum ps_topic told_topic;
};

static void listen_map(void *arg, enum ps_topic topic, const struct ps_value *v)
{
	struct fixture *f = arg;

	if (topic != PS_TOPIC_RULE)
		return;
	ps_value_free(&f->told);
	f->told = ps_value_copy(v);
	f->told_topic = topic;
}

static int setup(void **state)
{
	static int number;
	struct fixture *f = calloc(1, sizeof(*f));
	char dir[160];
	struct ps_agg_config config = {
		.state_dir = dir,
		.kernel = {.ops = &mk_ops, .impl = &f->k},
		.listener = {.map = listen_map, .arg = f},
	};

	(void)snprintf(dir, sizeof(dir), "%s/control%d", tempdir, number++);
	memset(&config.timeouts, 0x11, sizeof(config.timeouts));
	mk_init(&f->k, 512, 1);
	f->now = (struct ps_agg_time){.boot = 1000 * MK_SEC, .wall_offset = WALL};
	assert_int_equal(ps_aggregator_new(&config, &f->now, &f->a, NULL), 0);
	ps_aggregator_tick(f->a, &f->now);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ps_answer_free(&f->answer);
	ps_value_free(&f->told);
	ps_aggregator_free(&f->a);
	mk_free(&f->k);
	free(f);
	return 0;
}

/* Asks, and returns the status. */
static int ask(struct fixture *f, const char *op, const char *args)
{
	struct ps_request req = {.id = 1, .peer = "127.0.0.1"};

	ps_answer_free(&f->answer);
	(void)snprintf(req.op, sizeof(req.op), "%s", op);
	assert_int_equal(ps_json_parse(args, strlen(args), &req.args, NULL), 0);
	ps_control_answer(f->a, NULL, &req, &f->now, &f->answer);
	ps_value_free(&req.args);
	return f->answer.status;
}

static const struct ps_value *body(const struct fixture *f, const char *key)
{
	return ps_value_get(f->answer.body, key);
}

/* The records of the answer, as the other side reads them. */
static size_t records(struct fixture *f, enum ps_record_type type, void *out, size_t size, size_t max)
{
	struct ps_batch_reader r;
	const uint8_t *data;
	size_t len, n = 0;

	assert_true(f->answer.has_records);
	ps_batch_payload(&f->answer.records, &data, &len);
	assert_int_equal(ps_batch_reader_init(&r, type, body(f, "fields"), data, len), 0);
	while (n < max && ps_batch_next(&r, (char *)out + n * size) > 0)
		n++;
	assert_int_equal(r.left, 0);
	return n;
}

static void status(void **state)
{
	struct fixture *f = *state;

	f->now.boot += 5 * MK_SEC;
	assert_int_equal(ask(f, "status", "{}"), 200);
	assert_string_equal(ps_value_as_string(body(f, "part"), ""), "aggregator");
	assert_string_equal(ps_value_as_string(body(f, "kernel"), ""), "ok");
	assert_int_equal(ps_value_as_int(body(f, "pid"), 0), getpid());
	assert_int_equal(ps_value_as_int(body(f, "abi"), 0), PS_ABI_VERSION);
	assert_int_equal(ps_value_as_int(body(f, "uptime"), 0), 5);
	assert_int_equal(ps_value_count(body(f, "warnings")), 0);
	assert_int_equal(ask(f, "no.such", "{}"), 404);
	assert_string_equal(f->answer.error.field, "op");
}

/* Maps without programs count nothing: "ok" would be a lie. */
static void attached_to_nothing(void **state)
{
	struct fixture *f = *state;

	f->k.ifaces[0].v.flags = PS_IFACE_INGRESS_ONLY | PS_IFACE_TCX;
	assert_int_equal(ask(f, "status", "{}"), 200);
	assert_non_null(strstr(ps_value_as_string(body(f, "kernel"), ""), "no interface"));
	f->k.n_ifaces = 0;
	assert_int_equal(ask(f, "status", "{}"), 200);
	assert_non_null(strstr(ps_value_as_string(body(f, "kernel"), ""), "no interface"));
	f->k.n_ifaces = 2;
	f->k.ifaces[1] = (struct ps_kernel_iface){2, {.flags = PS_IFACE_XDP_GENERIC, .name = "mem2"}};
	assert_int_equal(ask(f, "status", "{}"), 200);
	assert_string_equal(ps_value_as_string(body(f, "kernel"), ""), "ok");
	assert_int_equal(ask(f, "stats", "{}"), 200);
	assert_int_equal(ps_value_count(body(f, "interfaces")), 2);
	assert_string_equal(ps_value_get_string(ps_value_at(body(f, "interfaces"), 0), "name", ""), "mem2");
	assert_true(ps_value_get_bool(ps_value_at(body(f, "interfaces"), 0), "attached", false));
	assert_false(ps_value_get_bool(ps_value_at(body(f, "interfaces"), 1), "attached", true));
}

static void the_collectors_heartbeat(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "status", "{}"), 200);
	assert_int_equal(ps_value_kind(body(f, "collector")), PS_VALUE_NULL);
	f->k.ledger.pid = 4711;
	f->k.ledger.alive = f->now.boot;
	f->now.boot += 7 * MK_SEC / 2;
	assert_int_equal(ask(f, "status", "{}"), 200);
	assert_int_equal(ps_value_get_uint(body(f, "collector"), "pid", 0), 4711);
	assert_float_equal(ps_value_as_real(ps_value_get(body(f, "collector"), "age"), 0), 3.5, 1e-9);
	f->k.ledger.alive = f->now.boot + 1; /* between our clock and theirs */
	assert_int_equal(ask(f, "status", "{}"), 200);
	assert_float_equal(ps_value_as_real(ps_value_get(body(f, "collector"), "age"), 1), 0, 1e-9);
	f->k.present = false;
	ps_aggregator_tick(f->a, &f->now);
	assert_int_equal(ask(f, "status", "{}"), 200);
	assert_int_equal(ps_value_kind(body(f, "collector")), PS_VALUE_NULL);
}

static void without_a_kernel(void **state)
{
	struct fixture *f = *state;

	f->k.present = false;
	f->now.boot += MK_SEC;
	ps_aggregator_tick(f->a, &f->now);
	assert_int_equal(ask(f, "status", "{}"), 200);
	assert_string_not_equal(ps_value_as_string(body(f, "kernel"), ""), "ok");
	assert_int_equal(ask(f, "stats", "{}"), 503);
	assert_int_equal(ask(f, "rules.create", "{\"rule\": {\"enabled\": true}}"), 503);
	assert_int_equal(ask(f, "conns.list", "{}"), 200);
	assert_int_equal(ask(f, "icmp.list", "{}"), 200);
	assert_int_equal(ask(f, "rules.list", "{}"), 200);
}

static void stats(void **state)
{
	struct fixture *f = *state;

	f->k.stats.packets = 12;
	(void)mk_begin(&f->k, 1, IPPROTO_UDP, 5, f->now.boot);
	f->now.boot += MK_SEC;
	assert_int_equal(ask(f, "stats", "{}"), 200);
	assert_int_equal(ps_value_as_uint(body(f, "TotalPackets"), 0), 12);
	assert_int_equal(ps_value_get_uint(body(f, "table"), "used", 0), 1);
}

static void connections_are_as_the_kernel_has_them(void **state)
{
	struct fixture *f = *state;
	static struct ps_conn got[100];
	uint64_t id = mk_begin(&f->k, 1, IPPROTO_UDP, 5, f->now.boot);
	char args[64];

	/* nothing was heard of it on the stream */
	f->now.boot += MK_SEC;
	assert_int_equal(ask(f, "conns.list", "{}"), 200);
	assert_int_equal(records(f, PS_RECORD_CONN, got, sizeof(*got), 100), 1);
	assert_true(got[0].id == id);
	assert_int_equal(got[0].src_port, 5);
	assert_string_equal(got[0].iface, "mem3");
	assert_int_equal(got[0].last_seen, 1000 * MK_SEC + (uint64_t)WALL);
	assert_int_equal(ps_value_as_int(body(f, "total"), 0), 1);
	assert_int_equal(ps_value_kind(body(f, "next")), PS_VALUE_NULL);

	mk_packet(&f->k, 1, 1, 100, f->now.boot);
	f->now.boot += MK_SEC;
	(void)snprintf(args, sizeof(args), "{\"id\": \"%016llx\"}", (unsigned long long)id);
	assert_int_equal(ask(f, "conns.get", args), 200);
	assert_int_equal(records(f, PS_RECORD_CONN, got, sizeof(*got), 100), 1);
	assert_int_equal(got[0].resp_packets, 1);

	assert_int_equal(ask(f, "conns.get", "{\"id\": \"00000000000000ff\"}"), 404);
	assert_int_equal(ask(f, "conns.get", "{\"id\": \"xyz\"}"), 400);
	assert_int_equal(ask(f, "conns.get", "{\"id\": 3}"), 400);
	assert_int_equal(ask(f, "conns.get", "{}"), 400);
	assert_int_equal(ask(f, "conns.list", "{\"sort\": \"colour\"}"), 400);
	assert_string_equal(f->answer.error.field, "sort");
}

static void icmp_is_as_the_kernel_has_it(void **state)
{
	struct fixture *f = *state;
	struct ps_icmp got[10];

	mk_icmp(&f->k, 0, 8, 3, f->now.boot);
	f->k.stats.icmp_packets = 3;
	assert_int_equal(ask(f, "icmp.list", "{}"), 200);
	assert_int_equal(records(f, PS_RECORD_ICMP, got, sizeof(*got), 10), 1);
	assert_int_equal(got[0].packets, 3);
	mk_icmp(&f->k, 0, 8, 4, f->now.boot);
	mk_icmp(&f->k, 1, 0, 1, f->now.boot);
	f->k.stats.icmp_packets = 5;
	assert_int_equal(ask(f, "icmp.list", "{\"limit\": 1}"), 200);
	assert_int_equal(ps_value_as_int(body(f, "total"), 0), 2);
	assert_int_equal(ps_value_kind(body(f, "next")), PS_VALUE_STRING);
	/* the map is not walked when nothing came */
	f->k.icmp_walks = 0;
	assert_int_equal(ask(f, "icmp.list", "{}"), 200);
	assert_int_equal(f->k.icmp_walks, 0);
	assert_int_equal(ask(f, "icmp.list", "{\"limit\": 0}"), 400);
}

static void snapshot_in_chunks(void **state)
{
	enum {
		N = 2500
	};
	struct fixture *f = *state;
	_cleanup_(feed_free) struct feed_message msg;
	static struct ps_conn got[PS_REQUEST_PAGE_MAX];
	char args[64] = "{}";
	size_t n = 0, chunks = 0;

	for (uint32_t slot = 0; slot < N; slot++)
		(void)mk_begin(&f->k, slot, IPPROTO_UDP, (uint16_t)slot, f->now.boot);
	feed_begin(&msg, PS_TOPIC_CONN_UPDATE, 77, 5);
	assert_int_equal(ps_aggregator_message(f->a, feed_end(&msg), &f->now), 0);
	f->now.boot += MK_SEC;
	ps_aggregator_tick(f->a, &f->now);
	for (;;) {
		assert_int_equal(ask(f, "snapshot", args), 200);
		n += records(f, PS_RECORD_CONN, got, sizeof(*got), PS_REQUEST_PAGE_MAX);
		assert_int_equal(ps_value_as_int(body(f, "total"), 0), N);
		if (!chunks++) {
			const struct ps_value *events = ps_value_get(body(f, "seq"), "events");

			assert_int_equal(ps_value_get_uint(events, "epoch", 0), 77);
			assert_int_equal(ps_value_get_uint(events, "conn.update", 0), 5);
			assert_non_null(ps_value_get(ps_value_get(body(f, "seq"), "state"), "conn.end"));
		} else {
			assert_null(body(f, "seq"));
		}
		if (ps_value_kind(body(f, "next")) == PS_VALUE_NULL)
			break;
		(void)snprintf(args, sizeof(args), "{\"cursor\": \"%s\"}", ps_value_as_string(body(f, "next"), ""));
	}
	assert_int_equal(n, N);
	assert_int_equal(chunks, 3);
	assert_int_equal(ask(f, "snapshot", "{\"cursor\": \"-1\"}"), 400);
	assert_int_equal(ask(f, "snapshot", "{\"cursor\": \"18446744073709551615\"}"), 400);
	assert_int_equal(ask(f, "snapshot", "{\"cursor\": \"0-ffffffffffffffff\"}"), 200);
	assert_int_equal(ask(f, "snapshot", "{\"cursor\": \"0-0-0\"}"), 400);
	/* of the aggregator before this one */
	assert_int_equal(ask(f, "snapshot", "{\"cursor\": \"17-3e8\"}"), 409);
}

static void rules(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "rules.list", "{}"), 200);
	assert_int_equal(ps_value_count(body(f, "rules")), 0);
	assert_int_equal(
		ask(f, "rules.create", "{\"rule\": {\"rule_type\": \"icmp\", \"icmp_type\": 3, \"enabled\": true}}"),
		201);
	assert_int_equal(ps_value_as_int(body(f, "id"), -1), 0);
	assert_true(ps_value_count(body(f, "warnings")) > 0);
	assert_string_equal(ps_value_get_string(f->told, "action", ""), "create");
	assert_string_equal(ps_value_get_string(f->told, "who", ""), "127.0.0.1");
	assert_int_equal(ps_value_kind(ps_value_get(f->told, "before")), PS_VALUE_NULL);
	assert_int_equal(ps_value_get_int(ps_value_get(f->told, "after"), "icmp_type", 0), 3);

	f->k.row[0].hits.packets = 4;
	assert_int_equal(ask(f, "rules.disable", "{\"id\": 0}"), 200);
	assert_false(ps_value_as_bool(body(f, "enabled"), true));
	assert_int_equal(ps_value_as_int(body(f, "packets"), 0), 4);
	assert_string_equal(ps_value_get_string(f->told, "action", ""), "disable");
	assert_int_equal(ask(f, "rules.enable", "{\"id\": 0}"), 200);
	assert_true(ps_value_as_bool(body(f, "enabled"), false));
	ps_value_free(&f->told);
	assert_int_equal(ask(f, "rules.enable", "{\"id\": 0}"), 200);
	assert_null(f->told); /* nothing happened */
	assert_int_equal(ask(f, "rules.update", "{\"id\": 0, \"rule\": {\"comment\": \"c\"}}"), 200);
	assert_string_equal(ps_value_as_string(body(f, "comment"), ""), "c");
	assert_int_equal(ask(f, "rules.get", "{\"id\": 0}"), 200);
	assert_string_equal(ps_value_as_string(body(f, "comment"), ""), "c");
	assert_int_equal(ask(f, "rules.list", "{}"), 200);
	assert_int_equal(ps_value_count(body(f, "rules")), 1);
	assert_true(ps_value_as_int(body(f, "generation"), 0) > 0);

	assert_int_equal(ask(f, "rules.get", "{\"id\": 1}"), 404);
	assert_int_equal(ask(f, "rules.update", "{\"id\": 1, \"rule\": {}}"), 404);
	assert_int_equal(ask(f, "rules.delete", "{\"id\": 1}"), 404);
	assert_int_equal(ask(f, "rules.enable", "{\"id\": 1}"), 404);
	assert_int_equal(ask(f, "rules.enable", "{\"id\": \"a\"}"), 400);
	assert_int_equal(ask(f, "rules.create", "{\"rule\": {\"dst_port\": -1}}"), 400);
	assert_string_equal(f->answer.error.field, "dst_port");
	assert_int_equal(ask(f, "rules.create", "{}"), 400);
	assert_int_equal(ask(f, "rules.update", "{\"id\": 0, \"rule\": 5}"), 400);

	assert_int_equal(ask(f, "rules.delete", "{\"id\": 0}"), 204);
	assert_null(f->answer.body);
	assert_string_equal(ps_value_get_string(f->told, "action", ""), "delete");
	assert_int_equal(ps_value_kind(ps_value_get(f->told, "after")), PS_VALUE_NULL);
	assert_int_equal(ask(f, "rules.get", "{\"id\": 0}"), 404);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(status),
		TEST(attached_to_nothing),
		TEST(the_collectors_heartbeat),
		TEST(without_a_kernel),
		TEST(stats),
		TEST(connections_are_as_the_kernel_has_them),
		TEST(icmp_is_as_the_kernel_has_it),
		TEST(snapshot_in_chunks),
		TEST(rules),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
