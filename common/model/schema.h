/*
 * The records as C structs, and their fields as data. Both come from schema.def.
 *
 * Kind       C member       bus (msgpack)                 JSON
 * U8…U64     uintN_t        uint                          number
 * ID         uint64_t       str of 16 hex digits; nil=0   same; null
 * PROTO      uint8_t        str "tcp"; nil = 0            same ("udp", "icmp", "icmpv6", or the number as text)
 * ADDR       struct ps_addr str; nil = none               same
 * NAME       char[16]       str                           same
 * TEXT       char[48]       str                           same; null if empty
 * BOOL       bool           bool                          same
 * TIME       uint64_t       uint, ns since 1970           RFC 3339 with fraction
 * SPAN       uint64_t       uint, ns                      seconds with fraction
 * RATIO      double         float 64                      number
 * RULE       int32_t        int; nil = -1                 number; null
 * VIEW STATE END VERDICT DIRECTION MODE   uint8_t enum   str; nil = none   same; null
 */
#ifndef PS_SCHEMA_H
#define PS_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/addr.h"

#define PS_NAME_SIZE 16
#define PS_TEXT_SIZE 48

enum ps_kind {
	PS_KIND_U8,
	PS_KIND_U16,
	PS_KIND_U32,
	PS_KIND_U64,
	PS_KIND_ID,
	PS_KIND_PROTO,
	PS_KIND_ADDR,
	PS_KIND_NAME,
	PS_KIND_TEXT,
	PS_KIND_BOOL,
	PS_KIND_TIME,
	PS_KIND_SPAN,
	PS_KIND_RATIO,
	PS_KIND_RULE,
	PS_KIND_VIEW,
	PS_KIND_STATE,
	PS_KIND_END,
	PS_KIND_VERDICT,
	PS_KIND_DIRECTION,
	PS_KIND_MODE,
};

#define PS_CTYPE_U8(n) uint8_t n
#define PS_CTYPE_U16(n) uint16_t n
#define PS_CTYPE_U32(n) uint32_t n
#define PS_CTYPE_U64(n) uint64_t n
#define PS_CTYPE_ID(n) uint64_t n
#define PS_CTYPE_PROTO(n) uint8_t n
#define PS_CTYPE_ADDR(n) struct ps_addr n
#define PS_CTYPE_NAME(n) char n[PS_NAME_SIZE]
#define PS_CTYPE_TEXT(n) char n[PS_TEXT_SIZE]
#define PS_CTYPE_BOOL(n) bool n
#define PS_CTYPE_TIME(n) uint64_t n
#define PS_CTYPE_SPAN(n) uint64_t n
#define PS_CTYPE_RATIO(n) double n
#define PS_CTYPE_RULE(n) int32_t n
#define PS_CTYPE_VIEW(n) uint8_t n
#define PS_CTYPE_STATE(n) uint8_t n
#define PS_CTYPE_END(n) uint8_t n
#define PS_CTYPE_VERDICT(n) uint8_t n
#define PS_CTYPE_DIRECTION(n) uint8_t n
#define PS_CTYPE_MODE(n) uint8_t n

/* A TCP or UDP connection, both directions. */
struct ps_conn {
#define PS_CONN(name, kind, doc) PS_CTYPE_##kind(name);
#include "common/model/schema.def"
};

/* ICMP messages of one (source, destination, VLANs, type, code). */
struct ps_icmp {
#define PS_ICMP(name, kind, doc) PS_CTYPE_##kind(name);
#include "common/model/schema.def"
};

/* One packet that a rule dropped, or would have in force (mode: enum ps_drop_mode of bpf/abi.h). */
struct ps_drop {
#define PS_DROP(name, kind, doc) PS_CTYPE_##kind(name);
#include "common/model/schema.def"
};

enum ps_record_type {
	PS_RECORD_CONN,
	PS_RECORD_ICMP,
	PS_RECORD_DROP,
	PS_RECORD_TYPES,
};

/* Fields of a record as data, for whoever loops over them. */
struct ps_field {
	const char *name;
	enum ps_kind kind;
	uint16_t offset; /* into the record struct */
	uint16_t size;   /* bytes there */
	const char *doc;
};

struct ps_schema {
	const char *name; /* "connection", "icmp", "drop" */
	const struct ps_field *fields;
	size_t n_fields;
	size_t size; /* of the record struct */
};

extern const struct ps_schema ps_schemas[PS_RECORD_TYPES];

/* The field of that name, or NULL. */
const struct ps_field *ps_schema_find(const struct ps_schema *schema, const char *name, size_t name_len);

/* Values of `state`: TCP's are enum ps_tcp_state of bpf/abi.h; these two follow for everything else. */
#define PS_STATE_UNREPLIED 16
#define PS_STATE_REPLIED 17

enum ps_view {
	PS_VIEW_BOTH = 1,
	PS_VIEW_INGRESS = 2,
};

enum ps_verdict {
	PS_VERDICT_NONE = 0, /* no rule matched or none was asked yet: "pass" */
	PS_VERDICT_ALLOWED,
	PS_VERDICT_DROPPED,
};

/* The words of the enums, by kind (VIEW and those that follow it) and value: the length, the text, zeros up to 16
 * bytes; length 0: none. For those who write and read thousands of them; the functions below for all others. */
#define PS_WORDS_OF(kind) ((kind)-PS_KIND_VIEW)
#define PS_WORD_KINDS (PS_WORDS_OF(PS_KIND_MODE) + 1)
#define PS_WORD_VALUES (PS_STATE_REPLIED + 1)
struct ps_word {
	uint8_t len;
	char text[15];
};
extern const struct ps_word ps_words[PS_WORD_KINDS][PS_WORD_VALUES];

/* Word of an enum value of VIEW, STATE, END, VERDICT, DIRECTION, MODE; NULL = none or unknown (null in JSON). */
const char *ps_enum_name(enum ps_kind kind, unsigned value);
/* And back: 0, or -EINVAL. */
int ps_enum_parse(enum ps_kind kind, const char *word, size_t len, uint8_t *ret_value);

/* "tcp", "udp", "icmp", "icmpv6" or decimal; returns buf or a constant. */
const char *ps_proto_name(uint8_t proto, char buf[static 8]);
int ps_proto_parse(const char *word, size_t len, uint8_t *ret_proto);

#endif
