/*
 * The terminal as a screen that is drawn again and again, and the keys pressed meanwhile. The one place that changes
 * the terminal's settings; they are put back whatever ends the program, but for SIGKILL.
 */
#ifndef PS_SCREEN_H
#define PS_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

struct ps_screen;

/* -ENOTTY: standard input or output is no terminal. */
int ps_screen_new(struct ps_screen **ret_screen);
void ps_screen_free(struct ps_screen **screen);

/* Lines and columns as they are now. */
void ps_screen_size(const struct ps_screen *screen, unsigned *ret_lines, unsigned *ret_columns);

/*
 * Shows `text`, cut to the lines there are. What it says in a style (ps_style_add) keeps it; nothing of the picture
 * before remains, and it does not flicker.
 */
void ps_screen_draw(const struct ps_screen *screen, struct ps_buf *text);

/* Waits at most `ns` for a key: its byte, 0 when none came or the window changed, -1 when the terminal is gone or a
 * signal wants an end. */
int ps_screen_key(const struct ps_screen *screen, uint64_t ns);

/* The text that ps_screen_draw writes: each line cleared to its end, the rest of the screen too. Pure. */
void ps_screen_compose(const char *text, unsigned lines, struct ps_buf *out);

#endif
