/*
 * Does a rule really match what it is said to be for? Pure. Uses the reference matcher of common/model/rule.h on
 * packets that the connection or finding stands for.
 */
#ifndef PS_AI_EVIDENCE_H
#define PS_AI_EVIDENCE_H

#include <stdbool.h>

#include "ai-worker/picture.h"
#include "common/model/rule.h"

/* A packet of either direction: of the connection's addresses, ports and protocol, with any TCP flags that were seen.
 */
bool ps_evidence_conn(const struct ps_rule *rule, const struct ps_conn *conn);

/* A packet that the finding's own proposed rule is about, one from its source to its target, or one of a connection
 * that it names and the picture knows. */
bool ps_evidence_finding(const struct ps_rule *rule, const struct ps_finding *f, const struct ps_picture *p);

#endif
