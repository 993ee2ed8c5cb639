/*
 * What a subscriber makes of messages that no publisher of ours sends: a raw socket plays the publisher.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/bus/bus.h"
#include "common/codec/msgpack.h"
#include "tempdir.h"

#define ALL 0xffffffffu >> (32 - PS_TOPICS)

static struct ps_bus *bus;
static void *context, *raw;
static struct ps_subscriber *sub;

struct part {
	const void *data;
	size_t len;
};

static void send_parts(const struct part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(zmq_send(raw, parts[i].data, parts[i].len, i + 1 < n ? ZMQ_SNDMORE : 0), parts[i].len);
}

/* A right header, to be spoilt: epoch 7, n 1. */
static struct ps_value *header(uint64_t seq)
{
	struct ps_value *h = ps_value_map(), *fields = ps_value_list();
	assert_int_equal(ps_value_append(fields, ps_value_string("id")), 0);
	assert_int_equal(ps_value_append(fields, ps_value_string("proto")), 0);
	assert_int_equal(ps_value_set(h, "v", ps_value_int(PS_BUS_SCHEMA_VERSION)), 0);
	assert_int_equal(ps_value_set(h, "host", ps_value_string("there")), 0);
	assert_int_equal(ps_value_set(h, "epoch", ps_value_int(7)), 0);
	assert_int_equal(ps_value_set(h, "seq", ps_value_uint(seq)), 0);
	assert_int_equal(ps_value_set(h, "ts", ps_value_int(1)), 0);
	assert_int_equal(ps_value_set(h, "n", ps_value_int(1)), 0);
	assert_int_equal(ps_value_set(h, "fields", fields), 0);
	assert_int_equal(ps_value_set(h, "lost", ps_value_int(0)), 0);
	return h;
}

static const uint8_t one_record[] = {0x91, 0x92, 0xc0, 0xa3, 't', 'c', 'p'};

static void send_with(const char *topic, const struct ps_value *h, const void *payload, size_t payload_len)
{
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	ps_msgpack_write(&b, h);
	assert_int_equal(b.error, 0);
	const struct part parts[] = {{topic, strlen(topic)}, {b.data, b.len}, {payload, payload_len}};
	send_parts(parts, 3);
}

static void send_good(uint64_t seq)
{
	_cleanup_(ps_value_free) struct ps_value *h = header(seq);
	send_with("conn.new", h, one_record, sizeof(one_record));
}

static int next(struct ps_message *msg)
{
	uint64_t deadline = ps_clock_boot() + 5 * PS_NSEC;
	int r;
	while ((r = ps_subscriber_next(sub, msg)) == 0 && ps_clock_boot() < deadline)
		(void)usleep(200);
	return r;
}

static void expect_good(uint64_t seq, uint64_t missed)
{
	_cleanup_(ps_message_free) struct ps_message msg = {0};
	assert_int_equal(next(&msg), 1);
	assert_int_equal(msg.seq, seq);
	assert_int_equal(msg.missed, missed);
}

/* The message sent before was refused, counted, and did not disturb what follows. */
static void expect_refused(const char *what)
{
	struct ps_message untouched = {.seq = 4711};
	uint64_t before = ps_subscriber_malformed(sub);
	if (next(&untouched) != -EBADMSG)
		fail_msg("%s: taken", what);
	assert_int_equal(untouched.seq, 4711);
	assert_null(untouched.header);
	assert_int_equal(ps_subscriber_malformed(sub), before + 1);
}

#define PRELUDE_LAST 10000

/* On the topic that is subscribed to last: when one comes through, they all do. */
static void send_prelude(uint64_t seq)
{
	_cleanup_(ps_value_free) struct ps_value *h = header(seq);
	assert_int_equal(ps_value_set(h, "epoch", ps_value_int(1)), 0);
	send_with("snapshot", h, one_record, sizeof(one_record));
}

