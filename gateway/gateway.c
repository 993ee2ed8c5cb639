/* The two steps that every request takes: who asks and what for; then the handler of its route. */
#include <errno.h>

#include "common/base/cleanup.h"
#include "gateway/exchange.h"
#include "gateway/param.h"
#include "gateway/route.h"
#include "gateway/share.h"
#include "gateway/upload.h"

static int refuse(struct ps_exchange *x, int r, const struct ps_error *err)
{
	ps_refuse(x, err);
	return r;
}

/* What there is at which path is told only to those who may read. */
static int find_route(struct ps_exchange *x)
{
	char text[PS_HTTP_METHODS_TEXT];
	struct ps_error err = {0};
	unsigned allow = 0;
	int r = ps_route_find(x->req.method, x->req.path, &x->route, &x->req.param, &allow);
	enum ps_scope scope = x->route ? x->route->scope : PS_SCOPE_READ;
	int access = ps_access_token(&x->gateway->access, &x->req, scope, x->now, &err);

	if (access < 0)
		return refuse(x, access, &err);
	switch (r) {
	case 0:
		return 0;
	case -EPERM:
		ps_http_response_header(&x->resp, "Allow", "%s", ps_http_methods_format(allow, text));
		if (x->req.method == PS_HTTP_OPTIONS) {
			if (ps_access_cors(&x->gateway->access, &x->req))
				ps_http_response_header(&x->resp, "Access-Control-Allow-Methods", "%s", text);
			return 0;
		}
		(void)ps_error_set(&err, 0, 405, "bad_method", "", "This path answers %s.", text);
		return refuse(x, r, &err);
	case -ENOENT:
		(void)ps_error_set(&err, 0, 404, "no_such_path", "",
			"There is nothing at this path; GET /openapi.json lists what there is.");
		return refuse(x, r, &err);
	default:
		(void)ps_error_set(&err, 0, 503, "no_memory", "", "The gateway has no memory left.");
		return refuse(x, r, &err);
	}
}

int ps_gateway_open(struct ps_exchange *x, uint64_t length)
{
	struct ps_error err = {0};
	size_t max;
	int r = ps_access_check(&x->gateway->access, &x->req, &err);

	if (r < 0)
		return refuse(x, r, &err);
	r = find_route(x);
	if (r < 0)
		return r;
	max = x->route && x->route->body_max ? x->route->body_max : PS_HTTP_BODY_SMALL;
	if (length > max) {
		(void)ps_error_set(&err, 0, 413, "too_large", "", "The body may have at most %zu bytes.", max);
		return refuse(x, -E2BIG, &err);
	}
	x->req.body.limit = PS_MIN(max, (size_t)PS_HTTP_BODY_MAX);
	if (max > PS_HTTP_BODY_MAX && x->req.method != PS_HTTP_OPTIONS && ps_upload_new(x, &x->upload) < 0) {
		(void)ps_error_set(&err, 0, 503, "no_memory", "", "The gateway has no memory left.");
		return refuse(x, -ENOMEM, &err);
	}
	x->body_left = max;
	return 0;
}

int ps_gateway_take(struct ps_exchange *x, const char *data, size_t len)
{
	struct ps_error err = {0};

	if (x->answered)
		return 0;
	if (!x->upload) {
		ps_buf_add(&x->req.body, data, len);
		return 0;
	}
	/* Chunked, so that its length was not announced. */
	if (len > x->body_left) {
		(void)ps_error_set(
			&err, 0, 413, "too_large", "", "The body may have at most %zu bytes.", x->route->body_max);
		ps_answer_problem(x, &err);
		return 0;
	}
	x->body_left -= len;
	ps_upload_take(x->upload, data, len);
	return !x->answered && ps_upload_waits(x->upload);
}

static int read_query(struct ps_exchange *x, struct ps_error *err)
{
	int r = x->route->params ? ps_params_read(x->route->params, &x->req.query, &x->args, err) : 0;

	if (r == 0 && !x->args)
		x->args = ps_value_map();
	if (r == -ENOMEM || (r == 0 && !x->args))
		return ps_error_set(err, -ENOMEM, 503, "no_memory", "", "The gateway has no memory left.");
	return r;
}

void ps_gateway_run(struct ps_exchange *x)
{
	struct ps_error err = {0};

	if (x->req.body.error == -E2BIG) {
		(void)ps_error_set(
			&err, 0, 413, "too_large", "", "The body may have at most %zu bytes.", x->req.body.limit);
		ps_answer_problem(x, &err);
	} else if (x->req.body.error) {
		(void)ps_error_set(&err, 0, 503, "no_memory", "", "The gateway has no memory left.");
		ps_answer_problem(x, &err);
	} else if (x->req.method == PS_HTTP_OPTIONS) {
		ps_answer_empty(x, 204);
	} else if (read_query(x, &err) < 0) {
		ps_answer_problem(x, &err);
	} else {
		ps_share_run(x);
	}
}
