#include "gateway/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/model/schema.h"
#include "gateway/exchange.h"
#include "gateway/export.h"
#include "gateway/handlers.h"
#include "gateway/render.h"
#include "gateway/route.h"

void ps_listing_link(struct ps_buf *out, const char *path, const struct ps_query *query, const char *cursor)
{
	ps_buf_addf(out, "<%s?", path);
	for (size_t i = 0; i < query->n; i++) {
		if (!strcmp(query->item[i].name, "cursor") || !strcmp(query->item[i].name, "offset"))
			continue; /* the cursor is behind what was left out */
		ps_percent_encode(out, query->item[i].name);
		ps_buf_addc(out, '=');
		ps_percent_encode(out, query->item[i].value);
		ps_buf_addc(out, '&');
	}
	ps_buf_adds(out, "cursor=");
	ps_percent_encode(out, cursor);
	ps_buf_adds(out, ">; rel=\"next\"");
}

/* A list that is being put together. */
struct listing {
	struct ps_exchange *x;
	enum ps_record_type type;
	struct ps_value *args;
	uint64_t left;  /* elements that may still come */
	uint64_t given; /* and that are there */
	bool large;
};

static void listing_free(struct listing **pl)
{
	struct listing *l = *pl;

	if (!l)
		return;
	if (l->large)
		l->x->gateway->large_lists--;
	ps_value_free(&l->args);
	free(l);
	*pl = NULL;
}

static void fail(struct ps_exchange *x, int r, struct ps_error *err)
{
	if (r == -ENOMEM)
		(void)ps_error_set(err, r, 503, "no_memory", "", "The gateway has no memory left.");
	ps_answer_problem(x, err);
}

static void bad_reply(struct ps_exchange *x)
{
	struct ps_error err = {0};

	(void)ps_error_set(&err, 0, 502, "bad_reply", "",
		"The %s's answer cannot be read; are all parts of the same version?", ps_part_name(x->route->part));
	ps_answer_problem(x, &err);
}

static void on_page(void *arg, struct ps_reply *reply, const struct ps_error *err);

static void ask(struct listing *l)
{
	uint64_t page = PS_MIN(l->left, (uint64_t)PS_REQUEST_PAGE_MAX);
	struct ps_exchange *x = l->x;

	if (ps_value_set(l->args, "limit", ps_value_uint(page)) < 0) {
		struct ps_error err = {0};

		listing_free(&l);
		fail(x, -ENOMEM, &err);
		return;
	}
	ps_exchange_forward(x, x->route->part, x->route->op, l->args, on_page, l);
}

static void finish(struct listing *l, const struct ps_value *body, const char *next)
{
	_cleanup_(ps_buf_free) struct ps_buf link = PS_BUF_INIT;
	struct ps_exchange *x = l->x;

	ps_buf_addc(&x->resp.body, ']');
	ps_http_response_header(
		&x->resp, "X-Total-Count", "%llu", (unsigned long long)ps_value_get_uint(body, "total", l->given));
	if (next) {
		ps_listing_link(&link, x->req.path, &x->req.query, next);
		ps_http_response_header(&x->resp, "Link", "%s", ps_buf_str(&link) ?: "");
	}
	listing_free(&l);
	ps_answer_json(x, 200);
}

static void on_page(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	_cleanup_(listing_free) struct listing *l = arg;
	struct ps_exchange *x = l->x;
	const char *next;
	int n;

	if (err) {
		ps_answer_problem(x, err);
		return;
	}
	n = ps_render_reply(&x->resp.body, l->type, reply, l->given > 0);
	if (n < 0) {
		bad_reply(x);
		return;
	}
	l->given += (uint64_t)n;
	l->left -= PS_MIN(l->left, (uint64_t)n);
	next = ps_value_get_string(reply->body, "next", NULL);
	if (!next || !n || !l->left) {
		finish(PS_TAKE(l), reply->body, next);
		return;
	}
	ps_value_unset(l->args, "offset");
	if (ps_value_set(l->args, "cursor", ps_value_string(next)) < 0) {
		struct ps_error e = {0};

		fail(x, -ENOMEM, &e);
		return;
	}
	ask(PS_TAKE(l));
}

static void list(struct ps_exchange *x, enum ps_record_type type)
{
	_cleanup_(listing_free) struct listing *l = calloc(1, sizeof(*l));
	struct ps_error err = {0};

	if (!l) {
		fail(x, -ENOMEM, &err);
		return;
	}
	l->x = x;
	l->type = type;
	l->args = PS_TAKE(x->args);
	l->left = ps_value_get_uint(l->args, "limit", PS_LIST_DEFAULT);
	if (l->left > PS_REQUEST_PAGE_MAX) {
		if (x->gateway->large_lists >= PS_LIST_LARGE_MAX) {
			(void)ps_error_set(&err, 0, 503, "busy", "limit",
				"Too many long lists are being read; try again, or ask for at most %d elements at "
				"once.",
				PS_REQUEST_PAGE_MAX);
			ps_answer_problem(x, &err);
			return;
		}
		x->gateway->large_lists++;
		l->large = true;
	}
	ps_buf_addc(&x->resp.body, '[');
	ask(PS_TAKE(l));
}

void ps_handle_connections(struct ps_exchange *x)
{
	if (ps_export_wanted(x))
		ps_export(x);
	else
		list(x, PS_RECORD_CONN);
}

void ps_handle_icmp(struct ps_exchange *x)
{
	list(x, PS_RECORD_ICMP);
}

static void on_connection(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct ps_exchange *x = arg;

	if (err)
		ps_answer_problem(x, err);
	else if (ps_render_reply(&x->resp.body, PS_RECORD_CONN, reply, false) != 1)
		bad_reply(x);
	else
		ps_answer_json(x, 200);
}

void ps_handle_connection(struct ps_exchange *x)
{
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();
	const char *id = x->req.param;
	struct ps_error err = {0};

	if (strlen(id) != 16 || strspn(id, "0123456789abcdef") != 16) {
		(void)ps_error_set(&err, 0, 400, "bad_value", "id",
			"A connection's id is 16 hexadecimal digits, not \"%.32s\".", id);
		ps_answer_problem(x, &err);
	} else if (ps_value_set(args, "id", ps_value_string(id)) < 0) {
		fail(x, -ENOMEM, &err);
	} else {
		ps_exchange_forward(x, x->route->part, x->route->op, args, on_connection, x);
	}
}
