/*
 * Connections by id, living and recently ended. Records come from two sides (the collector's stream and the kernel's
 * own table) in any order; the table is monotone, so that order does not matter:
 *
 *	- of two records of one id, the one with more packets (then bytes) is newer; an older one changes nothing;
 *	- an ended id stays ended while it is remembered; a newer end record replaces its counters.
 *
 * Ended connections are remembered for PS_ENDED_NS, at most PS_ENDED_MAX of them (common/limits.h). Pure: no clock, no
 * log.
 */
#ifndef PS_CONN_TABLE_H
#define PS_CONN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/schema.h"

struct ps_conn_table;

/* What a record did to the table. */
enum ps_conn_change {
	PS_CHANGE_NONE,   /* older than what is known, or the same */
	PS_CHANGE_NEW,    /* an id that was not known */
	PS_CHANGE_UPDATE, /* newer counters or another state */
	PS_CHANGE_END,    /* the connection ended with this record */
};

/* `limit`: most living connections; 0 = none. -ENOMEM. */
int ps_conn_table_new(size_t limit, struct ps_conn_table **ret_table);
void ps_conn_table_free(struct ps_conn_table **table);
void ps_conn_table_set_limit(struct ps_conn_table *t, size_t limit);

/*
 * Ask the processor for what apply will touch: for all ids of a batch the first, then for all the second, then apply.
 * The second is told how many of the batch so far the table doesn't know, and gives the sum with this one.
 */
void ps_conn_table_prefetch(const struct ps_conn_table *t, uint64_t id);
size_t ps_conn_table_prefetch_record(const struct ps_conn_table *t, uint64_t id, size_t strangers);

/*
 * Folds one record in; `end`: it is the last of its connection. now: boot time, ns (when it ended). Returns enum
 * ps_conn_change, -ENOSPC when the table is full (counted), -ENOMEM, -EINVAL for id 0.
 */
int ps_conn_table_apply(struct ps_conn_table *t, const struct ps_conn *c, bool end, uint64_t now);

/* The record, living or ended, or NULL. Valid until the next change. */
const struct ps_conn *ps_conn_table_find(const struct ps_conn_table *t, uint64_t id, bool *ret_ended);

/*
 * Walks all records: starts at *position 0, NULL at the end. A position stays good while the table changes: what lives
 * from the first call to the last is met exactly once.
 */
const struct ps_conn *ps_conn_table_next(const struct ps_conn_table *t, size_t *position, bool *ret_ended);

/*
 * Walks the living ones whose last_seen is from `from` to `to` (both included), which may be others with each call;
 * starts at *position 0, NULL at the end. Looks at no record on its way: 1 ns for each that is left out. Those that
 * were added last come first. A position is good until the table changes.
 */
const struct ps_conn *ps_conn_table_seen(const struct ps_conn_table *t, size_t *position, uint64_t from, uint64_t to);

/* Forgets ended connections that are too old. */
void ps_conn_table_forget(struct ps_conn_table *t, uint64_t now);

typedef void (*ps_conn_fn)(void *arg, const struct ps_conn *c);

/*
 * Resynchronisation: `mark` begins a pass; every record applied from then on (though it says nothing new) is seen in
 * that pass; `end_unseen` ends what was not, with `reason` (enum ps_end_reason), and calls fn (may be NULL) for each.
 */
void ps_conn_table_mark(struct ps_conn_table *t);
size_t ps_conn_table_end_unseen(struct ps_conn_table *t, uint8_t reason, uint64_t now, ps_conn_fn fn, void *arg);

/* The same for a table that follows another one: what was not seen is forgotten, and may be heard of again. */
size_t ps_conn_table_forget_unseen(struct ps_conn_table *t, ps_conn_fn fn, void *arg);

struct ps_conn_totals {
	size_t live, ended;
	uint64_t refused; /* records of new connections that found the table full */
};
void ps_conn_table_totals(const struct ps_conn_table *t, struct ps_conn_totals *ret_totals);

#endif
