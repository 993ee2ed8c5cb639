/*
 * The state directory: the rules and the record of their changes.
 *
 *	rules.json            the set, one rule a line (rule_text.h), replaced by write, fsync, rename, fsync of the
 *	                      directory
 *	rules.log             changes since then, one line each, appended and fsynced: of a large set one rule costs
 *	                      a line, not the whole file. A set of up to PS_RULES_SMALL rules is written as a whole
 *	                      and needs none
 *	rules.json.last-good  the same content as rules.json, a file of its own: read when that is broken or gone
 *	pending.json          a change that waits for its confirmation (only while one does)
 *	NAME.bad-TIME         what could not be read, kept for the operator
 *	sets/rules-SEQ.json   sets after a change of many rules, the last PS_AUDIT_SETS of them
 *	audit.jsonl           see audit.h
 *
 * The set is rules.json plus the lines of the log with a higher seq. A kill at any moment leaves the old or the new
 * set: a log line counts when it is whole. A rules.json without a seq was put there by hand and stands for itself: the
 * log is put aside.
 *
 * Nothing is opened between calls, so that a directory that comes, goes or fills up is noticed at each change.
 */
#ifndef PS_AGG_RULE_FILE_H
#define PS_AGG_RULE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/audit.h"
#include "aggregator/rule_array.h"
#include "aggregator/rule_text.h"
#include "common/base/error.h"
#include "common/model/value.h"

struct ps_rule_file;

/*
 * Reads the set; no file is an empty one. A broken file is put aside (`time`, wall clock ns, names it) and the last
 * good copy is read in its place; what happened is appended to `warnings` (a list). boot: id of this boot.
 * *ret_rebooted: the set was written in another one. Fails with -ENOMEM, and with -EPROTO (500, "newer_file") for a
 * directory that a newer version has written: nothing in it is touched.
 */
int ps_rule_file_open(const char *dir, const char *boot, uint64_t time, struct ps_value *warnings,
	struct ps_rule_array *ret_rules, bool *ret_rebooted, struct ps_rule_file **ret_file, struct ps_error *err);
void ps_rule_file_free(struct ps_rule_file **file);

/* Number of the set that is on the disk. */
uint32_t ps_rule_file_seq(const struct ps_rule_file *f);

/*
 * Writes the set number seq + 1, and the audit line (its `seq` is set here). delta: how it differs from the one before;
 * NULL = in many ways. On failure nothing has changed: -errno, and err says 507 ("disk_full") or 500 ("disk"). A
 * last-good copy that could not be written is no failure; it is told in `warnings` (may be NULL).
 */
int ps_rule_file_save(struct ps_rule_file *f, const struct ps_rule_array *rules, const struct ps_rule_delta *delta,
	struct ps_audit_line *line, struct ps_value *warnings, struct ps_error *err);

/* Has the log grown enough to be folded into rules.json? And do so; a failure leaves everything as it was. */
bool ps_rule_file_heavy(const struct ps_rule_file *f);
int ps_rule_file_fold(struct ps_rule_file *f, const struct ps_rule_array *rules, struct ps_value *warnings);

/*
 * A change that is not for good yet: kept beside the set, which stays as it is on the disk. head: what rule_text.h says
 * of pending.json; its seq and boot are set here. Written, read (-ENOENT: none that goes with this set and this boot; a
 * broken one is put aside), taken away.
 */
int ps_rule_file_save_pending(struct ps_rule_file *f, struct ps_set_head *head, const struct ps_rule *rules, size_t n,
	struct ps_audit_line *line, struct ps_error *err);
int ps_rule_file_read_pending(struct ps_rule_file *f, uint64_t time, struct ps_value *warnings,
	struct ps_set_head *ret_head, struct ps_rule_array *ret_rules);
void ps_rule_file_drop_pending(struct ps_rule_file *f);

/* An audit line of something that changes no rule now. -errno. */
int ps_rule_file_note(struct ps_rule_file *f, const struct ps_audit_line *line, struct ps_error *err);

/* The directory, opened, made if it is not there: -errno, err filled (what: for the message). */
int ps_state_dir_open(const char *dir, struct ps_error *err);
/* 507 when the disk is full, else 500; returns -error. */
int ps_state_dir_error(struct ps_error *err, int error, const char *what);

#endif
