/* msgpack: every form of the specification, refusal of everything hostile, agreement with msgpack-c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/codec/msgpack.h"
#include "common/codec/wire.h"
#include "common/limits.h"

#define _value_ _cleanup_(ps_value_free) struct ps_value *
#define _buf_ _cleanup_(ps_buf_free) struct ps_buf

/* Reads bytes that end where their memory ends, so that the sanitizer sees any step beyond. */
static int parse(const void *data, size_t len, struct ps_value **ret_value)
{
	_cleanup_free_ uint8_t *exact = malloc(len ? len : 1);
	size_t used = 77;
	int ret, measured;

	assert_non_null(exact);
	memcpy(exact, data, len);
	measured = ps_msgpack_measure(exact, len, &used);
	ret = ps_msgpack_parse(exact, len, ret_value);
	if (measured) {
		assert_int_equal(measured, -EBADMSG);
		assert_int_equal(ret, -EBADMSG);
		assert_int_equal(used, 77);
	}
	return ret;
}

#define BYTES(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

static void every_form_of_a_number(void **state)
{
	static const struct {
		uint8_t bytes[9];
		size_t len;
		int64_t want;
	} rows[] = {
		{{0x00}, 1, 0},
		{{0x7f}, 1, 127},
		{{0xff}, 1, -1},
		{{0xe0}, 1, -32},
		{{0xcc, 0xff}, 2, 255},
		{{0xcc, 0x01}, 2, 1}, /* wider than need be is allowed */
		{{0xcd, 0x01, 0x02}, 3, 0x0102},
		{{0xce, 0xff, 0, 0, 1}, 5, 0xff000001},
		{{0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 9, INT64_MAX},
		{{0xd0, 0x80}, 2, -128},
		{{0xd0, 0x05}, 2, 5},
		{{0xd1, 0x80, 0x00}, 3, -32768},
		{{0xd2, 0x80, 0, 0, 0}, 5, INT32_MIN},
		{{0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0}, 9, INT64_MIN},
		{{0xd3, 0, 0, 0, 0, 0, 0, 0, 9}, 9, 9},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		_value_ v = NULL;

		assert_int_equal(parse(rows[i].bytes, rows[i].len, &v), 0);
		assert_int_equal(ps_value_kind(v), PS_VALUE_INT);
		assert_true(ps_value_as_int(v, 12345) == rows[i].want);
		for (size_t cut = 0; cut < rows[i].len; cut++) {
			struct ps_value *none = NULL;

			assert_int_equal(parse(rows[i].bytes, cut, &none), -EBADMSG);
		}
	}
}

static void leaves(void **state)
{
	_value_ most = NULL;
	_value_ f32 = NULL;
	_value_ f64 = NULL;
	_value_ nan_value = NULL;
	_value_ bin = NULL;
	_value_ str8 = NULL;
	_value_ yes = NULL;
	_value_ nil = NULL;

	(void)state;
	assert_int_equal(parse(BYTES(0xcf, 255, 255, 255, 255, 255, 255, 255, 255), &most), 0);
	assert_true(ps_value_as_uint(most, 0) == UINT64_MAX);
	assert_int_equal(parse(BYTES(0xca, 0x3f, 0xc0, 0, 0), &f32), 0);
	assert_true(ps_value_as_real(f32, 0) == 1.5);
	assert_int_equal(parse(BYTES(0xcb, 0xbf, 0xf8, 0, 0, 0, 0, 0, 0), &f64), 0);
	assert_true(ps_value_as_real(f64, 0) == -1.5);
	assert_int_equal(parse(BYTES(0xca, 0x7f, 0xc0, 0, 0), &nan_value), 0);
	assert_int_equal(ps_value_kind(nan_value), PS_VALUE_NULL);
	assert_int_equal(parse(BYTES(0xc4, 2, 0xff, 0x00), &bin), 0);
	assert_int_equal(ps_value_string_len(bin), 2);
	assert_memory_equal(ps_value_as_string(bin, ""), "\xff\0", 3);
	assert_int_equal(parse(BYTES(0xd9, 1, 'x'), &str8), 0);
	assert_string_equal(ps_value_as_string(str8, ""), "x");
	assert_int_equal(parse(BYTES(0xc3), &yes), 0);
	assert_true(ps_value_as_bool(yes, false));
	assert_int_equal(parse(BYTES(0xc0), &nil), 0);
	assert_int_equal(ps_value_kind(nil), PS_VALUE_NULL);
}

static void hostile(void **state)
{
	static const struct {
		uint8_t bytes[16];
		size_t len;
	} rows[] = {
		{{0}, 0}, {{0xc1}, 1},                                           /* reserved */
		{{0xdd, 0xff, 0xff, 0xff, 0xff}, 5},                             /* an array of four thousand million */
		{{0xdf, 0xff, 0xff, 0xff, 0xff}, 5}, {{0xdf, 0x80, 0, 0, 0}, 5}, /* twice the pairs overflows 32 bits */
		{{0xdb, 0xff, 0xff, 0xff, 0xff}, 5}, {{0xc6, 0xff, 0xff, 0xff, 0xff}, 5},
		{{0xc9, 0xff, 0xff, 0xff, 0xff, 1}, 6}, {{0xdc, 0x00, 0x03, 0x01, 0x02}, 5},    /* one short */
		{{0x92, 0x01}, 2}, {{0x81, 0xa1, 'a'}, 3}, {{0xa2, 'x'}, 2}, {{0x01, 0x01}, 2}, /* something behind */
		{{0xd4, 0x01, 0x02}, 3},                                                        /* ext */
		{{0xd8, 0x01, 0, 0, 0, 0, 0, 0, 0, 0}, 10}, {{0xc7, 0x01, 0x05, 0x00}, 4},
		{{0xd6, 0xff, 0, 0, 0, 0}, 6},                                          /* a timestamp is an ext too */
		{{0x81, 0x01, 0x01}, 3},                                                /* a key that is a number */
		{{0x81, 0xc4, 0x01, 'a', 0x01}, 5},                                     /* or bytes */
		{{0x81, 0x90, 0x01}, 3}, {{0x82, 0xa1, 'a', 0x01, 0xa1, 'a', 0x02}, 7}, /* twice */
		{{0x81, 0xa2, 'a', 0, 0x01}, 5},                                        /* NUL in a key */
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_value *v = NULL;

		if (parse(rows[i].bytes, rows[i].len, &v) != -EBADMSG)
			fail_msg("row %zu was taken", i);
		assert_null(v);
	}
}

/* The head itself is refused, before anybody counts on it: also where twice the pairs would not fit 32 bits. */
static void counts_are_checked_at_the_head(void **state)
{
	static const uint8_t heads[][5] = {{0xdf, 0x80, 0, 0, 0}, {0xdf, 0, 0, 0, 1}, {0xdd, 0, 0, 0, 1},
		{0xdb, 0, 0, 0, 1}, {0xde, 0, 2, 0xc0, 0xc0}, {0xdc, 0, 3, 0xc0, 0xc0}};
	struct ps_wire_item item;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(heads); i++) {
		struct ps_wire w = {heads[i], heads[i] + sizeof(heads[i])};

		assert_false(ps_wire_next(&w, &item));
	}
}

