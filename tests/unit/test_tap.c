/* libpacketscope against publishers and an aggregator that do as the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <time.h>

#include "client/packetscope.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/bus/bus.h"
#include "tempdir.h"

#define CONNS (1u << PS_TOPIC_CONN_NEW | 1u << PS_TOPIC_CONN_UPDATE | 1u << PS_TOPIC_CONN_END)

struct world {
	struct ps_bus *bus;
	struct ps_endpoints at;
	struct ps_publisher *events, *state;
	struct ps_responder *control;
	struct ps_tap *tap;
	uint64_t gaps, lost_messages, lost_records, restarts, resyncs, gone;
	/* the snapshot */
	struct ps_conn row[4];
	size_t rows;
	int behind;  /* so many answers say that the aggregator has not come as far */
	int restart; /* so many second pages are refused */
	int asked;
};

static void on_gap(void *arg, const struct ps_tap_gap *gap)
{
	struct world *w = arg;

	w->restarts += gap->restarted;
	w->gaps += gap->messages > 0;
	w->lost_messages += gap->messages;
	w->lost_records += gap->records;
}

static void on_resync(void *arg, uint64_t rows, uint64_t gone)
{
	struct world *w = arg;

	assert_int_equal(rows, w->rows);
	w->resyncs++;
	w->gone += gone;
}

