/* SPDX-License-Identifier: MIT */
/*
 * A tap in C: listens to Packet Scope's bus and keeps a table of the live connections. It needs libzmq and msgpack-c
 *only:
 *
 *	cc -O2 -Wall -Wextra -o tap tap.c -lzmq -lmsgpackc	(-lmsgpack-c where the library is called that)
 *	sudo ./tap --dump-after 10
 *
 * A message is three msgpack frames: topic, header, payload. The header names the columns ("fields") and numbers the
 * messages of its topic ("seq"). tap.py beside this file says why the rules are what they are.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <msgpack.h>
#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum {
	SOURCES = 2,
	TOPICS = 3,
	FRAMES = 3
};
static const char *const sources[SOURCES] = {"events", "state"}, *const topics[TOPICS] = {
									 "conn.new", "conn.update", "conn.end"};

struct conn {
	char id[20];
	uint64_t packets, last_seen;
	bool live, ended;
	unsigned pass; /* of the snapshot that last held it */
	char *json;
};

static void *table; /* a tree of struct conn by id (tsearch) */
static unsigned pass;
static uint64_t lost, live, epochs[SOURCES], seen[SOURCES][TOPICS];
static bool stale = true; /* a snapshot is due */

/* A message: its frames and the objects in them. */
struct message {
	zmq_msg_t frame[FRAMES];
	msgpack_unpacked object[FRAMES];
};

static bool is(const msgpack_object *o, const char *text)
{
	return o->type == MSGPACK_OBJECT_STR && o->via.str.size == strlen(text) &&
	       !memcmp(o->via.str.ptr, text, o->via.str.size);
}

static const msgpack_object *get(const msgpack_object *map, const char *key)
{
	static const msgpack_object nil = {.type = MSGPACK_OBJECT_NIL};
	for (uint32_t i = 0; map->type == MSGPACK_OBJECT_MAP && i < map->via.map.size; i++)
		if (is(&map->via.map.ptr[i].key, key))
			return &map->via.map.ptr[i].val;
	return &nil;
}

static uint64_t number(const msgpack_object *o)
{
	return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? o->via.u64 : 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct conn *)a)->id, ((const struct conn *)b)->id);
}

/* Of two records of one id the one with more packets is newer; an id that has ended stays ended. */
static void fold(struct conn *c, bool end)
{
	struct conn **found = tfind(c, &table, by_id), *known = found ? *found : calloc(1, sizeof(*known));
	bool newer = c->packets > known->packets || (c->packets == known->packets && c->last_seen >= known->last_seen);

	known->pass = pass;
	if (!known->ended && (end || newer || !known->live)) {
		free(known->json);
		*known = *c;
		known->live = !end;
		known->ended = end;
	} else {
		free(c->json);
	}
	if (!found)
		tsearch(known, &table, by_id);
}

/* Every row of a payload; `fields` says which column is what. */
static void fold_rows(const msgpack_object *fields, const msgpack_object *rows, bool end)
{
	for (uint32_t r = 0; rows->type == MSGPACK_OBJECT_ARRAY && r < rows->via.array.size; r++) {
		const msgpack_object_array *row = &rows->via.array.ptr[r].via.array;
		struct conn c = {.pass = pass};
		size_t size;
		FILE *json = open_memstream(&c.json, &size);

		for (uint32_t i = 0; i < row->size && i < fields->via.array.size; i++) {
			const msgpack_object *name = &fields->via.array.ptr[i], *v = &row->ptr[i];
			if (is(name, "id"))
				snprintf(c.id, sizeof(c.id), "%.*s", (int)v->via.str.size, v->via.str.ptr);
			else if (is(name, "orig_packets") || is(name, "resp_packets"))
				c.packets += number(v);
			else if (is(name, "last_seen"))
				c.last_seen = number(v);
			fprintf(json, "%s\"%.*s\": ", i ? ", " : "{", (int)name->via.str.size, name->via.str.ptr);
			if (v->type == MSGPACK_OBJECT_NIL)
				fputs("null", json);
			else
				msgpack_object_print(json, *v);
		}
		fputs("}\n", json);
		fclose(json);
		fold(&c, end);
	}
}

/* A connection that the snapshot does not hold is gone, unless it is so young that the aggregator may not know it yet.
 */
static void drop_unseen(const void *node, VISIT visit, void *began)
{
	struct conn *c = *(struct conn *const *)node;
	if ((visit == postorder || visit == leaf) && c->pass != pass &&
		(time_t)(c->last_seen / 1000000000) < *(time_t *)began - 1)
		c->live = false;
}

static void print_live(const void *node, VISIT visit, void *out)
{
	const struct conn *c = *(struct conn *const *)node;
	if ((visit == postorder || visit == leaf) && c->live)
		live++, fputs(c->json, out);
}

/* False when the socket's time is over. Release the message in either case. */
static bool receive(void *socket, struct message *m)
{
	bool got = true;
	for (int i = 0; i < FRAMES; i++) {
		zmq_msg_init(&m->frame[i]);
		msgpack_unpacked_init(&m->object[i]);
		if (i == 0 || (got && zmq_msg_more(&m->frame[i - 1])))
			got = zmq_msg_recv(&m->frame[i], socket, 0) >= 0;
		msgpack_unpack_next(&m->object[i], zmq_msg_data(&m->frame[i]), zmq_msg_size(&m->frame[i]), NULL);
	}
	return got;
}