static void depth_is_bounded(void **state)
{
	uint8_t deep[PS_VALUE_DEPTH_MAX + 2];
	_value_ v = NULL;
	struct ps_value *none = NULL;

	(void)state;
	memset(deep, 0x91, sizeof(deep));
	deep[PS_VALUE_DEPTH_MAX] = 0x01;
	assert_int_equal(parse(deep, PS_VALUE_DEPTH_MAX + 1, &v), 0);
	deep[PS_VALUE_DEPTH_MAX] = 0x91;
	deep[PS_VALUE_DEPTH_MAX + 1] = 0x01;
	assert_int_equal(parse(deep, PS_VALUE_DEPTH_MAX + 2, &none), -EBADMSG);
	deep[PS_VALUE_DEPTH_MAX] = 0x90; /* an empty one counts as well */
	assert_int_equal(parse(deep, PS_VALUE_DEPTH_MAX + 1, &none), -EBADMSG);
	assert_null(none);
}

static void nodes_and_keys_are_bounded(void **state)
{
	const uint32_t n = PS_VALUE_NODES_MAX;
	_cleanup_free_ uint8_t *many = calloc(1, n + 5);
	_buf_ map = PS_BUF_INIT;
	_value_ v = NULL;
	struct ps_value *none = NULL;
	size_t used;

	(void)state;
	assert_non_null(many);
	many[0] = 0xdd;
	for (int i = 0; i < 4; i++)
		many[1 + i] = (uint8_t)((n - 1) >> (24 - 8 * i));
	assert_int_equal(ps_msgpack_measure(many, n + 4, &used), 0);
	assert_int_equal(used, n + 4);
	many[4]++;
	assert_int_equal(ps_msgpack_measure(many, n + 5, &used), -EBADMSG);

	ps_buf_add(&map, BYTES(0xde, PS_VALUE_KEYS_MAX >> 8, PS_VALUE_KEYS_MAX & 255));
	for (int i = 0; i <= PS_VALUE_KEYS_MAX; i++) {
		ps_buf_add(&map, BYTES(0xa4));
		ps_buf_addf(&map, "%04d", i);
		ps_buf_add(&map, BYTES(0xc0));
	}
	assert_int_equal(ps_msgpack_parse(map.data, map.len - 6, &v), 0);
	assert_int_equal(ps_value_count(v), PS_VALUE_KEYS_MAX);
	map.data[2]++;
	assert_int_equal(ps_msgpack_parse(map.data, map.len, &none), -EBADMSG);
	assert_null(none);
}

