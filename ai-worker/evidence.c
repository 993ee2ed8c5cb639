#include "ai-worker/evidence.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/cleanup.h"

#define EITHER_WAY 3 /* whether a packet came in or went out is not known here; the preview knows */

static struct ps_rule_key packet(
	const struct ps_addr *src, const struct ps_addr *dst, uint8_t proto, uint16_t sport, uint16_t dport)
{
	struct ps_rule_key key = {
		.sport = htons(sport),
		.dport = htons(dport),
		.proto = proto,
		.family = src->family ? src->family : dst->family,
		.direction = EITHER_WAY,
	};

	memcpy(key.saddr, src->word, sizeof(key.saddr));
	memcpy(key.daddr, dst->word, sizeof(key.daddr));
	return key;
}

/* Segments that one side of a TCP connection sends, as far as the flags that it has sent allow. */
static bool any_segment(const struct ps_rule *rule, struct ps_rule_key *key, uint8_t seen)
{
	static const uint8_t shapes[] = {0x02, 0x12, 0x10, 0x18, 0x04, 0x14, 0x01, 0x11, 0x19, 0x29, 0x00};

	for (size_t i = 0; i < sizeof(shapes); i++) {
		key->tcp_flags = shapes[i];
		if ((shapes[i] & ~seen) == 0 && ps_rule_matches(rule, key, NULL))
			return true;
	}
	return false;
}

static bool matches(const struct ps_rule *rule, struct ps_rule_key key, uint8_t seen)
{
	if (key.proto == IPPROTO_TCP)
		return any_segment(rule, &key, seen);
	return ps_rule_matches(rule, &key, NULL);
}

bool ps_evidence_conn(const struct ps_rule *rule, const struct ps_conn *c)
{
	return matches(rule, packet(&c->src_ip, &c->dst_ip, c->proto, c->src_port, c->dst_port), c->orig_tcp_flags) ||
	       matches(rule, packet(&c->dst_ip, &c->src_ip, c->proto, c->dst_port, c->src_port), c->resp_tcp_flags);
}

/* Some other address of the family, where the finding names none: what a rule that names one must not match. */
static struct ps_addr or_any(const struct ps_addr *a, uint8_t family)
{
	struct ps_addr none = {.family = family};

	return a->family ? *a : none;
}

static bool proposal_matches(const struct ps_rule *rule, const struct ps_finding *f)
{
	const struct ps_finding_rule *p = &f->rule;
	uint8_t family = p->src.family ? p->src.family : p->dst.family ? p->dst.family : f->target.addr.family;
	struct ps_addr src = or_any(p->src.family ? &p->src : &f->source, family);
	struct ps_addr dst = or_any(p->dst.family ? &p->dst : &f->target.addr, family);
	struct ps_rule_key key =
		packet(&src, &dst, p->protocol, p->src_port, p->dst_port ? p->dst_port : f->target.port);

	if (!p->proposed || !family)
		return false;
	if (p->echo || p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6) {
		static const uint16_t echo[][2] = {{8, 0}, {128, 129}};
		unsigned six = family == PS_FAMILY_IPV6;

		key.proto = six ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		for (unsigned i = 0; i < 2; i++) {
			key.sport = htons(echo[six][i]);
			key.dport = 0;
			if (matches(rule, key, 0))
				return true;
		}
		return false;
	}
	if (!key.proto)
		key.proto = IPPROTO_TCP;
	return matches(rule, key, p->syn ? 0x02 : 0xff);
}

bool ps_evidence_finding(const struct ps_rule *rule, const struct ps_finding *f, const struct ps_picture *p)
{
	if (proposal_matches(rule, f))
		return true;
	for (size_t i = 0; i < f->n_connections; i++) {
		for (size_t k = 0; k < p->n_conns; k++) {
			if (p->conns[k].id == f->connections[i] && ps_evidence_conn(rule, &p->conns[k]))
				return true;
		}
	}
	return false;
}