static int connect_both(void **state)
{
	const char *at = tempdir_path("ipc://", "raw.sock");
	int linger = 0;
	(void)state;
	raw = zmq_socket(context, ZMQ_PUB);
	(void)zmq_setsockopt(raw, ZMQ_LINGER, &linger, sizeof(linger));
	if (zmq_bind(raw, at) != 0 || ps_subscriber_new(bus, at, ALL, &sub, NULL) < 0)
		return -1;
	/* Epoch 1 until the subscription is there, then its last message, so that nothing of it remains. */
	struct ps_message msg = {0};
	for (uint64_t seq = 1; ps_subscriber_next(sub, &msg) != 1; seq++) {
		if (seq == 5000)
			return -1;
		send_prelude(seq);
		(void)usleep(1000);
	}
	send_prelude(PRELUDE_LAST);
	while (msg.seq != PRELUDE_LAST) {
		ps_message_free(&msg);
		if (next(&msg) != 1)
			return -1;
	}
	ps_message_free(&msg);
	return 0;
}

static int disconnect_both(void **state)
{
	(void)state;
	ps_subscriber_free(&sub);
	(void)zmq_close(raw);
	return 0;
}

static int setup(void **state)
{
	context = zmq_ctx_new();
	return tempdir_make(state) < 0 || ps_bus_new(&bus) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	ps_bus_free(&bus);
	(void)zmq_ctx_term(context);
	return tempdir_remove(state);
}

static void sequence_numbers_tell_losses(void **state)
{
	(void)state;
	send_good(10); /* a new epoch: nothing is known to be lost */
	struct ps_message msg = {0};
	assert_int_equal(next(&msg), 1);
	assert_true(msg.restarted);
	assert_int_equal(msg.missed, 0);
	assert_int_equal(msg.epoch, 7);
	ps_message_free(&msg);
	send_good(11);
	expect_good(11, 0);
	send_good(15);
	expect_good(15, 3);
	send_good(15);
	expect_refused("the same number again");
	send_good(3);
	expect_refused("an old number");
	send_good(UINT64_MAX);
	expect_good(UINT64_MAX, UINT64_MAX - 16);

	/* A refused message of another epoch changes nothing. */
	_cleanup_(ps_value_free) struct ps_value *zero = header(0);
	assert_int_equal(ps_value_set(zero, "epoch", ps_value_int(9)), 0);
	send_with("conn.update", zero, one_record, sizeof(one_record));
	expect_refused("number 0");

	/* Topics count for themselves. */
	static const uint8_t map[] = {0x81, 0xa1, 'a', 0x01};
	_cleanup_(ps_value_free) struct ps_value *h = header(5);
	send_with("rule", h, map, sizeof(map));
	assert_int_equal(next(&msg), 1);
	assert_false(msg.restarted);
	assert_int_equal(msg.missed, 0);
	assert_int_equal(msg.topic, PS_TOPIC_RULE);
	ps_message_free(&msg);

	/* Another epoch begins from nothing, in every topic. */
	assert_int_equal(ps_value_set(h, "epoch", ps_value_int(8)), 0);
	assert_int_equal(ps_value_set(h, "seq", ps_value_int(1)), 0);
	send_with("rule", h, map, sizeof(map));
	assert_int_equal(next(&msg), 1);
	assert_true(msg.restarted);
	ps_message_free(&msg);
}

static void wrong_frame_counts(void **state)
{
	(void)state;
	const struct part parts[] = {
		{"conn.new", 8}, {"", 0}, {"", 0}, {"x", 1}, {"y", 1}, {"z", 1}, {"", 0}, {"w", 1}};
	send_good(1);
	expect_good(1, 0);
	for (size_t n = 1; n <= PS_ARRAY_SIZE(parts); n++) {
		send_parts(parts, n);
		expect_refused("frames");
	}
	/* A right message with a frame too many. */
	_cleanup_(ps_value_free) struct ps_value *h = header(2);
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	ps_msgpack_write(&b, h);
	const struct part four[] = {{"conn.new", 8}, {b.data, b.len}, {one_record, sizeof(one_record)}, {"", 0}};
	send_parts(four, 4);
	expect_refused("four frames");
	send_parts(four, 3);
	expect_good(2, 0);
}

