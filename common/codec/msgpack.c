/* See msgpack.h. */
#include "common/codec/msgpack.h"

#include <errno.h>
#include <math.h>
#include <msgpack.h>

#include "common/base/cleanup.h"
#include "common/codec/wire.h"
#include "common/limits.h"

int ps_msgpack_measure(const uint8_t *data, size_t len, size_t *ret_used)
{
	uint64_t owed[PS_VALUE_DEPTH_MAX + 1] = {1}; /* items still to come, by depth */
	struct ps_wire w = {data, data + PS_MIN(len, (size_t)PS_VALUE_BYTES_MAX)};
	struct ps_wire_item item;
	size_t depth = 0, nodes = 0;

	for (;;) {
		while (!owed[depth]) {
			if (!depth) {
				*ret_used = (size_t)(w.p - data);
				return 0;
			}
			depth--;
		}
		owed[depth]--;
		if (!ps_wire_next(&w, &item) || ++nodes > PS_VALUE_NODES_MAX)
			return -EBADMSG;
		if (item.kind != PS_WIRE_ARRAY && item.kind != PS_WIRE_MAP)
			continue;
		if (++depth > PS_VALUE_DEPTH_MAX)
			return -EBADMSG;
		owed[depth] = item.kind == PS_WIRE_MAP ? 2 * (uint64_t)item.n : item.n;
	}
}

static int read_value(struct ps_wire *w, struct ps_value **ret_value);

static int read_list(struct ps_wire *w, uint32_t n, struct ps_value **ret_value)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();

	for (uint32_t i = 0; i < n; i++) {
		struct ps_value *child = NULL;
		int ret = read_value(w, &child);

		if (ret)
			return ret;
		ret = ps_value_append(list, child);
		if (ret)
			return ret;
	}
	*ret_value = PS_TAKE(list);
	return *ret_value ? 0 : -ENOMEM;
}

static int read_map(struct ps_wire *w, uint32_t n, struct ps_value **ret_value)
{
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();

	if (n > PS_VALUE_KEYS_MAX)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		struct ps_value *child = NULL;
		struct ps_wire_item key;
		int ret;

		/* A NUL inside a key would make two keys look like one. */
		if (!ps_wire_next(w, &key) || key.kind != PS_WIRE_STR || memchr(key.data, '\0', key.n))
			return -EBADMSG;
		ret = read_value(w, &child);
		if (ret)
			return ret;
		ret = ps_value_set_n(map, (const char *)key.data, key.n, child);
		if (ret)
			return ret;
		if (ps_value_count(map) != i + 1)
			return -EBADMSG; /* the same key twice */
	}
	*ret_value = PS_TAKE(map);
	return *ret_value ? 0 : -ENOMEM;
}

/* What is read here has been measured: depth and nodes are within bounds. */
static int read_value(struct ps_wire *w, struct ps_value **ret_value)
{
	struct ps_wire_item item;
	struct ps_value *v = NULL;

	if (!ps_wire_next(w, &item))
		return -EBADMSG;
	switch (item.kind) {
	case PS_WIRE_NIL:
		v = ps_value_null();
		break;
	case PS_WIRE_BOOL:
		v = ps_value_bool(item.b);
		break;
	case PS_WIRE_UINT:
		v = ps_value_uint(item.u);
		break;
	case PS_WIRE_NEGATIVE:
		v = ps_value_int(item.i);
		break;
	case PS_WIRE_REAL:
		v = ps_value_real(item.d);
		break;
	case PS_WIRE_STR:
	case PS_WIRE_BIN:
		v = ps_value_string_n((const char *)item.data, item.n);
		break;
	case PS_WIRE_EXT:
		return -EBADMSG;
	case PS_WIRE_ARRAY:
		return read_list(w, item.n, ret_value);
	case PS_WIRE_MAP:
		return read_map(w, item.n, ret_value);
	}
	if (!v)
		return -ENOMEM;
	*ret_value = v;
	return 0;
}

int ps_msgpack_parse(const uint8_t *data, size_t len, struct ps_value **ret_value)
{
	struct ps_wire w = {data, data + len};
	size_t used;
	int ret;

	ret = ps_msgpack_measure(data, len, &used);
	if (ret)
		return ret;
	if (used != len)
		return -EBADMSG;
	return read_value(&w, ret_value);
}

static int to_buf(void *arg, const char *data, size_t len)
{
	ps_buf_add(arg, data, len);
	return 0;
}

static void write_string(msgpack_packer *pk, const char *s, size_t len)
{
	msgpack_pack_str(pk, len);
	msgpack_pack_str_body(pk, s, len);
}

/* The sticky error of the buffer stands in for the return values of msgpack-c. */
static void write_value(msgpack_packer *pk, const struct ps_value *v)
{
	size_t n = ps_value_count(v);

	switch (ps_value_kind(v)) {
	case PS_VALUE_NULL:
		msgpack_pack_nil(pk);
		break;
	case PS_VALUE_BOOL:
		if (ps_value_as_bool(v, false))
			msgpack_pack_true(pk);
		else
			msgpack_pack_false(pk);
		break;
	case PS_VALUE_INT:
		msgpack_pack_int64(pk, ps_value_as_int(v, 0));
		break;
	case PS_VALUE_UINT:
		msgpack_pack_uint64(pk, ps_value_as_uint(v, 0));
		break;
	case PS_VALUE_REAL:
		msgpack_pack_double(pk, ps_value_as_real(v, 0));
		break;
	case PS_VALUE_STRING:
		write_string(pk, ps_value_as_string(v, ""), ps_value_string_len(v));
		break;
	case PS_VALUE_LIST:
		msgpack_pack_array(pk, n);
		for (size_t i = 0; i < n; i++)
			write_value(pk, ps_value_at(v, i));
		break;
	case PS_VALUE_MAP:
		msgpack_pack_map(pk, n);
		for (size_t i = 0; i < n; i++) {
			write_string(pk, ps_value_key_at(v, i), strlen(ps_value_key_at(v, i)));
			write_value(pk, ps_value_at(v, i));
		}
		break;
	}
}

void ps_msgpack_write(struct ps_buf *out, const struct ps_value *v)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, to_buf);
	write_value(&pk, v);
}
