#include "gateway/forward.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/limits.h"

#define NO_TIMER (3600 * PS_NSEC) /* the timer's interval before somebody waits; it is stopped at once */

static const struct {
	const char *name;
	const char *remedy; /* what to do when it does not answer */
} parts[PS_PARTS] = {
	[PS_PART_AGGREGATOR] = {"aggregator",
		"Counters and rules in the kernel go on; see what it logs, or start everything with: packetscope up"},
	[PS_PART_AI] = {"ai-worker",
		"Everything but analysis works without it; see what it logs, or start everything with: packetscope up"},
};

/* One request that waits for its reply. */
struct call {
	struct call *next;
	enum ps_part part;
	uint64_t id;
	uint64_t deadline; /* boot time, ns */
	ps_forward_fn fn;
	void *arg;
};

struct line {
	struct ps_forward *fw;
	enum ps_part part;
	struct ps_requester *requester;
};

struct ps_forward {
	struct ps_loop *loop;
	int timer;
	struct line lines[PS_PARTS];
	struct call *calls;
	size_t n_calls;
};

const char *ps_part_name(enum ps_part part)
{
	return parts[part].name;
}

static int part_down(struct ps_error *err, int r, enum ps_part part)
{
	return ps_error_set(
		err, r, 503, "part_down", "", "The %s does not answer. %s", parts[part].name, parts[part].remedy);
}

/* Sleeps until the next deadline; not at all when nobody waits. */
static void arm(struct ps_forward *fw)
{
	uint64_t next = UINT64_MAX, now;

	for (const struct call *c = fw->calls; c; c = c->next)
		next = PS_MIN(next, c->deadline);
	if (next == UINT64_MAX) {
		ps_loop_set_timer(fw->loop, fw->timer, 0);
		return;
	}
	now = ps_clock_boot();
	ps_loop_set_timer(fw->loop, fw->timer, next > now ? next - now : 1);
}

static struct call *unlink_call(struct ps_forward *fw, struct call **at)
{
	struct call *c = *at;

	*at = c->next;
	fw->n_calls--;
	return c;
}

static int on_timer(void *arg)
{
	struct ps_forward *fw = arg;
	uint64_t now = ps_clock_boot();
	struct call *late = NULL;

	/* Taken out first: a callback may send anew. */
	for (struct call **at = &fw->calls; *at;) {
		if ((*at)->deadline <= now) {
			struct call *c = unlink_call(fw, at);

			c->next = late;
			late = c;
		} else {
			at = &(*at)->next;
		}
	}
	while (late) {
		_cleanup_free_ struct call *c = late;
		struct ps_error err = {0};

		late = c->next;
		(void)part_down(&err, 0, c->part);
		c->fn(c->arg, NULL, &err);
	}
	arm(fw);
	return 0;
}

static void deliver(struct ps_forward *fw, enum ps_part part, struct ps_reply *reply)
{
	for (struct call **at = &fw->calls; *at; at = &(*at)->next) {
		_cleanup_free_ struct call *c = NULL;

		if ((*at)->part != part || (*at)->id != reply->id)
			continue;
		c = unlink_call(fw, at);
		if (reply->status >= 400) {
			if (!reply->error.status)
				reply->error.status = reply->status;
			c->fn(c->arg, reply, &reply->error);
		} else {
			c->fn(c->arg, reply, NULL);
		}
		return;
	}
	/* Nobody waits any more: the answer came after its deadline. */
}

static int on_reply(void *arg)
{
	struct line *line = arg;

	for (;;) {
		_cleanup_(ps_reply_free) struct ps_reply reply = {0};
		int r = ps_requester_next(line->requester, &reply);

		if (r == 0 || (r < 0 && r != -EBADMSG))
			break;
		if (r > 0)
			deliver(line->fw, line->part, &reply);
	}
	arm(line->fw);
	return 0;
}

int ps_forward_new(struct ps_bus *bus, struct ps_loop *loop, const struct ps_endpoints *ep, struct ps_forward **ret_fw,
	struct ps_error *err)
{
	const char *endpoint[PS_PARTS] = {[PS_PART_AGGREGATOR] = ep->control, [PS_PART_AI] = ep->ai};
	_cleanup_(ps_forward_free) struct ps_forward *fw = calloc(1, sizeof(*fw));
	int r;

	if (!fw)
		return -ENOMEM;
	fw->loop = loop;
	for (int i = 0; i < PS_PARTS; i++) {
		fw->lines[i].fw = fw;
		fw->lines[i].part = (enum ps_part)i;
		r = ps_requester_new(bus, endpoint[i], &fw->lines[i].requester, err);
		if (r < 0)
			return r;
		r = ps_loop_add_requester(loop, fw->lines[i].requester, on_reply, &fw->lines[i]);
		if (r < 0)
			return r;
	}
	r = ps_loop_add_timer(loop, NO_TIMER, on_timer, fw, &fw->timer);
	if (r < 0)
		return r;
	ps_loop_set_timer(loop, fw->timer, 0);
	*ret_fw = PS_TAKE(fw);
	return 0;
}

void ps_forward_free(struct ps_forward **forward)
{
	struct ps_forward *fw = *forward;

	if (!fw)
		return;
	while (fw->calls) {
		_cleanup_free_ struct call *c = unlink_call(fw, &fw->calls);
		struct ps_error err = {0};

		(void)ps_error_set(&err, 0, 503, "stopping", "", "The gateway is being stopped.");
		c->fn(c->arg, NULL, &err);
	}
	for (int i = 0; i < PS_PARTS; i++)
		ps_requester_free(&fw->lines[i].requester);
	free(fw);
	*forward = NULL;
}

int ps_forward_send(struct ps_forward *fw, enum ps_part part, const char *op, const char *peer,
	const struct ps_value *args, int timeout_ms, ps_forward_fn fn, void *arg, struct ps_error *err)
{
	_cleanup_free_ struct call *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return ps_error_set(err, -ENOMEM, 503, "no_memory", "", "The gateway has no memory left.");
	if (fw->n_calls >= PS_FORWARD_PENDING_MAX)
		return ps_error_set(
			err, -EBUSY, 503, "busy", "", "Too many requests are waiting for an answer; try again.");
	r = ps_requester_send(fw->lines[part].requester, op, peer, args, timeout_ms, &c->id);
	if (r == -EAGAIN)
		return part_down(err, r, part);
	if (r < 0)
		return ps_error_set(
			err, r, 500, "cannot_forward", "", "The request cannot be passed on: %s.", strerror(-r));
	c->part = part;
	c->deadline = ps_clock_boot() + (uint64_t)(timeout_ms + PS_FORWARD_GRACE_MS) * 1000000ull;
	c->fn = fn;
	c->arg = arg;
	c->next = fw->calls;
	fw->calls = c;
	fw->n_calls++;
	c = NULL;
	arm(fw);
	return 0;
}
