/*
 * The configuration file: sections, and under each of them "key = value" lines. Comments are whole lines that begin
 * with # or ;, a value may stand in double quotes, lines may be of any length.
 */
#ifndef PS_INI_H
#define PS_INI_H

#include "common/base/error.h"

/*
 * One pair; its texts are good during the call. A negative return ends the reading with it. A line without "=" has no
 * value (NULL): whoever the section belongs to says so (ps_ini_no_value), others need not understand it.
 */
struct ps_ini_pair {
	const char *path;
	int line;
	const char *section, *key, *value;
};
typedef int (*ps_ini_fn)(void *arg, const struct ps_ini_pair *pair, struct ps_error *err);

int ps_ini_no_value(const struct ps_ini_pair *pair, struct ps_error *err); /* -EINVAL */

/* -EINVAL fills err with file, line and remedy: cannot be read, a key before the first section. */
int ps_ini_read(const char *path, ps_ini_fn fn, void *arg, struct ps_error *err);

#endif
