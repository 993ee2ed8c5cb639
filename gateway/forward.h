/*
 * From a request of the gateway to another part and back, without waiting: the reply, or the reason why there is none,
 * comes to a callback from the event loop. So one slow part holds up nobody who asks another.
 */
#ifndef PS_FORWARD_H
#define PS_FORWARD_H

#include "common/bus/bus.h"
#include "common/bus/loop.h"

enum ps_part {
	PS_PART_AGGREGATOR,
	PS_PART_AI,
	PS_PARTS,
};

const char *ps_part_name(enum ps_part part); /* "aggregator", "ai-worker" */

struct ps_forward;

/* Connects to the control sockets; whether anybody listens there shows when somebody asks. */
int ps_forward_new(struct ps_bus *bus, struct ps_loop *loop, const struct ps_endpoints *ep, struct ps_forward **ret_fw,
	struct ps_error *err);
/* Answers all that still wait with 503 "stopping". */
void ps_forward_free(struct ps_forward **forward);

/*
 * err NULL: the reply (any status below 400; the callback may take body and payload out of it). Else the error: the
 * part's own refusal, then with its reply, whose body may say more; or 503 "part_down" naming the part and the remedy,
 * without a reply.
 */
typedef void (*ps_forward_fn)(void *arg, struct ps_reply *reply, const struct ps_error *err);

/*
 * Sends. `args` may be NULL. The callback comes later from the loop, exactly once; when this returns -errno (err
 * filled), never.
 */
int ps_forward_send(struct ps_forward *fw, enum ps_part part, const char *op, const char *peer,
	const struct ps_value *args, int timeout_ms, ps_forward_fn fn, void *arg, struct ps_error *err);

#endif
