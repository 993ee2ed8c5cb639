/*
 * The rules: the list that the operator sees, its file, and what the kernel enforces. The three agree whenever a call
 * returns: a change is compiled, written to disk, and put in force, in this order, and whatever fails leaves all three
 * as they were.
 */
#ifndef PS_AGG_RULE_STORE_H
#define PS_AGG_RULE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/kernel.h"
#include "common/base/error.h"
#include "common/model/rule.h"
#include "common/model/value.h"

struct ps_rule_store;

/*
 * Loads the rules of the state directory. time: wall clock, ns. What was wrong with the files is in the store's
 * warnings. -ENOMEM.
 */
int ps_rule_store_new(const char *state_dir, uint64_t time, struct ps_rule_store **ret_store);
void ps_rule_store_free(struct ps_rule_store **store);

/*
 * Tells the store which maps to write, NULL = none. Rules that the kernel enforces already are left alone, so that a
 * restart makes no gap and no new generation. 1 = a set was installed, 0 = it was in force; -ENOSPC, -ENOMEM.
 */
int ps_rule_store_attach(struct ps_rule_store *s, struct ps_kernel_view *view, struct ps_error *err);

/* Who changes something, and when (wall clock, ns). */
struct ps_rule_actor {
	const char *who;
	uint64_t time;
};

/* What a change did. */
struct ps_rule_result {
	struct ps_rule before, after; /* id -1 = was not, is not */
	uint32_t generation;          /* in force when the call returned */
	bool changed;                 /* false: it was so already */
};

void ps_rule_result_clear(struct ps_rule_result *res); /* fits _cleanup_; zeroed is fine */

/*
 * Changes. err: 400 with the field (-EINVAL), 404 (-ENOENT), 503 while no kernel part is there (-ENOTCONN), 507 when
 * the kernel's table or the disk is full (-ENOSPC), 500.
 */
int ps_rule_store_create(struct ps_rule_store *s, const struct ps_value *body, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err);
int ps_rule_store_update(struct ps_rule_store *s, int64_t id, const struct ps_value *body,
	const struct ps_rule_actor *actor, struct ps_rule_result *ret_result, struct ps_error *err);
int ps_rule_store_delete(struct ps_rule_store *s, int64_t id, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err);
int ps_rule_store_enable(struct ps_rule_store *s, int64_t id, bool enabled, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err);

/* Reading; pointers are good until the next change. Rules are in order of id. */
const struct ps_rule *ps_rule_store_rules(const struct ps_rule_store *s, size_t *ret_n);
const struct ps_rule *ps_rule_store_find(const struct ps_rule_store *s, int64_t id);
uint32_t ps_rule_store_generation(const struct ps_rule_store *s); /* 0 = nothing in force */
/* Sentences for the operator, a list of strings. */
const struct ps_value *ps_rule_store_warnings(const struct ps_rule_store *s);

/*
 * A rule as it is at `now` (wall clock, ns), with its counters: packets, bytes, first_hit, last_hit (RFC 3339 or null).
 * wall_offset: wall minus boot clock, ns. NULL on no memory.
 */
struct ps_value *ps_rule_store_value(
	const struct ps_rule_store *s, const struct ps_rule *rule, uint64_t now, int64_t wall_offset);
/* The same without a store: the counters are those of `view`, NULL = none. */
struct ps_value *ps_rule_counted(
	const struct ps_kernel_view *view, const struct ps_rule *rule, uint64_t now, int64_t wall_offset);

#endif
