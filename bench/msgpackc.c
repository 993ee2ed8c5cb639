/* SPDX-License-Identifier: MIT */
#include "bench/msgpackc.h"

#include <stdint.h>
#include <string.h>

#include "common/model/schema.h"
#include "common/model/value.h"

static void pack_text(msgpack_packer *pk, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	if (!s) {
		msgpack_pack_nil(pk);
		return;
	}
	msgpack_pack_str(pk, n);
	msgpack_pack_str_body(pk, s, n);
}

static const char *hex(uint64_t v, char text[static 17])
{
	for (int i = 15; i >= 0; i--, v >>= 4)
		text[i] = "0123456789abcdef"[v & 15];
	text[16] = '\0';
	return text;
}

static void pack_field(msgpack_packer *pk, const struct ps_field *f, const void *at)
{
	char text[64];

	switch (f->kind) {
	case PS_KIND_U8:
		msgpack_pack_uint8(pk, *(const uint8_t *)at);
		break;
	case PS_KIND_U16:
		msgpack_pack_uint16(pk, *(const uint16_t *)at);
		break;
	case PS_KIND_U32:
		msgpack_pack_uint32(pk, *(const uint32_t *)at);
		break;
	case PS_KIND_U64:
	case PS_KIND_TIME:
	case PS_KIND_SPAN:
		msgpack_pack_uint64(pk, *(const uint64_t *)at);
		break;
	case PS_KIND_ID:
		pack_text(pk, *(const uint64_t *)at ? hex(*(const uint64_t *)at, text) : NULL);
		break;
	case PS_KIND_PROTO:
		pack_text(pk, *(const uint8_t *)at ? ps_proto_name(*(const uint8_t *)at, text) : NULL);
		break;
	case PS_KIND_ADDR:
		pack_text(pk, ((const struct ps_addr *)at)->family ? ps_addr_format(at, text) : NULL);
		break;
	case PS_KIND_NAME:
	case PS_KIND_TEXT:
		pack_text(pk, at);
		break;
	case PS_KIND_BOOL:
		if (*(const bool *)at)
			msgpack_pack_true(pk);
		else
			msgpack_pack_false(pk);
		break;
	case PS_KIND_RATIO:
		msgpack_pack_double(pk, *(const double *)at);
		break;
	case PS_KIND_RULE:
		if (*(const int32_t *)at < 0)
			msgpack_pack_nil(pk);
		else
			msgpack_pack_int32(pk, *(const int32_t *)at);
		break;
	default:
		pack_text(pk, ps_enum_name(f->kind, *(const uint8_t *)at));
	}
}

void ps_msgpackc_pack(msgpack_packer *pk, const struct ps_conn *conn)
{
	const struct ps_schema *s = &ps_schemas[PS_RECORD_CONN];

	msgpack_pack_array(pk, s->n_fields);
	for (size_t i = 0; i < s->n_fields; i++)
		pack_field(pk, &s->fields[i], (const uint8_t *)conn + s->fields[i].offset);
}

static uint64_t unhex(const char *s, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 4 | (uint64_t)(s[i] <= '9' ? s[i] - '0' : s[i] - 'a' + 10);
	return v;
}

/* Numbers and texts are copied; addresses are read; of words, the first letters tell which it is. */
static bool unpack_field(const msgpack_object *o, const struct ps_field *f, void *at)
{
	size_t n = o->type == MSGPACK_OBJECT_STR ? o->via.str.size : 0;

	switch (f->kind) {
	case PS_KIND_U8:
		*(uint8_t *)at = (uint8_t)o->via.u64;
		break;
	case PS_KIND_U16:
		*(uint16_t *)at = (uint16_t)o->via.u64;
		break;
	case PS_KIND_U32:
		*(uint32_t *)at = (uint32_t)o->via.u64;
		break;
	case PS_KIND_U64:
	case PS_KIND_TIME:
	case PS_KIND_SPAN:
		*(uint64_t *)at = o->via.u64;
		break;
	case PS_KIND_ID:
		*(uint64_t *)at = unhex(o->via.str.ptr, n);
		break;
	case PS_KIND_ADDR:
		if (n && ps_addr_parse(o->via.str.ptr, n, at) < 0)
			return false;
		break;
	case PS_KIND_NAME:
	case PS_KIND_TEXT:
		if (n)
			memcpy(at, o->via.str.ptr, n < PS_NAME_SIZE ? n : PS_NAME_SIZE - 1);
		break;
	case PS_KIND_BOOL:
		*(bool *)at = o->via.boolean;
		break;
	case PS_KIND_RATIO:
		*(double *)at = o->via.f64;
		break;
	case PS_KIND_RULE:
		*(int32_t *)at = o->type == MSGPACK_OBJECT_NIL ? -1 : (int32_t)o->via.i64;
		break;
	default:
		*(uint8_t *)at = n ? (uint8_t)o->via.str.ptr[0] : 0;
	}
	return true;
}

bool ps_msgpackc_unpack(const msgpack_object *o, struct ps_conn *ret_conn)
{
	const struct ps_schema *s = &ps_schemas[PS_RECORD_CONN];

	if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != s->n_fields)
		return false;
	memset(ret_conn, 0, sizeof(*ret_conn));
	for (size_t i = 0; i < s->n_fields; i++)
		if (!unpack_field(&o->via.array.ptr[i], &s->fields[i], (uint8_t *)ret_conn + s->fields[i].offset))
			return false;
	return true;
}
