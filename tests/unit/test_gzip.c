/* Who takes gzip, and that what is packed is the same again, at once and piece by piece. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "gateway/gzip.h"
#include "gateway/limits.h"

static void accepts(void **state)
{
	static const char *const yes[] = {
		"gzip", "br, gzip", "GZIP;q=0.5", "deflate,gzip;q=1.0, *;q=0", "*", "x-gzip", "gzip ,br"};
	static const char *const no[] = {
		"", "br", "gzip;q=0", "gzip;q=0.000, *", "identity", "*;q=0", "gzipped", ",,;"};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(yes); i++)
		assert_true(ps_gzip_accepted(yes[i]));
	for (size_t i = 0; i < PS_ARRAY_SIZE(no); i++)
		assert_false(ps_gzip_accepted(no[i]));
	assert_false(ps_gzip_accepted(NULL));
}

static void unpack(const void *data, size_t len, struct ps_buf *out)
{
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)data, .avail_in = (uInt)len};
	int r = Z_OK;

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	while (r == Z_OK) {
		z.next_out = ps_buf_reserve(out, 65536);
		z.avail_out = 65536;
		r = inflate(&z, Z_NO_FLUSH);
		out->len += 65536 - z.avail_out;
	}
	assert_int_equal(r, Z_STREAM_END);
	(void)inflateEnd(&z);
}

static void fill(struct ps_buf *b, size_t len)
{
	for (size_t i = 0; b->len < len; i++)
		ps_buf_addf(b, "{\"id\":\"%016zx\",\"packets\":%zu}\n", i * 2654435761u, i % 97);
	assert_int_equal(b->error, 0);
}

/* All that a stream gives, asked for in pieces of `max`. */
static void drain(struct ps_stream *s, size_t max, struct ps_buf *out)
{
	for (int empty = 0; empty < 1000;) {
		char piece[4096];
		ssize_t n = s->read(s->arg, piece, max);

		if (n == PS_STREAM_END)
			return;
		assert_true(n >= 0 && (size_t)n <= max);
		ps_buf_add(out, piece, (size_t)n);
		empty += n == 0;
	}
	fail_msg("the stream does not end");
}

static void bodies(void **state)
{
	static const size_t sizes[] = {PS_GZIP_MIN, PS_GZIP_AT_ONCE, PS_GZIP_AT_ONCE + 5000, 3000000};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
		_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT, packed = PS_BUF_INIT, back = PS_BUF_INIT;
		struct ps_http_response resp = {.status = 200};

		fill(&text, sizes[i]);
		ps_buf_add(&resp.body, text.data, text.len);
		ps_http_response_header(&resp, "Content-Type", "application/json");
		ps_gzip_response(&resp, "gzip");
		assert_string_equal(ps_http_response_get(&resp, "Content-Encoding"), "gzip");
		if (resp.stream.read)
			drain(&resp.stream, 1 + i * 1000, &packed);
		else
			ps_buf_add(&packed, resp.body.data, resp.body.len);
		assert_true(packed.len < text.len / 2);
		unpack(packed.data, packed.len, &back);
		assert_int_equal(back.len, text.len);
		assert_memory_equal(back.data, text.data, text.len);
		ps_http_response_free(&resp);
	}
}

/* A source that has nothing every other time. */
struct source {
	const struct ps_buf *text;
	size_t at;
	unsigned calls;
	bool closed;
	int error;
};

static ssize_t source_read(void *arg, char *buf, size_t max)
{
	struct source *s = arg;
	size_t n = PS_MIN(PS_MIN(max, (size_t)777), s->text->len - s->at);

	if (s->error && s->at > 5000)
		return s->error;
	if (++s->calls % 2)
		return 0;
	if (!n)
		return PS_STREAM_END;
	memcpy(buf, s->text->data + s->at, n);
	s->at += n;
	return (ssize_t)n;
}

static void source_close(void *arg)
{
	((struct source *)arg)->closed = true;
}

static void streams(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT, packed = PS_BUF_INIT, back = PS_BUF_INIT;
	struct source source = {.text = &text};
	struct ps_http_response resp = {.stream = {.read = source_read, .close = source_close, .arg = &source}};
	char piece[64];
	ssize_t n;

	(void)state;
	fill(&text, 200000);
	ps_http_response_header(&resp, "Content-Type", "text/csv");
	ps_gzip_response(&resp, "gzip");
	drain(&resp.stream, 100, &packed);
	unpack(packed.data, packed.len, &back);
	assert_int_equal(back.len, text.len);
	assert_memory_equal(back.data, text.data, text.len);
	ps_http_response_free(&resp);
	assert_true(source.closed);

	/* What goes wrong at the source is not covered up by a trailer. */
	source = (struct source){.text = &text, .error = -EIO};
	resp = (struct ps_http_response){.stream = {.read = source_read, .close = source_close, .arg = &source}};
	ps_http_response_header(&resp, "Content-Type", "text/csv");
	ps_gzip_response(&resp, "gzip");
	do
		n = resp.stream.read(resp.stream.arg, piece, sizeof(piece));
	while (n >= 0);
	assert_int_equal(n, -EIO);
	ps_http_response_free(&resp);
	assert_true(source.closed);
}

static void left_alone(void **state)
{
	static const struct {
		const char *type, *accept;
		size_t len;
		bool endless;
	} cases[] = {
		{"application/json", "br", 10000, false},
		{"application/json", NULL, 10000, false},
		{"application/json", "gzip", PS_GZIP_MIN - 100, false},
		{"image/png", "gzip", 10000, false},
		{"text/event-stream", "gzip", 0, true},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		struct source source = {0};
		struct ps_http_response resp = {.status = 200};

		for (size_t k = 0; k < cases[i].len; k++)
			ps_buf_addc(&resp.body, 'x');
		if (cases[i].endless)
			resp.stream = (struct ps_stream){
				.read = source_read, .close = source_close, .arg = &source, .endless = true};
		ps_http_response_header(&resp, "Content-Type", "%s", cases[i].type);
		ps_gzip_response(&resp, cases[i].accept);
		assert_null(ps_http_response_get(&resp, "Content-Encoding"));
		assert_int_equal(resp.body.len, cases[i].len);
		ps_http_response_free(&resp);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts),
		cmocka_unit_test(bodies),
		cmocka_unit_test(streams),
		cmocka_unit_test(left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
