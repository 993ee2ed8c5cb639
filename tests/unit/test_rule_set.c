/* The compiled set, read as the kernel reads it, decides as the plain list of rules does. */
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

#include "aggregator/rule_image.h"
#include "aggregator/rule_set.h"
#include "bpf/rule_hash.h"
#include "common/base/cleanup.h"
#include "tests/unit/memory_kernel.h"

/* The image of a set, for a test to look at. */
static int compile(const struct ps_rule *rules, size_t n, struct ps_rule_image **ret_image, struct ps_error *err)
{
	_cleanup_(ps_rule_set_free) struct ps_rule_set *set = NULL;
	int r;

	assert_int_equal(ps_rule_set_new(&set), 0);
	r = ps_rule_set_compile(set, rules, n, 0, err);
	if (r == 0)
		*ret_image = PS_TAKE(set->image);
	return r;
}

/* --- the kernel's reading (bpf/classify.h), in C --------------------------------------------------- */

static void mask_words(void *to, const void *from, const void *mask)
{
	uint32_t f[10], m[10];

	memcpy(f, from, sizeof(f));
	memcpy(m, mask, sizeof(m));
	for (int i = 0; i < 10; i++)
		f[i] &= m[i];
	memcpy(to, f, sizeof(f));
}

static const struct ps_rule_slot *probe(const struct ps_rule_image *image, uint32_t tuple,
	const struct ps_rule_key *key, const struct ps_rule_inner *inner)
{
	uint32_t start = (uint32_t)ps_rule_hash(key, inner, tuple);

	for (uint32_t j = 0; j < PS_RULE_PROBES; j++) {
		const struct ps_rule_slot *s = &image->slots[(start + j) & (PS_RULE_SLOTS - 1)];

		if (!s->used)
			return NULL;
		if (s->used == tuple + 1 && memcmp(&s->key, key, sizeof(*key)) == 0 &&
			(!inner || memcmp(&s->inner, inner, sizeof(*inner)) == 0))
			return s;
	}
	return NULL;
}

/* Id of the rule that decides, or -1. */
static int32_t classify(
	const struct ps_rule_image *image, const struct ps_rule_key *key, const struct ps_rule_inner *inner)
{
	uint32_t best = UINT32_MAX;
	int32_t id = -1;

	for (uint32_t t = 0; t < image->set.tuples; t++) {
		const struct ps_rule_tuple *tuple = &image->set.tuple[t];
		bool quoted = tuple->flags & PS_TUPLE_QUOTED;
		struct ps_rule_inner masked_inner;
		struct ps_rule_key masked;
		const struct ps_rule_slot *s;

		if (tuple->best_rank > best)
			break;
		if (quoted && !inner->family)
			continue;
		/* ports that are tested must be those of TCP, UDP or the type and code of ICMP */
		if (tuple->mask.tcp_flags && key->proto != IPPROTO_TCP)
			continue;
		if ((tuple->inner_mask.sport | tuple->inner_mask.dport) && inner->proto != IPPROTO_TCP &&
			inner->proto != IPPROTO_UDP)
			continue;
		mask_words(&masked, key, &tuple->mask);
		mask_words(&masked_inner, inner, &tuple->inner_mask);
		s = probe(image, t, &masked, quoted ? &masked_inner : NULL);
		if (!s || s->rank >= best)
			continue;
		best = s->rank;
		id = (int32_t)s->id;
	}
	return id;
}

static int32_t first_match(
	const struct ps_rule *rules, size_t n, const struct ps_rule_key *key, const struct ps_rule_inner *inner)
{
	const struct ps_rule *best = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct ps_rule *r = &rules[i];

		if (!r->enabled || !ps_rule_matches(r, key, inner))
			continue;
		if (!best || r->priority < best->priority || (r->priority == best->priority && r->id < best->id))
			best = r;
	}
	return best ? best->id : -1;
}

/* --- random rules and packets, from small pools so that they meet ------------------------------------ */

static uint64_t rnd;

static uint32_t chance(uint32_t n)
{
	return (uint32_t)(mk_random(&rnd) % n);
}

static struct ps_addr random_addr(uint8_t family)
{
	struct ps_addr a = {.family = family};

	a.word[0] = htonl((family == 4 ? 0x0a000000 : 0x20010db8) + (family == 4 ? chance(4) : 0));
	if (family == 6)
		a.word[3] = htonl(chance(4));
	return a;
}

static struct ps_net maybe_addr(uint8_t family)
{
	struct ps_addr a = random_addr(family);

	return chance(3) ? (struct ps_net){0} : ps_net_of(&a);
}

static struct ps_ports maybe_port(void)
{
	return ps_ports_one(chance(2) ? 0 : (uint16_t)(20 + chance(5)));
}

static struct ps_rule random_rule(int32_t id)
{
	static const int16_t protocols[] = {PS_RULE_ANY, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, 47};
	uint8_t family;
	struct ps_rule r;

