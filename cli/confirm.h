/*
 * Waiting for the word of whoever made a change that undoes itself unless confirmed (commit-confirm).
 */
#ifndef PS_CONFIRM_H
#define PS_CONFIRM_H

#include <stdint.h>

enum ps_confirm_answer {
	PS_CONFIRM_KEEP, /* Enter */
	PS_CONFIRM_LEFT, /* Ctrl-C, or the terminal is gone: it will undo itself */
	PS_CONFIRM_LATE, /* the deadline came first */
};

/*
 * Counts down `seconds` on the terminal `out`, a line that is written over each second, and reads `in` for a line.
 * Returns an enum ps_confirm_answer. SIGINT and SIGTERM end the wait rather than the program while it lasts.
 */
int ps_confirm_wait(int in, int out, uint64_t seconds);

#endif
