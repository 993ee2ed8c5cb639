#include "common/codec/record_json.h"

#include <string.h>

#include "common/codec/json.h"
#include "common/model/community_id.h"
#include "common/model/record.h"

static void add_text(struct ps_buf *out, const char *name, const char *text)
{
	ps_json_string(out, name, strlen(name));
	ps_buf_addc(out, ':');
	ps_json_string(out, text, strlen(text));
	ps_buf_addc(out, ',');
}

static void add_conn(struct ps_buf *out, const struct ps_conn *record)
{
	char key[PS_KEY_TEXT], info[PS_INFO_TEXT];
	struct ps_conn c = *record;

	_Static_assert(PS_COMMUNITY_ID_TEXT <= PS_TEXT_SIZE, "the field holds it");
	if (!c.community_id[0])
		(void)ps_community_id(
			PS_COMMUNITY_ID_SEED, c.proto, &c.src_ip, c.src_port, &c.dst_ip, c.dst_port, c.community_id);
	add_text(out, "key", ps_conn_key(&c, key));
	add_text(out, "info", ps_conn_info(&c, info));
	ps_json_record(out, &ps_schemas[PS_RECORD_CONN], &c);
}

static void add_icmp(struct ps_buf *out, const struct ps_icmp *record)
{
	char key[PS_KEY_TEXT], info[PS_INFO_TEXT];
	struct ps_icmp i = *record;

	if (!i.community_id[0])
		(void)ps_community_id_icmp(
			PS_COMMUNITY_ID_SEED, &i.src_ip, &i.dst_ip, i.icmp_type, i.icmp_code, i.community_id);
	add_text(out, "key", ps_icmp_key_text(&i, key));
	add_text(out, "info", ps_icmp_info(&i, info));
	ps_json_record(out, &ps_schemas[PS_RECORD_ICMP], &i);
}

void ps_record_json(struct ps_buf *out, enum ps_record_type type, const void *record)
{
	ps_buf_addc(out, '{');
	if (type == PS_RECORD_CONN)
		add_conn(out, record);
	else if (type == PS_RECORD_ICMP)
		add_icmp(out, record);
	else
		ps_json_record(out, &ps_schemas[type], record);
	ps_buf_addc(out, '}');
}
