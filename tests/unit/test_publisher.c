#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/bus/bus.h"
#include "common/codec/msgpack.h"
#include "tempdir.h"

#define MAPS ((1u << PS_TOPIC_RULE) | (1u << PS_TOPIC_STATS))
#define CONNS ((1u << PS_TOPIC_CONN_NEW) | (1u << PS_TOPIC_CONN_UPDATE) | (1u << PS_TOPIC_CONN_END))
#define PATIENCE (5 * PS_NSEC)

static struct ps_bus *bus;

static int setup(void **state)
{
	return tempdir_make(state) < 0 || ps_bus_new(&bus) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	ps_bus_free(&bus);
	return tempdir_remove(state);
}

static struct ps_publisher *publisher(const char *endpoint, bool reliable)
{
	struct ps_publisher *pub = NULL;
	struct ps_error e = {0};
	if (ps_publisher_new(bus, endpoint, reliable, &pub, &e) < 0)
		fail_msg("%s", e.message);
	return pub;
}

static struct ps_subscriber *subscriber(const char *endpoint, uint32_t topics)
{
	struct ps_subscriber *sub = NULL;
	struct ps_error e = {0};
	if (ps_subscriber_new(bus, endpoint, topics, &sub, &e) < 0)
		fail_msg("%s", e.message);
	return sub;
}

/* The next message within the patience of a test; false if none comes. */
static bool receive(struct ps_subscriber *sub, struct ps_message *msg)
{
	uint64_t deadline = ps_clock_boot() + PATIENCE;
	int r;
	while ((r = ps_subscriber_next(sub, msg)) == 0 && ps_clock_boot() < deadline)
		(void)usleep(200);
	return r == 1;
}

static void publish_map(struct ps_publisher *pub, enum ps_topic topic, int64_t number)
{
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();
	assert_int_equal(ps_value_set(map, "number", ps_value_int(number)), 0);
	assert_int_equal(ps_publisher_map(pub, topic, map), 0);
}

/* Publishes on STATS until the subscription is there, and takes all of it away again. */
static void join(struct ps_publisher *pub, struct ps_subscriber *sub)
{
	struct ps_message msg = {0};
	uint64_t deadline = ps_clock_boot() + PATIENCE;
	int got = 0;
	while (got == 0 && ps_clock_boot() < deadline) {
		publish_map(pub, PS_TOPIC_STATS, -1);
		(void)usleep(2000);
		while (ps_subscriber_next(sub, &msg) == 1) {
			ps_message_free(&msg);
			got++;
		}
	}
	assert_true(got > 0);
	publish_map(pub, PS_TOPIC_STATS, -2);
	for (bool last = false; !last;) {
		assert_true(receive(sub, &msg));
		_cleanup_(ps_value_free) struct ps_value *map = NULL;
		assert_int_equal(ps_msgpack_parse(msg.payload, msg.payload_len, &map), 0);
		last = ps_value_get_int(map, "number", 0) == -2;
		ps_message_free(&msg);
	}
}

static struct ps_conn conn(uint64_t id)
{
	struct ps_conn c = {
		.id = id, .proto = 6, .src_port = (uint16_t)id, .dst_port = 443, .orig_packets = id * 3, .rule_id = -1};
	assert_int_equal(ps_addr_parse("192.0.2.1", 9, &c.src_ip), 0);
	assert_int_equal(ps_addr_parse("2001:db8::2", 11, &c.dst_ip), 0);
	(void)snprintf(c.iface, sizeof(c.iface), "eth%u", (unsigned)(id % 10));
	return c;
}

