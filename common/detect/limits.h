/*
 * Sizes of the detectors, each with its reason. What an operator may set is in threshold.def.
 */
#ifndef PS_DETECT_LIMITS_H
#define PS_DETECT_LIMITS_H

/* Connection ids that a finding cites: what a person looks at. */
#define PS_FINDING_CONNECTIONS_MAX 20
/* Numbers of a finding; no detector has more than six. */
#define PS_FINDING_NUMBERS_MAX 8
#define PS_FINDING_TITLE_MAX 192
/* How long a proposed rule stays in force, once somebody installs it. */
#define PS_FINDING_RULE_TTL_S 3600
/* Packets a second and source that a proposed rule lets through where the traffic may have a good use too. */
#define PS_FINDING_RULE_RATE 10

#endif
