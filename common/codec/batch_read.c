/* See batch.h: reading. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/codec/batch.h"
#include "common/codec/batch_layout.h"
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

/*
 * --- a connection as we write it ------------------------------------------------------------------------------------
 *
 * Straight-line code from schema.def for the columns as batch.c writes them: no form is longer than there, so a record
 * with CONN_MAX bytes behind its beginning needs no other check of its length. Whatever is written otherwise, or does
 * not fit, sets `odd`, and the record is read the other way, which decides.
 */
struct taker {
	const uint8_t *p;
	bool odd;
};

/* A number of `size` bytes at most. */
static inline uint64_t take_uint(struct taker *t, size_t size)
{
	const uint8_t *p = t->p;

	if (p[0] < 0x80) {
		t->p = p + 1;
		return p[0];
	}
	if (p[0] == 0xcc) {
		t->p = p + 2;
		return p[1];
	}
	if (size >= 2 && p[0] == 0xcd) {
		t->p = p + 3;
		return ps_wire_number(p + 1, 2);
	}
	if (size >= 4 && p[0] == 0xce) {
		t->p = p + 5;
		return ps_wire_number(p + 1, 4);
	}
	if (size >= 8 && p[0] == 0xcf) {
		t->p = p + 9;
		return ps_wire_number(p + 1, 8);
	}
	t->odd = true;
	return 0;
}

static inline bool take_nil(struct taker *t)
{
	if (t->p[0] != 0xc0)
		return false;
	t->p++;
	return true;
}

/* Length of a string of up to `max` bytes; t->p is then where it begins. */
static inline size_t take_head(struct taker *t, size_t max)
{
	size_t n = t->p[0] & 0x1f, head = 1;

	if (t->p[0] == 0xd9) {
		n = t->p[1];
		head = 2;
	} else if (t->p[0] >> 5 != 0xa0 >> 5) {
		n = SIZE_MAX;
	}
	if (n > max) {
		t->odd = true;
		return 0;
	}
	t->p += head;
	return n;
}

/* Eight hexadecimal digits, small letters; wrong ones set odd. */
static inline uint64_t take_hex(struct taker *t, const uint8_t *p)
{
	const uint64_t ones = 0x0101010101010101ull, high = ones << 7;
	uint64_t x = ps_wire_number(p, 8), letter, digit, value;

	/* Of bytes below 0x80: is it from 'a' to 'f', is it from '0' to '9'? */
	letter = (x + ones * (0x80 - 'a')) & ~(x + ones * (0x80 - 'g')) & high;
	digit = (x + ones * (0x80 - '0')) & ~(x + ones * (0x80 - ':')) & high;
	t->odd |= (x & high) != 0 || (letter | digit) != high;
	value = (x & ones * 0x0f) + (letter >> 7) * 9;
	value = (value | value >> 4) & 0x00ff00ff00ff00ffull;
	value = (value | value >> 8) & 0x0000ffff0000ffffull;
	return (value | value >> 16) & 0xffffffff;
}

static inline void take_ID(struct taker *t, uint64_t *to)
{
	const uint8_t *p = t->p + 1;

	*to = 0;
	if (take_nil(t))
		return;
	if (t->p[0] != (0xa0 | 16)) {
		t->odd = true;
		return;
	}
	*to = take_hex(t, p) << 32 | take_hex(t, p + 8);
	t->p = p + 16;
}

static inline void take_PROTO(struct taker *t, uint8_t *to)
{
	size_t n;

	*to = 0;
	if (take_nil(t))
		return;
	n = take_head(t, MAX_PROTO - 1);
	t->odd |= ps_proto_parse((const char *)t->p, n, to) < 0;
	t->p += n;
}

/* A decimal byte without a zero in front; where it ends, NULL: there is none. */
static inline const uint8_t *take_byte(const uint8_t *p, const uint8_t *end, uint8_t *to)
{
	const uint8_t *begin = p;
	unsigned v = 0;

	for (; p < end && p < begin + 3 && (uint8_t)(*p - '0') < 10; p++)
		v = v * 10 + (unsigned)(*p - '0');
	*to = (uint8_t)v;
	return p == begin || v > 255 || (*begin == '0' && p > begin + 1) ? NULL : p;
}

static inline void take_ADDR(struct taker *t, struct ps_addr *to)
{
	const uint8_t *p, *end;
	uint8_t bytes[4];
	size_t n;

	*to = (struct ps_addr){0};
	if (take_nil(t))
		return;
	n = take_head(t, MAX_ADDR - 2);
	end = t->p + n;
	p = t->p;
	t->p = end;
	for (int i = 0; p && i < 4; i++) {
		if (i && (p == end || *p++ != '.'))
			p = NULL;
		else
			p = take_byte(p, end, &bytes[i]);
	}
	if (p && p == end) {
		to->family = 4;
		memcpy(to->word, bytes, sizeof(bytes));
	} else {
		t->odd |= ps_addr_parse((const char *)end - n, n, to) < 0;
	}
}

