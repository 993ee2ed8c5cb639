/* See record.h. */
#include "common/model/record.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"

/* --- What the history of a TCP connection tells of its two roles ----------------------------- */

enum {
	SAW_SYN = 1 << 0,
	SAW_SYNACK = 1 << 1,
	SAW_ACK = 1 << 2,
	SAW_DATA = 1 << 3,
	SAW_FIN = 1 << 4,
	SAW_RST = 1 << 5,
};

struct story {
	unsigned orig, resp; /* SAW_* */
	bool orig_reset_first;
};

static unsigned letter_bit(char upper)
{
	switch (upper) {
	case 'S':
		return SAW_SYN;
	case 'H':
		return SAW_SYNACK;
	case 'A':
		return SAW_ACK;
	case 'D':
		return SAW_DATA;
	case 'F':
		return SAW_FIN;
	case 'R':
		return SAW_RST;
	case 'I': /* FIN and RST at once */
		return SAW_FIN | SAW_RST;
	case 'Q': /* SYN with one of them */
		return SAW_SYN;
	default: /* G, T, W: what happened to segments, not which */
		return 0;
	}
}

static size_t history_len(const struct ps_conn_raw *raw)
{
	return PS_MIN(raw->tcp.hist_len, (size_t)PS_HISTORY_MAX);
}

/*
 * Read from its end: upper case is who was the originator when the letter was written, and '^' is where the roles were
 * swapped. So what stands before a '^' belongs to the other role.
 */
static struct story read_history(const struct ps_conn_raw *raw)
{
	struct story s = {0};
	bool swapped = false;

	for (size_t i = history_len(raw); i-- > 0;) {
		char c = raw->tcp.history[i];
		bool upper = c >= 'A' && c <= 'Z';
		unsigned bit = letter_bit((char)(upper ? c : c - ('a' - 'A')));

		if (c == '^') {
			swapped = !swapped;
			continue;
		}
		if (upper != swapped)
			s.orig |= bit;
		else
			s.resp |= bit;
		if (bit & SAW_RST)
			s.orig_reset_first = upper != swapped;
	}
	return s;
}

/* --- conn_state ------------------------------------------------------------------------------ */

/*
 * Was the originator's SYN answered? Where only ingress is watched the answer is never seen, but what the originator
 * sends after its SYN says that it was.
 */
static bool answered(const struct ps_conn_raw *raw, const struct story *s)
{
	if (s->resp & (SAW_SYN | SAW_SYNACK))
		return true;
	return (raw->flags & PS_CONN_INGRESS_ONLY) && (s->orig & SAW_SYN) && (s->orig & (SAW_ACK | SAW_DATA));
}

static const char *state_reset(const struct ps_conn_raw *raw, const struct story *s)
{
	if (s->orig_reset_first) {
		if (s->resp || answered(raw, s))
			return "RSTO";
		return s->orig & SAW_SYN ? "RSTOS0" : "OTH";
	}
	if (!s->orig)
		return s->resp & SAW_SYNACK ? "RSTRH" : "OTH";
	return (s->orig & SAW_SYN) && !answered(raw, s) ? "REJ" : "RSTR";
}

/* Zeek's table of conn_state (its manual, base/protocols/conn). A reset counts only if it closed the connection. */
static const char *state_tcp(const struct ps_conn_raw *raw, const struct story *s)
{
	bool resp_heard = s->resp || answered(raw, s);

	if (raw->tcp.state == PS_TCP_CLOSE)
		return state_reset(raw, s);
	if ((s->orig & SAW_FIN) && (s->resp & SAW_FIN))
		return "SF";
	if (s->orig & SAW_FIN) {
		if (resp_heard)
			return "S2";
		return s->orig & SAW_SYN ? "SH" : "OTH";
	}
	if (s->resp & SAW_FIN) {
		if (s->orig)
			return "S3";
		return s->resp & SAW_SYNACK ? "SHR" : "OTH";
	}
	if (answered(raw, s) && s->orig)
		return "S1";
	return (s->orig & SAW_SYN) && !s->resp ? "S0" : "OTH";
}

static const char *state_udp(const struct ps_conn *c)
{
	if (!c->orig_packets)
		return "OTH";
	return c->resp_packets ? "SF" : "S0";
}

/* --- Connections ----------------------------------------------------------------------------- */

