#include "ai-worker/figures.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"

static uint64_t packets_of(const struct ps_conn *c)
{
	return c->orig_packets + c->resp_packets;
}

static uint64_t bytes_of(const struct ps_conn *c)
{
	return c->orig_bytes + c->resp_bytes;
}

static uint64_t retrans_of(const struct ps_conn *c)
{
	return (uint64_t)c->orig_retrans_packets + c->resp_retrans_packets;
}

static void count_one(struct ps_figures *f, const struct ps_conn *c)
{
	f->connections++;
	if (c->state < PS_ARRAY_SIZE(f->by_state))
		f->by_state[c->state]++;
	f->midstream += c->midstream;
	f->packets += packets_of(c);
	f->bytes += bytes_of(c);
	f->dropped_packets += (uint64_t)c->orig_dropped_packets + c->resp_dropped_packets;
	if (c->proto == IPPROTO_UDP) {
		f->udp++;
		f->unreplied += c->state == PS_STATE_UNREPLIED;
	}
	if (c->proto != IPPROTO_TCP)
		return;
	f->tcp++;
	f->half_open += c->state == PS_TCP_SYN_SENT || c->state == PS_TCP_SYN_RECV;
	f->tcp_packets += packets_of(c);
	f->retrans_packets += retrans_of(c);
	f->retrans_bytes += c->orig_retrans_bytes + c->resp_retrans_bytes;
	f->out_of_order += (uint64_t)c->orig_out_of_order + c->resp_out_of_order;
	f->zero_windows += (uint64_t)c->orig_zero_windows + c->resp_zero_windows;
}

/* Keeps the PS_AI_TOP connections with most segments sent again, the worst first. */
static void consider_worst(struct ps_figures *f, const struct ps_conn *c)
{
	size_t at;

	if (retrans_of(c) == 0)
		return;
	for (at = f->n_worst; at > 0 && retrans_of(f->worst[at - 1]) < retrans_of(c); at--) {
		if (at < PS_AI_TOP)
			f->worst[at] = f->worst[at - 1];
	}
	if (at == PS_AI_TOP)
		return;
	f->worst[at] = c;
	f->n_worst = PS_MIN(f->n_worst + 1, (size_t)PS_AI_TOP);
}

static int compare_rows(const void *pa, const void *pb)
{
	const struct ps_figure_row *a = pa, *b = pb;

	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	return ps_addr_compare(&a->addr, &b->addr);
}

static int most_bytes_first(const void *pa, const void *pb)
{
	const struct ps_figure_row *a = pa, *b = pb;

	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	return compare_rows(pa, pb);
}

/* Adds up equal rows, orders by bytes, keeps the first few. Returns how many different ones there were. */
static size_t top_rows(struct ps_figure_row *rows, size_t n, struct ps_figure_row *top, size_t *ret_n)
{
	size_t distinct = 0;

	qsort(rows, n, sizeof(*rows), compare_rows);
	for (size_t i = 0; i < n; i++) {
		if (distinct > 0 && compare_rows(&rows[distinct - 1], &rows[i]) == 0) {
			rows[distinct - 1].connections += rows[i].connections;
			rows[distinct - 1].packets += rows[i].packets;
			rows[distinct - 1].bytes += rows[i].bytes;
		} else {
			rows[distinct++] = rows[i];
		}
	}
	qsort(rows, distinct, sizeof(*rows), most_bytes_first);
	*ret_n = PS_MIN(distinct, (size_t)PS_AI_TOP);
	memcpy(top, rows, *ret_n * sizeof(*top));
	return distinct;
}

static struct ps_figure_row row_of(const struct ps_conn *c, bool service)
{
	return (struct ps_figure_row){
		.addr = service ? c->dst_ip : c->src_ip,
		.proto = service ? c->proto : 0,
		.port = service ? c->dst_port : 0,
		.connections = 1,
		.packets = packets_of(c),
		.bytes = bytes_of(c),
	};
}

static int compare_u32(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return a < b ? -1 : a > b;
}

static int count_rtt(struct ps_figures *f, const struct ps_conn *conns, size_t n)
{
	_cleanup_free_ uint32_t *rtt = calloc(n, sizeof(*rtt));

	if (!rtt)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		uint32_t us = conns[i].rtt_us ? conns[i].rtt_us : conns[i].rtt_handshake_us;

		if (us)
			rtt[f->rtt_known++] = us;
	}
	if (f->rtt_known == 0)
		return 0;
	qsort(rtt, f->rtt_known, sizeof(*rtt), compare_u32);
	f->rtt_median_us = rtt[f->rtt_known / 2];
	f->rtt_max_us = rtt[f->rtt_known - 1];
	return 0;
}

int ps_figures_count(const struct ps_conn *conns, size_t n, struct ps_figures *ret_figures)
{
	_cleanup_free_ struct ps_figure_row *rows = NULL;
	struct ps_figures f = {0};

	if (n > 0) {
		rows = calloc(n, sizeof(*rows));
		if (!rows || count_rtt(&f, conns, n) < 0)
			return -ENOMEM;
		for (size_t i = 0; i < n; i++) {
			count_one(&f, &conns[i]);
			consider_worst(&f, &conns[i]);
			rows[i] = row_of(&conns[i], false);
		}
		f.all_talkers = top_rows(rows, n, f.talkers, &f.n_talkers);
		for (size_t i = 0; i < n; i++)
			rows[i] = row_of(&conns[i], true);
		f.all_services = top_rows(rows, n, f.services, &f.n_services);
	}
	*ret_figures = f;
	return 0;
}
