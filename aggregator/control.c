#include "aggregator/control_call.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aggregator/conn_walk.h"
#include "aggregator/icmp_query.h"
#include "aggregator/limits.h"
#include "aggregator/top_query.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

int ps_call_no_memory(struct ps_call *c)
{
	return ps_error_set(&c->answer->error, -ENOMEM, 503, "no_memory", "", "no memory for the answer");
}

/* --- records -------------------------------------------------------------------------------------- */

static struct ps_value *field_names(enum ps_record_type type)
{
	const struct ps_schema *schema = &ps_schemas[type];
	_cleanup_(ps_value_free) struct ps_value *names = ps_value_list();

	for (size_t i = 0; i < schema->n_fields; i++) {
		if (!names || ps_value_append(names, ps_value_string(schema->fields[i].name)) < 0)
			return NULL;
	}
	return PS_TAKE(names);
}

/* Begins an answer with records: body {fields}. */
static int begin_records(struct ps_call *c, enum ps_record_type type)
{
	ps_batch_init(&c->answer->records, type);
	c->answer->has_records = true;
	c->answer->body = ps_value_map();
	if (!c->answer->body || ps_value_set(c->answer->body, "fields", field_names(type)) < 0)
		return ps_call_no_memory(c);
	return 0;
}

static int begin_page(struct ps_call *c, enum ps_record_type type, size_t total, const char *next)
{
	int r = begin_records(c, type);

	if (r < 0)
		return r;
	if (ps_value_set(c->answer->body, "total", ps_value_uint(total)) < 0 ||
		ps_value_set(c->answer->body, "next", next[0] ? ps_value_string(next) : ps_value_null()) < 0)
		return ps_call_no_memory(c);
	return 0;
}

static int add_record(struct ps_call *c, const void *record)
{
	return ps_batch_add(&c->answer->records, record) < 0 ? ps_call_no_memory(c) : 0;
}

/* --- connections and ICMP --------------------------------------------------------------------------- */

static int conns_list(struct ps_call *c)
{
	_cleanup_free_ struct ps_conn_page *page = malloc(sizeof(*page));
	struct ps_conn_query q;
	int r;

	if (!page)
		return ps_call_no_memory(c);
	r = ps_conn_query_parse(c->req->args, &q, &c->answer->error);
	if (r < 0)
		return r;
	ps_aggregator_refresh(c->a, c->now);
	r = ps_conn_walks_page(c->a->walks, &q, c->a->conns, c->now->boot, page, &c->answer->error);
	if (r < 0)
		return r == -ENOMEM ? ps_call_no_memory(c) : r;
	r = begin_page(c, PS_RECORD_CONN, page->total, page->next);
	for (size_t i = 0; r >= 0 && i < page->n; i++)
		r = add_record(c, page->row[i]);
	return r;
}

static int read_conn_id(struct ps_call *c, uint64_t *ret_id)
{
	const char *text = ps_value_get_string(c->req->args, "id", "");
	size_t len = strlen(text);

	if (!len || len > 16 || strspn(text, "0123456789abcdefABCDEF") != len)
		return ps_error_set(&c->answer->error, -EINVAL, 400, "bad_value", "id",
			"the id of a connection is up to 16 hexadecimal digits");
	*ret_id = strtoull(text, NULL, 16);
	return 0;
}

static int conns_get(struct ps_call *c)
{
	const struct ps_conn *conn;
	uint64_t id = 0;
	int r = read_conn_id(c, &id);

	if (r < 0)
		return r;
	ps_aggregator_refresh(c->a, c->now);
	conn = ps_conn_table_find(c->a->conns, id, NULL);
	if (!conn)
		return ps_error_set(&c->answer->error, -ENOENT, 404, "not_found", "id",
			"no connection %016" PRIx64 " lives or ended recently", id);
	r = begin_records(c, PS_RECORD_CONN);
	return r < 0 ? r : add_record(c, conn);
}

