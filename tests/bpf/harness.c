/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "packetscope.skel.h"
#include "packetscope_lru.skel.h"
#include "packetscope_trace.skel.h"

#include "common/base/cleanup.h"

#define SEED 0x5eed5eed5eed5eedull
#define BUCKETS 1024
#define RING_BYTES (1u << 20)

/* The element of the reference table, as bpf/maps.h has it. */
struct lru_key {
	__u32 addr[2][4];
	__u16 port[2];
	__u16 vlan[2];
	__u8 proto;
	__u8 family;
	__u8 pad[6];
};

struct lru_val {
	struct ps_conn_hot hot;
	struct ps_conn_cold cold;
	struct ps_conn_tcp tcp;
};

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

int ps_rig_skip(void)
{
	libbpf_set_print(quiet);
	if (geteuid() == 0)
		return 0;
	fprintf(stderr, "skipped: loading programs into the kernel needs root\n");
	return 77;
}

int ps_rig_map(struct ps_rig *rig, const char *name)
{
	return bpf_object__find_map_fd_by_name(rig->object, name);
}

static void resize(struct ps_rig *rig, const char *name, uint32_t entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(rig->object, name);

	assert_non_null(map);
	assert_int_equal(bpf_map__set_max_entries(map, entries), 0);
}

