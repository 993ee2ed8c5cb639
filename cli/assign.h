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

/* All words into a new map. */
int ps_assign_all(int n, char *const *words, struct ps_value **ret_body, struct ps_error *err);

#endif
