#include "gateway/problem.h"

#include <string.h>

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

void ps_problem_write(struct ps_buf *out, const struct ps_error *err)
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
	ps_buf_adds(out, "}\n");
}

void ps_problem_respond(struct ps_http_response *resp, const struct ps_error *err)
{
	ps_buf_reset(&resp->body);
	resp->fixed = NULL;
	resp->fixed_len = 0;
	if (resp->stream.close)
		resp->stream.close(resp->stream.arg);
	resp->stream = (struct ps_stream){0};
	resp->status = problem_status(err);
	ps_http_response_header(resp, "Content-Type", PS_PROBLEM_TYPE);
	ps_problem_write(&resp->body, err);
}
