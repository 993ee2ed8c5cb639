/*
 * One half of the kernel's rule maps, in plain memory: units in chunks, places in buckets, and the indexes that lead to
 * them (bpf/abi.h, bpf/rule_match.h). Units are put in and taken out one by one; what was touched since an earlier copy
 * is known by the page, so that a small change is a small copy. Private to rule_set.c and rule_install.c.
 */
#ifndef PS_AGG_RULE_IMAGE_H
#define PS_AGG_RULE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/rule_shape.h"
#include "bpf/abi.h"
#include "common/model/rule_compile.h"

#define PS_IMAGE_PAGE 4096u
#define PS_IMAGE_INDEXES 9u /* ports, protocol, three levels of either address */
#define PS_PAGES(type) ((sizeof(type) + PS_IMAGE_PAGE - 1) / PS_IMAGE_PAGE)

/* What a rule's row says of it beside its counters. */
struct ps_rule_term {
	uint64_t until;   /* boot time, ns; 0 = none */
	uint32_t rate_ns; /* 0 = none */
};

struct ps_rule_image {
	struct ps_rule_head *head; /* generation 0: the installer gives one */
	struct ps_rule_chunk *chunk[PS_UNIT_CHUNKS];
	uint32_t chunks; /* at least 1 */
	void *memory;    /* of head and chunks */
	size_t memory_size;
	struct ps_rule_shape shape[PS_RULE_TUPLES];

	uint32_t used;                       /* units that were ever taken: those behind are free */
	uint32_t free_single, free_pair;     /* 1 + unit, chained by next; 0 = none */
	uint32_t with_flags[256];            /* units that TCP flags could match, by flags */
	uint64_t everywhere[PS_RULE_TUPLES]; /* bit i: this index has the tuple in all of its rows */
	uint32_t stale;                      /* units taken out since the filters were made */
	bool bulk;                       /* between begin and finish: what is true of all rows is written at the end */
	uint64_t late[PS_IMAGE_INDEXES]; /* tuples that wait for it, by index */

	struct ps_rule_term *terms; /* by rule id */
	uint32_t n_terms;           /* room */
	uint32_t with_terms;
	uint32_t rows; /* 1 + the highest id */

	/* when each page was last written; 0 = never: as good as zero */
	uint32_t step; /* now */
	uint32_t head_step[PS_PAGES(struct ps_rule_head)];
	uint32_t chunk_step[PS_UNIT_CHUNKS][PS_PAGES(struct ps_rule_chunk)];
	struct {
		uint32_t generation; /* of the copy; 0 = there is none */
		uint32_t step;       /* what it holds is older than that */
	} copied[2];
};

/* Empty, with room for so many units. -ENOMEM. */
int ps_rule_image_new(uint32_t units, struct ps_rule_image **ret_image);
void ps_rule_image_free(struct ps_rule_image **image);

/* A tuple that looks at these. There must be fewer than PS_RULE_TUPLES. */
unsigned ps_rule_image_add_tuple(struct ps_rule_image *image, const struct ps_rule_shape *shape);

/* The tuple for a unit of that shape: its own, or the one that looks at most of it; -1 = none. */
int ps_rule_image_find_tuple(const struct ps_rule_image *image, const struct ps_rule_shape *shape);

/* Room for what the row of that rule says. -ENOMEM. */
int ps_rule_image_reserve_row(struct ps_rule_image *image, uint32_t id);
void ps_rule_image_set_term(struct ps_rule_image *image, uint32_t id, struct ps_rule_term term);

/* Around the insertion of many units: not all that the indexes say stands in them before the end. */
void ps_rule_image_begin(struct ps_rule_image *image);
void ps_rule_image_finish(struct ps_rule_image *image);

/*
 * Puts a unit in; the id of its rule was reserved. -ENOSPC: the chunks are full, or all buckets where it could stand;
 * -EMLINK: more than PS_RULE_CHAIN behind one place. Nothing has changed then.
 */
int ps_rule_image_insert(struct ps_rule_image *image, const struct ps_rule_unit_pair *pair, unsigned tuple);

/* Takes out the unit that says exactly this. False if there is none. */
bool ps_rule_image_remove(struct ps_rule_image *image, const struct ps_rule_unit_pair *pair, unsigned tuple);

/* What a unit adds to the digest of a set. */
uint64_t ps_rule_image_digest(const struct ps_rule_unit_pair *pair, struct ps_rule_term term);

struct ps_rule_unit *ps_rule_image_unit(const struct ps_rule_image *image, uint32_t i);

struct ps_rule_set {
	struct ps_rule_image *image;
	/* to take the last change back: the image before, or the units that went and came */
	struct ps_rule_image *before;
	struct ps_set_delta *undo;
};

/* It is in force: it can't be taken back. */
void ps_rule_set_settle(struct ps_rule_set *set);

#endif
