#include "collector/maps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "collector/chunks.h"
#include "collector/takeover.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

/* Seed of maps without pins. */
#define PS_OWN_SEED 0x9e3779b97f4a7c15ull

#define PS_META "ps_meta"
#define PS_RINGS "ps_rings"

/* Maps whose size follows the number of buckets. */
static const struct {
	const char *name;
	uint32_t per_bucket;
} scaled[] = {
	{"ps_tags", 1},
	{"ps_hot", 1}, /* an element holds all slots of a bucket */
	{"ps_cold", PS_BUCKET_SLOTS},
	{"ps_tcp", PS_BUCKET_SLOTS},
};

struct ps_maps {
	const struct ps_pins *pins;
	struct bpf_object *obj;
	struct ps_meta meta;
	bool reused;
	struct ps_takeover *takeover;
	int rings[PS_CPUS_MAX];
	size_t n_rings;
	struct ps_chunks *chunks;
	/* Own descriptors of the maps that the collector uses itself, so that the object may go. */
	struct {
		char name[16];
		int fd;
	} fds[32];
	size_t n_fds;
};

uint32_t ps_maps_buckets(uint32_t max_connections)
{
	uint64_t slots = ((uint64_t)max_connections * 100 + PS_TABLE_LOAD_PERCENT - 1) / PS_TABLE_LOAD_PERCENT;

	return (uint32_t)((slots + PS_BUCKET_SLOTS - 1) / PS_BUCKET_SLOTS);
}

uint32_t ps_maps_ring_bytes(uint32_t n)
{
	uint32_t bytes = PS_RING_TOTAL;

	while (bytes > PS_RING_MIN && (uint64_t)bytes * n > PS_RING_TOTAL)
		bytes /= 2;
	return bytes;
}

/* --- before load ------------------------------------------------------------------------------- */

/* The pinned meta, if the pins here are complete. -ENOENT: there are none, or a start died while making them. */
static int read_meta(const struct ps_pins *pins, struct ps_meta *ret_meta, struct ps_error *err)
{
	char path[PS_PIN_NAME];
	_cleanup_close_ int fd = bpf_obj_get(ps_pins_map(pins, PS_META, path));
	struct bpf_map_info info = {0};
	struct ps_meta meta = {0};
	__u32 len = sizeof(info), zero = 0;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT
				       : ps_error_set(err, -errno, 500, "bad_pin", "pin-root", "Cannot open %s: %s.",
						 path, strerror(errno));
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0 || info.value_size != sizeof(meta) ||
		bpf_map_lookup_elem(fd, &zero, &meta) < 0 || meta.abi != PS_ABI_VERSION || meta.buckets == 0 ||
		meta.cpus == 0 || meta.cpus > PS_CPUS_MAX)
		return ps_error_set(err, -EINVAL, 500, "bad_pin", "pin-root",
			"%s does not describe maps of this version: 'packetscope-collector --detach --purge' removes "
			"them, "
			"counters and "
			"connections with them.",
			path);
	*ret_meta = meta;
	return 0;
}

static int new_meta(uint32_t max_connections, struct ps_meta *ret_meta)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	struct ps_meta m = {
		.abi = PS_ABI_VERSION,
		.buckets = ps_maps_buckets(max_connections),
		.cpus = online < 1                   ? 1
			: online > (long)PS_CPUS_MAX ? PS_CPUS_MAX
						     : (uint32_t)online,
		.max_connections = max_connections,
		.created = ps_clock_wall(),
	};

	m.ring_bytes = ps_maps_ring_bytes(m.cpus);
	if (getrandom(&m.seed, sizeof(m.seed), 0) != sizeof(m.seed))
		return -EIO;
	/* Fewer than 10^9 connections begin a second, so ids of an earlier table never come again. */
	m.id_base = m.created;
	*ret_meta = m;
	return 0;
}

/* Of maps that nobody else sees: the same each time, so that the same packets give the same ids and slots. */
static int own_meta(uint32_t max_connections, struct ps_meta *ret_meta)
{
	int r = new_meta(max_connections, ret_meta);

	if (r == 0) {
		ret_meta->seed = PS_OWN_SEED;
		ret_meta->id_base = 0;
	}
	return r;
}

