#include "replay/pipeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/conn_table.h"
#include "aggregator/iface_names.h"
#include "aggregator/rule_install.h"
#include "aggregator/rule_set.h"
#include "aggregator/rule_store.h"
#include "aggregator/stats_report.h"
#include "aggregator/sweep.h"
#include "collector/event.h"
#include "common/base/cleanup.h"
#include "common/model/record.h"
#include "replay/limits.h"

struct ps_pipeline {
	struct ps_machine *machine;
	struct ps_timeouts timeouts;
	struct ps_conn_table *conns;
	struct ps_icmp_table *icmp;
	struct ps_sweep *sweep;
	struct ps_sweep_result swept;
	struct ps_detect *detect;
	struct ps_iface_names ifaces;
	struct ps_record_env env;
	uint32_t rules, rules_enabled;

	uint64_t first, now; /* capture time */
	uint64_t ticked;     /* of the last sweep that was due */
	uint64_t swept_at;   /* of the last sweep */
	unsigned undrained;  /* frames since the rings were read */
	int error;           /* of a callback; the first one counts */

	struct ps_conn *ended; /* every one, in order of its end */
	size_t n_ended, cap_ended;

	struct ps_stats counters;
	const struct ps_conn **conn_list;
	size_t n_conns;
	const struct ps_icmp **icmp_list;
	size_t n_icmp;
};

/* --- what the kernel and the sweep tell ------------------------------------------------------------ */

static void keep_ended(struct ps_pipeline *p, const struct ps_conn *c)
{
	if (p->n_ended == p->cap_ended) {
		size_t cap = p->cap_ended ? p->cap_ended * 2 : 256;
		struct ps_conn *more = realloc(p->ended, cap * sizeof(*more));

		if (!more) {
			p->error = p->error ? p->error : -ENOMEM;
			return;
		}
		p->ended = more;
		p->cap_ended = cap;
	}
	p->ended[p->n_ended++] = *c;
}

static void on_end(void *arg, const struct ps_conn *c)
{
	struct ps_pipeline *p = arg;

	keep_ended(p, c);
	ps_detect_conn(p->detect, PS_DETECT_END, c, p->swept_at);
}

static void on_update(void *arg, const struct ps_conn *c)
{
	struct ps_pipeline *p = arg;

	ps_detect_conn(p->detect, PS_DETECT_UPDATE, c, p->swept_at);
}

/* By the time of its packet: an event may be read only when the next packet comes, hours later. */
static void detect_conn(const struct ps_pipeline *p, unsigned type, const struct ps_conn *c)
{
	static const enum ps_detect_event events[PS_EV_TYPES] = {
		[PS_EV_CONN_NEW] = PS_DETECT_NEW,
		[PS_EV_CONN_UPDATE] = PS_DETECT_UPDATE,
		[PS_EV_CONN_END] = PS_DETECT_END,
	};

	ps_detect_conn(p->detect, events[type], c, c->last_seen);
}

static int take_conn(struct ps_pipeline *p, const struct ps_event *e)
{
	bool end = e->type == PS_EV_CONN_END;
	struct ps_conn c;
	int r;

	ps_conn_from_raw(&e->conn.conn, &p->env, &c);
	detect_conn(p, e->type, &c);
	r = ps_conn_table_apply(p->conns, &c, end, p->now);
	if (r == PS_CHANGE_END)
		keep_ended(p, &c);
	return r;
}

static int take_icmp(struct ps_pipeline *p, const struct ps_icmp_key *key, const struct ps_icmp_val *val)
{
	struct ps_icmp icmp;

	ps_icmp_from_raw(key, val, &p->env, &icmp);
	ps_detect_icmp(p->detect, &icmp, icmp.last_seen);
	return ps_icmp_table_apply(p->icmp, &icmp);
}

/* As the collector reads it and the aggregator's feed applies it; the ledger says so for both. */
static void on_event(void *arg, const struct ps_ring_place *place, const void *data, size_t size)
{
	struct ps_pipeline *p = arg;
	struct ps_ledger *ledger = ps_machine_view(p->machine)->ledger;
	struct ps_event e;
	int r = 0;

	(void)place;
	if (ps_event_read(data, size, &e) < 0) {
		ledger->received[0]++;
		return;
	}
	if (e.type == PS_EV_ICMP)
		r = take_icmp(p, &e.icmp.key, &e.icmp.val);
	else if (e.type != PS_EV_DROP)
		r = take_conn(p, &e);
	if (r < 0)
		p->error = p->error ? p->error : r;
	ledger->received[e.type]++;
	ledger->published[e.type]++;
	ledger->applied[e.type]++;
}

/* --- time ------------------------------------------------------------------------------------------- */

