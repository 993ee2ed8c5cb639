/*
 * What a rule set consists of. Private to rule_set.c, which fills it, and rule_install.c, which copies it out.
 */
#ifndef PS_AGG_RULE_IMAGE_H
#define PS_AGG_RULE_IMAGE_H

#include "bpf/abi.h"

/* One half of ps_rule_sets and ps_rule_slots. About 800 KB. */
struct ps_rule_image {
	struct ps_rule_set_head set; /* generation 0: the installer gives one */
	struct ps_rule_slot slots[PS_RULE_SLOTS];
};

struct ps_rule_set {
	struct ps_rule_image *image;
	struct ps_rule_image *before; /* of the last change, NULL = taken back or none */
};

#endif
