#include "common/detect/pairs.h"

#include <errno.h>
#include <stdlib.h>

int ps_pairs_new(const struct ps_detect_config *config, size_t value_size, size_t limit, void **ret_state)
{
	struct ps_pairs *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->config = config;
	r = ps_tracks_new(sizeof(struct ps_track_key), value_size, limit, NULL, NULL, &p->tracks);
	if (r < 0) {
		free(p);
		return r;
	}
	*ret_state = p;
	return 0;
}

void ps_pairs_destroy(void *state)
{
	struct ps_pairs *p = state;

	if (!p)
		return;
	ps_tracks_free(&p->tracks);
	free(p);
}

void ps_pairs_usage(const void *state, struct ps_tracks_usage *sum)
{
	const struct ps_pairs *p = state;

	ps_tracks_usage(p->tracks, sum);
}