	ps_rule_defaults(&r);
	r.id = id;
	r.enabled = chance(8) != 0;
	r.priority = (int32_t)(1000 + chance(4));
	r.action = chance(2) ? PS_RULE_ACTION_DROP : PS_RULE_ACTION_ALLOW;
	r.direction = (uint8_t)(1 + chance(3));
	r.protocol = protocols[chance(PS_ARRAY_SIZE(protocols))];
	family = r.protocol == IPPROTO_ICMP ? 4 : r.protocol == IPPROTO_ICMPV6 ? 6 : chance(2) ? 4 : 6;
	r.src_ip = maybe_addr(family);
	r.dst_ip = maybe_addr(family);
	if (r.protocol == PS_RULE_ANY || r.protocol == IPPROTO_TCP || r.protocol == IPPROTO_UDP) {
		r.src_port = maybe_port();
		r.dst_port = maybe_port();
	}
	if (r.protocol == IPPROTO_TCP && chance(3) == 0) {
		r.rule_type = PS_RULE_TCP;
		r.tcp_flags_mask = (uint8_t)(1 + chance(31));
		r.tcp_flags = (uint8_t)(chance(32) & r.tcp_flags_mask);
	}
	if (r.protocol == IPPROTO_ICMP || r.protocol == IPPROTO_ICMPV6) {
		r.rule_type = PS_RULE_ICMP;
		r.icmp_type = (int16_t)(chance(2) ? PS_RULE_ANY : (int)chance(4));
		r.icmp_code = (int16_t)(chance(2) ? PS_RULE_ANY : (int)chance(3));
		if (chance(2)) {
			r.inner_src_ip = maybe_addr(family);
			r.inner_dst_ip = maybe_addr(family);
			r.inner_protocol = (int16_t)(chance(2) ? PS_RULE_ANY : chance(2) ? IPPROTO_UDP : IPPROTO_TCP);
			r.inner_src_port = maybe_port();
			r.inner_dst_port = maybe_port();
		}
	}
	return r;
}

static void random_packet(struct ps_rule_key *key, struct ps_rule_inner *inner)
{
	uint8_t family = chance(2) ? 4 : 6;
	const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 47};
	struct ps_addr src = random_addr(family), dst = random_addr(family);

	memset(key, 0, sizeof(*key));
	memset(inner, 0, sizeof(*inner));
	key->family = family;
	key->direction = (uint8_t)(1 + chance(2));
	key->proto = protocols[chance(4)];
	memcpy(key->saddr, src.word, sizeof(src.word));
	memcpy(key->daddr, dst.word, sizeof(dst.word));
	if (key->proto == IPPROTO_TCP || key->proto == IPPROTO_UDP) {
		key->sport = htons((uint16_t)(20 + chance(5)));
		key->dport = htons((uint16_t)(20 + chance(5)));
	}
	if (key->proto == IPPROTO_TCP)
		key->tcp_flags = (uint8_t)chance(64);
	if (key->proto != IPPROTO_ICMP && key->proto != IPPROTO_ICMPV6)
		return;
	key->sport = htons((uint16_t)chance(4));
	key->dport = htons((uint16_t)chance(3));
	if (chance(2))
		return;
	inner->family = family;
	inner->proto = chance(2) ? IPPROTO_UDP : IPPROTO_TCP;
	src = random_addr(family);
	memcpy(inner->saddr, src.word, sizeof(src.word));
	dst = random_addr(family);
	memcpy(inner->daddr, dst.word, sizeof(dst.word));
	inner->sport = htons((uint16_t)(20 + chance(5)));
	inner->dport = htons((uint16_t)(20 + chance(5)));
}

/* What rule_hash.h promises of the layout, and the order of tuples. */
static void check_layout(const struct ps_rule_image *image)
{
	for (uint32_t i = 0; i < PS_RULE_SLOTS; i++) {
		const struct ps_rule_slot *s = &image->slots[i];
		const struct ps_rule_tuple *t;
		uint32_t home;

		if (!s->used)
			continue;
		assert_true(s->used <= image->set.tuples);
		t = &image->set.tuple[s->used - 1];
		assert_true(t->best_rank <= s->rank);
		home = ps_rule_hash(&s->key, t->flags & PS_TUPLE_QUOTED ? &s->inner : NULL, s->used - 1) &
		       (PS_RULE_SLOTS - 1);
		assert_true(((i - home) & (PS_RULE_SLOTS - 1)) < PS_RULE_PROBES);
		for (uint32_t j = home; j != i; j = (j + 1) & (PS_RULE_SLOTS - 1))
			assert_int_not_equal(image->slots[j].used, 0);
	}
	for (uint32_t t = 1; t < image->set.tuples; t++)
		assert_true(image->set.tuple[t - 1].best_rank <= image->set.tuple[t].best_rank);
}

static void decides_like_the_list(void **state)
{
	unsigned matched = 0, missed = 0;

	(void)state;
	rnd = 1;
	for (int round = 0; round < 300; round++) {
		_cleanup_free_ struct ps_rule_image *image = NULL;
		struct ps_rule rules[60];
		size_t n = chance(PS_ARRAY_SIZE(rules));

		for (size_t i = 0; i < n; i++)
			rules[i] = random_rule((int32_t)(n - i)); /* not in the order of id */
		assert_int_equal(compile(rules, n, &image, NULL), 0);
		check_layout(image);
		for (int p = 0; p < 500; p++) {
			struct ps_rule_inner inner;
			struct ps_rule_key key;
			int32_t want;

			random_packet(&key, &inner);
			want = first_match(rules, n, &key, &inner);
			assert_int_equal(classify(image, &key, &inner), want);
			want >= 0 ? matched++ : missed++;
		}
	}
	/* the test can fail only if both happen */
	assert_true(matched > 10000 && missed > 10000);
}

