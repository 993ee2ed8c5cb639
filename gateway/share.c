#include "gateway/share.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/msgpack.h"
#include "gateway/exchange.h"
#include "gateway/gzip.h"
#include "gateway/limits.h"
#include "gateway/route.h"

/* One question that is being asked, or whose answer is kept. */
struct ps_share {
	struct ps_share *next;
	struct ps_buf key;
	struct ps_exchange *asker; /* whose handler was called */
	struct ps_exchange *with;  /* those that get its answer */
	struct ps_exchange *later; /* those that came when it had been asked; the last one is the first */
	uint64_t came;             /* when the last of them came */
	uint64_t asked;   /* when the asker, and all that get its answer, had come: it is asked then or later */
	uint64_t age;     /* ns; that its answer may have */
	uint64_t changes; /* of the gateway, then */
	struct ps_http_response kept; /* shared; empty: none */
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
	if (h->cache_control && strstr(h->cache_control, "no-cache"))
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

/* May what is kept be given to one that comes now? */
static bool is_good(const struct ps_gateway *g, const struct ps_share *s, uint64_t now)
{
	return s->kept.shared && s->changes == g->changes && now - s->asked < s->age;
}

static void share_free(struct ps_gateway *g, struct ps_share *s)
{
	struct ps_share **at = &g->shares;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	ps_http_response_free(&s->kept);
	ps_buf_free(&s->key);
	free(s);
}

void ps_shares_free(struct ps_gateway *g)
{
	while (g->shares)
		share_free(g, g->shares);
}

/* A new one, the key with it; what nobody may get any more goes. */
static struct ps_share *add(struct ps_gateway *g, struct ps_buf *key, uint64_t age, uint64_t now)
{
	struct ps_share *s, *next;

	for (s = g->shares; s; s = next) {
		next = s->next;
		if (!s->asker && !is_good(g, s, now))
			share_free(g, s);
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	*s = (struct ps_share){.next = g->shares, .key = *key, .age = age};
	*key = (struct ps_buf)PS_BUF_INIT;
	g->shares = s;
	return s;
}

static void ask(struct ps_share *s, struct ps_exchange *x, uint64_t now)
{
	ps_http_response_free(&s->kept);
	s->asker = x;
	s->asked = now;
	s->changes = x->gateway->changes;
	x->share = s;
	x->route->handler(x);
}

static void give_one(struct ps_exchange *x, struct ps_http_response *answer)
{
	ps_http_response_share(&x->resp, answer);
	x->answered = true;
	x->done(x);
}

void ps_share_run(struct ps_exchange *x)
{
	_cleanup_(ps_buf_free) struct ps_buf key = PS_BUF_INIT;
	struct ps_share *s;

	if (!key_of(x, &key)) {
		x->route->handler(x);
		return;
	}
	s = find(x->gateway, &key);
	if (s && is_good(x->gateway, s, x->now)) {
		give_one(x, &s->kept);
		return;
	}
	if (s && s->asker) {
		x->share = s;
		x->share_next = s->later;
		s->later = x;
		s->came = x->now;
		return;
	}
	if (!s)
		s = add(x->gateway, &key, x->route->age_ms * 1000000ull, x->now);
	if (s)
		ask(s, x, x->now);
	else
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
		if (asker->resp.stream.read || !asker->answered)
			x->route->handler(x);
		else
			give_one(x, &asker->resp);
	}
}

static size_t count(const struct ps_exchange *list)
{
	size_t n = 0;

	for (; list; list = list->share_next)
		n++;
	return n;
}

/* Keeps the answer that has come, if it may be and many wait for it. */
static void keep(struct ps_share *s, struct ps_exchange *asker)
{
	struct ps_http_response *resp = &asker->resp;

	if (!s->age || !asker->answered || resp->status != 200 || resp->stream.read || resp->error ||
		resp->body.error || resp->body.len > PS_SHARE_KEEP_MAX)
		return;
	if (count(s->with) + count(s->later) >= PS_SHARE_CROWD)
		ps_http_response_share(&s->kept, resp);
}

static struct ps_exchange *reversed(struct ps_exchange *list)
{
	struct ps_exchange *to = NULL;

	while (list) {
		struct ps_exchange *x = list;

		list = x->share_next;
		x->share_next = to;
		to = x;
	}
	return to;
}

void ps_share_answered(struct ps_exchange *asker)
{
	struct ps_share *s = asker->share;
	struct ps_exchange *with, *later;

	if (!s || s->asker != asker)
		return;
	keep(s, asker);
	asker->share = NULL;
	with = s->with;
	s->with = NULL;
	s->asker = NULL;
	give(asker, with);
	later = reversed(s->later);
	s->later = NULL;
	if (is_good(asker->gateway, s, PS_MAX(s->came, s->asked))) {
		give(asker, later);
	} else if (later) {
		/* The first of those that came later asks for all of them. */
		s->with = later->share_next;
		later->share_next = NULL;
		ask(s, later, s->came);
	} else {
		share_free(asker->gateway, s);
	}
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
