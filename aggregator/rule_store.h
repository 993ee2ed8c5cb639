/*
 * The rules: the list that the operator sees, its file, and what the kernel enforces. The three agree whenever a call
 * returns: a change is checked against the lock-out guard, compiled, written to disk, and put in force, in this order,
 * and whatever fails leaves all three as they were.
 *
 * With confirm_within a change holds until its deadline and is then undone, by the kernel and with every process dead:
 *
 *	- a new rule carries its own deadline (confirm_by); others may be changed meanwhile;
 *	- any other change concerns the set: the one before it stands ready to come back, and no other change is taken
 *	  (409, "confirm_pending") until it is confirmed or undone. The disk keeps the set before it.
 *
 * A reboot undoes what was not confirmed. A rule whose time is up (ttl) matches nothing any more, stays listed for
 * PS_RULE_EXPIRED_NS, and goes.
 *
 * Every rule tells in `generation` the number of the list in which it last changed (ps_rule_store_revision), which is
 * what a caller names who wants to change only what he has seen.
 */
#ifndef PS_AGG_RULE_STORE_H
#define PS_AGG_RULE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/kernel.h"
#include "aggregator/rule_array.h"
#include "aggregator/rule_guard.h"
#include "common/base/error.h"
#include "common/model/rule.h"
#include "common/model/value.h"

struct ps_rule_store;

/*
 * Loads the rules of the state directory. boot_id: of this boot. time: wall clock, ns. What was wrong with the files is
 * in the store's warnings. -ENOMEM; -EPROTO fills err: a newer version wrote them.
 */
int ps_rule_store_new(const char *state_dir, const char *boot_id, uint64_t time, uint64_t boot,
	struct ps_rule_store **ret_store, struct ps_error *err);
void ps_rule_store_free(struct ps_rule_store **store);

/*
 * Tells the store which maps to write, NULL = none. Rules that the kernel enforces already are left alone, so that a
 * restart makes no gap and no new generation. 1 = a set was installed, 0 = it was in force; -ENOSPC, -ENOMEM.
 */
int ps_rule_store_attach(
	struct ps_rule_store *s, struct ps_kernel_view *view, uint64_t time, uint64_t boot, struct ps_error *err);

/* Who changes something, when, and on what terms. */
struct ps_rule_actor {
	const char *who;
	uint64_t time;                /* wall clock, ns */
	uint64_t boot;                /* CLOCK_BOOTTIME at the same moment, ns */
	const struct ps_guard *guard; /* what may not be cut; NULL = nothing is */
	bool force;                   /* though it be cut */
	uint32_t confirm_within;      /* seconds; 0 = for good */
	bool conditional;             /* only if the rule (or the list) is still that of: */
	uint32_t if_generation;
	struct ps_value
		*report; /* list: the guard's reports are appended, also when they forbid the change; may be NULL */
};

/* What a change did. */
struct ps_rule_result {
	struct ps_rule before, after; /* id -1 = was not, is not */
	uint32_t generation;          /* in force when the call returned */
	bool changed;                 /* false: it was so already */
	/* of many rules */
	bool bulk;
	size_t n_before, n_after, added, duplicates;
	int32_t first_id, last_id; /* of those added; -1 = none */
};

void ps_rule_result_clear(struct ps_rule_result *res); /* fits _cleanup_; zeroed is fine */

/*
 * Changes. err: 400 with the field (-EINVAL), 404 (-ENOENT), 409 ("lockout", -EPERM; "confirm_pending", -EBUSY), 412
 * ("stale", -ESTALE), 503 while no kernel part is there (-ENOTCONN), 507 when the kernel's table or the disk is full
 * (-ENOSPC), 500. `force` and `confirm_within` may also stand in the body.
 */
int ps_rule_store_create(struct ps_rule_store *s, const struct ps_value *body, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err);
int ps_rule_store_update(struct ps_rule_store *s, int64_t id, const struct ps_value *body,
	const struct ps_rule_actor *actor, struct ps_rule_result *ret_result, struct ps_error *err);
int ps_rule_store_delete(struct ps_rule_store *s, int64_t id, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err);
int ps_rule_store_enable(struct ps_rule_store *s, int64_t id, bool enabled, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err);
/* From shadow to enforce. */
int ps_rule_store_promote(struct ps_rule_store *s, int64_t id, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err);

/*
 * All rules at once become these, in one step. They are taken out of `rules` when it succeeds. Those without an id
 * (-1) get the lowest free ones; one with the id of a rule that is there keeps its counters.
 */
int ps_rule_store_replace(struct ps_rule_store *s, struct ps_rule_array *rules, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err);
/* These come to those that are there, in one step; what is there in the same words already is left out. */
int ps_rule_store_import(struct ps_rule_store *s, struct ps_rule_array *rules, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err);
/* What ps_rule_store_replace would refuse, and nothing is changed but that the rules get their ids. */
int ps_rule_store_try(
	struct ps_rule_store *s, struct ps_rule_array *rules, const struct ps_rule_actor *actor, struct ps_error *err);

/*
 * For good: the rule with that id, or (id -1) everything that waits. -ENOENT: 404, or 409 ("not_pending") when nothing
 * waits, which is also said when its time has passed.
 */
int ps_rule_store_confirm(struct ps_rule_store *s, int64_t id, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err);

/* What happens by itself: "expire", "rollback". `who` is for the bus. */
typedef void (*ps_rule_told_fn)(void *arg, const char *action, const struct ps_rule_result *res);
/* The work of each second: follows what the kernel did by itself, lets expired rules go, folds the log. */
void ps_rule_store_tick(struct ps_rule_store *s, uint64_t time, uint64_t boot, ps_rule_told_fn fn, void *arg);

/* Reading; pointers are good until the next change. Rules are in order of id. */
const struct ps_rule *ps_rule_store_rules(const struct ps_rule_store *s, size_t *ret_n);
const struct ps_rule *ps_rule_store_find(const struct ps_rule_store *s, int64_t id);
int32_t ps_rule_store_next_id(const struct ps_rule_store *s);     /* what the next rule gets */
uint32_t ps_rule_store_generation(const struct ps_rule_store *s); /* in the kernel; 0 = nothing in force */
uint32_t ps_rule_store_revision(const struct ps_rule_store *s);   /* number of the list; 0 = never changed */
/* Sentences for the operator, a list of strings. */
const struct ps_value *ps_rule_store_warnings(const struct ps_rule_store *s);
/* Adds one; the oldest go. */
void ps_rule_store_warn(struct ps_rule_store *s, const char *text);

/* The change of the set that waits to be confirmed, {op, who, id, confirm_by}; null if none. NULL on no memory. */
struct ps_value *ps_rule_store_pending(const struct ps_rule_store *s);

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
