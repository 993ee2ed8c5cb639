/* GET /api/findings: the query becomes the arguments, the reply the JSON. */
#include <errno.h>

#include "common/base/cleanup.h"
#include "common/detect/limits.h"
#include "gateway/exchange.h"
#include "gateway/handlers.h"
#include "gateway/listing.h"
#include "gateway/route.h"

const struct ps_param ps_params_findings[] = {
	{"limit", PS_PARAM_NUMBER, 1, PS_INCIDENTS_MAX, "Findings in the answer"},
	{"open", PS_PARAM_BOOL, 0, 0, "Only incidents that are still going on"},
	{NULL, PS_PARAM_TEXT, 0, 0, NULL},
};

static void on_reply(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct ps_exchange *x = arg;

	if (err)
		ps_answer_problem(x, err);
	else
		ps_answer_value(x, reply->status, reply->body);
}

void ps_handle_findings(struct ps_exchange *x)
{
	_cleanup_(ps_value_free) struct ps_value *args = NULL;
	struct ps_error err = {0};
	int r = ps_params_read(ps_params_findings, &x->req.query, &args, &err);

	if (r == -ENOMEM)
		(void)ps_error_set(&err, r, 503, "no_memory", "", "The gateway has no memory left.");
	if (r < 0)
		ps_answer_problem(x, &err);
	else
		ps_exchange_forward(x, x->route->part, x->route->op, args, on_reply, x);
}