static void measures_the_first_of_several(void **state)
{
	const uint8_t two[] = {0x92, 0x01, 0x81, 0xa1, 'k', 0x90, 0xc0, 0xc1};
	size_t used = 0;

	(void)state;
	assert_int_equal(ps_msgpack_measure(two, sizeof(two), &used), 0);
	assert_int_equal(used, 6);
	assert_int_equal(ps_msgpack_measure(two + 6, 2, &used), 0);
	assert_int_equal(used, 1);
	/* ext may be passed over, though not read */
	assert_int_equal(ps_msgpack_measure(BYTES(0xc7, 0x02, 0x05, 1, 2), &used), 0);
	assert_int_equal(used, 5);
}

/* --- Agreement with msgpack-c ---------------------------------------------------------------- */

/* A tree of random values; depth bounds it. */
static struct ps_value *random_value(int depth)
{
	static const double reals[] = {0.5, -1e300, 1.0 / 3, 5e-324};
	_value_ v = NULL;
	char text[300];
	size_t n;

	switch (random() % (depth ? 8 : 6)) {
	case 0:
		return ps_value_null();
	case 1:
		return ps_value_bool(random() % 2);
	case 2:
		return ps_value_int((int64_t)(((uint64_t)random() << 33 ^ (uint64_t)random()) >> random() % 63) *
				    (random() % 2 ? 1 : -1));
	case 3:
		return ps_value_uint(UINT64_MAX - (uint64_t)random());
	case 4:
		return ps_value_real(reals[random() % 4]);
	case 5:
		n = (size_t)random() % (random() % 4 ? 40 : sizeof(text));
		memset(text, 'a' + (int)(random() % 26), n);
		return ps_value_string_n(text, n);
	case 6:
		v = ps_value_list();
		n = (size_t)random() % 20;
		for (size_t i = 0; i < n; i++)
			assert_int_equal(ps_value_append(v, random_value(depth - 1)), 0);
		return PS_TAKE(v);
	default:
		v = ps_value_map();
		n = (size_t)random() % 20;
		for (size_t i = 0; i < n; i++) {
			_buf_ key = PS_BUF_INIT;

			ps_buf_addf(&key, "k%zu%*s", i, (int)(random() % 40), "");
			assert_int_equal(ps_value_set(v, ps_buf_str(&key), random_value(depth - 1)), 0);
		}
		return PS_TAKE(v);
	}
}

