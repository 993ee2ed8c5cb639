#include "gateway/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "gateway/gzip.h"
#include "gateway/problem.h"
#include "gateway/route.h"
#include "gateway/share.h"
#include "gateway/upload.h"

#define JSON_TYPE "application/json"

void ps_exchange_free(struct ps_exchange *x)
{
	ps_share_leave(x);
	ps_upload_free(&x->upload);
	ps_http_request_free(&x->req);
	ps_http_response_free(&x->resp);
	ps_value_free(&x->args);
}

/* What every answer says about itself, the page's assets apart. */
static void common_headers(struct ps_exchange *x)
{
	const char *cors = ps_access_cors(&x->gateway->access, &x->req);

	ps_http_response_header(&x->resp, "X-Content-Type-Options", "nosniff");
	if (!ps_http_response_get(&x->resp, "Cache-Control"))
		ps_http_response_header(&x->resp, "Cache-Control", "no-store");
	if (!x->gateway->access.cors_origin[0])
		return;
	ps_http_response_header(&x->resp, "Vary", "Origin"); /* beside what gzip may have said */
	if (!cors)
		return;
	ps_http_response_header(&x->resp, "Access-Control-Allow-Origin", "%s", cors);
	ps_http_response_header(&x->resp, "Access-Control-Expose-Headers", "ETag, Link, Location, X-Total-Count");
	if (x->req.method == PS_HTTP_OPTIONS) {
		ps_http_response_header(&x->resp, "Access-Control-Allow-Headers",
			"Authorization, Content-Type, If-Match, Last-Event-ID");
		ps_http_response_header(&x->resp, "Access-Control-Max-Age", "600");
	}
}

static void done(struct ps_exchange *x)
{
	if (!(x->req.method & PS_HTTP_SAFE))
		x->gateway->changes++; /* before whoever asked for it can ask what became of it */
	ps_share_answered(x);
	x->done(x);
}

static void finish(struct ps_exchange *x)
{
	ps_gzip_response(&x->resp, x->req.headers.accept_encoding);
	common_headers(x);
	x->answered = true;
	done(x);
}

static void refuse(struct ps_exchange *x, const struct ps_error *err, const struct ps_value *more)
{
	if (err->status == 401)
		ps_http_response_header(&x->resp, "WWW-Authenticate", "Bearer realm=\"packetscope\"");
	if (err->status == 503 || err->status == 429)
		ps_http_response_header(&x->resp, "Retry-After", "1");
	ps_problem_respond(&x->resp, err, more);
	common_headers(x);
	x->answered = true;
}

void ps_refuse(struct ps_exchange *x, const struct ps_error *err)
{
	refuse(x, err, NULL);
}

void ps_answer_problem(struct ps_exchange *x, const struct ps_error *err)
{
	refuse(x, err, NULL);
	done(x);
}

void ps_answer_refusal(struct ps_exchange *x, const struct ps_error *err, const struct ps_reply *reply)
{
	refuse(x, err, reply ? reply->body : NULL);
	done(x);
}

void ps_answer_body(struct ps_exchange *x, int status, const char *content_type)
{
	x->resp.status = status;
	ps_http_response_header(&x->resp, "Content-Type", "%s", content_type);
	finish(x);
}

void ps_answer_json(struct ps_exchange *x, int status)
{
	ps_buf_addc(&x->resp.body, '\n');
	ps_answer_body(x, status, JSON_TYPE);
}

void ps_answer_value(struct ps_exchange *x, int status, const struct ps_value *v)
{
	if (v)
		ps_json_write(&x->resp.body, v);
	else
		x->resp.error = -ENOMEM;
	ps_answer_json(x, status);
}

void ps_answer_empty(struct ps_exchange *x, int status)
{
	x->resp.status = status;
	finish(x);
}