static void assert_conns(const struct ps_message *msg, uint64_t first_id)
{
	struct ps_batch_reader r;
	struct ps_conn got;
	uint32_t n = 0;
	assert_int_equal(ps_batch_reader_init(&r, PS_RECORD_CONN, ps_value_get(msg->header, "fields"), msg->payload,
				 msg->payload_len),
		0);
	for (; ps_batch_next(&r, &got) == 1; n++) {
		struct ps_conn expected = conn(first_id + n);
		assert_int_equal(got.id, expected.id);
		assert_int_equal(got.src_port, expected.src_port);
		assert_int_equal(got.orig_packets, expected.orig_packets);
		assert_true(ps_addr_equal(&got.src_ip, &expected.src_ip));
		assert_true(ps_addr_equal(&got.dst_ip, &expected.dst_ip));
		assert_string_equal(got.iface, expected.iface);
	}
	assert_int_equal(n, msg->n);
}

static void records_arrive_in_batches(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "batches.sock");
	_cleanup_(ps_publisher_free) struct ps_publisher *pub = publisher(at, false);
	_cleanup_(ps_subscriber_free) struct ps_subscriber *sub = subscriber(at, CONNS | MAPS);
	join(pub, sub);

	uint64_t before = ps_clock_wall();
	ps_publisher_set_lost(pub, PS_TOPIC_CONN_NEW, 77);
	for (uint64_t i = 1; i <= PS_BUS_RECORDS_MAX + 10; i++) {
		struct ps_conn c = conn(i);
		assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_NEW, &c, 1000), 0);
	}
	/* The full batch has gone by itself, the rest waits for its time. */
	struct ps_publisher_totals totals;
	ps_publisher_totals(pub, &totals);
	assert_int_equal(totals.published[PS_TOPIC_CONN_NEW], PS_BUS_RECORDS_MAX);
	assert_int_equal(totals.seq[PS_TOPIC_CONN_NEW], 1);
	assert_int_equal(ps_publisher_flush(pub, 1001, false), PS_BUS_DELAY_NS - 1);
	assert_int_equal(ps_publisher_flush(pub, 1000 + PS_BUS_DELAY_NS - 1, false), 1);
	assert_int_equal(ps_publisher_flush(pub, 1000 + PS_BUS_DELAY_NS, false), UINT64_MAX);
	ps_publisher_totals(pub, &totals);
	assert_int_equal(totals.published[PS_TOPIC_CONN_NEW], PS_BUS_RECORDS_MAX + 10);
	assert_int_equal(totals.refused[PS_TOPIC_CONN_NEW], 0);

	struct ps_message msg = {0};
	assert_true(receive(sub, &msg));
	assert_int_equal(msg.topic, PS_TOPIC_CONN_NEW);
	assert_int_equal(msg.n, PS_BUS_RECORDS_MAX);
	assert_int_equal(msg.seq, 1);
	assert_int_equal(msg.lost, 77);
	assert_int_equal(msg.epoch, totals.epoch);
	assert_int_equal(msg.missed, 0);
	assert_true(msg.ts >= before && msg.ts <= ps_clock_wall());
	assert_conns(&msg, 1);
	char host[256] = "";
	(void)gethostname(host, sizeof(host) - 1);
	assert_string_equal(ps_value_get_string(msg.header, "host", ""), host);
	assert_int_equal(ps_value_count(ps_value_get(msg.header, "fields")), ps_schemas[PS_RECORD_CONN].n_fields);
	ps_message_free(&msg);

	assert_true(receive(sub, &msg));
	assert_int_equal(msg.n, 10);
	assert_int_equal(msg.seq, 2);
	assert_conns(&msg, PS_BUS_RECORDS_MAX + 1);
	ps_message_free(&msg);
	assert_int_equal(ps_subscriber_malformed(sub), 0);
}