void *ps_rig_memory(struct ps_rig *rig, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(rig->object, name);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = (size_t)bpf_map__max_entries(map) * ((bpf_map__value_size(map) + 7) & ~7u);
	void *at =
		mmap(NULL, (bytes + page - 1) / page * page, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static void set_constants(struct ps_rig *rig)
{
	struct ps_const k = {.seed = SEED,
		.id_base = 1000000,
		.buckets = rig->options.buckets,
		.replay = !rig->options.live_clock,
		.weak_order = PS_WEAK_ORDER};
	struct bpf_map *map;

	bpf_object__for_each_map(map, rig->object)
	{
		size_t n = 0;
		const char *name = bpf_map__name(map);
		void *was;

		if (!strstr(name, ".rodata"))
			continue;
		/* the constants begin the section; format strings of the tracing variant may follow */
		was = (void *)bpf_map__initial_value(map, &n);
		assert_true(was && n >= sizeof(k));
		memcpy(was, &k, sizeof(k));
		return;
	}
	fail_msg("no constants");
}

static int on_event(void *ctx, void *data, size_t size)
{
	struct ps_rig *rig = ctx;
	struct ps_rig_event *e;

	if (rig->n_events == rig->room_events) {
		rig->room_events = rig->room_events ? rig->room_events * 2 : 256;
		rig->events = realloc(rig->events, rig->room_events * sizeof(*rig->events));
		assert_non_null(rig->events);
	}
	e = &rig->events[rig->n_events++];
	memset(e, 0, sizeof(*e));
	memcpy(&e->head, data, sizeof(e->head));
	memcpy(&e->conn, data, size < sizeof(e->conn) ? size : sizeof(e->conn));
	assert_int_equal(e->head.size, size);
	return 0;
}

static void make_rings(struct ps_rig *rig)
{
	int outer = ps_rig_map(rig, "ps_rings");

	for (uint32_t cpu = 0; cpu < (uint32_t)rig->cpus; cpu++) {
		int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ps_ring", 0, 0, rig->options.ring_bytes, NULL);

		assert_true(fd >= 0);
		assert_int_equal(bpf_map_update_elem(outer, &cpu, &fd, BPF_ANY), 0);
		if (!rig->rings) {
			rig->rings = ring_buffer__new(fd, on_event, rig, NULL);
			assert_non_null(rig->rings);
		} else {
			assert_int_equal(ring_buffer__add(rig->rings, fd, on_event, rig), 0);
		}
		close(fd);
	}
}

static const void *object_bytes(enum ps_rig_variant variant, size_t *ret_size)
{
	switch (variant) {
	case PS_RIG_LRU:
		return packetscope_lru__elf_bytes(ret_size);
	case PS_RIG_TRACE:
		return packetscope_trace__elf_bytes(ret_size);
	default:
		return packetscope__elf_bytes(ret_size);
	}
}

struct ps_rig *ps_rig_new(const struct ps_rig_options *options)
{
	struct ps_rig *rig = calloc(1, sizeof(*rig));
	size_t size = 0;
	const void *bytes;

	assert_non_null(rig);
	if (options)
		rig->options = *options;
	if (!rig->options.buckets)
		rig->options.buckets = BUCKETS;
	if (!rig->options.ring_bytes)
		rig->options.ring_bytes = RING_BYTES;
	rig->slots = rig->options.buckets * PS_BUCKET_SLOTS;
	rig->cpus = libbpf_num_possible_cpus();
	bytes = object_bytes(rig->options.variant, &size);
	if (rig->options.object) {
		bytes = rig->options.object;
		size = rig->options.object_size;
	}
	rig->object = bpf_object__open_mem(bytes, size, NULL);
	assert_non_null(rig->object);
	set_constants(rig);
	resize(rig, "ps_rings", (uint32_t)rig->cpus);
	if (rig->options.variant == PS_RIG_LRU) {
		resize(rig, "ps_conns", rig->slots);
	} else {
		resize(rig, "ps_tags", rig->options.buckets);
		resize(rig, "ps_hot", rig->options.buckets);
		resize(rig, "ps_cold", rig->slots);
		resize(rig, "ps_tcp", rig->slots);
	}
	assert_int_equal(bpf_object__load(rig->object), 0);
	rig->xdp_fd = bpf_program__fd(bpf_object__find_program_by_name(rig->object, "ps_xdp"));
	rig->tc_fd = bpf_program__fd(bpf_object__find_program_by_name(rig->object, "ps_tc_egress"));
	make_rings(rig);
	if (rig->options.variant != PS_RIG_LRU) {
		rig->tags = ps_rig_memory(rig, "ps_tags");
		rig->hot = ps_rig_memory(rig, "ps_hot");
		rig->cold = ps_rig_memory(rig, "ps_cold");
		rig->tcp = ps_rig_memory(rig, "ps_tcp");
	}
	rig->runtime = ps_rig_memory(rig, "ps_runtime");
	ps_rig_open_rules(rig);
	ps_rig_reset(rig);
	return rig;
}

void ps_rig_free(struct ps_rig **p)
{
	struct ps_rig *rig = *p;

	if (!rig)
		return;
	ring_buffer__free(rig->rings);
	bpf_object__close(rig->object); /* the mappings keep their maps until the program ends */
	ps_rule_set_free(&rig->rules);
	free(rig->events);
	free(rig);
	*p = NULL;
}

static void empty_hash(int fd, size_t key_size)
{
	char key[64];

	assert_true(key_size <= sizeof(key));
	while (bpf_map_get_next_key(fd, NULL, key) == 0)
		assert_int_equal(bpf_map_delete_elem(fd, key), 0);
}

static void empty_gates(struct ps_rig *rig)
{
	static uint32_t keys[PS_DROP_GATES];
	static uint64_t stamps[PS_DROP_GATES];
	uint32_t n = PS_ARRAY_SIZE(keys);

	for (uint32_t i = 0; i < n; i++)
		keys[i] = i;
	assert_int_equal(bpf_map_update_batch(ps_rig_map(rig, "ps_drop_gate"), keys, stamps, &n, NULL), 0);
}

void ps_rig_reset(struct ps_rig *rig)
{
	_cleanup_free_ void *zero = calloc((size_t)rig->cpus, sizeof(struct ps_stats));
	uint32_t key = 0;

	if (rig->tags) {
		memset(rig->tags, 0, rig->options.buckets * sizeof(*rig->tags));
		memset(rig->hot, 0, rig->slots * sizeof(*rig->hot));
		memset(rig->cold, 0, rig->slots * sizeof(*rig->cold));
		memset(rig->tcp, 0, rig->slots * sizeof(*rig->tcp));
	} else {
		empty_hash(ps_rig_map(rig, "ps_conns"), sizeof(struct lru_key));
	}
	empty_hash(ps_rig_map(rig, "ps_icmp"), sizeof(struct ps_icmp_key));
	empty_hash(ps_rig_map(rig, "ps_frags"), sizeof(struct ps_frag_key));
	empty_hash(ps_rig_map(rig, "ps_ifaces"), sizeof(uint32_t));
	empty_gates(rig);
	assert_int_equal(bpf_map_update_elem(ps_rig_map(rig, "ps_stats"), &key, zero, BPF_ANY), 0);
	for (uint32_t c = 0; c < rig->view.rule_row_chunks; c++)
		memset(rig->view.rule_rows[c], 0, sizeof(*rig->view.rule_rows[c]));
	memset(rig->view.rule_heads, 0, 2 * sizeof(*rig->view.rule_heads));
	empty_hash(ps_rig_map(rig, "ps_rates"), sizeof(struct ps_rate_key));
	memset(rig->runtime, 0, sizeof(*rig->runtime));
	ps_rig_time(rig, 1000000000000ull);
	ps_rig_drain(rig);
	ps_rig_forget_events(rig);
}

void ps_rig_time(struct ps_rig *rig, uint64_t ns)
{
	rig->runtime->replay_now = ns;
}

void ps_rig_interface(struct ps_rig *rig, uint32_t ifindex, uint32_t flags, uint32_t mtu)
{
	struct ps_iface i = {.flags = flags, .mtu = mtu};

	if (flags & PS_IFACE_L3)
		rig->runtime->any_l3 = 1;
	assert_int_equal(bpf_map_update_elem(ps_rig_map(rig, "ps_ifaces"), &ifindex, &i, BPF_ANY), 0);
}

uint32_t ps_rig_ingress(struct ps_rig *rig, const struct ps_frame *f)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = f->data, .data_size_in = (uint32_t)f->len, .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(rig->xdp_fd, &run), 0);
	return run.retval;
}

