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

/* Incidents that are kept, open and closed: two screens of a day's worth; 700 bytes each. */
#define PS_INCIDENTS_MAX 1024

/*
 * Rows of the tables. All start small, double as they fill, and halve as they empty; all of them full, which takes an
 * attack from a hundred thousand addresses, are 50 MB (docs/detectors.md).
 */
#define PS_TRACKS_FIRST 64u       /* of every table */
#define PS_SIGHTS_MAX 131072u     /* connections whose last record is remembered: two of the kernel's default tables */
#define PS_SCAN_PROBES_MAX 65536u /* attempts that wait, and as many that failed: 13,000 a minute for five minutes */
#define PS_SCAN_TRACKS_MAX 32768u /* sources, (source, host), (source, port) of each */
#define PS_FLOOD_TARGETS_MAX 16384u /* services */
#define PS_BRUTE_PAIRS_MAX 8192u    /* (source, login service) */
#define PS_SWEEP_PROBES_MAX 16384u  /* echo requests: twice the kernel's ICMP table */
#define PS_SWEEP_SOURCES_MAX 8192u  /* as large as the kernel's ICMP table */
#define PS_TUNNEL_PAIRS_MAX 4096u   /* half the kernel's ICMP table: requests and replies are a pair */
#define PS_AMP_PAIRS_MAX 8192u      /* (victim, service) */
#define PS_BEACON_PAIRS_MAX 32768u  /* (source, service): 290 bytes each */

/* A record without a beginning is of a new connection if its first packet is at most this old: a report and a sweep. */
#define PS_SIGHT_FRESH_NS 10000000000ull

/* A connection that was silent for this long is forgotten; most end long before. */
#define PS_SIGHT_KEEP_NS 3600000000000ull

/* The clock may go back this far (records of two programs that convert times a moment apart) before all is forgotten.
 */
#define PS_DETECT_BACK_NS 60000000000ull

/* Judging: once in this time. */
#define PS_DETECT_TICK_NS 1000000000ull
/* A tick may come a little early, after one that was late. */
#define PS_DETECT_EARLY_NS 250000000ull

/* Intervals that are remembered of a caller; detect-beacon-calls may ask for one more. */
#define PS_BEACON_INTERVALS 15u
/* Connections within this time are one call: a program that opens two at once. */
#define PS_BEACON_TOGETHER_NS 500000000ull

/* Failed attempts that are looked through for ids to cite: the newest come first. */
#define PS_SCAN_CITE_LOOK 4096u

#endif
