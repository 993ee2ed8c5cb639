/*
 * What `packetscope` can do: one table of verbs. Adding one is a row there and a file verb_NAME.c.
 */
#ifndef PS_VERB_H
#define PS_VERB_H

#include "cli/settings.h"
#include "common/base/error.h"
#include "common/base/options.h"

/* Exit codes; scripts rely on them (docs/cli.md). */
enum ps_exit {
	PS_EXIT_OK = 0,
	PS_EXIT_FAILED = 1, /* it was done and the answer is no: a part is down, a check failed, a rule was refused */
	PS_EXIT_USAGE = 2,  /* the command line or the configuration is wrong */
	PS_EXIT_UNREACHABLE = 3, /* nothing answers at the gateway's address */
};

struct ps_verb {
	const char *name;
	const char *synopsis; /* what follows the name */
	const char *help;     /* one line */
	const struct ps_option *options;
	/* Operands without the verb's name. Returns an enum ps_exit. */
	int (*run)(const struct ps_settings *s, int n, char **operands);
};

extern const struct ps_verb ps_verbs[];
extern const unsigned ps_verbs_count;
#define PS_VERBS_MAX 64 /* room for tables that hold a row for each */

/* NULL: there is none of that name. */
const struct ps_verb *ps_verb_find(const char *name);

/*
 * The whole program: argv as main gets it. Without a verb but with options, as in `packetscope -iface eth0`, it is
 * `up`.
 */
int ps_cli_main(int argc, char **argv);

/* OPENAI_API_KEY, which every verb takes out of its environment at once: for the AI worker, and for nobody else. */
struct ps_secret;
const struct ps_secret *ps_cli_openai_key(void);

/* Says on standard error what failed, "packetscope: FIELD: message", and returns the exit code that fits err->status.
 */
int ps_cli_fail(const struct ps_error *err);

/* A usage error of a verb, with its synopsis. Returns PS_EXIT_USAGE. */
int ps_cli_usage(const char *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Writes to standard output. PS_EXIT_FAILED when that fails (a full disk), else `code`. A closed pipe ends the program.
 */
struct ps_buf;
int ps_cli_print(struct ps_buf *text, int code);

/* Whether standard output takes colours: a terminal, TERM is not dumb, NO_COLOR is not set. */
bool ps_cli_colour(void);

/* Characters of a line of the terminal that standard output is; SIZE_MAX = it is none, or does not say. */
size_t ps_cli_width(void);

/* verb_NAME.c */
int ps_verb_up(const struct ps_settings *s, int n, char **operands);
int ps_verb_status(const struct ps_settings *s, int n, char **operands);
int ps_verb_conns(const struct ps_settings *s, int n, char **operands);
int ps_verb_icmp(const struct ps_settings *s, int n, char **operands);
int ps_verb_ai(const struct ps_settings *s, int n, char **operands);
int ps_verb_filters(const struct ps_settings *s, int n, char **operands);
int ps_verb_stats(const struct ps_settings *s, int n, char **operands);
int ps_verb_watch(const struct ps_settings *s, int n, char **operands);
int ps_verb_doctor(const struct ps_settings *s, int n, char **operands);
int ps_verb_replay(const struct ps_settings *s, int n, char **operands);
int ps_verb_keygen(const struct ps_settings *s, int n, char **operands);
int ps_verb_detach(const struct ps_settings *s, int n, char **operands);
int ps_verb_completion(const struct ps_settings *s, int n, char **operands);
int ps_verb_top(const struct ps_settings *s, int n, char **operands);
int ps_verb_check_config(const struct ps_settings *s, int n, char **operands);
int ps_verb_help(const struct ps_settings *s, int n, char **operands);
int ps_verb_version(const struct ps_settings *s, int n, char **operands);

#endif
