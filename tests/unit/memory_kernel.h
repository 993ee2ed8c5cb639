/*
 * The kernel's tables in plain memory, with the layouts of bpf/abi.h and the protocol of bpf/table.h for slots: what
 * the aggregator's parts are tested on without a kernel. Packets are put in by hand.
 */
#ifndef PS_TEST_MEMORY_KERNEL_H
#define PS_TEST_MEMORY_KERNEL_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/kernel.h"
#include "common/base/cleanup.h"
#include "common/model/record.h"

#define MK_SEC 1000000000ull

struct memory_kernel {
	bool present; /* the pins are there */
	struct ps_kernel_view view;
	struct ps_conn_hot *hot;
	struct ps_conn_cold *cold;
	struct ps_conn_tcp *tcp;
	struct ps_rule_head *heads;
	struct ps_rule_row *row; /* of the first PS_ROW_CHUNK rules */
	bool no_room;            /* nobody makes more chunks */
	struct ps_runtime runtime;
	struct ps_ledger ledger;
	struct ps_stats stats;
	struct ps_icmp_key icmp_key[16];
	struct ps_icmp_val icmp_val[16];
	unsigned n_icmp;
	struct ps_kernel_iface ifaces[PS_IFACES_MAX];
	unsigned n_ifaces;
	unsigned opened, closed, icmp_walks;
};

static const struct ps_kernel_ops mk_ops;

static inline void mk_free(struct memory_kernel *k)
{
	for (unsigned c = 0; c < PS_UNIT_CHUNKS; c++) {
		free(k->view.rule_chunks[0][c]);
		free(k->view.rule_chunks[1][c]);
	}
	for (unsigned c = 0; c < PS_ROW_CHUNKS; c++)
		free(k->view.rule_rows[c]);
	free(k->heads);

	free(k->view.tags);
	free(k->hot);
	free(k->cold);
	free(k->tcp);
}

static inline int mk_op_rule_room(
	void *impl, struct ps_kernel_view *view, uint32_t unit_chunks, uint32_t row_chunks, struct ps_error *err)
{
	struct memory_kernel *k = impl;
	struct ps_kernel_view *mine = &k->view;

	if (k->no_room && (mine->rule_unit_chunks < unit_chunks || mine->rule_row_chunks < row_chunks))
		return ps_error_set(err, -ETIMEDOUT, 503, "no_collector", "", "nobody answers");
	for (; mine->rule_unit_chunks < unit_chunks; mine->rule_unit_chunks++)
		for (int half = 0; half < 2; half++)
			mine->rule_chunks[half][mine->rule_unit_chunks] = calloc(1, sizeof(struct ps_rule_chunk));
	for (; mine->rule_row_chunks < row_chunks; mine->rule_row_chunks++)
		mine->rule_rows[mine->rule_row_chunks] = calloc(1, sizeof(struct ps_rule_rows));
	memcpy(view->rule_chunks, mine->rule_chunks, sizeof(mine->rule_chunks));
	memcpy(view->rule_rows, mine->rule_rows, sizeof(mine->rule_rows));
	view->rule_unit_chunks = mine->rule_unit_chunks;
	view->rule_row_chunks = mine->rule_row_chunks;
	return 0;
}

static inline void mk_init(struct memory_kernel *k, uint32_t buckets, uint64_t created)
{
	size_t n = (size_t)buckets * PS_BUCKET_SLOTS;

	memset(k, 0, sizeof(*k));
	k->present = true;
	k->ifaces[0] = (struct ps_kernel_iface){3, {.flags = PS_IFACE_XDP_NATIVE | PS_IFACE_TCX, .name = "mem3"}};
	k->n_ifaces = 1;
	k->hot = calloc(n, sizeof(*k->hot));
	k->cold = calloc(n, sizeof(*k->cold));
	k->tcp = calloc(n, sizeof(*k->tcp));
	k->heads = calloc(2, sizeof(*k->heads));
	k->view = (struct ps_kernel_view){
		.meta = {.abi = PS_ABI_VERSION, .buckets = buckets, .id_base = 1000, .created = created},
		.tags = calloc(buckets, sizeof(struct ps_bucket_tags)),
		.hot = k->hot,
		.cold = k->cold,
		.tcp = k->tcp,
		.kernel = {.ops = &mk_ops, .impl = k},
		.rule_heads = k->heads,
		.runtime = &k->runtime,
		.ledger = &k->ledger,
	};
	(void)mk_op_rule_room(k, &k->view, 1, 1, NULL);
	k->row = k->view.rule_rows[0]->row;
}

static inline int mk_op_open(void *impl, struct ps_kernel_view *ret_view, struct ps_error *err)
{
	struct memory_kernel *k = impl;

	if (!k->present)
		return ps_error_set(err, -ENOENT, 503, "no_kernel_maps", "", "not there");
	k->opened++;
	*ret_view = k->view;
	return 0;
}

static inline void mk_op_close(void *impl, struct ps_kernel_view *view)
{
	(void)view;
	((struct memory_kernel *)impl)->closed++;
}

static inline int mk_op_created(void *impl, uint64_t *ret_created)
{
	struct memory_kernel *k = impl;

	if (!k->present)
		return -ENOENT;
	*ret_created = k->view.meta.created;
	return 0;
}

static inline int mk_op_stats(void *impl, struct ps_stats *ret_stats)
{
	*ret_stats = ((struct memory_kernel *)impl)->stats;
	return 0;
}

static inline int mk_op_iface(void *impl, uint32_t ifindex, char ret_name[static PS_NAME_SIZE])
{
	(void)impl;
	(void)snprintf(ret_name, PS_NAME_SIZE, "mem%u", ifindex);
	return 0;
}

