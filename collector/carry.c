#include "collector/carry.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "common/base/cleanup.h"

/* Of version 1, where rules had another layout altogether. */
#define PS_HEADS_V1 "ps_rule_sets"
#define PS_HITS_V1 "ps_rule_hits"

/* ps_conn_tcp.started: what is kept of a connection whose next segment says where it is. */
#define PS_STARTED_KEPT 0x30u

/* A mapped array. */
struct array {
	char *memory;
	size_t size;   /* of a value */
	size_t stride; /* from one to the next */
	size_t n;
	size_t length;
};

/* Hits of PS_ROW_CHUNK rules. */
struct hits {
	struct array from, to;
	const char *first;         /* of the former ones, */
	size_t stride, n;          /* and how they follow each other */
	struct ps_rule_hits *base; /* the former ones, when the programs changed places */
};

struct ps_carry {
	const struct ps_former *former;
	const struct ps_pins *pins; /* ours */
	const struct ps_maps *maps;
	struct hits hits[PS_ROW_CHUNKS];
	size_t n_hits;
};

enum phase {
	PHASE_BEGIN,
	PHASE_LAST,
	PHASE_REST,
};

/* --- arrays ------------------------------------------------------------------------------------ */

static int get_info(int fd, struct bpf_map_info *ret_info)
{
	__u32 len = sizeof(*ret_info);

	memset(ret_info, 0, sizeof(*ret_info));
	return bpf_obj_get_info_by_fd(fd, ret_info, &len) < 0 ? -errno : 0;
}

static int open_array(int fd, int prot, struct array *ret_array)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct bpf_map_info info;
	struct array a = {0};
	void *memory;
	int r = get_info(fd, &info);

	if (r < 0)
		return r;
	a.size = info.value_size;
	a.stride = (a.size + 7) / 8 * 8; /* arrays lay their values out in steps of eight bytes */
	a.n = info.max_entries;
	a.length = (a.n * a.stride + page - 1) / page * page;
	memory = mmap(NULL, a.length, prot, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	a.memory = memory;
	*ret_array = a;
	return 0;
}

static void close_array(struct array *a)
{
	if (a->memory)
		(void)munmap(a->memory, a->length);
	a->memory = NULL;
}

static int open_both(int from, int to, struct array *ret_from, struct array *ret_to)
{
	int r = open_array(from, PROT_READ, ret_from);

	if (r < 0)
		return r;
	r = open_array(to, PROT_READ | PROT_WRITE, ret_to);
	if (r < 0)
		close_array(ret_from);
	return r;
}

/* --- one map each -------------------------------------------------------------------------------- */

static int carry_array(struct ps_carry *c, int from_fd, int to_fd, enum phase phase)
{
	_cleanup_(close_array) struct array from = {0}, to = {0};
	int r = phase == PHASE_REST ? 0 : open_both(from_fd, to_fd, &from, &to);

	(void)c;
	for (size_t i = 0; r == 0 && i < PS_MIN(from.n, to.n); i++)
		memcpy(to.memory + i * to.stride, from.memory + i * from.stride, PS_MIN(from.size, to.size));
	return r;
}

void ps_carry_tcp_line(const void *from, size_t from_size, struct ps_conn_tcp *ret_line)
{
	struct ps_conn_tcp line = {0};

	memcpy(&line, from, PS_MIN(from_size, sizeof(line)));
	line.rtt_side = 0xff;
	/* A handshake is few segments, and is known by their numbers. */
	if (line.state >= PS_TCP_ESTABLISHED) {
		line.started &= PS_STARTED_KEPT;
		memset(line.hole_start, 0, sizeof(line.hole_start));
		memset(line.hole_end, 0, sizeof(line.hole_end));
	}
	*ret_line = line;
}

