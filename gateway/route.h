/*
 * The table of routes (route.def) and how a request finds its row.
 */
#ifndef PS_ROUTE_H
#define PS_ROUTE_H

#include <stddef.h>

#include "gateway/access.h"
#include "gateway/forward.h"

struct ps_exchange;
struct ps_param;

struct ps_route {
	unsigned method; /* one of enum ps_http_method */
	const char *pattern;
	void (*handler)(struct ps_exchange *x);
	enum ps_part part; /* PS_PARTS: none */
	const char *op;
	enum ps_scope scope; /* what the token of whoever asks must allow */
	size_t body_max;
	int timeout_ms;
	unsigned age_ms;               /* that an answer may have when many ask the same (share.h) */
	const struct ps_param *params; /* NULL: the query is not looked at */
	const char *body, *answers;    /* for the API document (openapi.h) */
	const char *doc;
};

extern const struct ps_route ps_routes[];
extern const size_t ps_n_routes;

/*
 * The row for an escaped path ("/api/filters/7"); a single final slash is ignored. *ret_param: the decoded {name} (the
 * caller frees it), NULL if the pattern has none. *ret_allow: methods that the path knows, HEAD and OPTIONS included;
 * set on -EPERM and on success. -ENOENT: no such path. -EPERM: the path is known, the method is not. HEAD finds the row
 * of GET. -ENOMEM.
 */
int ps_route_find(
	unsigned method, const char *path, const struct ps_route **ret_route, char **ret_param, unsigned *ret_allow);

#endif
