/*
 * msgpack for everything that is not a hot record. Writing is msgpack-c's. Reading first walks the bytes and checks
 * every count and length against what is really there, and depth and nodes against common/limits.h, before anything is
 * allocated. The only file that includes msgpack-c.
 */
#ifndef PS_MSGPACK_H
#define PS_MSGPACK_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/model/value.h"

/*
 * Length of the one object at the start of data, all nested ones included. -EBADMSG: cut off, reserved byte, too deep,
 * too many nodes. Allocates nothing.
 */
int ps_msgpack_measure(const uint8_t *data, size_t len, size_t *ret_used);

/* One object that fills data exactly. -EBADMSG, -ENOMEM. bin becomes a string; ext is refused; map keys must be
 * strings. */
int ps_msgpack_parse(const uint8_t *data, size_t len, struct ps_value **ret_value);

void ps_msgpack_write(struct ps_buf *out, const struct ps_value *v);

#endif
