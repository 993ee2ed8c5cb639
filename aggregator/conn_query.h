/*
 * Lists of connections: which, in what order, from where on. Pure.
 */
#ifndef PS_AGG_CONN_QUERY_H
#define PS_AGG_CONN_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/model/conn_table.h"
#include "aggregator/limits.h"
#include "common/base/error.h"
#include "common/limits.h"
#include "common/model/value.h"

struct ps_conn_query {
	unsigned limit;
	size_t offset; /* rows that are left out before the page */
	const struct ps_field *sort;
	bool descending;
	bool ended;                /* recently ended ones too */
	int proto;                 /* -1 = any */
	int state;                 /* -1 = any */
	int port;                  /* of either end; -1 = any */
	struct ps_addr ip;         /* of either end; family 0 = any */
	char q[PS_QUERY_TEXT_MAX]; /* part of the key as people read it, in small letters; "" = any */
	bool has_cursor;           /* one of the two, by the sort field (ps_conn_query_is_fixed) */
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

#define PS_CURSOR_TEXT 192
#define PS_SCAN_LOOKS 20000 /* rows that a page of a scan looks at at most: 1 ms, 3 with a text to look for */

struct ps_conn_page {
	const struct ps_conn *row[PS_REQUEST_PAGE_MAX]; /* good until the table changes */
	size_t n;
	size_t total;              /* rows that match, on all pages */
	bool more;                 /* rows follow */
	char next[PS_CURSOR_TEXT]; /* "" = this is the last page, or the sort field moves: ps_conn_walks_page */
};

/*
 * Does a connection keep its sort field, as long as it lives? Then a cursor is the place of the last row of a page, and
 * the next one goes on behind it, whatever has become of that row. By a field that moves, rows would be met twice or
 * left out: who wants further pages needs ps_conn_walks_page (conn_walk.h).
 */
bool ps_conn_query_is_fixed(const struct ps_conn_query *q);

/*
 * One page. The order is by the sort field, then by id. An offset leaves rows out (those after the cursor, if there is
 * one), for views that look into the middle of a long list; without memory to count them in (24 bytes for each that is
 * left out, twice), -ENOMEM and no page. By last_seen without filters it looks at few records but those of the page.
 */
int ps_conn_query_run(const struct ps_conn_query *q, const struct ps_conn_table *table, struct ps_conn_page *ret_page);

/*
 * A page in no order, from *position on (0: the beginning): what lives all the while is met exactly once, whatever
 * changes meanwhile, and the cost is that of the rows looked at. May have fewer rows than the limit, or none. True:
 * there is more, at *position. `total` is not counted.
 */
bool ps_conn_query_scan(const struct ps_conn_query *q, const struct ps_conn_table *table, size_t *position,
	struct ps_conn_page *ret_page);

/* --- for those who keep an order ------------------------------------------------------------------- */

bool ps_conn_query_matches(const struct ps_conn_query *q, const struct ps_conn *c);
/* <0: a comes before b on the pages. */
int ps_conn_query_compare(const struct ps_conn_query *q, const struct ps_conn *a, const struct ps_conn *b);
/* Of rows with different keys, the one with the smaller key comes first. True: of rows that have this key, the sort
 * field is the same; false: it is a long text of which the key has the beginning. */
bool ps_conn_query_key(const struct ps_conn_query *q, const struct ps_conn *c, uint64_t *ret_key);
/* Writes the cursor of a page of a list that is kept. */
void ps_conn_query_walk_cursor(
	const struct ps_conn_query *q, uint64_t list, uint64_t at, char out[static PS_CURSOR_TEXT]);

#endif
