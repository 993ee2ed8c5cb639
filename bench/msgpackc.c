/* SPDX-License-Identifier: MIT */
#include "bench/msgpackc.h"

#include <math.h>
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

static bool unhex(const msgpack_object *o, uint64_t *ret_id)
{
	uint64_t v = 0;

	if (o->type != MSGPACK_OBJECT_STR || o->via.str.size != 16)
		return false;
	for (size_t i = 0; i < 16; i++) {
		char c = o->via.str.ptr[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*ret_id = v;
	return true;
}

static bool unpack_number(const msgpack_object *o, void *at, size_t size)
{
	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || (size < 8 && o->via.u64 >> (8 * size)))
		return false;
	memcpy(at, &o->via.u64, size); /* little-endian, as batch.c asserts */
	return true;
}

static bool unpack_string(const msgpack_object *o, char *at, size_t size)
{
	size_t n = o->via.str.size;

	if (o->type != MSGPACK_OBJECT_STR || n >= size || memchr(o->via.str.ptr, '\0', n))
		return false;
	memcpy(at, o->via.str.ptr, n);
	at[n] = '\0';
	return true;
}

/* A word that is not known is none. */
static bool unpack_word(const msgpack_object *o, enum ps_kind kind, uint8_t *at)
{
	if (o->type != MSGPACK_OBJECT_STR)
		return false;
	if (ps_enum_parse(kind, o->via.str.ptr, o->via.str.size, at) < 0)
		*at = 0;
	return true;
}

/* With the checks that batch_read.c makes, and the same helpers for addresses and words. */
static bool unpack_field(const msgpack_object *o, const struct ps_field *f, void *at)
{
	const char *text = o->via.str.ptr;
	size_t n = o->type == MSGPACK_OBJECT_STR ? o->via.str.size : 0;

	if (o->type == MSGPACK_OBJECT_NIL) {
		if (f->kind == PS_KIND_RULE)
			*(int32_t *)at = -1;
		return true;
	}
	switch (f->kind) {
	case PS_KIND_U8:
		return unpack_number(o, at, 1);
	case PS_KIND_U16:
		return unpack_number(o, at, 2);
	case PS_KIND_U32:
		return unpack_number(o, at, 4);
	case PS_KIND_U64:
	case PS_KIND_TIME:
	case PS_KIND_SPAN:
		return unpack_number(o, at, 8);
	case PS_KIND_ID:
		return unhex(o, at);
	case PS_KIND_PROTO:
		return n && ps_proto_parse(text, n, at) == 0;
	case PS_KIND_ADDR:
		return n && ps_addr_parse(text, n, at) == 0;
	case PS_KIND_NAME:
		return unpack_string(o, at, PS_NAME_SIZE);
	case PS_KIND_TEXT:
		return unpack_string(o, at, PS_TEXT_SIZE);
	case PS_KIND_BOOL:
		*(bool *)at = o->via.boolean;
		return o->type == MSGPACK_OBJECT_BOOLEAN;
	case PS_KIND_RATIO:
		*(double *)at = o->via.f64;
		return (o->type == MSGPACK_OBJECT_FLOAT64 || o->type == MSGPACK_OBJECT_FLOAT32) && isfinite(o->via.f64);
	case PS_KIND_RULE:
		*(int32_t *)at = (int32_t)o->via.u64;
		return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= INT32_MAX;
	default:
		return unpack_word(o, f->kind, at);
	}
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