static void sweep(struct ps_pipeline *p, uint64_t now, bool look_at_all)
{
	const struct ps_sweep_run run = {
		.now = now,
		.env = &p->env,
		.timeouts = &p->timeouts,
		.look_at_all = look_at_all,
		.on_update = on_update,
		.on_end = on_end,
		.arg = p,
	};
	int r;

	ps_machine_drain(p->machine);
	p->undrained = 0;
	p->swept_at = now;
	ps_conn_table_forget(p->conns, now);
	r = ps_sweep_run(p->sweep, &run, &p->swept);
	if (r < 0)
		p->error = p->error ? p->error : r;
	ps_machine_view(p->machine)->ledger->expired += p->swept.ended;
	ps_detect_tick(p->detect, now);
}

/*
 * The ticks up to `now`. Of those that fall into a silence only the last two can matter: the first of them hides what
 * has been silent for too long, the second ends it, and nothing else happens in between.
 */
static void pass_time(struct ps_pipeline *p, uint64_t now)
{
	uint64_t ticks = (now - p->ticked) / PS_REPLAY_TICK_NS;

	if (!ticks)
		return;
	p->ticked += ticks * PS_REPLAY_TICK_NS;
	if (ticks > 1)
		sweep(p, p->ticked - PS_REPLAY_TICK_NS, false);
	sweep(p, p->ticked, false);
}

int ps_pipeline_frame(struct ps_pipeline *p, bool egress, const uint8_t *frame, size_t len, uint64_t time,
	bool *ret_late, struct ps_error *err)
{
	/* 0 says "never" in the kernel's tables. */
	uint64_t now = PS_MAX(time, 1);
	int r;

	*ret_late = now < p->now;
	if (!p->first)
		p->first = p->ticked = now;
	p->now = PS_MAX(p->now, now);
	pass_time(p, p->now);
	ps_machine_clock(p->machine, p->now);
	r = ps_machine_run(p->machine, egress, frame, len, err);
	if (++p->undrained >= PS_REPLAY_DRAIN_PACKETS) {
		ps_machine_drain(p->machine);
		p->undrained = 0;
	}
	return p->error ? p->error : r;
}

/* --- beginning ------------------------------------------------------------------------------------- */

int ps_pipeline_new(uint32_t max_connections, const struct ps_timeouts *timeouts,
	const struct ps_detect_config *thresholds, struct ps_pipeline **ret_pipeline, struct ps_buf *log,
	struct ps_error *err)
{
	_cleanup_(ps_pipeline_free) struct ps_pipeline *p = calloc(1, sizeof(*p));
	const struct ps_kernel_view *view;
	int r;

	if (!p)
		return -ENOMEM;
	p->timeouts = *timeouts;
	r = ps_machine_new(max_connections, on_event, p, &p->machine, log, err);
	if (r < 0)
		return r;
	view = ps_machine_view(p->machine);
	p->ifaces.kernel = ps_machine_kernel(p->machine);
	p->env = (struct ps_record_env){.iface_name = ps_iface_names_get, .arg = &p->ifaces};
	r = ps_conn_table_new(2 * (size_t)ps_kernel_slots(view), &p->conns);
	if (r == 0)
		r = ps_icmp_table_new(&p->icmp);
	if (r == 0)
		r = ps_detect_new(thresholds, NULL, NULL, &p->detect);
	if (r == 0)
		r = ps_sweep_new(view, p->conns, &p->sweep);
	if (r < 0)
		return r;
	*ret_pipeline = PS_TAKE(p);
	return 0;
}

void ps_pipeline_free(struct ps_pipeline **pipeline)
{
	struct ps_pipeline *p = *pipeline;

	if (!p)
		return;
	ps_sweep_free(&p->sweep);
	ps_icmp_table_free(&p->icmp);
	ps_conn_table_free(&p->conns);
	ps_machine_free(&p->machine);
	ps_detect_free(&p->detect);
	free(p->ended);
	free(p->conn_list);
	free(p->icmp_list);
	ps_freep(pipeline);
}

int ps_pipeline_rules(struct ps_pipeline *p, const struct ps_rule *rules, size_t n, struct ps_error *err)
{
	_cleanup_(ps_rule_set_free) struct ps_rule_set *set = NULL;
	struct ps_kernel_view *view = ps_machine_view(p->machine);
	int r = ps_rule_set_new(&set);

	if (r == 0)
		r = ps_rule_set_compile(set, rules, n, p->env.wall_offset, err);
	if (r == 0)
		r = ps_rule_install_prepare(view, set, 0, err);
	if (r < 0)
		return r;
	(void)ps_rule_install(view, set, 0);
	p->rules = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		p->rules_enabled += rules[i].enabled;
	return 0;
}

/* --- the end ------------------------------------------------------------------------------------------ */

static int compare_conns(const void *a, const void *b)
{
	const struct ps_conn *ca = *(const struct ps_conn *const *)a, *cb = *(const struct ps_conn *const *)b;

	if (ca->first_seen != cb->first_seen)
		return ca->first_seen < cb->first_seen ? -1 : 1;
	return (ca->id > cb->id) - (ca->id < cb->id);
}

