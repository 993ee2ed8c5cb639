/* The AI worker over real sockets: what it hears, what it answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "ai-worker/limits.h"
#include "ai-worker/worker.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "tests/unit/tempdir.h"

#define S PS_NSEC

static struct ps_bus *bus;
static struct ps_publisher *publisher;
static struct ps_subscriber *subscriber;

static int make(void **state)
{
	int r = tempdir_make(state);

	if (r == 0)
		r = ps_bus_new(&bus);
	if (r == 0)
		r = ps_publisher_new(bus, tempdir_path("ipc://", "state.sock"), false, &publisher, NULL);
	if (r == 0)
		r = ps_subscriber_new(bus, tempdir_path("ipc://", "state.sock"), PS_WORKER_TOPICS, &subscriber, NULL);
	(void)usleep(200000); /* the subscription has arrived */
	return r;
}

static int unmake(void **state)
{
	ps_subscriber_free(&subscriber);
	ps_publisher_free(&publisher);
	ps_bus_free(&bus);
	return tempdir_remove(state);
}

/* Hands the worker the next message. */
static int hear(struct ps_worker *w, uint64_t now)
{
	_cleanup_(ps_message_free) struct ps_message m = {0};
	int r = 0;

	for (int i = 0; i < 300 && (r = ps_subscriber_next(subscriber, &m)) == 0; i++)
		(void)usleep(10000);
	assert_int_equal(r, 1);
	return ps_worker_hear(w, &m, now);
}

static void publish_conns(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct ps_conn c = {.id = i + 1, .proto = IPPROTO_UDP, .orig_bytes = 100};

		assert_int_equal(ps_publisher_record(publisher, PS_TOPIC_SNAPSHOT, &c, 0), 0);
	}
	(void)ps_publisher_flush(publisher, 0, true);
}

static void publish_stats(uint64_t known)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	struct ps_value *table = ps_value_map();

	assert_int_equal(ps_value_set(table, "known", ps_value_uint(known)), 0);
	assert_int_equal(ps_value_set(v, "table", table), 0);
	assert_int_equal(ps_value_set(v, "TotalPackets", ps_value_uint(77)), 0);
	assert_int_equal(ps_publisher_map(publisher, PS_TOPIC_STATS, v), 0);
}

static struct ps_value *ask(struct ps_worker *w, const char *op, uint64_t now, int expected)
{
	struct ps_value *body = NULL;
	struct ps_error err = {0};
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();

	assert_int_equal(ps_worker_answer(w, op, args, now, &body, &err), expected);
	assert_true((body != NULL) == (expected < 400));
	return body;
}

static void before_anything_is_heard(void **state)
{
	struct ps_worker *w = NULL;
	_cleanup_(ps_value_free) struct ps_value *status = NULL;
	_cleanup_(ps_picture_free) struct ps_picture p = {0};

	(void)state;
	assert_int_equal(ps_worker_new(5 * S, &w), 0);
	status = ask(w, "status", 8 * S, 200);
	assert_string_equal(ps_value_get_string(status, "part", ""), "ai-worker");
	assert_true(ps_value_as_real(ps_value_get(status, "uptime"), 0) == 3);
	assert_int_equal(ps_value_kind(ps_value_get(status, "snapshot_age")), PS_VALUE_NULL);
	assert_int_equal(ps_worker_picture(w, 8 * S, 1, &p), 0);
	assert_false(p.have_snapshot);
	(void)ask(w, "generate", 8 * S, 404); /* the desk's */
	ps_worker_free(&w);
	assert_null(w);
}

static void a_snapshot_replaces_the_last(void **state)
{
	_cleanup_(ps_picture_free) struct ps_picture p = {0};
	struct ps_worker *w = NULL;
	struct ps_value *v;

	(void)state;
	assert_int_equal(ps_worker_new(0, &w), 0);
	publish_conns(1000);
	assert_int_equal(hear(w, 10 * S), 0);
	publish_conns(3);
	assert_int_equal(hear(w, 15 * S), 0);
	v = ask(w, "status", 17 * S, 200);
	assert_int_equal(ps_value_get_uint(v, "connections", 0), 3);
	assert_true(ps_value_as_real(ps_value_get(v, "snapshot_age"), 0) == 2);
	ps_value_free(&v);
	assert_int_equal(ps_worker_picture(w, 17 * S, 1, &p), 0);
	assert_true(p.have_snapshot && p.snapshot_age == 2);
	assert_int_equal(p.n_conns, 3);
	assert_int_equal(p.conns[2].id, 3);
	ps_worker_free(&w);
}

/* The aggregator sends no snapshot of an empty table; its counters say that it is empty. */
static void an_empty_table(void **state)
{
	_cleanup_(ps_picture_free) struct ps_picture p = {0};
	struct ps_worker *w = NULL;

	(void)state;
	assert_int_equal(ps_worker_new(0, &w), 0);
	publish_conns(3);
	assert_int_equal(hear(w, 10 * S), 0);
	publish_stats(0);
	assert_int_equal(hear(w, 11 * S), 0);
	assert_int_equal(ps_worker_picture(w, 11 * S, 1, &p), 0);
	assert_true(p.have_snapshot);
	assert_int_equal(p.n_conns, 0);
	ps_worker_free(&w);
}

/* Counters from long ago are not told as those of now. */
static void stale_counters(void **state)
{
	_cleanup_(ps_picture_free) struct ps_picture p = {0};
	struct ps_worker *w = NULL;

	(void)state;
	assert_int_equal(ps_worker_new(0, &w), 0);
	publish_conns(1);
	assert_int_equal(hear(w, 10 * S), 0);
	publish_stats(1);
	assert_int_equal(hear(w, 10 * S), 0);
	assert_int_equal(ps_worker_picture(w, 11 * S, 1, &p), 0);
	assert_int_equal(ps_value_get_uint(p.stats, "TotalPackets", 0), 77);
	ps_picture_free(&p);
	assert_int_equal(ps_worker_picture(w, 10 * S + PS_AI_STALE_NS, 1, &p), 0);
	assert_null(p.stats);
	ps_worker_free(&w);
}

static void a_broken_message(void **state)
{
	_cleanup_(ps_picture_free) struct ps_picture p = {0};
	struct ps_worker *w = NULL;
	struct ps_value *v;
	struct ps_message m = {
		.topic = PS_TOPIC_SNAPSHOT, .n = 2, .payload = (const uint8_t *)"\x92\x91", .payload_len = 2};

	(void)state;
	assert_int_equal(ps_worker_new(0, &w), 0);
	publish_conns(3);
	assert_int_equal(hear(w, 10 * S), 0);
	assert_int_equal(ps_worker_hear(w, &m, 11 * S), -EBADMSG);
	m.n = UINT32_MAX;
	assert_int_equal(ps_worker_hear(w, &m, 11 * S), -EBADMSG);
	m.topic = PS_TOPIC_STATS;
	assert_int_equal(ps_worker_hear(w, &m, 11 * S), 0); /* it is read when somebody asks */
	v = ask(w, "status", 12 * S, 200);
	assert_int_equal(ps_value_get_uint(v, "connections", 0), 3);
	assert_int_equal(ps_worker_picture(w, 12 * S, 1, &p), 0);
	assert_null(p.stats);
	assert_int_equal(p.n_conns, 3);
	ps_value_free(&v);
	ps_worker_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_anything_is_heard),
		cmocka_unit_test(a_snapshot_replaces_the_last),
		cmocka_unit_test(an_empty_table),
		cmocka_unit_test(stale_counters),
		cmocka_unit_test(a_broken_message),
	};

	return cmocka_run_group_tests(tests, make, unmake);
}
