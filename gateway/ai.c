/* /api/ai and /api/findings: questions to the AI worker, which may take minutes, and what its detectors found. */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "gateway/exchange.h"
#include "gateway/handlers.h"
#include "gateway/route.h"

#define JOB_MAX 64 /* bytes of a job's name */

static void on_answer(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct ps_exchange *x = arg;
	const char *job;

	if (err) {
		ps_answer_refusal(x, err, reply);
		return;
	}
	if (reply->status == 204) {
		ps_answer_empty(x, 204);
		return;
	}
	job = ps_value_get_string(reply->body, "job", NULL);
	if (reply->status == 202 && job)
		ps_http_response_header(&x->resp, "Location", "/api/ai/jobs/%.*s", JOB_MAX, job);
	ps_answer_value(x, reply->status, reply->body);
}

void ps_handle_ai_job(struct ps_exchange *x)
{
	struct ps_error err = {0};

	/* Who asks is added last: it is not the body's to say. */
	if (ps_exchange_body_args(x, &err) < 0)
		ps_answer_problem(x, &err);
	else if (ps_exchange_caller(x) < 0)
		ps_answer_value(x, 200, NULL);
	else
		ps_exchange_forward(x, x->route->part, x->route->op, x->args, on_answer, x);
}

void ps_handle_job(struct ps_exchange *x)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	const char *id = x->req.param;
	struct ps_error err = {0};

	if (strlen(id) > JOB_MAX || id[strspn(id, allowed)]) {
		(void)ps_error_set(&err, 0, 404, "not_found", "id", "There is no job \"%.32s\".", id);
		ps_answer_problem(x, &err);
	} else if (ps_value_set(x->args, "id", ps_value_string(id)) < 0) {
		ps_answer_value(x, 200, NULL);
	} else {
		ps_exchange_forward(x, x->route->part, x->route->op, x->args, on_answer, x);
	}
}

static void on_findings(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct ps_exchange *x = arg;
	const struct ps_value *list;

	if (err) {
		ps_answer_refusal(x, err, reply);
		return;
	}
	list = ps_value_get(reply->body, "findings");
	if (ps_value_kind(list) == PS_VALUE_LIST)
		ps_json_write(&x->resp.body, list);
	else
		ps_buf_adds(&x->resp.body, "[]");
	ps_http_response_header(&x->resp, "X-Total-Count", "%zu", ps_value_count(list));
	ps_answer_json(x, 200);
}

void ps_handle_findings(struct ps_exchange *x)
{
	ps_exchange_forward(x, x->route->part, x->route->op, x->args, on_findings, x);
}
