/* SPDX-License-Identifier: MIT */
/* A connection's record by msgpack-c, to the same bytes as our own codec; texts come from our own formatters. */
#ifndef PS_BENCH_MSGPACKC_H
#define PS_BENCH_MSGPACKC_H

#include <msgpack.h>
#include <stdbool.h>

#include "common/model/record.h"

void ps_msgpackc_pack(msgpack_packer *pk, const struct ps_conn *conn);

/* False for what is no such record: every value is checked as our own reader does. */
bool ps_msgpackc_unpack(const msgpack_object *o, struct ps_conn *ret_conn);

#endif
