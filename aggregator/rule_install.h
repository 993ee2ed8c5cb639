/*
 * The rule maps of the kernel part: two halves, one of them in force. A set goes to the other half and becomes visible
 * with one store; the half before it is not touched until no packet can still be reading it.
 *
 * With a deadline to confirm it, a set is in force until then and no longer: past the deadline the kernel part judges
 * by the half before it, by itself, with every process dead. Until such a set is confirmed or its time is up both
 * halves are in use, and no other can be installed.
 *
 * The order of a change that can fail without leaving a trace: ps_rule_set_change, ps_rule_install_prepare, whatever
 * else may fail (the file), ps_rule_install.
 *
 * Times are boot clock, ns.
 */
#ifndef PS_AGG_RULE_INSTALL_H
#define PS_AGG_RULE_INSTALL_H

#include <stdbool.h>

#include "aggregator/kernel.h"
#include "aggregator/rule_set.h"

/*
 * Makes sure that the kernel's maps have room for the set, and for counters of all of its rules: asks the collector for
 * more and waits for it (at most PS_RULE_ROOM_WAIT_NS) where they have not. -EBUSY (409, "confirm_pending"): a set
 * waits to be confirmed; -ETIMEDOUT (503, "no_collector"): the collector, which alone may make maps, does not answer;
 * -ENOMEM (507): the kernel has no memory. What ps_rule_install_settle would do is done.
 */
int ps_rule_install_prepare(
	struct ps_kernel_view *view, const struct ps_rule_set *set, uint64_t now, struct ps_error *err);

/*
 * Puts the set in force under the next generation, and returns that. A set that is in force already keeps its
 * generation; its rules' deadlines are written all the same. confirm_by: when it is undone unless confirmed, 0 = in
 * force for good. Packets that come when this has returned are judged by the new set; one that came before may still be
 * read the old one, PS_RULE_GRACE_NS at most: the next call waits for that long since the switch.
 * ps_rule_install_prepare, or after that settle or revert, must have said yes to it.
 */
uint32_t ps_rule_install(struct ps_kernel_view *view, struct ps_rule_set *set, uint64_t confirm_by);

/* Is that what the kernel enforces now, whatever its generation? */
bool ps_rule_install_current(const struct ps_kernel_view *view, const struct ps_rule_set *set, uint64_t now);

/* Generation in force at that time; 0 = none was ever installed. */
uint32_t ps_rule_install_generation(const struct ps_kernel_view *view, uint64_t now);

/* A set that waits to be confirmed. */
struct ps_rule_pending {
	uint64_t confirm_by; /* 0 = there is none; at or before now: it was undone, see ps_rule_install_settle */
	uint32_t generation; /* of the set that waits */
	uint32_t before;     /* of the one that comes back */
};

struct ps_rule_pending ps_rule_install_pending(const struct ps_kernel_view *view);

/* In force for good. -ENOENT: nothing waits; -ETIME: too late, it was undone. */
int ps_rule_install_confirm(struct ps_kernel_view *view, uint64_t now);

/*
 * Back to the set before at once, without waiting for the deadline. -ENOENT: nothing waits. The set object of whoever
 * installed it does not follow: compile the rules of before again (ps_rule_install then finds them in force).
 */
int ps_rule_install_revert(struct ps_kernel_view *view);

/* True, once, when a deadline has passed: the set before is in force again, for good. Look at least once a second. */
bool ps_rule_install_settle(struct ps_kernel_view *view, uint64_t now);

/* The counters of a rule as they stand. id < PS_RULES_MAX; zero where the maps have no row for it yet. */
struct ps_rule_hits ps_rule_install_hits(const struct ps_kernel_view *view, uint32_t id);
/* Back to zero, before the id is given to another rule. Only for an id that is in no set; the last packet of a set that
 * has just gone may still count, so it is for a new owner's sake that this is called, not only when the old one goes.
 */
void ps_rule_install_clear_hits(const struct ps_kernel_view *view, uint32_t id);

#endif
