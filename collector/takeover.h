/*
 * A takeover from the programs of an older version: former.h says how it goes; these are its steps, in order.
 *
 * Every function takes NULL for "there is nothing to take over" and then does nothing.
 */
#ifndef PS_TAKEOVER_H
#define PS_TAKEOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "collector/pins.h"
#include "common/base/error.h"

struct bpf_object;
struct ps_maps;
struct ps_takeover;

/*
 * Is there something to take over? meta: ours, if our maps are there already (`resumed`: one that was begun before we
 * were killed goes on); else it is filled with that of the maps that are taken over. Kept, must outlive it.
 * *ret_takeover is NULL when there is nothing. Errors as ps_former_find.
 */
int ps_takeover_find(const struct ps_pins *pins, struct ps_meta *meta, bool resumed, struct ps_takeover **ret_takeover,
	struct ps_error *err);
void ps_takeover_free(struct ps_takeover **takeover); /* pins stay */

/* Before load: lets the object use the maps whose layout is the same. Its sizes must have been set. */
int ps_takeover_reuse(struct ps_takeover *takeover, struct bpf_object *obj, struct ps_error *err);
/* After load: pins what is in those maps among ours. */
int ps_takeover_adopt(const struct ps_takeover *takeover, struct ps_error *err);
/* Chunks of rule rows that are to be there before ps_takeover_begin. */
uint32_t ps_takeover_row_chunks(const struct ps_takeover *takeover);
/* When our maps are made: carries over what the others hold. */
int ps_takeover_begin(struct ps_takeover *takeover, const struct ps_maps *maps, struct ps_error *err);

uint32_t ps_takeover_version(const struct ps_takeover *takeover); /* that we take over from; 0 = none */
/* The programs of before must go on: the aggregator has not written the rules in the new form yet. */
bool ps_takeover_waits(const struct ps_takeover *takeover);
/* Meanwhile: brings over what they count. */
void ps_takeover_follow(struct ps_takeover *takeover);
/* Right before ours are attached. -errno: something that could be carried over was not. */
int ps_takeover_swap(struct ps_takeover *takeover);
/* After: what came in between. */
void ps_takeover_rest(struct ps_takeover *takeover);

#endif
