/*
 * Large JSON documents piece by piece: where the members of an object and the elements of an array begin and end,
 * without a tree of the whole. What a piece holds is ps_json_parse's to check; the scanner checks only what stands
 * between.
 */
#ifndef PS_JSON_SCAN_H
#define PS_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"

struct ps_json_scan {
	const char *text;
	size_t len;
	size_t at;  /* offset into text */
	char close; /* ']' or '}' */
	bool begun;
	size_t count; /* pieces given so far */
};

/* Of an array or an object, nothing but white space around it. The text must outlive the scan. -EINVAL fills err (400,
 * "bad_json"). */
int ps_json_scan_begin(const char *text, size_t len, char open, struct ps_json_scan *ret_scan, struct ps_error *err);

/*
 * The next piece, as a part of the text; key (objects only) is the part between the quotes, as it stands there. 1 =
 * there was one, 0 = the end and nothing but white space behind it, -EINVAL fills err.
 */
int ps_json_scan_next(struct ps_json_scan *s, const char **ret_key, size_t *ret_key_len, const char **ret_piece,
	size_t *ret_len, struct ps_error *err);

#endif
