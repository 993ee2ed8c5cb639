/*
 * Inside the rule store. Private to rule_store.c (single rules), store_bulk.c (many at once) and store_time.c
 * (deadlines).
 */
#ifndef PS_AGG_STORE_PRIVATE_H
#define PS_AGG_STORE_PRIVATE_H

#include "aggregator/rule_file.h"
#include "aggregator/rule_install.h"
#include "aggregator/rule_set.h"
#include "aggregator/rule_store.h"

/* A change of the set that waits to be confirmed: what it was, and what comes back. */
struct ps_store_pending {
	bool active;
	struct ps_set_head head;
	struct ps_rule before;      /* of one rule; id -1 = it was not there */
	struct ps_rule_array rules; /* of many */
};

struct ps_rule_store {
	struct ps_rule_file *file;
	struct ps_rule_array rules;
	struct ps_kernel_view *view;
	struct ps_rule_set *set; /* of the rules, while there is a view */
	struct ps_value *warnings;
	struct ps_store_pending pending;
	uint64_t look_at; /* wall clock at which a deadline may have passed; 0 = look */
	uint64_t told;    /* wall clock up to which the end of rules was told */
};

static inline int64_t ps_store_offset(const struct ps_rule_actor *actor)
{
	return (int64_t)(actor->time - actor->boot);
}

/* 503 without a kernel part, 409 while a change waits. */
int ps_store_ready(const struct ps_rule_store *s, const struct ps_rule_actor *actor, struct ps_error *err);
/* 409 when the guard forbids it; `changed` as in ps_guard_check. */
int ps_store_guard(const struct ps_rule_store *s, const struct ps_rule_view *after, int64_t changed,
	const struct ps_rule_actor *actor, struct ps_error *err);
/* 412 when the generation is another. */
int ps_store_fresh(const struct ps_rule_actor *actor, uint32_t generation, struct ps_error *err);

/*
 * One rule changes from `before` to `after` (id -1: was not, is not). now_pending: the set waits to be confirmed. Sets
 * c->generation and c->changed.
 */
int ps_store_step(struct ps_rule_store *s, const char *op, const struct ps_rule_actor *actor, struct ps_rule_result *c,
	bool now_pending, struct ps_error *err);

/* Fills the head of a pending change. */
struct ps_set_head ps_store_head(const char *op, const struct ps_rule_actor *actor, int32_t id, bool bulk);
/* Members of the audit that say on what terms a change was made; NULL = nothing to say, or no memory. */
struct ps_value *ps_store_terms(const struct ps_rule_actor *actor);
void ps_store_limit_warnings(struct ps_rule_store *s);
void ps_store_pending_clear(struct ps_store_pending *p);

int ps_store_no_memory(struct ps_error *err);

#endif
