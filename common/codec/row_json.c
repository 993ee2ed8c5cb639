#include "common/codec/row_json.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/batch_layout.h"
#include "common/codec/record_json.h"
#include "common/codec/wire.h"
#include "common/model/community_id.h"
#include "common/model/value.h"

union any_record {
	struct ps_conn conn;
	struct ps_icmp icmp;
	struct ps_drop drop;
};

/* The longest object: every member with its name, none above 64 bytes, and key and info with the longest of all. */
#define ROOM (CONN_COLUMNS * 100 + 600)

/* A row on its way. Whatever is not as the direct way knows it sets `odd`; the row is then written the other way. */
struct row {
	struct ps_row_json *rows;
	struct ps_wire_item item[CONN_COLUMNS];
	struct ps_addr src, dst;
	uint8_t proto;
	bool quiet; /* the quiet columns are all zero, and have no items */
	bool odd;
};

/* --- pieces --------------------------------------------------------------------------------------- */

static inline char *put(char *p, const void *s, size_t n)
{
	memcpy(p, s, n);
	return p + n;
}

#define EACH_BYTE(b) (0x0101010101010101ull * (uint8_t)(b))

#define LITERAL(p, s) put(p, s, sizeof(s) - 1)

static const char pairs[200] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
			       "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
			       "8081828384858687888990919293949596979899";

/* Eight decimal digits of a number below 10^8, as values; the first in the lowest byte. All at once: a half of them to
 * each half of the word, then a pair to each quarter, then a digit to each byte. */
static inline uint64_t digits_of(uint32_t v)
{
	uint64_t x = v / 10000 | (uint64_t)(v % 10000) << 32, high;

	high = x * 10486 >> 20 & 0x0000007f0000007full; /* hundreds: 10486 / 2^20 is a hundredth, up to 10000 */
	x = high | (x - high * 100) << 16;
	high = x * 103 >> 10 & 0x000f000f000f000full; /* tens: 103 / 2^10 is a tenth, up to 100 */
	return high | (x - high * 10) << 8;
}

/* Eight bytes are written, whatever the length, here and in all that put numbers. */
static inline char *put_digits(char *p, uint64_t digits, unsigned n)
{
	digits |= EACH_BYTE('0');
	memcpy(p, &digits, sizeof(digits));
	return p + n;
}

/* Of a number below 10^8, without zeros in front. */
static inline char *put_first(char *p, uint32_t v)
{
	uint64_t digits = digits_of(v);
	unsigned zeros = (unsigned)__builtin_ctzll(digits | 1ull << 56) / 8;

	return put_digits(p, digits >> 8 * zeros, 8 - zeros);
}

#define E8 100000000u

