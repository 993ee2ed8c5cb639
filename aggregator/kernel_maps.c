#include "aggregator/kernel_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "aggregator/limits.h"
#include "common/base/cleanup.h"

/* Mapped maps, in the order of `mapping`. */
enum mapped {
	MAPPED_TAGS,
	MAPPED_HOT,
	MAPPED_COLD,
	MAPPED_TCP,
	MAPPED_RULE_HEADS,
	MAPPED_RUNTIME,
	MAPPED_LEDGER,
	MAPPED_COUNT,
};

static const struct {
	const char *name;
	size_t value_size;
	size_t entries; /* or PER_BUCKET, PER_SLOT */
	int prot;
	size_t member; /* of struct ps_kernel_view */
} mapping[MAPPED_COUNT] = {
#define PER_BUCKET 0
#define PER_SLOT SIZE_MAX
#define ROW(m, type, n, prot) \
	{ \
		"ps_" #m, sizeof(type), n, prot, offsetof(struct ps_kernel_view, m) \
	}
	[MAPPED_TAGS] = ROW(tags, struct ps_bucket_tags, PER_BUCKET, PROT_READ | PROT_WRITE),
	[MAPPED_HOT] = ROW(hot, struct ps_conn_hot[PS_BUCKET_SLOTS], PER_BUCKET, PROT_READ),
	[MAPPED_COLD] = ROW(cold, struct ps_conn_cold, PER_SLOT, PROT_READ),
	[MAPPED_TCP] = ROW(tcp, struct ps_conn_tcp, PER_SLOT, PROT_READ),
	[MAPPED_RULE_HEADS] = ROW(rule_heads, struct ps_rule_head, 2, PROT_READ | PROT_WRITE),
	[MAPPED_RUNTIME] = ROW(runtime, struct ps_runtime, 1, PROT_READ | PROT_WRITE),
	[MAPPED_LEDGER] = ROW(ledger, struct ps_ledger, 1, PROT_READ | PROT_WRITE),
#undef ROW
};

struct ps_kernel_maps {
	char dir[PATH_MAX - 64];
	struct ps_kernel_owner owner; /* without fd: pins, and the collector is their owner */
	void *memory[MAPPED_COUNT];
	size_t length[MAPPED_COUNT];
	int stats_fd;
	int icmp_fd;
	int ifaces_fd;
	unsigned cpus;
	struct ps_stats *per_cpu; /* cpus of them */
};

int ps_kernel_maps_new(const char *pin_root, struct ps_kernel_maps **ret_maps)
{
	_cleanup_free_ struct ps_kernel_maps *maps = calloc(1, sizeof(*maps));
	int n;

	if (!maps)
		return -ENOMEM;
	n = snprintf(maps->dir, sizeof(maps->dir), "%s/maps/v%u", pin_root, PS_ABI_VERSION);
	if (n < 0 || (size_t)n >= sizeof(maps->dir))
		return -ENAMETOOLONG;
	maps->stats_fd = -1;
	maps->icmp_fd = -1;
	maps->ifaces_fd = -1;
	*ret_maps = PS_TAKE(maps);
	return 0;
}

int ps_kernel_maps_new_own(const struct ps_kernel_owner *owner, struct ps_kernel_maps **ret_maps)
{
	int r = ps_kernel_maps_new("", ret_maps);

	if (r < 0)
		return r;
	(*ret_maps)->owner = *owner;
	return 0;
}

void ps_kernel_maps_on_room(struct ps_kernel_maps *maps, void (*call)(void *arg), void *arg)
{
	maps->owner.room = call;
	maps->owner.arg = arg;
}

static void unmap_chunks(struct ps_kernel_view *view);

static void maps_close(void *impl, struct ps_kernel_view *view)
{
	struct ps_kernel_maps *maps = impl;

	if (view)
		unmap_chunks(view);
	for (int i = 0; i < MAPPED_COUNT; i++) {
		if (maps->memory[i])
			(void)munmap(maps->memory[i], maps->length[i]);
		maps->memory[i] = NULL;
	}
	ps_closep(&maps->stats_fd);
	ps_closep(&maps->icmp_fd);
	ps_closep(&maps->ifaces_fd);
	ps_freep(&maps->per_cpu);
}