/* An update waits for others longer than the rest, but goes before what comes after it in the life of a connection. */
static void an_update_waits_longer(void **state)
{
	(void)state;
	_cleanup_(ps_publisher_free) struct ps_publisher *pub = publisher(tempdir_path("ipc://", "calm.sock"), false);
	struct ps_publisher_totals totals;
	struct ps_conn c = conn(1);

	assert_true(PS_BUS_CALM_NS > PS_BUS_DELAY_NS);
	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_UPDATE, &c, 1000), 0);
	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_NEW, &c, 1000), 0);
	/* A beginning goes alone. */
	assert_int_equal(ps_publisher_flush(pub, 1000 + PS_BUS_DELAY_NS, false), PS_BUS_CALM_NS - PS_BUS_DELAY_NS);
	ps_publisher_totals(pub, &totals);
	assert_int_equal(totals.published[PS_TOPIC_CONN_NEW], 1);
	assert_int_equal(totals.published[PS_TOPIC_CONN_UPDATE], 0);
	assert_int_equal(ps_publisher_flush(pub, 1000 + PS_BUS_CALM_NS - 1, false), 1);
	assert_int_equal(ps_publisher_flush(pub, 1000 + PS_BUS_CALM_NS, false), UINT64_MAX);
	ps_publisher_totals(pub, &totals);
	assert_int_equal(totals.published[PS_TOPIC_CONN_UPDATE], 1);
	/* An end takes it along. */
	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_UPDATE, &c, 1000), 0);
	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_END, &c, 1000), 0);
	assert_int_equal(ps_publisher_flush(pub, 1000 + PS_BUS_DELAY_NS, false), UINT64_MAX);
	ps_publisher_totals(pub, &totals);
	assert_int_equal(totals.published[PS_TOPIC_CONN_UPDATE], 2);
	assert_int_equal(totals.published[PS_TOPIC_CONN_END], 1);
}

/* Whoever hears either hears the same records under the same numbers, and each counts its own losses. */
static void twins_say_the_same(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "twin-a.sock");
	_cleanup_(ps_publisher_free) struct ps_publisher *other = publisher(at, false);
	_cleanup_(ps_subscriber_free) struct ps_subscriber *other_sub = subscriber(at, CONNS | MAPS);
	at = tempdir_path("ipc://", "twin-b.sock");
	_cleanup_(ps_publisher_free) struct ps_publisher *pub = publisher(at, true);
	_cleanup_(ps_subscriber_free) struct ps_subscriber *sub = subscriber(at, CONNS | MAPS);
	assert_int_equal(ps_publisher_twin(pub, other), 0);
	join(pub, sub);
	join(other, other_sub);

	ps_publisher_set_lost(pub, PS_TOPIC_CONN_NEW, 5);
	ps_publisher_set_lost(other, PS_TOPIC_CONN_NEW, 6);
	for (uint64_t i = 1; i <= PS_BUS_RECORDS_MAX + 10; i++) {
		struct ps_conn c = conn(i);
		assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_NEW, &c, 1000), 0);
	}
	assert_int_equal(ps_publisher_flush(other, 1000 + PS_BUS_DELAY_NS, true), UINT64_MAX);
	assert_int_equal(ps_publisher_flush(pub, 1000 + PS_BUS_DELAY_NS, false), UINT64_MAX);

	struct ps_publisher_totals a, b;
	ps_publisher_totals(pub, &a);
	ps_publisher_totals(other, &b);
	assert_int_equal(b.published[PS_TOPIC_CONN_NEW], a.published[PS_TOPIC_CONN_NEW]);
	assert_int_equal(b.seq[PS_TOPIC_CONN_NEW], a.seq[PS_TOPIC_CONN_NEW]);
	assert_int_equal(a.published[PS_TOPIC_CONN_NEW], PS_BUS_RECORDS_MAX + 10);
	assert_int_equal(a.refused[PS_TOPIC_CONN_NEW], 0);
	for (uint64_t seq = a.seq[PS_TOPIC_CONN_NEW] - 1, first = 1; first < PS_BUS_RECORDS_MAX + 10; seq++) {
		struct ps_message one = {0}, two = {0};
		assert_true(receive(sub, &one));
		assert_true(receive(other_sub, &two));
		assert_int_equal(one.epoch, a.epoch);
		assert_int_equal(two.epoch, a.epoch);
		assert_int_equal(one.seq, seq);
		assert_int_equal(two.seq, seq);
		assert_int_equal(one.lost, 5);
		assert_int_equal(two.lost, 6);
		assert_conns(&one, first);
		assert_conns(&two, first);
		first += one.n;
		ps_message_free(&one);
		ps_message_free(&two);
	}

	/* Who subscribes to one of them is told how far it has come, and the numbers stay the same on both. */
	_cleanup_(ps_subscriber_free) struct ps_subscriber *late =
		subscriber(tempdir_path("ipc://", "twin-a.sock"), CONNS | MAPS);
	join(other, late);
	for (int i = 0; i < 3; i++) {
		(void)ps_publisher_flush(other, 0, true);
		ps_publisher_mark(pub, CONNS);
	}
	ps_publisher_totals(pub, &a);
	ps_publisher_totals(other, &b);
	assert_int_equal(b.seq[PS_TOPIC_CONN_NEW], a.seq[PS_TOPIC_CONN_NEW]);
	struct ps_message mark = {0};
	assert_true(receive(late, &mark));
	assert_int_equal(mark.n, 0);
	ps_message_free(&mark);
	for (struct ps_message some = {0}; ps_subscriber_next(other_sub, &some) == 1;)
		ps_message_free(&some);

	/* Nobody hears one of them: the other goes on. */
	ps_subscriber_free(&sub);
	struct ps_conn c = conn(4711);
	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_END, &c, 0), 0);
	(void)ps_publisher_flush(pub, 0, true);
	struct ps_message last = {0};
	do {
		ps_message_free(&last);
		assert_true(receive(other_sub, &last));
	} while (last.n == 0); /* marks on their way */
	assert_int_equal(last.topic, PS_TOPIC_CONN_END);
	assert_conns(&last, 4711);
	ps_message_free(&last);
}

