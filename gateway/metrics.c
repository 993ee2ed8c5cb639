/* GET /metrics: asks every part at once and puts the numbers of all into one tree, from which the table is filled. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "gateway/collector.h"
#include "gateway/events.h"
#include "gateway/exchange.h"
#include "gateway/handlers.h"
#include "gateway/prometheus.h"
#include "gateway/route.h"

static const struct {
	enum ps_part part;
	const char *op;
} questions[] = {
	{PS_PART_AGGREGATOR, "status"},
	{PS_PART_AGGREGATOR, "stats"},
	{PS_PART_AI, "status"},
};

enum {
	AGGREGATOR_STATUS,
	AGGREGATOR_STATS,
	AI_STATUS,
	QUESTIONS
};

struct metrics;

struct answer {
	struct metrics *metrics;
	struct ps_value *body; /* NULL: none */
};

struct metrics {
	struct ps_exchange *x;
	int waiting;
	struct answer answer[QUESTIONS];
};

static void metrics_free(struct metrics **pm)
{
	struct metrics *m = *pm;

	if (!m)
		return;
	for (int i = 0; i < QUESTIONS; i++)
		ps_value_free(&m->answer[i].body);
	free(m);
	*pm = NULL;
}

/* A map under construction whose first failure is kept. */
struct filling {
	struct ps_value *map;
	int error;
};

static void put(struct filling *f, const char *key, struct ps_value *v)
{
	int r;

	if (!f->map) {
		ps_value_free(&v);
		f->error = -ENOMEM;
		return;
	}
	r = ps_value_set(f->map, key, v);
	if (r < 0)
		f->error = r;
}

static struct ps_value *finish(struct filling *f)
{
	if (f->error)
		ps_value_free(&f->map);
	return f->map;
}

static struct filling begin(void)
{
	return (struct filling){.map = ps_value_map()};
}

static struct ps_value *up(const struct metrics *m)
{
	const struct ps_value *aggregator = m->answer[AGGREGATOR_STATUS].body;
	struct filling f = begin();

	put(&f, "gateway", ps_value_bool(true));
	put(&f, "collector", ps_value_bool(!ps_collector_reason(m->x->gateway->collector, aggregator, NULL)));
	put(&f, "aggregator", ps_value_bool(aggregator));
	put(&f, "ai-worker", ps_value_bool(m->answer[AI_STATUS].body));
	return finish(&f);
}

static struct ps_value *connections(const struct ps_value *stats)
{
	const struct ps_value *table = ps_value_get(stats, "table");
	struct filling f = begin();

	put(&f, "confirmed", ps_value_uint(ps_value_get_uint(table, "confirmed", 0)));
	put(&f, "half_open", ps_value_uint(ps_value_get_uint(table, "half_open", 0)));
	return finish(&f);
}

static struct ps_value *rules(const struct ps_value *stats)
{
	const struct ps_value *r = ps_value_get(stats, "rules");
	uint64_t all = ps_value_get_uint(r, "rules", 0), enabled = PS_MIN(all, ps_value_get_uint(r, "enabled", 0));
	struct filling f = begin();

	put(&f, "enabled", ps_value_uint(enabled));
	put(&f, "disabled", ps_value_uint(all - enabled));
	return finish(&f);
}

/* statm's second number is resident pages (proc(5)). */
static uint64_t resident(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/statm", "re");
	unsigned long size, pages;

	if (!file || fscanf(file, "%lu %lu", &size, &pages) != 2)
		return 0;
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct ps_value *responses(const struct ps_gateway *g)
{
	struct filling f = begin();
	char class[] = "0xx";

	for (size_t i = 2; i < PS_ARRAY_SIZE(g->totals.responses); i++) {
		class[0] = (char)('0' + i);
		put(&f, class, ps_value_uint(g->totals.responses[i]));
	}
	return finish(&f);
}

static struct ps_value *closed(const struct ps_gateway *g)
{
	struct filling f = begin();

	put(&f, "slow", ps_value_uint(g->totals.expired));
	put(&f, "room", ps_value_uint(g->totals.evicted));
	return finish(&f);
}

static struct ps_value *own(const struct ps_gateway *g)
{
	struct ps_events_totals e = {0};
	struct filling f = begin();

	if (g->events)
		ps_events_totals(g->events, &e);
	put(&f, "uptime", ps_value_real((double)(ps_clock_boot() - g->started) / (double)PS_NSEC));
	put(&f, "memory", ps_value_uint(resident()));
	put(&f, "responses", responses(g));
	put(&f, "closed", closed(g));
	put(&f, "connections", ps_value_uint(g->totals.connections - PS_MIN(g->totals.connections, e.streams)));
	put(&f, "bad_tokens", ps_value_uint(g->access.failures.total));
	put(&f, "streams", ps_value_uint(e.streams));
	put(&f, "streams_cut", ps_value_uint(e.cut));
	put(&f, "events", ps_value_uint(e.events));
	put(&f, "events_lost", ps_value_uint(e.lost));
	return finish(&f);
}

static struct ps_value *build(void)
{
	struct filling f = begin();

	put(&f, PS_VERSION, ps_value_int(1));
	return finish(&f);
}

static void report(struct metrics *m)
{
	const struct ps_value *stats = m->answer[AGGREGATOR_STATS].body;
	struct ps_exchange *x = m->x;
	struct filling f = begin();

	put(&f, "up", up(m));
	put(&f, "build", build());
	put(&f, "gateway", own(x->gateway));
	if (stats) {
		put(&f, "connections", connections(stats));
		put(&f, "rules", rules(stats));
		put(&f, "stats", PS_TAKE(m->answer[AGGREGATOR_STATS].body));
	}
	if (f.error)
		x->resp.error = f.error;
	else
		ps_prometheus_write(&x->resp.body, f.map);
	ps_value_free(&f.map);
	ps_answer_body(x, 200, PS_PROMETHEUS_TYPE);
}

static void on_answer(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct answer *a = arg;
	_cleanup_(metrics_free) struct metrics *last = NULL;

	if (!err)
		a->body = PS_TAKE(reply->body);
	if (--a->metrics->waiting)
		return;
	last = a->metrics;
	report(last);
}

void ps_handle_metrics(struct ps_exchange *x)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (!m) {
		ps_answer_value(x, 200, NULL);
		return;
	}
	m->x = x;
	m->waiting = QUESTIONS;
	for (int i = 0; i < QUESTIONS; i++)
		m->answer[i].metrics = m;
	/* The last answer frees m, and it may come at once. */
	for (int i = 0; i < QUESTIONS; i++)
		ps_exchange_forward(x, questions[i].part, questions[i].op, NULL, on_answer, &m->answer[i]);
}
