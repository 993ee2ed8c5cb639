/*
 * Port scan. An attempt is a (source, host, port); it fails when the handshake is not completed, or no UDP answer
 * comes, within the grace. Vertical: many failed ports of one host. Horizontal: many hosts that fail on one port, and
 * they are most of the hosts that the source tries there. What a source is not answered is remembered, what it is
 * answered is only counted, so a busy client costs next to nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/detect/detector.h"
#include "common/detect/probes.h"
#include "common/detect/range.h"
#include "common/detect/traits.h"
#include "common/detect/window.h"

/* UDP ports that traceroute sends to, which no one is meant to answer. */
#define TRACEROUTE_FIRST 33434u
#define TRACEROUTE_LAST 33534u

struct host {
	uint64_t failed;
};

struct port {
	uint64_t failed;
	struct ps_range hosts; /* that failed */
	struct ps_window answered;
};

struct source {
	uint64_t failed, added, first, last;
	/* the host with most failed ports, and the port with most failed hosts, when they were the most */
	struct ps_addr host;
	uint64_t ports;
	uint16_t port;
	uint8_t proto;
	uint64_t hosts;
};

struct port_scan {
	const struct ps_detect_config *config;
	struct ps_probes *probes;
	struct ps_tracks *hosts, *ports, *sources;
	uint64_t now; /* of the judgement that is going on */
};

static struct ps_track_key host_key(const struct ps_track_key *probe)
{
	return (struct ps_track_key){.a = probe->a, .b = probe->b};
}

static struct ps_track_key port_key(const struct ps_track_key *probe)
{
	return (struct ps_track_key){.a = probe->a, .port = probe->port, .proto = probe->proto};
}

static struct ps_track_key source_key(const struct ps_track_key *probe)
{
	return (struct ps_track_key){.a = probe->a};
}

static void failed_in(struct port_scan *d, const struct ps_track_key *probe, uint64_t when)
{
	struct ps_track_key hk = host_key(probe), pk = port_key(probe), sk = source_key(probe);
	struct host *host = ps_tracks_get(d->hosts, &hk, d->now);
	struct port *port = ps_tracks_get(d->ports, &pk, d->now);
	struct source *s = ps_tracks_get(d->sources, &sk, d->now);

	if (!host || !port || !s)
		return;
	ps_range_add(&port->hosts, &probe->b);
	if (!s->failed++)
		s->first = when;
	s->last = PS_MAX(s->last, when);
	s->added++;
	if (++host->failed > s->ports) {
		s->ports = host->failed;
		s->host = probe->b;
	}
	if (++port->failed > s->hosts) {
		s->hosts = port->failed;
		s->port = probe->port;
		s->proto = probe->proto;
	}
}

static void failed_out(struct port_scan *d, const struct ps_track_key *probe)
{
	struct ps_track_key hk = host_key(probe), pk = port_key(probe), sk = source_key(probe);
	struct host *host = ps_tracks_find(d->hosts, &hk);
	struct port *port = ps_tracks_find(d->ports, &pk);
	struct source *s = ps_tracks_find(d->sources, &sk);

	if (host && host->failed <= 1)
		ps_tracks_remove(d->hosts, &hk);
	else if (host)
		host->failed--;
	if (port && port->failed <= 1) {
		port->failed = 0;
		port->hosts = (struct ps_range){0};
	} else if (port) {
		port->failed--;
	}
	if (s && s->failed <= 1)
		ps_tracks_remove(d->sources, &sk);
	else if (s)
		s->failed--;
}

static void on_probe(void *arg, const struct ps_track_key *key, bool failed, uint64_t when)
{
	if (failed)
		failed_in(arg, key, when);
	else
		failed_out(arg, key);
}

static void destroy(void *state)
{
	struct port_scan *d = state;

	if (!d)
		return;
	ps_probes_free(&d->probes);
	ps_tracks_free(&d->hosts);
	ps_tracks_free(&d->ports);
	ps_tracks_free(&d->sources);
	free(d);
}

static int create(const struct ps_detect_config *config, void **ret_state)
{
	struct port_scan *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->config = config;
	r = ps_probes_new(PS_SCAN_PROBES_MAX, on_probe, d, &d->probes);
	if (r == 0)
		r = ps_tracks_new(
			sizeof(struct ps_track_key), sizeof(struct host), PS_SCAN_TRACKS_MAX, NULL, NULL, &d->hosts);
	if (r == 0)
		r = ps_tracks_new(
			sizeof(struct ps_track_key), sizeof(struct port), PS_SCAN_TRACKS_MAX, NULL, NULL, &d->ports);
	if (r == 0)
		r = ps_tracks_new(sizeof(struct ps_track_key), sizeof(struct source), PS_SCAN_TRACKS_MAX, NULL, NULL,
			&d->sources);
	if (r < 0) {
		destroy(d);
		return r;
	}
	*ret_state = d;
	return 0;
}

/*
 * A SYN; or a segment that no connection has, without SYN, ACK and RST (the FIN, null and Xmas scans). Others that are
 * met midstream are of connections that were there before.
 */
static bool is_tcp_attempt(const struct ps_conn *c)
{
	if (!c->midstream)
		return true;
	return !(c->orig_tcp_flags & (TH_SYN | TH_ACK | TH_RST));
}