void ps_kernel_maps_free(struct ps_kernel_maps **maps)
{
	if (!*maps)
		return;
	maps_close(*maps, NULL);
	free(*maps);
	*maps = NULL;
}

/* Maps of another version beside where ours would be: its number, the highest there is; 0 = none. */
static unsigned long other_version(const struct ps_kernel_maps *maps)
{
	const char *own = strrchr(maps->dir, '/');
	char above[sizeof(maps->dir)];
	unsigned long found = 0;
	struct dirent *e;
	DIR *d;

	(void)snprintf(above, sizeof(above), "%.*s", own ? (int)(own - maps->dir) : 0, maps->dir);
	d = maps->owner.fd ? NULL : opendir(above);
	while (d && (e = readdir(d)))
		if (e->d_name[0] == 'v')
			found = PS_MAX(found, strtoul(e->d_name + 1, NULL, 10));
	if (d)
		(void)closedir(d);
	return found;
}

static int not_there(const struct ps_kernel_maps *maps, const char *path, struct ps_error *err)
{
	unsigned long other = other_version(maps);

	if (!other || other == PS_ABI_VERSION)
		return ps_error_set(
			err, -ENOENT, 503, "no_kernel_maps", "", "%s is not there: start the collector", path);
	return ps_error_set(err, -ENOENT, 503, "no_kernel_maps", "",
		"the maps in the kernel have layout %lu, this aggregator knows layout %u: the collector that made them "
		"is "
		"of %s version, and its programs enforce the rules that they have; restart the collector, or install "
		"the "
		"aggregator that goes with it",
		other, PS_ABI_VERSION, other > PS_ABI_VERSION ? "a newer" : "an older");
}

/* Opens a pin and checks that the map has the layout that this program was built for. */
static int pin_open(const struct ps_kernel_maps *maps, const char *name, size_t value_size, size_t entries, int *ret_fd,
	struct ps_error *err)
{
	char path[PATH_MAX];
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	_cleanup_close_ int fd = -1;
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", maps->dir, name);
	fd = maps->owner.fd ? fcntl(maps->owner.fd(maps->owner.arg, name), F_DUPFD_CLOEXEC, 3) : bpf_obj_get(path);
	if (fd < 0) {
		r = -errno;
		if (r == -ENOENT)
			return not_there(maps, path, err);
		return ps_error_set(err, r, 503, "kernel_maps", "",
			"cannot open %s: %s; the pins must be readable and writable for this user", path, strerror(-r));
	}
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return ps_error_set(
			err, -errno, 503, "kernel_maps", "", "cannot inspect %s: %s", path, strerror(errno));
	if (info.value_size != value_size || (entries && info.max_entries < entries))
		return ps_error_set(err, -EPROTO, 503, "kernel_maps", "",
			"%s has values of %u bytes, %u of them, where %zu and %zu were expected: another version made "
			"it; "
			"run \"packetscope detach\" and start again",
			path, info.value_size, info.max_entries, value_size, entries);
	*ret_fd = PS_TAKE_FD(fd);
	return 0;
}

static int meta_read(const struct ps_kernel_maps *maps, struct ps_meta *ret_meta, struct ps_error *err)
{
	_cleanup_close_ int fd = -1;
	struct ps_meta meta;
	__u32 zero = 0;
	int r;

	r = pin_open(maps, "ps_meta", sizeof(meta), 1, &fd, err);
	if (r < 0)
		return r;
	if (bpf_map_lookup_elem(fd, &zero, &meta) < 0)
		return ps_error_set(err, -errno, 503, "kernel_maps", "", "cannot read ps_meta: %s", strerror(errno));
	/* Maps that are being made: created is written last. */
	if (!meta.created)
		return ps_error_set(err, -ENOENT, 503, "no_kernel_maps", "", "the collector is still making the maps");
	if (meta.abi != PS_ABI_VERSION || !meta.buckets || meta.buckets > PS_CONNECTIONS_MAX)
		return ps_error_set(err, -EPROTO, 503, "kernel_maps", "",
			"ps_meta speaks of layout %u with %u buckets; this program knows layout %u", meta.abi,
			meta.buckets, PS_ABI_VERSION);
	*ret_meta = meta;
	return 0;
}

static size_t whole_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