static int conns_top(struct ps_call *c)
{
	struct ps_top_query q;
	int r = ps_top_query_parse(c->req->args, ps_agg_wall(c->now), &q, &c->answer->error);

	if (r < 0)
		return r;
	ps_aggregator_refresh(c->a, c->now);
	c->answer->body = ps_top_query_run(&q, c->a->conns, c->now->boot);
	return c->answer->body ? 0 : ps_call_no_memory(c);
}

static int icmp_list(struct ps_call *c)
{
	_cleanup_free_ struct ps_icmp_page *page = malloc(sizeof(*page));
	struct ps_icmp_query q;
	int r;

	if (!page)
		return ps_call_no_memory(c);
	r = ps_icmp_query_parse(c->req->args, &q, &c->answer->error);
	if (r < 0)
		return r;
	ps_aggregator_refresh_icmp(c->a, c->now);
	ps_icmp_query_run(&q, c->a->icmp, page);
	r = begin_page(c, PS_RECORD_ICMP, page->total, page->next);
	for (size_t i = 0; r >= 0 && i < page->n; i++)
		r = add_record(c, page->row[i]);
	return r;
}

/* --- snapshot ----------------------------------------------------------------------------------------- */

static struct ps_value *sequence(uint64_t epoch, const uint64_t seq[static PS_TOPICS], uint32_t topics)
{
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();

	if (!map || ps_value_set(map, "epoch", ps_value_uint(epoch)) < 0)
		return NULL;
	for (int t = 0; t < PS_TOPICS; t++) {
		if ((topics >> t & 1) && ps_value_set(map, ps_topic_name((enum ps_topic)t), ps_value_uint(seq[t])) < 0)
			return NULL;
	}
	return PS_TAKE(map);
}

/* What the tables hold: all of the collector's stream, and all of ours, up to these numbers. */
static struct ps_value *sequences(struct ps_call *c)
{
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();
	struct ps_publisher_totals totals = {0};

	if (c->state) {
		(void)ps_publisher_flush(c->state, c->now->boot, true);
		ps_publisher_totals(c->state, &totals);
	}
	if (!map || ps_value_set(map, "events", sequence(c->a->feed.epoch, c->a->feed.seq, PS_FEED_TOPICS)) < 0 ||
		ps_value_set(map, "state",
			sequence(totals.epoch, totals.seq, 1u << PS_TOPIC_CONN_UPDATE | 1u << PS_TOPIC_CONN_END)) < 0)
		return NULL;
	return PS_TAKE(map);
}

/*
 * The cursor is a position of the table, behind the epoch of `state`: what lives all the while is met once, and later
 * changes are on the bus. It costs the time of one chunk: the tables are taken as they stand, and what the kernel has
 * counted since follows on `state` within a second.
 */
static int read_cursor(struct ps_call *c, uint64_t epoch, size_t *ret_position)
{
	const char *cursor = ps_value_get_string(c->req->args, "cursor", "");
	unsigned long long of, position;
	int used = 0;

	if (!*cursor) {
		*ret_position = 0;
		return 0;
	}
	if (strspn(cursor, "0123456789abcdef-") != strlen(cursor) ||
		sscanf(cursor, "%16llx-%16llx%n", &of, &position, &used) != 2 || cursor[used])
		return ps_error_set(
			&c->answer->error, -EINVAL, 400, "bad_value", "cursor", "this is no cursor of a snapshot");
	if (of != epoch)
		return ps_error_set(&c->answer->error, -ESTALE, 409, "stale", "cursor",
			"the aggregator was restarted since this snapshot began: begin again, without a cursor");
	*ret_position = (size_t)position;
	return 0;
}

static uint64_t state_epoch(const struct ps_call *c)
{
	struct ps_publisher_totals totals = {0};

	if (c->state)
		ps_publisher_totals(c->state, &totals);
	return totals.epoch;
}

