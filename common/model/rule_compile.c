/* See rule_compile.h. */
#include "common/model/rule_compile.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/model/rule_fields.h"

/* Bits that two ports have in common at their front. */
static uint8_t common_bits(uint16_t a, uint16_t b)
{
	uint32_t differ = (uint32_t)(a ^ b);

	return (uint8_t)(differ ? __builtin_clz(differ) - 16 : 16);
}

static void add_piece(struct ps_port_pieces *p, uint16_t lo, uint16_t hi)
{
	p->piece[p->n++] = (struct ps_port_piece){lo, hi, common_bits(lo, hi)};
}

/*
 * A range across a boundary has few bits in common, on either side of the boundary there are more: 1000-1040 is
 * 1000-1023 (11 bits) and 1024-1040 (11 bits). Two pieces of nothing are no better than one.
 */
static void add_range(struct ps_port_pieces *p, uint16_t lo, uint16_t hi)
{
	uint8_t len = common_bits(lo, hi);
	uint16_t middle = (uint16_t)(hi & ~((1u << (15 - (len & 15))) - 1)); /* where the first bit differs */

	if (len < 16 && lo < middle &&
		(common_bits(lo, (uint16_t)(middle - 1)) > len + 1 || common_bits(middle, hi) > len + 1)) {
		add_piece(p, lo, (uint16_t)(middle - 1));
		add_piece(p, middle, hi);
	} else {
		add_piece(p, lo, hi);
	}
}

static void any_port(struct ps_port_pieces *ret_pieces)
{
	ret_pieces->n = 1;
	ret_pieces->piece[0] = (struct ps_port_piece){0, UINT16_MAX, 0};
}

static void pieces_of(const struct ps_ports *ports, struct ps_port_pieces *ret_pieces)
{
	const struct ps_port_range *range = ps_ports_ranges(ports);

	if (!ports->n) {
		any_port(ret_pieces);
		return;
	}
	ret_pieces->n = 0;
	for (unsigned i = 0; i < ports->n; i++)
		add_range(ret_pieces, range[i].lo, range[i].hi);
}

/* ICMP type and code stand where ports do. */
static void piece_of_icmp(int16_t value, struct ps_port_pieces *ret_pieces)
{
	any_port(ret_pieces);
	if (value != PS_RULE_ANY)
		ret_pieces->piece[0] = (struct ps_port_piece){(uint16_t)value, (uint16_t)value, 16};
}

static bool names_icmp(const struct ps_rule *rule)
{
	return rule->icmp_type != PS_RULE_ANY || rule->icmp_code != PS_RULE_ANY;
}

void ps_rule_units_init(const struct ps_rule *rule, struct ps_rule_units *ret_units)
{
	ret_units->rule = rule;
	ret_units->quoted = ps_rule_tests_quoted(rule);
	if (names_icmp(rule)) {
		piece_of_icmp(rule->icmp_type, &ret_units->sport);
		piece_of_icmp(rule->icmp_code, &ret_units->dport);
	} else {
		pieces_of(&rule->src_port, &ret_units->sport);
		pieces_of(&rule->dst_port, &ret_units->dport);
	}
	pieces_of(&rule->inner_src_port, &ret_units->inner_sport);
	pieces_of(&rule->inner_dst_port, &ret_units->inner_dport);
	ret_units->n =
		(uint32_t)ret_units->sport.n * ret_units->dport.n * ret_units->inner_sport.n * ret_units->inner_dport.n;
}

uint64_t ps_rule_rank(const struct ps_rule *rule)
{
	return (uint64_t)(uint32_t)rule->priority << PS_RANK_SHIFT | ((uint32_t)rule->id & PS_RANK_ID);
}

static void set_addr(const struct ps_net *net, __u64 to[2], __u8 *len, __u8 *family)
{
	const uint32_t *w = net->addr.word;

	if (!net->addr.family)
		return;
	to[0] = (uint64_t)ntohl(w[0]) << 32 | ntohl(w[1]);
	to[1] = (uint64_t)ntohl(w[2]) << 32 | ntohl(w[3]);
	*len = net->len;
	*family = net->addr.family;
}

