/* The compiled set, read as the kernel part reads it, decides as the plain list of rules does; changes and undo. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "aggregator/limits.h"
#include "aggregator/rule_image.h"
#include "aggregator/rule_set.h"
#include "bpf/rule_match.h"
#include "common/base/cleanup.h"
#include "tests/unit/memory_kernel.h"

#define _set_ _cleanup_(ps_rule_set_free) struct ps_rule_set

static uint64_t rnd = 1;

static uint32_t chance(uint32_t n)
{
	return (uint32_t)(mk_random(&rnd) % n);
}

/* --- The kernel's reading (bpf/classify.h), in C --------------------------------------------------- */

static uint64_t half(const __u32 *w)
{
	return (uint64_t)ntohl(w[0]) << 32 | ntohl(w[1]);
}

static struct ps_rule_query query_of(const struct ps_rule_key *k)
{
	struct ps_rule_query q = {
		.saddr = {half(k->saddr), half(k->saddr + 2)},
		.daddr = {half(k->daddr), half(k->daddr + 2)},
		.sport = ntohs(k->sport),
		.dport = ntohs(k->dport),
		.proto = k->proto,
		.family = k->family,
		.tcp_flags = k->tcp_flags,
		.direction = k->direction,
		.has = k->proto == IPPROTO_TCP ? PS_HAS_PORTS | PS_HAS_FLAGS : PS_HAS_PORTS,
	};

	q.word = ps_rule_word(q.sport, q.dport, q.proto, q.family);
	return q;
}

static uint64_t tuples_worth(const struct ps_rule_head *h, const struct ps_rule_query *q)
{
	uint8_t f = q->family;

	return h->proto[q->proto] & h->direction[q->direction] & h->family[f == PS_FAMILY_IPV6 ? 2 : 1] & ~h->quoted &
	       h->sport[q->sport / 16] & h->dport[q->dport / 16] & h->src.coarse[ps_index_coarse(q->saddr[0], f)] &
	       h->src.middle[ps_index_middle(q->saddr[0], f)] & h->src.fine[ps_index_fine(q->saddr[0], f)] &
	       h->dst.coarse[ps_index_coarse(q->daddr[0], f)] & h->dst.middle[ps_index_middle(q->daddr[0], f)] &
	       h->dst.fine[ps_index_fine(q->daddr[0], f)];
}

static uint32_t place_of(const struct ps_rule_image *image, uint64_t hash)
{
	uint32_t buckets = image->chunks * PS_CHUNK_BUCKETS, b = ps_rule_bucket_of(hash, buckets);

	for (int probe = 0; probe < PS_RULE_PROBES; probe++, b = b + 1 < buckets ? b + 1 : 0) {
		const struct ps_rule_bucket *k = &image->chunk[b / PS_CHUNK_BUCKETS]->bucket[b % PS_CHUNK_BUCKETS];

		for (int i = 0; i < 8; i++)
			if (k->print[i] == (uint32_t)hash && k->first[i] && k->first[i] != PS_BUCKET_DEAD)
				return k->first[i];
		if (!k->first[7])
			return 0;
	}
	return 0;
}

/* Id of the rule that decides, or -1. */
static int32_t search(const struct ps_rule_set *set, const struct ps_rule_key *key)
{
	const struct ps_rule_image *image = set->image;
	struct ps_rule_query q = query_of(key);
	uint64_t best = UINT64_MAX, worth = tuples_worth(image->head, &q);

	for (unsigned t = 0; t < image->head->tuples; t++) {
		const struct ps_rule_tuple *tuple = &image->head->tuple[t];
		uint64_t hash = ps_rule_hash(&q, &q, tuple, t), bits = ps_bloom_bits(hash);

		if (!(worth >> t & 1) || tuple->best_rank >= best)
			continue;
		if ((image->head->bloom[ps_bloom_word(hash)] & bits) != bits)
			continue;
		for (uint32_t at = place_of(image, hash), n = 0; at; n++) {
			const struct ps_rule_unit *u = ps_rule_image_unit(image, at - 1);

			assert_true(n < PS_RULE_CHAIN);
			if (u->rank >= best)
				break;
			if (ps_unit_fits(u, &q))
				best = u->rank;
			at = u->next;
		}
	}
	return best == UINT64_MAX ? -1 : (int32_t)(best & PS_RANK_ID);
}

