/* What a rule would hit: against records by hand, the index against going through the rules one by one, and in time. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

#include "aggregator/rule_search.h"
#include "aggregator/rule_preview.h"
#include "tests/unit/rule_maker.h"

#define _array_ _cleanup_(ps_rule_array_free) struct ps_rule_array

static struct ps_addr addr4(uint32_t a)
{
	return (struct ps_addr){.family = 4, .word = {htonl(a)}};
}

#define HOST 0xc0000201u /* 192.0.2.1 */

struct records {
	struct ps_conn *conn;
	size_t n_conn, at;
	struct ps_icmp icmp[4];
	size_t n_icmp, icmp_at;
	size_t ended_from; /* connections from this number on have ended */
};

static const struct ps_conn *next_conn(void *arg, bool *ret_ended)
{
	struct records *r = arg;

	*ret_ended = r->at >= r->ended_from;
	return r->at < r->n_conn ? &r->conn[r->at++] : NULL;
}

static const struct ps_icmp *next_icmp(void *arg)
{
	struct records *r = arg;

	return r->icmp_at < r->n_icmp ? &r->icmp[r->icmp_at++] : NULL;
}

static struct ps_host_facts host;

static struct ps_preview preview(struct records *r, const struct ps_rule_array *now, const struct ps_rule *candidate,
	const struct ps_rule_array *set)
{
	const struct ps_rule_view view = {.rules = set ? set->rules : NULL, .n = set ? set->n : 0};
	const struct ps_preview_input in = {
		.next_conn = next_conn,
		.next_icmp = next_icmp,
		.arg = r,
		.host = &host,
		.now = {.rules = now->rules, .n = now->n},
		.time = RM_NOW,
		.candidate = candidate,
		.set = set ? &view : NULL,
	};
	struct ps_preview p;

	r->at = r->icmp_at = 0;
	host.local[0] = (struct ps_net){.addr = addr4(HOST), .len = 24};
	host.n_local = 1;
	assert_int_equal(ps_rule_preview(&in, &p), 0);
	return p;
}

static struct ps_conn conn(uint64_t id, uint8_t proto, uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport)
{
	return (struct ps_conn){
		.id = id,
		.proto = proto,
		.src_ip = addr4(src),
		.src_port = sport,
		.dst_ip = addr4(dst),
		.dst_port = dport,
		.orig_packets = 10,
		.resp_packets = 5,
		.orig_bytes = 1000 * id,
		.resp_bytes = 100,
		.orig_tcp_flags = 0x1a,
		.resp_tcp_flags = 0x1a,
	};
}