void ps_answer_fixed(struct ps_exchange *x, const char *content_type, const void *data, size_t len)
{
	x->resp.status = 200;
	x->resp.fixed = data;
	x->resp.fixed_len = len;
	ps_http_response_header(&x->resp, "Content-Type", "%s", content_type);
	finish(x);
}

void ps_answer_stream(struct ps_exchange *x, const char *content_type)
{
	x->resp.status = 200;
	ps_http_response_header(&x->resp, "Content-Type", "%s", content_type);
	finish(x);
}

void ps_exchange_forward(struct ps_exchange *x, enum ps_part part, const char *op, const struct ps_value *args,
	ps_forward_fn fn, void *arg)
{
	struct ps_error err = {0};

	if (!x->gateway->forward) {
		(void)ps_error_set(&err, 0, 503, "stopping", "", "The gateway is being stopped.");
		fn(arg, NULL, &err);
		return;
	}
	if (ps_forward_send(x->gateway->forward, part, op, x->peer, args, x->route->timeout_ms, fn, arg, &err) < 0)
		fn(arg, NULL, &err);
}

int ps_exchange_body(const struct ps_exchange *x, enum ps_value_kind kind, bool optional, struct ps_value **ret_body,
	struct ps_error *err)
{
	const char *what = kind == PS_VALUE_MAP ? "object" : "array";
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	int r;

	if (!x->req.body.len) {
		if (!optional)
			return ps_error_set(
				err, -EINVAL, 400, "bad_json", "", "The body is empty; send a JSON %s.", what);
		v = ps_value_map();
		if (!v)
			return ps_error_set(err, -ENOMEM, 503, "no_memory", "", "The gateway has no memory left.");
	} else {
		r = ps_json_parse((const char *)x->req.body.data, x->req.body.len, &v, err);
		if (r < 0)
			return r;
	}
	if (ps_value_kind(v) != kind)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "", "The body is %s; send a JSON %s.",
			ps_value_kind_name(ps_value_kind(v)), what);
	*ret_body = PS_TAKE(v);
	return 0;
}

int ps_exchange_body_args(struct ps_exchange *x, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *body = NULL;
	int r = ps_exchange_body(x, PS_VALUE_MAP, true, &body, err);

	for (size_t i = 0; r == 0 && i < ps_value_count(body); i++)
		r = ps_value_set(x->args, ps_value_key_at(body, i), ps_value_copy(ps_value_at(body, i)));
	if (r == -ENOMEM)
		(void)ps_error_set(err, r, 503, "no_memory", "", "The gateway has no memory left.");
	return r;
}

int ps_exchange_caller(struct ps_exchange *x)
{
	_cleanup_(ps_value_free) struct ps_value *caller = ps_value_map();
	char text[PS_ADDR_TEXT];

	if (!x->req.peer.family)
		return 0;
	if (ps_value_set(caller, "ip", ps_value_string(ps_addr_format(&x->req.peer, text))) < 0 ||
		ps_value_set(caller, "port", ps_value_int(x->req.peer_port)) < 0 ||
		ps_value_set(caller, "local_ip", ps_value_string(ps_addr_format(&x->req.local, text))) < 0 ||
		ps_value_set(caller, "local_port", ps_value_int(x->req.local_port)) < 0)
		return -ENOMEM;
	return ps_value_set(x->args, "caller", PS_TAKE(caller));
}

int ps_exchange_id(const struct ps_exchange *x, int64_t *ret_id, struct ps_error *err)
{
	const char *text = x->req.param ? x->req.param : "";
	size_t len = strspn(text, "0123456789");
	int64_t id = 0;

	if (!len || text[len] || len > 10)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "id", "\"%.32s\" is no rule number.", text);
	for (size_t i = 0; i < len; i++)
		id = id * 10 + (text[i] - '0');
	if (id > INT32_MAX)
		return ps_error_set(
			err, -EINVAL, 400, "bad_value", "id", "%.32s is beyond the highest rule number.", text);
	*ret_id = id;
	return 0;
}