static void publishers(struct world *w)
{
	assert_int_equal(ps_publisher_new(w->bus, w->at.events, false, &w->events, NULL), 0);
	assert_int_equal(ps_publisher_new(w->bus, w->at.state, false, &w->state, NULL), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(ps_bus_new(&w->bus), 0);
	assert_int_equal(ps_endpoints_default(tempdir, &w->at), 0);
	publishers(w);
	assert_int_equal(ps_responder_new(w->bus, w->at.control, &w->control, NULL), 0);
	w->tap = ps_tap_new();
	assert_non_null(w->tap);
	assert_int_equal(ps_tap_set_run_dir(w->tap, tempdir), 0);
	ps_tap_on_gap(w->tap, on_gap, w);
	ps_tap_on_resync(w->tap, on_resync, w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	ps_tap_free(&w->tap);
	ps_responder_free(&w->control);
	ps_publisher_free(&w->events);
	ps_publisher_free(&w->state);
	ps_bus_free(&w->bus);
	free(w);
	return 0;
}

static struct ps_conn conn(uint64_t id, uint64_t packets)
{
	return (struct ps_conn){
		.id = id, .proto = 17, .orig_packets = packets, .rule_id = -1, .dst_port = (uint16_t)id};
}

static void send(struct ps_publisher *pub, enum ps_topic topic, uint64_t id, uint64_t packets)
{
	const struct ps_conn c = conn(id, packets);

	assert_int_equal(ps_publisher_record(pub, topic, &c, 0), 0);
	(void)ps_publisher_flush(pub, 0, true);
}

/* What the publishers do once a second. */
static void mark(struct world *w)
{
	(void)ps_publisher_flush(w->events, 0, true);
	(void)ps_publisher_flush(w->state, 0, true);
	ps_publisher_mark(w->events, CONNS);
	ps_publisher_mark(w->state, CONNS);
}

static struct ps_value *sequence(const struct ps_publisher *pub, uint64_t minus)
{
	struct ps_publisher_totals t;
	struct ps_value *v = ps_value_map();

	ps_publisher_totals(pub, &t);
	assert_int_equal(ps_value_set(v, "epoch", ps_value_uint(t.epoch)), 0);
	for (int topic = 0; topic < PS_TOPICS; topic++) {
		if (CONNS >> topic & 1)
			assert_int_equal(ps_value_set(v, ps_topic_name((enum ps_topic)topic),
						 ps_value_uint(t.seq[topic] > minus ? t.seq[topic] - minus : 0)),
				0);
	}
	return v;
}

/* The aggregator: half of the rows on each page. */
static void answer(struct world *w)
{
	_cleanup_(ps_request_free) struct ps_request req = {0};
	_cleanup_(ps_value_free) struct ps_value *body = NULL, *fields = ps_value_list();
	_cleanup_(ps_batch_free) struct ps_batch batch;
	const uint8_t *payload;
	bool second;
	size_t len;

	ps_batch_init(&batch, PS_RECORD_CONN);
	if (ps_responder_next(w->control, &req) != 1)
		return;
	assert_string_equal(req.op, "snapshot");
	w->asked++;
	second = ps_value_get(req.args, "cursor");
	if (second && w->restart > 0) {
		struct ps_error err = {0};

		w->restart--;
		(void)ps_error_set(&err, -ESTALE, 409, "stale", "cursor", "restarted");
		assert_int_equal(ps_responder_reply(w->control, &req, 409, NULL, NULL, 0, &err), 0);
		return;
	}
	body = ps_value_map();
	for (size_t i = 0; i < ps_schemas[PS_RECORD_CONN].n_fields; i++)
		assert_int_equal(
			ps_value_append(fields, ps_value_string(ps_schemas[PS_RECORD_CONN].fields[i].name)), 0);
	assert_int_equal(ps_value_set(body, "fields", PS_TAKE(fields)), 0);
	assert_int_equal(ps_value_set(body, "next", second ? ps_value_null() : ps_value_string("1-1")), 0);
	if (!second) {
		struct ps_value *seq = ps_value_map();

		assert_int_equal(ps_value_set(seq, "events", sequence(w->events, w->behind > 0 ? 1 : 0)), 0);
		assert_int_equal(ps_value_set(seq, "state", sequence(w->state, 0)), 0);
		assert_int_equal(ps_value_set(body, "seq", seq), 0);
		w->behind -= w->behind > 0;
	}
	for (size_t i = second ? w->rows / 2 : 0; i < (second ? w->rows : w->rows / 2); i++)
		assert_int_equal(ps_batch_add(&batch, &w->row[i]), 0);
	ps_batch_payload(&batch, &payload, &len);
	assert_int_equal(ps_responder_reply(w->control, &req, 200, body, payload, len, NULL), 0);
}

/* Lets everybody work until `done` says so; the tap's records go into `out` as "topic id packets source" lines. */
static void work(struct world *w, bool (*done)(const struct world *w), struct ps_buf *out)
{
	uint64_t until = ps_clock_boot() + 8 * PS_NSEC, marked = 0;

	while (!done(w)) {
		const struct ps_tap_record *r;
		char id[20];

		assert_true(ps_clock_boot() < until);
		if (ps_clock_boot() > marked + 300000000) {
			mark(w);
			marked = ps_clock_boot();
		}
		answer(w);
		while (ps_tap_next(w->tap, 5, &r) == 1)
			ps_buf_addf(out, "%s %s %llu %s\n", ps_tap_topic(r), ps_tap_text(r, "id", id, sizeof(id)),
				(unsigned long long)ps_tap_u64(r, "orig_packets", 0), ps_tap_source(r));
	}
}

static bool synced_once(const struct world *w)
{
	return w->resyncs == 1 && ps_tap_in_step(w->tap);
}

static bool synced_twice(const struct world *w)
{
	return w->resyncs >= 2 && w->gone && ps_tap_in_step(w->tap);
}

static bool heard_something(const struct world *w)
{
	struct ps_tap_counters c;

	ps_tap_counters(w->tap, &c);
	return c.messages > 0;
}

static bool heard_ten(const struct world *w)
{
	struct ps_tap_counters c;

	ps_tap_counters(w->tap, &c);
	return c.records >= 10;
}

static void without_a_table_all_goes_by(void **state)
{
	struct world *w = *state;
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	assert_int_equal(ps_tap_set_topics(w->tap, "conn.new,icmp"), 0);
	assert_int_equal(ps_tap_set_where(w->tap, "dst_port>2"), 0);
	assert_int_equal(ps_tap_connect(w->tap), 0);
	assert_true(ps_tap_fd(w->tap) >= 0);
	assert_int_equal(ps_tap_set_topics(w->tap, "drop"), -EISCONN);
	work(w, heard_something, &out);
	for (uint64_t i = 1; i <= 10; i++)
		send(w->events, i == 5 ? PS_TOPIC_CONN_END : PS_TOPIC_CONN_NEW, i, i);
	send(w->events, PS_TOPIC_CONN_NEW, 1, 1);
	work(w, heard_ten, &out);
	assert_string_equal(ps_buf_str(&out), "conn.new 0000000000000003 3 events\nconn.new 0000000000000004 4 events\n"
					      "conn.new 0000000000000006 6 events\nconn.new 0000000000000007 7 events\n"
					      "conn.new 0000000000000008 8 events\nconn.new 0000000000000009 9 events\n"
					      "conn.new 000000000000000a 10 events\n");
	assert_int_equal(w->asked, 0);
	assert_int_equal(ps_tap_live(w->tap), 0);
}

static void unknown_topics_are_told(void **state)
{
	struct world *w = *state;

	assert_int_equal(ps_tap_set_topics(w->tap, "conn.new,nothing"), -EINVAL);
	assert_non_null(strstr(ps_tap_error(w->tap), "nothing"));
	assert_non_null(strstr(ps_tap_error(w->tap), "conn.update"));
	assert_int_equal(ps_tap_set_topics(w->tap, ""), -EINVAL);
	assert_int_equal(ps_tap_set_where(w->tap, "nonsense=1"), -EINVAL);
	assert_non_null(strstr(ps_tap_error(w->tap), "nonsense"));
}

static void a_table_begins_with_a_snapshot(void **state)
{
	struct world *w = *state;
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	const struct ps_tap_record *r;
	size_t position = 0, n = 0;

	for (size_t i = 0; i < 4; i++)
		w->row[i] = conn(i + 1, 10);
	w->rows = 4;
	w->behind = 2;  /* it is asked until it has come as far as we have */
	w->restart = 1; /* and once it goes away between two pages */
	ps_tap_keep_table(w->tap, true);
	assert_int_equal(ps_tap_connect(w->tap), 0);
	work(w, synced_once, &out);
	assert_true(w->asked >= 4);
	assert_int_equal(ps_tap_live(w->tap), 4);
	while ((r = ps_tap_walk(w->tap, &position)))
		n++;
	assert_int_equal(n, 4);
	assert_non_null(ps_tap_find(w->tap, "0000000000000003"));
	assert_null(ps_tap_find(w->tap, "0000000000000009"));
	assert_null(ps_tap_find(w->tap, "3"));

	/* Each change once: what is older or says nothing new is not told. */
	ps_buf_reset(&out);
	send(w->events, PS_TOPIC_CONN_NEW, 5, 1);
	send(w->events, PS_TOPIC_CONN_UPDATE, 3, 9);
	send(w->events, PS_TOPIC_CONN_UPDATE, 3, 11);
	send(w->events, PS_TOPIC_CONN_UPDATE, 3, 11);
	send(w->events, PS_TOPIC_CONN_END, 4, 12);
	for (int i = 0; i < 100 && ps_tap_find(w->tap, "0000000000000004"); i++)
		(void)ps_tap_next(w->tap, 10, &r);
	assert_null(ps_tap_find(w->tap, "0000000000000004"));
	assert_int_equal(ps_tap_u64(ps_tap_find(w->tap, "0000000000000003"), "orig_packets", 0), 11);
	assert_int_equal(w->gaps, 0);
}

static void after_a_restart_what_is_gone_is_told(void **state)
{
	struct world *w = *state;
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	w->row[0] = conn(1, 10);
	w->row[1] = conn(2, 10);
	w->rows = 2;
	ps_tap_keep_table(w->tap, true);
	assert_int_equal(ps_tap_connect(w->tap), 0);
	work(w, synced_once, &out);
	ps_buf_reset(&out);

	ps_publisher_free(&w->events);
	ps_publisher_free(&w->state);
	publishers(w);
	w->row[1] = conn(3, 20); /* 2 ended and 3 began, and nobody said so */
	work(w, synced_twice, &out);
	assert_true(w->restarts > 0);
	assert_int_equal(w->gone, 1);
	assert_int_equal(ps_tap_live(w->tap), 2);
	assert_string_equal(
		ps_buf_str(&out), "conn.new 0000000000000003 20 snapshot\nconn.end 0000000000000002 10 snapshot\n");
}

static void fields_have_names(void **state)
{
	struct world *w = *state;
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	const struct ps_tap_record *r = NULL;
	char text[8];

	assert_int_equal(ps_tap_connect(w->tap), 0);
	work(w, heard_something, &out);
	send(w->events, PS_TOPIC_CONN_NEW, 0xabc, 3);
	assert_int_equal(ps_tap_next(w->tap, 3000, &r), 1);
	assert_string_equal(ps_tap_topic(r), "conn.new");
	assert_true(ps_tap_ts(r) > 0);
	assert_int_equal(ps_tap_u64(r, "orig_packets", 0), 3);
	assert_int_equal(ps_tap_u64(r, "nothing", 42), 42);
	assert_int_equal(ps_tap_u64(r, "rule_id", 42), 42); /* null */
	assert_true(ps_tap_real(r, "loss", 1) == 0);
	assert_string_equal(ps_tap_text(r, "proto", text, sizeof(text)), "udp");
	assert_string_equal(ps_tap_text(r, "rule_id", text, sizeof(text)), "");
	assert_string_equal(ps_tap_text(r, "id", text, sizeof(text)), "0000000");
	assert_non_null(strstr(ps_tap_json(w->tap, r, NULL), "\"orig_packets\":3,"));
	assert_non_null(strstr(ps_tap_json(w->tap, r, "proto"), "\"proto\":\"udp\"}"));
	assert_null(strstr(ps_tap_json(w->tap, r, "proto"), "orig_packets"));
	assert_non_null(strstr(ps_tap_line(w->tap, r), "packets 3/0"));
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(without_a_table_all_goes_by),
		TEST(unknown_topics_are_told),
		TEST(a_table_begins_with_a_snapshot),
		TEST(after_a_restart_what_is_gone_is_told),
		TEST(fields_have_names),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
