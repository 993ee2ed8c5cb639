#include "common/base/error.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Copies as much as fits, cutting before a character of several bytes rather than through it. */
static void copy_utf8(char *to, size_t size, const char *from)
{
	size_t n = strlen(from);
	if (n >= size) {
		n = size - 1;
		while (n > 0 && ((uint8_t)from[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(to, from, n);
	to[n] = '\0';
}

int ps_error_set(struct ps_error *err, int ret, int status, const char *code, const char *field, const char *fmt, ...)
{
	if (!err)
		return ret;

	/* The arguments may point into err itself, when an error is told in more words on its way up. */
	char message[2 * sizeof(err->message)];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);

	struct ps_error e = {.status = status};
	copy_utf8(e.code, sizeof(e.code), code ? code : "");
	copy_utf8(e.field, sizeof(e.field), field ? field : "");
	copy_utf8(e.message, sizeof(e.message), message);
	*err = e;
	return ret;
}

void ps_error_clear(struct ps_error *err)
{
	*err = (struct ps_error){0};
}
