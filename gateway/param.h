/*
 * Query parameters: one table a route gives what is read, the argument of the control operation, and the API document.
 */
#ifndef PS_PARAM_H
#define PS_PARAM_H

#include "common/model/value.h"
#include "gateway/http.h"

enum ps_param_kind {
	PS_PARAM_TEXT,   /* up to max bytes */
	PS_PARAM_WORD,   /* one of `words` */
	PS_PARAM_NUMBER, /* min…max */
	PS_PARAM_BOOL,   /* true, false, 1, 0 */
};

/* A query parameter and the argument of the same name. */
struct ps_param {
	const char *name; /* NULL ends a table */
	enum ps_param_kind kind;
	uint64_t min, max;
	const char *words; /* separated by commas */
	const char *doc;
};

/* Tables by the names that route.def gives them. */
extern const struct ps_param ps_params_connections[], ps_params_icmp[], ps_params_top[], ps_params_events[],
	ps_params_change[], ps_params_replace[], ps_params_import[], ps_params_export[], ps_params_findings[],
	ps_params_generate[];

/*
 * Reads the query by its table: a map with what was given. -EINVAL fills err (400, field = the parameter): unknown
 * parameter, no number, out of range. -ENOMEM.
 */
int ps_params_read(
	const struct ps_param *table, const struct ps_query *query, struct ps_value **ret_args, struct ps_error *err);

#endif
