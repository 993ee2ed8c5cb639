/*
 * ICMP counters by source, destination, VLANs, type and code. Events tell of them at most once an interval; the
 * kernel's map, read as a whole, is the truth: what it has given up (it is an LRU) is given up here too. Pure.
 */
#ifndef PS_AGG_ICMP_TABLE_H
#define PS_AGG_ICMP_TABLE_H

#include <stddef.h>

#include "common/model/schema.h"

struct ps_icmp_table;

/* -ENOMEM */
int ps_icmp_table_new(struct ps_icmp_table **ret_table);
void ps_icmp_table_free(struct ps_icmp_table **table);

/* Folds a record in: 1 = it said something new, 0 = it did not, -ENOSPC = PS_ICMP_ENTRIES are there, -ENOMEM. */
int ps_icmp_table_apply(struct ps_icmp_table *t, const struct ps_icmp *icmp);

/* Around a read of the whole kernel map: what was not applied between the two calls is removed. */
void ps_icmp_table_mark(struct ps_icmp_table *t);
void ps_icmp_table_drop_unseen(struct ps_icmp_table *t);

size_t ps_icmp_table_count(const struct ps_icmp_table *t);
const struct ps_icmp *ps_icmp_table_at(const struct ps_icmp_table *t, size_t i); /* in no order; NULL beyond the end */

/* Order of two records by key (source, destination, type, code, VLANs), for lists that are read in pages. */
int ps_icmp_compare(const struct ps_icmp *a, const struct ps_icmp *b);

#endif
