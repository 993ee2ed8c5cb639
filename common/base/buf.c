#include "common/base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST 256 /* bytes of the first allocation: a short line or a small map */

void ps_buf_free(struct ps_buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
	b->error = 0;
}

void ps_buf_reset(struct ps_buf *b)
{
	b->len = 0;
	b->error = 0;
}

/* Capacity for n bytes behind len, whatever the limit says (a terminating NUL is not content). */
static int grow(struct ps_buf *b, size_t n)
{
	if (b->cap - b->len >= n)
		return 0;
	if (n > SIZE_MAX / 2 - b->len)
		return b->error = -ENOMEM;

	size_t need = b->len + n;
	size_t cap = b->cap ? b->cap : BUF_FIRST;
	while (cap < need)
		cap *= 2;
	uint8_t *data = realloc(b->data, cap);
	if (!data)
		return b->error = -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

uint8_t *ps_buf_reserve(struct ps_buf *b, size_t n)
{
	if (b->error)
		return NULL;
	if (b->limit && (b->len > b->limit || n > b->limit - b->len)) {
		b->error = -E2BIG;
		return NULL;
	}
	/* Never NULL without an error, also for n == 0 on an empty buffer. */
	if (grow(b, n ? n : 1) < 0)
		return NULL;
	return b->data + b->len;
}

void ps_buf_add(struct ps_buf *b, const void *p, size_t n)
{
	uint8_t *to = ps_buf_reserve(b, n);
	if (!to || n == 0)
		return;
	memcpy(to, p, n);
	b->len += n;
}

void ps_buf_adds(struct ps_buf *b, const char *s)
{
	ps_buf_add(b, s, strlen(s));
}

void ps_buf_addc(struct ps_buf *b, char c)
{
	ps_buf_add(b, &c, 1);
}

void ps_buf_addf(struct ps_buf *b, const char *fmt, ...)
{
	if (b->error)
		return;

	va_list args, again;
	va_start(args, fmt);
	va_copy(again, args);
	size_t room = b->cap - b->len;
	int n = vsnprintf(room ? (char *)b->data + b->len : NULL, room, fmt, args);
	va_end(args);

	if (n < 0) {
		b->error = -EINVAL;
	} else if (ps_buf_reserve(b, (size_t)n)) {
		/* vsnprintf wants room for its NUL, which the limit does not count. */
		if ((size_t)n >= room && grow(b, (size_t)n + 1) == 0)
			(void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
		if (!b->error)
			b->len += (size_t)n;
	}
	va_end(again);
}

const char *ps_buf_str(struct ps_buf *b)
{
	if (b->error || grow(b, 1) < 0)
		return NULL;
	b->data[b->len] = '\0';
	return (const char *)b->data;
}