static void wrong_topics(void **state)
{
	(void)state;
	_cleanup_(ps_value_free) struct ps_value *h = header(1);
	/* Subscriptions are prefixes: these all come through. */
	send_with("conn.newer", h, one_record, sizeof(one_record));
	expect_refused("conn.newer");
	send_with("icmp\xff", h, one_record, sizeof(one_record));
	expect_refused("icmp\\xff");
	send_with("conn.new", h, one_record, sizeof(one_record));
	expect_good(1, 0);
}

static void wrong_headers(void **state)
{
	(void)state;
	static const char *const keys[] = {"v", "host", "epoch", "seq", "ts", "n", "fields", "lost"};
	for (size_t i = 0; i < PS_ARRAY_SIZE(keys); i++) {
		_cleanup_(ps_value_free) struct ps_value *h = header(1);
		ps_value_unset(h, keys[i]);
		send_with("conn.new", h, one_record, sizeof(one_record));
		expect_refused(keys[i]);
		assert_int_equal(ps_value_set(h, keys[i], ps_value_real(1.5)), 0);
		send_with("conn.new", h, one_record, sizeof(one_record));
		expect_refused(keys[i]);
		assert_int_equal(ps_value_set(h, keys[i], ps_value_int(-1)), 0);
		send_with("conn.new", h, one_record, sizeof(one_record));
		expect_refused(keys[i]);
	}
	static const struct {
		const char *key;
		uint64_t value;
	} rows[] = {{"v", 0}, {"v", 2}, {"v", UINT64_MAX}, {"seq", 0}, {"n", 0}, {"n", 2},
		{"n", PS_BUS_RECORDS_MAX + 1}, {"n", UINT32_MAX + 2ull}};
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		_cleanup_(ps_value_free) struct ps_value *h = header(1);
		assert_int_equal(ps_value_set(h, rows[i].key, ps_value_uint(rows[i].value)), 0);
		send_with("conn.new", h, one_record, sizeof(one_record));
		expect_refused(rows[i].key);
	}
	static char padding[PS_BUS_HEADER_MAX];
	_cleanup_(ps_value_free) struct ps_value *h = header(1);
	assert_int_equal(ps_value_set(h, "later", ps_value_string_n(padding, sizeof(padding))), 0);
	send_with("conn.new", h, one_record, sizeof(one_record));
	expect_refused("too long");
	assert_int_equal(ps_value_set(h, "later", ps_value_string("a key that we do not know yet")), 0);
	send_with("conn.new", h, one_record, sizeof(one_record));
	expect_good(1, 0);
}

static void wrong_columns(void **state)
{
	(void)state;
	_cleanup_(ps_value_free) struct ps_value *h = header(1);
	assert_int_equal(ps_value_set(h, "fields", ps_value_list()), 0);
	send_with("conn.new", h, one_record, sizeof(one_record));
	expect_refused("no column");
	struct ps_value *fields = ps_value_list();
	for (int i = 0; i < PS_BUS_FIELDS_MAX + 1; i++)
		assert_int_equal(ps_value_append(fields, ps_value_string("x")), 0);
	assert_int_equal(ps_value_set(h, "fields", fields), 0);
	send_with("conn.new", h, one_record, sizeof(one_record));
	expect_refused("too many columns");
	fields = ps_value_list();
	assert_int_equal(ps_value_append(fields, ps_value_int(1)), 0);
	assert_int_equal(ps_value_set(h, "fields", fields), 0);
	send_with("conn.new", h, one_record, sizeof(one_record));
	expect_refused("a column that is no string");
}

