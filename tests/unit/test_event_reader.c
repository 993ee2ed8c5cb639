/* One stream's way through the ring: what it wants, whole and once; what it missed, counted; how slow it may be. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "gateway/event_reader.h"
#include "gateway/limits.h"

struct fixture {
	struct ps_event_ring *ring;
	struct ps_event_reader reader;
	char out[65536];
	uint64_t now;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(ps_event_ring_new(8192, 16, 0xabc, &f->ring), 0);
	f->now = PS_NSEC;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ps_event_ring_free(&f->ring);
	free(f);
	return 0;
}

static void begin(struct fixture *f, const struct ps_event_filter *filter, const char *last_id)
{
	ps_event_reader_init(&f->reader, filter, f->ring, last_id, f->now);
}

static const struct ps_event_filter all = {.topics = ~0u, .proto = -1, .port = -1};

static void add(struct fixture *f, enum ps_topic topic, const char *text)
{
	const struct ps_event_meta meta = {.topic = topic};

	assert_int_equal(ps_event_ring_add(f->ring, &meta, ps_topic_name(topic), text, strlen(text)), 0);
}

/* All that there is, in pieces of at most `max`. */
static const char *drain(struct fixture *f, size_t max)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = ps_event_reader_read(&f->reader, f->ring, f->out + len, max, f->now);

		assert_true(n >= 0 && n <= (ssize_t)max);
		if (!n)
			break;
		len += (size_t)n;
		assert_true(len < sizeof(f->out) - max);
	}
	f->out[len] = '\0';
	return f->out;
}

static void says_hello_then_what_comes(void **state)
{
	struct fixture *f = *state;

	add(f, PS_TOPIC_RULE, "{\"before\":1}");
	begin(f, &all, NULL);
	assert_string_equal(drain(f, 4096), ": packetscope\nretry: 2000\n\n");
	assert_false(ps_event_reader_ready(&f->reader, f->ring));
	add(f, PS_TOPIC_RULE, "{\"after\":1}");
	assert_true(ps_event_reader_ready(&f->reader, f->ring));
	assert_string_equal(drain(f, 4096), "id: 00000abc-2\nevent: rule\ndata: {\"after\":1}\n\n");
	assert_string_equal(drain(f, 4096), "");
}

static void pieces_make_the_same_text(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *whole = NULL;

	for (size_t max = 1; max < 200; max += 7) {
		begin(f, &all, NULL);
		add(f, PS_TOPIC_RULE, "{\"one\":1}");
		add(f, PS_TOPIC_DROP, "{\"two\":2}");
		if (max == 1) {
			whole = strdup(strstr(drain(f, max), "event: "));
			assert_non_null(whole);
		} else {
			/* ids differ, the rest does not */
			assert_string_equal(strstr(drain(f, max), "event: drop"), strstr(whole, "event: drop"));
		}
	}
}

static void filters(void **state)
{
	struct fixture *f = *state;
	struct ps_event_filter filter = {.topics = 1u << PS_TOPIC_DROP, .proto = 6, .port = 22};
	struct ps_event_meta meta = {.topic = PS_TOPIC_DROP, .has_ends = true, .proto = 6, .port = {1000, 22}};

	assert_int_equal(ps_addr_parse("192.0.2.1", 9, &filter.ip), 0);
	meta.ip[1] = filter.ip;
	assert_true(ps_event_filter_match(&filter, &meta));
	meta.topic = PS_TOPIC_ICMP;
	assert_false(ps_event_filter_match(&filter, &meta));
	meta.topic = PS_TOPIC_DROP;
	meta.proto = 17;
	assert_false(ps_event_filter_match(&filter, &meta));
	meta.proto = 6;
	meta.port[1] = 23;
	assert_false(ps_event_filter_match(&filter, &meta));
	meta.port[1] = 22;
	meta.ip[1].word[0]++;
	assert_false(ps_event_filter_match(&filter, &meta));
	meta.has_ends = false;
	assert_true(ps_event_filter_match(&filter, &meta));

	filter = (struct ps_event_filter){.topics = 1u << PS_TOPIC_DROP, .proto = -1, .port = -1};
	begin(f, &filter, NULL);
	(void)drain(f, 4096);
	add(f, PS_TOPIC_RULE, "{}");
	assert_false(ps_event_reader_ready(&f->reader, f->ring));
}

static void reads_the_query(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();
	struct ps_event_filter filter;
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_event_filter_read(args, &filter, NULL), 0);
	assert_int_equal(filter.topics, ps_event_topics_default());
	assert_int_equal(filter.proto, -1);
	assert_int_equal(filter.port, -1);
	assert_int_equal(ps_value_set(args, "topics", ps_value_string("rule,conn.update")), 0);
	assert_int_equal(ps_value_set(args, "proto", ps_value_string("udp")), 0);
	assert_int_equal(ps_value_set(args, "ip", ps_value_string("::1")), 0);
	assert_int_equal(ps_event_filter_read(args, &filter, NULL), 0);
	assert_int_equal(filter.topics, 1u << PS_TOPIC_RULE | 1u << PS_TOPIC_CONN_UPDATE);
	assert_int_equal(filter.proto, 17);
	assert_int_equal(filter.ip.family, 6);
	assert_int_equal(ps_value_set(args, "topics", ps_value_string("rule,snapshot")), 0);
	assert_int_equal(ps_event_filter_read(args, &filter, &err), -EINVAL);
	assert_string_equal(err.field, "topics");
	assert_non_null(strstr(err.message, "\"snapshot\"; there are conn.new, "));
	assert_int_equal(ps_value_set(args, "topics", ps_value_string("")), 0);
	assert_int_equal(ps_value_set(args, "ip", ps_value_string("host")), 0);
	assert_int_equal(ps_event_filter_read(args, &filter, &err), -EINVAL);
	assert_string_equal(err.field, "ip");
}

