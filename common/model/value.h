/*
 * A value tree: what JSON and msgpack have in common, with integers kept exact. All control messages, rule bodies and
 * replies are such trees between the codecs and the code that means something by them.
 *
 * A tree owns its children. Building functions take ownership of the child they are given ALSO when they fail.
 */
#ifndef PS_VALUE_H
#define PS_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ps_value_kind {
	PS_VALUE_NULL,
	PS_VALUE_BOOL,
	PS_VALUE_INT,    /* int64_t; anything that fits */
	PS_VALUE_UINT,   /* uint64_t above INT64_MAX only */
	PS_VALUE_REAL,   /* double, finite */
	PS_VALUE_STRING, /* bytes with a length; UTF-8 when it came from JSON */
	PS_VALUE_LIST,
	PS_VALUE_MAP, /* string keys, insertion order, unique */
};

struct ps_value;

/* Leaves. NULL on no memory. */
struct ps_value *ps_value_null(void);
struct ps_value *ps_value_bool(bool b);
struct ps_value *ps_value_int(int64_t i);
struct ps_value *ps_value_uint(uint64_t u);
struct ps_value *ps_value_real(double d);        /* NaN and infinities become null */
struct ps_value *ps_value_string(const char *s); /* NULL s = null */
struct ps_value *ps_value_string_n(const char *s, size_t n);
struct ps_value *ps_value_list(void);
struct ps_value *ps_value_map(void);

struct ps_value *ps_value_copy(const struct ps_value *v);
void ps_value_free(struct ps_value **v);

/* 0, or -ENOMEM; child NULL counts as no memory, so calls nest. Setting an existing key replaces. */
int ps_value_append(struct ps_value *list, struct ps_value *child);
int ps_value_set(struct ps_value *map, const char *key, struct ps_value *child);
int ps_value_set_n(struct ps_value *map, const char *key, size_t key_len, struct ps_value *child);
/* Removes a key if it is there. */
void ps_value_unset(struct ps_value *map, const char *key);

/* Reading. v may be NULL (kind NULL). */
enum ps_value_kind ps_value_kind(const struct ps_value *v);
const char *ps_value_kind_name(enum ps_value_kind kind); /* "a string", "a number" … for messages */
size_t ps_value_count(const struct ps_value *v);         /* children; 0 for leaves */
const struct ps_value *ps_value_get(const struct ps_value *map, const char *key); /* NULL: not there */
const struct ps_value *ps_value_at(const struct ps_value *list_or_map, size_t i); /* NULL: beyond */
const char *ps_value_key_at(const struct ps_value *map, size_t i);                /* NULL: beyond */

/* The leaf, or `fallback` when v is NULL or of another kind. Numbers convert when exact (3.0 is the integer 3). */
bool ps_value_as_bool(const struct ps_value *v, bool fallback);
int64_t ps_value_as_int(const struct ps_value *v, int64_t fallback);
uint64_t ps_value_as_uint(const struct ps_value *v, uint64_t fallback);
double ps_value_as_real(const struct ps_value *v, double fallback);
const char *ps_value_as_string(const struct ps_value *v, const char *fallback); /* NUL-terminated; lives as long as v */
size_t ps_value_string_len(const struct ps_value *v);

/* True when v is a number that is a whole one within int64_t; sets *ret_i. */
bool ps_value_is_integer(const struct ps_value *v, int64_t *ret_i);

/* Shorthands: ps_value_get + as. */
#define ps_value_get_int(m, k, d) ps_value_as_int(ps_value_get(m, k), d)
#define ps_value_get_uint(m, k, d) ps_value_as_uint(ps_value_get(m, k), d)
#define ps_value_get_string(m, k, d) ps_value_as_string(ps_value_get(m, k), d)
#define ps_value_get_bool(m, k, d) ps_value_as_bool(ps_value_get(m, k), d)

/* Deep equality; map order does not matter; INT 3 equals REAL 3.0. */
bool ps_value_equal(const struct ps_value *a, const struct ps_value *b);

#endif
