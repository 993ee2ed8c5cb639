#include "common/detect/probes.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/detect/incidents.h"
#include "common/detect/limits.h"

struct probe {
	uint64_t connection;
};

struct ps_probes {
	struct ps_tracks *waiting, *failed;
	ps_probe_fn fn;
	void *arg;
	bool passing; /* what leaves `waiting` has waited long enough, it does not make room */
};

static void on_failed_out(void *arg, const void *key, void *value, uint64_t touched)
{
	struct ps_probes *p = arg;

	(void)value;
	p->fn(p->arg, key, false, touched);
}

static void on_waiting_out(void *arg, const void *key, void *value, uint64_t touched)
{
	struct ps_probes *p = arg;
	struct probe *failed, *waited = value;

	if (!p->passing)
		return;
	failed = ps_tracks_get(p->failed, key, touched);
	if (!failed)
		return;
	failed->connection = waited->connection;
	p->fn(p->arg, key, true, touched);
}

int ps_probes_new(size_t limit, ps_probe_fn fn, void *arg, struct ps_probes **ret_probes)
{
	_cleanup_(ps_probes_free) struct ps_probes *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->fn = fn;
	p->arg = arg;
	r = ps_tracks_new(sizeof(struct ps_track_key), sizeof(struct probe), limit, on_waiting_out, p, &p->waiting);
	if (r == 0)
		r = ps_tracks_new(
			sizeof(struct ps_track_key), sizeof(struct probe), limit, on_failed_out, p, &p->failed);
	if (r < 0)
		return r;
	*ret_probes = PS_TAKE(p);
	return 0;
}

void ps_probes_free(struct ps_probes **probes)
{
	if (!*probes)
		return;
	ps_tracks_free(&(*probes)->waiting);
	ps_tracks_free(&(*probes)->failed);
	ps_freep(probes);
}

void ps_probes_sent(struct ps_probes *p, const struct ps_track_key *key, uint64_t connection, uint64_t now)
{
	struct probe *probe;

	if (ps_tracks_find(p->failed, key)) {
		(void)ps_tracks_get(p->failed, key, now);
		return;
	}
	if (ps_tracks_find(p->waiting, key))
		return;
	probe = ps_tracks_get(p->waiting, key, now);
	if (probe)
		probe->connection = connection;
}

void ps_probes_answered(struct ps_probes *p, const struct ps_track_key *key)
{
	ps_tracks_remove(p->waiting, key);
	if (!ps_tracks_find(p->failed, key))
		return;
	ps_tracks_remove(p->failed, key);
	p->fn(p->arg, key, false, 0);
}

static uint64_t before(uint64_t now, uint64_t span)
{
	return now > span ? now - span : 0;
}

void ps_probes_tick(struct ps_probes *p, uint64_t now, uint64_t grace, uint64_t window)
{
	p->passing = true;
	ps_tracks_expire(p->waiting, before(now, grace));
	p->passing = false;
	ps_tracks_expire(p->failed, before(now, window));
}

void ps_probes_cite(const struct ps_probes *p, const struct ps_addr *source, struct ps_finding *draft)
{
	const struct probe *probe;
	const void *key;
	uint32_t cursor = 0;

	for (size_t n = 0; n < PS_SCAN_CITE_LOOK && draft->n_connections < PS_FINDING_CONNECTIONS_MAX; n++) {
		probe = ps_tracks_walk(p->failed, &cursor, &key, NULL);
		if (!probe)
			return;
		if (ps_addr_equal(&((const struct ps_track_key *)key)->a, source))
			ps_draft_cite(draft, probe->connection);
	}
}

void ps_probes_usage(const struct ps_probes *p, struct ps_tracks_usage *sum)
{
	ps_tracks_usage(p->waiting, sum);
	ps_tracks_usage(p->failed, sum);
}
