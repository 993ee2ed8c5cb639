/* The hot codec: against msgpack-c in both directions, any order and subset of columns, hostile payloads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <msgpack.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/codec/batch.h"
#include "common/codec/msgpack.h"
#include "common/model/value.h"

#define _value_ _cleanup_(ps_value_free) struct ps_value *
#define _buf_ _cleanup_(ps_buf_free) struct ps_buf
#define _batch_ _cleanup_(ps_batch_free) struct ps_batch

union record {
	struct ps_conn conn;
	struct ps_icmp icmp;
	struct ps_drop drop;
};

/* --- Records to try -------------------------------------------------------------------------- */

/* A number whose width is random too, so that every form comes up. */
static uint64_t random_number(unsigned bits)
{
	uint64_t v = (uint64_t)random() << 62 ^ (uint64_t)random() << 31 ^ (uint64_t)random();
	unsigned width = (unsigned)random() % (bits + 1);

	return width ? v >> (64 - width) : 0;
}

static void random_text(char *to, size_t size)
{
	size_t n = (size_t)random() % size;

	memset(to, 'a' + (int)(random() % 26), n);
	to[n] = '\0';
}

static void random_addr(struct ps_addr *a)
{
	static const uint8_t families[] = {0, 4, 6};

	a->family = families[random() % 3];
	for (int i = 0; i < (a->family == 4 ? 1 : a->family ? 4 : 0); i++)
		a->word[i] = random() % 3 ? (uint32_t)random_number(32) : 0;
}

static uint8_t random_word(enum ps_kind kind)
{
	for (;;) {
		uint8_t v = (uint8_t)(random() % 18);

		if (ps_enum_name(kind, v) || !v)
			return v;
	}
}

static void random_field(const struct ps_field *f, void *at)
{
	switch (f->kind) {
	case PS_KIND_U8:
	case PS_KIND_PROTO:
		*(uint8_t *)at = (uint8_t)random_number(8);
		break;
	case PS_KIND_U16:
		*(uint16_t *)at = (uint16_t)random_number(16);
		break;
	case PS_KIND_U32:
		*(uint32_t *)at = (uint32_t)random_number(32);
		break;
	case PS_KIND_U64:
	case PS_KIND_ID:
	case PS_KIND_TIME:
	case PS_KIND_SPAN:
		*(uint64_t *)at = random_number(64);
		break;
	case PS_KIND_ADDR:
		random_addr(at);
		break;
	case PS_KIND_NAME:
		random_text(at, PS_NAME_SIZE);
		break;
	case PS_KIND_TEXT:
		random_text(at, PS_TEXT_SIZE);
		break;
	case PS_KIND_BOOL:
		*(bool *)at = random() % 2;
		break;
	case PS_KIND_RATIO:
		*(double *)at = (double)random() / 3;
		break;
	case PS_KIND_RULE:
		*(int32_t *)at = random() % 4 ? (int32_t)random_number(31) : -1;
		break;
	case PS_KIND_VIEW:
	case PS_KIND_STATE:
	case PS_KIND_END:
	case PS_KIND_VERDICT:
	case PS_KIND_DIRECTION:
	case PS_KIND_MODE:
		*(uint8_t *)at = random_word(f->kind);
		break;
	}
}

static void random_record(enum ps_record_type type, union record *r)
{
	const struct ps_schema *s = &ps_schemas[type];

	memset(r, 0, sizeof(*r));
	for (size_t i = 0; i < s->n_fields; i++)
		random_field(&s->fields[i], (uint8_t *)r + s->fields[i].offset);
	if (type == PS_RECORD_CONN && random() % 2) { /* nothing went wrong: zeros up to the end, or up to the last */
		uint32_t last = r->conn.resp_dropped_packets;
		size_t from = offsetof(struct ps_conn, orig_retrans_packets);

		memset((uint8_t *)&r->conn + from, 0, sizeof(r->conn) - from);
		r->conn.resp_dropped_packets = random() % 2 ? last : 0;
	}
}

