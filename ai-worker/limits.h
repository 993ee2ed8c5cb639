/*
 * Sizes and thresholds of the AI worker, each with its reason.
 */
#ifndef PS_AI_LIMITS_H
#define PS_AI_LIMITS_H

/* Rows of each list of the figures: what a person reads at once. */
#define PS_AI_TOP 5

/* A snapshot comes every five seconds; without one for this long the picture is not of now. */
#define PS_AI_STALE_NS (15ull * 1000000000ull)

/* From here on a share is worth a sentence. Below so many connections or packets it is chance. */
#define PS_AI_HALF_OPEN_SHARE 0.3
#define PS_AI_HALF_OPEN_MIN 20
#define PS_AI_RETRANS_SHARE 0.02
#define PS_AI_RETRANS_MIN_PACKETS 100
#define PS_AI_TALKER_SHARE 0.5
#define PS_AI_TALKER_MIN_BYTES 1000000
#define PS_AI_TABLE_FILL 0.8
#define PS_AI_ICMP_ERRORS_SHARE 0.2
#define PS_AI_ICMP_MIN 100

/* Findings in an answer, if nobody says how many: a screen or two. */
#define PS_AI_FINDINGS_DEFAULT 100
/* A finding that is over speaks of now for so long. */
#define PS_AI_FINDINGS_RECENT_NS (3600ull * 1000000000ull)

/* Messages of the bus that are taken before requests have their turn: 16,384 records at most, some 30 ms. */
#define PS_AI_LOOKOUT_BURST 16

/* The detectors' tick waits so long for the message of the second (`stats`), which wakes the worker up anyway. */
#define PS_AI_TICK_SLACK_NS 200000000ull

/* Of the free memory at the end of the heap so much stays ours: an answer in the making. */
#define PS_AI_KEEP_BYTES (256u << 10)

/* --- The LLM ------------------------------------------------------------------------------------- */

#define PS_AI_MODEL "gpt-4" /* if none is configured: what every account has */
#define PS_AI_MODEL_MAX 128 /* bytes of a model's name: the longest in use have 80 */
#define PS_AI_KEY_MAX 4096  /* bytes of a key: OpenAI's have 164; a token of an identity provider 2 KB */
#define PS_AI_TEMPERATURE 0.2
#define PS_AI_TIMEOUT 120     /* seconds for the whole answer, retries included */
#define PS_AI_TIMEOUT_MAX 600 /* nobody waits longer; also what the gateway waits */

/* Questions. */
#define PS_AI_CUSTOM_PROMPT_MAX 2000 /* bytes: 500 tokens, so that it cannot crowd out the data */
#define PS_AI_PROMPT_TOKENS 6000     /* of one question: fits a context of 8192 with the answer */
#define PS_AI_PROMPT_TOKENS_MAX 1000000
#define PS_AI_ANSWER_TOKENS 1500 /* ten rules of 100 tokens and a page of text */
#define PS_AI_ANSWER_TOKENS_MAX 100000
#define PS_AI_BYTES_PER_TOKEN 2 /* addresses and numbers make short tokens; counting too many is the safe side */
#define PS_AI_CONTEXT_RULES 50  /* existing rules that are shown */
#define PS_AI_CONTEXT_ICMP 50
#define PS_AI_QUOTED_MAX 120 /* bytes of a text from outside */

/* Answers. */
#define PS_AI_ANSWER_BYTES (1 << 20) /* of one HTTP answer: a hundred times what the tokens allow */
#define PS_AI_TEXT_MAX 8192          /* bytes of `analysis` */
#define PS_AI_SUGGESTIONS_MAX 20
#define PS_AI_SUGGESTION_MAX 500
#define PS_AI_FILTERS_MAX 10      /* what a person can check */
#define PS_AI_REJECTED_MAX 20     /* shown; the rest is counted */
#define PS_AI_EVIDENCE_MAX 20     /* connections and findings that a rule may cite */
#define PS_AI_RULE_TTL 3600       /* seconds, if the answer names none */
#define PS_AI_RULE_TTL_MAX 604800 /* a week: what should stay longer, a person decides */
#define PS_AI_REPAIR_SHOWN 4000   /* bytes of the invalid answer that are shown to the model again */

/* Calls. */
#define PS_AI_CONNECT_TIMEOUT_MS 10000
#define PS_AI_TRIES 3                  /* of one request that ends in 429, 5xx or a broken connection */
#define PS_AI_BACKOFF_NS 1000000000ull /* before the second; doubles */
#define PS_AI_HABITS_MAX 16            /* endpoints whose habits are remembered */

/* Jobs. */
#define PS_AI_RUNNING_MAX 2 /* LLM calls in flight: an account's rate limit is soon reached */
#define PS_AI_QUEUE_MAX 8   /* that wait; beyond it 429 */
#define PS_AI_JOBS_KEPT 64  /* finished ones that can be asked for */
#define PS_AI_JOB_KEPT_NS (600ull * 1000000000ull)
#define PS_AI_PREVIEW_TIMEOUT_MS 5000 /* the aggregator looks at a million connections for one rule */

#endif
