/*
 * Lists of records: GET /api/connections and /api/icmp, and the way from page to page.
 */
#ifndef PS_LISTING_H
#define PS_LISTING_H

#include "common/model/value.h"
#include "gateway/http.h"

/* The Link header that leads on: the same query with another cursor. */
void ps_listing_link(struct ps_buf *out, const char *path, const struct ps_query *query, const char *cursor);

#endif
