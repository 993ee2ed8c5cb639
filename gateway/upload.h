/*
 * A set of rules as the body of a request, taken apart while it comes: whole rules go to the aggregator a piece at a
 * time (rules.stage), and the request's own operation ends it. So a set needs the memory of one piece, whatever its
 * length. A text that is no array (a list of addresses) is kept as it is, up to PS_HTTP_BODY_MAX.
 */
#ifndef PS_UPLOAD_H
#define PS_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/exchange.h"

struct ps_upload;

/* For x, whose route is known. -ENOMEM. */
int ps_upload_new(struct ps_exchange *x, struct ps_upload **ret_upload);
/* What was brought and not ended is forgotten by the aggregator too. */
void ps_upload_free(struct ps_upload **upload);

/* Takes bytes of the body. Afterwards x may be answered (refused), or the upload waits: no more until x->wake. */
void ps_upload_take(struct ps_upload *u, const char *data, size_t len);
bool ps_upload_waits(const struct ps_upload *u);

/*
 * The body is there: puts what is left into x->args, `json` with or without `stage`, and the request can be sent. 1 =
 * it was no array, and stands in x->req.body. -errno fills err.
 */
int ps_upload_end(struct ps_upload *u, struct ps_error *err);

#endif
