#include "cli/backoff.h"

#include "cli/limits.h"

void ps_backoff_started(struct ps_backoff *b, uint64_t now)
{
	b->started_at = now;
}

uint64_t ps_backoff_died(struct ps_backoff *b, uint64_t now)
{
	uint64_t lived = now > b->started_at ? now - b->started_at : 0;
	uint64_t wait = PS_BACKOFF_FIRST_NS;
	uint32_t i;

	if (lived >= PS_BACKOFF_HEALTHY_NS)
		b->deaths = 0;
	if (b->deaths < UINT32_MAX)
		b->deaths++;
	if (b->deaths == 1)
		return 0;
	for (i = 2; i < b->deaths && wait < PS_BACKOFF_MAX_NS; i++)
		wait *= 2;
	if (wait > PS_BACKOFF_MAX_NS)
		wait = PS_BACKOFF_MAX_NS;
	if (lived >= PS_BACKOFF_LIVED_NS && wait > PS_BACKOFF_LIVED_WAIT_NS)
		wait = PS_BACKOFF_LIVED_WAIT_NS;
	return wait;
}
