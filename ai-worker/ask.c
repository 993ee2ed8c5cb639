#include "ai-worker/ask.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"

struct question {
	struct question *next;
	uint64_t id;
	bool unsent;       /* nobody listens: answered at the next turn of the loop */
	uint64_t deadline; /* boot time, ns */
	ps_ask_fn fn;
	void *arg;
};

struct ps_ask {
	struct ps_loop *loop;
	struct ps_requester *requester;
	int timer;
	struct question *questions;
};

#define NO_TIMER 3600000000000ull

static void arm(struct ps_ask *ask)
{
	uint64_t next = UINT64_MAX, now = ps_clock_boot();

	for (const struct question *q = ask->questions; q; q = q->next)
		next = q->deadline < next ? q->deadline : next;
	if (next == UINT64_MAX)
		ps_loop_set_timer(ask->loop, ask->timer, 0);
	else
		ps_loop_set_timer(ask->loop, ask->timer, next > now ? next - now : 1);
}

static int on_timer(void *arg)
{
	struct ps_ask *ask = arg;
	uint64_t now = ps_clock_boot();
	struct question **at = &ask->questions;

	while (*at) {
		_cleanup_free_ struct question *q = NULL;
		struct ps_error err = {0};

		if ((*at)->deadline > now) {
			at = &(*at)->next;
			continue;
		}
		q = *at;
		*at = q->next;
		(void)ps_error_set(&err, -ETIMEDOUT, 503, "part_down", "", "the aggregator does not answer");
		q->fn(q->arg, NULL, &err);
		at = &ask->questions; /* the callback may have asked anew */
	}
	arm(ask);
	return 0;
}

static void deliver(struct ps_ask *ask, struct ps_reply *reply)
{
	for (struct question **at = &ask->questions; *at; at = &(*at)->next) {
		_cleanup_free_ struct question *q = NULL;

		if ((*at)->unsent || (*at)->id != reply->id)
			continue;
		q = *at;
		*at = q->next;
		q->fn(q->arg, reply->status < 400 ? reply : NULL, reply->status < 400 ? NULL : &reply->error);
		return;
	}
}

static int on_reply(void *arg)
{
	struct ps_ask *ask = arg;
	_cleanup_(ps_reply_free) struct ps_reply reply = {0};

	if (ps_requester_next(ask->requester, &reply) > 0)
		deliver(ask, &reply);
	arm(ask);
	return 0;
}

int ps_ask_new(
	struct ps_bus *bus, struct ps_loop *loop, const char *endpoint, struct ps_ask **ret_ask, struct ps_error *err)
{
	_cleanup_(ps_ask_free) struct ps_ask *ask = calloc(1, sizeof(*ask));
	int r;

	if (!ask)
		return -ENOMEM;
	ask->loop = loop;
	r = ps_requester_new(bus, endpoint, &ask->requester, err);
	if (r == 0)
		r = ps_loop_add_requester(loop, ask->requester, on_reply, ask);
	if (r == 0)
		r = ps_loop_add_timer(loop, NO_TIMER, on_timer, ask, &ask->timer);
	if (r < 0)
		return r;
	ps_loop_set_timer(loop, ask->timer, 0);
	*ret_ask = PS_TAKE(ask);
	return 0;
}

void ps_ask_free(struct ps_ask **ask)
{
	if (!*ask)
		return;
	while ((*ask)->questions) {
		struct question *q = (*ask)->questions;

		(*ask)->questions = q->next;
		free(q);
	}
	ps_requester_free(&(*ask)->requester);
	free(*ask);
	*ask = NULL;
}

int ps_ask_send(
	struct ps_ask *ask, const char *op, const struct ps_value *args, int timeout_ms, ps_ask_fn fn, void *arg)
{
	struct question *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->fn = fn;
	q->arg = arg;
	q->deadline = ps_clock_boot() + (uint64_t)timeout_ms * 1000000u;
	if (ps_requester_send(ask->requester, op, "ai-worker", args, timeout_ms, &q->id) < 0) {
		q->unsent = true;
		q->deadline = 0;
	}
	q->next = ask->questions;
	ask->questions = q;
	arm(ask);
	return 0;
}

void ps_ask_forget(struct ps_ask *ask, const void *arg)
{
	struct question **at = &ask->questions;

	while (*at) {
		struct question *q = *at;

		if (q->arg == arg) {
			*at = q->next;
			free(q);
		} else {
			at = &q->next;
		}
	}
}
