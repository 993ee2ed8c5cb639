/* See batch.h: reading. */
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
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
	uint64_t odd; /* is, if any bit is set */
};

/* A taker that one of them got by address would live in memory, and each column would wait for the one before. */
#define TAKE static inline __attribute__((always_inline))

/* A number of `size` bytes at most. */
TAKE uint64_t take_uint(struct taker *t, size_t size)
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

TAKE bool take_nil(struct taker *t)
{
	if (t->p[0] != 0xc0)
		return false;
	t->p++;
	return true;
}

/* Length of a string of up to `max` bytes; t->p is then where it begins. */
TAKE size_t take_head(struct taker *t, size_t max)
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

/* Sixteen hexadecimal digits, small letters, side by side; wrong ones set odd. */
TAKE uint64_t take_hex(struct taker *t, const uint8_t *p)
{
	typedef uint8_t bytes __attribute__((vector_size(16)));
	typedef uint16_t pairs __attribute__((vector_size(16)));
	typedef uint8_t half __attribute__((vector_size(8)));
	bytes x, letter, digit;
	uint64_t right[2], value;
	pairs two;
	half one;

	memcpy(&x, p, sizeof(x));
	letter = (bytes)((x >= 'a') & (x <= 'f'));
	digit = (bytes)((x >= '0') & (x <= '9'));
	x = (x & 0x0f) + (letter & 9);
	digit |= letter;
	memcpy(right, &digit, sizeof(right));
	t->odd |= ~(right[0] & right[1]);
	two = (pairs)x;
	one = __builtin_convertvector((two << 4 | two >> 8) & 0xff, half);
	memcpy(&value, &one, sizeof(value));
	return __builtin_bswap64(value);
}

TAKE void take_ID(struct taker *t, uint64_t *to)
{
	if (t->p[0] == (0xa0 | 16)) {
		*to = take_hex(t, t->p + 1);
		t->p += 17;
		return;
	}
	*to = 0;
	t->odd |= !take_nil(t);
}

TAKE void take_PROTO(struct taker *t, uint8_t *to)
{
	size_t n;

	if (!memcmp(t->p, "\xa3tcp", 4)) {
		*to = IPPROTO_TCP;
		t->p += 4;
		return;
	}
	*to = 0;
	if (take_nil(t))
		return;
	n = take_head(t, MAX_PROTO - 1);
	t->odd |= ps_proto_parse((const char *)t->p, n, to) < 0;
	t->p += n;
}

TAKE void take_ADDR(struct taker *t, struct ps_addr *to)
{
	size_t n = t->p[0] ^ 0xa0;

	if (ps_addr_take_ipv4((const char *)t->p + 1, n, to)) {
		t->p += 1 + n;
		return;
	}
	*to = (struct ps_addr){0};
	if (take_nil(t))
		return;
	n = take_head(t, MAX_ADDR - 2);
	t->odd |= ps_addr_parse((const char *)t->p, n, to) < 0;
	t->p += n;
}

/* Sixteen bytes as two words. */
struct pair {
	uint64_t half[2];
};

/* All bits of the first n bytes of sixteen. */
TAKE struct pair first_bytes(size_t n)
{
	static const uint8_t ones[2 * sizeof(struct pair)] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct pair keep;

	memcpy(&keep, ones + sizeof(keep) - n, sizeof(keep));
	return keep;
}

/* Not 0 if one of the bytes is. */
TAKE uint64_t has_nul(uint64_t x)
{
	return (x - 0x0101010101010101ull) & ~x & 0x8080808080808080ull;
}

/* Zeros up to the end of the array. Most are short. */
TAKE void take_string(struct taker *t, char *to, size_t size)
{
	size_t n = t->p[0] ^ 0xa0;
	uint64_t text;

	memset(to, 0, size);
	if (n <= sizeof(text)) {
		memcpy(&text, t->p + 1, sizeof(text));
		t->odd |= has_nul(text | ~first_bytes(n).half[0]);
		text &= first_bytes(n).half[0];
		memcpy(to, &text, sizeof(text));
		t->p += 1 + n;
		return;
	}
	if (take_nil(t))
		return;
	n = take_head(t, size - 1);
	memcpy(to, t->p, n);
	t->odd |= memchr(t->p, '\0', n) != NULL;
	t->p += n;
}

TAKE void take_BOOL(struct taker *t, bool *to)
{
	*to = false;
	if (take_nil(t))
		return;
	t->odd |= (t->p[0] | 1) ^ 0xc3;
	*to = t->p[0] & 1;
	t->p++;
}

TAKE void take_RATIO(struct taker *t, double *to)
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

TAKE void take_RULE(struct taker *t, int32_t *to)
{
	uint64_t id;

	*to = -1;
	if (take_nil(t))
		return;
	id = take_uint(t, 4);
	t->odd |= id > INT32_MAX;
	*to = (int32_t)id;
}

/* The head is the length, but for its highest bits; so head and text are compared at once. */
TAKE void take_word(struct taker *t, enum ps_kind kind, uint8_t *to)
{
	struct pair wire, keep, ours;
	size_t n = t->p[0] ^ 0xa0;

	*to = 0;
	if (n >= MAX_WORD) {
		t->odd |= !take_nil(t);
		return;
	}
	memcpy(&wire, t->p, sizeof(wire));
	keep = first_bytes(n + 1);
	wire.half[0] = (wire.half[0] ^ 0xa0) & keep.half[0];
	wire.half[1] &= keep.half[1];
	t->p += n + 1;
	for (size_t i = 0; i < PS_WORD_VALUES; i++) {
		memcpy(&ours, &ps_words[PS_WORDS_OF(kind)][i], sizeof(ours));
		if (wire.half[0] == ours.half[0] && wire.half[1] == ours.half[1]) {
			*to = (uint8_t)i;
			t->odd |= !ps_words[PS_WORDS_OF(kind)][i].len;
			return;
		}
	}
	t->odd = true;
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
	static const uint8_t zeros[CONN_QUIETS];
	struct taker t = {.p = r->p};

	if (r->end - r->p < CONN_MAX || t.p[0] != 0xdc || ps_wire_number(t.p + 1, 2) != CONN_COLUMNS)
		return false;
	t.p += 3;
#define PS_CONN(name, kind, doc) \
	if (CONN_IS_BEFORE(name)) \
		take_##kind(&t, &c->name);
#include "common/model/schema.def"
	if (!memcmp(t.p, zeros, CONN_QUIETS)) {
		memset((uint8_t *)c + CONN_QUIET_AT, 0, CONN_QUIET_SIZE);
		t.p += CONN_QUIETS;
	} else {
#define PS_CONN(name, kind, doc)
#define PS_CONN_QUIET(name, kind, doc) take_##kind(&t, &c->name);
#include "common/model/schema.def"
	}
#define PS_CONN(name, kind, doc) \
	if (CONN_IS_BEHIND(name)) \
		take_##kind(&t, &c->name);
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