static void an_end_never_overtakes_its_beginning(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "order.sock");
	_cleanup_(ps_publisher_free) struct ps_publisher *pub = publisher(at, false);
	_cleanup_(ps_subscriber_free) struct ps_subscriber *sub = subscriber(at, CONNS | MAPS);
	join(pub, sub);

	/* The end is due (an older end waits with it) while the beginning is not. */
	struct ps_conn a = conn(1), b = conn(2);
	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_END, &a, 0), 0);
	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_NEW, &b, 4000000), 0);
	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_UPDATE, &b, 4100000), 0);
	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_END, &b, 4200000), 0);
	assert_int_equal(ps_publisher_flush(pub, PS_BUS_DELAY_NS, false), UINT64_MAX);

	static const enum ps_topic order[] = {PS_TOPIC_CONN_NEW, PS_TOPIC_CONN_UPDATE, PS_TOPIC_CONN_END};
	for (size_t i = 0; i < PS_ARRAY_SIZE(order); i++) {
		_cleanup_(ps_message_free) struct ps_message msg = {0};
		assert_true(receive(sub, &msg));
		assert_int_equal(msg.topic, order[i]);
	}
	/* But a beginning that is due takes no end with it. */
	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_NEW, &a, 0), 0);
	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_END, &b, 1), 0);
	assert_int_equal(ps_publisher_flush(pub, PS_BUS_DELAY_NS, false), 1);
}

static void a_map_goes_at_once(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "map.sock");
	_cleanup_(ps_publisher_free) struct ps_publisher *pub = publisher(at, false);
	_cleanup_(ps_subscriber_free) struct ps_subscriber *sub = subscriber(at, MAPS);
	join(pub, sub);

	publish_map(pub, PS_TOPIC_RULE, 42);
	_cleanup_(ps_message_free) struct ps_message msg = {0};
	assert_true(receive(sub, &msg));
	assert_int_equal(msg.topic, PS_TOPIC_RULE);
	assert_int_equal(msg.n, 1);
	assert_null(ps_value_get(msg.header, "fields"));
	_cleanup_(ps_value_free) struct ps_value *map = NULL;
	assert_int_equal(ps_msgpack_parse(msg.payload, msg.payload_len, &map), 0);
	assert_int_equal(ps_value_get_int(map, "number", 0), 42);

	struct ps_conn c = conn(1);
	assert_int_equal(ps_publisher_map(pub, PS_TOPIC_CONN_NEW, map), -EINVAL);
	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_RULE, &c, 0), -EINVAL);
	assert_int_equal(ps_publisher_map(pub, PS_TOPIC_RULE, NULL), -EINVAL);
}

