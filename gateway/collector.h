/*
 * Is the collector well? It publishes and answers nobody: its socket tells whether a process listens there, and the
 * aggregator knows when it last gave a sign of life.
 */
#ifndef PS_GATEWAY_COLLECTOR_H
#define PS_GATEWAY_COLLECTOR_H

#include <stdint.h>

#include "common/model/value.h"

/*
 * NULL when it is; else what is wrong and what to do. `endpoint` is where it publishes, `aggregator` the body of the
 * aggregator's status (may be NULL). *ret_pid (may be NULL): its process, 0 if that is not known.
 */
const char *ps_collector_reason(const char *endpoint, const struct ps_value *aggregator, int64_t *ret_pid);

#endif
