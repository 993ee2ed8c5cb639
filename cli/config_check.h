/*
 * Is every section and every key of a configuration file one that some program reads? The programs themselves say only
 * what is wrong in their own sections, so that one file serves all; a misspelt section would pass unseen.
 */
#ifndef PS_CONFIG_CHECK_H
#define PS_CONFIG_CHECK_H

#include "common/base/error.h"

/* A section and the options that may stand in it: the template of a program (ps_options_template), or a verb's table.
 */
struct ps_config_section {
	const char *name;
	const char *template; /* NULL: options */
	const struct ps_option *options;
};

/*
 * Pure but for reading the file. Keys under [packetscope] must be known to one section at least. -EINVAL fills err with
 * file, line and what there is.
 */
int ps_config_check(const char *path, const struct ps_config_section *sections, unsigned n, struct ps_error *err);

#endif
