#include "common/codec/row_json.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/record_json.h"
#include "common/codec/wire.h"
#include "common/model/community_id.h"
#include "common/model/value.h"

union any_record {
	struct ps_conn conn;
	struct ps_icmp icmp;
	struct ps_drop drop;
};

/* Columns of a connection, in the order of the schema. */
enum {
#define PS_CONN(name, kind, doc) COL_##name,
#include "common/model/schema.def"
	COLUMNS,
};

/* The longest object: every member with its name, none above 64 bytes, and key and info with the longest of all. */
#define ROOM (COLUMNS * 100 + 600)

/* A row on its way. Whatever is not as the direct way knows it sets `odd`; the row is then written the other way. */
struct row {
	struct ps_row_json *rows;
	struct ps_wire_item item[COLUMNS];
	struct ps_addr src, dst;
	uint8_t proto;
	bool odd;
};

/* --- pieces --------------------------------------------------------------------------------------- */

static inline char *put(char *p, const void *s, size_t n)
{
	memcpy(p, s, n);
	return p + n;
}

#define LITERAL(p, s) put(p, s, sizeof(s) - 1)

static const char pairs[200] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
			       "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
			       "8081828384858687888990919293949596979899";

/* Decimal digits of a number: what its bits say, one less if it is below that power of ten. */
static inline unsigned digits_of(uint64_t v)
{
	static const uint64_t power[] = {0, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
		10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000, 1000000000000000,
		10000000000000000, 100000000000000000, 1000000000000000000, 10000000000000000000ull};
	unsigned n = (64 - (unsigned)__builtin_clzll(v | 1)) * 1233 >> 12; /* log10(2), 12 bits of it */

	return n + (v >= power[n]);
}

static inline char *put_number(char *p, uint64_t v)
{
	char *end, *at;

	if (v < 10) {
		*p++ = (char)('0' + v);
		return p;
	}
	at = end = p + digits_of(v);
	for (; v >= 100; v /= 100)
		at = memcpy(at - 2, pairs + 2 * (v % 100), 2);
	if (v >= 10)
		memcpy(at - 2, pairs + 2 * v, 2);
	else
		at[-1] = (char)('0' + v);
	return end;
}

static inline char *put_pair(char *p, unsigned v)
{
	return put(p, pairs + 2 * (size_t)v, 2);
}

/* Days since 1970 as a date (Hinnant's civil_from_days, for years that are not negative). */
static void write_date(char *out, uint64_t day)
{
	uint64_t z = day + 719468, era = z / 146097, doe = z % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9), year = (unsigned)(yoe + era * 400 + (month <= 2));

	out = put_pair(put_pair(out, year / 100), year % 100);
	*out++ = '-';
	out = put_pair(out, month);
	*out++ = '-';
	out = put_pair(out, (unsigned)(doy - (153 * mp + 2) / 5 + 1));
	*out = 'T';
}

/* To the second. */
static char *put_seconds(struct ps_row_json *rows, char *p, uint64_t seconds)
{
	uint64_t day = seconds / 86400;
	unsigned left = (unsigned)(seconds % 86400);

	if (day != rows->day) {
		rows->day = day;
		write_date(rows->date, day);
	}
	p = put(p, rows->date, 11);
	p = put_pair(p, left / 3600);
	*p++ = ':';
	p = put_pair(p, left / 60 % 60);
	*p++ = ':';
	return put_pair(p, left % 60);
}