static void a_map_that_is_too_large_leaves_a_gap(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "large.sock");
	_cleanup_(ps_publisher_free) struct ps_publisher *pub = publisher(at, false);
	_cleanup_(ps_subscriber_free) struct ps_subscriber *sub = subscriber(at, MAPS);
	join(pub, sub);

	publish_map(pub, PS_TOPIC_RULE, 1);
	_cleanup_(ps_value_free) struct ps_value *big = ps_value_map();
	_cleanup_free_ char *text = calloc(1, PS_BUS_MESSAGE_MAX);
	assert_int_equal(ps_value_set(big, "text", ps_value_string_n(text, PS_BUS_MESSAGE_MAX)), 0);
	assert_int_equal(ps_publisher_map(pub, PS_TOPIC_RULE, big), -E2BIG);
	publish_map(pub, PS_TOPIC_RULE, 3);

	struct ps_message msg = {0};
	assert_true(receive(sub, &msg));
	ps_message_free(&msg);
	assert_true(receive(sub, &msg));
	assert_int_equal(msg.seq, 3);
	assert_int_equal(msg.missed, 1);
	ps_message_free(&msg);
	struct ps_publisher_totals totals;
	ps_publisher_totals(pub, &totals);
	assert_int_equal(totals.published[PS_TOPIC_RULE], 3);
	assert_int_equal(totals.refused[PS_TOPIC_RULE], 1);
}

/* Publishes until a message that is not of `epoch` comes. */
static void await_epoch(struct ps_publisher *pub, struct ps_subscriber *sub, uint64_t epoch, struct ps_message *msg)
{
	uint64_t deadline = ps_clock_boot() + PATIENCE;
	while (ps_clock_boot() < deadline) {
		publish_map(pub, PS_TOPIC_STATS, 0);
		(void)usleep(2000);
		while (ps_subscriber_next(sub, msg) == 1) {
			if (msg->epoch != epoch)
				return;
			assert_false(msg->restarted); /* a last word of the old one */
			ps_message_free(msg);
		}
	}
	fail_msg("the new publisher is not heard");
}

static void a_new_publisher_is_a_new_epoch(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "epoch.sock");
	_cleanup_(ps_subscriber_free) struct ps_subscriber *sub = subscriber(at, 1u << PS_TOPIC_STATS);
	uint64_t epoch = 0;
	for (int life = 0; life < 3; life++) {
		_cleanup_(ps_publisher_free) struct ps_publisher *pub = publisher(at, false);
		struct ps_message msg = {0};
		await_epoch(pub, sub, epoch, &msg);
		assert_true(msg.restarted);
		assert_int_equal(msg.missed, 0);
		epoch = msg.epoch;
		uint64_t seq = msg.seq;
		ps_message_free(&msg);

		publish_map(pub, PS_TOPIC_STATS, life);
		assert_true(receive(sub, &msg));
		assert_false(msg.restarted);
		assert_int_equal(msg.epoch, epoch);
		assert_int_equal(msg.seq, seq + 1);
		ps_message_free(&msg);
	}
}

/* Reads all that is there; returns the number of messages and adds up what was missed. */
static uint64_t drain(struct ps_subscriber *sub, uint64_t until_seq, uint64_t *missed)
{
	uint64_t n = 0, seq = 0;
	while (seq < until_seq) {
		_cleanup_(ps_message_free) struct ps_message msg = {0};
		if (!receive(sub, &msg))
			break;
		if (msg.topic != PS_TOPIC_RULE)
			continue;
		n++;
		seq = msg.seq;
		*missed += msg.missed;
	}
	assert_int_equal(seq, until_seq);
	return n;
}

#define FLOOD (5 * PS_BUS_HWM)

