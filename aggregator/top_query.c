#include "aggregator/top_query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/limits.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/limits.h"
#include "common/model/record.h"

/* --- arguments ---------------------------------------------------------------------------------- */

static const char *const by_names[] = {
	[PS_TOP_BYTES] = "bytes", [PS_TOP_PACKETS] = "packets", [PS_TOP_CONNECTIONS] = "connections"};

/* A whole number; missing: unchanged. */
static int read_number(
	const struct ps_value *args, const char *name, int64_t min, int64_t max, int64_t *value, struct ps_error *err)
{
	const struct ps_value *v = ps_value_get(args, name);
	int64_t i = 0;

	if (ps_value_kind(v) == PS_VALUE_NULL)
		return 0;
	if (!ps_value_is_integer(v, &i) || i < min || i > max)
		return ps_error_set(err, -EINVAL, 400, "bad_value", name, "%s must be a whole number from %lld to %lld",
			name, (long long)min, (long long)max);
	*value = i;
	return 0;
}

static int read_by(const struct ps_value *args, enum ps_top_by *value, struct ps_error *err)
{
	const char *text = ps_value_get_string(args, "by", NULL);

	if (!ps_value_get(args, "by"))
		return 0;
	for (size_t i = 0; text && i < PS_ARRAY_SIZE(by_names); i++) {
		if (!strcmp(text, by_names[i])) {
			*value = (enum ps_top_by)i;
			return 0;
		}
	}
	return ps_error_set(err, -EINVAL, 400, "bad_value", "by", "by must be bytes, packets or connections");
}

int ps_top_query_parse(const struct ps_value *args, uint64_t wall, struct ps_top_query *ret_query, struct ps_error *err)
{
	struct ps_top_query q = {.by = PS_TOP_BYTES};
	int64_t limit = PS_TOP_DEFAULT, active = 0;
	uint64_t age;
	int r;

	r = read_number(args, "limit", 1, PS_TOP_MAX, &limit, err);
	if (r >= 0)
		r = read_number(args, "active", 0, PS_TOP_ACTIVE_MAX_S, &active, err);
	if (r >= 0)
		r = read_by(args, &q.by, err);
	if (r < 0)
		return r;
	age = (uint64_t)active * PS_NSEC;
	q.limit = (unsigned)limit;
	q.ended = ps_value_get_bool(args, "ended", false);
	q.since = active && wall > age ? wall - age : 0;
	*ret_query = q;
	return 0;
}

/* --- groups ------------------------------------------------------------------------------------- */

/* What connections have in common; members that do not belong to the kind of group are zero. No padding: compared
 * whole. */
struct key {
	struct ps_addr src, dst;
	uint32_t port;
	uint32_t proto;
};
_Static_assert(sizeof(struct key) == 2 * sizeof(struct ps_addr) + 8, "a key is compared byte by byte");

struct group {
	struct key key;
	uint64_t connections;
	uint64_t packets[2], bytes[2]; /* out of the host or from the originator, and the other way */
	uint64_t dropped;              /* packets */
};

/* Open addressing, at most half full; slots hold the number of a group and 1. */
struct groups {
	struct group *group;
	uint32_t *slot;
	size_t n, n_slots;
	uint64_t seed;
	bool full; /* some found no place */
};

static void groups_free(struct groups *g)
{
	free(g->group);
	free(g->slot);
}