/* --- Rules and packets ------------------------------------------------------------------------------ */

static struct ps_net random_net(uint8_t family)
{
	struct ps_net n = {.addr.family = family};

	n.addr.word[0] = htonl(family == PS_FAMILY_IPV6 ? 0x20010db8 : 0x0a000000 + chance(4) * 0x10001);
	if (family == PS_FAMILY_IPV6)
		n.addr.word[3] = htonl(chance(4) * 0x101);
	n.len = (uint8_t)(family == PS_FAMILY_IPV6 ? 128 - chance(100) : 32 - chance(33));
	ps_net_mask(&n);
	return n;
}

static struct ps_ports random_ports(void)
{
	uint16_t lo = (uint16_t)(20 + chance(5));

	return chance(2) ? (struct ps_ports){0} : ps_ports_span(lo, (uint16_t)(lo + chance(50)));
}

static void random_rule(struct ps_rule *r, int32_t id)
{
	uint8_t family = chance(2) ? PS_FAMILY_IPV4 : PS_FAMILY_IPV6;

	ps_rule_defaults(r);
	r->id = id;
	r->enabled = chance(10) != 0;
	r->priority = (int32_t)chance(3);
	r->direction = (uint8_t)(1 + chance(3));
	r->protocol = chance(2) ? IPPROTO_TCP : chance(2) ? IPPROTO_UDP : PS_RULE_ANY;
	if (chance(3))
		r->src_ip = random_net(family);
	if (!chance(3))
		r->dst_ip = random_net(family);
	r->src_port = random_ports();
	r->dst_port = random_ports();
	if (r->protocol == IPPROTO_TCP && !chance(4)) {
		r->tcp_flags_mask = 0x12;
		r->tcp_flags = chance(2) ? 0x02 : 0x12;
	}
}

static void random_packet(struct ps_rule_key *k)
{
	uint8_t family = chance(2) ? PS_FAMILY_IPV4 : PS_FAMILY_IPV6;
	struct ps_net s = random_net(family), d = random_net(family);

	memset(k, 0, sizeof(*k));
	memcpy(k->saddr, s.addr.word, sizeof(k->saddr));
	memcpy(k->daddr, d.addr.word, sizeof(k->daddr));
	k->family = family;
	k->sport = htons((uint16_t)(18 + chance(60)));
	k->dport = htons((uint16_t)(18 + chance(60)));
	k->proto = chance(2) ? IPPROTO_TCP : IPPROTO_UDP;
	k->tcp_flags = k->proto == IPPROTO_TCP ? (uint8_t)(chance(3) * 0x10 / 2 + 2) : 0;
	k->direction = (uint8_t)(1 + chance(2));
}

static int32_t first_match(const struct ps_rule *rules, size_t n, const struct ps_rule_key *key)
{
	const struct ps_rule *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (rules[i].enabled && ps_rule_matches(&rules[i], key, NULL) &&
			(!best || ps_rule_compare(&rules[i], best) < 0))
			best = &rules[i];
	return best ? best->id : -1;
}

#define MOST 300

static void assert_agree(const struct ps_rule_set *set, const struct ps_rule *rules, size_t n, int packets)
{
	for (int i = 0; i < packets; i++) {
		struct ps_rule_key key;

		random_packet(&key);
		assert_int_equal(search(set, &key), first_match(rules, n, &key));
		if (key.proto == IPPROTO_TCP)
			for (size_t k = 0; k < n; k++)
				if (rules[k].enabled && rules[k].tcp_flags_mask &&
					ps_rule_matches(&rules[k], &key, NULL))
					assert_true(set->image->head->tcp_flags_hit[0] >> key.tcp_flags & 1);
	}
}

