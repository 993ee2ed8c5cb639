/*
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef PS_UTF8_H
#define PS_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character at s (1 to 4), or 0 if the first of these len bytes begin none. */
size_t ps_utf8_char(const char *s, size_t len);

bool ps_utf8_valid(const char *s, size_t len);

/* The longest beginning of s, at most `max` bytes, that does not cut a character in two. s is valid. */
size_t ps_utf8_cut(const char *s, size_t len, size_t max);

#endif
