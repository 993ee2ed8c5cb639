/*
 * Answers without the key: an endpoint may send back what it was given, in whatever spelling JSON allows. Pure.
 */
#ifndef PS_AI_REDACT_H
#define PS_AI_REDACT_H

#include "common/base/secret.h"
#include "common/model/value.h"

/* A copy in which no text and no name holds the secret (ps_secret_redact). NULL on no memory. */
struct ps_value *ps_redact_value(const struct ps_secret *key, const struct ps_value *v);

#endif
