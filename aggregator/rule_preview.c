#include "aggregator/rule_preview.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "aggregator/limits.h"
#include "aggregator/rule_search.h"
#include "common/base/cleanup.h"

enum {
	FIN = 0x01,
	SYN = 0x02,
	RST = 0x04,
	PSH = 0x08,
	ACK = 0x10,
};

struct preview {
	const struct ps_preview_input *in;
	const struct ps_rule *candidate;
	struct ps_rule_search *now, *after; /* after: of a whole set */
	size_t asked;                       /* questions to the rules in force that were answered without an index */
	int error;
	bool by_flags; /* some rule tests TCP flags */
	struct ps_preview out;
	struct {
		uint64_t bytes;
		bool live, newly;
	} worth[PS_PREVIEW_IDS]; /* of out.ids */
};

/* What one side of a connection is to the rules. */
struct hit {
	bool hit, newly;
};

/* An index of a large set takes longer than to go through it for a handful of questions. */
static const struct ps_rule *find_now(struct preview *p, const struct ps_rule_key *key,
	const struct ps_rule_inner *inner, const struct ps_rule *before)
{
	if (!p->now && p->asked++ < PS_PREVIEW_SCANS)
		return ps_rule_first(&p->in->now, p->in->time, key, inner, before);
	if (!p->now && ps_rule_search_new(&p->in->now, p->in->time, &p->now) < 0) {
		p->error = -ENOMEM;
		return NULL;
	}
	return ps_rule_search_find(p->now, key, inner, before);
}

/* Does the candidate decide, where `now` does today? It may itself be what decides, in its form of today. */
static bool decides(
	struct preview *p, const struct ps_rule_key *key, const struct ps_rule_inner *inner, const struct ps_rule *now)
{
	if (!now)
		return true;
	if (now->id == p->candidate->id)
		return !find_now(p, key, inner, p->candidate);
	return ps_rule_compare(now, p->candidate) > 0;
}

static void judge(struct preview *p, const struct ps_rule_key *key, const struct ps_rule_inner *inner, struct hit *h)
{
	const struct ps_rule *rule = p->candidate, *now;

	if (p->after) {
		rule = ps_rule_search_find(p->after, key, inner, NULL);
		if (!rule || rule->action != PS_RULE_ACTION_DROP)
			return;
		now = find_now(p, key, inner, NULL);
	} else {
		if (!ps_rule_matches(rule, key, inner))
			return;
		now = find_now(p, key, inner, NULL);
		if (!decides(p, key, inner, now))
			return;
	}
	h->hit = true;
	h->newly = h->newly || (rule->action == PS_RULE_ACTION_DROP && (!now || now->action != PS_RULE_ACTION_DROP));
}

/* The segments that a side with these flags has sent, as far as they can be told. */
static struct hit judge_segments(struct preview *p, struct ps_rule_key *key, uint8_t seen, bool orig)
{
	const struct {
		uint8_t needs, flags;
	} rows[] = {
		{SYN, orig ? SYN : SYN | ACK},
		{0, ACK},
		{PSH, PSH | ACK},
		{FIN, FIN | ACK},
		{RST, RST},
		{RST, RST | ACK},
	};
	struct hit h = {0};

	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		if ((seen & rows[i].needs) != rows[i].needs)
			continue;
		key->tcp_flags = rows[i].flags;
		judge(p, key, NULL, &h);
	}
	return h;
}

/* Either direction, where neither end is known to be ours. */
static uint8_t direction_of(const struct ps_host_facts *host, const struct ps_addr *src, const struct ps_addr *dst)
{
	if (ps_host_facts_is_local(host, src))
		return PS_DIR_EGRESS;
	return ps_host_facts_is_local(host, dst) ? PS_DIR_INGRESS : PS_DIR_INGRESS | PS_DIR_EGRESS;
}

static uint8_t reverse(uint8_t direction)
{
	return direction == PS_DIR_EGRESS ? PS_DIR_INGRESS : direction == PS_DIR_INGRESS ? PS_DIR_EGRESS : direction;
}

static struct hit judge_side(struct preview *p, const struct ps_conn *c, bool orig, uint8_t direction)
{
	const struct ps_addr *src = orig ? &c->src_ip : &c->dst_ip, *dst = orig ? &c->dst_ip : &c->src_ip;
	struct ps_rule_key key = {
		.sport = htons(orig ? c->src_port : c->dst_port),
		.dport = htons(orig ? c->dst_port : c->src_port),
		.proto = c->proto,
		.family = c->src_ip.family,
		.direction = direction,
	};
	struct hit h = {0};