/* The first n bytes of eight. */
static inline uint64_t first_bytes(size_t n)
{
	return n >= 8 ? UINT64_MAX : (1ull << (8 * n)) - 1;
}

static inline bool has_nul(uint64_t x)
{
	return (x - 0x0101010101010101ull) & ~x & 0x8080808080808080ull;
}

/* Zeros up to the end of the array. Most are short: 16 bytes are there to read, whatever the length. */
static inline void take_string(struct taker *t, char *to, size_t size)
{
	uint64_t half[2], keep[2];
	size_t n;

	memset(to, 0, size);
	if (take_nil(t))
		return;
	n = take_head(t, size - 1);
	if (n <= sizeof(half)) {
		memcpy(half, t->p, sizeof(half));
		keep[0] = first_bytes(n);
		keep[1] = first_bytes(n > 8 ? n - 8 : 0);
		t->odd |= has_nul(half[0] | ~keep[0]) || has_nul(half[1] | ~keep[1]);
		half[0] &= keep[0];
		half[1] &= keep[1];
		memcpy(to, half, sizeof(half));
	} else {
		memcpy(to, t->p, n);
		t->odd |= memchr(t->p, '\0', n) != NULL;
	}
	t->p += n;
}

static inline void take_BOOL(struct taker *t, bool *to)
{
	*to = false;
	if (take_nil(t))
		return;
	t->odd |= (t->p[0] | 1) != 0xc3;
	*to = t->p[0] & 1;
	t->p++;
}

static inline void take_RATIO(struct taker *t, double *to)
{
	uint64_t bits;

	if (t->p[0] != 0xcb) {
		t->odd = true;
		return;
	}
	bits = ps_wire_number(t->p + 1, 8);
	memcpy(to, &bits, sizeof(bits));
	t->odd |= !isfinite(*to);
	t->p += 9;
}

static inline void take_RULE(struct taker *t, int32_t *to)
{
	uint64_t id;

	*to = -1;
	if (take_nil(t))
		return;
	id = take_uint(t, 4);
	t->odd |= id > INT32_MAX;
	*to = (int32_t)id;
}

static inline void take_word(struct taker *t, enum ps_kind kind, uint8_t *to)
{
	size_t n;

	*to = 0;
	if (take_nil(t))
		return;
	n = take_head(t, MAX_WORD - 1);
	t->odd |= ps_enum_parse(kind, (const char *)t->p, n, to) < 0;
	t->p += n;
}

#define take_U8(t, to) (*(to) = (uint8_t)take_uint(t, 1))
#define take_U16(t, to) (*(to) = (uint16_t)take_uint(t, 2))
#define take_U32(t, to) (*(to) = (uint32_t)take_uint(t, 4))
#define take_U64(t, to) (*(to) = take_uint(t, 8))
#define take_TIME take_U64
#define take_SPAN take_U64
#define take_NAME(t, to) take_string(t, *(to), PS_NAME_SIZE)
#define take_TEXT(t, to) take_string(t, *(to), PS_TEXT_SIZE)
#define take_VIEW(t, to) take_word(t, PS_KIND_VIEW, to)
#define take_STATE(t, to) take_word(t, PS_KIND_STATE, to)
#define take_END(t, to) take_word(t, PS_KIND_END, to)
#define take_VERDICT(t, to) take_word(t, PS_KIND_VERDICT, to)

/* False: to be read the other way, from the beginning. */
static bool take_conn(struct ps_batch_reader *r, struct ps_conn *c)
{
	struct taker t = {.p = r->p};

	if (r->end - r->p < CONN_MAX || t.p[0] != 0xdc || ps_wire_number(t.p + 1, 2) != CONN_COLUMNS)
		return false;
	t.p += 3;
#define PS_CONN(name, kind, doc) take_##kind(&t, &c->name);
#include "common/model/schema.def"
	if (t.odd)
		return false;
	r->p = t.p;
	return true;
}

static bool is_direct(const struct ps_batch_reader *r)
{
	const struct ps_schema *s = &ps_schemas[PS_RECORD_CONN];

	if (r->type != PS_RECORD_CONN || r->n_columns != CONN_COLUMNS)
		return false;
	for (size_t i = 0; i < CONN_COLUMNS; i++) {
		if (r->column[i] != &s->fields[i])
			return false;
	}
	return true;
}

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
	reader.direct = is_direct(&reader);
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
	if (r->direct && take_conn(r, record)) {
		r->left--;
		return 1;
	}
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
