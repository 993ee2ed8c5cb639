/*
 * How much came within a span of time that moves along: a ring of slots, each a seventh of the span. Zeroed memory is
 * an empty window. Pure; internal to common/detect/.
 */
#ifndef PS_DETECT_WINDOW_H
#define PS_DETECT_WINDOW_H

#include <stdint.h>

#define PS_WINDOW_SLOTS 8u

struct ps_window {
	uint64_t head; /* number of the newest slot: time / width */
	uint64_t n[PS_WINDOW_SLOTS];
};

/* Adds n at time t; what is older than the window is not taken. */
void ps_window_add(struct ps_window *w, uint64_t span, uint64_t t, uint64_t n);
/* Takes n back that was added at time t. */
void ps_window_take(struct ps_window *w, uint64_t span, uint64_t t, uint64_t n);
/* Sum of the slots that hold the times from … to. */
uint64_t ps_window_sum(const struct ps_window *w, uint64_t span, uint64_t from, uint64_t to);

#endif