static void tcp_flags_bitmap(void **state)
{
	_cleanup_free_ struct ps_rule_image *image = NULL;
	struct ps_rule r[2];

	(void)state;
	ps_rule_defaults(&r[0]);
	r[0].id = 0;
	r[0].enabled = true;
	r[0].rule_type = PS_RULE_TCP;
	r[0].protocol = IPPROTO_TCP;
	r[0].tcp_flags = 0x02;
	r[0].tcp_flags_mask = 0x12;
	r[1] = r[0];
	r[1].id = 1;
	r[1].tcp_flags = r[1].tcp_flags_mask = 0x01;
	r[1].enabled = false; /* a disabled rule is nowhere */
	assert_int_equal(compile(r, 2, &image, NULL), 0);
	for (unsigned f = 0; f < 256; f++)
		assert_int_equal(image->set.tcp_flags_hit[f / 64] >> (f % 64) & 1, (f & 0x12) == 0x02);
}

static void of_equal_keys_the_best_takes_the_slot(void **state)
{
	_cleanup_free_ struct ps_rule_image *image = NULL;
	struct ps_rule r[3];
	unsigned used = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		ps_rule_defaults(&r[i]);
		r[i].id = i;
		r[i].enabled = true;
		r[i].protocol = IPPROTO_UDP;
		r[i].dst_port = ps_ports_one(53);
		r[i].priority = 1000 - i;
	}
	assert_int_equal(compile(r, 3, &image, NULL), 0);
	for (uint32_t i = 0; i < PS_RULE_SLOTS; i++) {
		if (!image->slots[i].used)
			continue;
		used++;
		assert_int_equal(image->slots[i].id, 2);
	}
	assert_int_equal(used, 1);
}

/* Many exact rules: the slots are half full, where plain insertion would leave some too far from home. */
static void a_full_set_is_laid_out(void **state)
{
	enum {
		N = PS_RULES_MAX
	};
	struct ps_rule *rules = calloc(N, sizeof(*rules));

	(void)state;
	assert_non_null(rules);
	for (uint32_t seed = 0; seed < 20; seed++) {
		_cleanup_free_ struct ps_rule_image *image = NULL;
		unsigned used = 0;

		for (uint32_t i = 0; i < N; i++) {
			ps_rule_defaults(&rules[i]);
			rules[i].id = (int32_t)i;
			rules[i].enabled = true;
			rules[i].protocol = IPPROTO_TCP;
			rules[i].src_ip = ps_net_of(
				&(struct ps_addr){.family = 4, .word = {htonl(0x0a000000 + (seed << 16) + i)}});
			rules[i].dst_port = ps_ports_one((uint16_t)(1 + i % 3));
		}
		assert_int_equal(compile(rules, N, &image, NULL), 0);
		check_layout(image);
		for (uint32_t i = 0; i < PS_RULE_SLOTS; i++)
			used += image->slots[i].used != 0;
		assert_int_equal(used, N);
		for (uint32_t i = 0; i < N; i += 97) {
			struct ps_rule_inner inner = {0};
			struct ps_rule_key key = {.saddr = {rules[i].src_ip.addr.word[0]},
				.dport = htons((uint16_t)(1 + i % 3)),
				.proto = IPPROTO_TCP,
				.family = 4,
				.direction = PS_DIR_INGRESS};

			assert_int_equal(classify(image, &key, &inner), i);
		}
	}
	free(rules);
}

static void too_many_combinations(void **state)
{
	_cleanup_free_ struct ps_rule_image *image = NULL;
	struct ps_rule rules[PS_RULE_TUPLES + 1];
	struct ps_error err = {0};

	(void)state;
	for (unsigned i = 0; i < PS_ARRAY_SIZE(rules); i++) {
		ps_rule_defaults(&rules[i]);
		rules[i].id = (int32_t)i;
		rules[i].enabled = true;
		rules[i].rule_type = PS_RULE_TCP;
		rules[i].protocol = IPPROTO_TCP;
		rules[i].tcp_flags_mask = (uint8_t)(i + 1);
	}
	assert_int_equal(compile(rules, PS_RULE_TUPLES, &image, &err), 0);
	free(PS_TAKE(image));
	assert_int_equal(compile(rules, PS_RULE_TUPLES + 1, &image, &err), -ENOSPC);
	assert_int_equal(err.status, 507);
	assert_null(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decides_like_the_list),
		cmocka_unit_test(tcp_flags_bitmap),
		cmocka_unit_test(of_equal_keys_the_best_takes_the_slot),
		cmocka_unit_test(a_full_set_is_laid_out),
		cmocka_unit_test(too_many_combinations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
