/*
 * Lists of records: the query of GET /api/connections and /api/icmp, and the way from page to page.
 */
#ifndef PS_LISTING_H
#define PS_LISTING_H

#include "common/model/value.h"
#include "gateway/http.h"

enum ps_param_kind {
	PS_PARAM_TEXT,   /* up to max bytes */
	PS_PARAM_NUMBER, /* min…max */
	PS_PARAM_BOOL,   /* true, false, 1, 0 */
};

/* A query parameter and the argument of the same name. */
struct ps_param {
	const char *name; /* NULL ends a table */
	enum ps_param_kind kind;
	uint64_t min, max;
	const char *doc;
};

extern const struct ps_param ps_params_connections[];
extern const struct ps_param ps_params_icmp[];
extern const struct ps_param ps_params_top[];
extern const struct ps_param ps_params_findings[];

/*
 * Reads the query by its table: a map with what was given. -EINVAL fills err (400, field = the parameter): unknown
 * parameter, no number, out of range. -ENOMEM.
 */
int ps_params_read(
	const struct ps_param *table, const struct ps_query *query, struct ps_value **ret_args, struct ps_error *err);

/* The Link header that leads on: the same query with another cursor. */
void ps_listing_link(struct ps_buf *out, const char *path, const struct ps_query *query, const char *cursor);

#endif