static void release(struct message *m)
{
	for (int i = 0; i < FRAMES; i++)
		msgpack_unpacked_destroy(&m->object[i]), zmq_msg_close(&m->frame[i]);
}

static void pack_text(msgpack_packer *p, const char *s)
{
	msgpack_pack_str_with_body(p, s, strlen(s));
}

/* A request is a header {v, id, op, peer} and arguments, {} or {cursor}. */
static void ask(void *control, unsigned id, const char *cursor)
{
	msgpack_sbuffer b;
	msgpack_packer p;

	msgpack_sbuffer_init(&b);
	msgpack_packer_init(&p, &b, msgpack_sbuffer_write);
	msgpack_pack_map(&p, 4);
	pack_text(&p, "v"), msgpack_pack_int(&p, 1);
	pack_text(&p, "id"), msgpack_pack_unsigned_int(&p, id);
	pack_text(&p, "op"), pack_text(&p, "snapshot");
	pack_text(&p, "peer"), pack_text(&p, "tap");
	zmq_send(control, b.data, b.size, ZMQ_SNDMORE);
	b.size = 0;
	msgpack_pack_map(&p, *cursor ? 1 : 0);
	if (*cursor)
		pack_text(&p, "cursor"), pack_text(&p, cursor);
	zmq_send(control, b.data, b.size, 0);
	msgpack_sbuffer_destroy(&b);
}

/* Page by page. False when the aggregator does not answer. */
static bool snapshot(void *control)
{
	static unsigned id;
	time_t began = time(NULL);
	char cursor[32] = "";
	bool ok;

	pass++;
	do {
		struct message m;
		const msgpack_object *next;

		ask(control, ++id, cursor);
		while ((ok = receive(control, &m)) && number(get(&m.object[0].data, "id")) != id)
			release(&m);
		ok = ok && number(get(&m.object[0].data, "status")) == 200;
		if (ok)
			fold_rows(get(&m.object[1].data, "fields"), &m.object[2].data, false);
		next = get(&m.object[1].data, "next");
		snprintf(cursor, sizeof(cursor), "%.*s", next->type == MSGPACK_OBJECT_STR ? (int)next->via.str.size : 0,
			next->type == MSGPACK_OBJECT_STR ? next->via.str.ptr : "");
		release(&m);
	} while (ok && *cursor);
	if (ok)
		twalk_r(table, drop_unseen, &began);
	return ok;
}

static void take(void *socket, int source)
{
	struct message m;
	const msgpack_object *header = &m.object[1].data;
	int t = 0;

	if (receive(socket, &m)) {
		uint64_t epoch = number(get(header, "epoch")), seq = number(get(header, "seq"));
		while (t < TOPICS - 1 && strncmp(zmq_msg_data(&m.frame[0]), topics[t], zmq_msg_size(&m.frame[0])) != 0)
			t++;
		if (epochs[source] != epoch) { /* restarted: nobody knows what it said meanwhile */
			stale = stale || epochs[source];
			epochs[source] = epoch;
			memset(seen[source], 0, sizeof(seen[source]));
		} else if (seen[source][t] && seq > seen[source][t] + 1) {
			lost += seq - seen[source][t] - 1;
			stale = true;
		}
		seen[source][t] = seq;
		fold_rows(get(header, "fields"), &m.object[2].data, t == TOPICS - 1);
	}
	release(&m);
}

static void *open_socket(void *context, int type, const char *run_dir, const char *name)
{
	void *socket = zmq_socket(context, type);
	int hwm = 100000, timeout = 2000, linger = 0; /* what comes during the snapshot waits in the socket */
	char endpoint[256];

	snprintf(endpoint, sizeof(endpoint), "ipc://%s/%s.sock", run_dir, name);
	zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof(hwm));
	zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof(timeout));
	zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger));
	for (int t = 0; type == ZMQ_SUB && t < TOPICS; t++)
		zmq_setsockopt(socket, ZMQ_SUBSCRIBE, topics[t], strlen(topics[t]));
	zmq_connect(socket, endpoint);
	return socket;
}

int main(int argc, char **argv)
{
	const char *run_dir = "/run/packetscope";
	time_t until = time(NULL) + 10;
	void *context = zmq_ctx_new(), *control;
	zmq_pollitem_t items[SOURCES] = {{.events = ZMQ_POLLIN}, {.events = ZMQ_POLLIN}};

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--run-dir") == 0)
			run_dir = argv[i + 1];
		else if (strcmp(argv[i], "--dump-after") == 0)
			until = time(NULL) + atoi(argv[i + 1]);
	}
	for (int s = 0; s < SOURCES; s++)
		items[s].socket = open_socket(context, ZMQ_SUB, run_dir, sources[s]);
	control = open_socket(context, ZMQ_DEALER, run_dir, "control");
	usleep(200000); /* the subscriptions must have reached the publishers before a snapshot is taken */
	while (time(NULL) < until) {
		if (stale)
			stale = !snapshot(control);
		if (zmq_poll(items, SOURCES, 100) < 0)
			break;
		for (int s = 0; s < SOURCES; s++)
			if (items[s].revents & ZMQ_POLLIN)
				take(items[s].socket, s);
	}
	twalk_r(table, print_live, stdout);
	fprintf(stderr, "%" PRIu64 " connections, %" PRIu64 " messages lost\n", live, lost);
	return 0;
}