/* Boot time to wall time; 0 stays "unknown". */
static uint64_t to_wall(const struct ps_record_env *env, uint64_t boot)
{
	if (!boot || (env->wall_offset < 0 && boot < -(uint64_t)env->wall_offset))
		return 0;
	return boot + (uint64_t)env->wall_offset;
}

/* Interface names are bytes of someone's choosing; the bus and the terminal want text. */
static void copy_iface(const struct ps_record_env *env, uint32_t ifindex, char to[static PS_NAME_SIZE])
{
	char room[PS_NAME_SIZE] = "";
	const char *name = env->iface_name ? env->iface_name(env->arg, ifindex, room) : NULL;
	size_t n = 0;

	if (!name) {
		(void)snprintf(to, PS_NAME_SIZE, "if%u", ifindex);
		return;
	}
	for (; n < PS_NAME_SIZE - 1 && name[n]; n++)
		to[n] = (char)(name[n] > ' ' && name[n] < 0x7f ? name[n] : '?');
	to[n] = '\0';
}

static void copy_addr(struct ps_addr *to, uint8_t family, const uint32_t word[4])
{
	memset(to, 0, sizeof(*to));
	to->family = family;
	if (family == PS_FAMILY_IPV4)
		to->word[0] = word[0];
	else if (family == PS_FAMILY_IPV6)
		memcpy(to->word, word, sizeof(to->word));
}

static uint8_t verdict_of(uint32_t verdict, int32_t *ret_rule)
{
	*ret_rule = verdict & PS_VERDICT_RULE ? (int32_t)(verdict & PS_VERDICT_ID) : -1;
	if (!(verdict & PS_VERDICT_RULE))
		return PS_VERDICT_NONE;
	return verdict & PS_VERDICT_DROP ? PS_VERDICT_DROPPED : PS_VERDICT_ALLOWED;
}

/* In bytes. RFC 7323 2.2: the window of a SYN is never scaled, and none is unless both SYNs were seen. */
static uint32_t window_of(const struct ps_conn_tcp *t, unsigned side, unsigned saw)
{
	if (t->wscale[0] == 0xff || t->wscale[1] == 0xff || !(saw & ~(unsigned)(SAW_SYN | SAW_SYNACK)))
		return t->window[side];
	return (uint32_t)t->window[side] << PS_MIN(t->wscale[side], 14);
}

/* A word of ours, into zeros: printf would take as long as all the rest of a record. */
static void put_text(char *to, size_t size, const char *word)
{
	memcpy(to, word, PS_MIN(strlen(word), size - 1));
}

static void fill_tcp(const struct ps_conn_raw *raw, unsigned o, struct ps_conn *c)
{
	const struct ps_conn_tcp *t = &raw->tcp;
	struct story story = read_history(raw);
	unsigned r = o ^ 1;

	c->state = t->state;
	memcpy(c->history, t->history, history_len(raw));
	put_text(c->conn_state, sizeof(c->conn_state), state_tcp(raw, &story));
	c->rtt_handshake_us = t->rtt_handshake_us;
	c->rtt_us = t->rtt_us;
	c->orig_window = window_of(t, o, story.orig);
	c->resp_window = window_of(t, r, story.resp);
#define BOTH(member, from) (c->orig_##member = t->from[o], c->resp_##member = t->from[r])
	BOTH(tcp_flags, tcp_flags);
	BOTH(seq, seq);
	BOTH(ack, ack);
	BOTH(retrans_packets, retrans_packets);
	BOTH(retrans_bytes, retrans_bytes);
	BOTH(out_of_order, out_of_order);
	BOTH(dup_acks, dup_acks);
	BOTH(gap_bytes, gap_bytes);
	BOTH(zero_windows, zero_windows);
	BOTH(small_windows, small_windows);
#undef BOTH
}

static void fill_udp(const struct ps_conn_raw *raw, struct ps_conn *c)
{
	char *history = c->history; /* zeros up to its end */

	c->state = raw->flags & PS_CONN_REPLIED ? PS_STATE_REPLIED : PS_STATE_UNREPLIED;
	if (raw->flags & PS_CONN_FLIPPED)
		*history++ = '^';
	if (c->orig_packets)
		*history++ = 'D';
	if (c->resp_packets)
		*history++ = 'd';
	put_text(c->conn_state, sizeof(c->conn_state), state_udp(c));
}

static double ratio(uint64_t part, uint64_t whole)
{
	if (!whole)
		return 0;
	return part >= whole ? 1 : (double)part / (double)whole;
}

