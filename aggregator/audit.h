/*
 * audit.jsonl: who changed what and when, one line a change.
 *
 *	{"time", "who", "op", "seq", "before", "after", …}
 *
 * before and after are the rule, or null. Of a change of many rules they are {"rules": n}, after with "sha256" and
 * "file": the set as it was written, which is kept under that name in the state directory until PS_AUDIT_SETS newer
 * ones are there.
 */
#ifndef PS_AGG_AUDIT_H
#define PS_AGG_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/model/rule.h"
#include "common/model/value.h"

struct ps_audit_line {
	const char *op;                       /* "rules.create" … */
	const char *who;                      /* the peer as the requester named it */
	uint64_t time;                        /* wall clock, ns */
	uint32_t seq;                         /* of the set after it; 0 = the set is as it was */
	const struct ps_rule *before, *after; /* NULL: was not, is not */
	bool bulk;
	size_t n_before, n_after;    /* bulk: rules of the sets */
	const struct ps_value *more; /* map of further members; NULL = none */
};

/* One line. sha256 and file only of a bulk change; may be NULL. -ENOMEM. */
int ps_audit_text(const struct ps_audit_line *line, const char *sha256, const char *file, struct ps_buf *out);

/*
 * Appends a line to the file in the directory, and to the disk. On failure nothing of it stays: -errno. *ret_before:
 * what ps_audit_take_back needs.
 */
int ps_audit_append(int dir, const struct ps_buf *line, off_t *ret_before);
/* The line is of a change that did not happen. */
void ps_audit_take_back(int dir, off_t before);

#endif