static void what_is_hit(void **state)
{
	struct ps_conn conns[] = {
		conn(1, 6, 0x0a000001, 40000, HOST, 22),                                           /* in, ssh */
		conn(2, 6, 0x0a000002, 40000, HOST, 80),                                           /* in, http */
		conn(3, 6, HOST, 50000, 0x0a000003, 443),                                          /* out */
		conn(4, 17, 0x0a000001, 40000, HOST, 53), conn(5, 6, 0x0a000001, 40001, HOST, 22), /* ended */
	};
	struct records r = {
		.conn = conns,
		.n_conn = 5,
		.ended_from = 4,
		.icmp = {{.src_ip = addr4(0x0a000001),
			.dst_ip = addr4(HOST),
			.icmp_type = 8,
			.packets = 3,
			.bytes = 252}},
		.n_icmp = 1,
	};
	static const struct {
		const char *rule;
		unsigned live, ended, icmp, packets, newly;
	} rows[] = {
		{"{\"rule_type\": \"tcp\", \"dst_port\": 22}", 1, 1, 0, 20, 2},
		{"{\"src_ip\": \"10.0.0.1\"}", 2, 1, 1, 33, 3},
		{"{\"src_ip\": \"10.0.0.0/30\"}", 4, 1, 1, 48, 5},
		{"{\"rule_type\": \"tcp\", \"dst_port\": 443}", 0, 0, 0, 0, 0}, /* leaves: not ingress */
		{"{\"rule_type\": \"tcp\", \"dst_port\": 443, \"direction\": \"egress\"}", 1, 0, 0, 10, 1},
		{"{\"rule_type\": \"tcp\", \"src_port\": 443}", 1, 0, 0, 5, 1},
		{"{\"rule_type\": \"icmp\", \"icmp_type\": 8}", 0, 0, 1, 3, 0},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": \"SYN\", \"tcp_flags_mask\": \"SYN|ACK\"}", 2, 1, 0, 30, 3},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": \"RST\"}", 0, 0, 0, 0, 0}, /* none was seen */
		{"{\"rule_type\": \"tcp\", \"dst_port\": 22, \"action\": \"allow\"}", 1, 1, 0, 20, 0},
		{"{\"enabled\": true}", 4, 1, 1, 10 + 10 + 5 + 10 + 10 + 3, 5},
	};
	_array_ none = {0}, set = {0};
	static const char *const drop_all[] = {
		"{\"priority\": 5000}", "{\"action\": \"allow\", \"src_ip\": \"10.0.0.1\"}", NULL};
	static const char *const replacement[] = {
		"{\"rule_type\": \"tcp\", \"dst_port\": 22}", "{\"rule_type\": \"udp\"}", NULL};
	_array_ other = {0};
	struct ps_preview p;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		_cleanup_(ps_rule_clear) struct ps_rule rule = rm_rule(7, rows[i].rule);

		p = preview(&r, &none, &rule, NULL);
		if (p.live != rows[i].live || p.ended != rows[i].ended || p.icmp != rows[i].icmp ||
			p.packets != rows[i].packets || p.newly_dropped != rows[i].newly)
			fail_msg("%s: live %u ended %u icmp %u packets %u newly %u", rows[i].rule, (unsigned)p.live,
				(unsigned)p.ended, (unsigned)p.icmp, (unsigned)p.packets, (unsigned)p.newly_dropped);
		assert_int_equal(p.examined, 6);
	}
	/* worst first: living ones, then by bytes */
	{
		_cleanup_(ps_rule_clear) struct ps_rule rule = rm_rule(7, "{\"src_ip\": \"10.0.0.1\"}");

		p = preview(&r, &none, &rule, NULL);
		assert_int_equal(p.n_ids, 3);
		assert_int_equal(p.ids[0], 4);
		assert_int_equal(p.ids[1], 1);
		assert_int_equal(p.ids[2], 5);
		/* what an allow rule before it saves, and what is dropped already */
		rm_set(&set, drop_all);
		p = preview(&r, &set, &rule, NULL);
		assert_int_equal(p.live, 0);
		rule.priority = 1;
		p = preview(&r, &set, &rule, NULL);
		assert_int_equal(p.live, 2);
		assert_int_equal(p.newly_dropped, 3);
		/* as if it replaced the allow rule: it would drop what that one let through */
		rule.id = 1;
		rule.priority = 6000;
		p = preview(&r, &set, &rule, NULL);
		assert_int_equal(p.live, 0); /* rule 0 decides */
	}
	/* a whole set in the place of another */
	rm_set(&other, replacement);
	p = preview(&r, &set, NULL, &other);
	assert_int_equal(p.live, 2);
	assert_int_equal(p.ended, 1);
	assert_int_equal(p.newly_dropped, 3);
}

static uint32_t rnd(uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	return *s >> 8;
}

/* Mixed rules over a small world, so that many match. */
static void random_rule(uint32_t *seed, int32_t id, bool wide, struct ps_rule *ret_rule)
{
	static const char *const types[] = {"basic", "tcp", "udp"};
	char text[512];
	size_t n = 0;
	uint32_t kind = rnd(seed) % 3, bits = wide ? 24 : 8;

	n += (size_t)snprintf(text + n, sizeof(text) - n,
		"{\"rule_type\": \"%s\", \"priority\": %u, \"action\": \"%s\"", types[kind], rnd(seed) % 4,
		rnd(seed) % 3 ? "drop" : "allow");
	if (rnd(seed) % 3) {
		uint32_t len = 32 - rnd(seed) % bits, a = 0x0a000000u | (rnd(seed) & ((1u << bits) - 1));

		if (len < 32)
			a &= ~((1u << (32 - len)) - 1);
		n += (size_t)snprintf(text + n, sizeof(text) - n, ", \"src_ip\": \"%u.%u.%u.%u/%u\"", a >> 24,
			a >> 16 & 255, a >> 8 & 255, a & 255, len);
	}
	if (kind && rnd(seed) % 2)
		n += (size_t)snprintf(text + n, sizeof(text) - n, ", \"dst_port\": \"%u-%u\"", 20 + rnd(seed) % 10,
			30 + rnd(seed) % 100);
	if (kind && rnd(seed) % 4 == 0)
		n += (size_t)snprintf(text + n, sizeof(text) - n, ", \"src_port\": %u", 40000 + rnd(seed) % 8);
	if (kind == 1 && rnd(seed) % 4 == 0)
		n += (size_t)snprintf(text + n, sizeof(text) - n, ", \"tcp_flags\": \"SYN\"");
	(void)snprintf(text + n, sizeof(text) - n, ", \"direction\": \"%s\"}", rnd(seed) % 2 ? "ingress" : "both");
	*ret_rule = rm_rule(id, text);
}

