#include "gateway/pager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "gateway/route.h"

struct pager {
	struct ps_exchange *x; /* NULL: the client has gone, only a reply is still to come */
	const struct ps_pager_form *form;
	void *arg;
	const char *op;
	struct ps_value *args;
	struct ps_buf piece; /* what the client has not taken yet */
	size_t at;
	uint64_t left, given; /* elements */
	int error;
	bool asking, streaming, last;
};

static void pager_free(struct pager **pp)
{
	struct pager *p = *pp;

	if (!p)
		return;
	ps_value_free(&p->args);
	ps_buf_free(&p->piece);
	free(p);
	*pp = NULL;
}

static void on_page(void *arg, struct ps_reply *reply, const struct ps_error *err);

static void ask(struct pager *p)
{
	struct ps_exchange *x = p->x;

	p->asking = true;
	if (p->form->page && ps_value_set(p->args, "limit", ps_value_uint(PS_MIN(p->left, p->form->page))) < 0) {
		struct ps_error err = {0};

		(void)ps_error_set(&err, -ENOMEM, 503, "no_memory", "", "The gateway has no memory left.");
		on_page(p, NULL, &err);
		return;
	}
	ps_exchange_forward(x, x->route->part, p->op, p->args, on_page, p);
}

/* The stream: what is there is given; when it is all taken, the next page is asked for. */
static ssize_t on_read(void *arg, char *buf, size_t max)
{
	struct pager *p = arg;
	size_t n = PS_MIN(max, p->piece.len - p->at);

	if (p->error)
		return p->error;
	if (n) {
		memcpy(buf, p->piece.data + p->at, n);
		p->at += n;
		return (ssize_t)n;
	}
	if (p->last)
		return PS_STREAM_END;
	if (!p->asking) {
		ps_buf_reset(&p->piece);
		p->at = 0;
		p->x->extend(p->x);
		ask(p);
		/* The error may be there at once. */
		if (p->error)
			return p->error;
	}
	return 0;
}

static void on_close(void *arg)
{
	struct pager *p = arg;

	p->x = NULL;
	if (!p->asking)
		pager_free(&p);
}

/* Appends the page. -errno when it can't be read. */
static int take(struct pager *p, struct ps_reply *reply)
{
	struct ps_value *next = NULL;
	int n;

	if (!p->given && !p->streaming)
		ps_buf_adds(&p->piece, p->form->head);
	n = p->form->render(p->arg, &p->piece, reply, p->given);
	if (n < 0)
		return n;
	p->given += (uint64_t)n;
	if (p->left != UINT64_MAX)
		p->left -= PS_MIN(p->left, (uint64_t)n);
	if (ps_value_kind(ps_value_get(reply->body, "next")) != PS_VALUE_NULL && p->left) {
		next = ps_value_copy(ps_value_get(reply->body, "next"));
		if (ps_value_set(p->args, "cursor", next) < 0)
			return -ENOMEM;
	} else {
		p->last = true;
		ps_buf_adds(&p->piece, p->form->foot);
	}
	return p->piece.error;
}

static void answer_first(struct pager *p, struct ps_reply *reply)
{
	struct ps_exchange *x = p->x;
	const char *type;

	if (p->form->begin)
		p->form->begin(x, reply);
	if (p->last) {
		x->resp.body = p->piece;
		p->piece = (struct ps_buf){0};
		type = p->form->type;
		pager_free(&p);
		ps_answer_body(x, 200, type);
		return;
	}
	p->streaming = true;
	x->resp.stream = (struct ps_stream){.read = on_read, .close = on_close, .arg = p};
	ps_answer_stream(x, p->form->type);
}

static void on_page(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct pager *p = arg;
	struct ps_exchange *x = p->x;
	struct ps_error bad = {0};
	int r = err ? -EIO : 0;

	p->asking = false;
	if (!x) {
		pager_free(&p);
		return;
	}
	if (r == 0)
		r = take(p, reply);
	if (r == 0 && !p->streaming) {
		answer_first(p, reply);
		return;
	}
	if (p->streaming) {
		p->error = r;
		if (r < 0)
			ps_log(PS_LOG_WARN, "a long answer was cut off", "path=%s error=%d reason=\"%s\"", x->req.path,
				r, err ? err->message : "");
		x->wake(x);
		return;
	}
	if (!err)
		(void)ps_error_set(&bad, r, 502, "bad_reply", "",
			"The %s's answer cannot be read; are all parts of the same version?",
			ps_part_name(x->route->part));
	pager_free(&p);
	ps_answer_refusal(x, err ?: &bad, reply);
}

void ps_pager_start(struct ps_exchange *x, const char *op, const struct ps_pager_form *form, void *arg)
{
	_cleanup_(pager_free) struct pager *p = calloc(1, sizeof(*p));
	struct ps_error err = {0};

	if (!p) {
		(void)ps_error_set(&err, -ENOMEM, 503, "no_memory", "", "The gateway has no memory left.");
		ps_answer_problem(x, &err);
		return;
	}
	p->x = x;
	p->form = form;
	p->op = op;
	p->arg = arg;
	p->args = PS_TAKE(x->args);
	p->left = ps_value_get_uint(p->args, "limit", UINT64_MAX);
	ask(PS_TAKE(p));
}
