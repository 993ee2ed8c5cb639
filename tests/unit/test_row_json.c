/* Straight from msgpack to JSON: the same bytes as by way of the record, for records of every kind and for broken ones.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/json.h"
#include "common/codec/msgpack.h"
#include "common/codec/record_json.h"
#include "common/codec/row_json.h"

static uint64_t seed = 88172645463325252ull;

static uint64_t draw(void) /* xorshift64 */
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

/* Numbers of every length. */
static uint64_t draw_number(void)
{
	return draw() >> (draw() % 64);
}

static struct ps_addr draw_addr(void)
{
	struct ps_addr a = {.family = draw() % 4 ? 4 : 6};

	a.word[0] = (uint32_t)draw();
	if (a.family == 6) {
		for (int i = 1; i < 4; i++)
			a.word[i] = draw() % 2 ? (uint32_t)draw() : 0;
	}
	if (draw() % 50 == 0)
		a = (struct ps_addr){0};
	return a;
}

static void draw_text(char *to, size_t size, bool odd)
{
	static const char plain[] = "ShAaDdFfRrCc^-_ 0";
	size_t n = draw() % size;

	for (size_t i = 0; i < n; i++)
		to[i] = odd && draw() % 4 == 0 ? (char)(1 + draw() % 255) : plain[draw() % (sizeof(plain) - 1)];
	to[n] = '\0';
}

/* Every field, whatever they will be called. */
static void draw_record(enum ps_record_type type, void *record, bool odd)
{
	const struct ps_schema *s = &ps_schemas[type];

	memset(record, 0, s->size);
	for (size_t i = 0; i < s->n_fields; i++) {
		const struct ps_field *f = &s->fields[i];
		uint8_t *at = (uint8_t *)record + f->offset;
		uint64_t n = draw_number();

		switch (f->kind) {
		case PS_KIND_U8:
			*at = (uint8_t)n;
			break;
		case PS_KIND_U16:
			*(uint16_t *)at = (uint16_t)n;
			break;
		case PS_KIND_U32:
			*(uint32_t *)at = (uint32_t)n;
			break;
		case PS_KIND_U64:
		case PS_KIND_ID:
		case PS_KIND_SPAN:
			*(uint64_t *)at = n;
			break;
		case PS_KIND_TIME:
			*(uint64_t *)at = n % 10 ? n : 0;
			break;
		case PS_KIND_PROTO:
			*at = odd ? (uint8_t)n : draw() % 2 ? 6 : 17;
			break;
		case PS_KIND_ADDR:
			*(struct ps_addr *)at = draw_addr();
			break;
		case PS_KIND_NAME:
			draw_text((char *)at, PS_NAME_SIZE, odd);
			break;
		case PS_KIND_TEXT:
			draw_text((char *)at, PS_TEXT_SIZE, odd);
			break;
		case PS_KIND_BOOL:
			*(bool *)at = n & 1;
			break;
		case PS_KIND_RATIO:
			*(double *)at = odd ? (double)(n % 1000) / 1000 : 0;
			break;
		case PS_KIND_RULE:
			*(int32_t *)at = n % 3 ? (int32_t)(n % 131072) : -1;
			break;
		default:
			*at = (uint8_t)(draw() % 20);
		}
	}
}

static struct ps_value *fields_of(enum ps_record_type type)
{
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	struct ps_value *v = NULL;

	ps_batch_fields(&b, type);
	assert_int_equal(ps_msgpack_parse(b.data, b.len, &v), 0);
	return v;
}

/* Both ways, until the end or the first error; which it was. */
static int compare(enum ps_record_type type, const struct ps_value *fields, const uint8_t *data, size_t len)
{
	_cleanup_(ps_buf_free) struct ps_buf fast = PS_BUF_INIT, slow = PS_BUF_INIT;
	struct ps_batch_reader reader;
	struct ps_row_json rows;
	union {
		struct ps_conn conn;
		struct ps_icmp icmp;
		struct ps_drop drop;
	} record;
	int r = ps_batch_reader_init(&reader, type, fields, data, len);

	assert_int_equal(ps_row_json_init(&rows, type, fields, data, len), r);
	if (r < 0)
		return r;
	do {
		r = ps_batch_next(&reader, &record);
		if (r == 1)
			ps_record_json(&slow, type, &record);
		assert_int_equal(ps_row_json_next(&rows, &fast), r);
	} while (r == 1);
	assert_int_equal(fast.len, slow.len);
	if (fast.len && memcmp(fast.data, slow.data, fast.len) != 0)
		fail_msg("\nfast %.*s\nslow %.*s", (int)fast.len, fast.data, (int)slow.len, slow.data);
	return r;
}

/* Nothing went wrong, or one thing at the most, the first or the last. */
static void make_quiet(void *record)
{
	struct ps_conn *c = record;
	size_t from = offsetof(struct ps_conn, orig_retrans_packets);
	uint64_t which = draw() % 4;

	memset((uint8_t *)record + from, 0, sizeof(*c) - from);
	c->orig_retrans_packets = which == 0 ? (uint32_t)draw_number() : 0;
	c->resp_dropped_packets = which == 1 ? (uint32_t)draw_number() : 0;
}

static void fill(struct ps_batch *b, enum ps_record_type type, unsigned n, bool odd)
{
	uint8_t record[sizeof(struct ps_conn) + sizeof(struct ps_icmp)] __attribute__((aligned(16)));

	ps_batch_init(b, type);
	for (unsigned i = 0; i < n; i++) {
		draw_record(type, record, odd);
		if (type == PS_RECORD_CONN && draw() % 2)
			make_quiet(record);
		assert_int_equal(ps_batch_add(b, record), 0);
	}
}