static void what_a_reliable_socket_refuses_is_counted_exactly(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "reliable.sock");
	_cleanup_(ps_publisher_free) struct ps_publisher *pub = publisher(at, true);
	_cleanup_(ps_subscriber_free) struct ps_subscriber *sub = subscriber(at, MAPS);
	join(pub, sub);

	for (int round = 0; round < 2; round++) {
		struct ps_publisher_totals before, after, total;
		ps_publisher_totals(pub, &before);
		publish_map(pub, PS_TOPIC_RULE, 0); /* the first one is known to arrive: nothing waits */
		for (int i = 0; i < FLOOD; i++)
			publish_map(pub, PS_TOPIC_RULE, i);
		ps_publisher_totals(pub, &after);
		uint64_t refused = after.refused[PS_TOPIC_RULE] - before.refused[PS_TOPIC_RULE];
		uint64_t published = after.published[PS_TOPIC_RULE] - before.published[PS_TOPIC_RULE];
		uint64_t delivered = published - refused;
		assert_true(refused > 0);
		assert_int_equal(published, FLOOD + 1);

		/* Read to the end: what was taken has all arrived. */
		uint64_t missed = 0, got = 0;
		struct ps_message msg = {0};
		while (got < delivered && receive(sub, &msg)) {
			got++;
			missed += msg.missed;
			ps_message_free(&msg);
		}
		assert_int_equal(got, delivered);
		assert_int_equal(ps_subscriber_next(sub, &msg), 0);
		/* One more shows the gap behind the last. */
		publish_map(pub, PS_TOPIC_RULE, -1);
		ps_publisher_totals(pub, &total);
		assert_int_equal(total.refused[PS_TOPIC_RULE], after.refused[PS_TOPIC_RULE]);
		assert_int_equal(drain(sub, total.seq[PS_TOPIC_RULE], &missed), 1);
		assert_int_equal(missed, refused);
	}
	assert_int_equal(ps_subscriber_malformed(sub), 0);
}

static void a_slow_tap_loses_only_its_own(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "taps.sock");
	_cleanup_(ps_publisher_free) struct ps_publisher *pub = publisher(at, false);
	_cleanup_(ps_subscriber_free) struct ps_subscriber *fast = subscriber(at, MAPS);
	_cleanup_(ps_subscriber_free) struct ps_subscriber *slow = subscriber(at, MAPS);
	join(pub, fast);
	join(pub, slow);

	publish_map(pub, PS_TOPIC_RULE, 0);
	uint64_t got = 0, missed = 0;
	for (int i = 1; i <= FLOOD; i++) {
		publish_map(pub, PS_TOPIC_RULE, i);
		if (i % 500 == 0)
			got += drain(fast, (uint64_t)i, &missed);
	}
	publish_map(pub, PS_TOPIC_RULE, FLOOD);
	got += drain(fast, FLOOD + 2, &missed);
	assert_int_equal(missed, 0);
	assert_int_equal(got, FLOOD + 2);

	/* The slow one wakes: what waits for it, a gap, and then it follows again. */
	struct ps_message msg = {0};
	uint64_t slow_got = 0, slow_missed = 0, seq = 0;
	uint64_t deadline = ps_clock_boot() + PATIENCE;
	while (slow_missed == 0 && ps_clock_boot() < deadline) {
		publish_map(pub, PS_TOPIC_RULE, -1);
		(void)usleep(1000);
		while (ps_subscriber_next(slow, &msg) == 1) {
			slow_got += msg.topic == PS_TOPIC_RULE;
			slow_missed += msg.missed;
			seq = msg.topic == PS_TOPIC_RULE ? msg.seq : seq;
			ps_message_free(&msg);
		}
	}
	assert_true(slow_missed > 0);
	assert_int_equal(slow_got + slow_missed, seq);
	struct ps_publisher_totals totals;
	ps_publisher_totals(pub, &totals);
	assert_int_equal(totals.refused[PS_TOPIC_RULE], 0);
}

