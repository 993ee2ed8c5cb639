#include "aggregator/expiry.h"

#include <netinet/in.h>

uint64_t ps_expiry_timeout(const struct ps_timeouts *t, uint8_t proto, uint8_t flags, uint8_t state)
{
	if (proto != IPPROTO_TCP)
		return flags & PS_CONN_REPLIED ? t->udp_stream : t->udp;
	switch (state) {
	case PS_TCP_SYN_SENT:
		return t->syn_sent;
	case PS_TCP_SYN_RECV:
		return t->syn_recv;
	case PS_TCP_FIN_WAIT:
		return t->fin_wait;
	case PS_TCP_CLOSE_WAIT:
		return t->close_wait;
	case PS_TCP_LAST_ACK:
		return t->last_ack;
	case PS_TCP_TIME_WAIT:
		return t->time_wait;
	case PS_TCP_CLOSE:
		return t->close;
	default:
		/* A segment from nowhere proves nothing: only what was confirmed may stay for days. */
		return flags & PS_CONN_CONFIRMED ? t->established : t->midstream;
	}
}

enum ps_end_reason ps_expiry_reason(uint8_t proto, uint8_t state)
{
	if (proto != IPPROTO_TCP)
		return PS_END_TIMEOUT;
	switch (state) {
	case PS_TCP_LAST_ACK:
	case PS_TCP_TIME_WAIT:
		return PS_END_FIN;
	case PS_TCP_CLOSE:
		return PS_END_RST;
	default:
		return PS_END_TIMEOUT;
	}
}
