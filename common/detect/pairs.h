/*
 * The state of a detector that watches pairs of addresses and nothing else. Internal to common/detect/.
 */
#ifndef PS_DETECT_PAIRS_H
#define PS_DETECT_PAIRS_H

#include <stddef.h>

#include "common/detect/detect.h"
#include "common/detect/tracks.h"

struct ps_pairs {
	const struct ps_detect_config *config; /* borrowed */
	struct ps_tracks *tracks;              /* by struct ps_track_key */
};

/* For `create` of a detector: value_size bytes a pair, `limit` pairs. -ENOMEM. */
int ps_pairs_new(const struct ps_detect_config *config, size_t value_size, size_t limit, void **ret_state);

/* These two are `destroy` and `usage` of a detector. */
void ps_pairs_destroy(void *state);
void ps_pairs_usage(const void *state, struct ps_tracks_usage *sum);

#endif