static void socket_files(void **state)
{
	(void)state;
	struct stat st;
	const char *at = tempdir_path("ipc://", "file.sock"), *path = tempdir_path("", "file.sock");
	mode_t mask = umask(0);
	struct ps_publisher *pub = publisher(at, false), *other = NULL;
	assert_int_equal(umask(mask), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);

	/* A live one is left alone … */
	struct ps_error e = {0};
	assert_int_equal(ps_publisher_new(bus, at, false, &other, &e), -EADDRINUSE);
	assert_non_null(strstr(e.message, "another program"));
	assert_null(other);
	_cleanup_(ps_subscriber_free) struct ps_subscriber *sub = subscriber(at, MAPS);
	join(pub, sub);
	ps_publisher_free(&pub);
	assert_int_equal(stat(path, &st), -1);

	/* … what a killed program left is replaced … */
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	(void)close(fd);
	assert_int_equal(stat(path, &st), 0);
	pub = publisher(at, false);
	ps_publisher_free(&pub);

	/* … and a file that is no socket stays. */
	const char *file = tempdir_path("", "precious");
	FILE *f = fopen(file, "w");
	(void)fputs("data", f);
	(void)fclose(f);
	assert_int_equal(ps_publisher_new(bus, tempdir_path("ipc://", "precious"), false, &pub, &e), -EEXIST);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_true(S_ISREG(st.st_mode));
}

static void failed_binds_say_what_to_do(void **state)
{
	(void)state;
	static const struct {
		const char *endpoint;
		int ret;
		const char *message;
	} rows[] = {
		{"ipc:///nowhere/at/all.sock", -ENOENT, "--run-dir"},
		{"nonsense", -EINVAL, "not of the form"},
		{"gopher://x", -EPROTONOSUPPORT, "not supported"},
		{"tcp://203.0.113.77:5", -EPERM, "--curve-key"},
		{"tcp://127.0.0.1:notaport", -EINVAL, "not of the form"},
	};
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_publisher *pub = NULL;
		struct ps_error e = {0};
		assert_int_equal(ps_publisher_new(bus, rows[i].endpoint, false, &pub, &e), rows[i].ret);
		assert_null(pub);
		if (!strstr(e.message, rows[i].message))
			fail_msg("\"%s\" says nothing of \"%s\"", e.message, rows[i].message);
	}
}

static void what_waits_is_sent_at_the_end(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "end.sock");
	struct ps_publisher *pub = publisher(at, false);
	_cleanup_(ps_subscriber_free) struct ps_subscriber *sub = subscriber(at, CONNS | MAPS);
	join(pub, sub);
	struct ps_conn c = conn(1);
	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_END, &c, 0), 0);
	ps_publisher_free(&pub);
	assert_null(pub);
	_cleanup_(ps_message_free) struct ps_message msg = {0};
	assert_true(receive(sub, &msg));
	assert_int_equal(msg.topic, PS_TOPIC_CONN_END);
	assert_conns(&msg, 1);
	ps_publisher_free(&pub); /* twice is fine */
}

static unsigned marks(struct ps_subscriber *sub)
{
	struct ps_message msg = {0};
	unsigned n = 0;
	while (ps_subscriber_next(sub, &msg) == 1) {
		n += msg.topic == PS_TOPIC_CONN_END && msg.n == 0;
		ps_message_free(&msg);
	}
	return n;
}

/* Calls, and waits until the publisher has heard it, and with it all that was said before. */
static void call(struct ps_publisher *pub, struct ps_subscriber *sub)
{
	uint64_t deadline = ps_clock_boot() + PATIENCE;
	assert_int_equal(ps_subscriber_call(sub), 0);
	while (!ps_publisher_called(pub) && ps_clock_boot() < deadline)
		(void)usleep(200);
	assert_true(ps_clock_boot() < deadline);
}