/* A record whose every column is as long as it can be. */
static void longest_record(enum ps_record_type type, union record *r)
{
	const struct ps_schema *s = &ps_schemas[type];

	memset(r, 0xff, sizeof(*r));
	for (size_t i = 0; i < s->n_fields; i++) {
		uint8_t *at = (uint8_t *)r + s->fields[i].offset;

		switch (s->fields[i].kind) {
		case PS_KIND_PROTO:
			*at = IPPROTO_ICMPV6;
			break;
		case PS_KIND_ADDR:
			((struct ps_addr *)at)->family = 6;
			break;
		case PS_KIND_BOOL:
			*(bool *)at = true;
			break;
		case PS_KIND_RATIO:
			*(double *)at = 0.1;
			break;
		case PS_KIND_RULE:
			*(int32_t *)at = INT32_MAX;
			break;
		case PS_KIND_NAME: /* no NUL: the writer must stop at the size */
			memset(at, 'n', PS_NAME_SIZE);
			break;
		case PS_KIND_TEXT:
			memset(at, 't', PS_TEXT_SIZE);
			break;
		case PS_KIND_STATE:
			*at = PS_TCP_ESTABLISHED;
			break;
		case PS_KIND_VIEW:
		case PS_KIND_END:
		case PS_KIND_VERDICT:
		case PS_KIND_DIRECTION:
		case PS_KIND_MODE:
			*at = 2;
			break;
		default:
			break;
		}
	}
}

/* --- What a column must be on the wire, from the table in schema.h alone --------------------- */

static void pack_text(msgpack_packer *pk, const char *s)
{
	msgpack_pack_str(pk, strlen(s));
	msgpack_pack_str_body(pk, s, strlen(s));
}

static void pack_or_nil(msgpack_packer *pk, const char *s)
{
	if (s)
		pack_text(pk, s);
	else
		msgpack_pack_nil(pk);
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
		(void)snprintf(text, sizeof(text), "%016llx", (unsigned long long)*(const uint64_t *)at);
		pack_or_nil(pk, *(const uint64_t *)at ? text : NULL);
		break;
	case PS_KIND_PROTO:
		pack_or_nil(pk, *(const uint8_t *)at ? ps_proto_name(*(const uint8_t *)at, text) : NULL);
		break;
	case PS_KIND_ADDR:
		pack_or_nil(pk, ((const struct ps_addr *)at)->family ? ps_addr_format(at, text) : NULL);
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
	case PS_KIND_VIEW:
	case PS_KIND_STATE:
	case PS_KIND_END:
	case PS_KIND_VERDICT:
	case PS_KIND_DIRECTION:
	case PS_KIND_MODE:
		pack_or_nil(pk, ps_enum_name(f->kind, *(const uint8_t *)at));
		break;
	}
}

static void pack_record(msgpack_packer *pk, enum ps_record_type type, const union record *r)
{
	const struct ps_schema *s = &ps_schemas[type];

	msgpack_pack_array(pk, s->n_fields);
	for (size_t i = 0; i < s->n_fields; i++)
		pack_field(pk, &s->fields[i], (const uint8_t *)r + s->fields[i].offset);
}

/* --- Writing --------------------------------------------------------------------------------- */

static void byte_for_byte_as_msgpack_c(void **state)
{
	static const size_t counts[] = {0, 1, 15, 16, 17, 255, 256, PS_BUS_RECORDS_MAX};

	(void)state;
	srandom(11);
	for (int t = 0; t < PS_RECORD_TYPES; t++) {
		for (size_t k = 0; k < PS_ARRAY_SIZE(counts); k++) {
			_batch_ b;
			msgpack_sbuffer sb;
			msgpack_packer pk;
			const uint8_t *data;
			size_t len;

			ps_batch_init(&b, (enum ps_record_type)t);
			msgpack_sbuffer_init(&sb);
			msgpack_packer_init(&pk, &sb, msgpack_sbuffer_write);
			msgpack_pack_array(&pk, counts[k]);
			for (size_t i = 0; i < counts[k]; i++) {
				union record r;

				random_record((enum ps_record_type)t, &r);
				assert_int_equal(ps_batch_add(&b, &r), 0);
				pack_record(&pk, (enum ps_record_type)t, &r);
			}
			ps_batch_payload(&b, &data, &len);
			assert_int_equal(len, sb.size);
			assert_memory_equal(data, sb.data, len);
			msgpack_sbuffer_destroy(&sb);
		}
	}
}