/* After the swap only lines that nobody has written: of connections that began since the last copy. */
static int carry_tcp(struct ps_carry *c, int from_fd, int to_fd, enum phase phase)
{
	_cleanup_(close_array) struct array from = {0}, to = {0};
	int r = open_both(from_fd, to_fd, &from, &to);

	(void)c;
	for (size_t i = 0; r == 0 && i < PS_MIN(from.n, to.n); i++) {
		struct ps_conn_tcp *line = (struct ps_conn_tcp *)(to.memory + i * to.stride);

		if (phase != PHASE_REST || (line->state == PS_TCP_NONE && line->started == 0))
			ps_carry_tcp_line(from.memory + i * from.stride, from.size, line);
	}
	return r;
}

/* All that there is, one by one: the tables of this kind are small. */
static int carry_hash(struct ps_carry *c, int from_fd, int to_fd, enum phase phase)
{
	struct bpf_map_info from = {0}, to = {0};
	_cleanup_free_ char *key = NULL, *value = NULL;
	bool first = true;
	int r = get_info(from_fd, &from);

	(void)c;
	if (r == 0)
		r = get_info(to_fd, &to);
	if (r < 0 || phase == PHASE_REST)
		return r;
	if (from.key_size == 0 || from.key_size != to.key_size)
		return -EPROTO;
	key = malloc(from.key_size);
	value = calloc(1, PS_MAX(from.value_size, to.value_size));
	if (!key || !value)
		return -ENOMEM;
	for (unsigned n = 0; n < PS_CARRY_ENTRIES && bpf_map_get_next_key(from_fd, first ? NULL : key, key) == 0; n++) {
		first = false;
		if (bpf_map_lookup_elem(from_fd, key, value) == 0)
			(void)bpf_map_update_elem(to_fd, key, value, BPF_ANY);
	}
	return 0;
}

/* Its one element, before anybody counts in it. */
static int carry_element(struct ps_carry *c, int from_fd, int to_fd, enum phase phase)
{
	return phase == PHASE_BEGIN ? carry_array(c, from_fd, to_fd, phase) : 0;
}

void ps_carry_stats_of(const void *from, size_t from_size, struct ps_stats *ret_stats)
{
	const size_t arrays = sizeof(*ret_stats) - offsetof(struct ps_stats, icmp_types);
	struct ps_stats s = {0};

	if (from_size >= arrays) {
		memcpy(&s, from, PS_MIN(from_size - arrays, offsetof(struct ps_stats, icmp_types)));
		memcpy(s.icmp_types, (const char *)from + from_size - arrays, arrays);
	}
	*ret_stats = s;
}

static int carry_stats(struct ps_carry *c, int from_fd, int to_fd, enum phase phase)
{
	int cpus = libbpf_num_possible_cpus();
	struct bpf_map_info info;
	_cleanup_free_ char *from = NULL;
	_cleanup_free_ struct ps_stats *to = NULL;
	uint32_t zero = 0;
	int r = get_info(from_fd, &info);

	(void)c;
	if (r < 0 || phase == PHASE_REST)
		return r;
	if (cpus <= 0 || info.value_size % 8)
		return -EPROTO;
	from = calloc((size_t)cpus, info.value_size);
	to = calloc((size_t)cpus, sizeof(*to));
	if (!from || !to)
		return -ENOMEM;
	if (bpf_map_lookup_elem(from_fd, &zero, from) < 0)
		return -errno;
	for (int cpu = 0; cpu < cpus; cpu++)
		ps_carry_stats_of(from + (size_t)cpu * info.value_size, info.value_size, &to[cpu]);
	return bpf_map_update_elem(to_fd, &zero, to, BPF_ANY) < 0 ? -errno : 0;
}

/* Half 0 is in force and was never written, which says that the rules are still to come. */
static int carry_generation(struct ps_carry *c, int from_fd, int to_fd, enum phase phase)
{
	_cleanup_(close_array) struct array from = {0}, to = {0};
	struct ps_rule_head *heads;
	uint32_t a, b;
	int r = phase == PHASE_BEGIN ? open_both(from_fd, to_fd, &from, &to) : 0;

	(void)c;
	if (!from.memory || !to.memory)
		return r;
	heads = (struct ps_rule_head *)to.memory;
	memcpy(&a, from.memory, sizeof(a));
	memcpy(&b, from.memory + from.stride, sizeof(b));
	if (heads[0].generation == 0 && heads[1].generation == 0)
		heads[1].generation = !a || !b ? a | b : (int32_t)(a - b) > 0 ? a : b;
	return 0;
}

