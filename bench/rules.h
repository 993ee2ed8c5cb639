/* Rule sets to measure with, the same in every run. */
#ifndef PS_BENCH_RULES_H
#define PS_BENCH_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "common/model/rule.h"
#include "harness.h"

/* n rules over so many (16 or 64) combinations of source and destination prefix and port; zeroed memory for n. */
void ps_bench_tuples(struct ps_rule *rules, size_t n, unsigned tuples);

/* n rules of all kinds: networks of both families, ranges, lists, flags, quoted packets. The caller clears them. */
void ps_bench_mixed(struct ps_rule *rules, size_t n, int32_t first_id);

/* n rules that drop one IPv4 address each. */
void ps_bench_addresses(struct ps_rule *rules, size_t n, int32_t first_id);

/* A set of these rules, which are cleared, ready to be installed. Ends the program when they can't be compiled. */
struct ps_rule_set *ps_bench_set(struct ps_rig *rig, struct ps_rule *rules, size_t n);
/* The same of so many mixed ones, and addresses behind them. */
struct ps_rule_set *ps_bench_mixed_set(struct ps_rig *rig, size_t mixed, size_t addresses);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t ps_bench_now(void);

/* Least and middle of n values, which are sorted. */
double ps_bench_min(double *values, size_t n);
double ps_bench_median(double *values, size_t n);

/* One line of results: {"id": …, "figure": …, "ours": …, "reference": …, "ratio": …, "goal": …, "met": …, "note": …}.
 * The ratio is met when it is at most the goal. */
void ps_bench_result(const char *id, const char *figure, double ours, double reference, double goal, const char *note);

#endif
