#include "aggregator/icmp_query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

/* Cursor: SOURCE,DESTINATION,TYPE,CODE,VLAN,INNERVLAN */
static void cursor_write(const struct ps_icmp *last, char out[static PS_ICMP_CURSOR_TEXT])
{
	char src[PS_ADDR_TEXT], dst[PS_ADDR_TEXT];

	(void)snprintf(out, PS_ICMP_CURSOR_TEXT, "%s,%s,%u,%u,%u,%u", ps_addr_format(&last->src_ip, src),
		ps_addr_format(&last->dst_ip, dst), last->icmp_type, last->icmp_code, last->vlan, last->inner_vlan);
}

static int cursor_read(const char *text, struct ps_icmp *ret_key)
{
	struct ps_icmp key = {0};
	char src[PS_ADDR_TEXT], dst[PS_ADDR_TEXT];
	unsigned type, code, vlan, inner;
	int used = 0;

	if (sscanf(text, "%45[^,],%45[^,],%3u,%3u,%5u,%5u%n", src, dst, &type, &code, &vlan, &inner, &used) != 6 ||
		text[used] || type > 255 || code > 255 || vlan > UINT16_MAX || inner > UINT16_MAX ||
		ps_addr_parse(src, strlen(src), &key.src_ip) < 0 || ps_addr_parse(dst, strlen(dst), &key.dst_ip) < 0)
		return -EINVAL;
	key.icmp_type = (uint8_t)type;
	key.icmp_code = (uint8_t)code;
	key.vlan = (uint16_t)vlan;
	key.inner_vlan = (uint16_t)inner;
	*ret_key = key;
	return 0;
}

int ps_icmp_query_parse(const struct ps_value *args, struct ps_icmp_query *ret_query, struct ps_error *err)
{
	struct ps_icmp_query q = {0};
	const char *cursor = ps_value_get_string(args, "cursor", "");
	int64_t limit = 100;

	if (ps_value_kind(ps_value_get(args, "limit")) != PS_VALUE_NULL &&
		(!ps_value_is_integer(ps_value_get(args, "limit"), &limit) || limit < 1 || limit > PS_REQUEST_PAGE_MAX))
		return ps_error_set(err, -EINVAL, 400, "bad_value", "limit",
			"limit must be a whole number from 1 to %d", PS_REQUEST_PAGE_MAX);
	q.limit = (unsigned)limit;
	if (*cursor) {
		if (cursor_read(cursor, &q.cursor) < 0)
			return ps_error_set(err, -EINVAL, 400, "bad_value", "cursor",
				"this is no cursor of an ICMP list; leave it out to begin anew");
		q.has_cursor = true;
	}
	*ret_query = q;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return ps_icmp_compare(*(const struct ps_icmp *const *)a, *(const struct ps_icmp *const *)b);
}

void ps_icmp_query_run(const struct ps_icmp_query *q, const struct ps_icmp_table *table, struct ps_icmp_page *ret_page)
{
	size_t n = ps_icmp_table_count(table), first = 0;
	_cleanup_free_ const struct ps_icmp **all = calloc(n + 1, sizeof(const struct ps_icmp *));

	ret_page->n = 0;
	ret_page->total = n;
	ret_page->next[0] = '\0';
	if (!all)
		return;
	for (size_t i = 0; i < n; i++)
		all[i] = ps_icmp_table_at(table, i);
	qsort(all, n, sizeof(const struct ps_icmp *), compare);
	while (q->has_cursor && first < n && ps_icmp_compare(all[first], &q->cursor) <= 0)
		first++;
	while (first + ret_page->n < n && ret_page->n < q->limit) {
		ret_page->row[ret_page->n] = all[first + ret_page->n];
		ret_page->n++;
	}
	if (ret_page->n && first + ret_page->n < n)
		cursor_write(ret_page->row[ret_page->n - 1], ret_page->next);
}
