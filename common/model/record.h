/*
 * From the kernel's raw records (bpf/abi.h, by side, boot time) to the records that people read (originator and
 * responder, wall-clock time, words). The same code serves the collector (events), the aggregator (map contents) and
 * replay.
 */
#ifndef PS_RECORD_H
#define PS_RECORD_H

#include "bpf/abi.h"
#include "common/model/schema.h"

/* What a conversion needs beside the record. */
struct ps_record_env {
	int64_t wall_offset; /* ps_clock_wall_offset() */
	/* Name of an interface; returns out or a constant, "if7" when it is gone. */
	const char *(*iface_name)(void *arg, uint32_t ifindex, char out[static PS_NAME_SIZE]);
	void *arg;
};

/* community_id stays empty: it costs a SHA-1 and is computed where it is shown (ps_community_id). */
void ps_conn_from_raw(const struct ps_conn_raw *raw, const struct ps_record_env *env, struct ps_conn *ret_conn);
void ps_icmp_from_raw(const struct ps_icmp_key *key, const struct ps_icmp_val *val, const struct ps_record_env *env,
	struct ps_icmp *ret_icmp);
void ps_drop_from_raw(const struct ps_event_drop *ev, const struct ps_record_env *env, struct ps_drop *ret_drop);

/*
 * Gathers a raw record from the lines of the connection table (hot, cold, tcp of one slot). tcp may be NULL when
 * hot->proto is not TCP. Counters that a CPU is writing meanwhile may be a packet apart from each other, never torn.
 */
void ps_conn_raw_gather(const struct ps_conn_hot *hot, const struct ps_conn_cold *cold, const struct ps_conn_tcp *tcp,
	uint32_t slot, struct ps_conn_raw *ret_raw);

/* "192.168.1.100:56789 -> 93.184.216.34:443 (TCP)"; IPv6 in brackets. Returns buf. */
#define PS_KEY_TEXT 160
char *ps_conn_key(const struct ps_conn *c, char buf[static PS_KEY_TEXT]);
/* "Packets: 42, Bytes: 8192, TCP Flags: 24, Seq: …, Last Seen: 2023-05-01T12:34:56Z" as clients of the prototype read
 * it. */
#define PS_INFO_TEXT 512
char *ps_conn_info(const struct ps_conn *c, char buf[static PS_INFO_TEXT]);
char *ps_icmp_key_text(const struct ps_icmp *i, char buf[static PS_KEY_TEXT]);
char *ps_icmp_info(const struct ps_icmp *i, char buf[static PS_INFO_TEXT]);

#endif