static void the_head_is_written_anew(void **state)
{
	_batch_ b;
	struct ps_drop d = {.rule_id = 3};
	const uint8_t *data;
	size_t len, before;

	(void)state;
	ps_batch_init(&b, PS_RECORD_DROP);
	assert_int_equal(ps_batch_add(&b, &d), 0);
	ps_batch_payload(&b, &data, &before);
	assert_int_equal(data[0], 0x91);
	for (int i = 0; i < 15; i++)
		assert_int_equal(ps_batch_add(&b, &d), 0);
	ps_batch_payload(&b, &data, &len);
	assert_int_equal(data[0], 0xdc);
	assert_int_equal(len, 3 + 16 * (before - 1));
	ps_batch_payload(&b, &data, &len); /* asking twice changes nothing */
	assert_int_equal(len, 3 + 16 * (before - 1));
	ps_batch_reset(&b);
	ps_batch_payload(&b, &data, &len);
	assert_int_equal(len, 1);
	assert_int_equal(data[0], 0x90);
	assert_int_equal(ps_batch_add(&b, &d), 0);
	ps_batch_payload(&b, &data, &len);
	assert_int_equal(len, before);
}

static void the_longest_records_fit(void **state)
{
	(void)state;
	for (int t = 0; t < PS_RECORD_TYPES; t++) {
		_batch_ b;
		union record r;
		const uint8_t *data;
		size_t len;

		ps_batch_init(&b, (enum ps_record_type)t);
		longest_record((enum ps_record_type)t, &r);
		for (int i = 0; i < PS_BUS_RECORDS_MAX; i++)
			assert_int_equal(ps_batch_add(&b, &r), 0);
		assert_int_equal(ps_batch_add(&b, &r), -ENOSPC);
		ps_batch_payload(&b, &data, &len);
		assert_true(len <= PS_BUS_MESSAGE_MAX);
		assert_int_equal(ps_msgpack_measure(data, len, &len), 0);
	}
}

static void fields_name_the_columns(void **state)
{
	(void)state;
	for (int t = 0; t < PS_RECORD_TYPES; t++) {
		_buf_ out = PS_BUF_INIT;
		_value_ names = NULL;

		ps_batch_fields(&out, (enum ps_record_type)t);
		assert_int_equal(ps_msgpack_parse(out.data, out.len, &names), 0);
		assert_int_equal(ps_value_count(names), ps_schemas[t].n_fields);
		for (size_t i = 0; i < ps_value_count(names); i++)
			assert_string_equal(
				ps_value_as_string(ps_value_at(names, i), ""), ps_schemas[t].fields[i].name);
	}
}

/* --- Reading --------------------------------------------------------------------------------- */

static struct ps_value *all_fields(enum ps_record_type type)
{
	_value_ names = ps_value_list();

	for (size_t i = 0; i < ps_schemas[type].n_fields; i++)
		assert_int_equal(ps_value_append(names, ps_value_string(ps_schemas[type].fields[i].name)), 0);
	return PS_TAKE(names);
}

static void reads_what_it_writes(void **state)
{
	(void)state;
	srandom(5);
	for (int t = 0; t < PS_RECORD_TYPES; t++) {
		enum ps_record_type type = (enum ps_record_type)t;
		_value_ names = all_fields(type);
		_cleanup_free_ union record *want = calloc(300, sizeof(*want));
		struct ps_batch_reader reader;
		union record got;
		const uint8_t *data;
		_batch_ b;
		size_t len;

		assert_non_null(want);
		ps_batch_init(&b, type);
		for (int i = 0; i < 300; i++) {
			random_record(type, &want[i]);
			assert_int_equal(ps_batch_add(&b, &want[i]), 0);
		}
		ps_batch_payload(&b, &data, &len);
		assert_int_equal(ps_batch_reader_init(&reader, type, names, data, len), 0);
		assert_int_equal(reader.left, 300);
		for (int i = 0; i < 300; i++) {
			memset(&got, 0xaa, sizeof(got));
			assert_int_equal(ps_batch_next(&reader, &got), 1);
			/* padding of the struct is not data: compare through it field by field */
			for (size_t f = 0; f < ps_schemas[t].n_fields; f++) {
				size_t from = ps_schemas[t].fields[f].offset;
				msgpack_sbuffer a, z;
				msgpack_packer pa, pz;

				msgpack_sbuffer_init(&a);
				msgpack_sbuffer_init(&z);
				msgpack_packer_init(&pa, &a, msgpack_sbuffer_write);
				msgpack_packer_init(&pz, &z, msgpack_sbuffer_write);
				pack_field(&pa, &ps_schemas[t].fields[f], (uint8_t *)&want[i] + from);
				pack_field(&pz, &ps_schemas[t].fields[f], (uint8_t *)&got + from);
				assert_int_equal(a.size, z.size);
				assert_memory_equal(a.data, z.data, a.size);
				msgpack_sbuffer_destroy(&a);
				msgpack_sbuffer_destroy(&z);
			}
		}
		assert_int_equal(ps_batch_next(&reader, &got), 0);
		assert_int_equal(ps_batch_next(&reader, &got), 0);
	}
}

