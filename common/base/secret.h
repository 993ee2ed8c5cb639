/*
 * A key in memory of its own: left out of core dumps, wiped when it goes, and taken out of whatever text is about to be
 * shown.
 */
#ifndef PS_SECRET_H
#define PS_SECRET_H

#include <stddef.h>

#include "common/base/buf.h"

struct ps_secret {
	char *text; /* NUL-terminated; NULL = none */
	size_t len;
	size_t room; /* bytes mapped */
};

/* A word shorter than this ("ollama", "none") guards nothing, and taking it out would mutilate ordinary text. */
#define PS_SECRET_REDACT_MIN 8
#define PS_SECRET_SHOWN "[key]"

/* Replaces what s holds by a copy. -ENOMEM: s is as it was. */
int ps_secret_set(struct ps_secret *s, const char *text, size_t len);
void ps_secret_free(struct ps_secret *s); /* wipes; leaves it empty and usable; fits _cleanup_ */

/*
 * Takes an environment variable: its value goes to s, and is overwritten where the kernel shows it
 * (/proc/PID/environ), so that neither children nor onlookers find it. 1 = taken, 0 = not set or empty, -ENOMEM (it is
 * overwritten all the same). Before other threads start.
 */
int ps_secret_take_env(const char *name, struct ps_secret *s);

/* From here on this process leaves no core dump and lets nobody but root look into it. */
void ps_secret_no_dump(void);

/* Appends text with every occurrence of the secret replaced by "[key]". */
void ps_secret_redact(const struct ps_secret *s, struct ps_buf *out, const char *text, size_t len);

#endif
