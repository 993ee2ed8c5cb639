/*
 * Rules as text: rules.json, the lines of rules.log, and pending.json. Pure.
 *
 *	rules.json	{"version": 2, "seq": 41, "boot": "…", "rules": [
 *			{"id": 0, …},
 *			…
 *			]}
 *	a log line	{"seq": 42, "set": [{"id": 7, …}], "del": [3, 5]}
 *
 * A file of a newer version is not read, and never written over: who went back to an older program is told so.
 *
 * `seq` numbers the changes of the set; a file without it was written by hand (or by version 1). `boot` is the boot in
 * which it was written: a rule that waits for its confirmation is undone by a reboot. Rules stand as
 * ps_rule_to_stored gives them.
 */
#ifndef PS_AGG_RULE_TEXT_H
#define PS_AGG_RULE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/rule_array.h"
#include "common/base/buf.h"
#include "common/base/error.h"

/* What this program writes; it reads every one from 1 on. */
#define PS_RULES_FILE_VERSION 2

#define PS_BOOT_ID_SIZE 40

struct ps_set_head {
	uint32_t seq; /* 0 = not known */
	char boot[PS_BOOT_ID_SIZE];
	/* pending.json only */
	uint64_t deadline_boot, deadline_wall; /* ns */
	char op[32];
	char who[64];
	bool bulk;    /* the rules are the whole set; else "set" and "del" are what changes */
	int32_t id;   /* the rule that changes, -1 = none */
	bool pending; /* write, or was there, the part of pending.json */
};

/* A step from one set to the next, for the log. */
struct ps_rule_delta {
	const struct ps_rule *const *set; /* new or changed */
	size_t n_set;
	const int32_t *del;
	size_t n_del;
};

/* -ENOMEM is sticky in `out`. */
void ps_rule_text_write(struct ps_buf *out, const struct ps_set_head *head, const struct ps_rule *rules, size_t n);
void ps_rule_text_log(struct ps_buf *out, uint32_t seq, const struct ps_rule_delta *delta);

/* Reads a whole file. `out` must be empty; its rules are sorted. -EINVAL fills err, -ENOMEM; -EPROTO: a newer
 * version's.
 */
int ps_rule_text_read(
	const char *text, size_t len, struct ps_set_head *ret_head, struct ps_rule_array *out, struct ps_error *err);
/* Reads a line of the log and, if its seq follows *seq (a lower one was folded in: nothing to do), applies it. */
int ps_rule_text_replay(const char *line, size_t len, uint32_t *seq, struct ps_rule_array *rules, struct ps_error *err);

#endif
