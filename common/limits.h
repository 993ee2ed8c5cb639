/*
 * Sizes and limits of user space, each with its reason. What the kernel part must agree on is in bpf/limits.h.
 */
#ifndef PS_COMMON_LIMITS_H
#define PS_COMMON_LIMITS_H

/* The oldest kernel that takes the kernel part: atomic operations that return a value, which arm64's JIT got later. */
#define PS_KERNEL_MAJOR 5
#ifdef __aarch64__
#define PS_KERNEL_MINOR 18
#else
#define PS_KERNEL_MINOR 15
#endif

/* The bus. */
#define PS_BUS_SCHEMA_VERSION 1
#define PS_BUS_RECORDS_MAX 1024    /* records in one message: above 256 libzmq batches well, above 1024 taps wait */
#define PS_BUS_DELAY_NS 5000000ull /* a record waits at most this long for company */
#define PS_BUS_CALM_NS \
	40000000ull /* a conn.update, which comes again in a second: each message wakes five threads up, none of a person */
#define PS_BUS_HWM \
	1000 /* messages a slow tap may fall behind before it loses its own: 185 MB if all are full, 5 s at 200,000 \
		records/s */
#define PS_BUS_MESSAGE_MAX (1 << 20) /* bytes of one frame that we accept: 1024 records of 600 bytes and room */
#define PS_BUS_HEADER_MAX \
	(16 << 10) /* bytes of a header map: 96 columns of 32 bytes, host and numbers, four times over */
#define PS_BUS_SUBSCRIPTION_MAX \
	512 /* bytes that a publisher takes from a peer at once: a topic, or a step of the handshake; libzmq keeps 30 \
	       a byte */
#define PS_BUS_TOPIC_MAX 32 /* bytes of a topic name */
#define PS_BUS_CALL "!"     /* what a subscriber that calls subscribes to: no topic begins like that */
#define PS_BUS_MARK_EVERY \
	5 /* seconds between two messages of a topic that stays silent: each is read by every subscriber, which must \
	     wake up */
#define PS_BUS_FIELDS_MAX 96 /* columns of a record */
#define PS_BUS_RECONNECT_MS \
	20 /* between two tries to reach a publisher that went: what it says meanwhile is lost, and a try costs 20 us \
	    */
#define PS_CURVE_LINES_MAX 65536 /* lines of a key file, files of a directory: more taps than a socket can serve */
#define PS_BUS_LINGER_MS 200     /* how long a closing program waits for what it has sent */

/* Routing tables: /proc/net/ipv6_route of a router with a full table is larger, but its default route stands near the
 * top. */
#define PS_ROUTES_FILE_MAX (8u << 20)

/* Requests. */
#define PS_REQUEST_TIMEOUT_MS 2000 /* a part that does not answer within this is reported as down */
#define PS_REQUEST_WAITING_MAX 256 /* requests that queue for one part: as many as the gateway has clients */
#define PS_REQUEST_PAGE_MAX 1000   /* records in one reply */

/* Values from outside (JSON, msgpack). */
#define PS_VALUE_DEPTH_MAX 16        /* nothing we speak nests deeper than 6 */
#define PS_VALUE_NODES_MAX 400000    /* 4096 rules of 40 fields, twice over */
#define PS_VALUE_BYTES_MAX (8 << 20) /* of one document: 4096 rules of 1 KiB, twice over */
#define PS_VALUE_KEYS_MAX 1024       /* of one map: nothing we speak has 100; keys made to collide cost its square */

/* HTTP. */
#define PS_HTTP_BODY_MAX (8 << 20) /* a whole rule set; also PS_VALUE_BYTES_MAX */
#define PS_HTTP_BODY_RULES \
	(128 << 20) /* a set of rules that is taken apart as it comes: 131,072 of 1 KiB; never in memory as a whole */
#define PS_HTTP_BODY_SMALL \
	(64 << 10) /* one rule, one question: 100 times what they need; also what is read before a refusal */
#define PS_HTTP_CONNECTIONS_MAX 256
#define PS_HTTP_PER_IP_MAX 64         /* of one foreign address: a browser opens 6, a scraper a few */
#define PS_HTTP_LEAVING 64            /* connections that were shut to make room and are not gone yet */
#define PS_HTTP_PIECE (16 << 10)      /* bytes of an answer that is made while it is sent */
#define PS_HTTP_BACKLOG 128           /* connections that wait to be accepted */
#define PS_HTTP_REQUEST_TIMEOUT_S 10  /* from the first byte to the last of a request */
#define PS_HTTP_RESPONSE_TIMEOUT_S 60 /* to take the whole answer: 16 MB over 2 Mbit/s */
#define PS_HTTP_IDLE_TIMEOUT_S 30     /* without a byte either way */
#define PS_HTTP_MEMORY (32 << 10)     /* of one connection: request line and headers must fit */
#define PS_HTTP_TARGET_MAX 4096       /* bytes of path and query */
#define PS_HTTP_QUERY_MAX 16          /* parameters of a query; no route has more than 10 */
#define PS_HTTP_HEADERS_MAX 16        /* of an answer; we set at most 12 */
#define PS_LIST_DEFAULT 1000          /* elements of a list without ?limit= */
#define PS_LIST_MAX 10000             /* elements of one answer: 16 MB of JSON */
#define PS_LIST_OFFSET_MAX \
	2000000 /* rows of a list that may be left out before the answer: twice the largest table we speak of */
#define PS_LIST_LARGE_MAX 4 /* lists of more than one page that are put together at once: 64 MB in the worst case */
#define PS_GENERATE_TIMEOUT_MS \
	660000 /* a model's own time-out, 600 s at most, and a minute for what comes after it; who can't wait asks for \
		  a job */
#define PS_RULES_TIMEOUT_MS 30000 /* to take in, check and install a whole set: 131,072 rules */
#define PS_COLLECTOR_SILENT_S 3   /* it says once a second that it works; at rest no tick is ever two seconds late */
#define PS_FORWARD_GRACE_MS \
	250 /* a request that was begun in time may still be answered: longer than a rule takes to reach the disk */
#define PS_FORWARD_PENDING_MAX 1024 /* requests to the other parts that wait for their reply: 4 a connection */

/* Rules. */
#define PS_RULE_COMMENT_MAX 512   /* bytes, UTF-8 */
#define PS_RULE_PORTS_MAX 16      /* separate ranges of one port field: one rule stays a few lines of a screen */
#define PS_RULE_RATE_MAX 1000000  /* packets a second of rate_limit: a source that sends more is a link, not a host */
#define PS_RULE_TTL_MAX 315360000 /* seconds: ten years; longer is for ever, and the sum stays far below 2^63 ns */
#define PS_RULE_CONFIRM_MAX 3600  /* seconds of confirm_within: an hour to come back from lunch */
#define PS_RULE_LINT_MAX 2000     /* rules of a set that are compared with each other: 4 million pairs, 40 ms */
#define PS_RULE_PRIORITY_MAX 1000000 /* room to put rules between others for a lifetime */

/* Tables of connections: the aggregator's, a tap's. */
#define PS_CONN_BLOCK 256u /* records are made in blocks of this many: an idle installation stays small */
#define PS_ENDED_MAX 16384 /* ended connections that are remembered */
#define PS_ENDED_NS (600ull * 1000000000ull) /* and for how long: the preview looks 10 minutes back */
#define PS_EXPIRY_GRACE_NS 200000000ull /* between hiding a slot and reusing it: no packet is still counting in it */

#endif
