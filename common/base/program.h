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
 * Reads the options into `settings` (ps_options_parse) and sets the log up. Answers --help, --version, --check-config
 * and wrong options itself: the exit status to end with, 0, or 2 for a wrong option, which is logged. log_level and
 * version point into settings.
 */
int ps_program_begin(const struct ps_program *program, int argc, char **argv, void *settings,
	const char *const *log_level, const bool *version);

/*
 * Takes `--check-config` out of the command line if it is there: the program shall read its options and end. Then
 * ps_program_list prints the names it knows, one a line, from which `packetscope check-config` tells a key that
 * nobody knows.
 */
bool ps_program_take_check(int *argc, char **argv);
void ps_program_list(const struct ps_option *options);

#endif
