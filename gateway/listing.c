#include "gateway/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/model/schema.h"
#include "gateway/exchange.h"
#include "gateway/handlers.h"
#include "gateway/render.h"
#include "gateway/route.h"

#define TEXT_MAX 256 /* bytes of a search text or cursor */

const struct ps_param ps_params_connections[] = {
	{"limit", PS_PARAM_NUMBER, 1, PS_LIST_MAX, "Elements of the answer"},
	{"cursor", PS_PARAM_TEXT, 0, TEXT_MAX, "Where to go on, from the Link header of the answer before"},
	{"offset", PS_PARAM_NUMBER, 0, PS_LIST_OFFSET_MAX, "Elements to leave out before the first one"},
	{"sort", PS_PARAM_TEXT, 0, TEXT_MAX, "Name of the field to sort by"},
	{"order", PS_PARAM_TEXT, 0, TEXT_MAX, "asc or desc"},
	{"proto", PS_PARAM_TEXT, 0, TEXT_MAX, "tcp, udp or a protocol number"},
	{"state", PS_PARAM_TEXT, 0, TEXT_MAX, "State of the connection"},
	{"ip", PS_PARAM_TEXT, 0, TEXT_MAX, "Address of either end"},
	{"port", PS_PARAM_NUMBER, 0, 65535, "Port of either end"},
	{"q", PS_PARAM_TEXT, 0, TEXT_MAX, "Text that the key contains"},
	{"ended", PS_PARAM_BOOL, 0, 0, "Recently ended connections too"},
	{NULL, PS_PARAM_TEXT, 0, 0, NULL},
};

const struct ps_param ps_params_icmp[] = {
	{"limit", PS_PARAM_NUMBER, 1, PS_LIST_MAX, "Elements of the answer"},
	{"cursor", PS_PARAM_TEXT, 0, TEXT_MAX, "Where to go on, from the Link header of the answer before"},
	{NULL, PS_PARAM_TEXT, 0, 0, NULL},
};

static int read_number(const struct ps_param *p, const char *text, uint64_t *ret_n, struct ps_error *err)
{
	size_t len = strspn(text, "0123456789");
	uint64_t n = 0;

	for (size_t i = 0; i < len && len <= 18; i++)
		n = n * 10 + (uint64_t)(text[i] - '0');
	if (!len || text[len] || len > 18 || n < p->min || n > p->max) {
		return ps_error_set(err, -EINVAL, 400, "bad_value", p->name,
			"%s must be a number from %llu to %llu, not \"%.32s\".", p->name, (unsigned long long)p->min,
			(unsigned long long)p->max, text);
	}
	*ret_n = n;
	return 0;
}

static int read_param(const struct ps_param *p, const char *text, struct ps_value **ret_value, struct ps_error *err)
{
	uint64_t n = 0;
	int r;

	switch (p->kind) {
	case PS_PARAM_NUMBER:
		r = read_number(p, text, &n, err);
		if (r < 0)
			return r;
		*ret_value = ps_value_uint(n);
		break;
	case PS_PARAM_BOOL:
		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0 && strcmp(text, "1") != 0 &&
			strcmp(text, "0") != 0)
			return ps_error_set(err, -EINVAL, 400, "bad_value", p->name,
				"%s must be true or false, not \"%.32s\".", p->name, text);
		*ret_value = ps_value_bool(!strcmp(text, "true") || !strcmp(text, "1"));
		break;
	case PS_PARAM_TEXT:
		if (strlen(text) > p->max)
			return ps_error_set(err, -EINVAL, 400, "bad_value", p->name, "%s may have at most %llu bytes.",
				p->name, (unsigned long long)p->max);
		*ret_value = ps_value_string(text);
		break;
	}
	return *ret_value ? 0 : -ENOMEM;
}

static const struct ps_param *find_param(const struct ps_param *table, const char *name)
{
	for (; table->name; table++) {
		if (!strcmp(table->name, name))
			return table;
	}
	return NULL;
}

int ps_params_read(
	const struct ps_param *table, const struct ps_query *query, struct ps_value **ret_args, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();

	if (!args)
		return -ENOMEM;
	for (size_t i = 0; i < query->n; i++) {
		const struct ps_param *p = find_param(table, query->item[i].name);
		struct ps_value *value = NULL;
		int r;

		if (!p)
			return ps_error_set(err, -EINVAL, 400, "unknown_parameter", query->item[i].name,
				"There is no query parameter %.32s here.", query->item[i].name);
		if (!query->item[i].value[0])
			continue; /* "?q=" asks for nothing */
		r = read_param(p, query->item[i].value, &value, err);
		if (r == 0)
			r = ps_value_set(args, p->name, value);
		if (r < 0)
			return r;
	}
	*ret_args = PS_TAKE(args);
	return 0;
}

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

static void list(struct ps_exchange *x, enum ps_record_type type, const struct ps_param *params)
{
	_cleanup_(listing_free) struct listing *l = calloc(1, sizeof(*l));
	struct ps_error err = {0};
	int r;

	if (!l) {
		fail(x, -ENOMEM, &err);
		return;
	}
	l->x = x;
	l->type = type;
	r = ps_params_read(params, &x->req.query, &l->args, &err);
	if (r < 0) {
		fail(x, r, &err);
		return;
	}
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
	list(x, PS_RECORD_CONN, ps_params_connections);
}

void ps_handle_icmp(struct ps_exchange *x)
{
	list(x, PS_RECORD_ICMP, ps_params_icmp);
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