static const struct ps_rule *naive(
	const struct ps_rule_array *set, const struct ps_rule_key *key, const struct ps_rule *before)
{
	const struct ps_rule *best = NULL;

	for (size_t i = 0; i < set->n; i++) {
		const struct ps_rule *rule = &set->rules[i];

		if (before && (ps_rule_compare(rule, before) >= 0 || rule->id == before->id))
			continue;
		if (ps_rule_matches(rule, key, NULL) && (!best || ps_rule_compare(rule, best) < 0))
			best = rule;
	}
	return best;
}

static void the_index_finds_what_a_search_finds(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 20; round++) {
		_array_ set = {0};
		_cleanup_(ps_rule_search_free) struct ps_rule_search *x = NULL;
		struct ps_rule_view view;

		for (int32_t id = 0; id < 200; id++) {
			struct ps_rule rule;

			random_rule(&seed, id, false, &rule);
			assert_int_equal(ps_rule_array_put(&set, &rule), 0);
		}
		view = (struct ps_rule_view){.rules = set.rules, .n = set.n};
		assert_int_equal(ps_rule_search_new(&view, RM_NOW, &x), 0);
		for (int i = 0; i < 2000; i++) {
			const struct ps_rule_key key = {
				.saddr = {htonl(0x0a000000u | rnd(&seed) % 256)},
				.daddr = {htonl(HOST)},
				.sport = htons((uint16_t)(40000 + rnd(&seed) % 8)),
				.dport = htons((uint16_t)(20 + rnd(&seed) % 100)),
				.proto = rnd(&seed) % 2 ? 6 : 17,
				.family = 4,
				.tcp_flags = rnd(&seed) % 2 ? 2 : 16,
				.direction = (uint8_t)(1 + rnd(&seed) % 2),
			};
			const struct ps_rule *before = rnd(&seed) % 2 ? &set.rules[rnd(&seed) % set.n] : NULL;

			assert_ptr_equal(ps_rule_search_find(x, &key, NULL, before), naive(&set, &key, before));
		}
	}
}

static double ms_between(const struct timespec *a, const struct timespec *b)
{
	return (double)(b->tv_sec - a->tv_sec) * 1e3 + (double)(b->tv_nsec - a->tv_nsec) / 1e6;
}

/* 100,000 connections, with no rules and with 110,000 in force; a candidate that hits few and one that hits all.
 * PS_TIMED=1: one that takes a second of CPU time fails. */
static void a_hundred_thousand_connections(void **state)
{
	struct records r = {.conn = calloc(100000, sizeof(struct ps_conn)), .n_conn = 100000, .ended_from = 90000};
	_cleanup_(ps_rule_clear) struct ps_rule few = rm_rule(120000, "{\"rule_type\": \"tcp\", \"dst_port\": 922}");
	_cleanup_(ps_rule_clear) struct ps_rule all = rm_rule(120000, "{}");
	const struct ps_rule *candidates[] = {&few, &all};
	_array_ none = {0}, many = {0};
	const struct ps_rule_array *sets[] = {&none, &many};
	uint32_t seed = 7;

	(void)state;
	for (size_t i = 0; i < r.n_conn; i++)
		r.conn[i] = conn(i + 1, i % 3 ? 6 : 17, 0x0a000000u | rnd(&seed), (uint16_t)(1024 + rnd(&seed) % 60000),
			HOST, (uint16_t)(rnd(&seed) % 1024));
	for (int32_t id = 0; id < 110000; id++) {
		struct ps_rule rule;

		if (id < 10000) {
			do
				random_rule(&seed, id, true, &rule);
			while (!rule.src_ip.addr.family && rule.rule_type == PS_RULE_BASIC);
		} else {
			ps_rule_defaults(&rule);
			rule.id = id;
			rule.enabled = true;
			rule.src_ip = (struct ps_net){.addr = addr4(0x0b000000u + (uint32_t)id), .len = 32};
		}
		assert_int_equal(ps_rule_array_put(&many, &rule), 0);
	}
	for (unsigned s = 0; s < 2; s++) {
		for (unsigned c = 0; c < 2; c++) {
			struct timespec a, b;
			struct ps_preview p;

			(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
			p = preview(&r, sets[s], candidates[c], NULL);
			(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
			print_message("%zu rules, %llu connections hit: %.1f ms\n", sets[s]->n,
				(unsigned long long)(p.live + p.ended), ms_between(&a, &b));
			assert_int_equal(p.examined, 100000);
			if (getenv("PS_TIMED"))
				assert_true(ms_between(&a, &b) < 1000);
		}
	}
	free(r.conn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_hit),
		cmocka_unit_test(the_index_finds_what_a_search_finds),
		cmocka_unit_test(a_hundred_thousand_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
