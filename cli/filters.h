/*
 * What the actions of `packetscope filters` share: calls to the gateway and what its refusals mean, words of the
 * command line, and the question after a change that undoes itself. Functions return an enum ps_exit, and have told the
 * person what went wrong when that is not PS_EXIT_OK.
 */
#ifndef PS_CLI_FILTERS_H
#define PS_CLI_FILTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/fetch.h"
#include "cli/settings.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/value.h"

#define _value_ _cleanup_(ps_value_free) struct ps_value *
#define _buf_ _cleanup_(ps_buf_free) struct ps_buf
#define _reply_ _cleanup_(ps_fetch_reply_free) struct ps_fetch_reply

/* What an action has at hand. */
struct filters {
	const struct ps_settings *s;
	struct ps_fetch *client;
	bool colour;
};

/* A call with a body of any type; a refusal is told with whose connections are in danger, and what to do. */
int ps_filters_send(const struct filters *f, const char *method, const char *path, const char *type, const void *body,
	size_t len, struct ps_fetch_reply *ret_reply);
/* The same with JSON, NULL = no body. */
int ps_filters_call(const struct filters *f, const char *method, const char *path, const struct ps_value *body,
	struct ps_fetch_reply *ret_reply);
/* The answer as JSON; an empty one is null. */
int ps_filters_parsed(const struct ps_fetch_reply *reply, struct ps_value **ret_value);

/* After a change that undoes itself in `seconds` (0: it does not): on a terminal the person is asked, elsewhere told.
 * id "" = the set as a whole. */
int ps_filters_settle(const struct filters *f, const char *id, int64_t seconds);
/* "/api/filters/7/confirm", and without the number for "". */
void ps_filters_confirm_path(const char *id, char *path, size_t size);

/* Is the word the number of a rule? So that "7/../8" reaches nothing. */
bool ps_filters_is_id(const char *word);
/* How many words at the front are numbers of rules, at least `min`. -1: there are fewer, and it was told. */
int ps_filters_leading_ids(int n, char **words, int min, const char *what);
/* Words NAME=VALUE as a query ("?force=true"); only those of `known` (ends with NULL) may be among them. */
int ps_filters_query(int n, char **words, const char *const *known, struct ps_buf *query, int64_t *ret_confirm);
/* What a file, or standard input for "-", holds. */
int ps_filters_read_text(const char *file, struct ps_buf *text);
/* The body that words, --file or standard input describe. */
int ps_filters_take_body(const struct filters *f, int n, char **words, struct ps_value **ret_body);

/* filters_many.c */
int ps_filters_import(const struct filters *f, int n, char **words);
int ps_filters_replace(const struct filters *f, int n, char **words);
int ps_filters_export(const struct filters *f, int n, char **words);
/* filters_protect.c */
int ps_filters_protect(const struct filters *f, int n, char **words);

#endif
