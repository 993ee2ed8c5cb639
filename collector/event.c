#include "collector/event.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

/* A connection's event ends before tcp when there was no TCP analysis. */
#define PS_CONN_SHORT (sizeof(struct ps_event_head) + offsetof(struct ps_conn_raw, tcp))

static bool size_fits(const struct ps_event_head *head)
{
	switch (head->type) {
	case PS_EV_CONN_NEW:
	case PS_EV_CONN_UPDATE:
	case PS_EV_CONN_END:
		return head->size == sizeof(struct ps_event_conn) || head->size == PS_CONN_SHORT;
	case PS_EV_ICMP:
		return head->size == sizeof(struct ps_event_icmp);
	case PS_EV_DROP:
		return head->size == sizeof(struct ps_event_drop);
	default:
		return false;
	}
}

static bool conn_fits(const struct ps_conn_raw *c)
{
	if (c->proto != IPPROTO_TCP && c->proto != IPPROTO_UDP)
		return false;
	return c->end_reason <= PS_END_DETACHED && c->tcp.state < PS_TCP_STATES && c->tcp.hist_len <= PS_HISTORY_MAX;
}

static bool family_fits(uint8_t family)
{
	return family == PS_FAMILY_IPV4 || family == PS_FAMILY_IPV6;
}

static bool content_fits(const struct ps_event *e)
{
	switch (e->type) {
	case PS_EV_ICMP:
		return family_fits(e->icmp.key.family) &&
		       (e->icmp.val.inner_family == PS_FAMILY_NONE || family_fits(e->icmp.val.inner_family));
	case PS_EV_DROP:
		return e->drop.rule_id < PS_RULES_MAX && e->drop.mode <= PS_DROP_SHADOW;
	default:
		return conn_fits(&e->conn.conn);
	}
}

int ps_event_read(const void *data, size_t size, struct ps_event *ret_event)
{
	struct ps_event_head head;
	struct ps_event e = {0};

	if (size < sizeof(head))
		return -EBADMSG;
	memcpy(&head, data, sizeof(head));
	if (head.size > size || size - head.size >= 8 || !size_fits(&head))
		return -EBADMSG;
	e.type = head.type;
	memcpy(&e.head, data, head.size);
	if (!content_fits(&e))
		return -EBADMSG;
	*ret_event = e;
	return 0;
}
