/* SPDX-License-Identifier: MIT */
/*
 * Floods against a table of the default size: spoofed SYNs, then UDP flows of one packet each, every one of another
 * name, from two CPUs at once. What is established stays, byte for byte, however long it has been silent, and each
 * packet of the flood is either the beginning of a connection or counted as untracked.
 *
 * PS_FLOOD=N: packets of each flood, 200,000 by default.
 */
#include "test_rig.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include <bpf/bpf.h>

#define FLOOD_DEFAULT 200000u
#define FLOOD_MAX (1u << 24) /* names that the generator has */
#define THREADS 2u
#define ESTABLISHED 10000u
#define UDP_FLOWS 1000u
#define BUCKETS (PS_CONNECTIONS_DEFAULT / PS_TABLE_LOAD_PERCENT * 100 / PS_BUCKET_SLOTS + 1)
#define IDLE (6 * 3600 * NS_PER_S)

static int load_default_table(void **state)
{
	(void)state;
	rig = ps_rig_new(&(struct ps_rig_options){.buckets = BUCKETS});
	return 0;
}

/* --- the connections that must stay --- */

struct kept {
	uint32_t slot;
	struct ps_conn_hot hot;
	struct ps_conn_cold cold;
	struct ps_conn_tcp tcp;
};

static void name_of(unsigned i, bool v6, char to[static 48])
{
	(void)snprintf(to, 48, v6 ? "2001:db8:1::%x:%x" : "172.16.%u.%u", i >> 8, i & 255);
}

static void establish(unsigned i)
{
	bool v6 = i % 4 == 0, udp = i >= ESTABLISHED;
	char client[48];
	struct ps_frame_spec s = {.src = client, .dst = v6 ? "2001:db8::1" : "10.0.0.1", .sport = 4000, .dport = 443};
	struct ps_frame_spec back = {.src = s.dst, .dst = s.src, .sport = 443, .dport = 4000};

	name_of(i, v6, client);
	s.proto = back.proto = udp ? IPPROTO_UDP : IPPROTO_TCP;
	s.flags = PS_F_SYN;
	s.seq = i;
	assert_true(ps_rig_in(rig, &s));
	back.flags = PS_F_SYN | PS_F_ACK;
	back.ack = i + 1;
	assert_true(ps_rig_out(rig, &back));
	s.flags = PS_F_ACK;
	s.seq = back.ack;
	s.ack = 1;
	assert_true(ps_rig_in(rig, &s));
}

static struct kept *keep(size_t *ret_n)
{
	struct kept *all = calloc(ESTABLISHED + UDP_FLOWS, sizeof(*all));
	size_t n = 0;

	assert_non_null(all);
	for (uint32_t slot = 0; slot < rig->slots; slot++) {
		struct ps_bucket_tags *t = &rig->tags[slot / 8];

		if (!(t->tags >> (8 * (slot % 8)) & PS_TAG_LIVE))
			continue;
		assert_true(n < ESTABLISHED + UDP_FLOWS);
		assert_true(t->confirmed >> (8 * (slot % 8)) & 1);
		all[n++] = (struct kept){slot, rig->hot[slot], rig->cold[slot], rig->tcp[slot]};
	}
	*ret_n = n;
	return all;
}

static void expect_unchanged(const struct kept *all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t slot = all[i].slot;

		assert_true(rig->tags[slot / 8].tags >> (8 * (slot % 8)) & PS_TAG_LIVE);
		assert_memory_equal(&rig->hot[slot], &all[i].hot, sizeof(all[i].hot));
		assert_memory_equal(&rig->cold[slot], &all[i].cold, sizeof(all[i].cold));
		assert_memory_equal(&rig->tcp[slot], &all[i].tcp, sizeof(all[i].tcp));
	}
}

static size_t living(void)
{
	size_t n = 0;

	for (uint32_t b = 0; b < rig->options.buckets; b++)
		n += (size_t)__builtin_popcountll(rig->tags[b].tags & 0x8080808080808080ull);
	return n;
}

/* --- the flood --- */

struct stream {
	struct ps_frame four, six;
	uint32_t from, to; /* numbers of its packets */
	bool failed;
	pthread_t thread;
};

