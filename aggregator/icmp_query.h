/*
 * Pages of the ICMP table, in the order of its keys (source, destination, type, code, VLANs). Pure.
 */
#ifndef PS_AGG_ICMP_QUERY_H
#define PS_AGG_ICMP_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "aggregator/icmp_table.h"
#include "common/base/error.h"
#include "common/limits.h"
#include "common/model/value.h"

struct ps_icmp_query {
	unsigned limit;
	bool has_cursor;
	struct ps_icmp cursor; /* the key of the last row before this page */
};

/* Reads the arguments of icmp.list. -EINVAL names the field. `args` may be NULL. */
int ps_icmp_query_parse(const struct ps_value *args, struct ps_icmp_query *ret_query, struct ps_error *err);

#define PS_ICMP_CURSOR_TEXT 128

struct ps_icmp_page {
	const struct ps_icmp *row[PS_REQUEST_PAGE_MAX]; /* good until the table changes */
	size_t n;
	size_t total;
	char next[PS_ICMP_CURSOR_TEXT]; /* "" = this is the last page */
};

/* One page. Without memory to sort in, it is empty. */
void ps_icmp_query_run(const struct ps_icmp_query *q, const struct ps_icmp_table *table, struct ps_icmp_page *ret_page);

#endif
