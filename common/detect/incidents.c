#include "common/detect/incidents.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/detect/tracks.h"

struct incident {
	struct ps_finding f;
	uint64_t largest; /* count of the report whose texts f has */
	uint64_t step;    /* it is told again when count reaches this */
	uint64_t grew;    /* when it was last added to */
	uint64_t patience;
};

struct ps_incidents {
	ps_detect_fn fn;
	void *arg;
	struct incident *list[PS_INCIDENTS_MAX]; /* the oldest first */
	size_t n;
	struct ps_tracks *open; /* key -> struct incident * */
	uint64_t found, n_open, refused;
};

int ps_incidents_new(ps_detect_fn fn, void *arg, struct ps_incidents **ret_incidents)
{
	_cleanup_(ps_incidents_free) struct ps_incidents *in = calloc(1, sizeof(*in));
	int r;

	if (!in)
		return -ENOMEM;
	in->fn = fn;
	in->arg = arg;
	r = ps_tracks_new(
		sizeof(struct ps_track_key), sizeof(struct incident *), PS_INCIDENTS_MAX, NULL, NULL, &in->open);
	if (r < 0)
		return r;
	*ret_incidents = PS_TAKE(in);
	return 0;
}

void ps_incidents_free(struct ps_incidents **incidents)
{
	struct ps_incidents *in = *incidents;

	if (!in)
		return;
	for (size_t i = 0; i < in->n; i++)
		free(in->list[i]);
	ps_tracks_free(&in->open);
	ps_freep(incidents);
}

static struct ps_track_key key_of(const struct ps_finding *f)
{
	struct ps_track_key key = {.a = f->source, .proto = (uint8_t)f->kind};

	if (!f->source.family) {
		key.b = f->target.addr;
		key.port = f->target.port;
	}
	return key;
}

static struct incident *find(const struct ps_incidents *in, const struct ps_finding *f)
{
	struct ps_track_key key = key_of(f);
	struct incident **at = ps_tracks_find(in->open, &key);

	return at ? *at : NULL;
}

static void tell(const struct ps_incidents *in, const struct incident *i)
{
	if (in->fn)
		in->fn(in->arg, &i->f);
}

/* Room for one more: the oldest that is closed goes. */
static bool make_room(struct ps_incidents *in)
{
	size_t i = 0;

	if (in->n < PS_INCIDENTS_MAX)
		return true;
	while (i < in->n && in->list[i]->f.open)
		i++;
	if (i == in->n)
		return false;
	free(in->list[i]);
	memmove(&in->list[i], &in->list[i + 1], (in->n - i - 1) * sizeof(in->list[0]));
	in->n--;
	return true;
}

static uint64_t step_after(uint64_t count)
{
	uint64_t step = 10;

	while (step <= count && step <= UINT64_MAX / 10)
		step *= 10;
	return step;
}

static struct incident *open_incident(struct ps_incidents *in, const struct ps_finding *draft, uint64_t now)
{
	struct ps_track_key key = key_of(draft);
	struct incident *i, **at;

	i = make_room(in) ? calloc(1, sizeof(*i)) : NULL;
	at = i ? ps_tracks_get(in->open, &key, now) : NULL;
	if (!at) {
		free(i);
		in->refused++;
		return NULL;
	}
	*at = i;
	in->list[in->n++] = i;
	in->n_open++;
	i->f = *draft;
	i->f.id = ++in->found;
	i->f.open = true;
	i->largest = draft->count;
	i->step = step_after(draft->count);
	i->grew = now;
	tell(in, i);
	return i;
}

static void cite_more(struct ps_finding *f, const struct ps_finding *draft)
{
	for (size_t i = 0; i < draft->n_connections; i++) {
		bool there = false;

		for (size_t k = 0; k < f->n_connections; k++)
			there |= f->connections[k] == draft->connections[i];
		if (!there)
			ps_draft_cite(f, draft->connections[i]);
	}
}

/* Takes over what the draft says, but for what an incident keeps. */
static void take_texts(struct ps_finding *f, const struct ps_finding *draft)
{
	f->target = draft->target;
	memcpy(f->numbers, draft->numbers, sizeof(f->numbers));
	f->n_numbers = draft->n_numbers;
	memcpy(f->title, draft->title, sizeof(f->title));
	f->rule = draft->rule;
}

