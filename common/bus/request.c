#include "common/bus/request.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/bus/header.h"
#include "common/codec/msgpack.h"
#include "common/limits.h"

int ps_request_socket(struct ps_bus *bus, int type, int linger_ms, struct ps_socket *ret_socket, struct ps_error *err)
{
	const struct ps_socket_options options = {
		.type = type,
		.hwm = PS_REQUEST_WAITING_MAX,
		.frame_max = PS_VALUE_BYTES_MAX,
		.linger_ms = linger_ms,
	};
	return ps_socket_open(bus, &options, ret_socket, err);
}

int ps_request_read_map(struct ps_frames *frames, size_t i, size_t len_max, bool optional, struct ps_value **ret_map)
{
	_cleanup_(ps_value_free) struct ps_value *map = NULL;
	size_t len;
	const uint8_t *data = ps_frame_data(frames, i, &len);
	if (len > len_max)
		return -EBADMSG;
	int r = ps_msgpack_parse(data, len, &map);
	if (r < 0)
		return r;
	if (optional && ps_value_kind(map) == PS_VALUE_NULL)
		ps_value_free(&map);
	else if (ps_value_kind(map) != PS_VALUE_MAP)
		return -EBADMSG;
	*ret_map = PS_TAKE(map);
	return 0;
}

int ps_request_read_id(const struct ps_value *header, uint64_t *ret_id)
{
	uint64_t v;
	if (!ps_header_number(header, "v", UINT64_MAX, &v) || v != PS_BUS_SCHEMA_VERSION)
		return -EBADMSG;
	return ps_header_number(header, "id", UINT64_MAX, ret_id) ? 0 : -EBADMSG;
}

struct ps_value *ps_request_header(uint64_t id)
{
	_cleanup_(ps_value_free) struct ps_value *header = ps_value_map();
	if (!header || ps_value_set(header, "v", ps_value_int(PS_BUS_SCHEMA_VERSION)) < 0 ||
		ps_value_set(header, "id", ps_value_uint(id)) < 0)
		return NULL;
	return PS_TAKE(header);
}
