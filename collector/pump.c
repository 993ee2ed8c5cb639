#include "collector/pump.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/limits.h"
#include "collector/rings.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

struct ps_pump {
	struct ps_loop *loop;
	struct ps_rings *rings;
	struct ps_publish *publish;
	const struct ps_record_env *env;
	uint64_t now; /* of the drain that is running */
	int timer;
	uint64_t light; /* ns between two looks while little comes */
};

static void on_event(void *arg, const struct ps_ring_place *place, const void *event, size_t size)
{
	struct ps_pump *p = arg;

	ps_publish_at(p->publish, place->ring, place->position);
	ps_publish_event(p->publish, event, size, p->env, p->now);
}

static size_t drain(struct ps_pump *p, bool *ret_busy)
{
	p->now = ps_clock_boot();
	return ps_rings_drain(p->rings, PS_RING_BUDGET, ret_busy);
}

/* There is something, or the timer went off: look, and go to sleep when there was nothing. */
static int on_pace(void *arg)
{
	struct ps_pump *p = arg;
	bool busy;
	size_t taken = drain(p, &busy);
	/* At a light load few others are coming: they wait in the ring for the next look, not these for them. Only what may
	 * wait longer does. */
	bool few = taken < PS_PACE_FEW;
	uint64_t due = ps_publish_flush(p->publish, ps_clock_boot() + (few ? PS_BUS_DELAY_NS : 0), false);

	ps_loop_remove_fd(p->loop, ps_rings_fd(p->rings));
	if (busy)
		ps_loop_set_timer(p->loop, p->timer, 1);
	else if (taken > 0)
		ps_loop_set_timer(p->loop, p->timer, few ? p->light : PS_PACE_NS);
	else {
		ps_loop_set_timer(p->loop, p->timer, due == UINT64_MAX ? 0 : due);
		return ps_loop_add_fd(p->loop, ps_rings_fd(p->rings), on_pace, p);
	}
	return 0;
}

/* No longer than a ring takes to be half full when the flood begins. */
static uint64_t light_pace(size_t ring_bytes)
{
	uint64_t ns = ring_bytes / 2 / sizeof(struct ps_event_conn) * PS_PACE_EVENT_NS;

	return PS_MAX(PS_MIN(ns, PS_BUS_DELAY_NS), PS_PACE_NS);
}

int ps_pump_new(struct ps_loop *loop, const int *fds, size_t n, size_t bytes, struct ps_publish *publish,
	const struct ps_record_env *env, struct ps_pump **ret_pump, struct ps_error *err)
{
	_cleanup_(ps_pump_free) struct ps_pump *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->publish = publish;
	p->env = env;
	r = ps_rings_new(fds, n, bytes, on_event, p, &p->rings, err);
	if (r < 0)
		return r;
	p->loop = loop;
	p->light = light_pace(bytes);
	r = ps_loop_add_timer(loop, 0, on_pace, p, &p->timer);
	if (r == 0)
		r = ps_loop_add_fd(loop, ps_rings_fd(p->rings), on_pace, p);
	if (r < 0)
		return r;
	*ret_pump = PS_TAKE(p);
	return 0;
}

void ps_pump_free(struct ps_pump **pump)
{
	struct ps_pump *p = *pump;

	if (!p)
		return;
	if (p->loop) {
		ps_loop_set_timer(p->loop, p->timer, 0);
		ps_loop_remove_fd(p->loop, ps_rings_fd(p->rings));
	}
	ps_rings_free(&p->rings);
	ps_freep(pump);
}

void ps_pump_finish(struct ps_pump *pump)
{
	bool busy;

	(void)drain(pump, &busy);
	(void)ps_publish_flush(pump->publish, ps_clock_boot(), true);
}
