#include "aggregator/rule_search.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

/*
 * Lengths by which addresses are sorted: a network goes to the longest that is not longer than its own, so that a
 * packet looks into few. One shorter than the first tells less than a port does.
 */
static const uint8_t lengths4[] = {8, 16, 20, 24, 28, 32};
static const uint8_t lengths6[] = {16, 32, 48, 64, 96, 128};
#define LENGTHS 6
/* A port list wider than this goes by something else: it takes a place for each port. */
#define WIDE 1024

enum bucket {
	BY_SRC,
	BY_DST,
	BY_SRC_PORT,
	BY_DST_PORT,
	BY_PROTO,
	BUCKETS,
};

struct node {
	uint64_t rank;
	const struct ps_rule *rule;
	uint32_t next; /* 0 = none; ranks grow along a chain */
};

struct ps_rule_search {
	struct node *nodes; /* from 1 */
	size_t n, room;
	uint32_t *heads;
	uint32_t mask;
	bool used[BUCKETS][2][LENGTHS]; /* addresses: some rule stands there, by IPv6 and length */
};

static uint64_t rank_of(const struct ps_rule *rule)
{
	return (uint64_t)(rule->priority - (int64_t)INT32_MIN) << 32 | (uint32_t)rule->id;
}

/* Keys are chosen by whoever may write rules: no secret needed. */
static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ull;
	return h ^ (h >> 32);
}

static uint32_t slot_of(const struct ps_rule_search *x, enum bucket bucket, unsigned len, const uint32_t word[4])
{
	uint64_t h = mix(bucket * 256u + len, word[0] | (uint64_t)word[1] << 32);

	h = mix(h, word[2] | (uint64_t)word[3] << 32);
	return (uint32_t)(h >> 20) & x->mask;
}

static uint32_t number_slot(const struct ps_rule_search *x, enum bucket bucket, uint32_t number)
{
	const uint32_t word[4] = {number};

	return slot_of(x, bucket, 0, word);
}

static int put(struct ps_rule_search *x, uint32_t slot, const struct ps_rule *rule)
{
	if (x->n + 1 >= x->room) {
		size_t room = x->room * 2;
		struct node *more = realloc(x->nodes, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		x->nodes = more;
		x->room = room;
	}
	/* A list of ports may come to one chain twice. */
	if (x->heads[slot] && x->nodes[x->heads[slot]].rule == rule)
		return 0;
	x->nodes[++x->n] = (struct node){rank_of(rule), rule, x->heads[slot]};
	x->heads[slot] = (uint32_t)x->n;
	return 0;
}

static const uint8_t *lengths_of(uint8_t family)
{
	return family == PS_FAMILY_IPV6 ? lengths6 : lengths4;
}

/* Number of the length by which the network is sorted; -1: it is too short. */
static int length_of(const struct ps_net *net)
{
	const uint8_t *lengths = lengths_of(net->addr.family);
	int i = LENGTHS - 1;

	if (!net->addr.family)
		return -1;
	while (i >= 0 && lengths[i] > net->len)
		i--;
	return i;
}

static unsigned width(const struct ps_ports *ports)
{
	const struct ps_port_range *range = ps_ports_ranges(ports);
	unsigned n = 0;

	for (unsigned i = 0; i < ports->n; i++)
		n += range[i].hi - range[i].lo + 1u;
	return n;
}

static uint32_t address_slot(
	const struct ps_rule_search *x, enum bucket bucket, uint8_t family, uint8_t len, const uint32_t word[4])
{
	struct ps_net net = {.addr.family = family, .len = len};

	memcpy(net.addr.word, word, sizeof(net.addr.word));
	if (family != PS_FAMILY_IPV4)
		ps_net_mask(&net);
	else
		net.addr.word[0] &= htonl(UINT32_MAX << (32 - len));
	return slot_of(x, bucket, len, net.addr.word);
}

static int put_address(
	struct ps_rule_search *x, enum bucket bucket, const struct ps_net *net, const struct ps_rule *rule)
{
	int i = length_of(net);

	x->used[bucket][net->addr.family == PS_FAMILY_IPV6][i] = true;
	return put(x, address_slot(x, bucket, net->addr.family, lengths_of(net->addr.family)[i], net->addr.word), rule);
}

static uint32_t port_number(uint8_t protocol, unsigned port)
{
	return (uint32_t)protocol << 16 | port;
}

static int put_ports(
	struct ps_rule_search *x, enum bucket bucket, const struct ps_ports *ports, const struct ps_rule *rule)
{
	const struct ps_port_range *range = ps_ports_ranges(ports);
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	int r = 0;

	for (unsigned p = 0; p < PS_ARRAY_SIZE(protocols); p++) {
		if (rule->protocol != PS_RULE_ANY && rule->protocol != protocols[p])
			continue;
		for (unsigned i = 0; i < ports->n; i++) {
			for (unsigned port = range[i].lo; port <= range[i].hi && r >= 0; port++)
				r = put(x, number_slot(x, bucket, port_number(protocols[p], port)), rule);
		}
	}
	return r;
}

static int put_rule(struct ps_rule_search *x, const struct ps_rule *rule)
{
	unsigned dst = width(&rule->dst_port), src = width(&rule->src_port);

	if (length_of(&rule->src_ip) >= 0)
		return put_address(x, BY_SRC, &rule->src_ip, rule);
	if (dst && dst <= WIDE)
		return put_ports(x, BY_DST_PORT, &rule->dst_port, rule);
	if (length_of(&rule->dst_ip) >= 0)
		return put_address(x, BY_DST, &rule->dst_ip, rule);
	if (src && src <= WIDE)
		return put_ports(x, BY_SRC_PORT, &rule->src_port, rule);
	return put(x, number_slot(x, BY_PROTO, rule->protocol == PS_RULE_ANY ? 256u : (uint32_t)rule->protocol), rule);
}

static bool counts(const struct ps_rule *rule, uint64_t now)
{
	return rule->enabled && rule->mode == PS_MODE_ENFORCE && !ps_rule_expired(rule, now) &&
	       !(rule->confirm_by && rule->confirm_by <= now);
}

struct ranked {
	uint64_t rank;
	const struct ps_rule *rule;
};

/* Last first, so that chains, which grow at their head, are in order of rank. */
static int compare_last_first(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return (x->rank < y->rank) - (x->rank > y->rank);
}

static int fill(struct ps_rule_search *x, const struct ps_rule_view *set, uint64_t now)
{
	_cleanup_free_ struct ranked *list = malloc((set->n + 1) * sizeof(*list));
	bool sorted = true;
	size_t n = 0;
	int r = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = set->n + 1; i-- > 0;) {
		const struct ps_rule *rule = ps_rule_view_at(set, i);

		if (!rule || !counts(rule, now))
			continue;
		list[n] = (struct ranked){rank_of(rule), rule};
		sorted = sorted && (!n || list[n - 1].rank > list[n].rank);
		n++;
	}
	if (!sorted)
		qsort(list, n, sizeof(*list), compare_last_first);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = put_rule(x, list[i].rule);
	return r;
}