/* A payload by msgpack-c in the widest forms, in another order, with columns that nobody here knows. */
static void any_order_any_width_unknown_columns(void **state)
{
	static const char *const names[] = {"x-new", "orig_bytes", "src_port", "iface", "x-list", "rule_id", "loss",
		"src_ip", "proto", "midstream"};
	_value_ fields = ps_value_list();
	struct ps_batch_reader r;
	struct ps_conn c;
	msgpack_sbuffer sb;
	msgpack_packer pk;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(names); i++)
		assert_int_equal(ps_value_append(fields, ps_value_string(names[i])), 0);
	msgpack_sbuffer_init(&sb);
	msgpack_packer_init(&pk, &sb, msgpack_sbuffer_write);
	/* array 32 */
	assert_int_equal(msgpack_sbuffer_write(&sb, "\xdd\0\0\0\2", 5), 0);
	msgpack_pack_array(&pk, 10);
	msgpack_pack_map(&pk, 1);
	pack_text(&pk, "k");
	msgpack_pack_ext_with_body(&pk, "abc", 3, 9);
	msgpack_pack_fix_int64(&pk, 7); /* signed, but not negative */
	msgpack_pack_fix_uint64(&pk, 443);
	assert_int_equal(msgpack_sbuffer_write(&sb, "\xdb\0\0\0\4eth0", 9), 0); /* str 32 */
	msgpack_pack_array(&pk, 2);
	msgpack_pack_nil(&pk);
	msgpack_pack_array(&pk, 0);
	msgpack_pack_fix_uint32(&pk, 12);
	msgpack_pack_float(&pk, 0.5f);
	assert_int_equal(msgpack_sbuffer_write(&sb,
				 "\xda\0\x09"
				 "192.0.2.1",
				 12),
		0); /* str 16 */
	assert_int_equal(msgpack_sbuffer_write(&sb,
				 "\xd9\2"
				 "89",
				 4),
		0);
	msgpack_pack_true(&pk);
	msgpack_pack_array(&pk, 10);
	for (int i = 0; i < 10; i++)
		msgpack_pack_nil(&pk);

	assert_int_equal(ps_batch_reader_init(&r, PS_RECORD_CONN, fields, (uint8_t *)sb.data, sb.size), 0);
	assert_int_equal(ps_batch_next(&r, &c), 1);
	assert_int_equal(c.orig_bytes, 7);
	assert_int_equal(c.src_port, 443);
	assert_string_equal(c.iface, "eth0");
	assert_int_equal(c.rule_id, 12);
	assert_true(c.loss == 0.5);
	assert_true(c.src_ip.family == 4 && c.src_ip.word[0] == htonl(0xc0000201));
	assert_int_equal(c.proto, 89);
	assert_true(c.midstream);
	assert_int_equal(c.id, 0); /* not among the columns */
	assert_int_equal(c.dst_ip.family, 0);
	assert_int_equal(ps_batch_next(&r, &c), 1);
	assert_int_equal(c.rule_id, -1); /* nil: none, which is not rule 0 */
	assert_int_equal(c.src_port, 0);
	assert_int_equal(ps_batch_next(&r, &c), 0);
	msgpack_sbuffer_destroy(&sb);
}

/* A column that is missing is the same as nil. */
static void missing_columns(void **state)
{
	_value_ none = ps_value_list();
	struct ps_batch_reader r;
	struct ps_conn c;

	(void)state;
	memset(&c, 0x55, sizeof(c));
	assert_int_equal(ps_batch_reader_init(&r, PS_RECORD_CONN, none, (const uint8_t *)"\x91\x90", 2), 0);
	assert_int_equal(ps_batch_next(&r, &c), 1);
	assert_int_equal(c.rule_id, -1);
	assert_int_equal(c.id, 0);
	assert_int_equal(c.iface[0], 0);
	assert_int_equal(ps_batch_next(&r, &c), 0);
}

