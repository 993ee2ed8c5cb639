#include "gateway/gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "common/base/cleanup.h"
#include "gateway/limits.h"

#define LEVEL 1               /* a fifth of the bytes in a third of the time that the default takes */
#define GZIP_WINDOW (15 + 16) /* zlib's way to ask for gzip's frame */

struct packer {
	z_stream z;
	struct ps_stream inner; /* read NULL: `body` is all */
	struct ps_buf body;
	const void *fixed;
	bool ended; /* there is no more input */
	bool done;  /* the trailer is out */
	unsigned char piece[PS_HTTP_PIECE];
};

static bool is_word(const char *p, size_t n, const char *word)
{
	return n == strlen(word) && !strncasecmp(p, word, n);
}

/* "gzip;q=0.0" */
static bool refused(const char *item, size_t len)
{
	const char *q = memmem(item, len, "q=", 2);

	return q && strspn(q + 2, "0.") == (size_t)(item + len - q - 2);
}

bool ps_gzip_accepted(const char *accept_encoding)
{
	bool any = false;

	for (const char *p = accept_encoding ? accept_encoding : ""; *p;) {
		size_t len, name;

		p += strspn(p, ", \t");
		len = strcspn(p, ",");
		while (len && (p[len - 1] == ' ' || p[len - 1] == '\t'))
			len--;
		name = PS_MIN(strcspn(p, "; \t,"), len);
		if (is_word(p, name, "gzip") || is_word(p, name, "x-gzip"))
			return !refused(p, len);
		any |= is_word(p, name, "*") && !refused(p, len);
		p += len + strspn(p + len, " \t");
	}
	return any;
}

static bool is_text(const char *type)
{
	static const char *const starts[] = {"text/", "application/json", "application/x-ndjson", "application/problem",
		"image/svg", "application/javascript"};

	for (size_t i = 0; type && i < PS_ARRAY_SIZE(starts); i++) {
		if (!strncmp(type, starts[i], strlen(starts[i])))
			return true;
	}
	return false;
}

static void packer_close(void *arg)
{
	struct packer *g = arg;

	(void)deflateEnd(&g->z);
	if (g->inner.close)
		g->inner.close(g->inner.arg);
	ps_buf_free(&g->body);
	free(g);
}

/* More input. 1; 0: there is none yet; -errno. */
static int feed(struct packer *g)
{
	ssize_t n;

	if (!g->inner.read) {
		g->ended = true; /* the body was given whole */
		return 1;
	}
	n = g->inner.read(g->inner.arg, (char *)g->piece, sizeof(g->piece));
	if (n == PS_STREAM_END)
		g->ended = true;
	else if (n <= 0)
		return (int)n;
	g->z.next_in = g->piece;
	g->z.avail_in = n > 0 ? (uInt)n : 0;
	return 1;
}

static ssize_t packer_read(void *arg, char *buf, size_t max)
{
	struct packer *g = arg;

	if (g->done)
		return PS_STREAM_END;
	g->z.next_out = (unsigned char *)buf;
	g->z.avail_out = (uInt)max;
	while (g->z.avail_out && !g->done) {
		int r = g->z.avail_in || g->ended ? 1 : feed(g);

		if (r < 0)
			return r;
		if (r == 0)
			break;
		r = deflate(&g->z, g->ended ? Z_FINISH : Z_NO_FLUSH);
		if (r == Z_STREAM_END)
			g->done = true;
		else if (r != Z_OK && r != Z_BUF_ERROR)
			return -EIO;
	}
	return (ssize_t)(max - g->z.avail_out);
}

/* The whole answer at once, into a body. */
static int pack_now(struct packer *g, struct ps_buf *out, size_t len)
{
	size_t room = deflateBound(&g->z, len);
	ssize_t n;

	if (!ps_buf_reserve(out, room))
		return out->error;
	n = packer_read(g, (char *)out->data, room);
	if (n < 0 || !g->done)
		return -EIO;
	out->len = (size_t)n;
	return 0;
}

static struct packer *packer_new(struct ps_http_response *resp, size_t len)
{
	struct packer *g = calloc(1, sizeof(*g));

	if (!g || deflateInit2(&g->z, LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(g);
		return NULL;
	}
	if (resp->stream.read) {
		g->inner = resp->stream;
	} else {
		g->z.next_in = resp->fixed ? (unsigned char *)(uintptr_t)resp->fixed : resp->body.data;
		g->z.avail_in = (uInt)len;
		g->ended = true;
	}
	return g;
}

void ps_gzip_response(struct ps_http_response *resp, const char *accept_encoding)
{
	size_t len = resp->fixed ? resp->fixed_len : resp->body.len;
	struct ps_buf packed = PS_BUF_INIT;
	struct packer *g;

	if (resp->error || resp->body.error || resp->stream.endless ||
		!is_text(ps_http_response_get(resp, "Content-Type")) || (!resp->stream.read && len < PS_GZIP_MIN))
		return;
	ps_http_response_header(resp, "Vary", "Accept-Encoding");
	if (!ps_gzip_accepted(accept_encoding))
		return;
	g = packer_new(resp, len);
	if (!g)
		return;
	if (!resp->stream.read && len <= PS_GZIP_AT_ONCE) {
		int r = pack_now(g, &packed, len);

		packer_close(g);
		if (r < 0) {
			ps_buf_free(&packed);
			return;
		}
		ps_buf_free(&resp->body);
		resp->body = packed;
		resp->fixed = NULL;
		resp->fixed_len = 0;
	} else {
		g->body = resp->body;
		resp->body = (struct ps_buf){0};
		resp->fixed = NULL;
		resp->stream = (struct ps_stream){.read = packer_read, .close = packer_close, .arg = g};
	}
	ps_http_response_header(resp, "Content-Encoding", "gzip");
}