static int compare_icmp(const void *a, const void *b)
{
	return ps_icmp_compare(*(const struct ps_icmp *const *)a, *(const struct ps_icmp *const *)b);
}

static int list_conns(struct ps_pipeline *p)
{
	struct ps_conn_totals totals;
	const struct ps_conn *c;
	size_t position = 0;
	bool ended;

	ps_conn_table_totals(p->conns, &totals);
	p->conn_list = calloc(p->n_ended + totals.live + 1, sizeof(const struct ps_conn *));
	if (!p->conn_list)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_ended; i++)
		p->conn_list[p->n_conns++] = &p->ended[i];
	while ((c = ps_conn_table_next(p->conns, &position, &ended))) {
		if (!ended)
			p->conn_list[p->n_conns++] = c;
	}
	qsort(p->conn_list, p->n_conns, sizeof(const struct ps_conn *), compare_conns);
	return 0;
}

static void from_kernel(void *arg, const struct ps_icmp_key *key, const struct ps_icmp_val *val)
{
	struct ps_pipeline *p = arg;
	int r = take_icmp(p, key, val);

	if (r < 0)
		p->error = p->error ? p->error : r;
}

/* The kernel's map as a whole: events tell of a message at most once an interval. */
static int list_icmp(struct ps_pipeline *p)
{
	const struct ps_kernel *k = ps_machine_kernel(p->machine);
	int r = k->ops->icmp(k->impl, from_kernel, p);

	if (r < 0)
		return r;
	p->icmp_list = calloc(ps_icmp_table_count(p->icmp) + 1, sizeof(const struct ps_icmp *));
	if (!p->icmp_list)
		return -ENOMEM;
	for (; p->n_icmp < ps_icmp_table_count(p->icmp); p->n_icmp++)
		p->icmp_list[p->n_icmp] = ps_icmp_table_at(p->icmp, p->n_icmp);
	qsort(p->icmp_list, p->n_icmp, sizeof(const struct ps_icmp *), compare_icmp);
	return p->error;
}

int ps_pipeline_finish(struct ps_pipeline *p, struct ps_error *err)
{
	const struct ps_kernel *k = ps_machine_kernel(p->machine);
	const struct ps_ledger *ledger = ps_machine_view(p->machine)->ledger;
	uint64_t lost;
	int r;

	sweep(p, p->now, true);
	r = p->error ? p->error : k->ops->stats(k->impl, &p->counters);
	if (r == 0)
		r = list_conns(p);
	if (r == 0)
		r = list_icmp(p);
	if (r < 0)
		return r;
	ps_detect_finish(p->detect, p->now);
	lost = p->counters.lost_conn_new + p->counters.lost_conn_update + p->counters.lost_conn_end +
	       p->counters.lost_icmp + p->counters.lost_drop + ledger->received[0];
	if (lost)
		return ps_error_set(err, -EIO, 500, "lost", "",
			"%llu events of the kernel part were lost or broken, so connections may be missing: report "
			"this",
			(unsigned long long)lost);
	return 0;
}

const struct ps_conn *const *ps_pipeline_conns(const struct ps_pipeline *p, size_t *ret_n)
{
	*ret_n = p->n_conns;
	return p->conn_list;
}

const struct ps_icmp *const *ps_pipeline_icmp(const struct ps_pipeline *p, size_t *ret_n)
{
	*ret_n = p->n_icmp;
	return p->icmp_list;
}

const struct ps_detect *ps_pipeline_detect(const struct ps_pipeline *p)
{
	return p->detect;
}

struct ps_value *ps_pipeline_stats(const struct ps_pipeline *p)
{
	const struct ps_kernel_view *view = ps_machine_view(p->machine);
	const struct ps_stats_sample before = {.time = p->first}, after = {.time = p->now, .stats = p->counters};
	struct ps_stats_input in = {
		.stats = &p->counters,
		.before = &before,
		.after = &after,
		.ledger = view->ledger,
		.sweep = &p->swept,
		.icmp_entries = p->n_icmp,
		.slots = ps_kernel_slots(view),
		.max_connections = view->meta.max_connections,
		.generation = p->rules ? ps_rule_install_generation(view, p->now) : 0,
		.rules = p->rules,
		.rules_enabled = p->rules_enabled,
		.uptime = p->now - p->first,
		.created = p->first,
		.now = p->now,
	};

	ps_conn_table_totals(p->conns, &in.conns);
	in.conns.ended = p->n_ended;
	return ps_stats_report(&in);
}

struct ps_value *ps_pipeline_rule(const struct ps_pipeline *p, const struct ps_rule *rule)
{
	return ps_rule_counted(ps_machine_view(p->machine), rule, 0, p->env.wall_offset);
}

const struct ps_stats *ps_pipeline_counters(const struct ps_pipeline *p)
{
	return &p->counters;
}

uint64_t ps_pipeline_span(const struct ps_pipeline *p)
{
	return p->now - p->first;
}