static uint64_t hash(const struct key *key, uint64_t seed)
{
	uint64_t h = seed, word;

	for (size_t i = 0; i < sizeof(*key); i += sizeof(word)) {
		memcpy(&word, (const char *)key + i, sizeof(word));
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return h;
}
_Static_assert(sizeof(struct key) % sizeof(uint64_t) == 0, "a key is whole words");

static size_t place(const struct groups *g, const struct key *key)
{
	size_t i = hash(key, g->seed) & (g->n_slots - 1);

	while (g->slot[i] && memcmp(&g->group[g->slot[i] - 1].key, key, sizeof(*key)) != 0)
		i = (i + 1) & (g->n_slots - 1);
	return i;
}

static int grow(struct groups *g)
{
	size_t n_slots = g->n_slots ? 2 * g->n_slots : PS_TOP_SLOTS_MIN;
	uint32_t *slot = calloc(n_slots, sizeof(*slot));
	struct group *group = realloc(g->group, n_slots / 2 * sizeof(*group));

	if (group)
		g->group = group;
	if (!slot || !group) {
		free(slot);
		return -ENOMEM;
	}
	free(g->slot);
	g->slot = slot;
	g->n_slots = n_slots;
	for (size_t i = 0; i < g->n; i++)
		g->slot[place(g, &g->group[i].key)] = (uint32_t)(i + 1);
	return 0;
}

/* The group of a key, made if it is new. *ret_group NULL: there are too many already. */
static int group_of(struct groups *g, const struct key *key, struct group **ret_group)
{
	size_t at;

	if (g->n == g->n_slots / 2 && g->n < PS_TOP_GROUPS_MAX && grow(g) < 0)
		return -ENOMEM;
	at = place(g, key);
	*ret_group = NULL;
	if (!g->slot[at]) {
		if (g->n >= PS_TOP_GROUPS_MAX) {
			g->full = true;
			return 0;
		}
		g->group[g->n] = (struct group){.key = *key};
		g->slot[at] = (uint32_t)++g->n;
	}
	*ret_group = &g->group[g->slot[at] - 1];
	return 0;
}

static int add(struct groups *g, const struct key *key, const struct ps_conn *c, bool responder)
{
	struct group *group;

	if (group_of(g, key, &group) < 0)
		return -ENOMEM;
	if (!group)
		return 0;
	group->connections++;
	group->packets[responder] += c->orig_packets;
	group->packets[!responder] += c->resp_packets;
	group->bytes[responder] += c->orig_bytes;
	group->bytes[!responder] += c->resp_bytes;
	group->dropped += (uint64_t)c->orig_dropped_packets + c->resp_dropped_packets;
	return 0;
}

/* --- the answer --------------------------------------------------------------------------------- */

static uint64_t weight(const struct group *g, enum ps_top_by by)
{
	switch (by) {
	case PS_TOP_BYTES:
		return g->bytes[0] + g->bytes[1];
	case PS_TOP_PACKETS:
		return g->packets[0] + g->packets[1];
	case PS_TOP_CONNECTIONS:
		break;
	}
	return g->connections;
}

/* The heavier first; equal: by key, so that rows do not dance. */
static int compare(const void *a, const void *b, void *arg)
{
	const struct ps_top_query *q = arg;
	uint64_t wa = weight(a, q->by), wb = weight(b, q->by);

	if (wa != wb)
		return wa < wb ? 1 : -1;
	return memcmp(&((const struct group *)a)->key, &((const struct group *)b)->key, sizeof(struct key));
}

static int set_number(struct ps_value *map, const char *name, uint64_t n)
{
	return ps_value_set(map, name, ps_value_uint(n));
}

static int set_addr(struct ps_value *map, const char *name, const struct ps_addr *a)
{
	char text[PS_ADDR_TEXT];

	return ps_value_set(map, name, ps_value_string(ps_addr_format(a, text)));
}

static int set_service(struct ps_value *map, const struct key *key)
{
	char text[8];

	return ps_value_set(map, "proto", ps_value_string(ps_proto_name((uint8_t)key->proto, text))) < 0
		       ? -ENOMEM
		       : set_number(map, "dst_port", key->port);
}

static int host_key(struct ps_value *map, const struct key *key)
{
	return set_addr(map, "ip", &key->src);
}

static int flow_key(struct ps_value *map, const struct key *key)
{
	if (set_addr(map, "src_ip", &key->src) < 0 || set_service(map, key) < 0)
		return -ENOMEM;
	return set_addr(map, "dst_ip", &key->dst);
}

static struct ps_value *rows(
	const struct ps_top_query *q, struct groups *g, int (*set_key)(struct ps_value *map, const struct key *key))
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();

	if (g->n)
		qsort_r(g->group, g->n, sizeof(g->group[0]), compare, (void *)(uintptr_t)q);
	for (size_t i = 0; i < g->n && i < q->limit; i++) {
		_cleanup_(ps_value_free) struct ps_value *row = ps_value_map();
		const struct group *group = &g->group[i];

		if (!list || !row || set_key(row, &group->key) < 0 ||
			set_number(row, "connections", group->connections) < 0 ||
			set_number(row, "packets_out", group->packets[0]) < 0 ||
			set_number(row, "packets_in", group->packets[1]) < 0 ||
			set_number(row, "bytes_out", group->bytes[0]) < 0 ||
			set_number(row, "bytes_in", group->bytes[1]) < 0 ||
			set_number(row, "dropped_packets", group->dropped) < 0 ||
			ps_value_append(list, PS_TAKE(row)) < 0)
			return NULL;
	}
	return PS_TAKE(list);
}