static void decides_as_the_list_does(void **state)
{
	static struct ps_rule rules[MOST];
	_set_ *set = NULL;

	(void)state;
	assert_int_equal(ps_rule_set_new(&set), 0);
	for (int round = 0; round < 60; round++) {
		size_t n = chance(round % 4 ? 30 : MOST);

		for (size_t i = 0; i < n; i++)
			random_rule(&rules[i], (int32_t)i);
		assert_int_equal(ps_rule_set_compile(set, rules, n, 0, NULL), 0);
		assert_in_range(set->image->head->tuples, 0, PS_RULE_TUPLES);
		assert_agree(set, rules, n, 300);
	}
}

/* One rule after another is changed, some changes are taken back: the set says what a new one of that list says. */
static void changes_and_undo(void **state)
{
	static struct ps_rule rules[MOST];
	_set_ *set = NULL, *fresh = NULL;
	size_t in_place = 0;

	(void)state;
	assert_int_equal(ps_rule_set_new(&set), 0);
	assert_int_equal(ps_rule_set_new(&fresh), 0);
	for (size_t i = 0; i < MOST; i++)
		random_rule(&rules[i], (int32_t)i);
	assert_int_equal(ps_rule_set_compile(set, rules, MOST, 0, NULL), 0);
	for (int step = 0; step < 300; step++) {
		uint64_t digest = set->image->head->digest;
		size_t i = chance(MOST);
		struct ps_rule before = rules[i];

		random_rule(&rules[i], (int32_t)i);
		assert_int_equal(ps_rule_set_change(set, rules, MOST, &before, &rules[i], 0, NULL), 0);
		in_place += set->undo != NULL;
		if (chance(3) == 0) {
			ps_rule_set_undo(set);
			assert_true(set->image->head->digest == digest);
			rules[i] = before;
		}
		if (step % 20)
			continue;
		assert_int_equal(ps_rule_set_compile(fresh, rules, MOST, 0, NULL), 0);
		assert_true(set->image->head->digest == fresh->image->head->digest);
		assert_int_equal(set->image->head->units, fresh->image->head->units);
		assert_memory_equal(set->image->head->tcp_flags_hit, fresh->image->head->tcp_flags_hit,
			sizeof(fresh->image->head->tcp_flags_hit));
		assert_agree(set, rules, MOST, 100);
	}
	assert_true(in_place > 150);
}

/* A rule that comes and goes leaves nothing behind; what wears out is made anew. */
static void comes_and_goes(void **state)
{
	struct ps_rule r;
	_set_ *set = NULL;

	(void)state;
	assert_int_equal(ps_rule_set_new(&set), 0);
	ps_rule_defaults(&r);
	r.id = 5;
	r.enabled = true;
	r.protocol = IPPROTO_TCP;
	r.tcp_flags = r.tcp_flags_mask = 2;
	for (unsigned i = 0; i < 3 * PS_RULE_STALE_MIN; i++) {
		r.dst_port = ps_ports_one((uint16_t)(1 + i % 60000));
		assert_int_equal(ps_rule_set_change(set, &r, 1, NULL, &r, 0, NULL), 0);
		assert_int_equal(set->image->head->units, 1);
		assert_int_equal(ps_rule_set_change(set, NULL, 0, &r, NULL, 0, NULL), 0);
		assert_int_equal(set->image->head->units, 0);
		assert_true(set->image->head->digest == 0);
		assert_true(set->image->head->tcp_flags_hit[0] == 0);
	}
	assert_int_equal(set->image->chunks, 1);
}

static struct ps_rule *addresses(size_t n)
{
	struct ps_rule *rules = calloc(n, sizeof(*rules));

