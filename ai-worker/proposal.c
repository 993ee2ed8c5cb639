#include "ai-worker/proposal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ai-worker/evidence.h"
#include "ai-worker/limits.h"
#include "ai-worker/reply.h"
#include "common/base/cleanup.h"
#include "common/limits.h"

#define reject(err, field, ...) ps_error_set(err, -EINVAL, 400, "rejected", field, __VA_ARGS__)

/* Words of a proposal, and what becomes of them. */
enum use {
	RULE, /* goes to the rule parser */
	OURS, /* decided here: left out */
	NEVER,
};

static const struct {
	const char *name;
	enum use use;
} words[] = {
	{"rule_type", RULE},
	{"protocol", RULE},
	{"src_ip", RULE},
	{"dst_ip", RULE},
	{"src_port", RULE},
	{"dst_port", RULE},
	{"tcp_flags", RULE},
	{"tcp_flags_mask", RULE},
	{"icmp_type", RULE},
	{"icmp_code", RULE},
	{"inner_src_ip", RULE},
	{"inner_dst_ip", RULE},
	{"inner_protocol", RULE},
	{"inner_src_port", RULE},
	{"inner_dst_port", RULE},
	{"direction", RULE},
	{"action", RULE},
	{"priority", RULE},
	{"rate_limit", RULE},
	{"id", OURS},
	{"enabled", OURS},
	{"mode", OURS},
	{"source", OURS},
	{"ttl", OURS},
	{"comment", OURS},
	{"reason", OURS},
	{"evidence", OURS},
	{"connections", OURS},
	{"findings", OURS},
	{"force", NEVER},
	{"confirm_within", NEVER},
};

void ps_proposal_free(struct ps_proposal *p)
{
	ps_rule_clear(&p->rule);
	ps_value_free(&p->filter);
}

/* --- the rule ------------------------------------------------------------------------------------ */

