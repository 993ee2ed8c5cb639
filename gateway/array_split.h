/*
 * A JSON array that comes in pieces, as they come from the network: whole elements are given out before the rest is
 * there, so that memory does not follow its length. What an element holds is its reader's to check; here only what
 * stands between (RFC 8259). Pure.
 */
#ifndef PS_ARRAY_SPLIT_H
#define PS_ARRAY_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/error.h"

struct ps_array_split {
	int state;
	unsigned depth; /* of brackets inside the element */
	bool text, escaped;
	size_t elements; /* that are whole, of all */
	/* "[" and elements; the first `whole` bytes are whole elements, `n` of them. */
	struct ps_buf out;
	size_t whole, n;
};

void ps_array_split_init(struct ps_array_split *s);
void ps_array_split_free(struct ps_array_split *s); /* fits _cleanup_ */

/*
 * Takes the next bytes; element_max: bytes of one element. -EINVAL fills err (400, "bad_json"), -E2BIG (413,
 * "too_large": an element longer than element_max), -ENOMEM.
 */
int ps_array_split_feed(
	struct ps_array_split *s, const char *data, size_t len, size_t element_max, struct ps_error *err);
/* Was that all of it? -EINVAL fills err. */
int ps_array_split_end(const struct ps_array_split *s, struct ps_error *err);
/* Takes the whole elements out as an array of their own: appended to `ret_text`, "[]" when there are none. -ENOMEM. */
int ps_array_split_take(struct ps_array_split *s, struct ps_buf *ret_text);

#endif
