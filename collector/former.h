/*
 * Taking over from the programs of an older version: its maps, pinned beside ours, and what becomes of each.
 *
 *	- A map whose layout is the same (bpf/maps.def) is used by both: the connections in it, with their ids and
 *	  counters, are simply there.
 *	- Another is made anew, and what it held is carried into it (carry.h) before our programs are put in the place
 *	  of the others, and once more after: what came in between.
 *	- If the layout of the rules has changed, the programs of before stay where they are, with the rules that they
 *	  have, until the aggregator has written the rules in ours. Then each link gets our program in one step. There
 *	  is no moment in which a packet meets no rules.
 *	- The older maps go when this is done. ps_meta.former says that it is not: a collector that was killed goes on
 *	  where it was.
 *
 * Programs of an older version never take over from those of a newer one, whose maps they can't read: see
 * ps_former_find.
 */
#ifndef PS_FORMER_H
#define PS_FORMER_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "collector/pins.h"
#include "common/base/error.h"

struct bpf_object;
struct ps_maps;

struct ps_former;

/*
 * Looks for what another version left below this root. own: our ps_meta if our maps are there, else NULL. *ret_former
 * is NULL when nothing is to be taken over. -EEXIST fills err (409, "newer_pins"): a newer version is at work. Maps of
 * one that is on no interface are no reason to refuse.
 */
int ps_former_find(
	const struct ps_pins *pins, const struct ps_meta *own, struct ps_former **ret_former, struct ps_error *err);
void ps_former_free(struct ps_former **former); /* pins stay */

uint32_t ps_former_version(const struct ps_former *former);
const struct ps_meta *ps_former_meta(const struct ps_former *former);
bool ps_former_attached(const struct ps_former *former); /* a link of ours is on some interface */

/* Decides which of the object's maps both use. Its sizes must have been set. */
void ps_former_decide(struct ps_former *former, struct bpf_object *obj);
/* Is the map of that name used by both? */
bool ps_former_shares(const struct ps_former *former, const char *name);
/* Opens that map of the former version. The caller closes it. -1 = there is none. */
int ps_former_open(const struct ps_former *former, const char *name);
/* Pins every pin of the former version whose name begins with `prefix` among ours too. -errno. */
int ps_former_adopt(const struct ps_former *former, const struct ps_pins *pins, const char *prefix);

/* In which version did a map's layout become what it is? 0 = no row of bpf/maps.def. And which go together; pure. */
uint32_t ps_former_since(const char *name, unsigned *ret_together);

#endif
