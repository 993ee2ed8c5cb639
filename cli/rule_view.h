/*
 * Rules, previews and refusals as people read them: JSON of the gateway in, text out. Pure.
 */
#ifndef PS_RULE_VIEW_H
#define PS_RULE_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/model/value.h"

/* A table of rules, and below it the warnings that they carry. A width of SIZE_MAX leaves nothing out. */
void ps_rule_view_table(const struct ps_value *const *rules, size_t n, size_t width, bool colour, struct ps_buf *out);

/* One rule, a line for each thing that there is to say. */
void ps_rule_view_one(const struct ps_value *rule, bool colour, struct ps_buf *out);

/*
 * What a preview (or the impact that an answer carries) says: what would be hit, whose connections are in danger, and
 * the warnings.
 */
void ps_rule_view_impact(const struct ps_value *impact, bool colour, struct ps_buf *out);

/* The `guard` list of a preview or of a refusal; nothing when it is empty. */
void ps_rule_view_guard(const struct ps_value *guard, bool colour, struct ps_buf *out);

/* A list of sentences, each behind "warning: ". */
void ps_rule_view_warnings(const struct ps_value *list, bool colour, struct ps_buf *out);

/* What to do about a problem with that code, with a line end; "" where its own words say it. */
const char *ps_rule_view_remedy(const char *code);

#endif
