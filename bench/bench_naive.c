/* SPDX-License-Identifier: MIT */
/*
 * The reference of the end-to-end figure: the kernel's events to a table as one would write it first.
 *
 *	bench_naive collect MAPS ENDPOINT	each event a record, packed by msgpack-c, one message each
 *	bench_naive table ENDPOINT COUNTER	each message unpacked by msgpack-c and put into a table with a list a
 *						row; how many, in the file COUNTER
 *
 * Who writes zero to COUNTER while nothing comes makes the table forget its rows: the next ones get their memory.
 * Both run until they are terminated.
 */
#include <errno.h>
#include <fcntl.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zmq.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench/msgpackc.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/model/record.h"

#define ROWS (1u << 21)

_Noreturn static void die(const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void *open_socket(int type)
{
	void *context = zmq_ctx_new(), *socket = context ? zmq_socket(context, type) : NULL;

	if (!socket)
		die("no socket");
	return socket;
}

static const char *iface_name(void *arg, uint32_t ifindex, char out[static PS_NAME_SIZE])
{
	(void)arg;
	(void)snprintf(out, PS_NAME_SIZE, "if%u", ifindex);
	return out;
}

struct collect {
	void *socket;
	struct ps_record_env env;
	msgpack_sbuffer sb;
	msgpack_packer packer;
};

static int on_event(void *arg, void *data, size_t size)
{
	struct collect *c = arg;
	const struct ps_event_head *head = data;
	struct ps_conn_raw raw = {0};
	struct ps_conn conn;

	if (head->type != PS_EV_CONN_NEW || head->size > size)
		return 0;
	memcpy(&raw, (const uint8_t *)data + sizeof(*head), PS_MIN(head->size - sizeof(*head), sizeof(raw)));
	ps_conn_from_raw(&raw, &c->env, &conn);
	msgpack_sbuffer_clear(&c->sb);
	ps_msgpackc_pack(&c->packer, &conn);
	(void)zmq_send(c->socket, c->sb.data, c->sb.size, 0);
	return 0;
}

static int ring_of(int outer, uint32_t cpu)
{
	uint32_t id = 0;
	int fd;

	if (bpf_map_lookup_elem(outer, &cpu, &id) != 0)
		return -1;
	fd = bpf_map_get_fd_by_id(id);
	return fd;
}

static int collect(const char *maps, const char *endpoint)
{
	struct collect c = {.socket = open_socket(ZMQ_PUB),
		.env = {.wall_offset = ps_clock_wall_offset(), .iface_name = iface_name}};
	struct ring_buffer *rings = NULL;
	char path[256];
	int outer;

	(void)snprintf(path, sizeof(path), "%s/ps_rings", maps);
	outer = bpf_obj_get(path);
	if (outer < 0)
		die(path);
	msgpack_sbuffer_init(&c.sb);
	msgpack_packer_init(&c.packer, &c.sb, msgpack_sbuffer_write);
	for (uint32_t cpu = 0; cpu < (uint32_t)libbpf_num_possible_cpus(); cpu++) {
		int fd = ring_of(outer, cpu);

		if (fd < 0)
			die("no ring");
		if (!rings)
			rings = ring_buffer__new(fd, on_event, &c, NULL);
		else if (ring_buffer__add(rings, fd, on_event, &c) != 0)
			die("cannot add a ring");
		if (!rings)
			die("cannot read the rings");
	}
	if (zmq_bind(c.socket, endpoint) != 0)
		die(endpoint);
	/* nothing wakes the reader of these rings while they are not half full: it looks by itself */
	while (ring_buffer__poll(rings, 1) >= 0 || errno == EINTR)
		(void)ring_buffer__consume(rings);
	return 1;
}

struct row {
	struct row *next;
	struct ps_conn conn;
};

static struct row **table, *spare;

/* All rows are spare then. */
static void forget(void)
{
	for (size_t i = 0; i < ROWS; i++)
		while (table[i]) {
			struct row *row = table[i];

			table[i] = row->next;
			row->next = spare;
			spare = row;
		}
}

/* False if there is no memory. */
static bool put(const struct ps_conn *conn)
{
	struct row **at = &table[(conn->id * 0x9e3779b97f4a7c15ull) >> 43], *row;

	for (row = *at; row; row = row->next)
		if (row->conn.id == conn->id) {
			row->conn = *conn;
			return true;
		}
	row = spare ? spare : malloc(sizeof(*row));
	if (!row)
		return false;
	spare = spare ? spare->next : NULL;
	row->conn = *conn;
	row->next = *at;
	*at = row;
	return true;
}

/* False when nothing came for a while. */
static bool receive(void *socket, zmq_msg_t *message)
{
	if (zmq_msg_recv(message, socket, 0) >= 0)
		return true;
	if (errno != EAGAIN && errno != EINTR)
		die("cannot receive");
	return false;
}

_Noreturn static void keep(const char *endpoint, const char *counter_path)
{
	const int patience_ms = 100;
	void *socket = open_socket(ZMQ_SUB);
	int fd = open(counter_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	volatile uint64_t *counter;
	msgpack_unpacked u;
	zmq_msg_t message;

	table = calloc(ROWS, sizeof(struct row *));
	if (!table || fd < 0 || ftruncate(fd, sizeof(*counter)) < 0)
		die(counter_path);
	counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counter == MAP_FAILED || zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0) != 0 ||
		zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience_ms, sizeof(patience_ms)) != 0 ||
		zmq_connect(socket, endpoint) != 0)
		die(endpoint);
	msgpack_unpacked_init(&u);
	(void)zmq_msg_init(&message);
	for (;;) {
		struct ps_conn conn;
		size_t at = 0;

		if (!receive(socket, &message)) {
			if (*counter == 0)
				forget();
			continue;
		}
		if (msgpack_unpack_next(&u, zmq_msg_data(&message), zmq_msg_size(&message), &at) ==
				MSGPACK_UNPACK_SUCCESS &&
			ps_msgpackc_unpack(&u.data, &conn) && put(&conn))
			++*counter;
	}
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "collect"))
		return collect(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "table"))
		keep(argv[2], argv[3]);
	return 2;
}
