#include "gateway/share.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/msgpack.h"
#include "gateway/exchange.h"
#include "gateway/gzip.h"
#include "gateway/route.h"

/* One question that is being asked. */
struct ps_share {
	struct ps_share *next;
	struct ps_buf key;
	struct ps_exchange *asker; /* whose handler was called */
	struct ps_exchange *with;  /* those that get its answer */
	struct ps_exchange *later; /* those that came when it had been asked; the last one is the first */
};

static void add_text(struct ps_buf *key, const char *text)
{
	if (text)
		ps_buf_add(key, text, strlen(text) + 1);
	else
		ps_buf_addc(key, '\xff'); /* no text begins so */
}

/* What makes two questions the same. False: this one is like no other. */
static bool key_of(const struct ps_exchange *x, struct ps_buf *key)
{
	const struct ps_http_headers *h = &x->req.headers;

	if (x->req.method != PS_HTTP_GET || x->route->part == PS_PARTS || h->if_none_match || h->if_match)
		return false;
	ps_buf_add(key, &x->route, sizeof(x->route));
	add_text(key, x->req.param);
	add_text(key, h->origin);
	add_text(key, h->accept);
	ps_buf_addc(key, ps_gzip_accepted(h->accept_encoding) ? 'z' : '-');
	ps_msgpack_write(key, x->args);
	return !key->error;
}

static struct ps_share *find(const struct ps_gateway *g, const struct ps_buf *key)
{
	struct ps_share *s = g->shares;

	while (s && (s->key.len != key->len || memcmp(s->key.data, key->data, key->len) != 0))
		s = s->next;
	return s;
}

static void share_free(struct ps_gateway *g, struct ps_share *s)
{
	struct ps_share **at = &g->shares;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	ps_buf_free(&s->key);
	free(s);
}

void ps_share_run(struct ps_exchange *x)
{
	_cleanup_(ps_buf_free) struct ps_buf key = PS_BUF_INIT;
	struct ps_share *s;

	if (key_of(x, &key)) {
		s = find(x->gateway, &key);
		if (s) {
			x->share = s;
			x->share_next = s->later;
			s->later = x;
			return;
		}
		s = calloc(1, sizeof(*s));
		if (s) {
			*s = (struct ps_share){.next = x->gateway->shares, .key = key, .asker = x};
			key = (struct ps_buf)PS_BUF_INIT;
			x->gateway->shares = s;
			x->share = s;
		}
	}
	x->route->handler(x);
}

/* Those that waited get the answer, or ask for themselves. */
static void give(struct ps_exchange *asker, struct ps_exchange *with)
{
	while (with) {
		struct ps_exchange *x = with;

		with = x->share_next;
		x->share_next = NULL;
		x->share = NULL;
		if (asker->resp.stream.read || !asker->answered) {
			x->route->handler(x);
			continue;
		}
		ps_http_response_share(&x->resp, &asker->resp);
		x->answered = true;
		x->done(x);
	}
}

void ps_share_answered(struct ps_exchange *asker)
{
	struct ps_share *s = asker->share;
	struct ps_exchange *with, *next = NULL;

	if (!s || s->asker != asker)
		return;
	asker->share = NULL;
	with = s->with;
	s->with = NULL;
	s->asker = NULL;
	give(asker, with);
	/* The first of those that came later asks for all of them. */
	while (s->later) {
		struct ps_exchange *x = s->later;

		s->later = x->share_next;
		x->share_next = next;
		next = x;
	}
	if (!next) {
		share_free(asker->gateway, s);
		return;
	}
	s->asker = next;
	s->with = next->share_next;
	next->share_next = NULL;
	next->route->handler(next);
}

static void unlink_from(struct ps_exchange **list, const struct ps_exchange *x)
{
	while (*list && *list != x)
		list = &(*list)->share_next;
	if (*list)
		*list = x->share_next;
}

void ps_share_leave(struct ps_exchange *x)
{
	struct ps_share *s = x->share;

	if (!s)
		return;
	if (s->asker == x) {
		/* It goes without an answer: who waited for that asks for itself. */
		ps_share_answered(x);
		return;
	}
	unlink_from(&s->with, x);
	unlink_from(&s->later, x);
	x->share = NULL;
}
