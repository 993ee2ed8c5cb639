#include "gateway/upload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/model/utf8.h"
#include "gateway/array_split.h"
#include "gateway/limits.h"
#include "gateway/param.h"
#include "gateway/route.h"

struct ps_upload {
	struct ps_exchange *x;
	struct ps_array_split split;
	enum {
		UNKNOWN,
		ARRAY,
		TEXT
	} kind;
	uint64_t stage; /* what the aggregator calls it; 0 = it has nothing yet */
	bool waits;
};

int ps_upload_new(struct ps_exchange *x, struct ps_upload **ret_upload)
{
	struct ps_upload *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->x = x;
	ps_array_split_init(&u->split);
	*ret_upload = u;
	return 0;
}

static void nobody(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	(void)arg;
	(void)reply;
	(void)err; /* it forgets by itself too, later */
}

void ps_upload_free(struct ps_upload **upload)
{
	struct ps_upload *u = *upload;
	_cleanup_(ps_value_free) struct ps_value *args = NULL;

	if (!u)
		return;
	if (u->stage) {
		args = ps_value_map();
		if (ps_value_set(args, "stage", ps_value_uint(u->stage)) == 0 &&
			ps_value_set(args, "drop", ps_value_bool(true)) == 0)
			ps_exchange_forward(u->x, PS_PART_AGGREGATOR, "rules.stage", args, nobody, NULL);
	}
	ps_array_split_free(&u->split);
	free(u);
	*upload = NULL;
}

static void refuse(struct ps_upload *u, int r, struct ps_error *err)
{
	if (r == -ENOMEM)
		(void)ps_error_set(err, r, 503, "no_memory", "", "The gateway has no memory left.");
	ps_answer_problem(u->x, err);
}

static void on_staged(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct ps_upload *u = arg;
	int64_t stage = 0;

	u->waits = false;
	if (err) {
		u->stage = 0; /* it has thrown it away */
		ps_answer_refusal(u->x, err, reply);
		return;
	}
	if (ps_value_is_integer(ps_value_get(reply->body, "stage"), &stage))
		u->stage = (uint64_t)stage;
	u->x->extend(u->x);
	u->x->wake(u->x);
}

/* The whole rules so far, as the argument `json`. */
static int add_json(struct ps_upload *u, struct ps_value *args)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;

	if (ps_array_split_take(&u->split, &text) < 0)
		return -ENOMEM;
	/* What is no text would not pass the bus; as JSON it is refused by whoever reads it. */
	if (!ps_utf8_valid((const char *)text.data, text.len) || memchr(text.data, '\0', text.len))
		return -EILSEQ;
	if (u->stage && ps_value_set(args, "stage", ps_value_uint(u->stage)) < 0)
		return -ENOMEM;
	return ps_value_set(args, "json", ps_value_string_n((const char *)text.data, text.len));
}

static int no_text(struct ps_error *err)
{
	return ps_error_set(err, -EINVAL, 400, "bad_json", "", "The body is not plain text in UTF-8.");
}

/* Hands on what is whole. What the query says of all rules goes with each piece. */
static int hand_on(struct ps_upload *u, struct ps_error *err)
{
	struct ps_exchange *x = u->x;
	_cleanup_(ps_value_free) struct ps_value *args = NULL;
	int r = ps_params_read(x->route->params, &x->req.query, &args, err);

	if (r == 0)
		r = add_json(u, args);
	if (r == 0)
		r = ps_value_set(args, "for", ps_value_string(x->route->op));
	if (r < 0)
		return r == -EILSEQ ? no_text(err) : r;
	u->waits = true;
	ps_exchange_forward(x, PS_PART_AGGREGATOR, "rules.stage", args, on_staged, u);
	return 0;
}

static void find_kind(struct ps_upload *u, const char *data, size_t len)
{
	for (size_t i = 0; i < len && u->kind == UNKNOWN; i++) {
		if (!strchr(" \t\r\n", data[i]))
			u->kind = data[i] == '[' ? ARRAY : TEXT;
	}
}

void ps_upload_take(struct ps_upload *u, const char *data, size_t len)
{
	struct ps_error err = {0};
	int r;

	if (u->kind == UNKNOWN)
		find_kind(u, data, len);
	if (u->kind != ARRAY) {
		ps_buf_add(&u->x->req.body, data, len);
		return;
	}
	r = ps_array_split_feed(&u->split, data, len, PS_HTTP_BODY_SMALL, &err);
	if (r == 0 && u->split.whole >= PS_UPLOAD_PIECE)
		r = hand_on(u, &err);
	if (r < 0)
		refuse(u, r, &err);
}

bool ps_upload_waits(const struct ps_upload *u)
{
	return u->waits;
}

int ps_upload_end(struct ps_upload *u, struct ps_error *err)
{
	int r;

	if (u->kind != ARRAY)
		return 1;
	r = ps_array_split_end(&u->split, err);
	if (r == 0)
		r = add_json(u, u->x->args);
	if (r < 0)
		return r == -EILSEQ ? no_text(err) : r;
	u->stage = 0; /* it is in the request now */
	return 0;
}
