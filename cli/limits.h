/*
 * Sizes and times of the command line, each with its reason.
 */
#ifndef PS_CLI_LIMITS_H
#define PS_CLI_LIMITS_H

/* Records that one call of `conns` may ask for. */
#define PS_CLI_RECORDS_MAX 1000000u

/* Tables: columns that fit any screen, and the widest cell, so that a long comment does not push the rest away. */
#define PS_TABLE_COLUMNS_MAX 64
#define PS_TABLE_CELL_MAX 256

/* Talking to the gateway: it answers itself within PS_REQUEST_TIMEOUT_MS when a part behind it is silent. */
#define PS_CLI_CONNECT_TIMEOUT_MS 2000
#define PS_CLI_REQUEST_TIMEOUT_MS 15000
#define PS_CLI_RULES_TIMEOUT_MS 60000 /* a full set of rules on a busy host: as long as the gateway goes on sending */
#define PS_CLI_REPLY_MAX (128u << 20) /* PS_HTTP_BODY_RULES: what can be put back can be saved */
#define PS_CLI_KEY_MAX 8192           /* bytes of a file with an API key */
#define PS_CLI_JOB_POLL_US 300000     /* between two looks at a job: a person sees it move */

/* Parts that `up` looks after. */
#define PS_PARTS_MAX 8
#define PS_PART_ARGS_MAX 32

/* A part that dies is started again at once, then after 0.1 s, 0.2 s … 10 s. */
#define PS_BACKOFF_FIRST_NS 100000000ull
#define PS_BACKOFF_MAX_NS 10000000000ull
/* It was well if it lived this long: the next restart is at once again. */
#define PS_BACKOFF_HEALTHY_NS 30000000000ull
/* It was no crash at start if it lived this long: then it waits no longer than this, however often it dies, so that it
 * is back within two seconds also on a busy host, where loading the kernel part takes one. */
#define PS_BACKOFF_LIVED_NS 1000000000ull
#define PS_BACKOFF_LIVED_WAIT_NS 250000000ull

/* A configuration error shows within this time of the first start. */
#define PS_UP_REFUSAL_NS 10000000000ull
/* A part that has never lived for PS_BACKOFF_LIVED_NS and failed this often by itself is not going to. */
#define PS_UP_TRIES 5
/* A part that was told to stop has this long to flush and leave, then it is killed. */
#define PS_UP_STOP_MS 3000
/* Detaching unpins a few links; the kernel waits for the packets in flight. */
#define PS_UP_DETACH_MS 10000
/* The parts of an `up` that was killed are told to leave, and killed after this time. */
#define PS_UP_ORPHANS_MS 5000
/* How often readiness is asked for, and when it is time to say what is missing. */
#define PS_UP_READY_POLL_MS 100
#define PS_UP_READY_COMPLAIN_MS 10000
/* Talkers shown in the summary, and the connections they are taken from. */
#define PS_UP_TALKERS 5
#define PS_UP_TALKER_CONNS 200

/* Programs that `doctor` runs answer at once or not at all. */
#define PS_DOCTOR_PROBE_MS 10000

#endif
