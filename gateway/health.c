/*
 * GET /api/health: asks every part at once and says which answer. The collector answers nobody: it is knocked at, and
 * the aggregator knows when it last gave a sign of life.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "gateway/collector.h"
#include "gateway/exchange.h"
#include "gateway/handlers.h"
#include "gateway/route.h"

struct health;

struct question {
	struct health *health;
	struct ps_value *status; /* the part's answer; NULL = none */
	struct ps_error error;   /* and why */
};

struct health {
	struct ps_exchange *x;
	int waiting;
	struct question part[PS_PARTS];
};

static void health_free(struct health **ph)
{
	struct health *h = *ph;

	if (!h)
		return;
	for (int i = 0; i < PS_PARTS; i++)
		ps_value_free(&h->part[i].status);
	free(h);
	*ph = NULL;
}

/* {"ok": …, "reason": …} and what the part says of itself. */
static struct ps_value *part_new(const char *reason, const struct ps_value *status)
{
	static const char *const shown[] = {"version", "pid", "uptime", "warnings"};
	struct ps_value *v = ps_value_map();
	int r = ps_value_set(v, "ok", ps_value_bool(!reason));

	if (r == 0)
		r = ps_value_set(v, "reason", ps_value_string(reason));
	for (size_t i = 0; i < PS_ARRAY_SIZE(shown) && r == 0; i++) {
		const struct ps_value *member = ps_value_get(status, shown[i]);

		if (member)
			r = ps_value_set(v, shown[i], ps_value_copy(member));
	}
	if (r < 0)
		ps_value_free(&v);
	return v;
}

static struct ps_value *gateway_part(void)
{
	struct ps_value *v = part_new(NULL, NULL);

	if (v && (ps_value_set(v, "version", ps_value_string(PS_VERSION)) < 0 ||
			 ps_value_set(v, "pid", ps_value_int(getpid())) < 0))
		ps_value_free(&v);
	return v;
}

static struct ps_value *collector_part(const struct ps_exchange *x, const struct ps_value *aggregator)
{
	int64_t pid = 0;
	struct ps_value *v = part_new(ps_collector_reason(x->gateway->collector, aggregator, &pid), NULL);

	if (v && pid && ps_value_set(v, "pid", ps_value_int(pid)) < 0)
		ps_value_free(&v);
	return v;
}

static const char *aggregator_reason(const struct question *q)
{
	const char *kernel;

	if (!q->status)
		return q->error.message;
	kernel = ps_value_get_string(q->status, "kernel", "ok");
	return kernel[0] == 'o' && kernel[1] == 'k' && !kernel[2] ? NULL : kernel;
}

static int add(struct ps_value *parts, const char *name, struct ps_value *part, bool *ret_ok)
{
	*ret_ok = ps_value_get_bool(part, "ok", false);
	return ps_value_set(parts, name, part);
}

static void report(struct health *h)
{
	const struct question *agg = &h->part[PS_PART_AGGREGATOR], *ai = &h->part[PS_PART_AI];
	_cleanup_(ps_value_free) struct ps_value *body = ps_value_map();
	struct ps_value *parts = ps_value_map();
	bool ok_gateway = false, ok_collector = false, ok_aggregator = false, ok_ai = false, core;
	int r = add(parts, "gateway", gateway_part(), &ok_gateway);

	if (r == 0)
		r = add(parts, "collector", collector_part(h->x, agg->status), &ok_collector);
	if (r == 0)
		r = add(parts, ps_part_name(PS_PART_AGGREGATOR), part_new(aggregator_reason(agg), agg->status),
			&ok_aggregator);
	if (r == 0)
		r = add(parts, ps_part_name(PS_PART_AI), part_new(ai->status ? NULL : ai->error.message, ai->status),
			&ok_ai);
	core = ok_gateway && ok_collector && ok_aggregator;
	if (r == 0)
		r = ps_value_set(body, "status", ps_value_string(!core ? "down" : ok_ai ? "ok" : "degraded"));
	if (r == 0)
		r = ps_value_set(body, "parts", PS_TAKE(parts));
	ps_value_free(&parts);
	ps_answer_value(h->x, core ? 200 : 503, r == 0 ? body : NULL);
}

static void on_status(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct question *q = arg;
	_cleanup_(health_free) struct health *last = NULL;

	if (err)
		q->error = *err;
	else
		q->status = PS_TAKE(reply->body);
	if (--q->health->waiting)
		return;
	last = q->health;
	report(last);
}

void ps_handle_health(struct ps_exchange *x)
{
	struct health *h = calloc(1, sizeof(*h));

	if (!h) {
		ps_answer_value(x, 200, NULL);
		return;
	}
	h->x = x;
	h->waiting = PS_PARTS;
	for (int i = 0; i < PS_PARTS; i++)
		h->part[i].health = h;
	/* The last answer frees h, and it may come at once. */
	for (int i = 0, n = PS_PARTS; i < n; i++)
		ps_exchange_forward(x, (enum ps_part)i, x->route->op, NULL, on_status, &h->part[i]);
}