static void a_silent_topic_says_so_now_and_then(void **state)
{
	(void)state;
	const uint32_t bit = 1u << PS_TOPIC_CONN_END;
	const char *at = tempdir_path("ipc://", "silent.sock");
	_cleanup_(ps_publisher_free) struct ps_publisher *pub = publisher(at, false);
	_cleanup_(ps_subscriber_free) struct ps_subscriber *sub = subscriber(at, bit | MAPS), *late = NULL;
	struct ps_conn c = conn(1);
	struct ps_message msg = {0};
	join(pub, sub);

	assert_int_equal(ps_publisher_record(pub, PS_TOPIC_CONN_END, &c, 0), 0);
	(void)ps_publisher_flush(pub, 0, true);
	ps_publisher_mark(pub, bit); /* it has just spoken */
	for (int i = 0; i < 2 * PS_BUS_MARK_EVERY; i++)
		ps_publisher_mark(pub, bit);
	publish_map(pub, PS_TOPIC_STATS, 1);
	for (unsigned n = 0, last = 0; !last; ps_message_free(&msg)) {
		assert_true(receive(sub, &msg));
		n += msg.topic == PS_TOPIC_CONN_END && msg.n == 0;
		last = msg.topic == PS_TOPIC_STATS;
		if (last)
			assert_int_equal(n, 2);
	}

	/* Who has just come hears it with the next look; nobody needs it twice. */
	ps_publisher_mark(pub, bit);
	late = subscriber(at, bit);
	call(pub, late);
	call(pub, late); /* the first may have come with the connection, before the topic */
	ps_publisher_mark(pub, bit);
	assert_true(receive(late, &msg));
	assert_int_equal(msg.n, 0);
	assert_int_equal(msg.before, 1);
	ps_message_free(&msg);
	ps_publisher_mark(pub, bit);
	(void)usleep(50000);
	assert_int_equal(marks(late), 0);

	/* A loss is told at once. */
	ps_publisher_set_lost(pub, PS_TOPIC_CONN_END, 7);
	ps_publisher_mark(pub, bit);
	assert_true(receive(late, &msg));
	assert_int_equal(msg.lost, 7);
	ps_message_free(&msg);
}

static void a_call_is_heard(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "call.sock");
	_cleanup_(ps_publisher_free) struct ps_publisher *pub = publisher(at, true), *again = NULL;
	_cleanup_(ps_subscriber_free) struct ps_subscriber *sub = subscriber(at, CONNS | MAPS),
							   *other = subscriber(at, CONNS | MAPS);
	uint64_t deadline;
	join(pub, sub);
	join(pub, other);

	assert_false(ps_publisher_called(pub)); /* a subscription is no call */
	for (int i = 0; i < 3; i++) {
		call(pub, sub);
		call(pub, other);
		assert_false(ps_publisher_called(pub));
	}
	/* It is no topic: nothing comes of it. */
	(void)ps_publisher_flush(pub, 0, true);
	assert_int_equal(marks(sub), 0);

	/* Whoever comes after it learns that there was one. */
	ps_publisher_free(&pub);
	again = publisher(at, true);
	deadline = ps_clock_boot() + PATIENCE;
	while (!ps_publisher_called(again) && ps_clock_boot() < deadline) {
		assert_int_equal(marks(sub) + marks(other), 0); /* libzmq says it again while it is listened to */
		(void)usleep(200);
	}
	assert_true(ps_clock_boot() < deadline);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_arrive_in_batches),
		cmocka_unit_test(an_update_waits_longer),
		cmocka_unit_test(twins_say_the_same),
		cmocka_unit_test(an_end_never_overtakes_its_beginning),
		cmocka_unit_test(a_map_goes_at_once),
		cmocka_unit_test(a_map_that_is_too_large_leaves_a_gap),
		cmocka_unit_test(a_new_publisher_is_a_new_epoch),
		cmocka_unit_test(what_a_reliable_socket_refuses_is_counted_exactly),
		cmocka_unit_test(a_slow_tap_loses_only_its_own),
		cmocka_unit_test(socket_files),
		cmocka_unit_test(failed_binds_say_what_to_do),
		cmocka_unit_test(what_waits_is_sent_at_the_end),
		cmocka_unit_test(a_silent_topic_says_so_now_and_then),
		cmocka_unit_test(a_call_is_heard),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
