/* SPDX-License-Identifier: MIT */
/*
 * The kernel part loaded for itself: frames go in through BPF_PROG_TEST_RUN, time is set by the test, and everything
 * it keeps can be read back. Nothing is attached anywhere.
 *
 * A rig is loaded once per test program; ps_rig_reset() empties it between tests. Failures of the rig itself
 * (a map that can't be read) end the test through cmocka's assertions.
 */
#ifndef PS_TEST_HARNESS_H
#define PS_TEST_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include "aggregator/kernel.h"
#include "aggregator/rule_install.h"
#include "bpf/abi.h"
#include "common/model/rule.h"
#include "frame.h"

enum ps_rig_variant {
	PS_RIG_OWN,
	PS_RIG_LRU,
	PS_RIG_TRACE,
};

struct ps_rig_options {
	enum ps_rig_variant variant;
	uint32_t buckets;    /* 0 = 1024 */
	uint32_t ring_bytes; /* of each CPU's ring; 0 = 1 MiB */
	bool live_clock;     /* the kernel's clocks instead of ps_rig_time() */
	const void *object;  /* another object with the same maps and programs, and its size */
	size_t object_size;
};

struct ps_rig_event {
	struct ps_event_head head;
	union {
		struct ps_event_conn conn;
		struct ps_event_icmp icmp;
		struct ps_event_drop drop;
	};
};

/* Everything of the running kernel part. Fields are for tests to read, and the mapped ones to write. */
struct ps_rig {
	struct ps_rig_options options;
	struct bpf_object *object;
	struct ring_buffer *rings;
	int xdp_fd;
	int tc_fd;
	uint32_t slots;
	int cpus;
	struct ps_bucket_tags *tags; /* own table only, as are the next three */
	struct ps_conn_hot *hot;
	struct ps_conn_cold *cold;
	struct ps_conn_tcp *tcp;
	struct ps_runtime *runtime;
	struct ps_kernel_view view; /* of rules: what the aggregator would have */
	struct ps_rule_set *rules;  /* last set that was put in force */
	struct ps_rig_event *events;
	size_t n_events;
	size_t room_events;
};

/* 0, or 77 with a message when tests of the kernel part can't run here: the value for main() to return. */
int ps_rig_skip(void);

struct ps_rig *ps_rig_new(const struct ps_rig_options *options);
void ps_rig_free(struct ps_rig **rig);
void ps_rig_reset(struct ps_rig *rig);
int ps_rig_map(struct ps_rig *rig, const char *name);
/* The whole of a BPF_F_MMAPABLE array. */
void *ps_rig_memory(struct ps_rig *rig, const char *name);

/* Boot time in nanoseconds for the packets to come. */
void ps_rig_time(struct ps_rig *rig, uint64_t ns);
void ps_rig_interface(struct ps_rig *rig, uint32_t ifindex, uint32_t flags, uint32_t mtu);

/* One frame through a hook: what the program returned. skb may be NULL. */
uint32_t ps_rig_ingress(struct ps_rig *rig, const struct ps_frame *f);
int ps_rig_egress(struct ps_rig *rig, const struct ps_frame *f, const struct __sk_buff *skb);
/* The same; false if the kernel itself refuses such a frame: it makes no skb of less than a whole IP header. */
bool ps_rig_try_egress(struct ps_rig *rig, const struct ps_frame *f, const struct __sk_buff *skb, int *ret_verdict);
/* The same from a description; true if the packet passed. */
bool ps_rig_in(struct ps_rig *rig, const struct ps_frame_spec *spec);
bool ps_rig_out(struct ps_rig *rig, const struct ps_frame_spec *spec);

/* Sums over the CPUs. */
struct ps_stats ps_rig_stats(struct ps_rig *rig);
/* The sums that stats.h promises hold. */
void ps_rig_check_sums(struct ps_rig *rig);

/* Every living connection of either table, in no order; the caller frees it. */
struct ps_conn_raw *ps_rig_conns(struct ps_rig *rig, size_t *ret_n);
/* The connection between these endpoints, in either order. Fails the test if there isn't exactly one. */
struct ps_conn_raw ps_rig_conn(
	struct ps_rig *rig, uint8_t proto, const char *a, uint16_t aport, const char *b, uint16_t bport);
bool ps_rig_icmp(struct ps_rig *rig, const struct ps_frame_spec *spec, struct ps_icmp_val *ret);
bool ps_rig_frag(struct ps_rig *rig, const struct ps_frame_spec *spec, uint32_t id, struct ps_frag_val *ret);

/* Side (0 or 1) of the endpoint in a connection. */
int ps_rig_side(const struct ps_conn_raw *c, const char *addr, uint16_t port);

/* Takes what is in the rings into rig->events, behind what is there. How many came. */
size_t ps_rig_drain(struct ps_rig *rig);
/* How many of this type are in rig->events; the last one to *ret_last unless that is NULL. */
size_t ps_rig_count(const struct ps_rig *rig, uint16_t type, struct ps_rig_event *ret_last);
void ps_rig_forget_events(struct ps_rig *rig);

/* --- Rules (harness_rules.c) --- */

/* A rule as masks over a packet's key: addresses as prefixes, ports, protocol and family in full or not at all. */
struct ps_rig_rule {
	struct ps_rule_key key;
	struct ps_rule_key mask;
	struct ps_rule_inner inner;
	struct ps_rule_inner inner_mask;
	uint32_t id;
	uint32_t action; /* PS_RULE_ACTION_DROP if left out */
	bool icmp;       /* sport and dport are ICMP type and code */
	bool shadow;
	uint32_t rate;
	uint64_t until; /* boot time */
};

/* Makes these the rules in force, in this order of precedence. A rule without direction in its mask counts for both. */
void ps_rig_rules(struct ps_rig *rig, const struct ps_rig_rule *rules, size_t n);
/* The same of a list of rules as the aggregator has it; wall and boot clock are the same. */
void ps_rig_install(struct ps_rig *rig, const struct ps_rule *rules, size_t n);
/* Counters of a rule. */
struct ps_rule_hits ps_rig_hits(const struct ps_rig *rig, uint32_t id);
/* Opens the rule maps; the first chunks are made. */
void ps_rig_open_rules(struct ps_rig *rig);

/* An address as it stands in keys. */
void ps_rig_addr(uint32_t to[4], const char *text);
uint8_t ps_rig_family(const char *text);

#endif