static void goes_on_where_it_was(void **state)
{
	struct fixture *f = *state;

	add(f, PS_TOPIC_RULE, "{\"n\":1}");
	add(f, PS_TOPIC_RULE, "{\"n\":2}");
	add(f, PS_TOPIC_RULE, "{\"n\":3}");
	begin(f, &all, "00000abc-2");
	assert_string_equal(strstr(drain(f, 4096), "id: "), "id: 00000abc-3\nevent: rule\ndata: {\"n\":3}\n\n");
	begin(f, &all, "00000abd-2"); /* another run's */
	assert_non_null(strstr(
		drain(f, 4096), "event: gap\ndata: {\"lost\":null,\"topic\":null,\"reason\":\"restarted\"}\n\n"));
	for (int i = 0; i < 40; i++)
		add(f, PS_TOPIC_DROP, "{}");
	begin(f, &all, "00000abc-2"); /* 3 and the first drops are gone */
	assert_non_null(strstr(drain(f, 4096), "\"reason\":\"away\""));
	assert_int_equal(f->reader.next, ps_event_ring_next(f->ring));
}

/* Lost + given = all, for each topic. */
static void overtaken(void **state)
{
	struct fixture *f = *state;
	const char *at;
	unsigned given = 0;
	struct ps_event_filter drops = {.topics = 1u << PS_TOPIC_DROP, .proto = -1, .port = -1};

	begin(f, &drops, NULL);
	(void)drain(f, 4096);
	for (int i = 0; i < 50; i++) {
		add(f, PS_TOPIC_DROP, "{}");
		add(f, PS_TOPIC_RULE, "{}");
	}
	assert_true(ps_event_reader_ready(&f->reader, f->ring));
	at = strstr(drain(f, 4096), "event: gap\ndata: {\"lost\":");
	assert_non_null(at);
	assert_null(strstr(f->out, "\"topic\":\"rule\""));
	for (const char *p = f->out; (p = strstr(p, "event: drop")); p++)
		given++;
	assert_int_equal(given + (unsigned)atoi(at + strlen("event: gap\ndata: {\"lost\":")), 50);
	assert_string_equal(drain(f, 4096), "");
}

/* Half an event is on its way when the ring takes it away: the rest can't be made up. */
static void half_an_event(void **state)
{
	struct fixture *f = *state;

	begin(f, &all, NULL);
	(void)drain(f, 4096);
	add(f, PS_TOPIC_RULE, "{\"a\":\"bbbbbbbbbbbbbbbbbbbbbbbbbbbb\"}");
	assert_int_equal(ps_event_reader_read(&f->reader, f->ring, f->out, 10, f->now), 10);
	for (int i = 0; i < 20; i++)
		add(f, PS_TOPIC_RULE, "{}");
	assert_int_equal(ps_event_reader_read(&f->reader, f->ring, f->out, 10, f->now), -EPIPE);
}

static void says_that_it_lives(void **state)
{
	struct fixture *f = *state;

	begin(f, &all, NULL);
	(void)drain(f, 4096);
	assert_false(ps_event_reader_alive(&f->reader, f->now + PS_EVENTS_ALIVE_NS - 1));
	f->now += PS_EVENTS_ALIVE_NS;
	assert_true(ps_event_reader_alive(&f->reader, f->now));
	assert_true(ps_event_reader_alive(&f->reader, f->now)); /* once is enough */
	assert_string_equal(drain(f, 4096), ": keep-alive\n\n");
	assert_false(ps_event_reader_alive(&f->reader, f->now));
}

static void slow(void **state)
{
	struct fixture *f = *state;

	begin(f, &all, NULL);
	(void)drain(f, 4096);
	for (int i = 0; i < 60; i++) { /* silence is not slow */
		f->now += PS_NSEC;
		assert_false(ps_event_reader_slow(&f->reader, f->ring, f->now));
	}
	add(f, PS_TOPIC_RULE, "{}");
	assert_false(ps_event_reader_slow(&f->reader, f->ring, f->now));
	assert_false(ps_event_reader_slow(&f->reader, f->ring, f->now + PS_EVENTS_SLOW_NS - 1));
	assert_true(ps_event_reader_slow(&f->reader, f->ring, f->now + PS_EVENTS_SLOW_NS));
	(void)drain(f, 4096); /* it was only late */
	assert_false(ps_event_reader_slow(&f->reader, f->ring, f->now + 2 * PS_EVENTS_SLOW_NS));
	/* Always behind, but reading. */
	for (int i = 0; i < 30; i++) {
		f->now += PS_NSEC;
		for (int k = 0; k < 40; k++)
			add(f, PS_TOPIC_RULE,
				"{\"0123456789012345678901234567890123456789012345678901234567890123456789\":1}");
		assert_true(ps_event_reader_read(&f->reader, f->ring, f->out, 2000, f->now) > 0);
		assert_false(ps_event_reader_slow(&f->reader, f->ring, f->now));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(says_hello_then_what_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(pieces_make_the_same_text, setup, teardown),
		cmocka_unit_test_setup_teardown(filters, setup, teardown),
		cmocka_unit_test(reads_the_query),
		cmocka_unit_test_setup_teardown(goes_on_where_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(overtaken, setup, teardown),
		cmocka_unit_test_setup_teardown(half_an_event, setup, teardown),
		cmocka_unit_test_setup_teardown(says_that_it_lives, setup, teardown),
		cmocka_unit_test_setup_teardown(slow, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
