/*
 * The state directory: the rules and the record of their changes.
 *
 *	rules.json            {"version": 1, "rules": [ … ]}, replaced by write, fsync, rename, fsync of the directory
 *	rules.json.last-good  the same content, a file of its own: read when rules.json is broken or gone
 *	rules.json.bad-TIME   a rules.json that could not be read, kept for the operator
 *	audit.jsonl           one line a change: {"time", "who", "op", "before", "after"}
 *
 * Nothing is opened between calls, so that a directory that comes, goes or fills up is noticed at each change.
 */
#ifndef PS_AGG_RULE_FILE_H
#define PS_AGG_RULE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/model/rule.h"
#include "common/model/value.h"

/* A change, for the audit. before or after is NULL when the rule did not or does not exist. */
struct ps_rule_change {
	const char *op;  /* "rules.create" … */
	const char *who; /* the peer as the requester named it */
	uint64_t time;   /* wall clock, ns */
	const struct ps_rule *before, *after;
};

/*
 * Reads the rules, ordered by id; neither file is an empty list. A broken file is put aside (`time`, wall clock, names
 * it) and the last good copy is read in its place; what happened is appended to `warnings` (a list). Fails only with
 * -ENOMEM.
 */
int ps_rule_file_load(const char *dir, uint64_t time, struct ps_value *warnings, struct ps_rules *ret_rules);

/*
 * Writes the rules and the audit line. On failure nothing has changed: -errno, and err says 507 ("disk_full") or 500
 * ("disk"). A last-good copy that could not be written is no failure; it is told in `warnings` (may be NULL).
 */
int ps_rule_file_save(const char *dir, const struct ps_rule *rules, size_t n, const struct ps_rule_change *change,
	struct ps_value *warnings, struct ps_error *err);

#endif