struct top {
	uint64_t connections, packets, bytes;
	struct groups hosts, services, flows;
};

static void top_free(struct top *t)
{
	groups_free(&t->hosts);
	groups_free(&t->services);
	groups_free(&t->flows);
}

static int count(struct top *t, const struct ps_conn *c)
{
	const struct key src = {.src = c->src_ip}, dst = {.src = c->dst_ip};
	const struct key service = {.port = c->dst_port, .proto = c->proto};
	const struct key flow = {.src = c->src_ip, .dst = c->dst_ip, .port = c->dst_port, .proto = c->proto};

	t->connections++;
	t->packets += c->orig_packets + c->resp_packets;
	t->bytes += c->orig_bytes + c->resp_bytes;
	if (add(&t->hosts, &src, c, false) < 0 || add(&t->services, &service, c, false) < 0 ||
		add(&t->flows, &flow, c, false) < 0)
		return -ENOMEM;
	return ps_addr_equal(&c->src_ip, &c->dst_ip) ? 0 : add(&t->hosts, &dst, c, true);
}

struct ps_value *ps_top_query_run(const struct ps_top_query *q, const struct ps_conn_table *table, uint64_t seed)
{
	_cleanup_(top_free) struct top t = {
		.hosts = {.seed = seed}, .services = {.seed = seed}, .flows = {.seed = seed}};
	_cleanup_(ps_value_free) struct ps_value *body = ps_value_map();
	const struct ps_conn *c;
	size_t position = 0;
	bool ended;

	while ((c = ps_conn_table_next(table, &position, &ended))) {
		if ((ended && !q->ended) || c->last_seen < q->since)
			continue;
		if (count(&t, c) < 0)
			return NULL;
	}
	if (!body || ps_value_set(body, "by", ps_value_string(by_names[q->by])) < 0 ||
		set_number(body, "connections", t.connections) < 0 || set_number(body, "packets", t.packets) < 0 ||
		set_number(body, "bytes", t.bytes) < 0 || set_number(body, "hosts_total", t.hosts.n) < 0 ||
		set_number(body, "services_total", t.services.n) < 0 ||
		set_number(body, "flows_total", t.flows.n) < 0 ||
		ps_value_set(body, "complete", ps_value_bool(!t.hosts.full && !t.flows.full && !t.services.full)) < 0 ||
		ps_value_set(body, "hosts", rows(q, &t.hosts, host_key)) < 0 ||
		ps_value_set(body, "services", rows(q, &t.services, set_service)) < 0 ||
		ps_value_set(body, "flows", rows(q, &t.flows, flow_key)) < 0)
		return NULL;
	return PS_TAKE(body);
}
