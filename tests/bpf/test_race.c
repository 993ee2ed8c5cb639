/* SPDX-License-Identifier: MIT */
/*
 * Two CPUs at once: both meet the same new connections, both fight for the slots of a full table, and user space
 * expires connections while packets arrive.
 */
#include "test_rig.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SERVER "10.0.0.1"

static atomic_uint arrived;
static atomic_bool done;

static void pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(pthread_setaffinity_np(pthread_self(), sizeof(set), &set), 0);
}

/* Both threads leave together; spinning, so within nanoseconds. */
static void meet(unsigned round)
{
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&arrived) < 2 * round)
		;
}

static void make(struct ps_frame *f, bool v6, uint32_t key, bool answer, bool tcp)
{
	char client[64];
	const char *server = v6 ? "2001:db8::1" : SERVER;

	if (v6)
		snprintf(client, sizeof(client), "2001:db8:1::%x:%x", key >> 16, key & 0xffff);
	else
		snprintf(client, sizeof(client), "172.%u.%u.%u", 16 + (key >> 16 & 15), key >> 8 & 255, key & 255);
	ps_frame_make(f, &(struct ps_frame_spec){.src = answer ? server : client,
				 .dst = answer ? client : server,
				 .proto = tcp ? IPPROTO_TCP : IPPROTO_UDP,
				 .sport = answer ? 53 : 4000,
				 .dport = answer ? 4000 : 53,
				 .flags = PS_F_ACK,
				 .seq = 1,
				 .ack = 1,
				 .payload = answer ? 100 : 10});
}

struct job {
	unsigned cpu;
	uint32_t keys;
	bool v6;
	bool tcp;
	bool answer;
};

static void *send_each_once(void *arg)
{
	const struct job *j = arg;
	struct ps_frame f;

	pin(j->cpu);
	for (uint32_t k = 0; k < j->keys; k++) {
		make(&f, j->v6, k, j->answer, j->tcp);
		meet(k + 1);
		ps_rig_ingress(rig, &f);
	}
	return NULL;
}

static void run_pair(void *(*work)(void *), struct job *a, struct job *b)
{
	pthread_t ta, tb;

	atomic_store(&arrived, 0);
	atomic_store(&done, false);
	a->cpu = 0;
	b->cpu = 1;
	assert_int_equal(pthread_create(&ta, NULL, work, a), 0);
	assert_int_equal(pthread_create(&tb, NULL, work, b), 0);
	pthread_join(ta, NULL);
	pthread_join(tb, NULL);
}

static void check_no_slot_is_left_busy(void)
{
	for (uint32_t slot = 0; slot < rig->slots; slot++) {
		uint8_t tag = rig->tags[slot / 8].tags >> (8 * (slot % 8)) & 0xff;

		assert_true(tag == PS_TAG_EMPTY || (tag & PS_TAG_LIVE));
	}
}

static void both_meet(bool v6, bool tcp, bool answer)
{
	struct job a = {.keys = 3000, .v6 = v6, .tcp = tcp}, b = {.keys = 3000, .v6 = v6, .tcp = tcp, .answer = answer};
	_cleanup_free_ struct ps_conn_raw *all = NULL;
	uint64_t ip = v6 ? 40 : 20, l4 = tcp ? 20 : 8;
	struct ps_stats s;
	size_t n;

	ps_rig_reset(rig);
	run_pair(send_each_once, &a, &b);
	all = ps_rig_conns(rig, &n);
	s = ps_rig_stats(rig);
	assert_int_equal(s.packets, 6000);
	assert_int_equal(s.untracked, 0);
	assert_int_equal(s.conns_recycled, 0);
	assert_int_equal(n, 3000);
	assert_int_equal(s.conns_new, 3000);
	assert_int_equal(s.ev_conn_new, 3000);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(all[i].packets[0] + all[i].packets[1], 2);
		assert_int_equal(all[i].bytes[0] + all[i].bytes[1], 2 * (ip + l4) + 10 + (answer ? 100 : 10));
		if (answer)
			assert_true(all[i].flags & PS_CONN_REPLIED);
	}
	check_no_slot_is_left_busy();
}

static void test_two_cpus_meet_the_same_connections(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		both_meet(false, false, false);
		both_meet(false, false, true);
		both_meet(true, false, true);
		both_meet(false, true, true);
	}
}

/* --- Full buckets --- */

static void *send_at_random(void *arg)
{
	const struct job *j = arg;
	uint64_t x = 88172645463325252ull + j->cpu;
	struct ps_frame f;

	pin(j->cpu);
	meet(1);
	for (uint32_t i = 0; i < j->keys; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		make(&f, false, x % 64, x >> 20 & 1, x >> 21 & 1);
		ps_rig_ingress(rig, &f);
	}
	return NULL;
}

