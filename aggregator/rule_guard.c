/* See rule_guard.h. Rules and packets meet in guard_lane.c, rules and protected networks in guard_net.c. */
#include "aggregator/rule_guard.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/guard_lane.h"
#include "aggregator/guard_net.h"
#include "aggregator/limits.h"
#include "common/base/cleanup.h"

const char *ps_guard_kind_name(enum ps_guard_kind kind)
{
	static const char *const names[] = {
		[PS_GUARD_CALLER] = "caller",
		[PS_GUARD_SSH] = "ssh",
		[PS_GUARD_DNS] = "dns",
		[PS_GUARD_GATEWAY] = "gateway",
		[PS_GUARD_PROTECTED] = "protected",
	};

	return names[kind];
}

static void put_end(char *out, size_t size, const struct ps_addr *a, uint16_t port, bool with_port)
{
	char text[PS_ADDR_TEXT];

	ps_addr_format(a, text);
	if (!with_port)
		(void)snprintf(out, size, "%s", text);
	else if (!port)
		(void)snprintf(out, size, a->family == PS_FAMILY_IPV6 ? "[%s]" : "%s", text);
	else
		(void)snprintf(out, size, a->family == PS_FAMILY_IPV6 ? "[%s]:%u" : "%s:%u", text, port);
}

char *ps_guard_subject(const struct ps_guard_flow *flow, char buf[static PS_GUARD_SUBJECT])
{
	char local[PS_GUARD_SUBJECT / 2 - 2], remote[PS_GUARD_SUBJECT / 2 - 2];
	bool ports = flow->remote_port != 0;

	put_end(local, sizeof(local), &flow->local, flow->local_port, ports);
	put_end(remote, sizeof(remote), &flow->remote, flow->remote_port, ports);
	(void)snprintf(
		buf, PS_GUARD_SUBJECT, "%s -> %s", flow->outgoing ? local : remote, flow->outgoing ? remote : local);
	return buf;
}

/* --- reports ------------------------------------------------------------------------------------ */

static const char *const cut_text[] = {
	[PS_GUARD_CALLER] = "would cut the connection that this request came by",
	[PS_GUARD_SSH] = "would cut an established SSH session",
	[PS_GUARD_DNS] = "would cut a name server of this host",
	[PS_GUARD_GATEWAY] = "would cut the default gateway",
	[PS_GUARD_PROTECTED] = "may drop packets of a protected network",
};

struct checker {
	const struct ps_guard *g;
	const struct ps_rule_view *before, *after;
	const struct ps_rule *was, *is; /* the only rule that differs; both NULL: any may */
	bool one;                       /* only one differs */
	struct ps_value *report;
	int cut;
};

static int add_report(struct checker *c, enum ps_guard_kind kind, const char *subject, uint64_t connection,
	const struct ps_rule *rule)
{
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();
	char id[24], message[192];

	if (c->cut++ >= PS_GUARD_REPORTS_MAX)
		return 0;
	(void)snprintf(id, sizeof(id), "%016" PRIx64, connection);
	if (rule->id >= 0)
		(void)snprintf(message, sizeof(message), "Rule %d %s.", rule->id, cut_text[kind]);
	else
		(void)snprintf(message, sizeof(message), "The rule %s.", cut_text[kind]);
	if (!map || ps_value_set(map, "kind", ps_value_string(ps_guard_kind_name(kind))) < 0 ||
		ps_value_set(map, "subject", ps_value_string(subject)) < 0 ||
		ps_value_set(map, "connection", connection ? ps_value_string(id) : ps_value_null()) < 0 ||
		ps_value_set(map, "rule_id", rule->id >= 0 ? ps_value_int(rule->id) : ps_value_null()) < 0 ||
		ps_value_set(map, "message", ps_value_string(message)) < 0)
		return -ENOMEM;
	return ps_value_append(c->report, PS_TAKE(map));
}

