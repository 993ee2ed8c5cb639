/* SPDX-License-Identifier: MIT */
/* Rules, by way of the aggregator's own compiler and installer. */
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "common/base/cleanup.h"

uint8_t ps_rig_family(const char *text)
{
	return strchr(text, ':') ? PS_FAMILY_IPV6 : PS_FAMILY_IPV4;
}

void ps_rig_addr(uint32_t to[4], const char *text)
{
	memset(to, 0, 16);
	assert_int_equal(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, to), 1);
}

/* --- Room ---------------------------------------------------------------------------------------- */

static void *make_chunk(int outer, uint32_t index, size_t size)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	_cleanup_close_ int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "chunk", 4, (uint32_t)size, 1, &opts);
	void *at;

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(outer, &index, &fd, BPF_ANY), 0);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static int room(
	void *impl, struct ps_kernel_view *view, uint32_t unit_chunks, uint32_t row_chunks, struct ps_error *err)
{
	struct ps_rig *rig = impl;
	int units = ps_rig_map(rig, "ps_rule_chunks"), rows = ps_rig_map(rig, "ps_rule_rows");

	(void)err;
	for (; view->rule_unit_chunks < unit_chunks; view->rule_unit_chunks++)
		for (uint32_t half = 0; half < 2; half++)
			view->rule_chunks[half][view->rule_unit_chunks] = make_chunk(
				units, half * PS_UNIT_CHUNKS + view->rule_unit_chunks, sizeof(struct ps_rule_chunk));
	for (; view->rule_row_chunks < row_chunks; view->rule_row_chunks++)
		view->rule_rows[view->rule_row_chunks] =
			make_chunk(rows, view->rule_row_chunks, sizeof(struct ps_rule_rows));
	return 0;
}

void ps_rig_open_rules(struct ps_rig *rig)
{
	static const struct ps_kernel_ops ops = {.rule_room = room};

	rig->view = (struct ps_kernel_view){
		.kernel = {.ops = &ops, .impl = rig},
		.rule_heads = ps_rig_memory(rig, "ps_rule_heads"),
		.runtime = rig->runtime,
	};
	assert_int_equal(room(rig, &rig->view, 1, 1, NULL), 0);
	assert_int_equal(ps_rule_set_new(&rig->rules), 0);
}

/* --- Rules --------------------------------------------------------------------------------------- */

void ps_rig_install(struct ps_rig *rig, const struct ps_rule *rules, size_t n)
{
	struct ps_error err = {0};

	if (ps_rule_set_compile(rig->rules, rules, n, 0, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(ps_rule_install_prepare(&rig->view, rig->rules, rig->runtime->replay_now, NULL), 0);
	assert_int_not_equal(ps_rule_install(&rig->view, rig->rules, 0), 0);
}

struct ps_rule_hits ps_rig_hits(const struct ps_rig *rig, uint32_t id)
{
	return ps_rule_install_hits(&rig->view, id);
}

/* A mask's leading bits. IPv4 is the first word; a mask of more than that is one of all of it. */
static uint8_t bits_of(const uint32_t mask[4], uint8_t family)
{
	uint8_t len = 0;

	for (int i = 0; i < (family == PS_FAMILY_IPV6 ? 4 : 1); i++)
		len = (uint8_t)(len + __builtin_popcount(mask[i]));
	return len;
}

static struct ps_net net_of(const uint32_t key[4], const uint32_t mask[4], uint8_t family)
{
	struct ps_net n = {0};

	if (!family || !(mask[0] | mask[1] | mask[2] | mask[3]))
		return n;
	n.addr.family = family;
	n.len = bits_of(mask, family);
	memcpy(n.addr.word, key, sizeof(n.addr.word));
	return n;
}

static struct ps_ports ports_of(uint16_t key, uint16_t mask)
{
	return mask ? ps_ports_one(ntohs(key)) : (struct ps_ports){0};
}

static void convert_quoted(const struct ps_rig_rule *r, struct ps_rule *to)
{
	uint8_t family = r->inner_mask.family ? r->inner.family : 0;

	to->inner_src_ip = net_of(r->inner.saddr, r->inner_mask.saddr, family);
	to->inner_dst_ip = net_of(r->inner.daddr, r->inner_mask.daddr, family);
	if (r->inner_mask.proto)
		to->inner_protocol = r->inner.proto;
	to->inner_src_port = ports_of(r->inner.sport, r->inner_mask.sport);
	to->inner_dst_port = ports_of(r->inner.dport, r->inner_mask.dport);
}

static void convert(const struct ps_rig_rule *r, int32_t priority, struct ps_rule *to)
{
	/* an address without a family in these tests is one of IPv4 */
	uint8_t family = r->mask.family ? r->key.family : r->mask.saddr[0] | r->mask.daddr[0] ? PS_FAMILY_IPV4 : 0;

	ps_rule_defaults(to);
	to->id = (int32_t)r->id;
	to->priority = priority;
	to->enabled = true;
	to->action = (uint8_t)(r->action ? r->action : PS_RULE_ACTION_DROP);
	to->mode = r->shadow ? PS_MODE_SHADOW : PS_MODE_ENFORCE;
	to->rate_limit = r->rate;
	to->expires_at = r->until;
	to->src_ip = net_of(r->key.saddr, r->mask.saddr, family);
	to->dst_ip = net_of(r->key.daddr, r->mask.daddr, family);
	if (r->mask.proto)
		to->protocol = r->key.proto;
	to->direction = r->mask.direction ? r->key.direction : PS_DIR_INGRESS | PS_DIR_EGRESS;
	to->tcp_flags = r->key.tcp_flags;
	to->tcp_flags_mask = r->mask.tcp_flags;
	if (r->icmp) {
		to->icmp_type = r->mask.sport ? (int16_t)ntohs(r->key.sport) : PS_RULE_ANY;
		to->icmp_code = r->mask.dport ? (int16_t)ntohs(r->key.dport) : PS_RULE_ANY;
	} else {
		to->src_port = ports_of(r->key.sport, r->mask.sport);
		to->dst_port = ports_of(r->key.dport, r->mask.dport);
	}
	convert_quoted(r, to);
}

void ps_rig_rules(struct ps_rig *rig, const struct ps_rig_rule *rules, size_t n)
{
	_cleanup_free_ struct ps_rule *list = calloc(n + 1, sizeof(*list));

	assert_non_null(list);
	for (size_t i = 0; i < n; i++)
		convert(&rules[i], (int32_t)i, &list[i]);
	ps_rig_install(rig, list, n);
}
