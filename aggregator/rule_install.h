/*
 * The rule maps of the kernel part: two halves, one of them active. A new set goes to the other half and becomes
 * visible with one store; the half before it is not touched until no packet can still be reading it.
 */
#ifndef PS_AGG_RULE_INSTALL_H
#define PS_AGG_RULE_INSTALL_H

#include <stdbool.h>

#include "aggregator/kernel.h"
#include "aggregator/rule_set.h"

/* Is that image, but for its generation, what the kernel enforces now? */
bool ps_rule_install_current(const struct ps_kernel_view *view, const struct ps_rule_image *image);

/*
 * Puts the image in force under the next generation, and returns it. When it returns (PS_RULE_GRACE_NS later) no packet
 * is being judged by the old set any more.
 */
uint32_t ps_rule_install(const struct ps_kernel_view *view, const struct ps_rule_image *image);

/* Generation in force; 0 = none was ever installed. */
uint32_t ps_rule_install_generation(const struct ps_kernel_view *view);

/* The counters of a rule as they stand. id < PS_RULES_MAX. */
struct ps_rule_hits ps_rule_install_hits(const struct ps_kernel_view *view, uint32_t id);
/* Back to zero, before the id is given to another rule. Only for an id that is in no set. */
void ps_rule_install_clear_hits(const struct ps_kernel_view *view, uint32_t id);

#endif
