#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "collector/publish.h"
#include "common/base/clock.h"
#include "tempdir.h"

static const char *name(void *arg, uint32_t ifindex, char out[static PS_NAME_SIZE])
{
	(void)arg;
	(void)ifindex;
	(void)out;
	return "eth9";
}

static const struct ps_record_env env = {.iface_name = name};

static void give(struct ps_publish *p, uint16_t type, uint64_t id, uint64_t now)
{
	struct ps_event_conn e = {
		.head = {.type = type, .size = sizeof(e)},
		.conn = {.id = id, .proto = IPPROTO_UDP},
	};

	ps_publish_event(p, &e, sizeof(e), &env, now);
}

/* The next message within two seconds. */
static int next(struct ps_subscriber *sub, struct ps_message *ret_msg)
{
	int r = 0;

	for (int i = 0; i < 200 && r == 0; i++) {
		r = ps_subscriber_next(sub, ret_msg);
		if (r == 0)
			(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	return r;
}

static void events_become_records_and_counts(void **state)
{
	/* What an earlier collector left in the ledger. */
	struct ps_ledger ledger = {
		.received = {1, 12, 10}, .published = {0, 10, 10}, .refused = {0, 1, 0}, .applied = {0, 7}};
	struct ps_publish *p = NULL;
	struct ps_subscriber *sub = NULL;
	struct ps_bus *bus = NULL;
	struct ps_endpoints where;
	struct ps_message msg;
	uint64_t lost[PS_EV_TYPES] = {[PS_EV_CONN_NEW] = 5};
	uint64_t now = 1000;

	(void)state;
	assert_int_equal(ps_endpoints_default(tempdir, &where), 0);
	assert_int_equal(ps_bus_new(&bus), 0);
	assert_int_equal(ps_publish_new(bus, &where, &ledger, &p, NULL), 0);
	assert_int_equal(ps_subscriber_new(bus, where.events, 1u << PS_TOPIC_CONN_NEW, &sub, NULL), 0);
	(void)nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);

	ps_publish_set_lost(p, lost);
	give(p, PS_EV_CONN_NEW, 1, now);
	give(p, PS_EV_CONN_NEW, 2, now);
	give(p, PS_EV_CONN_UPDATE, 2, now);
	give(p, 77, 2, now);
	ps_publish_event(p, "x", 1, &env, now);
	assert_int_equal(ledger.received[0], 3);
	assert_int_equal(ledger.abandoned[PS_EV_CONN_NEW], 2); /* it was killed between */
	assert_int_equal(ledger.abandoned[PS_EV_CONN_UPDATE], 0);
	assert_int_equal(ledger.received[PS_EV_CONN_NEW], 14);
	assert_int_equal(ps_publish_malformed(p), 2);

	/* Company is waited for, then not any more; an update waits longer. */
	assert_int_equal(ps_publish_flush(p, now + 1, false), PS_BUS_DELAY_NS - 1);
	assert_int_equal(ps_publish_flush(p, now + PS_BUS_DELAY_NS, false), PS_BUS_CALM_NS - PS_BUS_DELAY_NS);
	assert_int_equal(ledger.published[PS_EV_CONN_NEW], 12);
	assert_int_equal(ledger.published[PS_EV_CONN_UPDATE], 10);
	assert_int_equal(ps_publish_flush(p, now + PS_BUS_CALM_NS, false), UINT64_MAX);
	assert_int_equal(ledger.published[PS_EV_CONN_UPDATE], 11);
	assert_int_equal(ledger.refused[PS_EV_CONN_NEW], 1);
	assert_int_equal(ledger.applied[PS_EV_CONN_NEW], 7); /* not ours to write */

	assert_int_equal(next(sub, &msg), 1);
	assert_int_equal(msg.topic, PS_TOPIC_CONN_NEW);
	assert_int_equal(msg.n, 2);
	assert_int_equal(msg.lost, 5);
	ps_message_free(&msg);

	/* What waits at the end is sent and counted. */
	give(p, PS_EV_CONN_END, 3, now);
	ps_publish_free(&p);
	assert_int_equal(ledger.published[PS_EV_CONN_END], 1);
	ps_subscriber_free(&sub);
	ps_bus_free(&bus);
}

/* The aggregator hears the feed, and says with a snapshot which of the events it holds: one numbering for both. */
static void feed_and_events_have_one_numbering(void **state)
{
	struct ps_ledger ledger = {0};
	struct ps_publish *p = NULL;
	struct ps_subscriber *sub[2] = {NULL, NULL};
	struct ps_bus *bus = NULL;
	struct ps_endpoints where;
	struct ps_message msg[2];

	(void)state;
	assert_int_equal(ps_endpoints_default(tempdir, &where), 0);
	assert_int_equal(ps_bus_new(&bus), 0);
	assert_int_equal(ps_publish_new(bus, &where, &ledger, &p, NULL), 0);
	assert_int_equal(ps_subscriber_new(bus, where.events, 1u << PS_TOPIC_CONN_NEW, &sub[0], NULL), 0);
	assert_int_equal(ps_subscriber_new(bus, where.feed, 1u << PS_TOPIC_CONN_NEW, &sub[1], NULL), 0);
	(void)nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	for (uint64_t i = 1; i <= 3; i++) {
		give(p, PS_EV_CONN_NEW, i, 1000);
		(void)ps_publish_flush(p, 1000, true);
		for (int k = 0; k < 2; k++)
			assert_int_equal(next(sub[k], &msg[k]), 1);
		assert_int_equal(msg[0].seq, i);
		assert_int_equal(msg[1].seq, i);
		assert_int_equal(msg[0].epoch, msg[1].epoch);
		ps_message_free(&msg[0]);
		ps_message_free(&msg[1]);
	}
	ps_publish_free(&p);
	ps_subscriber_free(&sub[0]);
	ps_subscriber_free(&sub[1]);
	ps_bus_free(&bus);
}

/* Killed after any of the stores with which an event is taken: the next collector counts it once. */
static void an_event_is_counted_once_whoever_is_killed(void **state)
{
	struct ps_bus *bus = NULL;
	struct ps_endpoints where;

	(void)state;
	assert_int_equal(ps_endpoints_default(tempdir, &where), 0);
	assert_int_equal(ps_bus_new(&bus), 0);
	for (int kill = 0; kill < 3; kill++) {
		struct ps_ledger ledger = {0};
		struct ps_publish *p = NULL;

		assert_int_equal(ps_publish_new(bus, &where, &ledger, &p, NULL), 0);
		ps_publish_at(p, 3, 4096);
		give(p, PS_EV_CONN_NEW, 1, 1000);
		(void)ps_publish_flush(p, 1000, true);
		ps_publish_at(p, 2, 512);
		give(p, PS_EV_CONN_NEW, 2, 1000);
		ps_publish_free(&p);
		assert_int_equal(ledger.received[PS_EV_CONN_NEW], 2);
		/* the second event's stores, as far as they came */
		if (kill < 2)
			ledger.received[PS_EV_CONN_NEW]--;
		if (kill < 1)
			ledger.taking_at = 0;
		ledger.published[PS_EV_CONN_NEW] = 1;

		assert_int_equal(ps_publish_new(bus, &where, &ledger, &p, NULL), 0);
		assert_int_equal(ledger.abandoned[PS_EV_CONN_NEW], kill < 1 ? 0 : 1);
		ps_publish_at(p, 2, 512); /* it is still there */
		give(p, PS_EV_CONN_NEW, 2, 2000);
		ps_publish_at(p, 2, 1024);
		give(p, PS_EV_CONN_NEW, 3, 2000);
		ps_publish_free(&p);
		assert_int_equal(ledger.received[PS_EV_CONN_NEW], 3);
		assert_int_equal(ledger.received[PS_EV_CONN_NEW],
			ledger.published[PS_EV_CONN_NEW] + ledger.abandoned[PS_EV_CONN_NEW]);
	}
	ps_bus_free(&bus);
}

/* A topic that is silent says where it stands; one that speaks does not. */
static void silent_topics_are_marked(void **state)
{
	struct ps_ledger ledger = {0};
	struct ps_publish *p = NULL;
	struct ps_subscriber *sub = NULL;
	struct ps_bus *bus = NULL;
	struct ps_endpoints where;
	struct ps_message msg;

	(void)state;
	assert_int_equal(ps_endpoints_default(tempdir, &where), 0);
	assert_int_equal(ps_bus_new(&bus), 0);
	assert_int_equal(ps_publish_new(bus, &where, &ledger, &p, NULL), 0);
	assert_int_equal(ps_subscriber_new(bus, where.events, 1u << PS_TOPIC_CONN_END, &sub, NULL), 0);
	(void)nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	give(p, PS_EV_CONN_END, 1, 1000);
	give(p, PS_EV_CONN_END, 2, 1000);
	(void)ps_publish_flush(p, 1000, true);
	ps_publish_mark(p); /* it has just spoken */
	assert_int_equal(next(sub, &msg), 1);
	assert_int_equal(msg.n, 2);
	assert_int_equal(msg.before, 0);
	ps_message_free(&msg);
	assert_int_equal(ps_subscriber_next(sub, &msg), 0);
	ps_publish_mark(p);
	assert_int_equal(next(sub, &msg), 1);
	assert_int_equal(msg.n, 0);
	assert_int_equal(msg.seq, 2);
	assert_int_equal(msg.before, 2);
	ps_message_free(&msg);
	ps_publish_free(&p);
	ps_subscriber_free(&sub);
	ps_bus_free(&bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_become_records_and_counts),
		cmocka_unit_test(feed_and_events_have_one_numbering),
		cmocka_unit_test(an_event_is_counted_once_whoever_is_killed),
		cmocka_unit_test(silent_topics_are_marked),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
