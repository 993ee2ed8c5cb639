/* SPDX-License-Identifier: MIT */
/*
 * The hot codec against msgpack-c, over the same records and the same bytes. msgpack-c gets its texts from our own
 * formatters, and reads into the same struct with the same checks of every value. Each reads what the other wrote, and
 * all of it is compared with what was written.
 * PS_BENCH_ROUNDS, PS_BENCH_REPEAT (messages a round): other numbers.
 */
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/msgpackc.h"
#include "bench/records.h"
#include "bench/series.h"
#include "common/base/cleanup.h"
#include "common/codec/batch.h"
#include "common/codec/msgpack.h"
#include "common/model/value.h"

#define N PS_BUS_RECORDS_MAX

static struct ps_conn records[N], out[N];
static struct ps_value *fields;

static void theirs_write(msgpack_sbuffer *sb)
{
	msgpack_packer pk;

	msgpack_sbuffer_clear(sb);
	msgpack_packer_init(&pk, sb, msgpack_sbuffer_write);
	msgpack_pack_array(&pk, N);
	for (size_t k = 0; k < N; k++)
		ps_msgpackc_pack(&pk, &records[k]);
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

/* Record by record: the tree of a whole message would be paid for in page faults. */
static void theirs_read(const uint8_t *data, size_t len)
{
	size_t at = 3; /* behind the head of the array */
	msgpack_unpacked u;

	msgpack_unpacked_init(&u);
	for (size_t k = 0; k < N; k++) {
		if (msgpack_unpack_next(&u, (const char *)data, len, &at) != MSGPACK_UNPACK_SUCCESS ||
			!ps_msgpackc_unpack(&u.data, &out[k]))
			exit(1);
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
		if (memcmp(out, records, sizeof(out)) != 0)
			return 1;
		began = ps_bench_cpu();
		for (uint64_t i = 0; i < times; i++)
			theirs_read(data, len);
		ns[3][round] = per_record(began, times);
		if (memcmp(out, records, sizeof(out)) != 0)
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