int ps_rule_search_new(const struct ps_rule_view *set, uint64_t now, struct ps_rule_search **ret_index)
{
	_cleanup_(ps_rule_search_free) struct ps_rule_search *x = calloc(1, sizeof(*x));
	uint32_t slots = 64;
	int r;

	while (slots < set->n * 2)
		slots *= 2;
	if (!x)
		return -ENOMEM;
	x->mask = slots - 1;
	x->heads = calloc(slots, sizeof(*x->heads));
	x->room = set->n + 16;
	x->nodes = malloc(x->room * sizeof(*x->nodes));
	if (!x->heads || !x->nodes)
		return -ENOMEM;
	r = fill(x, set, now);
	if (r < 0)
		return r;
	*ret_index = PS_TAKE(x);
	return 0;
}

void ps_rule_search_free(struct ps_rule_search **index)
{
	struct ps_rule_search *x = *index;

	if (!x)
		return;
	free(x->nodes);
	free(x->heads);
	free(x);
	*index = NULL;
}

const struct ps_rule *ps_rule_first(const struct ps_rule_view *set, uint64_t now, const struct ps_rule_key *key,
	const struct ps_rule_inner *inner, const struct ps_rule *before)
{
	const struct ps_rule *best = NULL;

	for (size_t i = 0; i <= set->n; i++) {
		const struct ps_rule *rule = ps_rule_view_at(set, i);

		if (!rule || !counts(rule, now) || !ps_rule_matches(rule, key, inner) ||
			(before && (rule->id == before->id || ps_rule_compare(rule, before) > 0)))
			continue;
		if (!best || ps_rule_compare(rule, best) < 0)
			best = rule;
	}
	return best;
}

struct query {
	const struct ps_rule_search *x;
	const struct ps_rule_key *key;
	const struct ps_rule_inner *inner;
	uint32_t skip; /* id; no rule has UINT32_MAX */
	uint64_t best;
	const struct ps_rule *found;
};

/* Strangers may share the chain; ps_rule_matches tells. The first that matches is the best of the chain. */
static void look(struct query *s, uint32_t slot)
{
	for (uint32_t i = s->x->heads[slot]; i; i = s->x->nodes[i].next) {
		const struct node *node = &s->x->nodes[i];

		if (node->rank >= s->best)
			return;
		if ((uint32_t)node->rank == s->skip || !ps_rule_matches(node->rule, s->key, s->inner))
			continue;
		s->best = node->rank;
		s->found = node->rule;
		return;
	}
}

static void look_address(struct query *s, enum bucket bucket, const uint32_t word[4])
{
	const bool *used = s->x->used[bucket][s->key->family == PS_FAMILY_IPV6];
	const uint8_t *lengths = lengths_of(s->key->family);

	for (unsigned i = 0; i < LENGTHS; i++) {
		if (used[i])
			look(s, address_slot(s->x, bucket, s->key->family, lengths[i], word));
	}
}

const struct ps_rule *ps_rule_search_find(const struct ps_rule_search *x, const struct ps_rule_key *key,
	const struct ps_rule_inner *inner, const struct ps_rule *before)
{
	struct query s = {
		.x = x,
		.key = key,
		.inner = inner,
		.skip = before ? (uint32_t)before->id : UINT32_MAX,
		.best = before ? rank_of(before) : UINT64_MAX,
	};

	if (!x->n)
		return NULL;
	/* The short chains of wide rules first: what they find ends the rest early. */
	look(&s, number_slot(x, BY_PROTO, key->proto));
	look(&s, number_slot(x, BY_PROTO, 256));
	if (key->proto == IPPROTO_TCP || key->proto == IPPROTO_UDP) {
		look(&s, number_slot(x, BY_DST_PORT, port_number(key->proto, ntohs(key->dport))));
		look(&s, number_slot(x, BY_SRC_PORT, port_number(key->proto, ntohs(key->sport))));
	}
	look_address(&s, BY_SRC, key->saddr);
	look_address(&s, BY_DST, key->daddr);
	return s.found;
}