static int map_memory(const struct ps_kernel_maps *maps, const char *name, size_t value_size, size_t entries, int prot,
	void **ret_memory, size_t *ret_length, struct ps_error *err)
{
	size_t stride = (value_size + 7) / 8 * 8; /* arrays lay their values out in steps of eight bytes */
	_cleanup_close_ int fd = -1;
	void *memory;
	int r = pin_open(maps, name, value_size, entries, &fd, err);

	if (r < 0)
		return r;
	*ret_length = whole_pages(entries * stride);
	memory = mmap(NULL, *ret_length, prot, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return ps_error_set(err, -errno, 503, "kernel_maps", "", "cannot map %s: %s", name, strerror(errno));
	*ret_memory = memory;
	return 0;
}

static int map_one(struct ps_kernel_maps *maps, enum mapped m, struct ps_kernel_view *view, struct ps_error *err)
{
	size_t entries = mapping[m].entries;
	int r;

	if (entries == PER_BUCKET)
		entries = view->meta.buckets;
	else if (entries == PER_SLOT)
		entries = ps_kernel_slots(view);
	r = map_memory(maps, mapping[m].name, mapping[m].value_size, entries, mapping[m].prot, &maps->memory[m],
		&maps->length[m], err);
	if (r == 0)
		memcpy((char *)view + mapping[m].member, &maps->memory[m], sizeof(maps->memory[m]));
	return r;
}

/* --- Rules: chunks that come when they are needed ---------------------------------------------------- */

static int map_units(struct ps_kernel_maps *maps, uint32_t i, struct ps_rule_chunk **ret_chunk, struct ps_error *err)
{
	char name[PS_CHUNK_PIN_SIZE];
	void *memory = NULL;
	size_t length;
	int r;

	(void)snprintf(name, sizeof(name), PS_UNITS_PIN, i);
	r = map_memory(maps, name, sizeof(**ret_chunk), 1, PROT_READ | PROT_WRITE, &memory, &length, err);
	if (r == 0)
		*ret_chunk = memory;
	return r;
}

static int map_rows(struct ps_kernel_maps *maps, uint32_t i, struct ps_rule_rows **ret_rows, struct ps_error *err)
{
	char name[PS_CHUNK_PIN_SIZE];
	void *memory = NULL;
	size_t length;
	int r;

	(void)snprintf(name, sizeof(name), PS_ROWS_PIN, i);
	r = map_memory(maps, name, sizeof(**ret_rows), 1, PROT_READ | PROT_WRITE, &memory, &length, err);
	if (r == 0)
		*ret_rows = memory;
	return r;
}

/* Maps what is there and was not. */
static int map_chunks(struct ps_kernel_maps *maps, struct ps_kernel_view *view, struct ps_error *err)
{
	uint32_t units = PS_MIN(__atomic_load_n(&view->runtime->unit_chunks, __ATOMIC_ACQUIRE), PS_UNIT_CHUNKS);
	uint32_t rows = PS_MIN(__atomic_load_n(&view->runtime->row_chunks, __ATOMIC_ACQUIRE), PS_ROW_CHUNKS);
	int r = 0;

	for (uint32_t c = view->rule_unit_chunks; r == 0 && c < units; c++) {
		for (uint32_t half = 0; r == 0 && half < 2; half++)
			if (!view->rule_chunks[half][c])
				r = map_units(maps, half * PS_UNIT_CHUNKS + c, &view->rule_chunks[half][c], err);
		if (r == 0)
			view->rule_unit_chunks = c + 1;
	}
	for (uint32_t c = view->rule_row_chunks; r == 0 && c < rows; c++) {
		r = map_rows(maps, c, &view->rule_rows[c], err);
		if (r == 0)
			view->rule_row_chunks = c + 1;
	}
	return r;
}

static void unmap_chunks(struct ps_kernel_view *view)
{
	for (uint32_t c = 0; c < PS_UNIT_CHUNKS; c++)
		for (uint32_t half = 0; half < 2; half++)
			if (view->rule_chunks[half][c])
				(void)munmap(view->rule_chunks[half][c], whole_pages(sizeof(struct ps_rule_chunk)));
	for (uint32_t c = 0; c < PS_ROW_CHUNKS; c++)
		if (view->rule_rows[c])
			(void)munmap(view->rule_rows[c], whole_pages(sizeof(struct ps_rule_rows)));
	memset(view->rule_chunks, 0, sizeof(view->rule_chunks));
	memset(view->rule_rows, 0, sizeof(view->rule_rows));
	view->rule_unit_chunks = view->rule_row_chunks = 0;
}

static int no_room(struct ps_runtime *rt, struct ps_error *err)
{
	uint32_t reason = __atomic_load_n(&rt->room_error, __ATOMIC_RELAXED);

	if (reason)
		return ps_error_set(err, -ENOMEM, 507, "no_memory", "",
			"the rules are unchanged: the kernel has no memory for so many (%s)", strerror((int)reason));
	return ps_error_set(err, -ETIMEDOUT, 503, "no_collector", "",
		"the rules are unchanged: so many need more memory in the kernel, which the collector makes, and it "
		"does not "
		"answer; start it");
}

/* The collector looks at what is wanted when it is called; called again: it may have been away. */
static int maps_rule_room(
	void *impl, struct ps_kernel_view *view, uint32_t unit_chunks, uint32_t row_chunks, struct ps_error *err)
{
	struct ps_kernel_maps *maps = impl;
	struct ps_runtime *rt = view->runtime;
	int r;

	if (unit_chunks > PS_UNIT_CHUNKS || row_chunks > PS_ROW_CHUNKS)
		return -EINVAL;
	__atomic_store_n(&rt->room_error, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&rt->unit_chunks_wanted, (__u16)unit_chunks, __ATOMIC_RELEASE);
	__atomic_store_n(&rt->row_chunks_wanted, (__u16)row_chunks, __ATOMIC_RELEASE);
	for (uint64_t waited = 0;; waited += PS_RULE_ROOM_STEP_NS) {
		const struct timespec step = {.tv_nsec = PS_RULE_ROOM_STEP_NS};

		if (maps->owner.room && waited % PS_RULE_ROOM_CALL_NS == 0)
			maps->owner.room(maps->owner.arg);
		r = map_chunks(maps, view, err);
		if (r < 0 || (view->rule_unit_chunks >= unit_chunks && view->rule_row_chunks >= row_chunks))
			return r;
		if (waited >= PS_RULE_ROOM_WAIT_NS || __atomic_load_n(&rt->room_error, __ATOMIC_RELAXED))
			return no_room(rt, err);
		(void)nanosleep(&step, NULL);
	}
}

static int open_all(struct ps_kernel_maps *maps, struct ps_kernel_view *view, struct ps_error *err)
{
	int cpus = libbpf_num_possible_cpus();
	int r;

	if (cpus <= 0)
		return ps_error_set(err, cpus ? cpus : -EINVAL, 500, "cpus", "", "cannot tell the number of CPUs");
	maps->cpus = (unsigned)cpus;
	maps->per_cpu = calloc(maps->cpus, sizeof(*maps->per_cpu));
	if (!maps->per_cpu)
		return -ENOMEM;
	r = meta_read(maps, &view->meta, err);
	for (int m = 0; r >= 0 && m < MAPPED_COUNT; m++)
		r = map_one(maps, (enum mapped)m, view, err);
	if (r >= 0)
		r = map_chunks(maps, view, err);
	if (r >= 0)
		r = pin_open(maps, "ps_stats", sizeof(struct ps_stats), 1, &maps->stats_fd, err);
	if (r >= 0)
		r = pin_open(maps, "ps_icmp", sizeof(struct ps_icmp_entry), 1, &maps->icmp_fd, err);
	if (r >= 0)
		r = pin_open(maps, "ps_ifaces", sizeof(struct ps_iface), 1, &maps->ifaces_fd, err);
	return r;
}

static int maps_open(void *impl, struct ps_kernel_view *ret_view, struct ps_error *err)
{
	struct ps_kernel_maps *maps = impl;
	struct ps_kernel_view view = {0};
	int r;

	view.kernel = ps_kernel_maps_ops(maps);
	r = open_all(maps, &view, err);
	if (r < 0) {
		unmap_chunks(&view);
		maps_close(maps, NULL);
		return r;
	}
	*ret_view = view;
	return 0;
}

static int maps_created(void *impl, uint64_t *ret_created)
{
	struct ps_meta meta = {0};
	int r = meta_read(impl, &meta, NULL);

	if (r < 0)
		return r;
	*ret_created = meta.created;
	return 0;
}

static int maps_stats(void *impl, struct ps_stats *ret_stats)
{
	struct ps_kernel_maps *maps = impl;
	struct ps_stats sum = {0};
	uint64_t *to = (uint64_t *)&sum;
	__u32 zero = 0;

	_Static_assert(sizeof(struct ps_stats) % 8 == 0, "nothing but 64-bit counters");
	if (bpf_map_lookup_elem(maps->stats_fd, &zero, maps->per_cpu) < 0)
		return -errno;
	for (unsigned cpu = 0; cpu < maps->cpus; cpu++) {
		const uint64_t *from = (const uint64_t *)&maps->per_cpu[cpu];

		for (size_t i = 0; i < sizeof(sum) / sizeof(*to); i++)
			to[i] += from[i];
	}
	*ret_stats = sum;
	return 0;
}

static int maps_iface(void *impl, uint32_t ifindex, char ret_name[static PS_NAME_SIZE])
{
	struct ps_kernel_maps *maps = impl;
	struct ps_iface iface;

	if (bpf_map_lookup_elem(maps->ifaces_fd, &ifindex, &iface) < 0)
		return -errno;
	_Static_assert(sizeof(iface.name) == PS_NAME_SIZE, "one name");
	if (!iface.name[0] || !memchr(iface.name, 0, sizeof(iface.name)))
		return -ENOENT;
	memcpy(ret_name, iface.name, sizeof(iface.name));
	return 0;
}

static size_t maps_ifaces(void *impl, struct ps_kernel_iface ret_ifaces[static PS_IFACES_MAX])
{
	struct ps_kernel_maps *maps = impl;
	__u32 key, *before = NULL;
	size_t n = 0;

	/* Bounded: a row that goes while we look makes the kernel begin anew. */
	for (unsigned step = 0; step < PS_IFACES_MAX && bpf_map_get_next_key(maps->ifaces_fd, before, &key) == 0;
		step++) {
		before = &key;
		if (bpf_map_lookup_elem(maps->ifaces_fd, &key, &ret_ifaces[n].v) < 0)
			continue;
		ret_ifaces[n].ifindex = key;
		ret_ifaces[n].v.name[sizeof(ret_ifaces[n].v.name) - 1] = '\0';
		n++;
	}
	return n;
}

static int maps_icmp(void *impl, ps_kernel_icmp_fn fn, void *arg)
{
	struct ps_kernel_maps *maps = impl;
	_cleanup_free_ struct ps_icmp_key *keys = calloc(PS_ICMP_BATCH, sizeof(*keys));
	_cleanup_free_ struct ps_icmp_entry *entries = calloc(PS_ICMP_BATCH, sizeof(*entries));
	struct ps_icmp_key position = {
		0}; /* the kernel keeps its place here: the size of a key is more than it needs */
	bool first = true;

	if (!keys || !entries)
		return -ENOMEM;
	/* Bounded: the kernel goes through the hash once, but entries may come while it does. */
	for (unsigned round = 0; round <= 2 * PS_ICMP_ENTRIES / PS_ICMP_BATCH; round++) {
		__u32 n = PS_ICMP_BATCH;
		int r = bpf_map_lookup_batch(
			maps->icmp_fd, first ? NULL : &position, &position, keys, entries, &n, NULL);

		if (r < 0 && errno != ENOENT)
			return -errno;
		for (__u32 i = 0; i < n && i < PS_ICMP_BATCH; i++)
			if (entries[i].val.first_seen)
				fn(arg, &keys[i], &entries[i].val);
		if (r < 0)
			return 0;
		first = false;
	}
	return 0;
}

static const struct ps_kernel_ops maps_ops = {
	.open = maps_open,
	.close = maps_close,
	.created = maps_created,
	.rule_room = maps_rule_room,
	.stats = maps_stats,
	.iface = maps_iface,
	.ifaces = maps_ifaces,
	.icmp = maps_icmp,
};

struct ps_kernel ps_kernel_maps_ops(struct ps_kernel_maps *maps)
{
	return (struct ps_kernel){.ops = &maps_ops, .impl = maps};
}