/* Fields for the rule parser: what is unknown goes there too, for its reason. */
static int rule_body(const struct ps_value *given, struct ps_value *body, struct ps_error *err)
{
	for (size_t i = 0; i < ps_value_count(given); i++) {
		const char *name = ps_value_key_at(given, i);
		const struct ps_value *v = ps_value_at(given, i);
		enum use use = RULE;

		for (size_t k = 0; k < PS_ARRAY_SIZE(words); k++) {
			if (strcmp(words[k].name, name) == 0)
				use = words[k].use;
		}
		if (use == NEVER)
			return reject(
				err, name, "%s is no part of a proposal: only who installs a rule decides that", name);
		if (use == OURS || ps_value_kind(v) == PS_VALUE_NULL)
			continue;
		if (ps_value_set(body, name, ps_value_copy(v)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* An address or a network that is small enough to mean somebody. */
static bool names_somebody(const struct ps_value *shown, const char *field)
{
	const char *text = ps_value_get_string(shown, field, "any"), *slash = strchr(text, '/');

	if (strcmp(text, "any") == 0 || !*text)
		return false;
	return !slash || strtoul(slash + 1, NULL, 10) >= (strchr(text, ':') ? 16u : 8u);
}

static bool tests(const struct ps_value *shown, const struct ps_value *plain, const char *field)
{
	return !ps_value_equal(ps_value_get(shown, field), ps_value_get(plain, field));
}

/* A rule that would hit everybody is no answer to anything. */
static int check_breadth(const struct ps_value *shown, const struct ps_value *plain, struct ps_error *err)
{
	static const char *const narrow[] = {"src_port", "dst_port", "icmp_type", "inner_src_ip", "inner_dst_ip",
		"inner_src_port", "inner_dst_port"};
	bool somebody = names_somebody(shown, "src_ip") || names_somebody(shown, "dst_ip"), something = somebody;

	for (size_t i = 0; i < PS_ARRAY_SIZE(narrow); i++)
		something |= tests(shown, plain, narrow[i]);
	if (!something)
		return reject(err, "",
			"it matches everybody's traffic: a proposed rule must name an address, a network "
			"that is not half the Internet, a port or an ICMP type");
	if (!somebody && strcmp(ps_value_get_string(shown, "action", ""), "allow") == 0)
		return reject(err, "action",
			"it lets everybody pass every other rule: a proposed allow must name an "
			"address or a network");
	return 0;
}

static int check_new(const struct ps_rule *rule, const struct ps_picture *picture, const struct ps_proposal *others,
	size_t n_others, struct ps_error *err)
{
	struct ps_rule base;

	ps_rule_defaults(&base);
	for (size_t i = 0; i < ps_value_count(picture->rules); i++) {
		const struct ps_value *v = ps_value_at(picture->rules, i);
		_cleanup_(ps_rule_clear) struct ps_rule known = {0};

		if (ps_rule_merge(&base, v, picture->wall, &known, NULL, NULL) == 0 && ps_rule_same_match(rule, &known))
			return reject(
				err, "", "rule %lld does the same already", (long long)ps_value_get_int(v, "id", -1));
	}
	for (size_t i = 0; i < n_others; i++) {
		if (ps_rule_same_match(rule, &others[i].rule))
			return reject(err, "", "it says the same as proposal %zu", i + 1);
	}
	return 0;
}

/* --- what it cites ------------------------------------------------------------------------------- */

static const struct ps_value *cited(const struct ps_value *given, const char *name)
{
	const struct ps_value *list = ps_value_get(given, name);

	return list ? list : ps_value_get(ps_value_get(given, "evidence"), name);
}

static int check_conns(
	const struct ps_value *list, const struct ps_picture *picture, struct ps_proposal *p, struct ps_error *err)
{
	for (size_t i = 0; i < ps_value_count(list); i++) {
		const char *id = ps_value_as_string(ps_value_at(list, i), "");
		const struct ps_conn *c = ps_picture_conn(picture, id);

		if (!c)
			return reject(err, "connections", "it cites connection \"%.32s\", which does not exist", id);
		if (!ps_evidence_conn(&p->rule, c))
			return reject(err, "connections", "it does not match connection %s, which it cites", id);
		p->cites_live = true;
	}
	return 0;
}

static int check_findings(
	const struct ps_value *list, const struct ps_picture *picture, struct ps_proposal *p, struct ps_error *err)
{
	for (size_t i = 0; i < ps_value_count(list); i++) {
		const char *id = ps_value_as_string(ps_value_at(list, i), "");
		const struct ps_finding *f = ps_picture_finding(picture, id);

		if (!f)
			return reject(err, "findings", "it cites finding \"%.32s\", which does not exist", id);
		if (!ps_evidence_finding(&p->rule, f, picture))
			return reject(err, "findings", "it does not match finding %s, which it cites", id);
	}
	return 0;
}

static int check_evidence(
	const struct ps_value *given, const struct ps_picture *picture, struct ps_proposal *p, struct ps_error *err)
{
	const struct ps_value *conns = cited(given, "connections"), *findings = cited(given, "findings");
	int r;

	if ((conns && ps_value_kind(conns) != PS_VALUE_LIST) || (findings && ps_value_kind(findings) != PS_VALUE_LIST))
		return reject(err, "evidence", "what it cites must be lists of ids");
	if (ps_value_count(conns) + ps_value_count(findings) == 0)
		return reject(err, "evidence", "it cites no connection and no finding that it is for");
	if (ps_value_count(conns) > PS_AI_EVIDENCE_MAX || ps_value_count(findings) > PS_AI_EVIDENCE_MAX)
		return reject(err, "evidence", "it cites more than %d connections or findings", PS_AI_EVIDENCE_MAX);
	r = check_conns(conns, picture, p, err);
	return r < 0 ? r : check_findings(findings, picture, p, err);
}

static struct ps_value *list_or_empty(const struct ps_value *list)
{
	return list ? ps_value_copy(list) : ps_value_list();
}

/* --- the body ------------------------------------------------------------------------------------ */

static struct ps_value *text_of(const struct ps_value *given, const char *name, size_t max)
{
	const struct ps_value *v = ps_value_get(given, name);
	const char *s = ps_value_as_string(v, "");

	return ps_reply_clean(s, ps_value_string_len(v), max);
}

static int64_t ttl_of(const struct ps_value *given)
{
	int64_t ttl = ps_value_get_int(given, "ttl", 0);

	return ttl > 0 ? PS_MIN(ttl, (int64_t)PS_AI_RULE_TTL_MAX) : PS_AI_RULE_TTL;
}

/* Fields of the rule that say something, then what is decided here. */
static int write_filter(const struct ps_value *given, const struct ps_value *shown, const struct ps_value *plain,
	const struct ps_proposal_policy *policy, struct ps_proposal *p)
{
	static const char *const always[] = {"rule_type", "protocol", "direction", "action"};
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	struct ps_value *evidence = ps_value_map();
	int r = 0;

	for (size_t i = 0; i < PS_ARRAY_SIZE(words); i++) {
		const char *name = words[i].name;
		bool keep = words[i].use == RULE && ps_value_get(shown, name) && tests(shown, plain, name);

		for (size_t k = 0; k < PS_ARRAY_SIZE(always); k++)
			keep |= strcmp(always[k], name) == 0;
		if (keep)
			r |= ps_value_set(v, name, ps_value_copy(ps_value_get(shown, name)));
	}
	r |= ps_value_set(v, "enabled", ps_value_bool(true));
	r |= ps_value_set(v, "mode", ps_value_string(policy->enforce ? "enforce" : "shadow"));
	r |= ps_value_set(v, "ttl", ps_value_int(ttl_of(given)));
	r |= ps_value_set(v, "source", ps_value_string(policy->source));
	r |= ps_value_set(v, "comment", text_of(given, "comment", PS_RULE_COMMENT_MAX));
	r |= ps_value_set(v, "reason", text_of(given, "reason", PS_AI_SUGGESTION_MAX));
	r |= ps_value_set(evidence, "connections", list_or_empty(cited(given, "connections")));
	r |= ps_value_set(evidence, "findings", list_or_empty(cited(given, "findings")));
	r |= ps_value_set(v, "evidence", evidence);
	if (r)
		return -ENOMEM;
	p->filter = PS_TAKE(v);
	return 0;
}

int ps_proposal_read(const struct ps_value *given, const struct ps_picture *picture,
	const struct ps_proposal_policy *policy, const struct ps_proposal *others, size_t n_others,
	struct ps_proposal *ret_proposal, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *body = ps_value_map(), *shown = NULL, *plain = NULL;
	_cleanup_(ps_proposal_free) struct ps_proposal p = {0};
	struct ps_rule base;
	int r;

	if (ps_value_kind(given) != PS_VALUE_MAP)
		return reject(err, "", "it is no object with the fields of a rule");
	ps_rule_defaults(&base);
	r = rule_body(given, body, err);
	if (r == 0)
		r = ps_rule_merge(&base, body, picture->wall, &p.rule, NULL, err);
	if (r < 0)
		return r;
	shown = ps_rule_to_value(&p.rule, picture->wall);
	plain = ps_rule_to_value(&base, picture->wall);
	if (!shown || !plain)
		return -ENOMEM;
	r = check_breadth(shown, plain, err);
	if (r == 0)
		r = check_evidence(given, picture, &p, err);
	if (r == 0)
		r = check_new(&p.rule, picture, others, n_others, err);
	if (r == 0)
		r = write_filter(given, shown, plain, policy, &p);
	if (r < 0)
		return r;
	*ret_proposal = p;
	p = (struct ps_proposal){0};
	return 0;
}

/* --- the aggregator's word ----------------------------------------------------------------------- */

struct ps_value *ps_proposal_candidate(const struct ps_proposal *p)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_copy(p->filter);
	int r = ps_value_set(v, "mode", ps_value_string("enforce"));

	ps_value_unset(v, "reason");
	ps_value_unset(v, "evidence");
	return r ? NULL : PS_TAKE(v);
}

int ps_proposal_settle(struct ps_proposal *p, const struct ps_value *preview, struct ps_error *err)
{
	static const char *const taken[] = {
		"live", "ended", "packets", "bytes", "icmp", "connections", "newly_dropped"};
	const struct ps_value *guard = ps_value_get(preview, "guard"), *warnings = ps_value_get(preview, "warnings");
	struct ps_value *impact;
	int r = 0;

	if (ps_value_kind(preview) != PS_VALUE_MAP)
		return reject(err, "", "its impact could not be told");
	if (ps_value_count(guard) > 0)
		return reject(err, "", "a guard rail holds it back: %s",
			ps_value_get_string(ps_value_at(guard, 0), "message", "it would cut off who must not be"));
	if (p->cites_live && ps_value_get_uint(preview, "live", 0) + ps_value_get_uint(preview, "ended", 0) == 0)
		return reject(err, "connections",
			"it would match none of the traffic that is known, in the direction "
			"that it names");
	impact = ps_value_map();
	for (size_t i = 0; i < PS_ARRAY_SIZE(taken); i++) {
		if (ps_value_get(preview, taken[i]))
			r |= ps_value_set(impact, taken[i], ps_value_copy(ps_value_get(preview, taken[i])));
	}
	r |= ps_value_set(p->filter, "impact", impact);
	if (ps_value_count(warnings) > 0)
		r |= ps_value_set(p->filter, "warnings", ps_value_copy(warnings));
	return r ? -ENOMEM : 0;
}

struct ps_value *ps_proposal_of_finding(const struct ps_finding *f)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL, *ids = ps_value_list();
	char id[PS_FINDING_ID_TEXT];
	int r;

	if (!f->rule.proposed)
		return NULL;
	v = ps_finding_rule_to_value(f);
	if (ps_value_kind(v) != PS_VALUE_MAP)
		return NULL;
	r = ps_value_append(ids, ps_value_string(ps_finding_id(f->id, id)));
	r |= ps_value_set(v, "findings", PS_TAKE(ids));
	r |= ps_value_set(v, "reason", ps_value_string(f->title));
	return r ? NULL : PS_TAKE(v);
}
