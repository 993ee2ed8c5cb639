/*
 * Who talks most: connections summed up by host, by service (protocol and responder's port) and by flow (originator,
 * service, responder). Pure.
 */
#ifndef PS_AGG_TOP_QUERY_H
#define PS_AGG_TOP_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/conn_table.h"
#include "common/base/error.h"
#include "common/model/value.h"

enum ps_top_by {
	PS_TOP_BYTES,
	PS_TOP_PACKETS,
	PS_TOP_CONNECTIONS,
};

struct ps_top_query {
	unsigned limit; /* groups of each kind in the answer */
	enum ps_top_by by;
	bool ended;     /* recently ended connections count too */
	uint64_t since; /* only connections whose last packet is not older: ns since 1970; 0 = all */
};

/*
 * Reads the arguments of conns.top (docs/control.md). `wall`: ns since 1970. -EINVAL names the
 * field. `args` may be NULL.
 */
int ps_top_query_parse(
	const struct ps_value *args, uint64_t wall, struct ps_top_query *ret_query, struct ps_error *err);

/*
 * The answer as one map: connections, packets, bytes (of all that were looked at); hosts, services, flows: lists, the
 * largest first, each with its numbers; hosts_total, services_total, flows_total; complete: false when there were more
 * than PS_TOP_GROUPS_MAX groups of a kind, and what came after them is only in the sums. `seed` scatters the groups: a
 * number that nobody who chooses addresses can know. NULL on no memory.
 */
struct ps_value *ps_top_query_run(const struct ps_top_query *q, const struct ps_conn_table *table, uint64_t seed);

#endif
