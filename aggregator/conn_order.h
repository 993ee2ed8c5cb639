/*
 * The order of connections in lists: by a field, then by id. Pure.
 */
#ifndef PS_AGG_CONN_ORDER_H
#define PS_AGG_CONN_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/conn_table.h"
#include "common/model/schema.h"

struct ps_conn_order {
	const struct ps_field *field; /* of the schema of connections */
	bool descending;              /* the ids too */
};

/* A row with what decides its place nearly always, so that sorting hardly ever looks into the record again. */
struct ps_conn_row {
	uint64_t key; /* of two different keys the smaller one is first in ascending order */
	uint64_t id;
	const struct ps_conn *conn; /* borrowed */
};

struct ps_conn_row ps_conn_row_of(const struct ps_conn_order *o, const struct ps_conn *c);

/* <0: a comes before b; 0: they are the same connection. */
int ps_conn_row_compare(const struct ps_conn_order *o, const struct ps_conn_row *a, const struct ps_conn_row *b);
int ps_conn_order_compare(const struct ps_conn_order *o, const struct ps_conn *a, const struct ps_conn *b);

/*
 * Of rows with different keys, the one with the smaller key comes first, in the order's direction. True: of rows that
 * have this key, the field is the same; false: it is a long text of which the key has the beginning.
 */
bool ps_conn_order_key(const struct ps_conn_order *o, const struct ps_conn *c, uint64_t *ret_key);

/*
 * Does a connection keep the field, as long as it lives? Then the place of the last row of a page is where the next one
 * goes on, whatever has become of that row. By a field that moves, rows would be met twice or left out.
 */
bool ps_conn_order_is_fixed(const struct ps_conn_order *o);

#endif
