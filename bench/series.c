/* SPDX-License-Identifier: MIT */
#include "bench/series.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

unsigned ps_bench_rounds(unsigned otherwise)
{
	uint64_t n = ps_bench_size("PS_BENCH_ROUNDS", otherwise);

	return n < 1 ? 1 : n > PS_BENCH_ROUNDS_MAX ? PS_BENCH_ROUNDS_MAX : (unsigned)n;
}

uint64_t ps_bench_size(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

uint64_t ps_bench_cpu(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

void ps_bench_pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

void ps_bench_series(const char *name, const char *unit, const double *values, size_t n)
{
	printf("{\"series\": \"%s\", \"unit\": \"%s\", \"values\": [", name, unit);
	for (size_t i = 0; i < n; i++)
		printf("%s%.3f", i ? ", " : "", values[i]);
	printf("]}\n");
	(void)fflush(stdout);
}

void ps_bench_note(const char *name, const char *text)
{
	printf("{\"note\": \"%s\", \"text\": \"%s\"}\n", name, text);
	(void)fflush(stdout);
}
