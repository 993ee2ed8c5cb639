/*
 * The header frame of a message: a msgpack map whose keys design and documentation name. Private to common/bus/.
 *
 *	v host epoch fields (the same in every message of a topic, encoded once) seq ts n lost before
 *
 * `fields` is missing for topics whose payload is one map.
 */
#ifndef PS_BUS_HEADER_H
#define PS_BUS_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/bus/bus.h"

/* Writes the constant part, announcing the variable part that ps_header_end appends. */
void ps_header_begin(struct ps_buf *out, enum ps_topic topic, const char *host, uint64_t epoch);
void ps_header_end(struct ps_buf *out, uint64_t seq, uint64_t ts, uint32_t n, uint64_t lost, uint64_t before);

/*
 * Reads a header from outside into epoch, seq, ts, lost, before, n and header of *ret_msg. -EBADMSG: a key is missing,
 * of the wrong kind or out of bounds, or the version is not ours. Keys that we do not know are left alone.
 */
int ps_header_read(enum ps_topic topic, const uint8_t *data, size_t len, struct ps_message *ret_msg);

/* The number under key, if it is a whole one from 0 to max. */
bool ps_header_number(const struct ps_value *map, const char *key, uint64_t max, uint64_t *ret_number);

#endif
