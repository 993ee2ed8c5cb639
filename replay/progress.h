/*
 * A progress bar on a terminal; nothing anywhere else.
 */
#ifndef PS_REPLAY_PROGRESS_H
#define PS_REPLAY_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/buf.h"

struct ps_progress {
	FILE *out; /* NULL: nobody watches */
	uint64_t started, shown;
	bool visible;
};

/* On standard error, if that is a terminal. */
struct ps_progress ps_progress_begin(void);
/* Shows how far it is, at most every PS_REPLAY_PROGRESS_NS. done: 0 to 1, negative if that is not known. */
void ps_progress_show(struct ps_progress *p, double done, uint64_t packets);
/* Away with it. */
void ps_progress_end(struct ps_progress *p);

/* One line of `columns` characters at most, without its end. Pure. */
void ps_progress_line(struct ps_buf *out, unsigned columns, double done, uint64_t packets, double seconds);

#endif