static void header_bombs(void **state)
{
	(void)state;
	static uint8_t deep[PS_BUS_HEADER_MAX], large[PS_BUS_HEADER_MAX + 1];
	memset(deep, 0x91, sizeof(deep));
	memset(large, 0xc0, sizeof(large));
	const struct part bombs[] = {
		{"", 0},
		{"\xc1", 1},
		{"\x80", 1},
		{"\x93\x01\x02\x03", 4},
		{"\xdd\xff\xff\xff\xff", 5},
		{"\xdf\xff\xff\xff\xff", 5},
		{"\xdb\xff\xff\xff\xff", 5},
		{"\x81\xdd\xff\xff\xff\xff\xc0", 7},
		{deep, sizeof(deep)},
		{large, sizeof(large)},
	};
	for (size_t i = 0; i < PS_ARRAY_SIZE(bombs); i++) {
		const struct part parts[] = {{"conn.new", 8}, bombs[i], {one_record, sizeof(one_record)}};
		send_parts(parts, 3);
		expect_refused("header bomb");
	}
	send_good(1);
	expect_good(1, 0);
}

static void payload_bombs(void **state)
{
	(void)state;
	static uint8_t large[PS_BUS_MESSAGE_MAX + 1] = {0x91};
	const struct part bombs[] = {
		{"", 0},
		{"\x90", 1},
		{"\x92\xc0\xc0", 3},
		{"\x81\xa1x\x01", 4},
		{"\xdc\x01", 2},
		{"\xdd\xff\xff\xff\xff", 5},
		{"\xdd\x00\x00\x00\x02", 5},
		{"\xc1", 1},
		{large, sizeof(large)},
	};
	_cleanup_(ps_value_free) struct ps_value *h = header(1);
	for (size_t i = 0; i < PS_ARRAY_SIZE(bombs); i++) {
		send_with("conn.new", h, bombs[i].data, bombs[i].len);
		expect_refused("payload bomb");
	}
	send_with("rule", h, one_record, sizeof(one_record));
	expect_refused("an array where a map belongs");
	/* The largest that is allowed passes. */
	send_with("conn.new", h, large, PS_BUS_MESSAGE_MAX);
	expect_good(1, 0);
}

static void a_frame_beyond_all_bounds_is_never_read(void **state)
{
	(void)state;
	size_t len = 16u << 20;
	_cleanup_free_ uint8_t *huge = calloc(1, len);
	_cleanup_(ps_value_free) struct ps_value *h = header(2);
	send_good(1);
	expect_good(1, 0);
	send_with("conn.new", h, huge, len);
	send_good(3);
	struct ps_message msg = {0};
	for (int i = 0; i < 200; i++) {
		assert_int_equal(ps_subscriber_next(sub, &msg), 0);
		(void)usleep(1000);
	}
	/* The next subscriber is served. */
	(void)disconnect_both(NULL);
	assert_int_equal(connect_both(NULL), 0);
	send_good(4);
	expect_good(4, 0);
}

#define bus_test(f) cmocka_unit_test_setup_teardown(f, connect_both, disconnect_both)

/* What a publisher says before its subscribers are back is lost on them: they must be back soon. */
static void a_publisher_that_went_is_looked_for_often(void **state)
{
	(void)state;
	_cleanup_(ps_subscriber_free) struct ps_subscriber *lonely = NULL;
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	uint64_t end;
	unsigned knocks = 0;

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", tempdir_path("", "closed.sock"));
	assert_int_equal(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(ps_subscriber_new(bus, tempdir_path("ipc://", "closed.sock"), ALL, &lonely, NULL), 0);
	end = ps_clock_boot() + PS_NSEC;
	while (ps_clock_boot() < end) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int peer = poll(&p, 1, 100) > 0 ? accept(fd, NULL, NULL) : -1;

		if (peer >= 0)
			(void)close(peer);
		knocks += peer >= 0;
	}
	assert_in_range(knocks, 14, 60); /* at libzmq's own pace it would be ten at most */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		bus_test(sequence_numbers_tell_losses),
		bus_test(wrong_frame_counts),
		bus_test(wrong_topics),
		bus_test(wrong_headers),
		bus_test(wrong_columns),
		bus_test(header_bombs),
		bus_test(payload_bombs),
		bus_test(a_publisher_that_went_is_looked_for_often),
		bus_test(a_frame_beyond_all_bounds_is_never_read),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