static void grow(
	struct ps_incidents *in, struct incident *i, const struct ps_finding *draft, uint64_t added, uint64_t now)
{
	i->grew = now;
	i->f.count += added;
	i->f.last = PS_MAX(i->f.last, draft->last);
	i->f.first = PS_MIN(i->f.first, draft->first);
	i->f.severity = PS_MAX(i->f.severity, draft->severity);
	i->f.confidence = PS_MAX(i->f.confidence, draft->confidence);
	cite_more(&i->f, draft);
	if (draft->count >= i->largest) {
		i->largest = draft->count;
		take_texts(&i->f, draft);
	}
	if (i->f.count < i->step)
		return;
	i->step = step_after(i->f.count);
	tell(in, i);
}

void ps_incidents_report_slow(
	struct ps_incidents *in, const struct ps_finding *draft, uint64_t added, uint64_t patience, uint64_t now)
{
	struct incident *i = find(in, draft);

	if (!i)
		i = open_incident(in, draft, now);
	else if (added)
		grow(in, i, draft, added, now);
	if (i)
		i->patience = PS_MAX(i->patience, patience);
}

void ps_incidents_report(struct ps_incidents *in, const struct ps_finding *draft, uint64_t added, uint64_t now)
{
	ps_incidents_report_slow(in, draft, added, 0, now);
}

size_t ps_incidents_room(const struct ps_incidents *in, const struct ps_finding *draft)
{
	const struct incident *i = find(in, draft);

	return PS_FINDING_CONNECTIONS_MAX - (i ? i->f.n_connections : 0);
}

void ps_incidents_tick(struct ps_incidents *in, uint64_t now, uint64_t quiet)
{
	for (size_t k = 0; in->n_open && k < in->n; k++) {
		struct incident *i = in->list[k];
		struct ps_track_key key;

		if (!i->f.open || now < i->grew + PS_MAX(quiet, i->patience))
			continue;
		key = key_of(&i->f);
		ps_tracks_remove(in->open, &key);
		i->f.open = false;
		in->n_open--;
		tell(in, i);
	}
}

size_t ps_incidents_count(const struct ps_incidents *in)
{
	return in->n;
}

const struct ps_finding *ps_incidents_at(const struct ps_incidents *in, size_t i)
{
	return i < in->n ? &in->list[in->n - 1 - i]->f : NULL;
}

void ps_incidents_totals(const struct ps_incidents *in, struct ps_detect_totals *totals)
{
	totals->found = in->found;
	totals->open = in->n_open;
	totals->refused = in->refused;
	totals->bytes += sizeof(*in) + in->n * sizeof(struct incident);
}

/* --- drafts ---------------------------------------------------------------------------------------- */

void ps_draft_number(struct ps_finding *draft, const char *name, uint64_t value)
{
	if (draft->n_numbers < PS_FINDING_NUMBERS_MAX)
		draft->numbers[draft->n_numbers++] = (struct ps_finding_number){name, value};
}

void ps_draft_cite(struct ps_finding *draft, uint64_t connection)
{
	if (connection && draft->n_connections < PS_FINDING_CONNECTIONS_MAX)
		draft->connections[draft->n_connections++] = connection;
}

void ps_draft_title(struct ps_finding *draft, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(draft->title, sizeof(draft->title), fmt, ap);
	va_end(ap);
}

double ps_draft_confidence(uint64_t n, uint64_t threshold)
{
	double c = n > threshold ? 1 - 0.5 * (double)threshold / (double)n : 0.5;

	/* Two digits: more would say more than is known. */
	return (double)(unsigned)(PS_MIN(c, 0.99) * 100 + 0.5) / 100;
}

void ps_recent_add(struct ps_recent *r, uint64_t id)
{
	r->id[r->next] = id;
	r->next = (r->next + 1) % PS_FINDING_CONNECTIONS_MAX;
}

void ps_recent_remove(struct ps_recent *r, uint64_t id)
{
	for (size_t i = 0; i < PS_FINDING_CONNECTIONS_MAX; i++) {
		if (r->id[i] == id)
			r->id[i] = 0;
	}
}

void ps_draft_cite_recent(struct ps_finding *draft, const struct ps_recent *r)
{
	for (uint32_t i = 0; i < PS_FINDING_CONNECTIONS_MAX; i++)
		ps_draft_cite(
			draft, r->id[(r->next + PS_FINDING_CONNECTIONS_MAX - 1 - i) % PS_FINDING_CONNECTIONS_MAX]);
}