/* --- hits of rules --------------------------------------------------------------------------------- */

static void add(__u64 *to, uint64_t n)
{
	if (n)
		(void)__atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

static uint64_t get(const __u64 *from)
{
	return __atomic_load_n(from, __ATOMIC_RELAXED);
}

void ps_carry_hits(const struct ps_rule_hits *from, struct ps_rule_hits *base, struct ps_rule_hits *to, bool after)
{
	const struct ps_rule_hits now = {
		.packets = get(&from->packets),
		.bytes = get(&from->bytes),
		.first_hit = get(&from->first_hit),
		.last_hit = get(&from->last_hit),
	};

	if (after) {
		add(&to->packets, now.packets - base->packets);
		add(&to->bytes, now.bytes - base->bytes);
	} else {
		to->packets = PS_MAX(to->packets, now.packets);
		to->bytes = PS_MAX(to->bytes, now.bytes);
		*base = now;
	}
	if (!to->first_hit || (now.first_hit && now.first_hit < to->first_hit))
		to->first_hit = now.first_hit;
	to->last_hit = PS_MAX(to->last_hit, now.last_hit);
}

/* The former hits of chunk i: rows that begin with them, or in version 1 nothing else. */
static int open_former_hits(struct ps_carry *c, uint32_t i, struct hits *h)
{
	char name[PS_CHUNK_PIN_SIZE];
	int r;

	(void)snprintf(name, sizeof(name), PS_ROWS_PIN, i);
	_cleanup_close_ int fd = ps_former_open(c->former, name);
	if (fd >= 0) {
		r = open_array(fd, PROT_READ, &h->from);
		h->first = h->from.memory;
		h->stride = h->from.size / PS_ROW_CHUNK;
		h->n = PS_ROW_CHUNK;
		return r;
	}
	fd = ps_former_open(c->former, PS_HITS_V1);
	if (fd < 0)
		return -ENOENT;
	r = open_array(fd, PROT_READ, &h->from);
	if (r == 0 && h->from.n > (size_t)i * PS_ROW_CHUNK) {
		h->first = h->from.memory + (size_t)i * PS_ROW_CHUNK * h->from.stride;
		h->stride = h->from.stride;
		h->n = PS_MIN(h->from.n - (size_t)i * PS_ROW_CHUNK, PS_ROW_CHUNK);
	}
	return r;
}

static int open_hits(struct ps_carry *c, uint32_t i)
{
	struct hits *h = &c->hits[i];
	char name[PS_CHUNK_PIN_SIZE], path[PS_PIN_NAME];
	int r = open_former_hits(c, i, h);

	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), PS_ROWS_PIN, i);
	_cleanup_close_ int fd = bpf_obj_get(ps_pins_map(c->pins, name, path));
	r = fd < 0 ? -errno : open_array(fd, PROT_READ | PROT_WRITE, &h->to);
	if (r < 0)
		return r;
	h->base = calloc(PS_ROW_CHUNK, sizeof(*h->base));
	return h->base ? 0 : -ENOMEM;
}

static void close_hits(struct hits *h)
{
	close_array(&h->from);
	close_array(&h->to);
	ps_freep(&h->base);
}

static void move_hits(struct ps_carry *c, bool after)
{
	for (uint32_t i = 0; i < c->n_hits; i++) {
		struct hits *h = &c->hits[i];
		struct ps_rule_row *row = ((struct ps_rule_rows *)h->to.memory)->row;

		for (size_t k = 0; k < h->n; k++) {
			const struct ps_rule_hits *from = (const struct ps_rule_hits *)(h->first + k * h->stride);

			if (get(&from->packets))
				ps_carry_hits(from, &h->base[k], &row[k].hits, after);
		}
	}
}

