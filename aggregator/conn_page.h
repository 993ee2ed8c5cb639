/*
 * A page of a list of connections, found by looking at the table. Pure.
 */
#ifndef PS_AGG_CONN_PAGE_H
#define PS_AGG_CONN_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "aggregator/conn_query.h"
#include "common/model/conn_table.h"

#define PS_SCAN_LOOKS 20000 /* rows that a page of a scan looks at at most: 1 ms, 3 with a text to look for */

struct ps_conn_page {
	const struct ps_conn *row[PS_REQUEST_PAGE_MAX]; /* good until the table changes */
	size_t n;
	size_t total;              /* rows that match, on all pages */
	bool more;                 /* rows follow */
	char next[PS_CURSOR_TEXT]; /* "" = this is the last page, or the sort field moves: ps_conn_walks_page */
};

/*
 * One page. The order is by the sort field, then by id. An offset leaves rows out (those after the cursor, if there is
 * one), for views that look into the middle of a long list; without memory to count them in (24 bytes for each that is
 * left out, twice), -ENOMEM and no page. By last_seen without filters it looks at few records but those of the page.
 */
int ps_conn_page_read(const struct ps_conn_query *q, const struct ps_conn_table *table, struct ps_conn_page *ret_page);

/*
 * A page in no order, from *position on (0: the beginning): what lives all the while is met exactly once, whatever
 * changes meanwhile, and the cost is that of the rows looked at. May have fewer rows than the limit, or none. True:
 * there is more, at *position. `total` is not counted.
 */
bool ps_conn_page_scan(const struct ps_conn_query *q, const struct ps_conn_table *table, size_t *position,
	struct ps_conn_page *ret_page);

#endif