	memcpy(key.saddr, src->word, sizeof(key.saddr));
	memcpy(key.daddr, dst->word, sizeof(key.daddr));
	if (c->proto == IPPROTO_TCP && p->by_flags)
		return judge_segments(p, &key, orig ? c->orig_tcp_flags : c->resp_tcp_flags, orig);
	if (c->proto == IPPROTO_TCP)
		key.tcp_flags = ACK;
	judge(p, &key, NULL, &h);
	return h;
}

static bool worse(const struct preview *p, size_t i, bool live, bool newly, uint64_t bytes)
{
	if (p->worth[i].live != live)
		return live;
	if (p->worth[i].newly != newly)
		return newly;
	return bytes > p->worth[i].bytes;
}

static void remember(struct preview *p, uint64_t id, bool live, bool newly, uint64_t bytes)
{
	size_t at = p->out.n_ids;

	while (at > 0 && worse(p, at - 1, live, newly, bytes))
		at--;
	if (at == PS_PREVIEW_IDS)
		return;
	p->out.n_ids = PS_MIN(p->out.n_ids + 1, (size_t)PS_PREVIEW_IDS);
	for (size_t i = p->out.n_ids - 1; i > at; i--) {
		p->out.ids[i] = p->out.ids[i - 1];
		p->worth[i] = p->worth[i - 1];
	}
	p->out.ids[at] = id;
	p->worth[at].live = live;
	p->worth[at].newly = newly;
	p->worth[at].bytes = bytes;
}

static void add_conn(struct preview *p, const struct ps_conn *c, bool ended)
{
	uint8_t direction = direction_of(p->in->host, &c->src_ip, &c->dst_ip);
	struct hit orig = {0}, resp = {0};
	uint64_t bytes;

	p->out.examined++;
	if (c->orig_packets)
		orig = judge_side(p, c, true, direction);
	if (c->resp_packets)
		resp = judge_side(p, c, false, reverse(direction));
	if (!orig.hit && !resp.hit)
		return;
	bytes = (orig.hit ? c->orig_bytes : 0) + (resp.hit ? c->resp_bytes : 0);
	p->out.live += !ended;
	p->out.ended += ended;
	p->out.packets += (orig.hit ? c->orig_packets : 0) + (resp.hit ? c->resp_packets : 0);
	p->out.bytes += bytes;
	p->out.newly_dropped += orig.newly || resp.newly;
	remember(p, c->id, !ended, orig.newly || resp.newly, bytes);
}

static void add_icmp(struct preview *p, const struct ps_icmp *i)
{
	struct ps_rule_key key = {
		.sport = htons(i->icmp_type),
		.dport = htons(i->icmp_code),
		.proto = i->src_ip.family == PS_FAMILY_IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
		.family = i->src_ip.family,
		.direction = direction_of(p->in->host, &i->src_ip, &i->dst_ip),
	};
	struct ps_rule_inner inner = {
		.sport = htons(i->inner_src_port),
		.dport = htons(i->inner_dst_port),
		.proto = i->inner_protocol,
		.family = i->inner_src_ip.family,
	};
	struct hit h = {0};

	p->out.examined++;
	memcpy(key.saddr, i->src_ip.word, sizeof(key.saddr));
	memcpy(key.daddr, i->dst_ip.word, sizeof(key.daddr));
	memcpy(inner.saddr, i->inner_src_ip.word, sizeof(inner.saddr));
	memcpy(inner.daddr, i->inner_dst_ip.word, sizeof(inner.daddr));
	judge(p, &key, inner.family ? &inner : NULL, &h);
	if (!h.hit)
		return;
	p->out.icmp++;
	p->out.packets += i->packets;
	p->out.bytes += i->bytes;
}

static bool tests_flags(const struct ps_rule_view *set)
{
	for (size_t i = 0; i <= set->n; i++) {
		const struct ps_rule *rule = ps_rule_view_at(set, i);

		if (rule && rule->enabled && rule->tcp_flags_mask)
			return true;
	}
	return false;
}

static void preview_free(struct preview *p)
{
	ps_rule_search_free(&p->now);
	ps_rule_search_free(&p->after);
}

int ps_rule_preview(const struct ps_preview_input *in, struct ps_preview *ret_preview)
{
	_cleanup_(preview_free) struct preview p = {.in = in, .candidate = in->candidate};
	const struct ps_conn *conn;
	const struct ps_icmp *icmp;
	bool ended;
	int r = in->set ? ps_rule_search_new(in->set, in->time, &p.after) : 0;

	if (r < 0)
		return r;
	p.by_flags = tests_flags(&in->now) || (in->set && tests_flags(in->set)) ||
		     (in->candidate && in->candidate->tcp_flags_mask);
	while ((conn = in->next_conn(in->arg, &ended)))
		add_conn(&p, conn, ended);
	while ((icmp = in->next_icmp(in->arg)))
		add_icmp(&p, icmp);
	if (p.error)
		return p.error;
	*ret_preview = p.out;
	return 0;
}