/* The same tree as msgpack-c's unpacker sees it. */
static void assert_same(const struct ps_value *v, const msgpack_object *o)
{
	switch (ps_value_kind(v)) {
	case PS_VALUE_NULL:
		assert_int_equal(o->type, MSGPACK_OBJECT_NIL);
		break;
	case PS_VALUE_BOOL:
		assert_int_equal(o->type, MSGPACK_OBJECT_BOOLEAN);
		assert_int_equal(o->via.boolean, ps_value_as_bool(v, false));
		break;
	case PS_VALUE_INT:
		assert_true(o->type == MSGPACK_OBJECT_POSITIVE_INTEGER || o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER);
		assert_true(o->via.i64 == ps_value_as_int(v, 0));
		break;
	case PS_VALUE_UINT:
		assert_int_equal(o->type, MSGPACK_OBJECT_POSITIVE_INTEGER);
		assert_true(o->via.u64 == ps_value_as_uint(v, 0));
		break;
	case PS_VALUE_REAL:
		assert_true(o->type == MSGPACK_OBJECT_FLOAT64 && o->via.f64 == ps_value_as_real(v, 0));
		break;
	case PS_VALUE_STRING:
		assert_int_equal(o->type, MSGPACK_OBJECT_STR);
		assert_int_equal(o->via.str.size, ps_value_string_len(v));
		assert_memory_equal(o->via.str.ptr, ps_value_as_string(v, ""), o->via.str.size);
		break;
	case PS_VALUE_LIST:
		assert_int_equal(o->type, MSGPACK_OBJECT_ARRAY);
		assert_int_equal(o->via.array.size, ps_value_count(v));
		for (uint32_t i = 0; i < o->via.array.size; i++)
			assert_same(ps_value_at(v, i), &o->via.array.ptr[i]);
		break;
	case PS_VALUE_MAP:
		assert_int_equal(o->type, MSGPACK_OBJECT_MAP);
		assert_int_equal(o->via.map.size, ps_value_count(v));
		for (uint32_t i = 0; i < o->via.map.size; i++) {
			const msgpack_object_str *key = &o->via.map.ptr[i].key.via.str;

			assert_int_equal(o->via.map.ptr[i].key.type, MSGPACK_OBJECT_STR);
			assert_int_equal(key->size, strlen(ps_value_key_at(v, i)));
			assert_memory_equal(key->ptr, ps_value_key_at(v, i), key->size);
			assert_same(ps_value_at(v, i), &o->via.map.ptr[i].val);
		}
		break;
	}
}

static void trees_survive(void **state)
{
	(void)state;
	srandom(7);
	for (int i = 0; i < 400; i++) {
		_value_ v = random_value(3);
		_value_ back = NULL;
		_buf_ out = PS_BUF_INIT;
		msgpack_unpacked unpacked;
		size_t off = 0;

		assert_non_null(v);
		ps_msgpack_write(&out, v);
		assert_int_equal(out.error, 0);
		assert_int_equal(parse(out.data, out.len, &back), 0);
		assert_true(ps_value_equal(v, back));

		msgpack_unpacked_init(&unpacked);
		assert_int_equal(
			msgpack_unpack_next(&unpacked, (const char *)out.data, out.len, &off), MSGPACK_UNPACK_SUCCESS);
		assert_int_equal(off, out.len);
		assert_same(v, &unpacked.data);
		msgpack_unpacked_destroy(&unpacked);
	}
}

static void every_prefix_and_every_flipped_bit_is_survived(void **state)
{
	_value_ v = NULL;
	_buf_ out = PS_BUF_INIT;

	(void)state;
	srandom(3);
	v = random_value(3);
	while (ps_value_count(v) < 10) {
		ps_value_free(&v);
		v = random_value(3);
	}
	ps_msgpack_write(&out, v);
	for (size_t n = 0; n < out.len; n++) {
		struct ps_value *none = NULL;

		assert_int_equal(parse(out.data, n, &none), -EBADMSG);
	}
	for (size_t bit = 0; bit < 8 * out.len; bit++) {
		_value_ other = NULL;

		out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		(void)parse(out.data, out.len, &other);
		out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_a_number),
		cmocka_unit_test(leaves),
		cmocka_unit_test(hostile),
		cmocka_unit_test(counts_are_checked_at_the_head),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(nodes_and_keys_are_bounded),
		cmocka_unit_test(measures_the_first_of_several),
		cmocka_unit_test(trees_survive),
		cmocka_unit_test(every_prefix_and_every_flipped_bit_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
