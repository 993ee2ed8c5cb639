/* See batch.h: writing. Reading is in batch_read.c. */
#include "common/codec/batch.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/codec/batch_layout.h"

/* Room that the head of the payload may need (array 32). */
#define HEAD_ROOM 5

/* Every PUT takes the place to write to and gives the place behind. Smallest form, as msgpack-c writes. */

static inline uint8_t *put_be16(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *put_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *put_be64(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "put_be* swap unconditionally");

static inline uint8_t *put_uint(uint8_t *p, uint64_t v)
{
	if (v < 0x80) {
		*p++ = (uint8_t)v;
		return p;
	}
	if (v <= UINT8_MAX) {
		*p++ = 0xcc;
		*p++ = (uint8_t)v;
		return p;
	}
	if (v <= UINT16_MAX) {
		*p++ = 0xcd;
		return put_be16(p, (uint16_t)v);
	}
	if (v <= UINT32_MAX) {
		*p++ = 0xce;
		return put_be32(p, (uint32_t)v);
	}
	*p++ = 0xcf;
	return put_be64(p, v);
}

static inline uint8_t *put_nil(uint8_t *p)
{
	*p++ = 0xc0;
	return p;
}

/* Strings of a record are shorter than 256 bytes. */
static inline uint8_t *put_str(uint8_t *p, const char *s, size_t n)
{
	if (n < 32) {
		*p++ = (uint8_t)(0xa0 | n);
	} else {
		*p++ = 0xd9;
		*p++ = (uint8_t)n;
	}
	memcpy(p, s, n);
	return p + n;
}

static inline uint8_t *put_array(uint8_t *p, size_t n)
{
	if (n < 16) {
		*p++ = (uint8_t)(0x90 | n);
		return p;
	}
	*p++ = 0xdc;
	return put_be16(p, (uint16_t)n);
}

#define EACH_BYTE(b) (0x0101010101010101ull * (b))

/* Eight hexadecimal digits at once: a nibble to each byte, then 6 more tell those that become letters. */
static inline uint8_t *put_hex(uint8_t *p, uint64_t v)
{
	v = (v | v << 16) & 0x0000ffff0000ffffull;
	v = (v | v << 8) & 0x00ff00ff00ff00ffull;
	v = (v | v << 4) & EACH_BYTE(0x0f);
	return put_be64(p, v + EACH_BYTE('0') + ((v + EACH_BYTE(6)) >> 4 & EACH_BYTE(1)) * ('a' - '0' - 10));
}

static inline uint8_t *put_id(uint8_t *p, uint64_t id)
{
	if (!id)
		return put_nil(p);
	*p++ = 0xa0 | 16;
	return put_hex(put_hex(p, id >> 32), id & UINT32_MAX);
}

/* The text in an array of a record. Most are short: 16 bytes are copied without a look at the length, for there is room
 * for all that a column can take. */
static inline uint8_t *put_text(uint8_t *p, const char *s, size_t size)
{
	uint64_t half[2], none[2];
	size_t n;

	memcpy(half, s, sizeof(half));
	for (int i = 0; i < 2; i++)
		none[i] = (half[i] - EACH_BYTE(1)) & ~half[i] & EACH_BYTE(0x80); /* the lowest bit: the first NUL */
	if (!none[0] && !none[1])
		return put_str(p, s, strnlen(s, size));
	n = none[0] ? (size_t)__builtin_ctzll(none[0]) / 8 : 8 + (size_t)__builtin_ctzll(none[1]) / 8;
	*p++ = (uint8_t)(0xa0 | n);
	memcpy(p, half, sizeof(half));
	return p + n;
}

static inline uint8_t *put_proto(uint8_t *p, uint8_t proto)
{
	const char *name;
	char buf[8];

	if (proto == IPPROTO_TCP)
		return put_str(p, "tcp", 3);
	if (proto == IPPROTO_UDP)
		return put_str(p, "udp", 3);
	if (!proto)
		return put_nil(p);
	name = ps_proto_name(proto, buf);
	return put_str(p, name, strlen(name));
}

static inline uint8_t *put_addr(uint8_t *p, const struct ps_addr *a)
{
	char text[PS_ADDR_TEXT];

	if (a->family == PS_FAMILY_NONE)
		return put_nil(p);
	if (a->family == PS_FAMILY_IPV4) { /* at most 15 bytes: straight into place */
		size_t n = ps_addr_put(a, (char *)p + 1);

		*p = (uint8_t)(0xa0 | n);
		return p + 1 + n;
	}
	return put_str(p, text, ps_addr_put(a, text));
}

static inline uint8_t *put_real(uint8_t *p, double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	*p++ = 0xcb;
	return put_be64(p, bits);
}

static inline uint8_t *put_rule(uint8_t *p, int32_t id)
{
	return id < 0 ? put_nil(p) : put_uint(p, (uint64_t)id);
}

static inline uint8_t *put_enum(uint8_t *p, enum ps_kind kind, uint8_t value)
{
	const struct ps_word *word = ps_words[PS_WORDS_OF(kind)];

	if (value >= PS_WORD_VALUES || !word[value].len)
		return put_nil(p);
	word += value;
	memcpy(p, word, sizeof(*word)); /* MAX_WORD: as much room */
	*p |= 0xa0;
	return p + 1 + word->len;
}

#define PUT_U8(p, v) put_uint(p, v)
#define PUT_U16(p, v) put_uint(p, v)
#define PUT_U32(p, v) put_uint(p, v)
#define PUT_U64(p, v) put_uint(p, v)
#define PUT_ID(p, v) put_id(p, v)
#define PUT_PROTO(p, v) put_proto(p, v)
#define PUT_ADDR(p, v) put_addr(p, &(v))
#define PUT_NAME(p, v) put_text(p, v, PS_NAME_SIZE)
#define PUT_TEXT(p, v) put_text(p, v, PS_TEXT_SIZE)
#define PUT_BOOL(p, v) (*(p) = (v) ? 0xc3 : 0xc2, (p) + 1)
#define PUT_TIME(p, v) put_uint(p, v)
#define PUT_SPAN(p, v) put_uint(p, v)
#define PUT_RATIO(p, v) put_real(p, v)
#define PUT_RULE(p, v) put_rule(p, v)
#define PUT_VIEW(p, v) put_enum(p, PS_KIND_VIEW, v)
#define PUT_STATE(p, v) put_enum(p, PS_KIND_STATE, v)
#define PUT_END(p, v) put_enum(p, PS_KIND_END, v)
#define PUT_VERDICT(p, v) put_enum(p, PS_KIND_VERDICT, v)
#define PUT_DIRECTION(p, v) put_enum(p, PS_KIND_DIRECTION, v)
#define PUT_MODE(p, v) put_enum(p, PS_KIND_MODE, v)

_Static_assert(HEAD_ROOM + PS_BUS_RECORDS_MAX * CONN_MAX <= PS_BUS_MESSAGE_MAX, "a full batch must fit one message");
_Static_assert(sizeof(struct ps_word) <= MAX_WORD, "a word is copied whole");
_Static_assert(CONN_COLUMNS <= PS_BUS_FIELDS_MAX, "more columns than a reader takes");

static inline bool is_quiet(const struct ps_conn *r)
{
	const uint8_t *from = (const uint8_t *)r + CONN_QUIET_AT, *last = from + CONN_QUIET_SIZE - sizeof(uint64_t);
	uint64_t word, any;

	memcpy(&any, last, sizeof(any));
#pragma GCC unroll 16
	for (; from < last; from += sizeof(word)) {
		memcpy(&word, from, sizeof(word));
		any |= word;
	}
	return !any;
}

static uint8_t *put_conn(uint8_t *p, const struct ps_conn *r)
{
	p = put_array(p, CONN_COLUMNS);
#define PS_CONN(name, kind, doc) \
	if (CONN_IS_BEFORE(name)) \
		p = PUT_##kind(p, r->name);
#include "common/model/schema.def"
	if (is_quiet(r)) {
		memset(p, 0, CONN_QUIETS);
		p += CONN_QUIETS;
	} else {
#define PS_CONN(name, kind, doc)
#define PS_CONN_QUIET(name, kind, doc) p = PUT_##kind(p, r->name);
#include "common/model/schema.def"
	}
#define PS_CONN(name, kind, doc) \
	if (CONN_IS_BEHIND(name)) \
		p = PUT_##kind(p, r->name);
#include "common/model/schema.def"
	return p;
}

static uint8_t *put_icmp(uint8_t *p, const struct ps_icmp *r)
{
	p = put_array(p, ICMP_COLUMNS);
#define PS_ICMP(name, kind, doc) p = PUT_##kind(p, r->name);
#include "common/model/schema.def"
	return p;
}

static uint8_t *put_drop(uint8_t *p, const struct ps_drop *r)
{
	p = put_array(p, DROP_COLUMNS);
#define PS_DROP(name, kind, doc) p = PUT_##kind(p, r->name);
#include "common/model/schema.def"
	return p;
}

void ps_batch_init(struct ps_batch *b, enum ps_record_type type)
{
	*b = (struct ps_batch){.type = type, .buf = PS_BUF_INIT};
}

void ps_batch_free(struct ps_batch *b)
{
	ps_buf_free(&b->buf);
	b->n = 0;
}

void ps_batch_reset(struct ps_batch *b)
{
	ps_buf_reset(&b->buf);
	b->n = 0;
}

int ps_batch_add(struct ps_batch *b, const void *record)
{
	static const size_t max[PS_RECORD_TYPES] = {CONN_MAX, ICMP_MAX, DROP_MAX};
	uint8_t *start, *p;

	if (b->n >= PS_BUS_RECORDS_MAX)
		return -ENOSPC;
	if (!b->buf.len) {
		if (!ps_buf_reserve(&b->buf, HEAD_ROOM + max[b->type]))
			return -ENOMEM;
		b->buf.len = HEAD_ROOM;
	}
	start = ps_buf_reserve(&b->buf, max[b->type]);
	if (!start)
		return -ENOMEM;
	switch (b->type) {
	case PS_RECORD_CONN:
		p = put_conn(start, record);
		break;
	case PS_RECORD_ICMP:
		p = put_icmp(start, record);
		break;
	default:
		p = put_drop(start, record);
		break;
	}
	b->buf.len += (size_t)(p - start);
	b->n++;
	return 0;
}

void ps_batch_payload(struct ps_batch *b, const uint8_t **ret_data, size_t *ret_len)
{
	static const uint8_t nothing[1] = {0x90};
	uint8_t head[HEAD_ROOM], *start;
	size_t n;

	if (!b->n) {
		*ret_data = nothing;
		*ret_len = sizeof(nothing);
		return;
	}
	n = (size_t)(put_array(head, b->n) - head);
	start = b->buf.data + HEAD_ROOM - n;
	memcpy(start, head, n);
	*ret_data = start;
	*ret_len = b->buf.len - HEAD_ROOM + n;
}

void ps_batch_fields(struct ps_buf *out, enum ps_record_type type)
{
	const struct ps_schema *schema = &ps_schemas[type];
	uint8_t bytes[2 + UINT8_MAX];

	ps_buf_add(out, bytes, (size_t)(put_array(bytes, schema->n_fields) - bytes));
	for (size_t i = 0; i < schema->n_fields; i++) {
		const char *name = schema->fields[i].name;

		ps_buf_add(out, bytes, (size_t)(put_str(bytes, name, strlen(name)) - bytes));
	}
}
