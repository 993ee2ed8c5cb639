/*
 * Rule fields as words of the command line ("dst_port=23") to the body of a request. Pure.
 */
#ifndef PS_ASSIGN_H
#define PS_ASSIGN_H

#include "common/base/error.h"
#include "common/model/value.h"

/*
 * Adds one field to `body` (a map). What JSON type the value gets follows the field's kind in common/model/rule.def:
 * numbers where the text is a number, true and false for enabled, text elsewhere. Only the shape is checked here; the
 * gateway judges the value. -EINVAL fills err: no '=', unknown field (with the one that was probably meant), a field
 * given twice, an impossible boolean.
 */
int ps_assign(struct ps_value *body, const char *word, struct ps_error *err);

/*
 * Flags to words, in place: "--src-ip 10.0.0.0/8", "--src-ip=10.0.0.0/8" and "-src_ip 10.0.0.0/8" become
 * "src_ip=10.0.0.0/8"; for fields that are true or false, "--enabled" alone is true. Flags that are no field of a rule
 * stay, and so does all behind "--". -EINVAL: a flag without its value. The new words live as long as the program.
 */
int ps_assign_flags(int *argc, char **argv, struct ps_error *err);

/* Takes `name` out of a body into a query: "?force=true", "&ttl=60". 0, or -ENOMEM. */
struct ps_buf;
int ps_assign_query(struct ps_value *body, const char *name, struct ps_buf *query);

/* The fields with their meaning, a line each. */
void ps_assign_help(struct ps_buf *out);

/* All words into a new map. */
int ps_assign_all(int n, char *const *words, struct ps_value **ret_body, struct ps_error *err);

#endif