/* A start that died on the way may have left some pins: nobody uses them, for links are made after ps_meta's pin. */
static int begin(const struct ps_pins *pins, uint32_t max_connections, struct ps_meta *ret_meta, struct ps_error *err)
{
	struct ps_pins again = *pins;
	int r = ps_pins_clear(pins->maps);

	if (r >= 0)
		r = ps_pins_make(&again, err);
	if (r == 0)
		r = new_meta(max_connections, ret_meta);
	return r;
}

/* Our pins, or new ones, beside those of an older version or alone. */
static int find(struct ps_maps *maps, uint32_t max_connections, struct ps_error *err)
{
	int r = read_meta(maps->pins, &maps->meta, err);

	maps->reused = r == 0;
	if (r == -ENOENT)
		r = begin(maps->pins, max_connections, &maps->meta, err);
	if (r < 0)
		return r;
	r = ps_takeover_find(maps->pins, &maps->meta, maps->reused, &maps->takeover, err);
	if (r < 0 && !maps->reused)
		(void)rmdir(maps->pins->maps);
	return r;
}

static int set_sizes(const struct ps_maps *maps)
{
	int cpus = libbpf_num_possible_cpus();
	struct bpf_map *map;
	int r = 0;

	if (cpus < 0)
		return cpus;
	for (size_t i = 0; r == 0 && i < PS_ARRAY_SIZE(scaled); i++) {
		map = bpf_object__find_map_by_name(maps->obj, scaled[i].name);
		if (map)
			r = bpf_map__set_max_entries(map, maps->meta.buckets * scaled[i].per_bucket);
	}
	map = bpf_object__find_map_by_name(maps->obj, PS_RINGS);
	if (r == 0 && map)
		r = bpf_map__set_max_entries(map, (uint32_t)cpus);
	return r;
}

/* Lets the object use the pinned map of that name, if there is one and its layout is the object's. */
static int reuse(const struct ps_maps *maps, struct bpf_map *map, struct ps_error *err)
{
	char path[PS_PIN_NAME];
	_cleanup_close_ int fd = bpf_obj_get(ps_pins_map(maps->pins, bpf_map__name(map), path));
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0
				       : ps_error_set(err, -errno, 500, "bad_pin", "pin-root", "Cannot open %s: %s.",
						 path, strerror(errno));
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
		info.value_size != bpf_map__value_size(map) || info.max_entries != bpf_map__max_entries(map) ||
		info.map_flags != bpf_map__map_flags(map))
		return ps_error_set(err, -EINVAL, 500, "bad_pin", "pin-root",
			"%s has another layout than this version's: 'packetscope-collector --detach --purge' removes "
			"the maps, "
			"counters and "
			"connections with them.",
			path);
	r = bpf_map__reuse_fd(map, fd);
	return r < 0 ? ps_error_set(err, r, 500, "bad_pin", "pin-root", "Cannot use %s: %s.", path, strerror(-r)) : 0;
}

/* The same for all of them. */
static int reuse_all(const struct ps_maps *maps, struct ps_error *err)
{
	struct bpf_map *map;
	int r = 0;

	bpf_object__for_each_map(map, maps->obj)
	{
		if (r == 0 && !bpf_map__is_internal(map))
			r = reuse(maps, map, err);
	}
	return r;
}

int ps_maps_prepare(const struct ps_pins *pins, struct bpf_object *obj, uint32_t max_connections,
	struct ps_maps **ret_maps, struct ps_error *err)
{
	_cleanup_(ps_maps_free) struct ps_maps *maps = calloc(1, sizeof(*maps));
	int r;

	if (!maps)
		return -ENOMEM;
	maps->pins = pins;
	maps->obj = obj;
	r = pins ? find(maps, max_connections, err) : own_meta(max_connections, &maps->meta);
	if (r < 0)
		return r;
	r = set_sizes(maps);
	if (r < 0)
		return ps_error_set(err, r, 500, "no_maps", "", "Cannot set the maps' sizes: %s.", strerror(-r));
	if (maps->reused)
		r = reuse_all(maps, err);
	if (r == 0)
		r = ps_takeover_reuse(maps->takeover, obj, err);
	if (r < 0)
		return r;
	*ret_maps = PS_TAKE(maps);
	return 0;
}

/* --- after load -------------------------------------------------------------------------------- */

