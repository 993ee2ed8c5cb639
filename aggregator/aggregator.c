#include "aggregator/aggregator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/conn_page.h"
#include "aggregator/limits.h"
#include "aggregator/rule_event.h"
#include "common/base/cleanup.h"

static int new_protected(struct ps_aggregator *a, const struct ps_agg_time *now, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
	int r = ps_protected_new(
		a->config.state_dir, a->config.protect, ps_agg_wall(now), warnings, &a->protected, err);

	for (size_t i = 0; r >= 0 && i < ps_value_count(warnings); i++)
		ps_rule_store_warn(a->rules, ps_value_as_string(ps_value_at(warnings, i), ""));
	return r;
}

int ps_aggregator_new(const struct ps_agg_config *config, const struct ps_agg_time *now, struct ps_aggregator **ret_agg,
	struct ps_error *err)
{
	_cleanup_(ps_aggregator_free) struct ps_aggregator *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->config = *config;
	a->started = now->boot;
	a->ifaces.kernel = NULL;
	(void)snprintf(a->kernel_reason, sizeof(a->kernel_reason), "not looked for yet");
	r = ps_conn_table_new(PS_CONNECTIONS_DEFAULT, &a->conns);
	if (r >= 0)
		r = ps_conn_walks_new(ps_agg_wall(now), &a->walks);
	if (r >= 0)
		r = ps_icmp_table_new(&a->icmp);
	if (r >= 0)
		r = ps_rule_store_new(config->state_dir, config->boot_id ? config->boot_id : "", ps_agg_wall(now),
			now->boot, &a->rules, err);
	if (r >= 0)
		r = new_protected(a, now, err);
	if (r < 0)
		return r;
	a->watch.host = config->host;
	a->watch.ssh = config->ssh;
	a->feed.conns = a->conns;
	a->feed.icmp = a->icmp;
	*ret_agg = PS_TAKE(a);
	return 0;
}

/* --- telling -------------------------------------------------------------------------------------- */

/* For the callbacks of the tables. */
struct teller {
	struct ps_aggregator *a;
	uint64_t now;
	int64_t wall_offset; /* for rules */
};

static void tell_conn(const struct teller *t, enum ps_topic topic, const struct ps_conn *c)
{
	const struct ps_agg_listener *l = &t->a->config.listener;

	if (l->conn)
		l->conn(l->arg, topic, c, t->now);
}

static void tell_update(void *arg, const struct ps_conn *c)
{
	tell_conn(arg, PS_TOPIC_CONN_UPDATE, c);
}

static void tell_end(void *arg, const struct ps_conn *c)
{
	tell_conn(arg, PS_TOPIC_CONN_END, c);
}

static struct ps_record_env env_of(struct ps_aggregator *a, const struct ps_agg_time *now)
{
	return (struct ps_record_env){
		.wall_offset = now->wall_offset,
		.iface_name = ps_iface_names_get,
		.arg = &a->ifaces,
	};
}

/* --- what the collector notes ---------------------------------------------------------------------- */

static int by_ifindex(const void *x, const void *y)
{
	const struct ps_kernel_iface *a = x, *b = y;

	return (a->ifindex > b->ifindex) - (a->ifindex < b->ifindex);
}

static size_t read_ifaces(struct ps_aggregator *a, struct ps_kernel_iface ret_ifaces[static PS_IFACES_MAX])
{
	size_t n = a->config.kernel.ops->ifaces(a->config.kernel.impl, ret_ifaces);

	qsort(ret_ifaces, n, sizeof(*ret_ifaces), by_ifindex);
	return n;
}

const char *ps_aggregator_trouble(struct ps_aggregator *a)
{
	struct ps_kernel_iface ifaces[PS_IFACES_MAX];
	size_t n;

	if (a->kernel_reason[0])
		return a->kernel_reason;
	n = read_ifaces(a, ifaces);
	for (size_t i = 0; i < n; i++) {
		if (ifaces[i].v.flags & PS_IFACE_XDP)
			return NULL;
	}
	return "the programs are on no interface: nothing is counted, no rule is enforced; see what the collector "
	       "logs, "
	       "or start everything with: packetscope up";
}

/* --- the kernel's maps come and go ---------------------------------------------------------------- */

