#include "gateway/problem.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"

static int problem_status(const struct ps_error *err)
{
	return err->status >= 400 && err->status <= 599 ? err->status : 500;
}

static void member(struct ps_buf *out, const char *name, const char *value)
{
	ps_buf_addf(out, ",\"%s\":", name);
	ps_json_string(out, value, strlen(value));
}

static bool own(const char *name)
{
	static const char *const names[] = {"type", "title", "status", "detail", "instance", "code", "field"};

	for (size_t i = 0; i < PS_ARRAY_SIZE(names); i++) {
		if (!strcmp(name, names[i]))
			return true;
	}
	return false;
}

void ps_problem_write(struct ps_buf *out, const struct ps_error *err, const struct ps_value *more)
{
	int status = problem_status(err);

	ps_buf_adds(out, "{\"type\":\"about:blank\"");
	member(out, "title", ps_http_phrase(status));
	ps_buf_addf(out, ",\"status\":%d", status);
	if (err->message[0])
		member(out, "detail", err->message);
	member(out, "code", err->code[0] ? err->code : "error");
	if (err->field[0])
		member(out, "field", err->field);
	for (size_t i = 0; ps_value_kind(more) == PS_VALUE_MAP && i < ps_value_count(more); i++) {
		const char *name = ps_value_key_at(more, i);

		if (own(name))
			continue;
		ps_buf_addc(out, ',');
		ps_json_string(out, name, strlen(name));
		ps_buf_addc(out, ':');
		ps_json_write(out, ps_value_at(more, i));
	}
	ps_buf_adds(out, "}\n");
}

void ps_problem_respond(struct ps_http_response *resp, const struct ps_error *err, const struct ps_value *more)
{
	ps_buf_reset(&resp->body);
	resp->fixed = NULL;
	resp->fixed_len = 0;
	if (resp->stream.close)
		resp->stream.close(resp->stream.arg);
	resp->stream = (struct ps_stream){0};
	resp->status = problem_status(err);
	ps_http_response_header(resp, "Content-Type", PS_PROBLEM_TYPE);
	ps_problem_write(&resp->body, err, more);
}
