/*
 * The reason of a failure, for a person: what library code returns beside -errno.
 *
 * A function that takes `struct ps_error *err` fills it when it fails and leaves it alone when it succeeds; err may be
 * NULL.
 */
#ifndef PS_ERROR_H
#define PS_ERROR_H

struct ps_error {
	int status;        /* HTTP's word for the kind: 400 bad input, 404, 409, 412, 429, 500, 503 … */
	char code[32];     /* stable, for programs: "bad_value", "not_found" … */
	char field[64];    /* the offending field or option; "" = none */
	char message[256]; /* what is wrong and what to do, one sentence or two, UTF-8 */
};

/* Fills err (if not NULL) and returns `ret`, so that a function can end with `return ps_error_set(…)`. */
int ps_error_set(struct ps_error *err, int ret, int status, const char *code, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

/* Empties err. */
void ps_error_clear(struct ps_error *err);

#endif