static void detach(struct ps_aggregator *a, const struct ps_agg_time *now)
{
	struct teller t = {.a = a, .now = now->boot};

	if (!a->attached)
		return;
	ps_conn_table_mark(a->conns);
	(void)ps_conn_table_end_unseen(a->conns, PS_END_DETACHED, now->boot, tell_end, &t);
	ps_icmp_table_mark(a->icmp);
	ps_icmp_table_drop_unseen(a->icmp);
	a->attached = false;
	a->suspects = false;
	a->feed.ledger = NULL;
	a->feed.sweep = NULL;
	a->ifaces.kernel = NULL;
	(void)ps_rule_store_attach(a->rules, NULL, 0, 0, NULL);
	ps_sweep_free(&a->sweep);
	a->config.kernel.ops->close(a->config.kernel.impl, &a->view);
	memset(&a->view, 0, sizeof(a->view));
	memset(&a->swept, 0, sizeof(a->swept));
}

void ps_aggregator_free(struct ps_aggregator **agg)
{
	struct ps_aggregator *a = *agg;

	if (!a)
		return;
	ps_sweep_free(&a->sweep);
	if (a->attached)
		a->config.kernel.ops->close(a->config.kernel.impl, &a->view);
	ps_rule_store_free(&a->rules);
	ps_rule_stage_drop(&a->stage);
	ps_protected_free(&a->protected);
	ps_icmp_table_free(&a->icmp);
	ps_conn_walks_free(&a->walks);
	ps_conn_table_free(&a->conns);
	free(a);
	*agg = NULL;
}

static int attach(struct ps_aggregator *a, const struct ps_agg_time *now, struct ps_error *err)
{
	const struct ps_kernel *k = &a->config.kernel;
	int r = k->ops->open(k->impl, &a->view, err);

	if (r < 0)
		return r;
	r = ps_sweep_new(&a->view, a->conns, &a->sweep);
	if (r < 0) {
		k->ops->close(k->impl, &a->view);
		return ps_error_set(err, r, 503, "no_memory", "", "no memory for %u slots", ps_kernel_slots(&a->view));
	}
	a->attached = true;
	a->kernel_reason[0] = '\0';
	a->ifaces.kernel = k;
	ps_iface_names_forget(&a->ifaces);
	a->feed.ledger = a->view.ledger;
	a->feed.sweep = a->sweep;
	/* As many as there are slots can live; as many again may have ended without our knowing yet. */
	ps_conn_table_set_limit(a->conns, 2 * (size_t)ps_kernel_slots(&a->view));
	memset(&a->before, 0, sizeof(a->before));
	memset(&a->after, 0, sizeof(a->after));
	a->icmp_seen = UINT64_MAX;
	a->lost_seen = UINT64_MAX;
	a->resync = true;
	/* Rules that don't fit stay in the store: `status` says why they are not in force. */
	r = ps_rule_store_attach(a->rules, &a->view, ps_agg_wall(now), now->boot, err);
	if (r < 0 && err)
		(void)snprintf(a->kernel_reason, sizeof(a->kernel_reason), "rules not in force: %.200s", err->message);
	return 0;
}

/* Are the maps that we hold the ones that are pinned? */
static void check_kernel(struct ps_aggregator *a, const struct ps_agg_time *now)
{
	const struct ps_kernel *k = &a->config.kernel;
	struct ps_error err = {0};
	uint64_t created = 0;
	int r = k->ops->created(k->impl, &created);

	if (a->attached && r >= 0 && created == a->view.meta.created)
		return;
	/* Pins that can't be read now say nothing of maps that we hold. */
	if (a->attached && r < 0 && r != -ENOENT)
		return;
	detach(a, now);
	r = attach(a, now, &err);
	if (r < 0)
		(void)snprintf(
			a->kernel_reason, sizeof(a->kernel_reason), "%s", err.message[0] ? err.message : strerror(-r));
}

/* --- bringing the tables up to date --------------------------------------------------------------- */

static void breathe(void *arg)
{
	const struct teller *t = arg;

	t->a->config.breathe(t->a->config.breathe_arg);
}

static void sweep(struct ps_aggregator *a, const struct ps_agg_time *now, bool refresh_only, bool look_at_all)
{
	const struct ps_record_env env = env_of(a, now);
	struct teller t = {.a = a, .now = now->boot};
	const struct ps_sweep_run run = {
		.now = now->boot,
		.env = &env,
		.timeouts = &a->config.timeouts,
		.refresh_only = refresh_only,
		.look_at_all = look_at_all,
		.on_update = tell_update,
		.on_end = tell_end,
		.breathe = a->config.breathe ? breathe : NULL,
		.arg = &t,
	};

	(void)ps_sweep_run(a->sweep, &run, &a->swept);
	if (a->swept.ended)
		__atomic_store_n(&a->view.ledger->expired, a->view.ledger->expired + a->swept.ended, __ATOMIC_RELAXED);
	a->refreshed = now->boot;
}

