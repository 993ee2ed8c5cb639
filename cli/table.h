/*
 * Aligned tables for people. Pure: rows in, text out.
 *
 * Cells come from outside (comments of rules, interface names), so control characters become '?': nothing that was
 * sent over the network can steer a terminal. Widths count characters, not bytes of UTF-8.
 */
#ifndef PS_TABLE_H
#define PS_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

enum ps_style {
	PS_STYLE_PLAIN,
	PS_STYLE_HEAD,
	PS_STYLE_DIM,
	PS_STYLE_GOOD,
	PS_STYLE_WARN,
	PS_STYLE_BAD,
	PS_STYLES,
};

struct ps_table;

/* Columns are added before the first row; at most PS_TABLE_COLUMNS_MAX. A NULL table, here and below, is one that
 * could not be made: calls do nothing and rendering says -ENOMEM. */
struct ps_table *ps_table_new(void);
void ps_table_free(struct ps_table **t);
void ps_table_column(struct ps_table *t, const char *title, bool right);

/* Starts a row; then one cell for each column, from the left. Missing cells are empty, further ones are ignored. */
void ps_table_row(struct ps_table *t);
void ps_table_cell(struct ps_table *t, enum ps_style style, const char *text);
void ps_table_cellf(struct ps_table *t, enum ps_style style, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
size_t ps_table_rows(const struct ps_table *t);

/*
 * Leaves columns out until a line takes at most `width` characters: those with the titles of `order` (ends with NULL),
 * the first first. Returns how many are left out; the table may still be too wide.
 */
size_t ps_table_fit(struct ps_table *t, size_t width, const char *const *order);

/* Appends the table: a line of titles, then the rows, two spaces between columns, none at the end of a line. -ENOMEM.
 */
int ps_table_render(const struct ps_table *t, bool colour, struct ps_buf *out);

/* Appends text in a style (plain without colour), control characters replaced. */
void ps_style_add(struct ps_buf *out, enum ps_style style, bool colour, const char *text);

#endif
