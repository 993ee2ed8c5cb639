/*
 * Answers for those who take gzip (RFC 9110, 12.5.3; RFC 1952). The only file that includes zlib.
 */
#ifndef PS_GZIP_H
#define PS_GZIP_H

#include <stdbool.h>

#include "gateway/http.h"

/* Does an Accept-Encoding header (may be NULL) take gzip? "gzip;q=0" does not, "*" does. */
bool ps_gzip_accepted(const char *accept_encoding);

/*
 * Packs the response if it is worth it: text of PS_GZIP_MIN bytes or more, or a stream that ends. What is large is
 * packed while it is sent. Sets Content-Encoding and, packed or not, Vary. Without memory it stays as it is.
 */
void ps_gzip_response(struct ps_http_response *resp, const char *accept_encoding);

#endif
