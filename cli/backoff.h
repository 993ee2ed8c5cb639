/*
 * When a part that died is started again. Pure; times are ns of any clock that goes on.
 *
 * The first restart is at once. Each further death doubles the wait from PS_BACKOFF_FIRST_NS to PS_BACKOFF_MAX_NS. A
 * part that lived for PS_BACKOFF_HEALTHY_NS starts from the beginning; one that lived for PS_BACKOFF_LIVED_NS did not
 * crash at start, so somebody kills it or it fails at its work, and it waits PS_BACKOFF_LIVED_WAIT_NS at most.
 */
#ifndef PS_BACKOFF_H
#define PS_BACKOFF_H

#include <stdint.h>

struct ps_backoff {
	uint32_t deaths;     /* since it was last healthy */
	uint64_t started_at; /* last start */
};

void ps_backoff_started(struct ps_backoff *b, uint64_t now);

/* It died: how long to wait before it is started again, ns; 0 = at once. */
uint64_t ps_backoff_died(struct ps_backoff *b, uint64_t now);

#endif
