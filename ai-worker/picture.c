#include "ai-worker/picture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ps_picture_free(struct ps_picture *p)
{
	free(p->conns);
	free(p->icmp);
	free(p->findings);
	ps_value_free(&p->stats);
	ps_value_free(&p->rules);
	*p = (struct ps_picture){0};
}

static int worst_first(const void *pa, const void *pb)
{
	const struct ps_finding *a = pa, *b = pb;

	if (a->open != b->open)
		return a->open ? -1 : 1;
	if (a->severity != b->severity)
		return a->severity > b->severity ? -1 : 1;
	if (a->confidence != b->confidence)
		return a->confidence > b->confidence ? -1 : 1;
	return a->last > b->last ? -1 : a->last < b->last;
}

void ps_picture_sort_findings(struct ps_picture *p)
{
	if (p->n_findings > 1)
		qsort(p->findings, p->n_findings, sizeof(*p->findings), worst_first);
}

const struct ps_conn *ps_picture_conn(const struct ps_picture *p, const char *id)
{
	char text[24];

	for (size_t i = 0; i < p->n_conns; i++) {
		(void)snprintf(text, sizeof(text), "%016" PRIx64, p->conns[i].id);
		if (strcmp(text, id) == 0)
			return &p->conns[i];
	}
	return NULL;
}

const struct ps_finding *ps_picture_finding(const struct ps_picture *p, const char *id)
{
	char text[PS_FINDING_ID_TEXT];

	for (size_t i = 0; i < p->n_findings; i++) {
		if (strcmp(ps_finding_id(p->findings[i].id, text), id) == 0)
			return &p->findings[i];
	}
	return NULL;
}