	assert_non_null(rules);
	for (size_t i = 0; i < n; i++) {
		ps_rule_defaults(&rules[i]);
		rules[i].id = (int32_t)i;
		rules[i].enabled = true;
		rules[i].src_ip = (struct ps_net){
			.addr = {.family = PS_FAMILY_IPV4, .word = {htonl((uint32_t)i * 2654435761u)}}, .len = 32};
	}
	return rules;
}

static void as_many_as_there_can_be(void **state)
{
	_cleanup_free_ struct ps_rule *rules = addresses(PS_RULES_MAX);
	_set_ *set = NULL;

	(void)state;
	assert_int_equal(ps_rule_set_new(&set), 0);
	assert_int_equal(ps_rule_set_compile(set, rules, PS_RULES_MAX, 0, NULL), 0);
	assert_int_equal(set->image->head->units, PS_RULES_MAX);
	assert_int_equal(set->image->head->tuples, 1);
	for (uint32_t i = 0; i < PS_RULES_MAX; i += 97) {
		struct ps_rule_key key = {.family = 4,
			.proto = IPPROTO_UDP,
			.direction = PS_DIR_INGRESS,
			.saddr = {rules[i].src_ip.addr.word[0]}};

		assert_int_equal(search(set, &key), i);
	}
}

static void what_does_not_fit_is_refused(void **state)
{
	_cleanup_free_ struct ps_rule *rules = addresses(PS_RULE_CHAIN + 1);
	struct ps_port_range odd[PS_RULE_PORTS_MAX];
	struct ps_error err = {0};
	_set_ *set = NULL;
	struct ps_rule wide;

	(void)state;
	assert_int_equal(ps_rule_set_new(&set), 0);
	assert_int_equal(ps_rule_set_compile(set, rules, 10, 0, NULL), 0);
	/* all alike */
	for (unsigned i = 0; i <= PS_RULE_CHAIN; i++)
		rules[i].src_ip = rules[0].src_ip;
	assert_int_equal(ps_rule_set_compile(set, rules, PS_RULE_CHAIN, 0, NULL), 0);
	assert_int_equal(ps_rule_set_compile(set, rules, PS_RULE_CHAIN + 1, 0, &err), -ENOSPC);
	assert_int_equal(err.status, 507);
	assert_string_equal(err.code, "rules_full");
	assert_int_equal(
		ps_rule_set_change(set, rules, PS_RULE_CHAIN + 1, NULL, &rules[PS_RULE_CHAIN], 0, &err), -ENOSPC);
	assert_int_equal(set->image->head->units, PS_RULE_CHAIN);
	/* one rule that stands for a million */
	for (unsigned i = 0; i < PS_RULE_PORTS_MAX; i++)
		odd[i] = (struct ps_port_range){(uint16_t)(1000 * i + 100), (uint16_t)(1000 * i + 700)};
	ps_rule_defaults(&wide);
	wide.id = 1;
	wide.enabled = true;
	wide.protocol = IPPROTO_ICMP;
	assert_int_equal(ps_ports_set(odd, PS_RULE_PORTS_MAX, &wide.inner_src_port), 0);
	assert_int_equal(ps_ports_set(odd, PS_RULE_PORTS_MAX, &wide.inner_dst_port), 0);
	assert_int_equal(ps_ports_set(odd, PS_RULE_PORTS_MAX, &wide.src_port), 0);
	assert_int_equal(ps_ports_set(odd, PS_RULE_PORTS_MAX, &wide.dst_port), 0);
	assert_int_equal(ps_rule_set_compile(set, &wide, 1, 0, &err), -ENOSPC);
	assert_non_null(strstr(err.message, "combinations"));
	assert_int_equal(set->image->head->units, PS_RULE_CHAIN);
	ps_rule_clear(&wide);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decides_as_the_list_does),
		cmocka_unit_test(changes_and_undo),
		cmocka_unit_test(comes_and_goes),
		cmocka_unit_test(as_many_as_there_can_be),
		cmocka_unit_test(what_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
