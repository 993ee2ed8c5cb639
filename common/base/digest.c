/* With community_id.c the only file that includes nettle. */
#include "common/base/digest.h"

#include <nettle/sha2.h>
#include <nettle/version.h>
#include <stdint.h>
#include <stdio.h>

char *ps_sha256(const void *data, size_t len, char buf[static PS_SHA256_TEXT])
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, len, data);
#if NETTLE_VERSION_MAJOR >= 4
	sha256_digest(&ctx, digest);
#else
	sha256_digest(&ctx, sizeof(digest), digest);
#endif
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(buf + 2 * i, 3, "%02x", digest[i]);
	return buf;
}