static char *put_digits(char *p, uint64_t v, size_t n)
{
	for (size_t i = n; i-- > 0; v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + n;
}

/* A decimal byte of an address. False: none, above 255, or with a zero in front. */
static bool read_byte(const uint8_t **p, const uint8_t *end, uint8_t *out)
{
	unsigned v = 0, n = 0;

	while (*p < end && **p >= '0' && **p <= '9' && n < 4) {
		v = v * 10 + (unsigned)(**p - '0');
		++*p;
		n++;
	}
	if (!n || v > 255 || n > (v > 99 ? 3u : v > 9 ? 2u : 1u))
		return false;
	*out = (uint8_t)v;
	return true;
}

static bool read_ipv4(const struct ps_wire_item *item, struct ps_addr *ret_addr)
{
	const uint8_t *p = item->data, *end = p + item->n;
	uint8_t bytes[4];

	for (int i = 0; i < 4; i++) {
		if (!read_byte(&p, end, &bytes[i]) || (i < 3 && (p == end || *p++ != '.')))
			return false;
	}
	*ret_addr = (struct ps_addr){.family = 4};
	memcpy(ret_addr->word, bytes, sizeof(bytes));
	return p == end;
}

/* An address that is written as we write it. */
static void read_addr(struct row *row, const struct ps_wire_item *item, struct ps_addr *ret_addr)
{
	char text[PS_ADDR_TEXT];

	*ret_addr = (struct ps_addr){0};
	if (item->kind == PS_WIRE_NIL)
		return;
	row->odd |= item->kind != PS_WIRE_STR;
	if (!row->odd && !read_ipv4(item, ret_addr) &&
		(ps_addr_parse((const char *)item->data, item->n, ret_addr) < 0 ||
			ps_addr_put(ret_addr, text) != item->n || memcmp(text, item->data, item->n) != 0))
		row->odd = true;
}

/* Text that needs no escapes. */
static bool is_plain(const uint8_t *s, size_t n)
{
	bool plain = true;

	for (size_t i = 0; i < n; i++)
		plain &= s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' && s[i] != '\\';
	return plain;
}

static inline char *put_quoted(char *p, const void *s, size_t n)
{
	*p++ = '"';
	p = put(p, s, n);
	*p++ = '"';
	return p;
}

/* --- one function a kind (schema.h) --------------------------------------------------------------- */

static inline char *put_uint(struct row *row, char *p, const struct ps_wire_item *item, uint64_t max)
{
	uint64_t v = item->kind == PS_WIRE_UINT ? item->u : 0;

	row->odd |= (item->kind != PS_WIRE_UINT && item->kind != PS_WIRE_NIL) || v > max;
	return put_number(p, v);
}

static inline char *put_U8(struct row *row, char *p, const struct ps_wire_item *item)
{
	return put_uint(row, p, item, UINT8_MAX);
}

static inline char *put_U16(struct row *row, char *p, const struct ps_wire_item *item)
{
	return put_uint(row, p, item, UINT16_MAX);
}

static inline char *put_U32(struct row *row, char *p, const struct ps_wire_item *item)
{
	return put_uint(row, p, item, UINT32_MAX);
}

static inline char *put_U64(struct row *row, char *p, const struct ps_wire_item *item)
{
	return put_uint(row, p, item, UINT64_MAX);
}

static inline char *put_ID(struct row *row, char *p, const struct ps_wire_item *item)
{
	bool hex = item->kind == PS_WIRE_STR && item->n == 16, zero = true;

	if (item->kind == PS_WIRE_NIL)
		return LITERAL(p, "null");
	for (size_t i = 0; hex && i < 16; i++) {
		uint8_t c = item->data[i];

		hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
		zero &= c == '0';
	}
	if (!hex || zero) {
		row->odd = true;
		return p;
	}
	return put_quoted(p, item->data, 16);
}

static inline char *put_short(struct row *row, char *p, const struct ps_wire_item *item, size_t max)
{
	if (item->kind != PS_WIRE_STR || item->n > max || !is_plain(item->data, item->n)) {
		row->odd = true;
		return p;
	}
	return put_quoted(p, item->data, item->n);
}

static inline char *put_NAME(struct row *row, char *p, const struct ps_wire_item *item)
{
	return put_short(row, p, item, PS_NAME_SIZE - 1);
}

static inline char *put_TEXT(struct row *row, char *p, const struct ps_wire_item *item)
{
	if (item->kind == PS_WIRE_NIL || (item->kind == PS_WIRE_STR && !item->n))
		return LITERAL(p, "null");
	return put_short(row, p, item, PS_TEXT_SIZE - 1);
}

static inline char *put_PROTO(struct row *row, char *p, const struct ps_wire_item *item)
{
	(void)item; /* read before: others have gone the other way */
	return row->proto == IPPROTO_TCP ? LITERAL(p, "\"tcp\"") : LITERAL(p, "\"udp\"");
}

static inline char *put_ADDR(struct row *row, char *p, const struct ps_wire_item *item)
{
	if (item->kind == PS_WIRE_NIL || row->odd)
		return LITERAL(p, "null");
	return put_quoted(p, item->data, item->n);
}

static inline char *put_BOOL(struct row *row, char *p, const struct ps_wire_item *item)
{
	if (item->kind == PS_WIRE_BOOL && item->b)
		return LITERAL(p, "true");
	row->odd |= item->kind != PS_WIRE_BOOL && item->kind != PS_WIRE_NIL;
	return LITERAL(p, "false");
}

static inline char *put_TIME(struct row *row, char *p, const struct ps_wire_item *item)
{
	if (item->kind == PS_WIRE_NIL || (item->kind == PS_WIRE_UINT && !item->u))
		return LITERAL(p, "null");
	if (item->kind != PS_WIRE_UINT) {
		row->odd = true;
		return p;
	}
	*p++ = '"';
	p = put_seconds(row->rows, p, item->u / PS_NSEC);
	*p++ = '.';
	p = put_digits(p, item->u % PS_NSEC / 1000, 6);
	return LITERAL(p, "Z\"");
}

static inline char *put_SPAN(struct row *row, char *p, const struct ps_wire_item *item)
{
	uint64_t fraction;

	if (item->kind != PS_WIRE_UINT && item->kind != PS_WIRE_NIL) {
		row->odd = true;
		return p;
	}
	fraction = item->kind == PS_WIRE_UINT ? item->u % PS_NSEC : 0;
	p = put_number(p, item->kind == PS_WIRE_UINT ? item->u / PS_NSEC : 0);
	if (!fraction)
		return p;
	*p++ = '.';
	p = put_digits(p, fraction, 9);
	while (p[-1] == '0')
		p--;
	return p;
}

/* Most have lost nothing; the shortest text of any other number is the other way's work. */
static inline char *put_RATIO(struct row *row, char *p, const struct ps_wire_item *item)
{
	row->odd |= item->kind != PS_WIRE_NIL && !(item->kind == PS_WIRE_REAL && item->d == 0) &&
		    !(item->kind == PS_WIRE_UINT && item->u == 0);
	*p++ = '0';
	return p;
}

static inline char *put_RULE(struct row *row, char *p, const struct ps_wire_item *item)
{
	if (item->kind == PS_WIRE_NIL)
		return LITERAL(p, "null");
	return put_uint(row, p, item, INT32_MAX);
}

/* The word itself, if it is one of ours. */
static inline char *put_word(struct row *row, char *p, const struct ps_wire_item *item, enum ps_kind kind)
{
	uint8_t value;

	if (item->kind != PS_WIRE_STR || ps_enum_parse(kind, (const char *)item->data, item->n, &value) < 0) {
		/* Nil is null only where no word stands for zero. */
		row->odd |= item->kind != PS_WIRE_NIL || ps_enum_name(kind, 0);
		return LITERAL(p, "null");
	}
	return put_quoted(p, item->data, item->n);
}

#define put_VIEW(row, p, item) put_word(row, p, item, PS_KIND_VIEW)
#define put_STATE(row, p, item) put_word(row, p, item, PS_KIND_STATE)
#define put_END(row, p, item) put_word(row, p, item, PS_KIND_END)
#define put_VERDICT(row, p, item) put_word(row, p, item, PS_KIND_VERDICT)

/* --- a connection --------------------------------------------------------------------------------- */

static char *put_end(char *p, const struct ps_wire_item *text, const struct ps_addr *addr, uint64_t port)
{
	bool six = addr->family == 6;

	if (six)
		*p++ = '[';
	if (addr->family)
		p = put(p, text->data, text->n);
	if (six)
		*p++ = ']';
	*p++ = ':';
	return put_number(p, port);
}

static char *put_key(const struct row *row, char *p)
{
	const struct ps_wire_item *item = row->item;

	p = put_end(LITERAL(p, "{\"key\":\""), &item[COL_src_ip], &row->src, item[COL_src_port].u);
	p = put_end(LITERAL(p, " -> "), &item[COL_dst_ip], &row->dst, item[COL_dst_port].u);
	return row->proto == IPPROTO_TCP ? LITERAL(p, " (TCP)\"") : LITERAL(p, " (UDP)\"");
}

static char *put_info(const struct row *row, char *p)
{
	const struct ps_wire_item *i = row->item, *state = &i[COL_state];

	p = put_number(LITERAL(p, ",\"info\":\"Packets: "), i[COL_orig_packets].u + i[COL_resp_packets].u);
	p = put_number(LITERAL(p, ", Bytes: "), i[COL_orig_bytes].u + i[COL_resp_bytes].u);
	if (row->proto == IPPROTO_TCP) {
		p = put_number(LITERAL(p, ", TCP Flags: "), i[COL_orig_tcp_flags].u | i[COL_resp_tcp_flags].u);
		p = put_number(LITERAL(p, ", Seq: "), i[COL_orig_seq].u);
		p = put_number(LITERAL(p, ", Ack: "), i[COL_orig_ack].u);
		p = put_number(LITERAL(p, ", Window: "), i[COL_orig_window].u);
		p = put_number(LITERAL(p, ", Retransmissions: "),
			i[COL_orig_retrans_packets].u + i[COL_resp_retrans_packets].u);
		p = put(LITERAL(p, ", State: "), state->data, state->n);
	} else {
		p = put_number(LITERAL(p, ", IP ID: "), i[COL_ip_id].u);
	}
	p = put_seconds(row->rows, LITERAL(p, ", Last Seen: "), i[COL_last_seen].u / PS_NSEC);
	return LITERAL(p, "Z\"");
}

/* The numbers and the word that key and info are made of must be there. */
static bool has_parts(const struct row *row)
{
	static const uint8_t numbers[] = {COL_src_port, COL_dst_port, COL_orig_packets, COL_resp_packets,
		COL_orig_bytes, COL_resp_bytes, COL_orig_tcp_flags, COL_resp_tcp_flags, COL_orig_seq, COL_orig_ack,
		COL_orig_window, COL_orig_retrans_packets, COL_resp_retrans_packets, COL_ip_id, COL_last_seen};

	for (size_t i = 0; i < sizeof(numbers); i++) {
		if (row->item[numbers[i]].kind != PS_WIRE_UINT)
			return false;
	}
	return row->item[COL_state].kind == PS_WIRE_STR && row->item[COL_state].n < PS_NAME_SIZE &&
	       row->item[COL_src_port].u <= UINT16_MAX && row->item[COL_dst_port].u <= UINT16_MAX;
}

static void read_proto(struct row *row)
{
	const struct ps_wire_item *item = &row->item[COL_proto];

	if (item->kind == PS_WIRE_STR && item->n == 3 && !memcmp(item->data, "tcp", 3))
		row->proto = IPPROTO_TCP;
	else if (item->kind == PS_WIRE_STR && item->n == 3 && !memcmp(item->data, "udp", 3))
		row->proto = IPPROTO_UDP;
	else
		row->odd = true;
}

/* It is not on the bus, where it would cost a SHA-1 a record. */
static char *put_community_id(struct row *row, char *p)
{
	char text[PS_COMMUNITY_ID_TEXT];
	const struct ps_wire_item *item = &row->item[COL_community_id];

	if (item->kind != PS_WIRE_NIL && !(item->kind == PS_WIRE_STR && !item->n))
		return put_TEXT(row, p, item);
	(void)ps_community_id(PS_COMMUNITY_ID_SEED, row->proto, &row->src, (uint16_t)row->item[COL_src_port].u,
		&row->dst, (uint16_t)row->item[COL_dst_port].u, text);
	return text[0] ? put_quoted(p, text, strlen(text)) : LITERAL(p, "null");
}

/* The object at p, where ROOM bytes are; NULL: it must be written the other way. */
static char *put_conn(struct row *row, char *p)
{
	read_proto(row);
	read_addr(row, &row->item[COL_src_ip], &row->src);
	read_addr(row, &row->item[COL_dst_ip], &row->dst);
	if (row->odd || !has_parts(row))
		return NULL;
	p = put_info(row, put_key(row, p));
#define PS_CONN(name, kind, doc) \
	p = LITERAL(p, ",\"" #name "\":"); \
	p = COL_##name == COL_community_id ? put_community_id(row, p) : put_##kind(row, p, &row->item[COL_##name]);
#include "common/model/schema.def"
	*p++ = '}';
	return row->odd ? NULL : p;
}

/* --- rows ----------------------------------------------------------------------------------------- */

int ps_row_json_init(struct ps_row_json *rows, enum ps_record_type type, const struct ps_value *fields,
	const uint8_t *payload, size_t len)
{
	const struct ps_schema *schema = &ps_schemas[type];
	int r;

	*rows = (struct ps_row_json){.day = UINT64_MAX};
	r = ps_batch_reader_init(&rows->reader, type, fields, payload, len);
	if (r < 0)
		return r;
	rows->direct = type == PS_RECORD_CONN && rows->reader.n_columns == COLUMNS;
	for (size_t i = 0; rows->direct && i < COLUMNS; i++)
		rows->direct = rows->reader.column[i] == &schema->fields[i];
	return 0;
}

/* 1, or 0: the other way. */
static int next_direct(struct ps_row_json *rows, struct ps_buf *out)
{
	struct ps_batch_reader *r = &rows->reader;
	struct ps_wire w = {r->p, r->end};
	struct row row = {.rows = rows};
	struct ps_wire_item head;
	char *begin, *p;

	if (!r->left || !ps_wire_next(&w, &head) || head.kind != PS_WIRE_ARRAY || head.n != COLUMNS)
		return 0;
	for (size_t i = 0; i < COLUMNS; i++) {
		if (!ps_wire_next(&w, &row.item[i]) || row.item[i].kind > PS_WIRE_STR)
			return 0;
	}
	begin = (char *)ps_buf_reserve(out, ROOM);
	p = begin ? put_conn(&row, begin) : NULL;
	if (!p)
		return 0;
	out->len += (size_t)(p - begin);
	r->p = w.p;
	r->left--;
	return 1;
}

int ps_row_json_next(struct ps_row_json *rows, struct ps_buf *out)
{
	union any_record record;
	int r;

	if (rows->direct && next_direct(rows, out))
		return 1;
	r = ps_batch_next(&rows->reader, &record);
	if (r == 1)
		ps_record_json(out, rows->reader.type, &record);
	return r;
}
