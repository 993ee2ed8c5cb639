/*
 * Walks through a list of connections page by page, in an order that moves while they walk (last_seen, counters): each
 * connection that lives from the first page to the last is met exactly once, wherever it moves.
 *
 * The first page is made from the table as it is, and its ids are kept for a while. Who comes for the second page gets
 * a list made then: all others that match, in the order of that moment; each further page takes its part of it, with
 * what the table has of those connections now. What has ended meanwhile, or matches no more, is passed over. A cursor
 * names a list and a place in it, so a page can be asked for again.
 *
 * An order that keeps still (ps_conn_order_is_fixed) needs none of this.
 *
 * Memory: 8 bytes for each row of a first page, 16 for each row of a list; bounded (PS_WALK_FIRST_BYTES,
 * PS_WALK_LIST_BYTES, PS_WALK_LISTS). Of first pages the oldest is forgotten when there are too many. A list that
 * somebody walked through a moment ago is not: then a new one is refused. Pure: no clock, no log.
 */
#ifndef PS_AGG_CONN_WALK_H
#define PS_AGG_CONN_WALK_H

#include "aggregator/conn_page.h"

struct ps_conn_walks;

/* `seed`: no walk of a predecessor may have begun after it; wall time, ns. -ENOMEM. */
int ps_conn_walks_new(uint64_t seed, struct ps_conn_walks **ret_walks);
void ps_conn_walks_free(struct ps_conn_walks **walks);

/*
 * One page, as ps_conn_page_read, with its cursor. An offset of the first page leaves rows out of the walk; there a
 * connection that moves may be missed. now: boot time, ns. -ENOMEM; -ESTALE (410): the list of the cursor is not kept
 * any more; -EBUSY (503): there are too many lists.
 */
int ps_conn_walks_page(struct ps_conn_walks *walks, const struct ps_conn_query *q, const struct ps_conn_table *table,
	uint64_t now, struct ps_conn_page *ret_page, struct ps_error *err);

/* Forgets what nobody has come for within PS_WALK_NS. */
void ps_conn_walks_forget(struct ps_conn_walks *walks, uint64_t now);

struct ps_conn_walks_totals {
	size_t lists, bytes; /* kept; first pages count as bytes only */
	uint64_t refused;    /* pages that were not given: 410 and 503 */
};
void ps_conn_walks_totals(const struct ps_conn_walks *walks, struct ps_conn_walks_totals *ret_totals);

#endif
