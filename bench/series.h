/* SPDX-License-Identifier: MIT */
/* What the measuring programs say: one line of JSON for each series of rounds, which bench.py makes figures of. */
#ifndef PS_BENCH_SERIES_H
#define PS_BENCH_SERIES_H

#include <stddef.h>
#include <stdint.h>

#define PS_BENCH_ROUNDS_MAX 51

/* PS_BENCH_ROUNDS, or so many. */
unsigned ps_bench_rounds(unsigned otherwise);

/* The number that this variable of the environment holds, or that one: sizes are smaller in a smoke run. */
uint64_t ps_bench_size(const char *variable, uint64_t otherwise);

/* CPU time of this thread in nanoseconds: what others take of the processor meanwhile does not count. */
uint64_t ps_bench_cpu(void);

/* Binds this thread to the last CPU. */
void ps_bench_pin(void);

/* {"series": name, "unit": unit, "values": [one a round]} */
void ps_bench_series(const char *name, const char *unit, const double *values, size_t n);

/* {"note": name, "text": text}: why something was not measured, or what limits it. */
void ps_bench_note(const char *name, const char *text);

#endif