void ps_conn_from_raw(const struct ps_conn_raw *raw, const struct ps_record_env *env, struct ps_conn *ret_conn)
{
	uint8_t family = raw->flags & PS_CONN_IPV6 ? PS_FAMILY_IPV6 : PS_FAMILY_IPV4;
	unsigned o = raw->flags & PS_CONN_ORIG1 ? 1 : 0, r = o ^ 1;
	struct ps_conn *c = ret_conn;

	memset(c, 0, sizeof(*c));
	c->id = raw->id;
	c->proto = raw->proto;
	copy_addr(&c->src_ip, family, raw->addr[o]);
	copy_addr(&c->dst_ip, family, raw->addr[r]);
	c->src_port = ntohs(raw->port[o]);
	c->dst_port = ntohs(raw->port[r]);
	c->vlan = raw->vlan[0];
	c->inner_vlan = raw->vlan[1];
	copy_iface(env, raw->ifindex, c->iface);
	c->view = raw->flags & PS_CONN_INGRESS_ONLY ? PS_VIEW_INGRESS : PS_VIEW_BOTH;
	c->midstream = raw->flags & PS_CONN_MIDSTREAM;
	c->flipped = raw->flags & PS_CONN_FLIPPED;
	c->first_seen = to_wall(env, raw->first_seen);
	c->last_seen = to_wall(env, raw->last_seen);
	c->duration = raw->last_seen > raw->first_seen ? raw->last_seen - raw->first_seen : 0;
	c->end_reason = raw->end_reason;
	c->ip_id = raw->ip_id;
	c->orig_packets = raw->packets[o];
	c->resp_packets = raw->packets[r];
	c->orig_bytes = raw->bytes[o];
	c->resp_bytes = raw->bytes[r];
	c->orig_dropped_packets = raw->dropped[o];
	c->resp_dropped_packets = raw->dropped[r];
	c->verdict = verdict_of(raw->verdict[raw->verdict[o] & PS_VERDICT_RULE ? o : r], &c->rule_id);
	if (raw->proto == IPPROTO_TCP)
		fill_tcp(raw, o, c);
	else
		fill_udp(raw, c);
	c->loss = ratio((uint64_t)c->orig_retrans_packets + c->resp_retrans_packets, c->orig_packets + c->resp_packets);
}

/* Words of 64 bits, each read in one piece while CPUs go on writing. Every member of the table's lines lies within one.
 */
static void load_words(void *to, const void *from, size_t bytes)
{
	const uint64_t *f = from;
	uint64_t word;

	for (size_t i = 0; i < bytes / sizeof(word); i++) {
		word = __atomic_load_n(&f[i], __ATOMIC_RELAXED);
		memcpy((uint8_t *)to + i * sizeof(word), &word, sizeof(word));
	}
}

void ps_conn_raw_gather(const struct ps_conn_hot *hot, const struct ps_conn_cold *cold, const struct ps_conn_tcp *tcp,
	uint32_t slot, struct ps_conn_raw *ret_raw)
{
	struct ps_conn_raw *raw = ret_raw;
	struct ps_conn_cold c, again;
	struct ps_conn_hot h;

	memset(raw, 0, sizeof(*raw));
	/* The carry of a packet counter is in another line: take it before and after, until they agree. */
	for (int tries = 0; tries < 3; tries++) {
		load_words(&c, cold, sizeof(c));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		load_words(&h, hot, sizeof(h));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		load_words(&again, cold, sizeof(again));
		if (!memcmp(c.packets_hi, again.packets_hi, sizeof(c.packets_hi)))
			break;
	}
	raw->id = c.id;
	raw->first_seen = c.first_seen;
	raw->last_seen = h.last_seen;
	for (int side = 0; side < 2; side++) {
		if (h.flags & PS_CONN_IPV6)
			memcpy(raw->addr[side], c.addr6[side], sizeof(raw->addr[side]));
		else
			raw->addr[side][0] = h.addr[side];
		raw->port[side] = h.port[side];
		raw->vlan[side] = h.vlan[side];
		raw->packets[side] = (uint64_t)c.packets_hi[side] << 32 | h.packets[side];
		raw->bytes[side] = h.bytes[side];
		raw->dropped[side] = c.dropped[side];
		raw->verdict[side] = h.verdict[side];
	}
	raw->proto = h.proto;
	raw->flags = h.flags;
	raw->ifindex = c.ifindex;
	raw->slot = slot;
	raw->ip_id = c.ip_id;
	if (h.proto == IPPROTO_TCP && tcp)
		load_words(&raw->tcp, tcp, sizeof(raw->tcp));
}

