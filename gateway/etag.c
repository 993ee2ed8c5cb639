#include "gateway/etag.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

char *ps_etag_format(uint64_t generation, char buf[static PS_ETAG_TEXT])
{
	(void)snprintf(buf, PS_ETAG_TEXT, "\"%" PRIu64 "\"", generation);
	return buf;
}

int ps_etag_match(const char *header, uint64_t *ret_generation)
{
	size_t from = strspn(header, " \t"), digits;
	const char *p = header + from;
	uint64_t n = 0;

	if (*p == '*')
		return p[1 + strspn(p + 1, " \t")] ? -EINVAL : 1;
	if (*p++ != '"')
		return -EINVAL;
	digits = strspn(p, "0123456789");
	if (!digits || digits > 18 || p[digits] != '"' || p[digits + 1 + strspn(p + digits + 1, " \t")])
		return -EINVAL;
	for (size_t i = 0; i < digits; i++)
		n = n * 10 + (uint64_t)(p[i] - '0');
	*ret_generation = n;
	return 0;
}