static const struct ps_rule *rule_of(const struct ps_rule_view *set, int64_t id)
{
	size_t low = 0, high = set->n;

	if (set->with && set->with->id == id)
		return set->with;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (set->rules[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < set->n && set->rules[low].id == id ? ps_rule_view_at(set, low) : NULL;
}

/* --- flows --------------------------------------------------------------------------------------- */

/* Rules that meet a lane, in order of decision. */
struct met {
	const struct ps_rule *rule;
	uint32_t mask; /* of the lane's packets */
};

static int compare_met(const void *a, const void *b)
{
	const struct met *x = a, *y = b;

	return ps_rule_compare(x->rule, y->rule);
}

struct met_list {
	struct met *met;
	size_t n, room;
};

static void met_free(struct met_list *l)
{
	free(l->met);
}

static int collect(
	const struct checker *c, const struct ps_guard_lane *lane, const struct ps_rule_view *set, struct met_list *l)
{
	for (size_t i = 0; i <= set->n; i++) {
		const struct ps_rule *rule = ps_rule_view_at(set, i);
		uint32_t mask;

		if (!rule || !rule->enabled || rule->mode != PS_MODE_ENFORCE)
			continue;
		mask = lane->any_port ? ps_guard_lane_touches(lane, rule) : ps_guard_lane_match(lane, rule);
		if (!mask || (!ps_guard_drops(rule, c->g->now) && !ps_guard_allows_for_good(rule, c->g->now)))
			continue;
		if (l->n == l->room) {
			size_t room = l->room ? l->room * 2 : 16;
			struct met *more = realloc(l->met, room * sizeof(*more));

			if (!more)
				return -ENOMEM;
			l->met = more;
			l->room = room;
		}
		l->met[l->n++] = (struct met){rule, mask};
	}
	if (l->n)
		qsort(l->met, l->n, sizeof(*l->met), compare_met);
	return 0;
}

/* Those of the lane's packets that the drop rule lets pass, since it only bites above a rate. */
static uint32_t within_rate(const struct ps_guard_lane *lane, const struct ps_rule *rule)
{
	if (!rule->rate_limit || lane->key.direction != PS_DIR_INGRESS)
		return 0;
	return rule->rate_limit >= PS_GUARD_RATE ? UINT32_MAX : lane->opening;
}

/* From what meets the lane to what it cuts: allow rules leave the list, and the masks are of packets that are lost. */
static void keep_cuts(const struct ps_guard_lane *lane, struct met_list *l)
{
	uint32_t decided = 0;
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct met m = l->met[i];

		if (m.rule->action == PS_RULE_ACTION_ALLOW) {
			decided |= m.mask;
			continue;
		}
		m.mask &= ~decided & ~within_rate(lane, m.rule);
		if (m.mask)
			l->met[n++] = m;
	}
	l->n = n;
}

/* The packets that the same rule cut before. */
static uint32_t cut_before(const struct met_list *before, const struct ps_rule *rule)
{
	for (size_t i = 0; i < before->n; i++) {
		const struct ps_rule *b = before->met[i].rule;

		if (b->id == rule->id || ps_rule_same_match(b, rule))
			return before->met[i].mask;
	}
	return 0;
}

static int check_lane(struct checker *c, const struct ps_guard_lane *lane, const struct ps_rule **ret_rule)
{
	_cleanup_(met_free) struct met_list before = {0}, after = {0};
	int r = collect(c, lane, c->after, &after);

	if (r < 0)
		return r;
	keep_cuts(lane, &after);
	if (!after.n)
		return 0;
	r = collect(c, lane, c->before, &before);
	if (r < 0)
		return r;
	keep_cuts(lane, &before);
	for (size_t i = 0; i < after.n; i++) {
		if (after.met[i].mask & ~cut_before(&before, after.met[i].rule)) {
			*ret_rule = after.met[i].rule;
			return 1;
		}
	}
	return 0;
}

/* How many local ports all rules together cut; *ret_rule: the one that differs, or the first of them. */
static int cut_ports(const struct checker *c, const struct ps_guard_lane *lane, const struct ps_rule_view *set,
	const struct ps_rule **ret_rule)
{
	_cleanup_(met_free) struct met_list l = {0};
	struct ps_guard_ports decided = {0}, cut = {0};
	unsigned n = 0;
	int r = collect(c, lane, set, &l);

	if (r < 0)
		return r;
	for (size_t i = 0; i < l.n; i++) {
		const struct ps_rule *rule = l.met[i].rule;
		bool allow = rule->action == PS_RULE_ACTION_ALLOW, any = false;
		struct ps_guard_ports p = {0};

		if (!allow && (within_rate(lane, rule) & (lane->opening ? lane->opening : 1)))
			continue;
		(void)ps_guard_lane_ports(lane, rule, &p);
		for (size_t w = 0; w < PS_ARRAY_SIZE(p.bits); w++) {
			if (allow)
				decided.bits[w] |= p.bits[w];
			else
				any = any || (p.bits[w] & ~decided.bits[w]);
			if (!allow)
				cut.bits[w] |= p.bits[w] & ~decided.bits[w];
		}
		if (any && (!*ret_rule || rule == c->is))
			*ret_rule = rule;
	}
	for (size_t w = 0; w < PS_ARRAY_SIZE(cut.bits); w++)
		n += (unsigned)__builtin_popcountll(cut.bits[w]);
	return (int)n;
}

static int check_ports(struct checker *c, const struct ps_guard_lane *lane, const struct ps_rule **ret_rule)
{
	const struct ps_rule *rule = NULL, *ignored = NULL;
	int after = cut_ports(c, lane, c->after, &rule), before;

	if (after < 0 || (unsigned)after * 100 <= PS_GUARD_PORTS * PS_GUARD_PORTS_CUT)
		return PS_MIN(after, 0);
	before = cut_ports(c, lane, c->before, &ignored);
	if (before < 0 || before >= after)
		return PS_MIN(before, 0);
	*ret_rule = rule;
	return 1;
}

/* The lanes of all flows, and which of them the step can change for the worse. */
struct lanes {
	struct ps_guard_lane *lane;
	bool *hot;
	size_t n;
};

static void lanes_free(struct lanes *l)
{
	free(l->lane);
	free(l->hot);
}

static int make_lanes(const struct ps_guard *g, struct lanes *l)
{
	l->lane = calloc(g->n_flows * PS_FLOW_LANES_MAX + 1, sizeof(*l->lane));
	l->hot = calloc(g->n_flows * PS_FLOW_LANES_MAX + 1, sizeof(*l->hot));
	if (!l->lane || !l->hot)
		return -ENOMEM;
	for (size_t i = 0; i < g->n_flows; i++)
		l->n += ps_guard_lanes(&g->flows[i], (uint16_t)i, &l->lane[l->n]);
	return 0;
}

static void heat(struct lanes *l, const struct ps_rule *rule)
{
	for (size_t i = 0; i < l->n; i++)
		l->hot[i] = l->hot[i] || ps_guard_lane_touches(&l->lane[i], rule);
}

/* The rules once, though they be many, and the lanes, which are few, for each. */
static void find_hot(const struct checker *c, struct lanes *l)
{
	if (c->one) {
		if (c->is && ps_guard_drops(c->is, c->g->now))
			heat(l, c->is);
		if (c->was && ps_guard_allows_for_good(c->was, c->g->now))
			heat(l, c->was);
		return;
	}
	for (size_t i = 0; i <= c->after->n; i++) {
		const struct ps_rule *rule = ps_rule_view_at(c->after, i);

		if (rule && ps_guard_drops(rule, c->g->now))
			heat(l, rule);
	}
}

static int check_flows(struct checker *c)
{
	_cleanup_(lanes_free) struct lanes l = {0};
	char subject[PS_GUARD_SUBJECT];
	size_t told = SIZE_MAX; /* the flow that was reported last: once is enough */

	if (make_lanes(c->g, &l) < 0)
		return -ENOMEM;
	find_hot(c, &l);
	for (size_t i = 0; i < l.n; i++) {
		const struct ps_guard_lane *lane = &l.lane[i];
		const struct ps_guard_flow *flow = &c->g->flows[lane->flow];
		const struct ps_rule *rule = NULL;
		int r;

		if (!l.hot[i] || lane->flow == told)
			continue;
		r = lane->any_port ? check_ports(c, lane, &rule) : check_lane(c, lane, &rule);
		if (r > 0) {
			told = lane->flow;
			r = add_report(c, flow->kind, ps_guard_subject(flow, subject), flow->connection, rule);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- protected networks --------------------------------------------------------------------------- */

struct both_allows {
	struct ps_guard_allows before, after;
};

static void both_free(struct both_allows *b)
{
	ps_guard_allows_free(&b->before);
	ps_guard_allows_free(&b->after);
}

static int check_drop(
	struct checker *c, const struct both_allows *allows, const struct ps_rule *drop, const struct ps_net *net)
{
	const struct ps_rule *was = rule_of(c->before, drop->id);
	char text[PS_NET_TEXT];

	if (!ps_guard_drops(drop, c->g->now) || !ps_guard_exposes(&allows->after, drop, net))
		return 0;
	if (was && ps_guard_drops(was, c->g->now) && ps_rule_same_match(was, drop) &&
		ps_guard_exposes(&allows->before, was, net))
		return 0;
	return add_report(c, PS_GUARD_PROTECTED, ps_net_format(net, text), 0, drop);
}

static int check_protected(struct checker *c)
{
	_cleanup_(both_free) struct both_allows allows = {0};
	bool allow_lost = !c->one || (c->was && ps_guard_allows_for_good(c->was, c->g->now));
	int r;

	if (!c->g->n_protected || (!allow_lost && (!c->is || !ps_guard_drops(c->is, c->g->now))))
		return 0;
	r = ps_guard_allows_of(c->before, c->g->now, &allows.before);
	if (r >= 0)
		r = ps_guard_allows_of(c->after, c->g->now, &allows.after);
	for (size_t p = 0; r >= 0 && p < c->g->n_protected; p++) {
		const struct ps_net *net = &c->g->protected[p];

		if (!allow_lost)
			r = check_drop(c, &allows, c->is, net);
		for (size_t i = 0; allow_lost && r >= 0 && i <= c->after->n; i++) {
			const struct ps_rule *rule = ps_rule_view_at(c->after, i);

			r = rule ? check_drop(c, &allows, rule, net) : 0;
		}
	}
	return r;
}

int ps_guard_check(const struct ps_guard *g, const struct ps_rule_view *before, const struct ps_rule_view *after,
	int64_t changed, struct ps_value *report)
{
	struct checker c = {.g = g, .before = before, .after = after, .one = changed >= 0, .report = report};
	int r;

	if (c.one) {
		c.was = rule_of(before, changed);
		c.is = rule_of(after, changed);
	}
	r = check_flows(&c);
	if (r >= 0)
		r = check_protected(&c);
	return r < 0 ? r : c.cut;
}