static void set_ports(struct ps_rule_unit *u, const struct ps_port_piece *s, const struct ps_port_piece *d)
{
	u->sport[0] = s->lo;
	u->sport[1] = s->hi;
	u->dport[0] = d->lo;
	u->dport[1] = d->hi;
}

static void set_proto(struct ps_rule_unit *u, int16_t protocol)
{
	if (protocol == PS_RULE_ANY)
		return;
	u->proto = (uint8_t)protocol;
	u->flags |= PS_UNIT_PROTO;
}

static uint32_t what_it_does(const struct ps_rule *rule)
{
	uint32_t flags = 0;

	if (rule->action == PS_RULE_ACTION_DROP)
		flags |= PS_UNIT_DROP;
	if (rule->mode == PS_MODE_SHADOW)
		flags |= PS_UNIT_SHADOW;
	if (rule->rate_limit)
		flags |= PS_UNIT_RATE;
	if (rule->expires_at || rule->confirm_by)
		flags |= PS_UNIT_UNTIL;
	return flags;
}

static void make_unit(const struct ps_rule *rule, struct ps_rule_unit *u)
{
	u->rank = ps_rule_rank(rule);
	u->flags = what_it_does(rule);
	set_addr(&rule->src_ip, u->saddr, &u->slen, &u->family);
	set_addr(&rule->dst_ip, u->daddr, &u->dlen, &u->family);
	set_proto(u, rule->protocol);
	/* ICMP belongs to one family each: the other's number over the wrong header is no ICMP */
	if (ps_rule_protocol_family(rule->protocol))
		u->family = ps_rule_protocol_family(rule->protocol);
	if (names_icmp(rule))
		u->flags |= PS_UNIT_ICMP;
	if (rule->icmp_type != PS_RULE_ANY)
		u->flags |= PS_UNIT_TYPE;
	if (rule->src_port.n || rule->dst_port.n)
		u->flags |= PS_UNIT_PORTS;
	u->tcp_flags = rule->tcp_flags;
	u->tcp_mask = rule->tcp_flags_mask;
	u->direction = rule->direction;
}

static void make_quoted(const struct ps_rule *rule, struct ps_rule_unit *u)
{
	set_addr(&rule->inner_src_ip, u->saddr, &u->slen, &u->family);
	set_addr(&rule->inner_dst_ip, u->daddr, &u->dlen, &u->family);
	set_proto(u, rule->inner_protocol);
	if (rule->inner_src_port.n || rule->inner_dst_port.n)
		u->flags |= PS_UNIT_PORTS;
}

/* The digit of k for this list, and what is left of k for the next. */
static const struct ps_port_piece *take(const struct ps_port_pieces *p, uint32_t *k)
{
	const struct ps_port_piece *piece = &p->piece[*k % p->n];

	*k /= p->n;
	return piece;
}

void ps_rule_units_get(const struct ps_rule_units *units, uint32_t k, struct ps_rule_unit_pair *ret_pair)
{
	const struct ps_port_piece *s = take(&units->sport, &k), *d = take(&units->dport, &k);

	memset(ret_pair, 0, sizeof(*ret_pair));
	make_unit(units->rule, &ret_pair->unit);
	set_ports(&ret_pair->unit, s, d);
	ret_pair->sport_len = s->len;
	ret_pair->dport_len = d->len;
	if (!units->quoted)
		return;
	s = take(&units->inner_sport, &k);
	d = take(&units->inner_dport, &k);
	ret_pair->unit.flags |= PS_UNIT_QUOTED;
	make_quoted(units->rule, &ret_pair->quoted);
	set_ports(&ret_pair->quoted, s, d);
	ret_pair->inner_sport_len = s->len;
	ret_pair->inner_dport_len = d->len;
}
