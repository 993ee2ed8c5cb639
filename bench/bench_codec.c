/* SPDX-License-Identifier: MIT */
/*
 * The hot codec against msgpack-c, over the same records and the same bytes. msgpack-c gets its texts from our own
 * formatters, and reads into the same struct, so what differs is the packing alone. Both ends check the other's work.
 * PS_BENCH_ROUNDS, PS_BENCH_REPEAT (messages a round): other numbers.
 */
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/records.h"
#include "bench/series.h"
#include "common/base/cleanup.h"
#include "common/codec/batch.h"
#include "common/codec/msgpack.h"
#include "common/model/value.h"

#define N PS_BUS_RECORDS_MAX

static struct ps_conn records[N], out[N];
static struct ps_value *fields;

static void pack_text(msgpack_packer *pk, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	if (!s) {
		msgpack_pack_nil(pk);
		return;
	}
	msgpack_pack_str(pk, n);
	msgpack_pack_str_body(pk, s, n);
}

static const char *hex(uint64_t v, char text[static 17])
{
	for (int i = 15; i >= 0; i--, v >>= 4)
		text[i] = "0123456789abcdef"[v & 15];
	text[16] = '\0';
	return text;
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
		pack_text(pk, *(const uint64_t *)at ? hex(*(const uint64_t *)at, text) : NULL);
		break;
	case PS_KIND_PROTO:
		pack_text(pk, *(const uint8_t *)at ? ps_proto_name(*(const uint8_t *)at, text) : NULL);
		break;
	case PS_KIND_ADDR:
		pack_text(pk, ((const struct ps_addr *)at)->family ? ps_addr_format(at, text) : NULL);
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
	default:
		pack_text(pk, ps_enum_name(f->kind, *(const uint8_t *)at));
	}
}

static void theirs_write(msgpack_sbuffer *sb)
{
	const struct ps_schema *s = &ps_schemas[PS_RECORD_CONN];
	msgpack_packer pk;

	msgpack_sbuffer_clear(sb);
	msgpack_packer_init(&pk, sb, msgpack_sbuffer_write);
	msgpack_pack_array(&pk, N);
	for (size_t k = 0; k < N; k++) {
		msgpack_pack_array(&pk, s->n_fields);
		for (size_t i = 0; i < s->n_fields; i++)
			pack_field(&pk, &s->fields[i], (const uint8_t *)&records[k] + s->fields[i].offset);
	}
}

static void ours_write(struct ps_batch *b)
{
	ps_batch_reset(b);
	for (size_t k = 0; k < N; k++)
		if (ps_batch_add(b, &records[k]) < 0)
			exit(1);
}

static void ours_read(const uint8_t *data, size_t len)
{
	struct ps_batch_reader r;
	size_t k = 0;

	if (ps_batch_reader_init(&r, PS_RECORD_CONN, fields, data, len) < 0)
		exit(1);
	while (k < N && ps_batch_next(&r, &out[k]) > 0)
		k++;
	if (k != N)
		exit(1);
}

static uint64_t unhex(const char *s, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 4 | (uint64_t)(s[i] <= '9' ? s[i] - '0' : s[i] - 'a' + 10);
	return v;
}

/* Numbers and texts are copied; addresses are read; of words, the first letters tell which it is. */
static void unpack_field(const msgpack_object *o, const struct ps_field *f, void *at)
{
	size_t n = o->type == MSGPACK_OBJECT_STR ? o->via.str.size : 0;

	switch (f->kind) {
	case PS_KIND_U8:
		*(uint8_t *)at = (uint8_t)o->via.u64;
		break;
	case PS_KIND_U16:
		*(uint16_t *)at = (uint16_t)o->via.u64;
		break;
	case PS_KIND_U32:
		*(uint32_t *)at = (uint32_t)o->via.u64;
		break;
	case PS_KIND_U64:
	case PS_KIND_TIME:
	case PS_KIND_SPAN:
		*(uint64_t *)at = o->via.u64;
		break;
	case PS_KIND_ID:
		*(uint64_t *)at = unhex(o->via.str.ptr, n);
		break;
	case PS_KIND_ADDR:
		if (n && ps_addr_parse(o->via.str.ptr, n, at) < 0)
			exit(1);
		break;
	case PS_KIND_NAME:
	case PS_KIND_TEXT:
		if (n)
			memcpy(at, o->via.str.ptr, n < PS_NAME_SIZE ? n : PS_NAME_SIZE - 1);
		break;
	case PS_KIND_BOOL:
		*(bool *)at = o->via.boolean;
		break;
	case PS_KIND_RATIO:
		*(double *)at = o->via.f64;
		break;
	case PS_KIND_RULE:
		*(int32_t *)at = o->type == MSGPACK_OBJECT_NIL ? -1 : (int32_t)o->via.i64;
		break;
	default:
		*(uint8_t *)at = n ? (uint8_t)o->via.str.ptr[0] : 0;
	}
}

