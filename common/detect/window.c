#include "common/detect/window.h"

#include "common/base/cleanup.h"

static uint64_t slot_of(uint64_t span, uint64_t t)
{
	uint64_t width = span / (PS_WINDOW_SLOTS - 1);

	return t / (width ? width : 1);
}

/* The place of slot s, or NULL when it has left the window. */
static uint64_t *place(struct ps_window *w, uint64_t s)
{
	if (s > w->head) {
		uint64_t gone = PS_MIN(s - w->head, (uint64_t)PS_WINDOW_SLOTS);

		for (uint64_t i = 0; i < gone; i++)
			w->n[(s - i) % PS_WINDOW_SLOTS] = 0;
		w->head = s;
	}
	return w->head - s < PS_WINDOW_SLOTS ? &w->n[s % PS_WINDOW_SLOTS] : NULL;
}

void ps_window_add(struct ps_window *w, uint64_t span, uint64_t t, uint64_t n)
{
	uint64_t *at = place(w, slot_of(span, t));

	if (at)
		*at += n;
}

void ps_window_take(struct ps_window *w, uint64_t span, uint64_t t, uint64_t n)
{
	uint64_t *at = place(w, slot_of(span, t));

	if (at)
		*at -= PS_MIN(n, *at);
}

uint64_t ps_window_sum(const struct ps_window *w, uint64_t span, uint64_t from, uint64_t to)
{
	uint64_t first = slot_of(span, from), last = PS_MIN(slot_of(span, to), w->head), sum = 0;

	for (uint64_t i = 0; i < PS_WINDOW_SLOTS && w->head >= i; i++) {
		uint64_t s = w->head - i;

		if (s >= first && s <= last)
			sum += w->n[s % PS_WINDOW_SLOTS];
	}
	return sum;
}
