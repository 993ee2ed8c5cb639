/*
 * msgpack on the wire, one item at a time: what the hot codec (batch.c) and the general one (msgpack.c) read with.
 * Follows the msgpack specification of 2013. An item is a leaf with its bytes, or the head of an array or map whose
 * children follow. Nothing is believed that the bytes at hand cannot hold: a string lies wholly inside them, an array
 * of n has n bytes left at least.
 */
#ifndef PS_WIRE_H
#define PS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum ps_wire_kind {
	PS_WIRE_NIL,
	PS_WIRE_BOOL,
	PS_WIRE_UINT, /* not negative, however it was written */
	PS_WIRE_NEGATIVE,
	PS_WIRE_REAL,
	PS_WIRE_STR,
	PS_WIRE_BIN,
	PS_WIRE_EXT, /* data and n: the bytes behind the type */
	PS_WIRE_ARRAY,
	PS_WIRE_MAP,
};

struct ps_wire {
	const uint8_t *p, *end;
};

struct ps_wire_item {
	enum ps_wire_kind kind;
	union {
		bool b;
		uint64_t u;
		int64_t i;
		double d;
	};
	const uint8_t *data; /* STR, BIN, EXT */
	uint32_t n;          /* their bytes; children of an ARRAY; pairs of a MAP */
};

static inline size_t ps_wire_left(const struct ps_wire *w)
{
	return (size_t)(w->end - w->p);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are swapped unconditionally");

/* Big-endian number of 0, 1, 2, 4 or 8 bytes; the caller has checked that they are there. */
static inline uint64_t ps_wire_number(const uint8_t *p, size_t n)
{
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	switch (n) {
	case 1:
		return p[0];
	case 2:
		memcpy(&v16, p, sizeof(v16));
		return __builtin_bswap16(v16);
	case 4:
		memcpy(&v32, p, sizeof(v32));
		return __builtin_bswap32(v32);
	case 8:
		memcpy(&v64, p, sizeof(v64));
		return __builtin_bswap64(v64);
	default:
		return 0;
	}
}

static inline bool ps_wire_bytes(struct ps_wire *w, struct ps_wire_item *item, enum ps_wire_kind kind, uint32_t n)
{
	if (n > ps_wire_left(w))
		return false;
	item->kind = kind;
	item->data = w->p;
	item->n = n;
	w->p += n;
	return true;
}

static inline bool ps_wire_children(struct ps_wire *w, struct ps_wire_item *item, enum ps_wire_kind kind, uint32_t n)
{
	if ((kind == PS_WIRE_MAP ? 2 * (uint64_t)n : n) > ps_wire_left(w))
		return false;
	item->kind = kind;
	item->n = n;
	return true;
}

static inline void ps_wire_signed(struct ps_wire_item *item, int64_t i)
{
	item->kind = i < 0 ? PS_WIRE_NEGATIVE : PS_WIRE_UINT;
	item->i = i;
}

/* The items from 0xc0 to 0xdf, whose head byte says how many bytes of length or number follow. */
static inline bool ps_wire_long(struct ps_wire *w, struct ps_wire_item *item, uint8_t head)
{
	static const uint8_t widths[32] = {
		0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8, /* nil … uint 64 */
		1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4, /* int 8 … map 32 */
	};
	size_t width = widths[head - 0xc0];
	uint64_t v;
	float f;
	uint32_t bits;

	if (width > ps_wire_left(w))
		return false;
	v = ps_wire_number(w->p, width);
	w->p += width;
	switch (head) {
	case 0xc0:
		item->kind = PS_WIRE_NIL;
		return true;
	case 0xc2:
	case 0xc3:
		item->kind = PS_WIRE_BOOL;
		item->b = head & 1;
		return true;
	case 0xc4:
	case 0xc5:
	case 0xc6:
		return ps_wire_bytes(w, item, PS_WIRE_BIN, (uint32_t)v);
	case 0xc7:
	case 0xc8:
	case 0xc9:
	case 0xd4:
	case 0xd5:
	case 0xd6:
	case 0xd7:
	case 0xd8:
		if (head >= 0xd4)
			v = 1u << (head - 0xd4);
		if (!ps_wire_left(w))
			return false;
		w->p++; /* the type */
		return ps_wire_bytes(w, item, PS_WIRE_EXT, (uint32_t)v);
	case 0xca:
		bits = (uint32_t)v;
		memcpy(&f, &bits, sizeof(f));
		item->kind = PS_WIRE_REAL;
		item->d = f;
		return true;
	case 0xcb:
		item->kind = PS_WIRE_REAL;
		memcpy(&item->d, &v, sizeof(v));
		return true;
	case 0xcc:
	case 0xcd:
	case 0xce:
	case 0xcf:
		item->kind = PS_WIRE_UINT;
		item->u = v;
		return true;
	case 0xd0:
		ps_wire_signed(item, (int8_t)v);
		return true;
	case 0xd1:
		ps_wire_signed(item, (int16_t)v);
		return true;
	case 0xd2:
		ps_wire_signed(item, (int32_t)v);
		return true;
	case 0xd3:
		ps_wire_signed(item, (int64_t)v);
		return true;
	case 0xd9:
	case 0xda:
	case 0xdb:
		return ps_wire_bytes(w, item, PS_WIRE_STR, (uint32_t)v);
	case 0xdc:
	case 0xdd:
		return ps_wire_children(w, item, PS_WIRE_ARRAY, (uint32_t)v);
	case 0xde:
	case 0xdf:
		return ps_wire_children(w, item, PS_WIRE_MAP, (uint32_t)v);
	}
	return false; /* 0xc1 is reserved */
}

/* Takes one item. False: cut off, reserved byte, or more children than bytes. */
static inline bool ps_wire_next(struct ps_wire *w, struct ps_wire_item *item)
{
	uint8_t head;

	if (!ps_wire_left(w))
		return false;
	head = *w->p++;
	if (head < 0x80) {
		item->kind = PS_WIRE_UINT;
		item->u = head;
		return true;
	}
	if (head >= 0xcc && head <= 0xcf &&
		ps_wire_left(w) >= 8) { /* most of what a record has: no look at its width */
		size_t width = (size_t)1 << (head - 0xcc);

		item->kind = PS_WIRE_UINT;
		item->u = ps_wire_number(w->p, 8) >> (64 - 8 * width);
		w->p += width;
		return true;
	}
	if (head == 0xc0) {
		item->kind = PS_WIRE_NIL;
		return true;
	}
	if (head < 0x90)
		return ps_wire_children(w, item, PS_WIRE_MAP, head & 0x0f);
	if (head < 0xa0)
		return ps_wire_children(w, item, PS_WIRE_ARRAY, head & 0x0f);
	if (head < 0xc0)
		return ps_wire_bytes(w, item, PS_WIRE_STR, head & 0x1f);
	if (head >= 0xe0) {
		ps_wire_signed(item, (int8_t)head);
		return true;
	}
	return ps_wire_long(w, item, head);
}

/*
 * Passes over one item with all that is in it, however deep: it only counts what is still owed, and whatever owes more
 * items than there are bytes is broken.
 */
static inline bool ps_wire_skip(struct ps_wire *w)
{
	struct ps_wire_item item;
	uint64_t owed = 1;

	while (owed) {
		if (owed > ps_wire_left(w) || !ps_wire_next(w, &item))
			return false;
		owed--;
		if (item.kind == PS_WIRE_ARRAY)
			owed += item.n;
		else if (item.kind == PS_WIRE_MAP)
			owed += 2 * (uint64_t)item.n;
	}
	return true;
}

#endif
