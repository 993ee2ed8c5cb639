/*
 * A set of ports: none named (any packet, also one without ports), or up to PS_RULE_PORTS_MAX ranges, always sorted,
 * apart from each other by at least one port, and within 1…65535. Host byte order. Zeroed is "any".
 *
 * Two ranges stand in the object itself; of more it owns the memory. Plain assignment moves ownership; use
 * ps_ports_copy for a copy of its own.
 */
#ifndef PS_PORTS_H
#define PS_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/limits.h"

struct ps_port_range {
	uint16_t lo, hi; /* both belong to it */
};

#define PS_PORTS_INSIDE 2

struct ps_ports {
	uint16_t n; /* ranges; 0 = any */
	union {
		struct ps_port_range few[PS_PORTS_INSIDE];
		struct ps_port_range *many; /* when n > PS_PORTS_INSIDE */
	} u;
};

/* The n ranges. */
const struct ps_port_range *ps_ports_ranges(const struct ps_ports *p);

struct ps_ports ps_ports_one(uint16_t port); /* 0 = any */
struct ps_ports ps_ports_span(uint16_t lo, uint16_t hi);

/*
 * From ranges in any order, which may overlap: sorted and merged. lo must be 1 or more and not above hi (-EINVAL);
 * -E2BIG: more than PS_RULE_PORTS_MAX are left; -ENOMEM. *ret_ports is overwritten.
 */
int ps_ports_set(const struct ps_port_range *ranges, size_t n, struct ps_ports *ret_ports);

/*
 * "22", "8000-8100", "22,80,8000-8100"; blanks around the parts; "0", "any" and "" are any. -EINVAL fills err under
 * that field's name.
 */
int ps_ports_parse(const char *text, size_t len, const char *field, struct ps_ports *ret_ports, struct ps_error *err);

/* The normalised text; "0" for any. Returns buf. */
#define PS_PORTS_TEXT (PS_RULE_PORTS_MAX * 12 + 4)
char *ps_ports_format(const struct ps_ports *p, char buf[static PS_PORTS_TEXT]);

int ps_ports_copy(const struct ps_ports *from, struct ps_ports *ret_ports); /* -ENOMEM; *ret_ports is overwritten */
void ps_ports_clear(struct ps_ports *p);                                    /* leaves "any" */

bool ps_ports_equal(const struct ps_ports *a, const struct ps_ports *b);
bool ps_ports_have(const struct ps_ports *p, uint16_t port);                       /* any has every port, 0 too */
bool ps_ports_contain(const struct ps_ports *outer, const struct ps_ports *inner); /* is all of inner in outer? */

#endif
