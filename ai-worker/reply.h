/*
 * What a model said, as data. It is input from outside: found in the text (as a whole, in a fenced block, or between
 * the first brace and the last), parsed, held against the form that was asked for, cut to size. Pure. Whether its rules
 * may stand is another question (proposal.h).
 */
#ifndef PS_AI_REPLY_H
#define PS_AI_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/model/value.h"

/* The JSON schema of the answer: analysis, suggestions, and filters or else a summary. NULL on no memory. */
struct ps_value *ps_reply_schema(bool with_filters);

/*
 * {analysis, suggestions: [text…], filters: [map…]} or {summary, analysis, suggestions}. -EINVAL: err->message is a
 * reason that a model can act on. -ENOMEM.
 */
int ps_reply_read(const char *text, size_t len, bool with_filters, struct ps_value **ret_answer, struct ps_error *err);

/* A text from outside for a person: one line or paragraphs, without control characters, at most `max` bytes. NULL on no
 * memory. */
struct ps_value *ps_reply_clean(const char *text, size_t len, size_t max);

#endif