static inline char *put_number(char *p, uint64_t v)
{
	if (v < 10) {
		*p++ = (char)('0' + v);
		return p;
	}
	if (v < E8)
		return put_first(p, (uint32_t)v);
	if (v < (uint64_t)E8 * E8) {
		p = put_first(p, (uint32_t)(v / E8));
	} else {
		p = put_first(p, (uint32_t)(v / E8 / E8));
		p = put_digits(p, digits_of(v / E8 % E8), 8);
	}
	return put_digits(p, digits_of(v % E8), 8);
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

/* An address that is written as we write it. */
static void read_addr(struct row *row, const struct ps_wire_item *item, struct ps_addr *ret_addr)
{
	char text[PS_ADDR_TEXT];

	*ret_addr = (struct ps_addr){0};
	if (item->kind == PS_WIRE_NIL)
		return;
	row->odd |= item->kind != PS_WIRE_STR;
	if (!row->odd && row->rows->reader.end - item->data >= 16 &&
		ps_addr_take_ipv4((const char *)item->data, item->n, ret_addr))
		return;
	*ret_addr = (struct ps_addr){0};
	if (!row->odd && (ps_addr_parse((const char *)item->data, item->n, ret_addr) < 0 ||
				 ps_addr_put(ret_addr, text) != item->n || memcmp(text, item->data, item->n) != 0))
		row->odd = true;
}

/* Bits are set if one of eight bytes is a control, a quote, a backslash, or beyond ASCII. */
static inline uint64_t needs_escape(uint64_t x)
{
	uint64_t quote = x ^ EACH_BYTE('"'), slash = x ^ EACH_BYTE('\\'), one = EACH_BYTE(1);

	return (x | (x - EACH_BYTE(0x20)) | (x + one) | (quote - one) | (slash - one)) & EACH_BYTE(0x80);
}

/* Text that needs no escapes: eight bytes at a time, the last eight overlap. */
static inline bool is_plain(const uint8_t *s, size_t n)
{
	uint64_t x, odd = 0;
	uint32_t half[2];

	if (n >= 8) {
		for (size_t i = 0; i + 8 < n; i += 8) {
			memcpy(&x, s + i, sizeof(x));
			odd |= needs_escape(x);
		}
		memcpy(&x, s + n - 8, sizeof(x));
	} else if (n >= 4) {
		memcpy(&half[0], s, sizeof(half[0]));
		memcpy(&half[1], s + n - 4, sizeof(half[1]));
		x = half[0] | (uint64_t)half[1] << 32;
	} else {
		x = n ? (uint64_t)s[0] << 16 | (uint64_t)s[n / 2] << 8 | s[n - 1] : 0;
		x |= EACH_BYTE('a') << 24;
		x |= n ? 0 : 'a' << 16 | 'a' << 8 | 'a';
	}
	return !(odd | needs_escape(x));
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

/* Bits are set unless eight bytes are hexadecimal digits, small letters. */
static inline uint64_t is_no_hex(uint64_t x)
{
	uint64_t high = EACH_BYTE(0x80);
	/* of bytes below 0x80: is it from 'a' to 'f', is it from '0' to '9'? */
	uint64_t letter = (x + EACH_BYTE(0x80 - 'a')) & ~(x + EACH_BYTE(0x80 - 'g'));
	uint64_t digit = (x + EACH_BYTE(0x80 - '0')) & ~(x + EACH_BYTE(0x80 - ':'));

	return (x | ~(letter | digit)) & high;
}

static inline char *put_ID(struct row *row, char *p, const struct ps_wire_item *item)
{
	uint64_t x[2];

	if (item->kind == PS_WIRE_NIL)
		return LITERAL(p, "null");
	if (item->kind != PS_WIRE_STR || item->n != sizeof(x)) {
		row->odd = true;
		return p;
	}
	memcpy(x, item->data, sizeof(x));
	row->odd |= is_no_hex(x[0]) || is_no_hex(x[1]) || (x[0] == EACH_BYTE('0') && x[1] == x[0]);
	return put_quoted(p, item->data, sizeof(x));
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
	p = put_digits(p, digits_of((uint32_t)(item->u % PS_NSEC / 1000)) >> 16, 6);
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
	*p++ = (char)('0' + fraction / E8);
	p = put_digits(p, digits_of(fraction % E8), 8);
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
		row->odd |= item->kind != PS_WIRE_NIL || ps_words[PS_WORDS_OF(kind)][0].len;
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

	p = put_end(LITERAL(p, "{\"key\":\""), &item[CONN_src_ip], &row->src, item[CONN_src_port].u);
	p = put_end(LITERAL(p, " -> "), &item[CONN_dst_ip], &row->dst, item[CONN_dst_port].u);
	return row->proto == IPPROTO_TCP ? LITERAL(p, " (TCP)\"") : LITERAL(p, " (UDP)\"");
}

static char *put_info(const struct row *row, char *p)
{
	const struct ps_wire_item *i = row->item, *state = &i[CONN_state];

	p = put_number(LITERAL(p, ",\"info\":\"Packets: "), i[CONN_orig_packets].u + i[CONN_resp_packets].u);
	p = put_number(LITERAL(p, ", Bytes: "), i[CONN_orig_bytes].u + i[CONN_resp_bytes].u);
	if (row->proto == IPPROTO_TCP) {
		p = put_number(LITERAL(p, ", TCP Flags: "), i[CONN_orig_tcp_flags].u | i[CONN_resp_tcp_flags].u);
		p = put_number(LITERAL(p, ", Seq: "), i[CONN_orig_seq].u);
		p = put_number(LITERAL(p, ", Ack: "), i[CONN_orig_ack].u);
		p = put_number(LITERAL(p, ", Window: "), i[CONN_orig_window].u);
		p = put_number(LITERAL(p, ", Retransmissions: "),
			i[CONN_orig_retrans_packets].u + i[CONN_resp_retrans_packets].u);
		p = put(LITERAL(p, ", State: "), state->data, state->n);
	} else {
		p = put_number(LITERAL(p, ", IP ID: "), i[CONN_ip_id].u);
	}
	p = put_seconds(row->rows, LITERAL(p, ", Last Seen: "), i[CONN_last_seen].u / PS_NSEC);
	return LITERAL(p, "Z\"");
}

/* The numbers and the word that key and info are made of must be there. */
static bool has_parts(const struct row *row)
{
	static const uint8_t numbers[] = {CONN_src_port, CONN_dst_port, CONN_orig_packets, CONN_resp_packets,
		CONN_orig_bytes, CONN_resp_bytes, CONN_orig_tcp_flags, CONN_resp_tcp_flags, CONN_orig_seq,
		CONN_orig_ack, CONN_orig_window, CONN_orig_retrans_packets, CONN_resp_retrans_packets, CONN_ip_id,
		CONN_last_seen};

	for (size_t i = 0; i < sizeof(numbers); i++) {
		if (row->item[numbers[i]].kind != PS_WIRE_UINT)
			return false;
	}
	return row->item[CONN_state].kind == PS_WIRE_STR && row->item[CONN_state].n < PS_NAME_SIZE &&
	       row->item[CONN_src_port].u <= UINT16_MAX && row->item[CONN_dst_port].u <= UINT16_MAX;
}

static void read_proto(struct row *row)
{
	const struct ps_wire_item *item = &row->item[CONN_proto];

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
	const struct ps_wire_item *item = &row->item[CONN_community_id];

	if (item->kind != PS_WIRE_NIL && !(item->kind == PS_WIRE_STR && !item->n))
		return put_TEXT(row, p, item);
	(void)ps_community_id(PS_COMMUNITY_ID_SEED, row->proto, &row->src, (uint16_t)row->item[CONN_src_port].u,
		&row->dst, (uint16_t)row->item[CONN_dst_port].u, text);
	return text[0] ? put_quoted(p, text, strlen(text)) : LITERAL(p, "null");
}

/* The quiet columns where all is well. */
static const char quiet[] =
#define PS_CONN(name, kind, doc)
#define PS_CONN_QUIET(name, kind, doc) ",\"" #name "\":0"
#include "common/model/schema.def"
	;

/* The object at p, where ROOM bytes are; NULL: it must be written the other way. */
static char *put_conn(struct row *row, char *p)
{
	read_proto(row);
	read_addr(row, &row->item[CONN_src_ip], &row->src);
	read_addr(row, &row->item[CONN_dst_ip], &row->dst);
	if (row->odd || !has_parts(row))
		return NULL;
	p = put_info(row, put_key(row, p));
#define PS_CONN(name, kind, doc) \
	p = LITERAL(p, ",\"" #name "\":"); \
	p = CONN_##name == CONN_community_id ? put_community_id(row, p) : put_##kind(row, p, &row->item[CONN_##name]);
#define PS_CONN_QUIET(name, kind, doc) \
	if (!row->quiet) { \
		p = LITERAL(p, ",\"" #name "\":"); \
		p = put_##kind(row, p, &row->item[CONN_##name]); \
	} else if (CONN_##name == CONN_orig_retrans_packets) { \
		p = LITERAL(p, quiet); \
	}
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
	rows->direct = type == PS_RECORD_CONN && rows->reader.n_columns == CONN_COLUMNS;
	for (size_t i = 0; rows->direct && i < CONN_COLUMNS; i++)
		rows->direct = rows->reader.column[i] == &schema->fields[i];
	return 0;
}

/* The columns from a number on, up to another. */
static bool read_items(struct row *row, struct ps_wire *w, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		if (!ps_wire_next(w, &row->item[i]) || row->item[i].kind > PS_WIRE_STR)
			return false;
	}
	return true;
}

static bool read_row(struct row *row, struct ps_wire *w)
{
	static const struct ps_wire_item zero = {.kind = PS_WIRE_UINT};
	static const uint8_t zeros[CONN_QUIETS];
	const size_t first = CONN_orig_retrans_packets, behind = first + CONN_QUIETS;
	struct ps_wire_item head;

	if (!ps_wire_next(w, &head) || head.kind != PS_WIRE_ARRAY || head.n != CONN_COLUMNS)
		return false;
	if (!read_items(row, w, 0, first))
		return false;
	row->quiet = ps_wire_left(w) >= sizeof(zeros) && !memcmp(w->p, zeros, sizeof(zeros));
	if (!row->quiet)
		return read_items(row, w, first, CONN_COLUMNS);
	w->p += sizeof(zeros);
	row->item[CONN_orig_retrans_packets] = row->item[CONN_resp_retrans_packets] = zero; /* for info */
	return read_items(row, w, behind, CONN_COLUMNS);
}

/* 1, or 0: the other way. */
static int next_direct(struct ps_row_json *rows, struct ps_buf *out)
{
	struct ps_batch_reader *r = &rows->reader;
	struct ps_wire w = {r->p, r->end};
	struct row row; /* of its items only those that were read have a value: setting all takes as long as reading */
	char *begin, *p;

	row.rows = rows;
	row.proto = 0;
	row.odd = false;
	if (!r->left || !read_row(&row, &w))
		return 0;
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