/* Publishers that knew no shadow mode have no such column: what they tell of was dropped. A word of later ones is zero.
 */
static void modes_of_others(void **state)
{
	static const struct {
		const char *name;
		const char *bytes;
		uint8_t mode;
	} cases[] = {
		{"x-none", "\xc0", PS_DROP_ENFORCED},
		{"mode", "\xc0", PS_DROP_ENFORCED},
		{"mode", "\xa5later", PS_DROP_ENFORCED},
		{"mode",
			"\xa7"
			"enforce",
			PS_DROP_ENFORCED},
		{"mode", "\xa6shadow", PS_DROP_SHADOW},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		uint8_t payload[16] = {0x91, 0x91};
		size_t len = strlen(cases[i].bytes);
		_value_ fields = ps_value_list();
		struct ps_batch_reader r;
		struct ps_drop d;

		memset(&d, 0x55, sizeof(d));
		memcpy(payload + 2, cases[i].bytes, len);
		assert_int_equal(ps_value_append(fields, ps_value_string(cases[i].name)), 0);
		assert_int_equal(ps_batch_reader_init(&r, PS_RECORD_DROP, fields, payload, len + 2), 0);
		assert_int_equal(ps_batch_next(&r, &d), 1);
		assert_int_equal(d.mode, cases[i].mode);
	}
}

/* One record with the one column `name`, whose bytes are given: 1, 0 or -EBADMSG. */
static int read_one(const char *name, const void *bytes, size_t len)
{
	_cleanup_free_ uint8_t *payload = malloc(len + 2);
	_value_ fields = ps_value_list();
	struct ps_batch_reader r;
	struct ps_conn c;

	assert_non_null(payload);
	assert_int_equal(ps_value_append(fields, ps_value_string(name)), 0);
	payload[0] = 0x91;
	payload[1] = 0x91;
	memcpy(payload + 2, bytes, len);
	if (ps_batch_reader_init(&r, PS_RECORD_CONN, fields, payload, len + 2))
		return -EINVAL;
	return ps_batch_next(&r, &c);
}

