/*
 * How much room the columns of a record take as the hot codec writes them. Private to batch.c, batch_read.c and row_json.c.
 */
#ifndef PS_BATCH_LAYOUT_H
#define PS_BATCH_LAYOUT_H

#include <stddef.h>

#include "common/model/schema.h"

/* The most that a column can take. */
#define MAX_U8 2
#define MAX_U16 3
#define MAX_U32 5
#define MAX_U64 9
#define MAX_ID 17
#define MAX_PROTO 8
#define MAX_ADDR (2 + PS_ADDR_TEXT)
#define MAX_NAME (2 + PS_NAME_SIZE)
#define MAX_TEXT (2 + PS_TEXT_SIZE)
#define MAX_BOOL 1
#define MAX_TIME 9
#define MAX_SPAN 9
#define MAX_RATIO 9
#define MAX_RULE 5
#define MAX_WORD 16
#define MAX_VIEW MAX_WORD
#define MAX_STATE MAX_WORD
#define MAX_END MAX_WORD
#define MAX_VERDICT MAX_WORD
#define MAX_DIRECTION MAX_WORD
#define MAX_MODE MAX_WORD

/* The columns of a connection, by number. */
enum {
#define PS_CONN(name, kind, doc) CONN_##name,
#include "common/model/schema.def"
};

/*
 * The quiet columns. Where nothing has gone wrong all of them are zero: one piece of memory in the struct, and as many
 * zeros on the wire, written and read at once.
 */
#define CONN_QUIET_FIRST orig_retrans_packets
#define CONN_QUIET_LAST resp_dropped_packets
#define CONN_QUIET_AT offsetof(struct ps_conn, CONN_QUIET_FIRST)
#define CONN_QUIET_SIZE \
	(offsetof(struct ps_conn, CONN_QUIET_LAST) + sizeof((struct ps_conn){0}.CONN_QUIET_LAST) - CONN_QUIET_AT)
#define CONN_IS_BEFORE(name) (CONN_##name < CONN_orig_retrans_packets)
#define CONN_IS_BEHIND(name) (CONN_##name > CONN_resp_dropped_packets)
#define CONN_IS_QUIET(name) (!CONN_IS_BEFORE(name) && !CONN_IS_BEHIND(name))

enum {
#define PS_CONN(name, kind, doc) +1
	CONN_COLUMNS = 0
#include "common/model/schema.def"
		,
#define PS_ICMP(name, kind, doc) +1
	ICMP_COLUMNS = 0
#include "common/model/schema.def"
		,
#define PS_DROP(name, kind, doc) +1
	DROP_COLUMNS = 0
#include "common/model/schema.def"
		,
#define PS_CONN(name, kind, doc) +MAX_##kind
	CONN_MAX = 3
#include "common/model/schema.def"
		,
#define PS_ICMP(name, kind, doc) +MAX_##kind
	ICMP_MAX = 3
#include "common/model/schema.def"
		,
#define PS_DROP(name, kind, doc) +MAX_##kind
	DROP_MAX = 3
#include "common/model/schema.def"
};

enum {
#define PS_CONN(name, kind, doc)
#define PS_CONN_QUIET(name, kind, doc) +1
	CONN_QUIETS = 0
#include "common/model/schema.def"
};

/* They lie together, and zeros in the struct are zeros on the wire. */
_Static_assert(CONN_resp_dropped_packets - CONN_orig_retrans_packets + 1 == CONN_QUIETS, "first to last, no other");
#define IS_COUNT(kind) (PS_KIND_##kind <= PS_KIND_U64)
#define PS_CONN(name, kind, doc) _Static_assert(!CONN_IS_QUIET(name), #name " is not quiet");
#define PS_CONN_QUIET(name, kind, doc) _Static_assert(CONN_IS_QUIET(name) && IS_COUNT(kind), #name " is no count");
#include "common/model/schema.def"

#endif
