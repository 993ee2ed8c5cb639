#include "cli/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/limits.h"
#include "common/base/cleanup.h"

struct cell {
	char *text;
	size_t width;
	enum ps_style style;
};

struct ps_table {
	struct {
		const char *title;
		bool right;
		bool hidden;
		size_t width;
	} column[PS_TABLE_COLUMNS_MAX];
	size_t n_columns;
	struct cell *cells; /* n_rows * n_columns */
	size_t n_rows, cap_rows;
	size_t filled; /* cells of the last row */
	bool failed;
};

static const char *const escapes[PS_STYLES] = {
	[PS_STYLE_PLAIN] = "",
	[PS_STYLE_HEAD] = "\033[1m",
	[PS_STYLE_DIM] = "\033[2m",
	[PS_STYLE_GOOD] = "\033[32m",
	[PS_STYLE_WARN] = "\033[33m",
	[PS_STYLE_BAD] = "\033[31m",
};

/* ESC and its kin, and the C1 controls that some terminals obey also when they come as UTF-8 (0xc2 0x80…0x9f). */
static size_t control_length(const char *p)
{
	unsigned char c = (unsigned char)p[0], d = (unsigned char)p[1];

	if (c < 0x20 || c == 0x7f)
		return 1;
	return c == 0xc2 && d >= 0x80 && d < 0xa0 ? 2 : 0;
}

/* Copies at most PS_TABLE_CELL_MAX bytes, whole characters only. */
static char *sanitised(const char *text, size_t *ret_width)
{
	char out[PS_TABLE_CELL_MAX + 1];
	size_t len = 0, width = 0;

	while (*text) {
		size_t control = control_length(text);
		size_t n = 1;

		if (control) {
			out[len++] = '?';
			text += control;
		} else {
			while (((unsigned char)text[n] & 0xc0) == 0x80 && n < 4)
				n++;
			if (len + n > PS_TABLE_CELL_MAX)
				break;
			memcpy(out + len, text, n);
			len += n;
			text += n;
		}
		width++;
		if (len >= PS_TABLE_CELL_MAX)
			break;
	}
	out[len] = '\0';
	*ret_width = width;
	return strdup(out);
}

struct ps_table *ps_table_new(void)
{
	return calloc(1, sizeof(struct ps_table));
}

void ps_table_free(struct ps_table **t)
{
	if (!*t)
		return;
	for (size_t i = 0; i < (*t)->n_rows * (*t)->n_columns; i++)
		free((*t)->cells[i].text);
	free((*t)->cells);
	free(*t);
	*t = NULL;
}

void ps_table_column(struct ps_table *t, const char *title, bool right)
{
	if (!t || t->n_rows > 0 || t->n_columns >= PS_TABLE_COLUMNS_MAX)
		return;
	t->column[t->n_columns].title = title;
	t->column[t->n_columns].right = right;
	t->column[t->n_columns].width = strlen(title);
	t->n_columns++;
}

void ps_table_row(struct ps_table *t)
{
	if (!t || t->failed)
		return;
	if (t->n_rows == t->cap_rows) {
		size_t cap = t->cap_rows ? t->cap_rows * 2 : 16;
		struct cell *cells = reallocarray(t->cells, cap * t->n_columns, sizeof(*cells));

		if (!cells) {
			t->failed = true;
			return;
		}
		t->cells = cells;
		t->cap_rows = cap;
	}
	memset(t->cells + t->n_rows * t->n_columns, 0, t->n_columns * sizeof(*t->cells));
	t->n_rows++;
	t->filled = 0;
}

void ps_table_cell(struct ps_table *t, enum ps_style style, const char *text)
{
	struct cell *cell;

	if (!t || t->failed || t->n_rows == 0 || t->filled >= t->n_columns)
		return;
	cell = &t->cells[(t->n_rows - 1) * t->n_columns + t->filled];
	cell->style = style;
	cell->text = sanitised(text ? text : "", &cell->width);
	if (!cell->text) {
		t->failed = true;
		return;
	}
	if (cell->width > t->column[t->filled].width)
		t->column[t->filled].width = cell->width;
	t->filled++;
}

void ps_table_cellf(struct ps_table *t, enum ps_style style, const char *fmt, ...)
{
	char text[PS_TABLE_CELL_MAX * 2];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ps_table_cell(t, style, text);
}

size_t ps_table_rows(const struct ps_table *t)
{
	return t ? t->n_rows : 0;
}

static size_t line_width(const struct ps_table *t)
{
	size_t width = 0;

	for (size_t i = 0; i < t->n_columns; i++)
		width += t->column[i].hidden ? 0 : t->column[i].width + (width ? 2 : 0);
	return width;
}

size_t ps_table_fit(struct ps_table *t, size_t width, const char *const *order)
{
	size_t hidden = 0;

	for (; t && *order && line_width(t) > width; order++)
		for (size_t i = 0; i < t->n_columns; i++)
			if (!t->column[i].hidden && strcmp(t->column[i].title, *order) == 0) {
				t->column[i].hidden = true;
				hidden++;
			}
	return hidden;
}

static void pad(struct ps_buf *out, size_t n)
{
	while (n-- > 0)
		ps_buf_addc(out, ' ');
}

/* One line; `gap` collects the spaces that are only written when something follows. */
static void render_line(const struct ps_table *t, const struct cell *cells, bool colour, struct ps_buf *out)
{
	size_t gap = 0;

	for (size_t i = 0; i < t->n_columns; i++) {
		if (t->column[i].hidden)
			continue;

		const char *text = cells ? cells[i].text : t->column[i].title;
		size_t width = cells ? cells[i].width : strlen(t->column[i].title);
		size_t fill = t->column[i].width - width;
		const char *escape = colour ? escapes[cells ? cells[i].style : PS_STYLE_HEAD] : "";

		if (width > 0) {
			pad(out, gap + (t->column[i].right ? fill : 0));
			ps_buf_adds(out, escape);
			ps_buf_adds(out, text);
			if (*escape)
				ps_buf_adds(out, "\033[0m");
			gap = t->column[i].right ? 0 : fill;
		} else {
			gap += fill;
		}
		gap += 2;
	}
	ps_buf_addc(out, '\n');
}

int ps_table_render(const struct ps_table *t, bool colour, struct ps_buf *out)
{
	if (!t || t->failed)
		return -ENOMEM;
	render_line(t, NULL, colour, out);
	for (size_t i = 0; i < t->n_rows; i++)
		render_line(t, t->cells + i * t->n_columns, colour, out);
	return out->error;
}

void ps_style_add(struct ps_buf *out, enum ps_style style, bool colour, const char *text)
{
	bool dressed = colour && *escapes[style];

	if (dressed)
		ps_buf_adds(out, escapes[style]);
	while (*text) {
		size_t control = control_length(text);

		ps_buf_addc(out, (char)(control ? '?' : *text));
		text += control ? control : 1;
	}
	if (dressed)
		ps_buf_adds(out, "\033[0m");
}
