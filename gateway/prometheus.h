/*
 * The Prometheus text format, version 0.0.4, from a tree of numbers and the table metric.def. Pure.
 */
#ifndef PS_PROMETHEUS_H
#define PS_PROMETHEUS_H

#include <stddef.h>

#include "common/base/buf.h"
#include "common/model/value.h"

#define PS_PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum ps_metric_type {
	PS_METRIC_COUNTER,
	PS_METRIC_GAUGE,
};

struct ps_metric {
	const char *name; /* without "packetscope_" */
	enum ps_metric_type type;
	const char *path, *label; /* label "": the path has no "*" */
	const char *help;
};

extern const struct ps_metric ps_metrics[];
extern const size_t ps_n_metrics;

/* Every metric that the tree has a number for: HELP, TYPE, samples. What is missing is left out. */
void ps_prometheus_write(struct ps_buf *out, const struct ps_value *tree);

#endif
