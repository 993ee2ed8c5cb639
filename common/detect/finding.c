#include "common/detect/finding.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/model/schema.h"

static const char *const kind_names[] = {
#define PS_DETECTOR(suffix, name, functions, doc) [PS_FINDING_##suffix] = (name),
#include "common/detect/detector.def"
};

const char *ps_finding_kind_name(enum ps_finding_kind kind)
{
	return kind_names[kind];
}

const char *ps_severity_name(enum ps_severity severity)
{
	static const char *const names[] = {
		[PS_SEVERITY_LOW] = "low",
		[PS_SEVERITY_MEDIUM] = "medium",
		[PS_SEVERITY_HIGH] = "high",
		[PS_SEVERITY_CRITICAL] = "critical",
	};

	return names[severity];
}

char *ps_finding_id(uint64_t id, char buf[static PS_FINDING_ID_TEXT])
{
	(void)snprintf(buf, PS_FINDING_ID_TEXT, "f-%" PRIu64, id);
	return buf;
}

char *ps_finding_target(const struct ps_finding_target *target, char buf[static PS_FINDING_TARGET_TEXT])
{
	unsigned whole = target->addr.family == PS_FAMILY_IPV6 ? 128 : 32;
	char addr[PS_ADDR_TEXT];

	(void)ps_addr_format(&target->addr, addr);
	if (!target->addr.family)
		buf[0] = '\0';
	else if (target->prefix < whole)
		(void)snprintf(buf, PS_FINDING_TARGET_TEXT, "%s/%u", addr, target->prefix);
	else if (target->port)
		(void)snprintf(buf, PS_FINDING_TARGET_TEXT, whole == 128 ? "[%s]:%u" : "%s:%u", addr, target->port);
	else
		(void)snprintf(buf, PS_FINDING_TARGET_TEXT, "%s", addr);
	return buf;
}

/* --- the rule -------------------------------------------------------------------------------------- */

static const char *rule_type_of(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return "icmp";
	default:
		return "basic";
	}
}

static int set_addr(struct ps_value *v, const char *name, const struct ps_addr *addr)
{
	char text[PS_ADDR_TEXT];

	return addr->family ? ps_value_set(v, name, ps_value_string(ps_addr_format(addr, text))) : 0;
}

static int set_tests(struct ps_value *v, const struct ps_finding_rule *rule)
{
	char proto[8];
	int r = ps_value_set(v, "rule_type", ps_value_string(rule_type_of(rule->protocol)));

	r |= ps_value_set(
		v, "protocol", ps_value_string(rule->protocol ? ps_proto_name(rule->protocol, proto) : "any"));
	r |= set_addr(v, "src_ip", &rule->src);
	r |= set_addr(v, "dst_ip", &rule->dst);
	if (rule->src_port)
		r |= ps_value_set(v, "src_port", ps_value_int(rule->src_port));
	if (rule->dst_port)
		r |= ps_value_set(v, "dst_port", ps_value_int(rule->dst_port));
	if (rule->syn) {
		r |= ps_value_set(v, "tcp_flags", ps_value_string("SYN"));
		r |= ps_value_set(v, "tcp_flags_mask", ps_value_string("SYN|ACK"));
	}
	if (rule->echo)
		r |= ps_value_set(v, "icmp_type", ps_value_int(rule->protocol == IPPROTO_ICMPV6 ? 128 : 8));
	r |= ps_value_set(v, "direction", ps_value_string(rule->both ? "both" : "ingress"));
	return r;
}

struct ps_value *ps_finding_rule_to_value(const struct ps_finding *f)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	char comment[PS_FINDING_TITLE_MAX + PS_FINDING_ID_TEXT + 4], id[PS_FINDING_ID_TEXT];
	int r;

	if (!f->rule.proposed)
		return ps_value_null();
	v = ps_value_map();
	r = set_tests(v, &f->rule);
	r |= ps_value_set(v, "action", ps_value_string("drop"));
	if (f->rule.rate_limit)
		r |= ps_value_set(v, "rate_limit", ps_value_uint(f->rule.rate_limit));
	r |= ps_value_set(v, "mode", ps_value_string("shadow"));
	r |= ps_value_set(v, "enabled", ps_value_bool(false));
	r |= ps_value_set(v, "ttl", ps_value_int(PS_FINDING_RULE_TTL_S));
	(void)snprintf(comment, sizeof(comment), "%s: %s", ps_finding_id(f->id, id), f->title);
	r |= ps_value_set(v, "comment", ps_value_string(comment));
	r |= ps_value_set(v, "source", ps_value_string("detector"));
	return r ? NULL : PS_TAKE(v);
}

/* --- the map --------------------------------------------------------------------------------------- */

static struct ps_value *numbers_value(const struct ps_finding *f)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();

	for (size_t i = 0; i < f->n_numbers; i++) {
		if (ps_value_set(v, f->numbers[i].name, ps_value_uint(f->numbers[i].value)) < 0)
			return NULL;
	}
	return PS_TAKE(v);
}

static struct ps_value *connections_value(const struct ps_finding *f)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_list();
	char id[24];

	for (size_t i = 0; i < f->n_connections; i++) {
		(void)snprintf(id, sizeof(id), "%016" PRIx64, f->connections[i]);
		if (ps_value_append(v, ps_value_string(id)) < 0)
			return NULL;
	}
	return PS_TAKE(v);
}

struct ps_value *ps_finding_to_value(const struct ps_finding *f)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	char id[PS_FINDING_ID_TEXT], source[PS_ADDR_TEXT], target[PS_FINDING_TARGET_TEXT];
	int r = ps_value_set(v, "id", ps_value_string(ps_finding_id(f->id, id)));

	(void)ps_finding_target(&f->target, target);
	r |= ps_value_set(v, "kind", ps_value_string(ps_finding_kind_name(f->kind)));
	r |= ps_value_set(v, "severity", ps_value_string(ps_severity_name(f->severity)));
	r |= ps_value_set(v, "confidence", ps_value_real(f->confidence));
	r |= ps_value_set(v, "source", ps_value_string(f->source.family ? ps_addr_format(&f->source, source) : NULL));
	r |= ps_value_set(v, "target", ps_value_string(target[0] ? target : NULL));
	r |= ps_value_set(v, "first", ps_value_uint(f->first));
	r |= ps_value_set(v, "last", ps_value_uint(f->last));
	r |= ps_value_set(v, "count", ps_value_uint(f->count));
	r |= ps_value_set(v, "numbers", numbers_value(f));
	r |= ps_value_set(v, "title", ps_value_string(f->title));
	r |= ps_value_set(v, "connections", connections_value(f));
	r |= ps_value_set(v, "rule", ps_finding_rule_to_value(f));
	r |= ps_value_set(v, "open", ps_value_bool(f->open));
	return r ? NULL : PS_TAKE(v);
}

int ps_finding_times_to_text(struct ps_value *finding)
{
	static const char *const names[] = {"first", "last"};
	char text[PS_RFC3339_SIZE];
	int r = 0;

	for (size_t i = 0; i < PS_ARRAY_SIZE(names); i++) {
		const struct ps_value *v = ps_value_get(finding, names[i]);
		uint64_t t = ps_value_as_uint(v, 0);

		if (t)
			r |= ps_value_set(finding, names[i], ps_value_string(ps_rfc3339(t, text)));
	}
	return r ? -ENOMEM : 0;
}
