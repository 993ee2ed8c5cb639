/*
 * The API tokens: a file made on first start, readable only by its owner. One token a line; behind it, after a blank,
 * what it allows: "read" (look at everything) or "admin" (change it too), which is what a token alone allows. Empty
 * lines and lines that begin with # are comments.
 */
#ifndef PS_TOKEN_H
#define PS_TOKEN_H

#include <stddef.h>

#include "common/base/error.h"

#define PS_TOKEN_BYTES 32 /* of randomness: 256 bits */
#define PS_TOKEN_TEXT (2 * PS_TOKEN_BYTES + 1)
#define PS_TOKEN_MIN 16 /* characters of a token that somebody wrote by hand */
#define PS_TOKEN_MAX 256
#define PS_TOKENS_MAX 32 /* lines: people and programs that have one of their own */

/* What a request needs, and what a token allows; more is higher. */
enum ps_scope {
	PS_SCOPE_OPEN, /* nothing: the page, which asks for the token */
	PS_SCOPE_READ,
	PS_SCOPE_ADMIN,
};

struct ps_token {
	char text[PS_TOKEN_MAX + 1];
	enum ps_scope scope;
};

struct ps_tokens {
	size_t n;
	struct ps_token token[PS_TOKENS_MAX];
};

/*
 * Reads the tokens from `path`, or makes a file with one (mode 0600, flushed to the disk before it counts) when there
 * is none; the directory is made (0750) when only it is missing. Returns 1 when it was made, 0 when it was read; -errno
 * fills err: not readable or writable, no token in it, one that is too short, or readable by others (chmod 600 is the
 * remedy).
 */
int ps_token_load(const char *path, struct ps_tokens *ret_tokens, struct ps_error *err);

/* What `given` allows; PS_SCOPE_OPEN if it is none of them. Takes as long for a wrong one as for a right one. */
enum ps_scope ps_token_scope(const struct ps_tokens *tokens, const char *given);

#endif