/* Record by record: the tree of a whole message would be paid for in page faults. */
static void theirs_read(const uint8_t *data, size_t len)
{
	const struct ps_schema *s = &ps_schemas[PS_RECORD_CONN];
	size_t at = 3; /* behind the head of the array */
	msgpack_unpacked u;

	msgpack_unpacked_init(&u);
	for (size_t k = 0; k < N; k++) {
		if (msgpack_unpack_next(&u, (const char *)data, len, &at) != MSGPACK_UNPACK_SUCCESS ||
			u.data.via.array.size != s->n_fields)
			exit(1);
		memset(&out[k], 0, sizeof(out[k]));
		for (size_t i = 0; i < s->n_fields; i++)
			unpack_field(&u.data.via.array.ptr[i], &s->fields[i], (uint8_t *)&out[k] + s->fields[i].offset);
	}
	msgpack_unpacked_destroy(&u);
}

static double per_record(uint64_t began, uint64_t times)
{
	return (double)(ps_bench_cpu() - began) / (double)(times * N);
}

int main(void)
{
	static double ns[4][PS_BENCH_ROUNDS_MAX];
	unsigned rounds = ps_bench_rounds(11);
	uint64_t times = ps_bench_size("PS_BENCH_REPEAT", 200000) / N + 1, began;
	_cleanup_(ps_batch_free) struct ps_batch b;
	_cleanup_(ps_buf_free) struct ps_buf names = PS_BUF_INIT;
	msgpack_sbuffer sb;
	const uint8_t *data;
	size_t len;

	ps_bench_pin();
	for (uint32_t k = 0; k < N; k++)
		ps_bench_record(k, &records[k]);
	ps_batch_fields(&names, PS_RECORD_CONN);
	if (ps_msgpack_parse(names.data, names.len, &fields) < 0)
		return 1;
	ps_batch_init(&b, PS_RECORD_CONN);
	msgpack_sbuffer_init(&sb);
	ours_write(&b);
	theirs_write(&sb);
	ps_batch_payload(&b, &data, &len);
	if (len != sb.size || memcmp(data, sb.data, len) != 0) {
		(void)fprintf(stderr, "the two do not write the same bytes\n");
		return 1;
	}
	for (unsigned round = 0; round < rounds; round++) {
		began = ps_bench_cpu();
		for (uint64_t i = 0; i < times; i++)
			ours_write(&b);
		ns[0][round] = per_record(began, times);
		began = ps_bench_cpu();
		for (uint64_t i = 0; i < times; i++)
			theirs_write(&sb);
		ns[1][round] = per_record(began, times);
		ps_batch_payload(&b, &data, &len);
		began = ps_bench_cpu();
		for (uint64_t i = 0; i < times; i++)
			ours_read((const uint8_t *)sb.data, sb.size);
		ns[2][round] = per_record(began, times);
		if (memcmp(&out[N - 1].orig_bytes, &records[N - 1].orig_bytes, sizeof(out[0].orig_bytes)) != 0)
			return 1;
		began = ps_bench_cpu();
		for (uint64_t i = 0; i < times; i++)
			theirs_read(data, len);
		ns[3][round] = per_record(began, times);
		if (out[N - 1].orig_bytes != records[N - 1].orig_bytes)
			return 1;
	}
	ps_bench_series("codec.write.own", "ns", ns[0], rounds);
	ps_bench_series("codec.write.msgpack-c", "ns", ns[1], rounds);
	ps_bench_series("codec.read.own", "ns", ns[2], rounds);
	ps_bench_series("codec.read.msgpack-c", "ns", ns[3], rounds);
	msgpack_sbuffer_destroy(&sb);
	ps_value_free(&fields);
	return 0;
}