/* All that match, in no order: for those who want every one. Its cursor is a position too. */
static int conns_scan(struct ps_call *c)
{
	_cleanup_free_ struct ps_conn_page *page = malloc(sizeof(*page));
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_copy(c->req->args);
	uint64_t epoch = state_epoch(c);
	struct ps_conn_query q;
	size_t position = 0;
	char next[40] = "";
	int r;

	if (!page || !args)
		return ps_call_no_memory(c);
	r = read_cursor(c, epoch, &position);
	ps_value_unset(args, "cursor");
	if (r >= 0)
		r = ps_conn_query_parse(args, &q, &c->answer->error);
	if (r < 0)
		return r;
	if (!position)
		ps_aggregator_refresh(c->a, c->now);
	if (ps_conn_page_scan(&q, c->a->conns, &position, page))
		(void)snprintf(next, sizeof(next), "%llx-%zx", (unsigned long long)epoch, position);
	r = begin_page(c, PS_RECORD_CONN, 0, next);
	if (r >= 0)
		ps_value_unset(c->answer->body, "total");
	for (size_t i = 0; r >= 0 && i < page->n; i++)
		r = add_record(c, page->row[i]);
	return r;
}

static int snapshot(struct ps_call *c)
{
	char next[40] = "";
	const struct ps_conn *conn;
	struct ps_conn_totals totals;
	uint64_t epoch = state_epoch(c);
	size_t position = 0;
	bool ended, first;
	int r = read_cursor(c, epoch, &position);

	if (r < 0)
		return r;
	first = position == 0;
	ps_conn_table_totals(c->a->conns, &totals);
	r = begin_page(c, PS_RECORD_CONN, totals.live, "");
	if (r >= 0 && first && ps_value_set(c->answer->body, "seq", sequences(c)) < 0)
		return ps_call_no_memory(c);
	while (r >= 0 && (conn = ps_conn_table_next(c->a->conns, &position, &ended))) {
		if (ended)
			continue;
		r = add_record(c, conn);
		if (c->answer->records.n < PS_REQUEST_PAGE_MAX)
			continue;
		(void)snprintf(next, sizeof(next), "%llx-%zx", (unsigned long long)epoch, position);
		if (r >= 0 && ps_value_set(c->answer->body, "next", ps_value_string(next)) < 0)
			r = ps_call_no_memory(c);
		break;
	}
	return r;
}

/* --- status and statistics ---------------------------------------------------------------------------- */

/* As the collector last said: null when it ended in order, or never was. */
static struct ps_value *collector(const struct ps_call *c)
{
	const struct ps_ledger *l = c->a->attached ? c->a->view.ledger : NULL;
	uint64_t alive = l ? __atomic_load_n(&l->alive, __ATOMIC_ACQUIRE) : 0;
	uint64_t now = c->now->boot;
	struct ps_value *v;

	if (!alive)
		return ps_value_null();
	v = ps_value_map();
	if (ps_value_set(v, "pid", ps_value_uint(__atomic_load_n(&l->pid, __ATOMIC_RELAXED))) < 0 ||
		ps_value_set(v, "age", ps_value_real(now > alive ? (double)(now - alive) / (double)PS_NSEC : 0)) < 0)
		ps_value_free(&v);
	return v;
}

