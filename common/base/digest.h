/* SHA-256 (FIPS 180-4), as people compare it: 64 hex digits. */
#ifndef PS_DIGEST_H
#define PS_DIGEST_H

#include <stddef.h>

#define PS_SHA256_TEXT 65
/* Returns buf. */
char *ps_sha256(const void *data, size_t len, char buf[static PS_SHA256_TEXT]);

#endif
