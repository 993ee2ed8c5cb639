#include "ai-worker/local.h"

#include <stdio.h>
#include <string.h>

#include "ai-worker/analysis.h"
#include "ai-worker/limits.h"
#include "ai-worker/proposal.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"

/* "f-3, high, open: Port scan by …" */
static void add_finding(struct ps_buf *text, const struct ps_finding *f)
{
	char id[PS_FINDING_ID_TEXT];

	ps_buf_addf(text, "%s, %s, %s, confidence %.2f: %s\n", ps_finding_id(f->id, id), ps_severity_name(f->severity),
		f->open ? "going on" : "over", f->confidence, f->title);
}

static int add_findings(struct ps_value *answer, const struct ps_picture *p)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT, summary = PS_BUF_INIT;
	size_t open = 0;

	ps_buf_adds(&text, ps_value_get_string(answer, "analysis", ""));
	ps_buf_adds(&text, p->n_findings ? "\nWhat the detectors found:\n" : "\nThe detectors found nothing.\n");
	for (size_t i = 0; i < p->n_findings; i++) {
		open += p->findings[i].open;
		if (i < PS_AI_FILTERS_MAX)
			add_finding(&text, &p->findings[i]);
	}
	if (p->n_findings > PS_AI_FILTERS_MAX)
		ps_buf_addf(&text, "and %zu more.\n", p->n_findings - PS_AI_FILTERS_MAX);
	ps_buf_addf(&summary, "%s %zu finding%s, %zu going on.", ps_value_get_string(answer, "summary", ""),
		p->n_findings, p->n_findings == 1 ? "" : "s", open);
	if (!ps_buf_str(&text) || !ps_buf_str(&summary))
		return -1;
	return ps_value_set(answer, "analysis", ps_value_string(ps_buf_str(&text))) |
	       ps_value_set(answer, "summary", ps_value_string(ps_buf_str(&summary)));
}

/* What stands out there comes before what the figures suggest. */
static int add_suggestions(struct ps_value *answer, const struct ps_picture *p)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();
	const struct ps_value *rest = ps_value_get(answer, "suggestions");
	char text[PS_FINDING_TITLE_MAX + 160];
	int r = 0;

	for (size_t i = 0; i < p->n_findings && ps_value_count(list) < PS_AI_FILTERS_MAX; i++) {
		const struct ps_finding *f = &p->findings[i];

		if (!f->open)
			continue;
		(void)snprintf(text, sizeof(text), "%s. If nobody you know does that, %s.", f->title,
			f->rule.proposed ? "put the proposed rule in force"
					 : "look at the connections that the finding names");
		r |= ps_value_append(list, ps_value_string(text));
	}
	for (size_t i = 0; i < ps_value_count(rest); i++)
		r |= ps_value_append(list, ps_value_copy(ps_value_at(rest, i)));
	return r ? r : ps_value_set(answer, "suggestions", PS_TAKE(list));
}

static int add_filters(struct ps_value *answer, const struct ps_question *q, const struct ps_picture *p)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();
	int r = 0;

	for (size_t i = 0; i < p->n_findings && ps_value_count(list) < PS_AI_FILTERS_MAX; i++) {
		if (q->type == PS_ANALYZE_PERFORMANCE || !p->findings[i].open || !p->findings[i].rule.proposed)
			continue;
		r |= ps_value_append(list, ps_proposal_of_finding(&p->findings[i]));
	}
	return r ? r : ps_value_set(answer, "filters", PS_TAKE(list));
}

struct ps_value *ps_local_answer(const struct ps_question *q, const struct ps_picture *p)
{
	struct ps_analysis_input in = {
		.have_snapshot = p->have_snapshot,
		.conns = p->conns,
		.n_conns = p->n_conns,
		.snapshot_age = p->snapshot_age,
		.stats = p->stats,
		.include_tcp = q->include_tcp,
		.include_icmp = q->include_icmp,
		.include_stats = q->include_stats,
	};
	_cleanup_(ps_value_free) struct ps_value *answer = ps_analysis(&in);
	int r = 0;

	if (!ps_value_get_bool(answer, "success", false))
		return PS_TAKE(answer);
	if (q->type != PS_ANALYZE_PERFORMANCE) {
		r |= add_findings(answer, p);
		r |= add_suggestions(answer, p);
	}
	if (q->with_filters)
		r |= add_filters(answer, q, p);
	if (*q->custom_prompt)
		r |= ps_value_set(answer, "note",
			ps_value_string("custom_prompt needs an LLM; this answer is the local engine's and does not "
					"take it into account."));
	return r ? NULL : PS_TAKE(answer);
}
