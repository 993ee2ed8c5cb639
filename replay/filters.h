/*
 * A rule set from a file: a list of rules as they are posted to the API, or the object {"version": 1, "rules": […]} of
 * the state directory.
 */
#ifndef PS_REPLAY_FILTERS_H
#define PS_REPLAY_FILTERS_H

#include <stddef.h>

#include "common/base/error.h"
#include "common/model/rule.h"

/*
 * Reads a document. A rule without `id` gets the lowest one that is free, as from the API. -EINVAL fills err: the field
 * ("rules[2].src_ip"), what is wrong and what would be right. *ret_rules is the caller's (ps_rules_clear), in order of
 * the file.
 */
int ps_filters_parse(const char *text, size_t len, struct ps_rules *ret_rules, struct ps_error *err);

/* The same of a file ("-" = standard input). err has field "filters" where the file itself is what's wrong. */
int ps_filters_load(const char *path, struct ps_rules *ret_rules, struct ps_error *err);

#endif
