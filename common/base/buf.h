/*
 * A growing byte buffer with a sticky error: writers need not check each call, only ps_buf_error at the end.
 * After the first failure (no memory, or over the limit) further writes do nothing.
 */
#ifndef PS_BUF_H
#define PS_BUF_H

#include <stddef.h>
#include <stdint.h>

struct ps_buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	size_t limit; /* 0 = none: never grows beyond this many bytes (-E2BIG) */
	int error;    /* 0, -ENOMEM, -E2BIG */
};

#define PS_BUF_INIT \
	{ \
		0 \
	}

void ps_buf_free(struct ps_buf *b);  /* leaves it empty and usable; fits _cleanup_ */
void ps_buf_reset(struct ps_buf *b); /* len and error to 0, keeps the memory */

/* Room for n more bytes: the place to write them, or NULL (sticky). Does not change len. */
uint8_t *ps_buf_reserve(struct ps_buf *b, size_t n);

void ps_buf_add(struct ps_buf *b, const void *p, size_t n);
void ps_buf_adds(struct ps_buf *b, const char *s);
void ps_buf_addc(struct ps_buf *b, char c);
void ps_buf_addf(struct ps_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* NUL-terminated view (the NUL is not counted in len), or NULL on a sticky error. */
const char *ps_buf_str(struct ps_buf *b);

#endif