static int pin(const struct ps_maps *maps, int fd, const char *name, struct ps_error *err)
{
	char path[PS_PIN_NAME];
	int r = 0;

	if (!maps->pins)
		return 0;
	if (bpf_obj_pin(fd, ps_pins_map(maps->pins, name, path)) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0)
		r = ps_pins_own(maps->pins, path);
	return r < 0 ? ps_error_set(err, r, 500, "no_pins", "pin-root", "Cannot pin %s: %s.", path, strerror(-r)) : 0;
}

/* The id of the map in a slot of ps_rings; 0 = empty. */
static uint32_t slot_id(int outer, uint32_t slot)
{
	uint32_t id = 0;

	return bpf_map_lookup_elem(outer, &slot, &id) < 0 ? 0 : id;
}

static int open_ring(struct ps_maps *maps, size_t i, struct ps_error *err)
{
	char name[16], path[PS_PIN_NAME];
	int fd;

	(void)snprintf(name, sizeof(name), "ring-%zu", i);
	fd = maps->pins ? bpf_obj_get(ps_pins_map(maps->pins, name, path)) : -1;
	if (fd < 0)
		fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ps_ring", 0, 0, maps->meta.ring_bytes, NULL);
	if (fd < 0)
		return ps_error_set(err, -errno, 500, "no_maps", "", "Cannot make a ring of %u bytes: %s.",
			maps->meta.ring_bytes, strerror(errno));
	maps->rings[maps->n_rings++] = fd;
	return pin(maps, fd, name, err);
}

/*
 * A CPU that came online later shares the ring of another: the number of rings is what the host had when the maps were
 * made, not what it could ever have, which may be hundreds.
 */
static int fill_rings(struct ps_maps *maps, struct ps_error *err)
{
	struct bpf_map *outer = bpf_object__find_map_by_name(maps->obj, PS_RINGS);
	int r = 0;

	for (size_t i = 0; r == 0 && i < maps->meta.cpus; i++)
		r = open_ring(maps, i, err);
	for (uint32_t cpu = 0; r == 0 && outer && cpu < bpf_map__max_entries(outer); cpu++) {
		int ring = maps->rings[cpu % maps->n_rings];
		struct bpf_map_info info = {0};
		__u32 len = sizeof(info);

		if (bpf_obj_get_info_by_fd(ring, &info, &len) < 0)
			return -errno;
		/* Each update waits for the programs that run (RCU): not for what is there already. */
		if (info.id != slot_id(bpf_map__fd(outer), cpu) &&
			bpf_map_update_elem(bpf_map__fd(outer), &cpu, &ring, BPF_ANY) < 0)
			r = ps_error_set(err, -errno, 500, "no_maps", "", "Cannot give CPU %u its ring: %s.", cpu,
				strerror(errno));
	}
	return r;
}

static int keep_fd(struct ps_maps *maps, const struct bpf_map *map)
{
	int fd;

	if (maps->n_fds == PS_ARRAY_SIZE(maps->fds))
		return -ENOSPC;
	fd = dup(bpf_map__fd(map));
	if (fd < 0)
		return -errno;
	maps->fds[maps->n_fds].fd = fd;
	(void)snprintf(maps->fds[maps->n_fds++].name, sizeof(maps->fds[0].name), "%s", bpf_map__name(map));
	return 0;
}

static int open_chunks(struct ps_maps *maps, struct ps_error *err)
{
	uint32_t rows = ps_takeover_row_chunks(maps->takeover);
	struct ps_runtime *runtime;
	void *memory = NULL;
	int r = ps_maps_mmap(maps, "ps_runtime", sizeof(*runtime), &memory, err);

	runtime = memory;
	if (r < 0 || !runtime)
		return r;
	/* Rules of an older version have the rows that they had, for what they have counted. */
	if (rows)
		runtime->row_chunks_wanted = (__u16)rows;
	return ps_chunks_new(maps->pins, ps_maps_fd(maps, "ps_rule_chunks"), ps_maps_fd(maps, "ps_rule_rows"), runtime,
		&maps->chunks, err);
}

void ps_maps_make_room(struct ps_maps *maps)
{
	(void)ps_chunks_serve(maps->chunks);
}