static inline size_t mk_op_ifaces(void *impl, struct ps_kernel_iface ret_ifaces[static PS_IFACES_MAX])
{
	struct memory_kernel *k = impl;

	memcpy(ret_ifaces, k->ifaces, k->n_ifaces * sizeof(*k->ifaces));
	return k->n_ifaces;
}

static inline int mk_op_icmp(void *impl, ps_kernel_icmp_fn fn, void *arg)
{
	struct memory_kernel *k = impl;

	k->icmp_walks++;
	for (unsigned i = 0; i < k->n_icmp; i++)
		fn(arg, &k->icmp_key[i], &k->icmp_val[i]);
	return 0;
}

static const struct ps_kernel_ops mk_ops = {
	.open = mk_op_open,
	.close = mk_op_close,
	.rule_room = mk_op_rule_room,
	.created = mk_op_created,
	.stats = mk_op_stats,
	.iface = mk_op_iface,
	.ifaces = mk_op_ifaces,
	.icmp = mk_op_icmp,
};

static inline uint8_t mk_tag(const struct memory_kernel *k, uint32_t slot)
{
	return (uint8_t)(k->view.tags[slot / 8].tags >> (8 * (slot % 8)));
}

static inline void mk_set_tag(struct memory_kernel *k, uint32_t slot, uint8_t tag)
{
	uint64_t *word = (uint64_t *)&k->view.tags[slot / 8].tags;

	*word = (*word & ~(0xffull << (8 * (slot % 8)))) | (uint64_t)tag << (8 * (slot % 8));
}

static inline bool mk_confirmed(const struct memory_kernel *k, uint32_t slot)
{
	return k->view.tags[slot / 8].confirmed >> (8 * (slot % 8)) & 1;
}

static inline void mk_set_confirmed(struct memory_kernel *k, uint32_t slot, bool on)
{
	uint64_t bit = 1ull << (8 * (slot % 8));

	k->view.tags[slot / 8].confirmed = (k->view.tags[slot / 8].confirmed & ~bit) | (on ? bit : 0);
}

/* A new connection 10.0.0.1:port -> 10.0.0.2:80 in that slot, with its first packet. Returns its id. */
static inline uint64_t mk_begin(struct memory_kernel *k, uint32_t slot, uint8_t proto, uint16_t port, uint64_t now)
{
	struct ps_conn_cold *cold = &k->cold[slot];
	uint64_t id = cold->id ? cold->id + (uint64_t)k->view.meta.buckets * PS_BUCKET_SLOTS
			       : k->view.meta.id_base + slot + 1;

	*cold = (struct ps_conn_cold){.id = id, .first_seen = now, .ifindex = 3};
	k->hot[slot] = (struct ps_conn_hot){
		.addr = {htonl(0x0a000001), htonl(0x0a000002)},
		.port = {htons(port), htons(80)},
		.proto = proto,
		.last_seen = now,
		.packets = {1, 0},
		.bytes = {60, 0},
	};
	k->tcp[slot] = (struct ps_conn_tcp){.state = proto == IPPROTO_TCP ? PS_TCP_SYN_SENT : PS_TCP_NONE};
	mk_set_confirmed(k, slot, false);
	mk_set_tag(k, slot, PS_TAG_LIVE | 0x11);
	return id;
}

static inline void mk_packet(struct memory_kernel *k, uint32_t slot, int side, uint32_t bytes, uint64_t now)
{
	k->hot[slot].packets[side]++;
	k->hot[slot].bytes[side] += bytes;
	k->hot[slot].last_seen = now;
	if (side == 1)
		k->hot[slot].flags |= PS_CONN_REPLIED;
}

static inline void mk_confirm(struct memory_kernel *k, uint32_t slot)
{
	k->hot[slot].flags |= PS_CONN_CONFIRMED;
	mk_set_confirmed(k, slot, true);
}

/* What the event of that connection would carry now. */
static inline struct ps_conn mk_record(const struct memory_kernel *k, uint32_t slot, uint8_t reason)
{
	const struct ps_record_env env = {.iface_name = NULL};
	struct ps_conn_raw raw;
	struct ps_conn c;

	(void)env;
	ps_conn_raw_gather(
		&k->hot[slot], &k->cold[slot], k->hot[slot].proto == IPPROTO_TCP ? &k->tcp[slot] : NULL, slot, &raw);
	raw.end_reason = reason;
	memset(&c, 0, sizeof(c));
	c.id = raw.id;
	c.proto = raw.proto;
	c.orig_packets = raw.packets[0];
	c.resp_packets = raw.packets[1];
	c.orig_bytes = raw.bytes[0];
	c.resp_bytes = raw.bytes[1];
	c.end_reason = reason;
	c.last_seen = raw.last_seen;
	return c;
}

static inline void mk_icmp(struct memory_kernel *k, unsigned i, uint8_t type, uint64_t packets, uint64_t now)
{
	k->icmp_key[i] = (struct ps_icmp_key){
		.saddr = {htonl(0x0a000001)}, .daddr = {htonl(0x0a000002)}, .family = PS_FAMILY_IPV4, .type = type};
	k->icmp_val[i] = (struct ps_icmp_val){
		.packets = packets, .bytes = packets * 84, .first_seen = 1, .last_seen = now, .ifindex = 3};
	if (k->n_icmp <= i)
		k->n_icmp = i + 1;
}

/* A generator of numbers that are the same in every run. */
static inline uint64_t mk_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1dull >> 11;
}

#endif
