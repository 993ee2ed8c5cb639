/* Pieces of large documents: where they begin and end, and what is no document. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/codec/json_scan.h"

/* The pieces with | between them; "!" at the end when it is broken there. */
static const char *pieces(const char *text, char open)
{
	static char out[256];
	struct ps_json_scan s;
	struct ps_error err = {0};
	const char *key = NULL, *piece;
	size_t key_len = 0, len, n = 0;
	int r = ps_json_scan_begin(text, strlen(text), open, &s, &err);

	while (r >= 0 && (r = ps_json_scan_next(&s, &key, &key_len, &piece, &len, &err)) > 0)
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%.*s%s%.*s|", (int)key_len, key ? key : "",
			key ? "=" : "", (int)len, piece);
	if (r < 0) {
		assert_int_equal(r, -EINVAL);
		assert_int_equal(err.status, 400);
		n += (size_t)snprintf(out + n, sizeof(out) - n, "!");
	}
	out[n] = '\0';
	return out;
}

static void arrays(void **state)
{
	(void)state;
	assert_string_equal(pieces("[]", '['), "");
	assert_string_equal(
		pieces(" [ 1 , {\"a\": [2, 3]}, \"],\\\"[\", [ ] ]\n", '['), "1 |{\"a\": [2, 3]}|\"],\\\"[\"|[ ] |");
	assert_string_equal(pieces("[1,]", '['), "1|!");
	assert_string_equal(pieces("[1 2]", '['), "1 2|"); /* what a piece holds is the parser's to check */
	assert_string_equal(pieces("[,]", '['), "!");
	assert_string_equal(pieces("[1", '['), "1|!");
	assert_string_equal(pieces("[1] x", '['), "1|!");
	assert_string_equal(pieces("{}", '['), "!");
	assert_string_equal(pieces("[\"abc", '['), "!");
	assert_string_equal(pieces("[\"abc\\", '['), "!");
	assert_string_equal(pieces("[{]", '['), "{]|!"); /* brackets are counted, not matched */
	assert_string_equal(pieces("", '['), "!");
}

static void objects(void **state)
{
	(void)state;
	assert_string_equal(pieces("{\"a\": 1, \"b\" : [2]}", '{'), "a=1|b=[2]|");
	assert_string_equal(pieces("{\"a\" 1}", '{'), "!");
	assert_string_equal(pieces("{a: 1}", '{'), "!");
	assert_string_equal(pieces("{\"a\":}", '{'), "!");
}

/* However much of a document is there, it is read to its end and no further. */
static void cut_off_anywhere(void **state)
{
	static const char text[] = "[{\"a\": \"x\\\"y\"}, [1, 2], \"z\", {}]";

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		char part[sizeof(text)];

		memcpy(part, text, n);
		part[n] = '\0';
		assert_non_null(strchr(pieces(part, '['), '!'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arrays),
		cmocka_unit_test(objects),
		cmocka_unit_test(cut_off_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
