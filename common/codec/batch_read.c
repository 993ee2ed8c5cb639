/* See batch.h: reading. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/codec/batch.h"
#include "common/codec/wire.h"
#include "common/model/value.h"

/* What a record holds where a column is missing or nil. */
#define NONE_U8 0
#define NONE_U16 0
#define NONE_U32 0
#define NONE_U64 0
#define NONE_ID 0
#define NONE_PROTO 0
#define NONE_ADDR \
	{ \
		0 \
	}
#define NONE_NAME ""
#define NONE_TEXT ""
#define NONE_BOOL false
#define NONE_TIME 0
#define NONE_SPAN 0
#define NONE_RATIO 0.0
#define NONE_RULE (-1)
#define NONE_VIEW 0
#define NONE_STATE 0
#define NONE_END 0
#define NONE_VERDICT 0
#define NONE_DIRECTION 0
#define NONE_MODE 0

static const struct ps_conn conn_none = {
#define PS_CONN(name, kind, doc) .name = NONE_##kind,
#include "common/model/schema.def"
};

static const struct ps_icmp icmp_none = {
#define PS_ICMP(name, kind, doc) .name = NONE_##kind,
#include "common/model/schema.def"
};

static const struct ps_drop drop_none = {
#define PS_DROP(name, kind, doc) .name = NONE_##kind,
#include "common/model/schema.def"
};

static const void *const nones[PS_RECORD_TYPES] = {&conn_none, &icmp_none, &drop_none};

int ps_batch_reader_init(struct ps_batch_reader *r, enum ps_record_type type, const struct ps_value *fields,
	const uint8_t *payload, size_t len)
{
	struct ps_batch_reader reader = {.type = type, .n_columns = ps_value_count(fields)};
	struct ps_wire w = {payload, payload + len};
	struct ps_wire_item item;

	if (ps_value_kind(fields) != PS_VALUE_LIST || reader.n_columns > PS_BUS_FIELDS_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < reader.n_columns; i++) {
		const struct ps_value *name = ps_value_at(fields, i);

		if (ps_value_kind(name) != PS_VALUE_STRING)
			return -EBADMSG;
		reader.column[i] =
			ps_schema_find(&ps_schemas[type], ps_value_as_string(name, ""), ps_value_string_len(name));
	}
	if (!ps_wire_next(&w, &item) || item.kind != PS_WIRE_ARRAY)
		return -EBADMSG;
	reader.left = item.n;
	reader.p = w.p;
	reader.end = w.end;
	*r = reader;
	return 0;
}

static bool read_id(const struct ps_wire_item *item, uint64_t *ret_id)
{
	uint64_t id = 0;

	if (item->kind != PS_WIRE_STR || item->n != 16)
		return false;
	for (int i = 0; i < 16; i++) {
		uint8_t c = item->data[i];

		if (c >= '0' && c <= '9')
			id = id << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			id = id << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*ret_id = id;
	return true;
}

/* Text into an array of `size` bytes, the last of them the NUL. */
static bool read_text(const struct ps_wire_item *item, char *to, size_t size)
{
	if (item->kind != PS_WIRE_STR || item->n >= size || memchr(item->data, '\0', item->n))
		return false;
	memcpy(to, item->data, item->n);
	to[item->n] = '\0';
	return true;
}

static bool read_real(const struct ps_wire_item *item, double *ret_d)
{
	if (item->kind == PS_WIRE_UINT)
		*ret_d = (double)item->u;
	else if (item->kind == PS_WIRE_NEGATIVE)
		*ret_d = (double)item->i;
	else if (item->kind == PS_WIRE_REAL && isfinite(item->d))
		*ret_d = item->d;
	else
		return false;
	return true;
}

static bool read_uint(const struct ps_wire_item *item, void *to, size_t size)
{
	if (item->kind != PS_WIRE_UINT || (size < 8 && item->u >> (8 * size)))
		return false;
	if (size == 1)
		*(uint8_t *)to = (uint8_t)item->u;
	else if (size == 2)
		*(uint16_t *)to = (uint16_t)item->u;
	else if (size == 4)
		*(uint32_t *)to = (uint32_t)item->u;
	else
		*(uint64_t *)to = item->u;
	return true;
}

static bool read_rule(const struct ps_wire_item *item, int32_t *ret_id)
{
	if (item->kind != PS_WIRE_UINT || item->u > INT32_MAX)
		return false;
	*ret_id = (int32_t)item->u;
	return true;
}

/* A word that this version does not know is none: a newer publisher may have more of them. */
static bool read_enum(const struct ps_wire_item *item, enum ps_kind kind, uint8_t *ret_value)
{
	if (item->kind != PS_WIRE_STR)
		return false;
	if (ps_enum_parse(kind, (const char *)item->data, item->n, ret_value))
		*ret_value = 0;
	return true;
}

static bool read_column(const struct ps_wire_item *item, const struct ps_field *f, void *record)
{
	void *to = (uint8_t *)record + f->offset;

	if (item->kind == PS_WIRE_NIL)
		return true;
	switch (f->kind) {
	case PS_KIND_U8:
		return read_uint(item, to, 1);
	case PS_KIND_U16:
		return read_uint(item, to, 2);
	case PS_KIND_U32:
		return read_uint(item, to, 4);
	case PS_KIND_U64:
	case PS_KIND_TIME:
	case PS_KIND_SPAN:
		return read_uint(item, to, 8);
	case PS_KIND_ID:
		return read_id(item, to);
	case PS_KIND_PROTO:
		return item->kind == PS_WIRE_STR && !ps_proto_parse((const char *)item->data, item->n, to);
	case PS_KIND_ADDR:
		return item->kind == PS_WIRE_STR && !ps_addr_parse((const char *)item->data, item->n, to);
	case PS_KIND_NAME:
		return read_text(item, to, PS_NAME_SIZE);
	case PS_KIND_TEXT:
		return read_text(item, to, PS_TEXT_SIZE);
	case PS_KIND_BOOL:
		if (item->kind != PS_WIRE_BOOL)
			return false;
		*(bool *)to = item->b;
		return true;
	case PS_KIND_RATIO:
		return read_real(item, to);
	case PS_KIND_RULE:
		return read_rule(item, to);
	case PS_KIND_VIEW:
	case PS_KIND_STATE:
	case PS_KIND_END:
	case PS_KIND_VERDICT:
	case PS_KIND_DIRECTION:
	case PS_KIND_MODE:
		return read_enum(item, f->kind, to);
	}
	return false;
}

int ps_batch_next(struct ps_batch_reader *r, void *record)
{
	struct ps_wire w = {r->p, r->end};
	struct ps_wire_item item;

	if (!r->left)
		return r->p == r->end ? 0 : -EBADMSG;
	if (!ps_wire_next(&w, &item) || item.kind != PS_WIRE_ARRAY || item.n != r->n_columns)
		return -EBADMSG;
	memcpy(record, nones[r->type], ps_schemas[r->type].size);
	for (size_t i = 0; i < r->n_columns; i++) {
		if (!r->column[i]) {
			if (!ps_wire_skip(&w))
				return -EBADMSG;
			continue;
		}
		if (!ps_wire_next(&w, &item) || !read_column(&item, r->column[i], record))
			return -EBADMSG;
	}
	r->p = w.p;
	r->left--;
	return 1;
}