static void the_same_bytes(void **state)
{
	(void)state;
	for (int round = 0; round < 400; round++) {
		enum ps_record_type type = (enum ps_record_type)(round % 5 ? 0 : round % PS_RECORD_TYPES);
		_cleanup_(ps_value_free) struct ps_value *fields = fields_of(type);
		struct ps_batch b;
		const uint8_t *data;
		size_t len;

		fill(&b, type, 20, round % 2);
		ps_batch_payload(&b, &data, &len);
		assert_int_equal(compare(type, fields, data, len), 0);
		ps_batch_free(&b);
	}
}

/* One byte is another: whatever that means, it means the same both ways. */
static void broken_bytes(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *fields = fields_of(PS_RECORD_CONN);
	struct ps_batch b;
	const uint8_t *data;
	size_t len, broken = 0;

	(void)state;
	fill(&b, PS_RECORD_CONN, 2, false);
	ps_batch_payload(&b, &data, &len);
	for (int i = 0; i < 30000; i++) {
		_cleanup_free_ uint8_t *copy = malloc(len);
		size_t at = draw() % len, cut = i % 5 ? len : at;

		assert_non_null(copy);
		memcpy(copy, data, len);
		copy[at] = (uint8_t)draw();
		broken += compare(PS_RECORD_CONN, fields, copy, cut) < 0;
	}
	assert_true(broken > 1000);
	ps_batch_free(&b);
}

/* Columns in another order, or fewer of them, are read the long way. */
static void other_columns(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *fields = ps_value_list();
	_cleanup_(ps_value_free) struct ps_value *rows = ps_value_list();
	_cleanup_(ps_buf_free) struct ps_buf payload = PS_BUF_INIT;
	struct ps_value *row = ps_value_list();

	(void)state;
	assert_int_equal(ps_value_append(fields, ps_value_string("dst_port")), 0);
	assert_int_equal(ps_value_append(fields, ps_value_string("colour")), 0);
	assert_int_equal(ps_value_append(row, ps_value_int(443)), 0);
	assert_int_equal(ps_value_append(row, ps_value_string("red")), 0);
	assert_int_equal(ps_value_append(rows, row), 0);
	ps_msgpack_write(&payload, rows);
	assert_int_equal(compare(PS_RECORD_CONN, fields, payload.data, payload.len), 0);
}

static void dates(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *fields = fields_of(PS_RECORD_CONN);
	struct ps_batch b;
	const uint8_t *data;
	size_t len;

	(void)state;
	ps_batch_init(&b, PS_RECORD_CONN);
	for (uint64_t day = 1; b.n < PS_BUS_RECORDS_MAX; day += 207) { /* to the year 2550 */
		struct ps_conn c = {.proto = 6, .state = 3, .rule_id = -1, .last_seen = (day * 86400 - 1) * PS_NSEC};

		assert_int_equal(ps_batch_add(&b, &c), 0);
	}
	ps_batch_payload(&b, &data, &len);
	assert_int_equal(compare(PS_RECORD_CONN, fields, data, len), 0);
	ps_batch_free(&b);
}

/* Not a check, but a word on what it is for: ns a record. */
static void how_long(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *fields = fields_of(PS_RECORD_CONN);
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	struct ps_batch b;
	const uint8_t *data;
	size_t len;
	uint64_t ns[2];

	(void)state;
	ps_batch_init(&b, PS_RECORD_CONN);
	for (unsigned i = 0; i < 1000; i++) {
		struct ps_conn c = {.id = i + 1,
			.proto = 6,
			.src_port = (uint16_t)(30000 + i),
			.dst_port = 443,
			.state = 3,
			.view = PS_VIEW_BOTH,
			.iface = "eth0",
			.rule_id = -1,
			.first_seen = 1700000000ull * PS_NSEC + i * 1000003,
			.last_seen = 1700000100ull * PS_NSEC + i * 7919,
			.duration = 100123456789,
			.orig_packets = 20 + i,
			.resp_packets = 18 + i,
			.orig_bytes = 12345 + i,
			.resp_bytes = 654321 + i,
			.orig_tcp_flags = 26,
			.resp_tcp_flags = 26,
			.orig_seq = 123456789 + i,
			.resp_seq = 987654321,
			.orig_ack = 987654321,
			.resp_ack = 123456789,
			.orig_window = 64240,
			.resp_window = 65160,
			.rtt_us = 1200,
			.conn_state = "S1",
			.history = "ShADad"};

		c.src_ip = (struct ps_addr){.family = 4, .word = {0x0a00000a + (i << 16)}};
		c.dst_ip = (struct ps_addr){.family = 4, .word = {0x2200d85d}};
		assert_int_equal(ps_batch_add(&b, &c), 0);
	}
	ps_batch_payload(&b, &data, &len);
	for (int way = 0; way < 2; way++) {
		uint64_t best = UINT64_MAX;

		for (int round = 0; round < 20; round++) {
			struct ps_row_json rows;
			uint64_t begin = ps_clock_boot();

			ps_buf_reset(&out);
			assert_int_equal(ps_row_json_init(&rows, PS_RECORD_CONN, fields, data, len), 0);
			rows.direct &= way == 0;
			while (ps_row_json_next(&rows, &out) == 1)
				;
			best = PS_MIN(best, ps_clock_boot() - begin);
		}
		ns[way] = best / 1000;
	}
	print_message("%zu bytes of JSON a record: %llu ns, by way of the record %llu ns\n", out.len / 1000,
		(unsigned long long)ns[0], (unsigned long long)ns[1]);
	ps_batch_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_bytes),
		cmocka_unit_test(broken_bytes),
		cmocka_unit_test(other_columns),
		cmocka_unit_test(dates),
		cmocka_unit_test(how_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