/* Packet i has source 11.x.x.x, and port, by its number alone: no two alike. */
static void *pour(void *arg)
{
	struct stream *s = arg;

	for (uint32_t i = s->from; i < s->to && !s->failed; i++) {
		struct ps_frame *f = i % 4 ? &s->four : &s->six;
		uint32_t number = htonl(i);
		LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = f->data, .data_size_in = (uint32_t)f->len, .repeat = 1);

		memcpy(f->data + (i % 4 ? 27 : 35), (uint8_t *)&number + 1, 3);
		f->data[i % 4 ? 35 : 55] = (uint8_t)(i * 37);
		s->failed = bpf_prog_test_run_opts(rig->xdp_fd, &run) || run.retval != XDP_PASS;
	}
	return NULL;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void flood(uint8_t proto, uint32_t packets)
{
	static struct stream streams[THREADS];
	struct ps_frame_spec four = {
		.src = "11.0.0.0", .dst = "10.0.0.1", .proto = proto, .sport = 1024, .dport = 443, .flags = PS_F_SYN};
	struct ps_frame_spec six = four;
	double begun = seconds();

	six.src = "2001:db8:2::";
	six.dst = "2001:db8::1";
	for (uint32_t t = 0; t < THREADS; t++) {
		struct stream *s = &streams[t];

		*s = (struct stream){
			.from = packets / THREADS * t, .to = t + 1 < THREADS ? packets / THREADS * (t + 1) : packets};
		ps_frame_make(&s->four, &four);
		ps_frame_make(&s->six, &six);
		assert_int_equal(pthread_create(&s->thread, NULL, pour, s), 0);
	}
	for (uint32_t t = 0; t < THREADS; t++) {
		assert_int_equal(pthread_join(streams[t].thread, NULL), 0);
		assert_false(streams[t].failed);
	}
	begun = seconds() - begun;
	print_message("%u packets in %.1f s, %.0f a second\n", packets, begun, packets / begun);
}

static void expect_all_counted(const struct ps_stats *before, uint32_t packets, uint8_t proto, size_t alive)
{
	struct ps_stats s = ps_rig_stats(rig);
	uint64_t begun = s.conns_new - before->conns_new, untracked = s.untracked - before->untracked;
	uint64_t recycled = s.conns_recycled - before->conns_recycled;

	print_message("begun %llu, untracked %llu, given up %llu\n", (unsigned long long)begun,
		(unsigned long long)untracked, (unsigned long long)recycled);
	assert_int_equal(s.packets - before->packets, packets);
	if (proto == IPPROTO_TCP)
		assert_int_equal(s.tcp_packets - before->tcp_packets, packets);
	else
		assert_int_equal(s.udp_packets - before->udp_packets, packets);
	assert_int_equal(begun + untracked, packets);
	assert_int_equal(untracked, 0); /* what is established is one slot in eight: there is always one to give up */
	assert_int_equal(s.conns_evicted - before->conns_evicted, recycled); /* none was closed */
	assert_int_equal(living(), alive + begun - recycled);
	/* each begun one and each given up has its event, or is counted as lost */
	assert_int_equal(s.ev_conn_new - before->ev_conn_new, begun);
	assert_int_equal(s.ev_conn_end - before->ev_conn_end, recycled);
	ps_rig_check_sums(rig);
}

static void test_floods_evict_nothing_confirmed(void **state)
{
	const char *asked = getenv("PS_FLOOD");
	uint32_t packets = asked ? (uint32_t)strtoul(asked, NULL, 10) : FLOOD_DEFAULT;
	_cleanup_free_ struct kept *kept = NULL;
	struct ps_stats before;
	size_t n;

	(void)state;
	assert_true(packets > 0 && packets <= FLOOD_MAX);
	for (unsigned i = 0; i < ESTABLISHED + UDP_FLOWS; i++)
		establish(i);
	before = ps_rig_stats(rig);
	assert_int_equal(before.conns_new, ESTABLISHED + UDP_FLOWS);
	assert_int_equal(before.packets, 3 * (ESTABLISHED + UDP_FLOWS));
	kept = keep(&n);
	assert_int_equal(n, ESTABLISHED + UDP_FLOWS);

	ps_rig_time(rig, T0 + IDLE);
	flood(IPPROTO_TCP, packets);
	expect_all_counted(&before, packets, IPPROTO_TCP, n);
	expect_unchanged(kept, n);

	before = ps_rig_stats(rig);
	n = living();
	ps_rig_time(rig, T0 + IDLE + NS_PER_S);
	flood(IPPROTO_UDP, packets);
	expect_all_counted(&before, packets, IPPROTO_UDP, n);
	expect_unchanged(kept, ESTABLISHED + UDP_FLOWS);

	/* and they are found: each goes on where it was */
	before = ps_rig_stats(rig);
	for (unsigned i = 0; i < ESTABLISHED + UDP_FLOWS; i++) {
		char client[48];
		bool v6 = i % 4 == 0;

		name_of(i, v6, client);
		assert_true(IN(.src = client, .dst = v6 ? "2001:db8::1" : "10.0.0.1", .sport = 4000, .dport = 443,
			.proto = i < ESTABLISHED ? IPPROTO_TCP : IPPROTO_UDP, .flags = PS_F_ACK, .seq = i + 1,
			.ack = 1));
	}
	assert_int_equal(ps_rig_stats(rig).conns_new, before.conns_new);
	for (size_t i = 0; i < ESTABLISHED + UDP_FLOWS; i++) {
		const struct ps_conn_hot *now = &rig->hot[kept[i].slot];

		assert_int_equal(now->packets[0] + now->packets[1], 4);
		assert_int_equal(rig->cold[kept[i].slot].id, kept[i].cold.id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_floods_evict_nothing_confirmed),
	};

	return ps_rig_skip() ?: cmocka_run_group_tests(tests, load_default_table, unload);
}
