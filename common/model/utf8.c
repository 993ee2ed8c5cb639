/* See utf8.h. */
#include "common/model/utf8.h"

#include <stdint.h>

static bool tail(const uint8_t *s, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return false;
	return true;
}

size_t ps_utf8_char(const char *s, size_t len)
{
	const uint8_t *b = (const uint8_t *)s;

	if (!len)
		return 0;
	if (b[0] < 0x80)
		return 1;
	if (b[0] >= 0xc2 && b[0] <= 0xdf)
		return len >= 2 && tail(b, 2) ? 2 : 0;
	if (b[0] >= 0xe0 && b[0] <= 0xef) {
		if (len < 3 || !tail(b, 3))
			return 0;
		if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f))
			return 0;
		return 3;
	}
	if (b[0] >= 0xf0 && b[0] <= 0xf4) {
		if (len < 4 || !tail(b, 4))
			return 0;
		if ((b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

bool ps_utf8_valid(const char *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = ps_utf8_char(s + i, len - i);

		if (!n)
			return false;
		i += n;
	}
	return true;
}

size_t ps_utf8_cut(const char *s, size_t len, size_t max)
{
	if (len <= max)
		return len;
	while (max && ((uint8_t)s[max] & 0xc0) == 0x80)
		max--;
	return max;
}
