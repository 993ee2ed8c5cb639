/*
 * Sizes and limits of user space, each with its reason. What the kernel part must agree on is in bpf/limits.h.
 */
#ifndef PS_COMMON_LIMITS_H
#define PS_COMMON_LIMITS_H

/* The bus. */
#define PS_BUS_SCHEMA_VERSION 1
#define PS_BUS_RECORDS_MAX 1024 /* records in one message: above 256 libzmq batches well, above 1024 taps wait */
#define PS_BUS_DELAY_NS 5000000ull /* a record waits at most this long for company */
#define PS_BUS_HWM 4000 /* messages a slow tap may fall behind before it loses its own */
#define PS_BUS_MESSAGE_MAX (1 << 20) /* bytes of one frame that we accept: 1024 records of 600 bytes and room */
#define PS_BUS_TOPIC_MAX 32 /* bytes of a topic name */
#define PS_BUS_FIELDS_MAX 96 /* columns of a record */
#define PS_BUS_LINGER_MS 200 /* how long a closing program waits for what it has sent */

/* Requests. */
#define PS_REQUEST_TIMEOUT_MS 2000 /* a part that does not answer within this is reported as down */
#define PS_REQUEST_PAGE_MAX 1000 /* records in one reply */

/* Values from outside (JSON, msgpack). */
#define PS_VALUE_DEPTH_MAX 16 /* nothing we speak nests deeper than 6 */
#define PS_VALUE_NODES_MAX 400000 /* 4096 rules of 40 fields, twice over */
#define PS_VALUE_BYTES_MAX (8 << 20) /* of one document: 4096 rules of 1 KiB, twice over */

/* HTTP. */
#define PS_HTTP_BODY_MAX (8 << 20) /* a whole rule set; also PS_VALUE_BYTES_MAX */
#define PS_HTTP_CONNECTIONS_MAX 256
#define PS_HTTP_REQUEST_TIMEOUT_S 10 /* from the first byte to the last of a request */

/* Rules. */
#define PS_RULE_COMMENT_MAX 512 /* bytes, UTF-8 */

/* Tables of the aggregator. */
#define PS_ENDED_MAX 16384 /* ended connections that are remembered */
#define PS_ENDED_NS (600ull * 1000000000ull) /* and for how long: the preview looks 10 minutes back */
#define PS_EXPIRY_GRACE_NS 200000000ull /* between hiding a slot and reusing it: no packet is still counting in it */

#endif