void ps_aggregator_refresh(struct ps_aggregator *a, const struct ps_agg_time *now)
{
	if (a->attached && a->refreshed + PS_FRESH_NS <= now->boot)
		sweep(a, now, true, false);
}

/* For the walk through ps_icmp. */
struct icmp_reader {
	struct ps_icmp_table *table;
	const struct ps_record_env *env;
};

static void take_icmp(void *arg, const struct ps_icmp_key *key, const struct ps_icmp_val *val)
{
	const struct icmp_reader *r = arg;
	struct ps_icmp icmp;

	ps_icmp_from_raw(key, val, r->env, &icmp);
	(void)ps_icmp_table_apply(r->table, &icmp);
}

static void read_icmp(struct ps_aggregator *a, const struct ps_agg_time *now, uint64_t messages)
{
	const struct ps_kernel *k = &a->config.kernel;
	const struct ps_record_env env = env_of(a, now);
	struct icmp_reader reader = {.table = a->icmp, .env = &env};

	if (messages == a->icmp_seen)
		return;
	ps_icmp_table_mark(a->icmp);
	if (k->ops->icmp(k->impl, take_icmp, &reader) < 0)
		return;
	ps_icmp_table_drop_unseen(a->icmp);
	a->icmp_seen = messages;
}

void ps_aggregator_refresh_icmp(struct ps_aggregator *a, const struct ps_agg_time *now)
{
	struct ps_stats stats;

	if (a->attached && a->config.kernel.ops->stats(a->config.kernel.impl, &stats) >= 0)
		read_icmp(a, now, stats.icmp_packets);
}

int ps_aggregator_message(struct ps_aggregator *a, const struct ps_message *m, const struct ps_agg_time *now)
{
	a->feed.wall_offset = now->wall_offset;
	return ps_feed_message(&a->feed, m, now->boot);
}

/* --- the tick --------------------------------------------------------------------------------------- */

static uint64_t ring_losses(const struct ps_stats *s)
{
	return s->lost_conn_new + s->lost_conn_update + s->lost_conn_end + s->lost_icmp + s->lost_drop;
}

static void read_stats(struct ps_aggregator *a, const struct ps_agg_time *now)
{
	const struct ps_kernel *k = &a->config.kernel;
	struct ps_stats_sample sample = {.time = now->boot};

	if (k->ops->stats(k->impl, &sample.stats) < 0)
		return;
	if (a->lost_seen != UINT64_MAX && ring_losses(&sample.stats) != a->lost_seen)
		a->feed.gap = true;
	a->lost_seen = ring_losses(&sample.stats);
	a->before = a->after;
	a->after = sample;
	read_icmp(a, now, sample.stats.icmp_packets);
}

/*
 * A pass over the whole kernel table now; with the next tick, what it didn't meet has ended unheard. Not at once: the
 * end may be on its way with the right counters.
 */
static void sweep_or_resync(struct ps_aggregator *a, const struct ps_agg_time *now)
{
	struct teller t = {.a = a, .now = now->boot};
	struct ps_conn_totals totals;

	if (a->suspects) {
		sweep(a, now, false, false);
		(void)ps_conn_table_end_unseen(a->conns, PS_END_EVICTED, now->boot, tell_end, &t);
		a->suspects = false;
	} else if (a->resync) {
		a->resync = false;
		ps_conn_table_mark(a->conns);
		sweep(a, now, false, true);
		__atomic_store_n(&a->view.ledger->resyncs, a->view.ledger->resyncs + 1, __ATOMIC_RELAXED);
		a->suspects = true;
	} else {
		sweep(a, now, false, false);
	}
	/* A record that came after its end had been forgotten would stay for ever. */
	ps_conn_table_totals(a->conns, &totals);
	a->surplus = totals.live > (size_t)a->swept.used + a->swept.dying ? a->surplus + 1 : 0;
	if (a->surplus >= 3) {
		a->surplus = 0;
		a->resync = true;
	}
}

static void publish_snapshot(struct ps_aggregator *a, const struct ps_agg_time *now)
{
	static const struct ps_value *const no_args = NULL;
	_cleanup_free_ struct ps_conn_page *page = NULL;
	struct teller t = {.a = a, .now = now->boot};
	struct ps_conn_query q;

	_Static_assert(PS_SNAPSHOT_RECORDS <= PS_REQUEST_PAGE_MAX, "a snapshot is one page");
	if (a->snapshot_at + PS_SNAPSHOT_NS > now->boot || !a->config.listener.conn)
		return;
	page = malloc(sizeof(*page));
	if (!page || ps_conn_query_parse(no_args, &q, NULL) < 0)
		return;
	q.limit = PS_SNAPSHOT_RECORDS;
	q.breathe = a->config.breathe;
	q.breathe_arg = a->config.breathe_arg;
	if (ps_conn_page_read(&q, a->conns, page) < 0)
		return;
	for (size_t i = 0; i < page->n; i++) {
		bool ended = true;

		if (ps_conn_table_find(a->conns, page->row[i]->id, &ended) == page->row[i] && !ended)
			tell_conn(&t, PS_TOPIC_SNAPSHOT, page->row[i]);
	}
	a->snapshot_at = now->boot;
}