/* --- ICMP and drops -------------------------------------------------------------------------- */

void ps_icmp_from_raw(const struct ps_icmp_key *key, const struct ps_icmp_val *val, const struct ps_record_env *env,
	struct ps_icmp *ret_icmp)
{
	struct ps_icmp *i = ret_icmp;

	memset(i, 0, sizeof(*i));
	copy_addr(&i->src_ip, key->family, key->saddr);
	copy_addr(&i->dst_ip, key->family, key->daddr);
	i->icmp_type = key->type;
	i->icmp_code = key->code;
	i->vlan = key->vlan[0];
	i->inner_vlan = key->vlan[1];
	copy_iface(env, val->ifindex, i->iface);
	i->packets = val->packets;
	i->bytes = val->bytes;
	i->dropped_packets = val->dropped;
	i->first_seen = to_wall(env, val->first_seen);
	i->last_seen = to_wall(env, val->last_seen);
	i->ip_id = val->ip_id;
	i->connection = val->conn_id;
	if (key->type == (key->family == PS_FAMILY_IPV6 ? 128 : 8) && !key->code) {
		i->rtt_us = val->rtt_us;
		i->answered = PS_MIN(val->answered, val->packets);
		i->unanswered = val->packets - i->answered;
	}
	if (val->inner_family == PS_FAMILY_NONE)
		return;
	copy_addr(&i->inner_src_ip, val->inner_family, val->inner_saddr);
	copy_addr(&i->inner_dst_ip, val->inner_family, val->inner_daddr);
	i->inner_protocol = val->inner_proto;
	i->inner_src_port = ntohs(val->inner_sport);
	i->inner_dst_port = ntohs(val->inner_dport);
	/* only TCP and UDP have connections that an error could belong to */
	i->unmatched = !val->conn_id && (val->inner_proto == IPPROTO_TCP || val->inner_proto == IPPROTO_UDP);
}

