/* SPDX-License-Identifier: MIT */
/* Connection records to measure with, such as a server on the Internet has. */
#ifndef PS_BENCH_RECORDS_H
#define PS_BENCH_RECORDS_H

#include <stdint.h>

#include "common/model/schema.h"

/* The n-th of them: an established TCP connection of IPv4 with traffic in both directions. n from 0. */
void ps_bench_record(uint32_t n, struct ps_conn *ret_conn);

#endif
