/*
 * Routes whose answer is the other part's answer: query and body of the request become the arguments, the body of the
 * reply the JSON.
 */
#include "common/base/cleanup.h"
#include "gateway/exchange.h"
#include "gateway/handlers.h"
#include "gateway/route.h"

static void on_reply(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct ps_exchange *x = arg;

	if (err)
		ps_answer_refusal(x, err, reply);
	else if (reply->status == 204)
		ps_answer_empty(x, 204);
	else
		ps_answer_value(x, reply->status, reply->body);
}

void ps_handle_relay(struct ps_exchange *x)
{
	struct ps_error err = {0};

	if (x->route->body_max && ps_exchange_body_args(x, &err) < 0)
		ps_answer_problem(x, &err);
	else
		ps_exchange_forward(x, x->route->part, x->route->op, x->args, on_reply, x);
}
