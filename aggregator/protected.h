/*
 * Networks whose traffic no rule may cut unless it is forced to (rule_guard.h): those that the configuration names,
 * which only it can take away, and those that the interface set, kept in protected.json of the state directory.
 */
#ifndef PS_AGG_PROTECTED_H
#define PS_AGG_PROTECTED_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/model/net.h"
#include "common/model/value.h"

struct ps_protected;

/*
 * config: "10.0.0.0/8,2001:db8::1", "" = none. -EINVAL fills err (field "protect"). A broken file is put aside and told
 * in `warnings` (a list); what the configuration names is protected all the same. time: wall clock, ns.
 */
int ps_protected_new(const char *state_dir, const char *config, uint64_t time, struct ps_value *warnings,
	struct ps_protected **ret_list, struct ps_error *err);
void ps_protected_free(struct ps_protected **list);

/* All of them; good until the next set. */
const struct ps_net *ps_protected_nets(const struct ps_protected *p, size_t *ret_n);

/*
 * Those of the interface become these: a list of strings, or of objects with "cidr" as ps_protected_value gives them
 * (those of the configuration are passed over). -EINVAL (400) names the element; -ENOSPC (507), 500.
 */
int ps_protected_set(
	struct ps_protected *p, const struct ps_value *list, const char *who, uint64_t time, struct ps_error *err);

/* [{"cidr", "origin": "config" | "api"}]; NULL on no memory. */
struct ps_value *ps_protected_value(const struct ps_protected *p);

#endif
