/*
 * What the maps of a former version held, carried into those of this one that have another layout.
 *
 * Each map that can be carried has a row in carry.c: by which function, and from which versions on that function can
 * read it. A map without one, or older than its row, begins empty: what was in it is learnt again from the packets.
 *
 *	rules            hits of each; and the generation, so that verdicts that connections keep of the set before are
 *	                 not taken for those of the new one. The rules themselves come from the aggregator
 *	TCP lines        counters, state and history; sequence numbers are learnt again, since some segments pass
 *	                 between the copy and the new program's first look
 *	other tables     element by element: a layout that was only made longer is a copy
 */
#ifndef PS_CARRY_H
#define PS_CARRY_H

#include "collector/former.h"
#include "collector/maps.h"

struct ps_carry;

/* All three must outlive it. The maps must be made, and chunks of rows pinned. -errno. */
int ps_carry_new(const struct ps_former *former, const struct ps_pins *pins, const struct ps_maps *maps,
	struct ps_carry **ret_carry);
void ps_carry_free(struct ps_carry **carry);

/* Once, before anybody else knows the new maps. -errno of the first that failed; the others were carried. */
int ps_carry_begin(struct ps_carry *carry);
/* While the former programs go on: rules' hits, which somebody may be looking at. */
void ps_carry_follow(struct ps_carry *carry);
/* Right before the programs change places: all that is copied, again. -errno as above. */
int ps_carry_last(struct ps_carry *carry);
/* When no packet can be with the former programs any more: what they counted since. */
void ps_carry_rest(struct ps_carry *carry);

/* How many chunks of rows hold the former version's hits. */
uint32_t ps_carry_row_chunks(const struct ps_former *former);

/* One TCP line, from one that is a beginning of ours or ours a beginning of it; pure. */
void ps_carry_tcp_line(const void *from, size_t from_size, struct ps_conn_tcp *ret_line);
/* One rule's hits, before (`base` is noted) and after the swap (what came since `base` is added); pure. */
void ps_carry_hits(const struct ps_rule_hits *from, struct ps_rule_hits *base, struct ps_rule_hits *to, bool after);
/* The counters of one CPU, from a ps_stats of from_size bytes; pure. Counters are only ever added at the end of
 * stats.def. */
void ps_carry_stats_of(const void *from, size_t from_size, struct ps_stats *ret_stats);

#endif
