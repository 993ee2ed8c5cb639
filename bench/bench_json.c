/* SPDX-License-Identifier: MIT */
/*
 * The JSON of a connection: as the gateway writes a list, straight from the rows of the aggregator's answer, and from a
 * record; against cJSON (a tree, printed into a buffer that is there), which is given its records read and its texts
 * for nothing. PS_BENCH_ROUNDS, PS_BENCH_REPEAT (records a round): other numbers.
 */
#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/records.h"
#include "bench/series.h"
#include "common/base/cleanup.h"
#include "common/codec/batch.h"
#include "common/codec/json.h"
#include "common/codec/msgpack.h"
#include "common/codec/record_json.h"
#include "common/codec/row_json.h"
#include "common/model/value.h"

#define N 1024

static struct ps_conn records[N];

static double number(const struct ps_field *f, const void *at)
{
	switch (f->kind) {
	case PS_KIND_U8:
		return *(const uint8_t *)at;
	case PS_KIND_U16:
		return *(const uint16_t *)at;
	case PS_KIND_U32:
		return *(const uint32_t *)at;
	case PS_KIND_RATIO:
		return *(const double *)at;
	default:
		return (double)*(const uint64_t *)at;
	}
}

static void add(cJSON *o, const struct ps_field *f, const void *at)
{
	switch (f->kind) {
	case PS_KIND_U8:
	case PS_KIND_U16:
	case PS_KIND_U32:
	case PS_KIND_U64:
	case PS_KIND_SPAN:
	case PS_KIND_RATIO:
		cJSON_AddNumberToObject(o, f->name, number(f, at));
		break;
	case PS_KIND_BOOL:
		cJSON_AddBoolToObject(o, f->name, *(const bool *)at);
		break;
	case PS_KIND_NAME:
	case PS_KIND_TEXT:
		cJSON_AddStringToObject(o, f->name, at);
		break;
	case PS_KIND_TIME:
		cJSON_AddStringToObject(o, f->name, "2023-11-14T22:13:20.123456789Z");
		break;
	case PS_KIND_ID:
		cJSON_AddStringToObject(o, f->name, "0000000100000000");
		break;
	case PS_KIND_ADDR:
		cJSON_AddStringToObject(o, f->name, "10.123.45.67");
		break;
	case PS_KIND_PROTO:
	case PS_KIND_STATE:
		cJSON_AddStringToObject(o, f->name, "established");
		break;
	default:
		cJSON_AddNullToObject(o, f->name);
	}
}

static size_t theirs(const struct ps_conn *c, char *text, int room)
{
	const struct ps_schema *s = &ps_schemas[PS_RECORD_CONN];
	cJSON *o = cJSON_CreateObject();
	size_t n;

	for (size_t i = 0; i < s->n_fields; i++)
		add(o, &s->fields[i], (const uint8_t *)c + s->fields[i].offset);
	if (!cJSON_PrintPreallocated(o, text, room, 0))
		exit(1);
	n = strlen(text);
	cJSON_Delete(o);
	return n;
}

/* All records from the rows of one payload. */
static void rows(const struct ps_value *fields, const uint8_t *data, size_t len, struct ps_buf *buf)
{
	struct ps_row_json r;
	int got;

	ps_buf_reset(buf);
	if (ps_row_json_init(&r, PS_RECORD_CONN, fields, data, len) < 0)
		exit(1);
	while ((got = ps_row_json_next(&r, buf)) > 0)
		;
	if (got < 0)
		exit(1);
}

static double per(uint64_t began, uint64_t n)
{
	return (double)(ps_bench_cpu() - began) / (double)n;
}

int main(void)
{
	static double ns[4][PS_BENCH_ROUNDS_MAX];
	static char text[16384];
	unsigned rounds = ps_bench_rounds(9);
	uint64_t n = ps_bench_size("PS_BENCH_REPEAT", 50000), began, bytes = 0;
	_cleanup_(ps_buf_free) struct ps_buf buf = PS_BUF_INIT, names = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *fields = NULL;
	_cleanup_(ps_batch_free) struct ps_batch batch;
	const uint8_t *data;
	size_t len;

	ps_bench_pin();
	for (uint32_t i = 0; i < N; i++) {
		ps_bench_record(i, &records[i]);
		(void)snprintf(records[i].community_id, PS_TEXT_SIZE, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
	}
	ps_batch_init(&batch, PS_RECORD_CONN);
	for (uint32_t i = 0; i < N; i++)
		if (ps_batch_add(&batch, &records[i]) < 0)
			return 1;
	ps_batch_payload(&batch, &data, &len);
	ps_batch_fields(&names, PS_RECORD_CONN);
	if (ps_msgpack_parse(names.data, names.len, &fields) < 0)
		return 1;
	for (unsigned round = 0; round < rounds; round++) {
		began = ps_bench_cpu();
		for (uint64_t i = 0; i < n; i++) {
			if (buf.len > 65536)
				ps_buf_reset(&buf);
			ps_json_record(&buf, &ps_schemas[PS_RECORD_CONN], &records[i % N]);
		}
		ns[0][round] = per(began, n);
		began = ps_bench_cpu();
		for (uint64_t i = 0; i < n; i++)
			bytes += theirs(&records[i % N], text, sizeof(text));
		ns[1][round] = per(began, n);
		began = ps_bench_cpu();
		for (uint64_t i = 0; i < n; i++) {
			if (buf.len > 65536)
				ps_buf_reset(&buf);
			ps_record_json(&buf, PS_RECORD_CONN, &records[i % N]);
		}
		ns[2][round] = per(began, n);
		began = ps_bench_cpu();
		for (uint64_t i = 0; i < n; i += N)
			rows(fields, data, len, &buf);
		ns[3][round] = per(began, (n + N - 1) / N * N);
	}
	if (buf.error || !bytes)
		return 1;
	ps_bench_series("json.own", "ns", ns[0], rounds);
	ps_bench_series("json.cjson", "ns", ns[1], rounds);
	ps_bench_series("json.rest", "ns", ns[2], rounds);
	ps_bench_series("json.rows", "ns", ns[3], rounds);
	return 0;
}