/* UDP that asks for an answer which we would see: no late answer of a service, no group, no traceroute. */
static bool is_udp_attempt(const struct ps_conn *c)
{
	if (c->view == PS_VIEW_INGRESS || (c->src_port < 1024 && c->dst_port >= 1024))
		return false;
	if (ps_service_traits(c->proto, c->src_port) && !ps_service_traits(c->proto, c->dst_port))
		return false;
	return c->dst_port < TRACEROUTE_FIRST || c->dst_port > TRACEROUTE_LAST;
}

static void conn(void *state, const struct ps_sight *sight)
{
	struct port_scan *d = state;
	const struct ps_conn *c = sight->conn;
	struct ps_track_key key = {.a = c->src_ip, .b = c->dst_ip, .port = c->dst_port, .proto = c->proto}, pk;
	struct port *port;

	if (ps_addr_is_group(&c->dst_ip))
		return;
	if (sight->answered) {
		ps_probes_answered(d->probes, &key);
		pk = port_key(&key);
		port = ps_tracks_get(d->ports, &pk, sight->now);
		if (port)
			ps_window_add(&port->answered, d->config->scan_window, sight->now, 1);
	} else if (sight->begun && (c->proto == IPPROTO_TCP ? is_tcp_attempt(c) : is_udp_attempt(c))) {
		ps_probes_sent(d->probes, &key, c->id, sight->now);
	}
}

/* Of the attempts on the source's worst port, do enough fail? */
static bool fails_mostly(const struct port_scan *d, const struct ps_addr *source, struct source *s, uint64_t now,
	struct ps_range *ret_hosts)
{
	struct ps_track_key key = {.a = *source, .port = s->port, .proto = s->proto};
	const struct port *port = ps_tracks_find(d->ports, &key);
	uint64_t span = d->config->scan_window, answered;

	if (!port)
		return false;
	s->hosts = port->failed;
	*ret_hosts = port->hosts;
	answered = ps_window_sum(&port->answered, span, ps_detect_back(now, span), now);
	return port->failed * 100 >= d->config->scan_share * (port->failed + answered);
}

static void judge_source(
	const struct port_scan *d, const struct ps_addr *addr, struct source *s, uint64_t now, struct ps_incidents *in)
{
	const struct ps_detect_config *config = d->config;
	struct ps_track_key key = {.a = *addr, .b = s->host};
	const struct host *host = ps_tracks_find(d->hosts, &key);
	struct ps_range hosts = {0};
	bool vertical, horizontal;
	struct ps_finding f = {
		.kind = PS_FINDING_PORT_SCAN,
		.source = *addr,
		.first = s->first,
		.last = s->last,
		.count = s->failed,
		.severity = s->failed >= 1000 ? PS_SEVERITY_HIGH : PS_SEVERITY_MEDIUM,
		.rule = {.proposed = true, .src = *addr},
	};
	char source[PS_ADDR_TEXT], target[PS_FINDING_TARGET_TEXT], proto[8];

	s->ports = host ? host->failed : 0;
	vertical = s->ports >= config->scan_ports;
	horizontal = fails_mostly(d, addr, s, now, &hosts) && s->hosts >= config->scan_hosts;
	if (!vertical && !horizontal)
		return;
	(void)ps_addr_format(addr, source);
	ps_draft_number(&f, "ports", s->ports);
	ps_draft_number(&f, "hosts", s->hosts);
	if (vertical && (!horizontal || s->ports >= s->hosts)) {
		f.target = ps_target_of(&s->host, 0);
		f.confidence = ps_draft_confidence(s->ports, config->scan_ports);
		ps_draft_title(&f, "%s tried %" PRIu64 " ports of %s that refused or did not answer", source, s->ports,
			ps_finding_target(&f.target, target));
	} else {
		f.target = ps_range_target(&hosts, s->port);
		f.confidence = ps_draft_confidence(s->hosts, config->scan_hosts);
		ps_draft_number(&f, "port", s->port);
		ps_draft_title(&f, "%s tried %s port %u of %" PRIu64 " hosts in %s that refused or did not answer",
			source, ps_proto_name(s->proto, proto), s->port, s->hosts,
			ps_finding_target(&f.target, target));
	}
	if (ps_incidents_room(in, &f) > 0)
		ps_probes_cite(d->probes, addr, &f);
	ps_incidents_report(in, &f, s->added, now);
	s->added = 0;
}

static void judge(void *state, uint64_t now, struct ps_incidents *incidents)
{
	struct port_scan *d = state;
	const void *key;
	uint64_t touched;
	uint32_t cursor = 0;
	struct source *s;

	d->now = now;
	ps_probes_tick(d->probes, now, d->config->grace, d->config->scan_window);
	while ((s = ps_tracks_walk(d->sources, &cursor, &key, &touched)) && ps_detect_is_recent(touched, now))
		judge_source(d, &((const struct ps_track_key *)key)->a, s, now, incidents);
	ps_tracks_expire(d->ports, ps_detect_back(now, d->config->scan_window + d->config->grace));
	/* These go with their last failed attempt; but they give their memory back only here. */
	ps_tracks_expire(d->hosts, ps_detect_back(now, 2 * d->config->scan_window + d->config->grace));
	ps_tracks_expire(d->sources, ps_detect_back(now, 2 * d->config->scan_window + d->config->grace));
}

static void usage(const void *state, struct ps_tracks_usage *sum)
{
	const struct port_scan *d = state;

	ps_probes_usage(d->probes, sum);
	ps_tracks_usage(d->hosts, sum);
	ps_tracks_usage(d->ports, sum);
	ps_tracks_usage(d->sources, sum);
}

const struct ps_detector ps_detector_port_scan = {
	.create = create, .destroy = destroy, .conn = conn, .judge = judge, .usage = usage};
