/* /api/filters: filter rules. The aggregator checks and keeps them; here a body becomes arguments and a rule becomes
 * JSON. */
#include <errno.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "gateway/exchange.h"
#include "gateway/handlers.h"
#include "gateway/route.h"

static void no_memory(struct ps_exchange *x)
{
	struct ps_error err = {0};

	(void)ps_error_set(&err, 0, 503, "no_memory", "", "The gateway has no memory left.");
	ps_answer_problem(x, &err);
}

static void on_list(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct ps_exchange *x = arg;
	const struct ps_value *rules;

	if (err) {
		ps_answer_problem(x, err);
		return;
	}
	rules = ps_value_get(reply->body, "rules");
	if (ps_value_kind(rules) == PS_VALUE_LIST)
		ps_json_write(&x->resp.body, rules);
	else
		ps_buf_adds(&x->resp.body, "[]");
	ps_http_response_header(&x->resp, "X-Total-Count", "%zu", ps_value_count(rules));
	ps_answer_json(x, 200);
}

void ps_handle_filters_list(struct ps_exchange *x)
{
	ps_exchange_forward(x, x->route->part, x->route->op, NULL, on_list, x);
}

static void on_rule(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct ps_exchange *x = arg;
	int64_t id;

	if (err) {
		ps_answer_problem(x, err);
		return;
	}
	if (reply->status == 204) {
		ps_answer_empty(x, 204);
		return;
	}
	if (reply->status == 201 && ps_value_is_integer(ps_value_get(reply->body, "id"), &id))
		ps_http_response_header(&x->resp, "Location", "/api/filters/%lld", (long long)id);
	ps_answer_value(x, reply->status, reply->body);
}

void ps_handle_filters_create(struct ps_exchange *x)
{
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();
	struct ps_value *rule = NULL;
	struct ps_error err = {0};

	if (ps_exchange_body(x, false, &rule, &err) < 0)
		ps_answer_problem(x, &err);
	else if (ps_value_set(args, "rule", rule) < 0)
		no_memory(x);
	else
		ps_exchange_forward(x, x->route->part, x->route->op, args, on_rule, x);
}

void ps_handle_filters_update(struct ps_exchange *x)
{
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();
	struct ps_value *rule = NULL;
	struct ps_error err = {0};
	int64_t id;

	if (ps_exchange_id(x, &id, &err) < 0 || ps_exchange_body(x, false, &rule, &err) < 0) {
		ps_answer_problem(x, &err);
		return;
	}
	if (ps_value_set(args, "rule", rule) < 0 || ps_value_set(args, "id", ps_value_int(id)) < 0)
		no_memory(x);
	else
		ps_exchange_forward(x, x->route->part, x->route->op, args, on_rule, x);
}

void ps_handle_filters_one(struct ps_exchange *x)
{
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();
	struct ps_error err = {0};
	int64_t id;

	if (ps_exchange_id(x, &id, &err) < 0)
		ps_answer_problem(x, &err);
	else if (ps_value_set(args, "id", ps_value_int(id)) < 0)
		no_memory(x);
	else
		ps_exchange_forward(x, x->route->part, x->route->op, args, on_rule, x);
}
