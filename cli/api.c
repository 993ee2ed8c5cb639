#include "cli/api.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "cli/limits.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/limits.h"

/* Only a gateway on this host gets the token of this host. */
static bool is_here(const char *base)
{
	static const char *const here[] = {"http://127.0.0.1:", "http://[::1]:", "http://localhost:",
		"https://127.0.0.1:", "https://[::1]:", "https://localhost:"};

	for (size_t i = 0; i < PS_ARRAY_SIZE(here); i++) {
		if (strncmp(base, here[i], strlen(here[i])) == 0)
			return true;
	}
	return false;
}

/* The first word of the first line that is no comment; what the token allows may stand behind it. */
static const char *first_token(char *text)
{
	char *save = NULL;

	for (char *line = text ? strtok_r(text, "\r\n", &save) : NULL; line; line = strtok_r(NULL, "\r\n", &save)) {
		line += strspn(line, " \t");
		line[strcspn(line, " \t")] = '\0';
		if (*line && *line != '#')
			return line;
	}
	return "";
}

static int use_token(struct ps_fetch *client, const char *path, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	int r = ps_file_read(path, 4096, &text);

	if (r < 0)
		return ps_error_set(err, r, 400, "bad_value", "token-file", "cannot read %s: %s", path, strerror(-r));
	r = ps_fetch_token(client, first_token(ps_buf_str(&text) ? (char *)text.data : NULL));
	if (r < 0)
		return ps_error_set(err, r, 400, "bad_value", "token-file", "%s holds no token", path);
	return 0;
}

int ps_api_open(const struct ps_settings *s, struct ps_fetch **ret_client, struct ps_error *err)
{
	_cleanup_(ps_fetch_free) struct ps_fetch *client = NULL;
	char path[512];
	int r = ps_fetch_new(s->api, &client, err);

	if (r == 0 && s->tls_cert && *s->tls_cert && !strstr(s->api, "://"))
		ps_fetch_secure(client, s->tls_cert);
	if (r == 0 && s->token_file && *s->token_file)
		r = use_token(client, s->token_file, err);
	else if (r == 0 && is_here(ps_fetch_base(client)) &&
		 snprintf(path, sizeof(path), "%s/api-token", s->state_dir) < (int)sizeof(path))
		(void)use_token(client, path, NULL);
	if (r == 0)
		*ret_client = PS_TAKE(client);
	return r;
}

void ps_api_problem(int status, const char *body, size_t len, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *problem = NULL;
	const char *detail, *title;

	if (ps_json_parse(body, len, &problem, NULL) < 0 || ps_value_kind(problem) != PS_VALUE_MAP) {
		(void)ps_error_set(err, -EPROTO, status, "bad_answer", "",
			"the gateway answered with status %d and no reason; is something else listening there?",
			status);
		return;
	}
	title = ps_value_get_string(problem, "title", "refused");
	detail = ps_value_get_string(problem, "detail", title);
	(void)ps_error_set(err, -EPROTO, status, ps_value_get_string(problem, "code", "refused"),
		ps_value_get_string(problem, "field", ""), "%s", detail);
}

int ps_api_call(struct ps_fetch *client, const char *method, const char *path, const char *body,
	struct ps_fetch_reply *ret_reply, struct ps_error *err)
{
	_cleanup_(ps_fetch_reply_free) struct ps_fetch_reply reply = {0};
	int r = ps_fetch_call(client, method, path, body, &reply, err);

	if (r < 0)
		return r;
	if (reply.status >= 400) {
		const char *text = ps_buf_str(&reply.body);

		ps_api_problem(reply.status, text ? text : "", reply.body.len, err);
		return -EPROTO;
	}
	if (ret_reply) {
		*ret_reply = reply;
		reply = (struct ps_fetch_reply){0};
	}
	return 0;
}

static int parse(struct ps_buf *body, struct ps_value **ret_value, struct ps_error *err)
{
	struct ps_error inner = {0};
	int r = ps_json_parse(ps_buf_str(body) ? ps_buf_str(body) : "", body->len, ret_value, &inner);

	if (r < 0)
		return ps_error_set(
			err, r, 502, "bad_answer", "", "the gateway's answer is not JSON (%s)", inner.message);
	return 0;
}

int ps_api_get(struct ps_fetch *client, const char *path, struct ps_value **ret_value, struct ps_error *err)
{
	_cleanup_(ps_fetch_reply_free) struct ps_fetch_reply reply = {0};
	int r = ps_api_call(client, "GET", path, NULL, &reply, err);

	return r < 0 ? r : parse(&reply.body, ret_value, err);
}

/* The elements of an array without its brackets; NULL: no array. */
static const char *inside(const char *text, size_t len, size_t *ret_len)
{
	while (len > 0 && isspace((unsigned char)*text))
		text++, len--;
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	if (len < 2 || text[0] != '[' || text[len - 1] != ']')
		return NULL;
	text++;
	for (len -= 2; len > 0 && isspace((unsigned char)*text); len--)
		text++;
	*ret_len = len;
	return text;
}

/* One page behind `cursor` ("" = the first); *cursor becomes the next one's, "" at the end. */
static int add_page(struct ps_fetch *client, const char *path, uint64_t limit, char *cursor, size_t cursor_size,
	struct ps_buf *all, uint64_t *total, struct ps_error *err)
{
	_cleanup_(ps_fetch_reply_free) struct ps_fetch_reply reply = {0};
	_cleanup_(ps_buf_free) struct ps_buf query = PS_BUF_INIT;
	const char *elements;
	size_t len;
	int r;

	ps_buf_addf(&query, "%s%climit=%" PRIu64 "%s%s", path, strchr(path, '?') ? '&' : '?', limit,
		*cursor ? "&cursor=" : "", cursor);
	if (!ps_buf_str(&query))
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "out of memory");
	r = ps_api_call(client, "GET", ps_buf_str(&query), NULL, &reply, err);
	if (r < 0)
		return r;
	elements = inside((const char *)reply.body.data, reply.body.len, &len);
	if (!elements)
		return ps_error_set(err, -EPROTO, 502, "bad_answer", "", "the gateway's answer is no list");
	if (len > 0 && all->len > 1)
		ps_buf_addc(all, ',');
	ps_buf_add(all, elements, len);
	*total = PS_MAX(*total, reply.total);
	(void)snprintf(cursor, cursor_size, "%s", reply.next_cursor);
	return 0;
}

int ps_api_list(struct ps_fetch *client, const char *path, uint64_t limit, struct ps_buf *ret_text, uint64_t *ret_total,
	struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf all = {.limit = PS_CLI_REPLY_MAX};
	char cursor[512] = "";
	uint64_t total = 0;

	ps_buf_addc(&all, '[');
	do {
		uint64_t page = PS_MIN(limit, (uint64_t)PS_REQUEST_PAGE_MAX);
		int r = add_page(client, path, page, cursor, sizeof(cursor), &all, &total, err);

		if (r < 0)
			return r;
		limit -= page;
	} while (limit > 0 && *cursor);
	ps_buf_addc(&all, ']');
	if (all.error)
		return ps_error_set(
			err, all.error, 502, "too_large", "limit", "the answer is too large; ask for fewer");
	*ret_text = all;
	all = (struct ps_buf)PS_BUF_INIT;
	*ret_total = total;
	return 0;
}