bool ps_rig_try_egress(struct ps_rig *rig, const struct ps_frame *f, const struct __sk_buff *skb, int *ret_verdict)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = f->data, .data_size_in = (uint32_t)f->len, .repeat = 1,
		.ctx_in = skb, .ctx_size_in = skb ? sizeof(*skb) : 0);
	int r = bpf_prog_test_run_opts(rig->tc_fd, &run);

	if (r == -EINVAL)
		return false;
	assert_int_equal(r, 0);
	*ret_verdict = (int)run.retval;
	return true;
}

int ps_rig_egress(struct ps_rig *rig, const struct ps_frame *f, const struct __sk_buff *skb)
{
	int verdict;

	assert_true(ps_rig_try_egress(rig, f, skb, &verdict));
	return verdict;
}

bool ps_rig_in(struct ps_rig *rig, const struct ps_frame_spec *spec)
{
	struct ps_frame f;
	uint32_t r;

	ps_frame_make(&f, spec);
	r = ps_rig_ingress(rig, &f);
	assert_true(r == XDP_PASS || r == XDP_DROP);
	return r == XDP_PASS;
}

bool ps_rig_out(struct ps_rig *rig, const struct ps_frame_spec *spec)
{
	struct ps_frame f;
	int r;

	ps_frame_make(&f, spec);
	r = ps_rig_egress(rig, &f, NULL);
	assert_true(r == -1 || r == 2); /* TC_ACT_UNSPEC, TC_ACT_SHOT */
	return r == -1;
}

struct ps_stats ps_rig_stats(struct ps_rig *rig)
{
	_cleanup_free_ struct ps_stats *each = calloc((size_t)rig->cpus, sizeof(*each));
	struct ps_stats sum = {0};
	uint32_t key = 0;

	assert_int_equal(bpf_map_lookup_elem(ps_rig_map(rig, "ps_stats"), &key, each), 0);
	for (int cpu = 0; cpu < rig->cpus; cpu++)
		for (size_t i = 0; i < sizeof(sum) / 8; i++)
			((uint64_t *)&sum)[i] += ((uint64_t *)&each[cpu])[i];
	return sum;
}

void ps_rig_check_sums(struct ps_rig *rig)
{
	struct ps_stats s = ps_rig_stats(rig);

	assert_int_equal(s.packets, s.ingress_packets + s.egress_packets);
	assert_int_equal(s.packets, s.malformed_eth + s.not_ip + s.malformed_ip + s.ipv4_packets + s.ipv6_packets);
	assert_int_equal(s.ipv4_packets + s.ipv6_packets, s.tcp_packets + s.udp_packets + s.icmp_packets +
								  s.other_packets + s.fragments + s.malformed_ext +
								  s.malformed_l4);
}

static void raw_of(struct ps_conn_raw *r, const struct ps_conn_hot *hot, const struct ps_conn_cold *cold,
	const struct ps_conn_tcp *tcp, uint32_t slot)
{
	*r = (struct ps_conn_raw){.id = cold->id,
		.first_seen = cold->first_seen,
		.last_seen = hot->last_seen,
		.proto = hot->proto,
		.flags = hot->flags,
		.ifindex = cold->ifindex,
		.slot = slot,
		.ip_id = cold->ip_id};
	for (int side = 0; side < 2; side++) {
		if (hot->flags & PS_CONN_IPV6)
			memcpy(r->addr[side], cold->addr6[side], 16);
		else
			r->addr[side][0] = hot->addr[side];
		r->port[side] = hot->port[side];
		r->vlan[side] = hot->vlan[side];
		r->packets[side] = hot->packets[side] | (uint64_t)cold->packets_hi[side] << 32;
		r->bytes[side] = hot->bytes[side];
		r->dropped[side] = cold->dropped[side];
		r->verdict[side] = hot->verdict[side];
	}
	if (hot->proto == IPPROTO_TCP)
		r->tcp = *tcp;
}

