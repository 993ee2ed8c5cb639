/*
 * A long answer made of the pages that another part gives: the next page is asked for when the one before is on its
 * way to the client, so an answer of any length needs the memory of a page. A client that does not read stops it; one
 * that reads too slowly is cut (PS_HTTP_RESPONSE_TIMEOUT_S a page).
 */
#ifndef PS_PAGER_H
#define PS_PAGER_H

#include "gateway/exchange.h"

struct ps_pager_form {
	const char *type;        /* media type */
	const char *head, *foot; /* around all elements */
	uint64_t page;           /* elements to ask for at once; 0: as many as the other part likes */
	/* Appends a page's elements, of which `given` went before; returns how many, or -EBADMSG. */
	int (*render)(void *arg, struct ps_buf *out, const struct ps_reply *reply, uint64_t given);
	/* Sets headers, from the first page. */
	void (*begin)(struct ps_exchange *x, const struct ps_reply *reply);
};

/*
 * Answers the exchange with all pages of the operation `op` of its route's part, x->args being the arguments of the
 * first; `cursor` of each further one is the `next` of the body before. `limit` in the arguments bounds the elements
 * (missing: all), for forms with a page. A refusal of the first page becomes a problem; one of a later page cuts the
 * connection.
 */
void ps_pager_start(struct ps_exchange *x, const char *op, const struct ps_pager_form *form, void *arg);

#endif