static bool same_name(const struct ps_conn_raw *a, const struct ps_conn_raw *b)
{
	return a->proto == b->proto && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0 &&
	       memcmp(a->port, b->port, sizeof(a->port)) == 0;
}

static void test_fight_for_a_full_table(void **state)
{
	struct job a = {.keys = 30000}, b = {.keys = 30000};
	_cleanup_free_ struct ps_conn_raw *all = NULL;
	struct ps_rig *big = rig;
	struct ps_stats s;
	size_t n;

	(void)state;
	rig = ps_rig_new(&(struct ps_rig_options){.buckets = 3});
	run_pair(send_at_random, &a, &b);
	all = ps_rig_conns(rig, &n);
	s = ps_rig_stats(rig);
	assert_int_equal(s.packets, 60000);
	assert_int_equal(s.conns_new - s.conns_recycled, n);
	check_no_slot_is_left_busy();
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			assert_false(same_name(&all[i], &all[k]));
	ps_rig_free(&rig);
	rig = big;
}

/* --- Expiry --- */

static void *send_until_enough(void *arg)
{
	const struct job *j = arg;
	struct ps_frame f;

	pin(j->cpu);
	for (uint32_t i = 0; i < j->keys; i++) {
		make(&f, i & 1, i * 7 % 97, i >> 3 & 1, i >> 4 & 1);
		ps_rig_ingress(rig, &f);
	}
	atomic_store(&done, true);
	return NULL;
}

struct sum {
	uint64_t packets;
	uint64_t bytes;
	uint64_t ended;
};

static void add(struct sum *s, uint32_t slot)
{
	struct ps_conn_hot *h = &rig->hot[slot];

	s->packets += (uint64_t)h->packets[0] + h->packets[1];
	s->bytes += h->bytes[0] + h->bytes[1];
}

/* live -> DYING, wait until no packet that found it is under way, read, DYING -> EMPTY: what the aggregator does. */
static void expire(struct sum *s, uint32_t bucket)
{
	__u64 *tags = &rig->tags[bucket].tags, was = __atomic_load_n(tags, __ATOMIC_ACQUIRE);
	unsigned dying = 0;

	for (unsigned i = 0; i < 8; i++) {
		__u64 byte = was >> (8 * i) & 0xff, want;

		if (!(byte & PS_TAG_LIVE))
			continue;
		want = (was & ~(0xffull << (8 * i))) | (uint64_t)PS_TAG_DYING << (8 * i);
		if (__atomic_compare_exchange_n(tags, &was, want, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
			was = want;
			dying |= 1u << i;
		}
	}
	if (!dying)
		return;
	assert_int_equal(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0), 0);
	for (unsigned i = 0; i < 8; i++) {
		if (!(dying & 1u << i))
			continue;
		add(s, bucket * 8 + i);
		s->ended++;
		__atomic_fetch_and(&rig->tags[bucket].confirmed, ~(1ull << (8 * i)), __ATOMIC_SEQ_CST);
		__atomic_fetch_xor(tags, (uint64_t)PS_TAG_DYING << (8 * i), __ATOMIC_SEQ_CST);
	}
}

static void test_expiry_loses_no_packet(void **state)
{
	struct job a = {.cpu = 1, .keys = 150000};
	struct ps_stats s, before;
	struct sum sum = {0};
	pthread_t sender;

	(void)state;
	pin(0);
	before = ps_rig_stats(rig);
	atomic_store(&done, false);
	assert_int_equal(pthread_create(&sender, NULL, send_until_enough, &a), 0);
	while (!atomic_load(&done))
		for (uint32_t b = 0; b < rig->options.buckets && !atomic_load(&done); b++)
			expire(&sum, b);
	pthread_join(sender, NULL);
	assert_true(sum.ended > 100);
	for (uint32_t b = 0; b < rig->options.buckets; b++)
		expire(&sum, b);
	s = ps_rig_stats(rig);
	assert_int_equal(before.packets, 0);
	assert_int_equal(s.conns_recycled, 0);
	assert_int_equal(s.untracked, 0);
	assert_int_equal(sum.packets, s.packets);
	assert_int_equal(sum.bytes, s.bytes);
	assert_int_equal(sum.ended, s.conns_new);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_two_cpus_meet_the_same_connections),
		TEST(test_fight_for_a_full_table),
		TEST(test_expiry_loses_no_packet),
	};

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		fprintf(stderr, "skipped: two CPUs can't meet on a machine with one\n");
		return 77;
	}
	return RUN(tests);
}
