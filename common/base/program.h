/*
 * The beginning of a program that takes options and no operands: the same for each of them.
 */
#ifndef PS_PROGRAM_H
#define PS_PROGRAM_H

#include <stdbool.h>

#include "common/base/options.h"

/* Where every program looks for its options if nobody names a file. */
#define PS_CONFIG_FILE "/etc/packetscope/packetscope.conf"

struct ps_program {
	const char *name;  /* "aggregator": in the log, in the configuration file, behind "packetscope-" */
	const char *about; /* a sentence for --help */
	const struct ps_option *options;
};

/* What ps_program_begin returns when the program shall go on: no exit status. */
#define PS_PROGRAM_GO (-1)

/*
 * Reads the options into `settings` (ps_options_parse) and sets the log up. Answers --help, --version,
 * --check-config, --print-config, --print-manual and wrong options itself: the exit status to end with, 0, or 2 for a
 * wrong option, which is logged. log_level and version point into settings.
 */
int ps_program_begin(const struct ps_program *program, int argc, char **argv, void *settings,
	const char *const *log_level, const bool *version);

/*
 * Takes `flag` out of the command line; false: it is not there. For what every program answers without a row in its
 * table: --check-config (read the options and end), --print-config (ps_program_print_config).
 */
bool ps_program_take(const char *flag, int *argc, char **argv);

/* Prints the program's section of a configuration file. Returns the exit status. */
int ps_program_print_manual(const struct ps_program *program); /* --print-manual: its page of section 8 */
int ps_program_print_config(const struct ps_option *options, const char *name);

#endif
