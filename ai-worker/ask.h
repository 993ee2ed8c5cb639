/*
 * Questions of the AI worker to the aggregator, without waiting: the reply, or the reason why there is none, comes to a
 * callback from the loop.
 */
#ifndef PS_AI_ASK_H
#define PS_AI_ASK_H

#include "common/bus/bus.h"
#include "common/bus/loop.h"

struct ps_ask;

/* `endpoint`: the aggregator's control socket. -errno fills err. */
int ps_ask_new(
	struct ps_bus *bus, struct ps_loop *loop, const char *endpoint, struct ps_ask **ret_ask, struct ps_error *err);
void ps_ask_free(struct ps_ask **ask); /* what waits is forgotten: no callback */

/* One of the two is given; the callee may take body and payload out of the reply. */
typedef void (*ps_ask_fn)(void *arg, struct ps_reply *reply, const struct ps_error *err);

/* The callback comes later, exactly once, from the loop; also when nobody listens. -ENOMEM: never. */
int ps_ask_send(
	struct ps_ask *ask, const char *op, const struct ps_value *args, int timeout_ms, ps_ask_fn fn, void *arg);
/* Nothing that was asked with this arg is told any more. */
void ps_ask_forget(struct ps_ask *ask, const void *arg);

#endif
