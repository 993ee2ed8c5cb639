/*
 * A program's manual page in roff (man(7)), made from its option table, so that it says what the program does.
 */
#ifndef PS_MANUAL_H
#define PS_MANUAL_H

#include "common/base/buf.h"
#include "common/base/options.h"

/* Title, NAME and SYNOPSIS of a page of section 1 or 8. `about` is one sentence. */
void ps_manual_head(struct ps_buf *out, const char *name, int section, const char *about, const char *synopsis);
/* Every option of a table, with its default. */
void ps_manual_options(struct ps_buf *out, const struct ps_option *table);
/* A paragraph of plain text; what roff would take for a request or an escape is made harmless. */
void ps_manual_text(struct ps_buf *out, const char *text);
/* ENVIRONMENT, FILES: the same for all. */
void ps_manual_tail(struct ps_buf *out);

#endif