void ps_drop_from_raw(const struct ps_event_drop *ev, const struct ps_record_env *env, struct ps_drop *ret_drop)
{
	const struct ps_rule_key *key = &ev->key;
	struct ps_drop *d = ret_drop;

	memset(d, 0, sizeof(*d));
	d->time = to_wall(env, ev->head.time);
	d->rule_id = (int32_t)(ev->rule_id & PS_VERDICT_ID);
	d->generation = ev->generation;
	d->connection = ev->conn_id;
	d->direction = key->direction;
	copy_iface(env, ev->ifindex, d->iface);
	d->proto = key->proto;
	copy_addr(&d->src_ip, key->family, key->saddr);
	copy_addr(&d->dst_ip, key->family, key->daddr);
	if (key->proto == (key->family == PS_FAMILY_IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		d->icmp_type = (uint8_t)ntohs(key->sport);
		d->icmp_code = (uint8_t)ntohs(key->dport);
	} else {
		d->src_port = ntohs(key->sport);
		d->dst_port = ntohs(key->dport);
	}
	d->vlan = ev->vlan[0];
	d->inner_vlan = ev->vlan[1];
	d->tcp_flags = key->tcp_flags;
	d->ip_id = ev->ip_id;
	d->bytes = ev->bytes;
	d->mode = (uint8_t)ev->mode;
}

/* --- The two texts that clients of the prototype read ---------------------------------------- */

#define ENDPOINT_TEXT (PS_ADDR_TEXT + 8)

/* "1.2.3.4:80", "[2001:db8::1]:80". */
static const char *endpoint(const struct ps_addr *a, uint16_t port, char buf[static ENDPOINT_TEXT])
{
	char text[PS_ADDR_TEXT];

	(void)snprintf(
		buf, ENDPOINT_TEXT, a->family == PS_FAMILY_IPV6 ? "[%s]:%u" : "%s:%u", ps_addr_format(a, text), port);
	return buf;
}

/* "TCP", "UDP", "ICMP", "ICMPv6" or the number. */
static const char *proto_label(uint8_t proto, char buf[static 8])
{
	switch (proto) {
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	case IPPROTO_ICMP:
		return "ICMP";
	case IPPROTO_ICMPV6:
		return "ICMPv6";
	default:
		return ps_proto_name(proto, buf);
	}
}

/* RFC 3339 in whole seconds. */
static const char *seconds(uint64_t wall_ns, char buf[static PS_RFC3339_SIZE])
{
	char *fraction = strchr(ps_rfc3339(wall_ns, buf), '.');

	if (fraction)
		memcpy(fraction, "Z", 2);
	return buf;
}

/* endpoint() for those who need millions of them: behind what it wrote. */
static char *put_endpoint(char *out, const struct ps_addr *a, uint16_t port)
{
	char digits[5];
	size_t n = 0;

	if (a->family == PS_FAMILY_IPV6)
		*out++ = '[';
	out += strlen(ps_addr_format(a, out));
	if (a->family == PS_FAMILY_IPV6)
		*out++ = ']';
	*out++ = ':';
	do {
		digits[n++] = (char)('0' + port % 10);
		port /= 10;
	} while (port);
	while (n)
		*out++ = digits[--n];
	return out;
}

/* A search goes through the keys of all connections. */
char *ps_conn_key(const struct ps_conn *c, char buf[static PS_KEY_TEXT])
{
	char proto[8], *out = put_endpoint(buf, &c->src_ip, c->src_port);

	_Static_assert(PS_KEY_TEXT >= 2ul * ENDPOINT_TEXT + sizeof(" ->  ()") + sizeof(proto), "the longest key fits");
	out = put_endpoint(stpcpy(out, " -> "), &c->dst_ip, c->dst_port);
	out = stpcpy(stpcpy(out, " ("), proto_label(c->proto, proto));
	memcpy(out, ")", 2);
	return buf;
}

char *ps_conn_info(const struct ps_conn *c, char buf[static PS_INFO_TEXT])
{
	unsigned long long packets = c->orig_packets + c->resp_packets, bytes = c->orig_bytes + c->resp_bytes;
	const char *state = ps_enum_name(PS_KIND_STATE, c->state);
	char when[PS_RFC3339_SIZE];

	seconds(c->last_seen, when);
	if (c->proto != IPPROTO_TCP) {
		(void)snprintf(buf, PS_INFO_TEXT, "Packets: %llu, Bytes: %llu, IP ID: %u, Last Seen: %s", packets,
			bytes, c->ip_id, when);
		return buf;
	}
	(void)snprintf(buf, PS_INFO_TEXT,
		"Packets: %llu, Bytes: %llu, TCP Flags: %u, Seq: %u, Ack: %u, Window: %u, Retransmissions: %llu, "
		"State: %s, "
		"Last Seen: %s",
		packets, bytes, c->orig_tcp_flags | c->resp_tcp_flags, c->orig_seq, c->orig_ack, c->orig_window,
		(unsigned long long)c->orig_retrans_packets + c->resp_retrans_packets, state ? state : "unknown", when);
	return buf;
}

char *ps_icmp_key_text(const struct ps_icmp *i, char buf[static PS_KEY_TEXT])
{
	char src[PS_ADDR_TEXT], dst[PS_ADDR_TEXT];

	(void)snprintf(buf, PS_KEY_TEXT, "%s -> %s (%s type %u code %u)", ps_addr_format(&i->src_ip, src),
		ps_addr_format(&i->dst_ip, dst), i->src_ip.family == PS_FAMILY_IPV6 ? "ICMPv6" : "ICMP", i->icmp_type,
		i->icmp_code);
	return buf;
}

char *ps_icmp_info(const struct ps_icmp *i, char buf[static PS_INFO_TEXT])
{
	char src[ENDPOINT_TEXT], dst[ENDPOINT_TEXT], proto[8], when[PS_RFC3339_SIZE], inner[200] = "";

	if (i->inner_src_ip.family) {
		(void)snprintf(inner, sizeof(inner), "Inner: %s -> %s (%s), ",
			endpoint(&i->inner_src_ip, i->inner_src_port, src),
			endpoint(&i->inner_dst_ip, i->inner_dst_port, dst), proto_label(i->inner_protocol, proto));
	}
	(void)snprintf(buf, PS_INFO_TEXT, "Packets: %llu, Bytes: %llu, Type: %u, Code: %u, IP ID: %u, %sLast Seen: %s",
		(unsigned long long)i->packets, (unsigned long long)i->bytes, i->icmp_type, i->icmp_code, i->ip_id,
		inner, seconds(i->last_seen, when));
	return buf;
}
