/*
 * What the shell knows of `packetscope`, and its manual page: both from the table of verbs. Pure.
 */
#ifndef PS_COMPLETION_H
#define PS_COMPLETION_H

#include "common/base/buf.h"

/* A script for bash (complete -F) or zsh (#compdef). */
void ps_completion_bash(struct ps_buf *out);
void ps_completion_zsh(struct ps_buf *out);

/* packetscope(1) in roff. */
void ps_completion_manual(struct ps_buf *out);

#endif
