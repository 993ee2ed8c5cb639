/*
 * Logging of programs (never of library code): one line on standard error,
 *
 *	ts=2026-01-02T03:04:05.678Z level=info prog=collector msg="attached" iface=eth0 mode=native
 *
 * Values with spaces are quoted; control characters are escaped. Under systemd (JOURNAL_STREAM set) no ts.
 */
#ifndef PS_LOG_H
#define PS_LOG_H

#include <stdbool.h>

enum ps_log_level {
	PS_LOG_ERROR,
	PS_LOG_WARN,
	PS_LOG_INFO,
	PS_LOG_DEBUG,
};

/* Names the program in every line; lines above `level` are not written. */
void ps_log_setup(const char *program, enum ps_log_level level);

/* "error", "warn", "info", "debug" → level; -EINVAL. */
int ps_log_level_parse(const char *text, enum ps_log_level *ret_level);

/*
 * Writes one line. `fmt` gives key=value pairs as printf does, each value WITHOUT spaces unless it is written "%s"
 * inside double quotes in the format: ps_log(PS_LOG_WARN, "cannot attach", "iface=%s reason=\"%s\"", …). NULL fmt = no
 * pairs.
 */
void ps_log(enum ps_log_level level, const char *msg, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * A text of any length that somebody asked to see, so whatever the level is: a line of the log for each line of it, a
 * long one in pieces, msg="ai debug" step="prompt.user" text="…".
 */
void ps_log_text(const char *msg, const char *step, const char *text);

/* ps_log with the code, field and message of a ps_error as pairs. */
struct ps_error;
void ps_log_failure(const char *msg, int ret, const struct ps_error *err);

#endif