uint32_t ps_carry_row_chunks(const struct ps_former *former)
{
	_cleanup_close_ int v1 = ps_former_open(former, PS_HITS_V1);
	struct bpf_map_info info;
	uint32_t n = 0;

	if (v1 >= 0 && get_info(v1, &info) == 0)
		return PS_MIN((info.max_entries + PS_ROW_CHUNK - 1) / PS_ROW_CHUNK, PS_ROW_CHUNKS);
	for (; n < PS_ROW_CHUNKS; n++) {
		char name[PS_CHUNK_PIN_SIZE];

		(void)snprintf(name, sizeof(name), PS_ROWS_PIN, n);
		_cleanup_close_ int fd = ps_former_open(former, name);
		if (fd < 0)
			break;
	}
	return n;
}

/* --- all of them ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	const char *former_name; /* where it had another */
	uint32_t from;           /* the first version whose map the function can read */
	int (*fn)(struct ps_carry *c, int from_fd, int to_fd, enum phase phase);
} carried[] = {
	{"ps_stats", NULL, 1, carry_stats},
	{"ps_hot", NULL, 1, carry_array},
	{"ps_cold", NULL, 1, carry_array},
	{"ps_tcp", NULL, 1, carry_tcp},
	{"ps_icmp", NULL, 1, carry_hash},
	{"ps_frags", NULL, 1, carry_hash},
	{"ps_rates", NULL, 2, carry_hash},
	{"ps_ifaces", NULL, 1, carry_hash},
	{"ps_ledger", NULL, 1, carry_element},
	{"ps_rule_heads", PS_HEADS_V1, 1, carry_generation},
};

static int carry_one(struct ps_carry *c, size_t i, enum phase phase)
{
	int to = ps_maps_fd(c->maps, carried[i].name);
	_cleanup_close_ int from = -1;

	if (to < 0 || ps_former_shares(c->former, carried[i].name) || ps_former_version(c->former) < carried[i].from)
		return 0;
	from = ps_former_open(c->former, carried[i].name);
	if (from < 0 && carried[i].former_name)
		from = ps_former_open(c->former, carried[i].former_name);
	return from < 0 ? 0 : carried[i].fn(c, from, to, phase);
}

static int carry_all(struct ps_carry *c, enum phase phase)
{
	int first = 0;

	for (size_t i = 0; i < PS_ARRAY_SIZE(carried); i++) {
		int r = carry_one(c, i, phase);

		if (first == 0)
			first = r;
	}
	return first;
}

int ps_carry_new(const struct ps_former *former, const struct ps_pins *pins, const struct ps_maps *maps,
	struct ps_carry **ret_carry)
{
	_cleanup_(ps_carry_free) struct ps_carry *c = calloc(1, sizeof(*c));
	uint32_t chunks = ps_former_shares(former, "ps_rule_rows") ? 0 : ps_carry_row_chunks(former);

	if (!c)
		return -ENOMEM;
	c->former = former;
	c->pins = pins;
	c->maps = maps;
	for (; c->n_hits < chunks; c->n_hits++) {
		int r = open_hits(c, (uint32_t)c->n_hits);

		if (r < 0) {
			close_hits(&c->hits[c->n_hits]);
			return r;
		}
	}
	*ret_carry = PS_TAKE(c);
	return 0;
}

void ps_carry_free(struct ps_carry **carry)
{
	if (!*carry)
		return;
	for (size_t i = 0; i < (*carry)->n_hits; i++)
		close_hits(&(*carry)->hits[i]);
	ps_freep(carry);
}

int ps_carry_begin(struct ps_carry *carry)
{
	move_hits(carry, false);
	return carry_all(carry, PHASE_BEGIN);
}

void ps_carry_follow(struct ps_carry *carry)
{
	move_hits(carry, false);
}

int ps_carry_last(struct ps_carry *carry)
{
	int r = carry_all(carry, PHASE_LAST);

	move_hits(carry, false);
	return r;
}

void ps_carry_rest(struct ps_carry *carry)
{
	move_hits(carry, true);
	(void)carry_all(carry, PHASE_REST);
}
