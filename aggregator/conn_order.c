#include "aggregator/conn_order.h"

#include <string.h>

#include "bpf/abi.h"

/* Is the key below the whole value? */
static bool is_number(enum ps_kind kind)
{
	return kind != PS_KIND_ADDR && kind != PS_KIND_NAME && kind != PS_KIND_TEXT;
}

/* Of values whose keys are equal. */
static int compare_text(const struct ps_field *f, const struct ps_conn *a, const struct ps_conn *b)
{
	const char *pa = (const char *)a + f->offset, *pb = (const char *)b + f->offset;

	if (f->kind == PS_KIND_ADDR)
		return ps_addr_compare((const struct ps_addr *)pa, (const struct ps_addr *)pb);
	return strncmp(pa, pb, f->size);
}

static uint64_t leading_bytes(const char *p, size_t n)
{
	uint64_t key = 0;

	for (size_t i = 0; i < 8; i++)
		key = key << 8 | (i < n ? (uint8_t)p[i] : 0);
	return key;
}

static uint64_t number_at(const char *p, size_t size)
{
	uint8_t v8;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	switch (size) {
	case 1:
		memcpy(&v8, p, 1);
		return v8;
	case 2:
		memcpy(&v16, p, 2);
		return v16;
	case 4:
		memcpy(&v32, p, 4);
		return v32;
	default:
		memcpy(&v64, p, 8);
		return v64;
	}
}

struct ps_conn_row ps_conn_row_of(const struct ps_conn_order *o, const struct ps_conn *c)
{
	const char *p = (const char *)c + o->field->offset;
	uint64_t key = 0;

	switch (o->field->kind) {
	case PS_KIND_ADDR:
		key = (uint64_t)((const struct ps_addr *)p)->family << 56 |
		      leading_bytes((const char *)((const struct ps_addr *)p)->word, 8) >> 8;
		break;
	case PS_KIND_NAME:
	case PS_KIND_TEXT:
		key = leading_bytes(p, strnlen(p, 8));
		break;
	case PS_KIND_RULE:
		key = number_at(p, 4) ^ 0x80000000u; /* signed */
		break;
	default: /* a ratio is never negative, so its bits are in its order */
		key = number_at(p, o->field->size);
	}
	return (struct ps_conn_row){.key = key, .id = c->id, .conn = c};
}

int ps_conn_row_compare(const struct ps_conn_order *o, const struct ps_conn_row *a, const struct ps_conn_row *b)
{
	int r = (a->key > b->key) - (a->key < b->key);

	if (!r && !is_number(o->field->kind))
		r = compare_text(o->field, a->conn, b->conn);
	if (!r)
		r = (a->id > b->id) - (a->id < b->id);
	return o->descending ? -r : r;
}

bool ps_conn_order_key(const struct ps_conn_order *o, const struct ps_conn *c, uint64_t *ret_key)
{
	const char *p = (const char *)c + o->field->offset;
	uint64_t key = ps_conn_row_of(o, c).key;

	*ret_key = o->descending ? ~key : key;
	if (o->field->kind == PS_KIND_ADDR)
		return ((const struct ps_addr *)p)->family != PS_FAMILY_IPV6;
	return is_number(o->field->kind) || strnlen(p, 8) < 8;
}

int ps_conn_order_compare(const struct ps_conn_order *o, const struct ps_conn *a, const struct ps_conn *b)
{
	const struct ps_conn_row ra = ps_conn_row_of(o, a), rb = ps_conn_row_of(o, b);

	return ps_conn_row_compare(o, &ra, &rb);
}

/* Of addresses and ports, the two ends may yet change places; of the rest, all but these count. */
bool ps_conn_order_is_fixed(const struct ps_conn_order *o)
{
	return o->field->offset == offsetof(struct ps_conn, id) ||
	       o->field->offset == offsetof(struct ps_conn, first_seen) ||
	       o->field->offset == offsetof(struct ps_conn, proto);
}
