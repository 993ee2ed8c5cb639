/*
 * The local engine: an answer to `generate` and `analyze` from the detectors' findings and the figures alone. Pure.
 */
#ifndef PS_AI_LOCAL_H
#define PS_AI_LOCAL_H

#include "ai-worker/picture.h"
#include "ai-worker/prompt.h"

/*
 * {success, engine: "local", summary, analysis, suggestions, figures} as ps_analysis, findings included; with
 * q->with_filters also `filters`: the findings' proposals as ps_proposal_read takes them, the worst first. NULL on no
 * memory.
 */
struct ps_value *ps_local_answer(const struct ps_question *q, const struct ps_picture *p);

#endif