static void columns_of_the_wrong_kind(void **state)
{
	static const struct {
		const char *name;
		const char *bytes;
		size_t len;
		int want;
	} rows[] = {
		{"src_port", "\xcd\xff\xff", 3, 1},
		{"src_port", "\xce\0\1\0\0", 5, -EBADMSG}, /* 65536 */
		{"src_port", "\xff", 1, -EBADMSG},         /* -1 */
		{"src_port", "\xd1\xff\xff", 3, -EBADMSG},
		{"src_port", "\xcb\0\0\0\0\0\0\0\0", 9, -EBADMSG},
		{"src_port",
			"\xa1"
			"1",
			2, -EBADMSG},
		{"src_port", "\xc3", 1, -EBADMSG},
		{"src_port", "\xc1", 1, -EBADMSG},
		{"src_port", "\xc0", 1, 1},
		{"orig_tcp_flags", "\xcc\xff", 2, 1},
		{"orig_tcp_flags", "\xcd\1\0", 3, -EBADMSG},
		{"rtt_us", "\xce\xff\xff\xff\xff", 5, 1},
		{"rtt_us", "\xcf\0\0\0\1\0\0\0\0", 9, -EBADMSG},
		{"orig_bytes", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, 1},
		{"iface",
			"\xaf"
			"123456789012345",
			16, 1},
		{"iface",
			"\xb0"
			"1234567890123456",
			17, -EBADMSG}, /* no room for it */
		{"iface",
			"\xa3"
			"a\0b",
			4, -EBADMSG},
		{"iface",
			"\xc4\1"
			"a",
			3, -EBADMSG}, /* bin is no text */
		{"iface", "\x01", 1, -EBADMSG},
		{"history",
			"\xd9\x2f"
			"12345678901234567890123456789012345678901234567",
			49, 1},
		{"history",
			"\xd9\x30"
			"123456789012345678901234567890123456789012345678",
			50, -EBADMSG},
		{"src_ip",
			"\xa7"
			"1.2.3.4",
			8, 1},
		{"src_ip",
			"\xa7"
			"1.2.3.x",
			8, -EBADMSG},
		{"src_ip", "\xa0", 1, -EBADMSG},
		{"src_ip", "\x01", 1, -EBADMSG},
		{"id",
			"\xb0"
			"00000000000000ff",
			17, 1},
		{"id",
			"\xb0"
			"00000000000000FF",
			17, -EBADMSG},
		{"id",
			"\xaf"
			"0000000000000ff",
			16, -EBADMSG},
		{"id",
			"\xb0"
			"000000000000000g",
			17, -EBADMSG},
		{"proto",
			"\xa3"
			"tcp",
			4, 1},
		{"proto",
			"\xa3"
			"xyz",
			4, -EBADMSG},
		{"proto", "\x06", 1, -EBADMSG},
		{"midstream", "\xc2", 1, 1},
		{"midstream", "\x01", 1, -EBADMSG},
		{"loss", "\x01", 1, 1},
		{"loss", "\xff", 1, 1},
		{"loss", "\xcb\x7f\xf8\0\0\0\0\0\0", 9, -EBADMSG}, /* NaN */
		{"loss", "\xca\x7f\x80\0\0", 5, -EBADMSG},         /* infinite */
		{"rule_id", "\xce\x7f\xff\xff\xff", 5, 1},
		{"rule_id", "\xce\x80\0\0\0", 5, -EBADMSG},
		{"rule_id", "\xff", 1, -EBADMSG},
		{"state",
			"\xa5"
			"close",
			6, 1},
		{"state",
			"\xa6"
			"future",
			7, 1}, /* a word of a later version */
		{"state", "\x01", 1, -EBADMSG},
		{"unknown", "\xc7\1\5x", 4, 1},
		{"unknown", "\xc1", 1, -EBADMSG},
		{"unknown", "\xdd\xff\xff\xff\xff", 5, -EBADMSG},
		{"unknown", "\x92\1", 2, -EBADMSG},
		{"unknown", "\xdb\xff\xff\xff\xff", 5, -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		int got = read_one(rows[i].name, rows[i].bytes, rows[i].len);

		if (got != rows[i].want)
			fail_msg("row %zu (%s): %d instead of %d", i, rows[i].name, got, rows[i].want);
	}
}

static int init(const struct ps_value *fields, const void *payload, size_t len)
{
	struct ps_batch_reader r = {.left = 4711};
	int ret = ps_batch_reader_init(&r, PS_RECORD_CONN, fields, payload, len);

	assert_int_equal(r.left == 4711, ret != 0);
	return ret;
}

static void heads(void **state)
{
	_value_ fields = ps_value_list();
	_value_ numbers = ps_value_list();
	_value_ wide = ps_value_list();
	_value_ map = ps_value_map();
	struct ps_batch_reader r;
	struct ps_conn c;

	(void)state;
	for (int i = 0; i < PS_BUS_FIELDS_MAX + 1; i++)
		assert_int_equal(ps_value_append(wide, ps_value_string("id")), 0);
	assert_int_equal(ps_value_append(numbers, ps_value_int(1)), 0);
	assert_int_equal(init(fields, "\x90", 1), 0);
	assert_int_equal(init(fields, "", 0), -EBADMSG);
	assert_int_equal(init(fields, "\x80", 1), -EBADMSG);
	assert_int_equal(init(fields, "\xc0", 1), -EBADMSG);
	assert_int_equal(init(fields, "\xdc\0", 2), -EBADMSG);
	assert_int_equal(init(fields, "\xdd\xff\xff\xff\xff", 5), -EBADMSG); /* n is not believed */
	assert_int_equal(init(NULL, "\x90", 1), -EBADMSG);
	assert_int_equal(init(map, "\x90", 1), -EBADMSG);
	assert_int_equal(init(numbers, "\x90", 1), -EBADMSG);
	assert_int_equal(init(wide, "\x90", 1), -EBADMSG);
	/* something behind the last record */
	assert_int_equal(ps_batch_reader_init(&r, PS_RECORD_CONN, fields, (const uint8_t *)"\x91\x90\x90", 3), 0);
	assert_int_equal(ps_batch_next(&r, &c), 1);
	assert_int_equal(ps_batch_next(&r, &c), -EBADMSG);
	/* a record that is no array, or has more or fewer columns than there are names */
	assert_int_equal(ps_batch_reader_init(&r, PS_RECORD_CONN, fields, (const uint8_t *)"\x91\x01", 2), 0);
	assert_int_equal(ps_batch_next(&r, &c), -EBADMSG);
	assert_int_equal(ps_batch_reader_init(&r, PS_RECORD_CONN, fields, (const uint8_t *)"\x91\x91\x01", 3), 0);
	assert_int_equal(ps_batch_next(&r, &c), -EBADMSG);
}

/* Cut anywhere or with any bit changed: an answer, never a step out of bounds, never more records than were announced.
 */
static void broken_payloads(void **state)
{
	_value_ names = all_fields(PS_RECORD_CONN);
	union record rec;
	const uint8_t *data;
	_batch_ b;
	size_t len;

	(void)state;
	srandom(23);
	ps_batch_init(&b, PS_RECORD_CONN);
	for (int i = 0; i < 3; i++) {
		random_record(PS_RECORD_CONN, &rec);
		assert_int_equal(ps_batch_add(&b, &rec), 0);
	}
	ps_batch_payload(&b, &data, &len);
	for (size_t step = 0; step < 9 * len; step++) {
		size_t bit = step - len, n = step < len ? step : len;
		_cleanup_free_ uint8_t *exact = malloc(n ? n : 1);
		struct ps_batch_reader r;
		int ret, records = 0;

		assert_non_null(exact);
		memcpy(exact, data, n);
		if (step >= len)
			exact[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (ps_batch_reader_init(&r, PS_RECORD_CONN, names, exact, n))
			continue;
		while ((ret = ps_batch_next(&r, &rec)) == 1)
			records++;
		assert_true(records <= 3);
		assert_true(ret == 0 || ret == -EBADMSG);
		if (step < len)
			assert_int_equal(ret, -EBADMSG);
	}
}

/* Connections in our own columns are read by other code than all else: whatever the bytes, the two must agree. */
static void the_straight_way_says_the_same(void **state)
{
	enum {
		RECORDS = 5
	};
	_value_ fields = NULL;
	_buf_ names = PS_BUF_INIT;
	unsigned whole = 0, broken = 0;

	(void)state;
	ps_batch_fields(&names, PS_RECORD_CONN);
	assert_int_equal(ps_msgpack_parse(names.data, names.len, &fields), 0);
	for (unsigned round = 0; round < 20000; round++) {
		_batch_ b;
		_cleanup_free_ uint8_t *bytes = NULL;
		struct ps_batch_reader straight, other;
		const uint8_t *data;
		union record r, a, c;
		size_t len;
		int got;

		ps_batch_init(&b, PS_RECORD_CONN);
		for (int i = 0; i < RECORDS; i++) {
			random_record(PS_RECORD_CONN, &r);
			assert_int_equal(ps_batch_add(&b, &r), 0);
		}
		ps_batch_payload(&b, &data, &len);
		bytes = malloc(len); /* as long as it is, so that a sanitizer sees a look behind it */
		assert_non_null(bytes);
		memcpy(bytes, data, len);
		for (unsigned i = 0; i < round % 4; i++)
			bytes[1 + (size_t)random() % (len - 1)] = (uint8_t)random();
		assert_int_equal(ps_batch_reader_init(&straight, PS_RECORD_CONN, fields, bytes, len), 0);
		assert_true(straight.direct);
		other = straight;
		other.direct = false;
		do {
			memset(&a, 0, sizeof(a));
			memset(&c, 0, sizeof(c));
			got = ps_batch_next(&straight, &a);
			assert_int_equal(ps_batch_next(&other, &c), got);
			if (got == 1)
				assert_memory_equal(&a.conn, &c.conn, sizeof(a.conn));
			whole += got == 1;
			broken += got < 0;
		} while (got == 1);
	}
	assert_true(whole > 50000 && broken > 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(byte_for_byte_as_msgpack_c),
		cmocka_unit_test(the_head_is_written_anew),
		cmocka_unit_test(the_longest_records_fit),
		cmocka_unit_test(fields_name_the_columns),
		cmocka_unit_test(reads_what_it_writes),
		cmocka_unit_test(any_order_any_width_unknown_columns),
		cmocka_unit_test(missing_columns),
		cmocka_unit_test(modes_of_others),
		cmocka_unit_test(columns_of_the_wrong_kind),
		cmocka_unit_test(heads),
		cmocka_unit_test(broken_payloads),
		cmocka_unit_test(the_straight_way_says_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
