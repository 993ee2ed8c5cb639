/*
 * What requester and responder share: the sockets' bounds and the wire form of headers. Private to common/bus/.
 */
#ifndef PS_BUS_REQUEST_H
#define PS_BUS_REQUEST_H

#include "common/base/buf.h"
#include "common/bus/socket.h"
#include "common/model/value.h"

/* Opens a ROUTER or DEALER socket within the bounds of common/limits.h. */
int ps_request_socket(struct ps_bus *bus, int type, int linger_ms, struct ps_socket *ret_socket, struct ps_error *err);

/* Parses a frame that must be a map (or nil, which gives NULL, if `optional`). -EBADMSG, -ENOMEM. */
int ps_request_read_map(struct ps_frames *frames, size_t i, size_t len_max, bool optional, struct ps_value **ret_map);

/* Reads v and id of a header. -EBADMSG. */
int ps_request_read_id(const struct ps_value *header, uint64_t *ret_id);

/* {v, id}, for more to be added; NULL on no memory. */
struct ps_value *ps_request_header(uint64_t id);

#endif
