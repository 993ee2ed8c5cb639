/*
 * What is asked of a list of connections: which, in what order, from where on. Pure.
 */
#ifndef PS_AGG_CONN_QUERY_H
#define PS_AGG_CONN_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "aggregator/conn_order.h"
#include "aggregator/limits.h"
#include "common/base/error.h"
#include "common/limits.h"
#include "common/model/value.h"

struct ps_conn_query {
	unsigned limit;
	size_t offset; /* rows that are left out before the page */
	struct ps_conn_order order;
	bool ended;                /* recently ended ones too */
	int proto;                 /* -1 = any */
	int state;                 /* -1 = any */
	int port;                  /* of either end; -1 = any */
	struct ps_addr ip;         /* of either end; family 0 = any */
	char q[PS_QUERY_TEXT_MAX]; /* part of the key as people read it, in small letters; "" = any */
	bool has_cursor;           /* one of the two, by the sort field (ps_conn_order_is_fixed) */
	struct ps_conn cursor;     /* the last row before this page: its sort field and id count */
	struct {
		uint64_t list; /* conn_walk.h */
		uint64_t at;   /* entries of it that went before this page */
	} walk;
	/* Called every millisecond of work: may apply records, if the rows are sorted by a number. What has gone
	 * meanwhile may be on the page: look whether the table still has it. */
	void (*breathe)(void *arg);
	void *breathe_arg;
};

/*
 * Reads the arguments of conns.list (docs/control.md); numbers may come as text. -EINVAL names the field. `args` may be
 * NULL.
 */
int ps_conn_query_parse(const struct ps_value *args, struct ps_conn_query *ret_query, struct ps_error *err);

/* Is the connection one of those that are asked for? Whether it has ended is the caller's to know. */
bool ps_conn_query_matches(const struct ps_conn_query *q, const struct ps_conn *c);

#define PS_CURSOR_TEXT 192

/* Writes the cursor for what follows a row, in an order that is fixed. */
void ps_conn_query_cursor(const struct ps_conn_query *q, const struct ps_conn *last, char out[static PS_CURSOR_TEXT]);
/* Writes the cursor for what follows the first `at` entries of a list that is kept (conn_walk.h). */
void ps_conn_query_walk_cursor(
	const struct ps_conn_query *q, uint64_t list, uint64_t at, char out[static PS_CURSOR_TEXT]);

#endif