static struct ps_value *report(struct ps_aggregator *a, const struct ps_agg_time *now, const struct ps_stats *stats)
{
	struct ps_stats_input in = {
		.stats = stats,
		.before = &a->before,
		.after = &a->after,
		.ledger = a->view.ledger,
		.sweep = &a->swept,
		.icmp_entries = ps_icmp_table_count(a->icmp),
		.slots = ps_kernel_slots(&a->view),
		.max_connections = a->view.meta.max_connections,
		.generation = ps_rule_store_generation(a->rules),
		.uptime = now->boot - a->started,
		.created = a->view.meta.created,
		.now = ps_agg_wall(now),
	};
	struct ps_kernel_iface ifaces[PS_IFACES_MAX];
	const struct ps_rule *rules;
	size_t n;

	in.ifaces = ifaces;
	in.n_ifaces = read_ifaces(a, ifaces);
	ps_conn_table_totals(a->conns, &in.conns);
	ps_conn_walks_totals(a->walks, &in.walks);
	rules = ps_rule_store_rules(a->rules, &n);
	in.rules = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		in.rules_enabled += rules[i].enabled;
	return ps_stats_report(&in);
}

static void publish_stats(struct ps_aggregator *a, const struct ps_agg_time *now)
{
	_cleanup_(ps_value_free) struct ps_value *body = NULL;

	if (!a->config.listener.map || !a->after.time)
		return;
	body = report(a, now, &a->after.stats);
	if (body)
		a->config.listener.map(a->config.listener.arg, PS_TOPIC_STATS, body);
}

/* Into the ledger, which outlives us: a counter never goes back. */
static void book_thrown(struct ps_aggregator *a)
{
	struct ps_ledger *ledger = a->view.ledger;

	ledger->broken_messages += a->thrown.broken_messages - a->booked.broken_messages;
	ledger->broken_requests += a->thrown.broken_requests - a->booked.broken_requests;
	ledger->late_requests += a->thrown.late_requests - a->booked.late_requests;
	a->booked = a->thrown;
}

static void tell_rule(void *arg, const char *action, const struct ps_rule_result *res)
{
	const struct teller *t = arg;
	const struct ps_agg_listener *l = &t->a->config.listener;
	_cleanup_(ps_value_free) struct ps_value *map = NULL;

	if (!l->map)
		return;
	map = ps_rule_event(t->a->rules, action, "packetscope", res, t->now + (uint64_t)t->wall_offset, t->wall_offset);
	if (map)
		l->map(l->arg, PS_TOPIC_RULE, map);
}

void ps_aggregator_tick(struct ps_aggregator *a, const struct ps_agg_time *now)
{
	struct teller t = {.a = a, .now = now->boot, .wall_offset = now->wall_offset};

	check_kernel(a, now);
	ps_rule_store_tick(a->rules, ps_agg_wall(now), now->boot, tell_rule, &t);
	ps_rule_stage_expire(&a->stage, now->boot);
	ps_conn_table_forget(a->conns, now->boot);
	ps_conn_walks_forget(a->walks, now->boot);
	if (a->attached) {
		read_stats(a, now);
		book_thrown(a);
		if (a->feed.gap)
			a->resync = true;
		a->feed.gap = false;
		sweep_or_resync(a, now);
		publish_stats(a, now);
	}
	publish_snapshot(a, now);
}

struct ps_value *ps_aggregator_stats(struct ps_aggregator *a, const struct ps_agg_time *now, struct ps_error *err)
{
	struct ps_stats stats;
	struct ps_value *body;
	int r;

	if (!a->attached) {
		(void)ps_error_set(err, -ENOTCONN, 503, "no_kernel", "", "no counters: %s", a->kernel_reason);
		return NULL;
	}
	r = a->config.kernel.ops->stats(a->config.kernel.impl, &stats);
	if (r < 0) {
		(void)ps_error_set(err, r, 503, "no_kernel", "", "cannot read ps_stats: %s", strerror(-r));
		return NULL;
	}
	body = report(a, now, &stats);
	if (!body)
		(void)ps_error_set(err, -ENOMEM, 503, "no_memory", "", "no memory for the counters");
	return body;
}
