#include "collector/chunks.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "collector/maps.h"
#include "common/base/cleanup.h"

#define MOST (2 * PS_UNIT_CHUNKS)

/* One of the two outer maps. */
struct kind {
	int outer;
	const char *name; /* of the maps in it */
	size_t size;
	int fd[MOST]; /* -1 = not there */
};

struct ps_chunks {
	const struct ps_pins *pins;
	struct ps_runtime *runtime;
	struct kind units, rows;
};

static void forget(struct kind *k)
{
	for (size_t i = 0; i < MOST; i++)
		ps_closep(&k->fd[i]);
}

void ps_chunks_free(struct ps_chunks **chunks)
{
	if (!*chunks)
		return;
	forget(&(*chunks)->units);
	forget(&(*chunks)->rows);
	ps_maps_unmap((void **)&(*chunks)->runtime, sizeof(struct ps_runtime));
	ps_freep(chunks);
}

/* The pin's name; the format is one of the two of abi.h. */
static void pin_name(const struct ps_chunks *c, const struct kind *k, uint32_t i, char name[static PS_CHUNK_PIN_SIZE])
{
	if (k == &c->units)
		(void)snprintf(name, PS_CHUNK_PIN_SIZE, PS_UNITS_PIN, i);
	else
		(void)snprintf(name, PS_CHUNK_PIN_SIZE, PS_ROWS_PIN, i);
}

/* A chunk, as its pin has it or new and pinned. A start that died may have left a pin of one that is in no outer map.
 */
static int open_chunk(struct ps_chunks *c, struct kind *k, uint32_t i)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	char name[PS_CHUNK_PIN_SIZE], path[PS_PIN_NAME];
	_cleanup_close_ int fd = -1;

	pin_name(c, k, i, name);
	if (c->pins)
		fd = bpf_obj_get(ps_pins_map(c->pins, name, path));
	if (fd < 0) {
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, k->name, sizeof(uint32_t), (uint32_t)k->size, 1, &opts);
		if (fd < 0)
			return -errno;
		if (c->pins && bpf_obj_pin(fd, path) < 0)
			return -errno;
	}
	if (c->pins && ps_pins_own(c->pins, path) < 0)
		return -errno;
	k->fd[i] = PS_TAKE_FD(fd);
	return 0;
}

/*
 * Puts chunks into the outer map. One by one each would wait until no program runs that may still see what was there
 * before, which takes some 20 ms; kernels that can take all at once wait once.
 */
static int insert(const struct kind *k, uint32_t *index, uint32_t n)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	int fds[MOST];
	uint32_t done = n;

	for (uint32_t i = 0; i < n; i++)
		fds[i] = k->fd[index[i]];
	if (n > 1 && bpf_map_update_batch(k->outer, index, fds, &done, &opts) == 0 && done == n)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		if (bpf_map_update_elem(k->outer, &index[i], &fds[i], BPF_ANY) < 0)
			return -errno;
	return 0;
}

static int make(struct ps_chunks *c, struct kind *k, const uint32_t *wanted, uint32_t n)
{
	uint32_t index[MOST];
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		index[i] = wanted[i];
		if (k->fd[index[i]] < 0)
			r = open_chunk(c, k, index[i]);
	}
	return r == 0 && n > 0 ? insert(k, index, n) : r;
}

static int make_units(struct ps_chunks *c, uint32_t from, uint32_t to)
{
	uint32_t wanted[MOST], n = 0;

	for (uint32_t i = from; i < to; i++) {
		wanted[n++] = i;
		wanted[n++] = PS_UNIT_CHUNKS + i;
	}
	return make(c, &c->units, wanted, n);
}

static int make_rows(struct ps_chunks *c, uint32_t from, uint32_t to)
{
	uint32_t wanted[MOST], n = 0;

	for (uint32_t i = from; i < to; i++)
		wanted[n++] = i;
	return make(c, &c->rows, wanted, n);
}

static uint32_t get(const __u16 *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

/* The line is read by every packet: it is only written when something changes. */
static int grow(struct ps_chunks *c, uint32_t units, uint32_t rows)
{
	struct ps_runtime *rt = c->runtime;
	uint32_t have_units = get(&rt->unit_chunks), have_rows = get(&rt->row_chunks);
	int r = 0;

	if (units > PS_UNIT_CHUNKS || rows > PS_ROW_CHUNKS)
		return -E2BIG;
	if (rows > have_rows) {
		r = make_rows(c, have_rows, rows);
		if (r == 0)
			__atomic_store_n(&rt->row_chunks, (__u16)rows, __ATOMIC_RELEASE);
	}
	if (r == 0 && units > have_units) {
		r = make_units(c, have_units, units);
		if (r == 0)
			__atomic_store_n(&rt->unit_chunks, (__u16)units, __ATOMIC_RELEASE);
	}
	return r;
}

int ps_chunks_serve(struct ps_chunks *c)
{
	struct ps_runtime *rt = c->runtime;
	uint32_t units = get(&rt->unit_chunks_wanted), rows = get(&rt->row_chunks_wanted);
	int r = grow(c, units, rows);

	if (r < 0) {
		/* not tried again and again */
		__atomic_store_n(&rt->unit_chunks_wanted, (__u16)get(&rt->unit_chunks), __ATOMIC_RELAXED);
		__atomic_store_n(&rt->row_chunks_wanted, (__u16)get(&rt->row_chunks), __ATOMIC_RELAXED);
		__atomic_store_n(&rt->room_error, (uint32_t)-r, __ATOMIC_RELEASE);
	}
	return r;
}

static void set_up(struct kind *k, int outer, const char *name, size_t size)
{
	k->outer = outer;
	k->name = name;
	k->size = size;
	for (size_t i = 0; i < MOST; i++)
		k->fd[i] = -1;
}

int ps_chunks_new(const struct ps_pins *pins, int units, int rows, struct ps_runtime *runtime,
	struct ps_chunks **ret_chunks, struct ps_error *err)
{
	_cleanup_(ps_chunks_free) struct ps_chunks *c = calloc(1, sizeof(*c));
	int r;

	_Static_assert(PS_ROW_CHUNKS <= MOST, "one list of descriptors fits either");
	if (!c) {
		ps_maps_unmap((void **)&runtime, sizeof(struct ps_runtime));
		return -ENOMEM;
	}
	c->pins = pins;
	c->runtime = runtime;
	set_up(&c->units, units, "ps_rule_chunk", sizeof(struct ps_rule_chunk));
	set_up(&c->rows, rows, "ps_rule_rows", sizeof(struct ps_rule_rows));
	r = grow(c, 1, PS_MIN(PS_MAX(1, get(&runtime->row_chunks_wanted)), PS_ROW_CHUNKS));
	if (r < 0)
		return ps_error_set(err, r, 500, "no_maps", "", "Cannot make the maps for rules: %s.", strerror(-r));
	*ret_chunks = PS_TAKE(c);
	return 0;
}

int ps_chunks_fd(const struct ps_chunks *c, const char *name)
{
	uint32_t i;

	if (sscanf(name, PS_UNITS_PIN, &i) == 1 && i < MOST)
		return c->units.fd[i];
	if (sscanf(name, PS_ROWS_PIN, &i) == 1 && i < MOST)
		return c->rows.fd[i];
	return -1;
}