static size_t own_conns(struct ps_rig *rig, struct ps_conn_raw *all)
{
	size_t n = 0;

	for (uint32_t slot = 0; slot < rig->slots; slot++) {
		uint8_t tag = rig->tags[slot / 8].tags >> (8 * (slot % 8)) & 0xff;

		if (tag & PS_TAG_LIVE)
			raw_of(&all[n++], &rig->hot[slot], &rig->cold[slot], &rig->tcp[slot], slot);
	}
	return n;
}

static size_t lru_conns(struct ps_rig *rig, struct ps_conn_raw *all)
{
	int fd = ps_rig_map(rig, "ps_conns");
	struct lru_key key, *at = NULL;
	struct lru_val v;
	size_t n = 0;

	while (n < rig->slots && bpf_map_get_next_key(fd, at, &key) == 0) {
		at = &key;
		if (bpf_map_lookup_elem(fd, &key, &v) == 0)
			raw_of(&all[n++], &v.hot, &v.cold, &v.tcp, 0);
	}
	return n;
}

struct ps_conn_raw *ps_rig_conns(struct ps_rig *rig, size_t *ret_n)
{
	struct ps_conn_raw *all = calloc(rig->slots, sizeof(*all));

	assert_non_null(all);
	*ret_n = rig->tags ? own_conns(rig, all) : lru_conns(rig, all);
	return all;
}

int ps_rig_side(const struct ps_conn_raw *c, const char *addr, uint16_t port)
{
	uint32_t want[4];

	ps_rig_addr(want, addr);
	for (int side = 0; side < 2; side++)
		if (memcmp(c->addr[side], want, sizeof(want)) == 0 && c->port[side] == htons(port))
			return side;
	return -1;
}

struct ps_conn_raw ps_rig_conn(
	struct ps_rig *rig, uint8_t proto, const char *a, uint16_t aport, const char *b, uint16_t bport)
{
	_cleanup_free_ struct ps_conn_raw *all = NULL;
	struct ps_conn_raw found = {0};
	size_t n, hits = 0;

	all = ps_rig_conns(rig, &n);
	for (size_t i = 0; i < n; i++) {
		if (all[i].proto != proto || ps_rig_side(&all[i], a, aport) < 0 || ps_rig_side(&all[i], b, bport) < 0)
			continue;
		found = all[i];
		hits++;
	}
	assert_int_equal(hits, 1);
	return found;
}

bool ps_rig_icmp(struct ps_rig *rig, const struct ps_frame_spec *spec, struct ps_icmp_val *ret)
{
	struct ps_icmp_key k = {.family = ps_rig_family(spec->src), .type = spec->icmp_type, .code = spec->icmp_code};
	struct ps_icmp_entry e;

	ps_rig_addr(k.saddr, spec->src);
	ps_rig_addr(k.daddr, spec->dst);
	for (int i = 0; i < spec->vlans && i < 2; i++)
		k.vlan[i] = spec->vid[i];
	if (bpf_map_lookup_elem(ps_rig_map(rig, "ps_icmp"), &k, &e) < 0)
		return false;
	*ret = e.val;
	return true;
}

bool ps_rig_frag(struct ps_rig *rig, const struct ps_frame_spec *spec, uint32_t id, struct ps_frag_val *ret)
{
	struct ps_frag_key k = {.ip_id = id, .family = ps_rig_family(spec->src), .proto = spec->proto};

	ps_rig_addr(k.saddr, spec->src);
	ps_rig_addr(k.daddr, spec->dst);
	return bpf_map_lookup_elem(ps_rig_map(rig, "ps_frags"), &k, ret) == 0;
}

size_t ps_rig_drain(struct ps_rig *rig)
{
	size_t had = rig->n_events;

	assert_true(ring_buffer__consume(rig->rings) >= 0);
	return rig->n_events - had;
}

size_t ps_rig_count(const struct ps_rig *rig, uint16_t type, struct ps_rig_event *ret_last)
{
	size_t n = 0;

	for (size_t i = 0; i < rig->n_events; i++) {
		if (rig->events[i].head.type != type)
			continue;
		n++;
		if (ret_last)
			*ret_last = rig->events[i];
	}
	return n;
}

void ps_rig_forget_events(struct ps_rig *rig)
{
	rig->n_events = 0;
}
