/* `packetscope top`: rates and the busiest connections, drawn again every interval. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/columns.h"
#include "cli/screen.h"
#include "cli/summary.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/json.h"

/* What may be sorted by, in the order of the key "s". */
static const char *const sorts[] = {
	"last_seen", "orig_bytes", "resp_bytes", "orig_packets", "first_seen", "rtt_us", NULL};

#define COLUMNS "proto,src,dst,state,orig_bytes,resp_bytes,rtt_us,loss,verdict,duration,last_seen"
static const char *const spare[] = {"DURATION", "VERDICT", "LOSS", "RTT US", "STATE", NULL};

struct top {
	const struct ps_settings *s;
	struct ps_fetch *client;
	struct ps_columns columns;
	struct ps_reading readings[2];
	unsigned turn; /* readings[turn & 1] is the next to be taken */
	const char *sort;
	bool paused, colour;
};

static void add_table(struct top *t, const struct ps_value *records, size_t width, struct ps_buf *out)
{
	_cleanup_(ps_table_free) struct ps_table *table = ps_table_new();

	ps_columns_begin(&t->columns, table);
	for (size_t i = 0; i < ps_value_count(records); i++)
		ps_columns_add(&t->columns, table, ps_value_at(records, i), ps_clock_wall());
	(void)ps_table_fit(table, width, *t->s->fields ? (const char *const[]){NULL} : spare);
	if (ps_table_render(table, t->colour, out) < 0)
		out->error = -ENOMEM;
}

/* One picture. -errno fills err: the gateway does not answer. */
static int look(struct top *t, size_t rows, size_t width, bool json, struct ps_buf *out, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *stats = NULL, *records = NULL;
	_cleanup_(ps_buf_free) struct ps_buf path = PS_BUF_INIT, text = PS_BUF_INIT;
	struct ps_reading *now = &t->readings[t->turn & 1], *before = &t->readings[~t->turn & 1];
	uint64_t total = 0;
	int r = ps_api_get(t->client, "/api/stats", &stats, err);

	ps_buf_addf(&path, "/api/connections?order=desc&sort=%s", t->sort);
	if (r == 0)
		r = ps_api_list(t->client, ps_buf_str(&path) ?: "", rows, &text, &total, err);
	if (r == 0)
		r = ps_json_parse((const char *)text.data, text.len, &records, err);
	if (r < 0)
		return r;
	ps_reading_take(now, stats, records, total, ps_clock_boot());
	t->turn++;
	if (json) {
		ps_summary_json(before, now, ps_clock_wall(), out);
		return 0;
	}
	ps_summary_text(before, now, ps_clock_wall(), t->colour, out);
	ps_buf_addc(out, '\n');
	add_table(t, records, width, out);
	return 0;
}

/* Keys: q ends, s sorts by the next field, p or blank holds the picture. False: end. */
static bool press(struct top *t, int key)
{
	size_t i = 0;

	if (key < 0 || key == 'q' || key == 'Q' || key == 4)
		return false;
	if (key == 'p' || key == ' ')
		t->paused = !t->paused;
	if (key == 's') {
		while (sorts[i] && strcmp(sorts[i], t->sort) != 0)
			i++;
		t->sort = sorts[i] && sorts[i + 1] ? sorts[i + 1] : sorts[0];
	}
	return true;
}

static int on_screen(struct top *t, struct ps_screen *screen)
{
	for (int key = 0; press(t, key);) {
		_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
		struct ps_error err = {0};
		unsigned lines, columns;

		ps_screen_size(screen, &lines, &columns);
		if (!t->paused) {
			if (look(t, lines, columns, false, &out, &err) < 0) {
				ps_buf_reset(&out);
				ps_style_add(&out, PS_STYLE_BAD, t->colour, err.message);
				ps_buf_addc(&out, '\n');
			}
			ps_buf_addf(&out, "\n");
			ps_screen_draw(screen, &out);
		}
		key = ps_screen_key(screen, t->s->interval);
	}
	return PS_EXIT_OK;
}

/* Without a terminal: one picture after the other, --count of them. */
static int on_paper(struct top *t)
{
	uint64_t n = t->s->count ? t->s->count : 1;

	for (uint64_t i = 0; i < n; i++) {
		_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
		struct ps_error err = {0};
		int code;

		if (i > 0)
			(void)usleep((useconds_t)(t->s->interval / 1000));
		if (look(t, t->s->limit, ps_cli_width(), t->s->json, &out, &err) < 0)
			return ps_cli_fail(&err);
		code = ps_cli_print(&out, PS_EXIT_OK);
		if (code != PS_EXIT_OK)
			return code;
	}
	return PS_EXIT_OK;
}

int ps_verb_top(const struct ps_settings *s, int n, char **operands)
{
	_cleanup_(ps_fetch_free) struct ps_fetch *client = NULL;
	_cleanup_(ps_screen_free) struct ps_screen *screen = NULL;
	struct top t = {.s = s, .sort = *s->sort ? s->sort : sorts[0], .colour = ps_cli_colour()};
	struct ps_error err = {0};

	(void)operands;
	if (n > 0)
		return ps_cli_usage("top", "takes no operands");
	if (ps_columns_choose(&ps_schemas[PS_RECORD_CONN], *s->fields ? s->fields : COLUMNS, &t.columns, &err) < 0 ||
		ps_api_open(s, &client, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	t.client = client;
	if (s->json || s->count || ps_screen_new(&screen) < 0)
		return on_paper(&t);
	return on_screen(&t, screen);
}
