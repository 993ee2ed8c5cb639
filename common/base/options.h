/*
 * Options of a program: one table gives the flag, the environment variable, the key in the configuration file, the
 * default and the help text. A flag beats the environment, the environment beats the file.
 *
 *	static const struct ps_option table[] = {
 *		PS_OPT_STR("iface", 'i', struct settings, iface, "", "NAME[,NAME…]", "interfaces to watch"),
 *		PS_OPT_END,
 *	};
 *
 * --iface X, --iface=X, -iface X and PACKETSCOPE_IFACE=X all work; an empty variable counts as not set; --flag=no takes
 * a BOOL back. In the file (INI; comments are whole lines that begin with # or ;, a value may stand in double quotes) a
 * key stands under the section of the program ([collector]) or under [packetscope] for all, the program's own first.
 */
#ifndef PS_OPTIONS_H
#define PS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum ps_option_type {
	PS_OPTION_STR,     /* const char *: argv's, the environment's or memory that lives as long as the program */
	PS_OPTION_BOOL,    /* bool; as a flag without value; "true/false/1/0/yes/no" elsewhere */
	PS_OPTION_U64,     /* uint64_t within min…max */
	PS_OPTION_SECONDS, /* uint64_t in ns; "5", "0.5", "120s", "5m", "2h" */
};

struct ps_option {
	const char *name; /* long name, without dashes; NULL ends the table */
	char letter;      /* short name or 0 */
	enum ps_option_type type;
	size_t offset;        /* into the settings struct */
	const char *fallback; /* default as text; NULL = zero */
	uint64_t min, max;    /* for U64 and SECONDS (ns); max 0 = no limit */
	const char *arg;      /* shown in the help; NULL for BOOL */
	const char *help;
	bool deed; /* what to do instead of running (--version): a flag only, never in the environment or the file */
	bool list; /* may be given several times: the values are joined with commas */
};

#define PS_OPT_STR(n, l, st, f, def, a, h) \
	{ \
		n, l, PS_OPTION_STR, offsetof(st, f), def, 0, 0, a, h, false, false \
	}
/* A list with commas; as a flag it may also be given several times. */
#define PS_OPT_LIST(n, l, st, f, def, a, h) \
	{ \
		.name = (n), .letter = (l), .type = PS_OPTION_STR, .offset = offsetof(st, f), .fallback = (def), \
		.arg = (a), .help = (h), .deed = false, .list = true \
	}
#define PS_OPT_BOOL(n, l, st, f, h) \
	{ \
		n, l, PS_OPTION_BOOL, offsetof(st, f), "false", 0, 0, NULL, h, false, false \
	}
#define PS_OPT_DEED(n, l, st, f, h) \
	{ \
		n, l, PS_OPTION_BOOL, offsetof(st, f), "false", 0, 0, NULL, h, true, false \
	}
#define PS_OPT_U64(n, l, st, f, def, lo, hi, a, h) \
	{ \
		n, l, PS_OPTION_U64, offsetof(st, f), def, lo, hi, a, h, false, false \
	}
#define PS_OPT_SECONDS(n, l, st, f, def, lo, hi, h) \
	{ \
		n, l, PS_OPTION_SECONDS, offsetof(st, f), def, lo, hi, "SECONDS", h, false, false \
	}
#define PS_OPT_END \
	{ \
		NULL, 0, PS_OPTION_STR, 0, NULL, 0, 0, NULL, NULL, false, false \
	}

/*
 * Fills `settings` from defaults, file, environment, flags. `program` is the section ("collector"). `*argc`/`argv` lose
 * the flags: what remains are the operands (argv[0] stays; "--" ends flags). The file is --config FILE, or
 * PACKETSCOPE_CONFIG, or `default_file` if it exists (NULL = none); an unknown key in the program's own section is an
 * error, in [packetscope] it is not. -EINVAL fills err (field = option name, message with the remedy). -ECANCELED:
 * --help was asked for.
 */
int ps_options_parse(const struct ps_option *table, const char *program, const char *default_file, int *argc,
	char **argv, void *settings, struct ps_error *err);

/*
 * The table as a section of a configuration file: every option with its help, as a comment with its default. What
 * stands in the package's file is made from this, so that it can't be out of date.
 */
struct ps_buf;
void ps_options_template(const struct ps_option *table, const char *program, struct ps_buf *out);

/* Help text of a table, one option a line, as --help prints it. */
void ps_options_help(const struct ps_option *table, struct ps_buf *out);

#endif
