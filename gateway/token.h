/*
 * The API token: a file of one line, made on first start, readable only by its owner.
 */
#ifndef PS_TOKEN_H
#define PS_TOKEN_H

#include "common/base/error.h"

#define PS_TOKEN_BYTES 32 /* of randomness: 256 bits */
#define PS_TOKEN_TEXT (2 * PS_TOKEN_BYTES + 1)
#define PS_TOKEN_MIN 16 /* characters of a token that somebody wrote by hand */
#define PS_TOKEN_MAX 256

/*
 * Reads the token from `path`, or makes one there (mode 0600, flushed to the disk before it counts) when there is no
 * such file; the directory is made (0750) when only it is missing. Returns 1 when it was made, 0 when it was read;
 * -errno fills err: not writable, too short, or readable by others (chmod 600 is the remedy). *ret_token is the
 * caller's.
 */
int ps_token_load(const char *path, char **ret_token, struct ps_error *err);

#endif
