#include "ai-worker/redact.h"

#include "common/base/buf.h"
#include "common/base/cleanup.h"

#include <string.h>

struct ps_value *ps_redact_value(const struct ps_secret *key, const struct ps_value *v)
{
	_cleanup_(ps_value_free) struct ps_value *out = NULL;
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	enum ps_value_kind kind = ps_value_kind(v);

	if (kind == PS_VALUE_STRING) {
		ps_secret_redact(key, &text, ps_value_as_string(v, ""), ps_value_string_len(v));
		return text.error ? NULL : ps_value_string_n((const char *)text.data, text.len);
	}
	if (kind != PS_VALUE_LIST && kind != PS_VALUE_MAP)
		return ps_value_copy(v);
	out = kind == PS_VALUE_LIST ? ps_value_list() : ps_value_map();
	for (size_t i = 0; i < ps_value_count(v); i++) {
		struct ps_value *child = ps_redact_value(key, ps_value_at(v, i));
		int r;

		if (kind == PS_VALUE_LIST) {
			r = ps_value_append(out, child);
		} else {
			const char *name = ps_value_key_at(v, i);

			ps_buf_reset(&text);
			ps_secret_redact(key, &text, name, strlen(name));
			r = ps_value_set(out, ps_buf_str(&text) ? ps_buf_str(&text) : "", child);
		}
		if (r < 0)
			return NULL;
	}
	return PS_TAKE(out);
}