static int status(struct ps_call *c)
{
	struct ps_aggregator *a = c->a;
	const char *trouble = ps_aggregator_trouble(a);
	struct ps_value *body = c->answer->body = ps_value_map();
	struct ps_conn_totals totals;

	ps_conn_table_totals(a->conns, &totals);
	if (!body || ps_value_set(body, "part", ps_value_string("aggregator")) < 0 ||
		ps_value_set(body, "version", ps_value_string(PS_VERSION)) < 0 ||
		ps_value_set(body, "pid", ps_value_int(getpid())) < 0 ||
		ps_value_set(body, "uptime", ps_value_real((double)(c->now->boot - a->started) / (double)PS_NSEC)) <
			0 ||
		ps_value_set(body, "kernel", ps_value_string(trouble ? trouble : "ok")) < 0 ||
		ps_value_set(body, "collector", collector(c)) < 0 ||
		ps_value_set(body, "abi", ps_value_uint(PS_ABI_VERSION)) < 0 ||
		ps_value_set(body, "generation", ps_value_uint(ps_rule_store_generation(a->rules))) < 0 ||
		ps_value_set(body, "connections", ps_value_uint(totals.live)) < 0 ||
		ps_value_set(body, "pending", ps_rule_store_pending(a->rules)) < 0 ||
		ps_value_set(body, "warnings", ps_value_copy(ps_rule_store_warnings(a->rules))) < 0)
		return ps_call_no_memory(c);
	return 0;
}

static int stats(struct ps_call *c)
{
	ps_aggregator_refresh(c->a, c->now);
	c->answer->body = ps_aggregator_stats(c->a, c->now, &c->answer->error);
	return c->answer->body ? 0 : -ENOTCONN;
}

/* --- dispatch ------------------------------------------------------------------------------------------- */

static const struct {
	const char *op;
	int (*handle)(struct ps_call *c);
} ops[] = {
	{"status", status},
	{"stats", stats},
	{"conns.list", conns_list},
	{"conns.scan", conns_scan},
	{"conns.get", conns_get},
	{"conns.top", conns_top},
	{"icmp.list", icmp_list},
	{"snapshot", snapshot},
	{"rules.list", ps_call_rules_list},
	{"rules.get", ps_call_rules_get},
	{"rules.create", ps_call_rules_create},
	{"rules.update", ps_call_rules_update},
	{"rules.delete", ps_call_rules_delete},
	{"rules.enable", ps_call_rules_enable},
	{"rules.disable", ps_call_rules_disable},
	{"rules.promote", ps_call_rules_promote},
	{"rules.confirm", ps_call_rules_confirm},
	{"rules.preview", ps_call_rules_preview},
	{"rules.stage", ps_call_rules_stage},
	{"rules.replace", ps_call_rules_replace},
	{"rules.import", ps_call_rules_import},
	{"protected.get", ps_call_protected_get},
	{"protected.set", ps_call_protected_set},
};

bool ps_control_only_reads(const char *op)
{
	static const char *const ops_that_read[] = {"status", "stats", "conns.list", "conns.scan", "conns.get",
		"icmp.list", "snapshot", "rules.list", "rules.get"};

	for (size_t i = 0; i < PS_ARRAY_SIZE(ops_that_read); i++) {
		if (strcmp(ops_that_read[i], op) == 0)
			return true;
	}
	return false;
}

static int dispatch(struct ps_call *c)
{
	for (size_t i = 0; i < PS_ARRAY_SIZE(ops); i++) {
		if (strcmp(ops[i].op, c->req->op) == 0)
			return ops[i].handle(c);
	}
	return ps_error_set(
		&c->answer->error, -EINVAL, 404, "unknown_op", "op", "there is no operation \"%.40s\"", c->req->op);
}

void ps_control_answer(struct ps_aggregator *a, struct ps_publisher *state, const struct ps_request *req,
	const struct ps_agg_time *now, struct ps_answer *ret_answer)
{
	struct ps_call c = {.a = a, .state = state, .req = req, .now = now, .answer = ret_answer};
	int r;

	*ret_answer = (struct ps_answer){.status = 200};
	r = dispatch(&c);
	if (r >= 0)
		return;
	if (!ret_answer->error.status)
		(void)ps_error_set(&ret_answer->error, r, 500, "internal", "", "%s failed: %s", req->op, strerror(-r));
	ret_answer->status = ret_answer->error.status;
}

void ps_answer_free(struct ps_answer *answer)
{
	ps_value_free(&answer->body);
	if (answer->has_records)
		ps_batch_free(&answer->records);
	answer->has_records = false;
}
