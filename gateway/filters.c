/*
 * /api/filters and /api/protected: filter rules. The aggregator checks and keeps them; here a body and a query become
 * arguments (docs/control.md), and who asks is told, so that a rule that would cut the caller off can be refused.
 */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/model/utf8.h"
#include "gateway/etag.h"
#include "gateway/exchange.h"
#include "gateway/handlers.h"
#include "gateway/route.h"
#include "gateway/upload.h"

static int no_memory(struct ps_error *err)
{
	return ps_error_set(err, -ENOMEM, 503, "no_memory", "", "The gateway has no memory left.");
}

/* --- answers -------------------------------------------------------------------------------------- */

static void set_etag(struct ps_exchange *x, const struct ps_value *body)
{
	char text[PS_ETAG_TEXT];
	int64_t generation;

	if (ps_value_is_integer(ps_value_get(body, "generation"), &generation) && generation >= 0)
		ps_http_response_header(&x->resp, "ETag", "%s", ps_etag_format((uint64_t)generation, text));
}

static void on_rule(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct ps_exchange *x = arg;
	int64_t id;

	if (err) {
		ps_answer_refusal(x, err, reply);
		return;
	}
	if (reply->status == 204) {
		ps_answer_empty(x, 204);
		return;
	}
	if (reply->status == 201 && ps_value_is_integer(ps_value_get(reply->body, "id"), &id))
		ps_http_response_header(&x->resp, "Location", "/api/filters/%lld", (long long)id);
	set_etag(x, reply->body);
	ps_answer_value(x, reply->status, reply->body);
}

/* The network's list inside the reply's body. */
static void on_protected(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct ps_exchange *x = arg;
	const struct ps_value *list = reply ? ps_value_get(reply->body, "protected") : NULL;

	if (err)
		ps_answer_refusal(x, err, reply);
	else
		ps_answer_value(x, 200, list);
}

/* --- arguments ------------------------------------------------------------------------------------ */

/* If-Match (RFC 9110, 13.1.1): the generation that the client has seen. */
static int add_precondition(struct ps_exchange *x, struct ps_error *err)
{
	uint64_t generation;
	int r;

	if (!x->req.headers.if_match)
		return 0;
	r = ps_etag_match(x->req.headers.if_match, &generation);
	if (r < 0)
		return ps_error_set(err, -EINVAL, 412, "stale", "If-Match",
			"If-Match must be the ETag of the answer that the change is based on, in quotes.");
	if (r > 0)
		return 0; /* "*": whatever there is */
	return ps_value_set(x->args, "if_generation", ps_value_uint(generation));
}

static int add_id(struct ps_exchange *x, struct ps_error *err)
{
	int64_t id;
	int r;

	if (!x->req.param)
		return 0;
	r = ps_exchange_id(x, &id, err);
	return r < 0 ? r : ps_value_set(x->args, "id", ps_value_int(id));
}

/* Everything but the body. */
static int begin(struct ps_exchange *x, struct ps_error *err)
{
	int r = add_id(x, err);

	if (r == 0)
		r = ps_exchange_caller(x);
	if (r == 0)
		r = add_precondition(x, err);
	return r == -ENOMEM ? no_memory(err) : r;
}

static void send(struct ps_exchange *x, int r, struct ps_error *err, ps_forward_fn fn)
{
	if (r == -ENOMEM)
		(void)no_memory(err);
	if (r < 0)
		ps_answer_problem(x, err);
	else
		ps_exchange_forward(x, x->route->part, x->route->op, x->args, fn, x);
}

/* The body under `name`, if it is of this kind. */
static int add_body(struct ps_exchange *x, const char *name, enum ps_value_kind kind, struct ps_error *err)
{
	struct ps_value *body = NULL;
	int r = ps_exchange_body(x, kind, false, &body, err);

	return r < 0 ? r : ps_value_set(x->args, name, body);
}

/* --- handlers ------------------------------------------------------------------------------------- */

void ps_handle_filters_create(struct ps_exchange *x)
{
	struct ps_error err = {0};
	int r = begin(x, &err);

	if (r == 0)
		r = add_body(x, "rule", PS_VALUE_MAP, &err);
	send(x, r, &err, on_rule);
}

void ps_handle_filters_update(struct ps_exchange *x)
{
	ps_handle_filters_create(x); /* the id stands in the path */
}

void ps_handle_filters_one(struct ps_exchange *x)
{
	struct ps_error err = {0};
	int r = add_id(x, &err);

	send(x, r, &err, on_rule);
}

void ps_handle_filters_change(struct ps_exchange *x)
{
	struct ps_error err = {0};
	int r = begin(x, &err);

	send(x, r, &err, on_rule);
}

void ps_handle_filters_replace(struct ps_exchange *x)
{
	struct ps_error err = {0};
	int r = begin(x, &err);

	if (r == 0)
		r = ps_upload_end(x->upload, &err);
	if (r > 0)
		r = add_body(x, "rules", PS_VALUE_LIST, &err); /* no array: says what it is instead */
	send(x, r, &err, on_rule);
}

/* One rule, or a whole set. */
static bool body_is_array(const struct ps_exchange *x)
{
	const struct ps_buf *b = &x->req.body;
	size_t i = 0;

	while (i < b->len && strchr(" \t\r\n", b->data[i]))
		i++;
	return i < b->len && b->data[i] == '[';
}

void ps_handle_filters_preview(struct ps_exchange *x)
{
	struct ps_error err = {0};
	int r = begin(x, &err);

	if (r == 0)
		r = body_is_array(x) ? add_body(x, "rules", PS_VALUE_LIST, &err)
				     : add_body(x, "rule", PS_VALUE_MAP, &err);
	send(x, r, &err, on_rule);
}

static int add_list(struct ps_exchange *x, struct ps_error *err)
{
	const char *text = (const char *)x->req.body.data;
	size_t len = x->req.body.len;

	if (!len)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "",
			"The body is empty; send a JSON array, or one address or network a line.");
	if (!ps_utf8_valid(text, len) || memchr(text, '\0', len))
		return ps_error_set(err, -EINVAL, 400, "bad_value", "", "The list is not plain text in UTF-8.");
	return ps_value_set(x->args, "list", ps_value_string_n(text, len));
}

void ps_handle_filters_import(struct ps_exchange *x)
{
	struct ps_error err = {0};
	int r = begin(x, &err);

	if (r == 0)
		r = ps_upload_end(x->upload, &err);
	if (r > 0)
		r = add_list(x, &err);
	send(x, r, &err, on_rule);
}

void ps_handle_protected_get(struct ps_exchange *x)
{
	struct ps_error err = {0};

	send(x, 0, &err, on_protected);
}

void ps_handle_protected_set(struct ps_exchange *x)
{
	struct ps_error err = {0};
	int r = begin(x, &err);

	if (r == 0)
		r = add_body(x, "protected", PS_VALUE_LIST, &err);
	send(x, r, &err, on_protected);
}