int ps_maps_commit(struct ps_maps *maps, struct ps_error *err)
{
	struct bpf_map *map, *meta = bpf_object__find_map_by_name(maps->obj, PS_META);
	uint32_t zero = 0;
	int r = 0;

	if (!meta)
		return ps_error_set(err, -EINVAL, 500, "bad_object", "", "The BPF object has no map %s.", PS_META);
	bpf_object__for_each_map(map, maps->obj)
	{
		if (bpf_map__is_internal(map))
			continue;
		r = keep_fd(maps, map);
		if (r == 0 && map != meta)
			r = pin(maps, bpf_map__fd(map), bpf_map__name(map), err);
		if (r < 0)
			return r;
	}
	r = ps_takeover_adopt(maps->takeover, err);
	if (r == 0)
		r = fill_rings(maps, err);
	if (r == 0)
		r = open_chunks(maps, err);
	if (r == 0)
		r = ps_takeover_begin(maps->takeover, maps, err);
	if (r < 0)
		return r;
	if (!maps->reused && bpf_map_update_elem(bpf_map__fd(meta), &zero, &maps->meta, BPF_ANY) < 0)
		return ps_error_set(err, -errno, 500, "no_maps", "", "Cannot write %s: %s.", PS_META, strerror(errno));
	r = pin(maps, bpf_map__fd(meta), PS_META, err);
	maps->obj = NULL;
	return r;
}

void ps_maps_free(struct ps_maps **maps)
{
	if (!*maps)
		return;
	ps_takeover_free(&(*maps)->takeover);
	ps_chunks_free(&(*maps)->chunks);
	for (size_t i = 0; i < (*maps)->n_rings; i++)
		(void)close((*maps)->rings[i]);
	for (size_t i = 0; i < (*maps)->n_fds; i++)
		(void)close((*maps)->fds[i].fd);
	ps_freep(maps);
}

const struct ps_meta *ps_maps_meta(const struct ps_maps *maps)
{
	return &maps->meta;
}

bool ps_maps_reused(const struct ps_maps *maps)
{
	return maps->reused;
}

int ps_maps_fd(const struct ps_maps *maps, const char *name)
{
	for (size_t i = 0; i < maps->n_fds; i++)
		if (strcmp(maps->fds[i].name, name) == 0)
			return maps->fds[i].fd;
	return maps->chunks ? ps_chunks_fd(maps->chunks, name) : -1;
}

const int *ps_maps_rings(const struct ps_maps *maps, size_t *ret_n)
{
	*ret_n = maps->n_rings;
	return maps->rings;
}

static size_t whole_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

int ps_maps_mmap(const struct ps_maps *maps, const char *name, size_t size, void **ret_memory, struct ps_error *err)
{
	void *p = mmap(NULL, whole_pages(size), PROT_READ | PROT_WRITE, MAP_SHARED, ps_maps_fd(maps, name), 0);

	if (p == MAP_FAILED)
		return ps_error_set(err, -errno, 500, "no_maps", "", "Cannot map %s: %s.", name, strerror(errno));
	*ret_memory = p;
	return 0;
}

void ps_maps_unmap(void **memory, size_t size)
{
	if (*memory)
		(void)munmap(*memory, whole_pages(size));
	*memory = NULL;
}

struct ps_takeover *ps_maps_takeover(const struct ps_maps *maps)
{
	return maps->takeover;
}

void ps_maps_settle(struct ps_maps *maps)
{
	uint32_t zero = 0;

	ps_takeover_rest(maps->takeover);
	ps_takeover_free(&maps->takeover);
	if (maps->meta.former) {
		maps->meta.former = maps->meta.swapped = 0;
		(void)bpf_map_update_elem(ps_maps_fd(maps, PS_META), &zero, &maps->meta, BPF_ANY);
	}
	(void)ps_pins_clear_other_abi(maps->pins);
}

void ps_maps_note_detached(const struct ps_pins *pins)
{
	char path[PS_PIN_NAME];
	_cleanup_close_ int fd = bpf_obj_get(ps_pins_map(pins, "ps_ifaces", path));
	uint32_t key, *before = NULL;
	struct ps_iface v;

	for (unsigned n = 0; fd >= 0 && n < PS_IFACES_MAX && bpf_map_get_next_key(fd, before, &key) == 0; n++) {
		before = &key;
		if (bpf_map_lookup_elem(fd, &key, &v) < 0)
			continue;
		v.flags &= ~PS_IFACE_HOOKS;
		(void)bpf_map_update_elem(fd, &key, &v, BPF_EXIST);
	}
}
