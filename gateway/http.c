#include "gateway/http.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

static const struct {
	unsigned method;
	const char *name;
} methods[] = {
	{PS_HTTP_GET, "GET"},
	{PS_HTTP_HEAD, "HEAD"},
	{PS_HTTP_POST, "POST"},
	{PS_HTTP_PUT, "PUT"},
	{PS_HTTP_PATCH, "PATCH"},
	{PS_HTTP_DELETE, "DELETE"},
	{PS_HTTP_OPTIONS, "OPTIONS"},
};

unsigned ps_http_method_parse(const char *name)
{
	for (size_t i = 0; i < PS_ARRAY_SIZE(methods); i++) {
		if (!strcmp(name, methods[i].name))
			return methods[i].method;
	}
	return 0;
}

char *ps_http_methods_format(unsigned set, char buf[static PS_HTTP_METHODS_TEXT])
{
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < PS_ARRAY_SIZE(methods); i++) {
		if (set & methods[i].method)
			len += (size_t)snprintf(
				buf + len, PS_HTTP_METHODS_TEXT - len, "%s%s", len ? ", " : "", methods[i].name);
	}
	return buf;
}

const char *ps_http_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} table[] = {
		{200, "OK"},
		{201, "Created"},
		{204, "No Content"},
		{304, "Not Modified"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{409, "Conflict"},
		{410, "Gone"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{422, "Unprocessable Content"},
		{429, "Too Many Requests"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{507, "Insufficient Storage"},
	};

	for (size_t i = 0; i < PS_ARRAY_SIZE(table); i++) {
		if (table[i].status == status)
			return table[i].phrase;
	}
	return "Error";
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int ps_percent_decode(char *text, bool plus)
{
	char *out = text;

	for (const char *p = text; *p; p++) {
		if (*p == '+' && plus) {
			*out++ = ' ';
		} else if (*p == '%') {
			int hi = hex_digit(p[1]);
			int lo = hi < 0 ? -1 : hex_digit(p[2]);

			if (lo < 0 || (hi == 0 && lo == 0))
				return -EINVAL;
			*out++ = (char)(hi << 4 | lo);
			p += 2;
		} else {
			*out++ = *p;
		}
	}
	*out = '\0';
	return 0;
}

void ps_percent_encode(struct ps_buf *out, const char *text)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (const char *p = text; *p; p++) {
		if (strchr(unreserved, *p))
			ps_buf_addc(out, *p);
		else
			ps_buf_addf(out, "%%%02X", (unsigned char)*p);
	}
}

/* One "name=value"; a name alone has the empty value. */
static int query_add(struct ps_query *q, char *pair, struct ps_error *err)
{
	char *value = strchr(pair, '=');

	if (value)
		*value++ = '\0';
	else
		value = pair + strlen(pair);
	if (ps_percent_decode(pair, true) < 0)
		return ps_error_set(
			err, -EINVAL, 400, "bad_query", "", "A query parameter's name has a broken %% escape.");
	if (ps_percent_decode(value, true) < 0)
		return ps_error_set(err, -EINVAL, 400, "bad_query", pair,
			"The value of query parameter %s has a broken %% escape; write %%25 for a percent sign.", pair);
	if (ps_query_get(q, pair))
		return ps_error_set(err, -EINVAL, 400, "bad_query", pair, "Query parameter %s is given twice.", pair);
	if (q->n == PS_HTTP_QUERY_MAX)
		return ps_error_set(
			err, -EINVAL, 400, "bad_query", pair, "More than %d query parameters.", PS_HTTP_QUERY_MAX);
	q->item[q->n].name = pair;
	q->item[q->n].value = value;
	q->n++;
	return 0;
}

int ps_query_parse(const char *raw, struct ps_query *ret_query, struct ps_error *err)
{
	_cleanup_(ps_query_free) struct ps_query q = {0};
	char *save = NULL;

	if (raw && *raw) {
		q.text = strdup(raw);
		if (!q.text)
			return -ENOMEM;
		for (char *pair = strtok_r(q.text, "&", &save); pair; pair = strtok_r(NULL, "&", &save)) {
			int r = query_add(&q, pair, err);

			if (r < 0)
				return r;
		}
	}
	*ret_query = q;
	q = (struct ps_query){0};
	return 0;
}

void ps_query_free(struct ps_query *q)
{
	free(q->text);
	*q = (struct ps_query){0};
}

const char *ps_query_get(const struct ps_query *q, const char *name)
{
	for (size_t i = 0; i < q->n; i++) {
		if (!strcmp(q->item[i].name, name))
			return q->item[i].value;
	}
	return NULL;
}

int ps_http_request_target(struct ps_http_request *req, const char *target, struct ps_error *err)
{
	const char *mark = strchr(target, '?');
	_cleanup_free_ char *path = mark ? strndup(target, (size_t)(mark - target)) : strdup(target);
	struct ps_query query;
	int r;

	if (!path)
		return -ENOMEM;
	r = ps_query_parse(mark ? mark + 1 : NULL, &query, err);
	if (r < 0)
		return r;
	free(req->path);
	req->path = PS_TAKE(path);
	ps_query_free(&req->query);
	req->query = query;
	return 0;
}

void ps_http_request_free(struct ps_http_request *req)
{
	free(req->path);
	free(req->param);
	ps_query_free(&req->query);
	ps_buf_free(&req->body);
	*req = (struct ps_http_request){0};
}

void ps_http_response_header(struct ps_http_response *resp, const char *name, const char *fmt, ...)
{
	_cleanup_free_ char *value = NULL;
	va_list ap;
	int n;

	if (resp->error)
		return;
	va_start(ap, fmt);
	n = vasprintf(&value, fmt, ap);
	va_end(ap);
	if (n < 0) {
		value = NULL;
		resp->error = -ENOMEM;
		return;
	}
	for (const char *p = value; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			resp->error = -EINVAL;
			return;
		}
	}
	if (resp->n_headers == PS_HTTP_HEADERS_MAX) {
		resp->error = -E2BIG;
		return;
	}
	resp->header[resp->n_headers].name = name;
	resp->header[resp->n_headers].value = PS_TAKE(value);
	resp->n_headers++;
}

const char *ps_http_response_get(const struct ps_http_response *resp, const char *name)
{
	for (size_t i = 0; i < resp->n_headers; i++) {
		if (!strcmp(resp->header[i].name, name))
			return resp->header[i].value;
	}
	return NULL;
}

void ps_http_shared_free(struct ps_http_shared **shared)
{
	struct ps_http_shared *s = *shared;

	*shared = NULL;
	if (!s || --s->holders)
		return;
	if (s->sent)
		s->free_sent(s->sent);
	ps_http_response_free(&s->answer);
	free(s);
}

void ps_http_response_share(struct ps_http_response *to, struct ps_http_response *from)
{
	struct ps_http_shared *s = from->shared;

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s) {
			to->error = -ENOMEM;
			return;
		}
		*s = (struct ps_http_shared){.holders = 1, .answer = *from};
		*from = (struct ps_http_response){.shared = s};
	}
	s->holders++;
	to->shared = s;
}

void ps_http_response_reset(struct ps_http_response *resp)
{
	ps_http_response_free(resp);
}

void ps_http_response_free(struct ps_http_response *resp)
{
	for (size_t i = 0; i < resp->n_headers; i++)
		free(resp->header[i].value);
	ps_buf_free(&resp->body);
	ps_http_shared_free(&resp->shared);
	if (resp->stream.close)
		resp->stream.close(resp->stream.arg);
	*resp = (struct ps_http_response){0};
}
