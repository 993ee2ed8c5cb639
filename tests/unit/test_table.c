/* Aligned tables: widths, colours, what comes from outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/limits.h"
#include "cli/table.h"
#include "common/base/cleanup.h"

static void check(const struct ps_table *t, bool colour, const char *expected)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	assert_int_equal(ps_table_render(t, colour, &out), 0);
	assert_string_equal(ps_buf_str(&out), expected);
}

static struct ps_table *two_columns(void)
{
	struct ps_table *t = ps_table_new();

	ps_table_column(t, "NAME", false);
	ps_table_column(t, "N", true);
	return t;
}

static void empty(void **state)
{
	_cleanup_(ps_table_free) struct ps_table *t = two_columns();

	(void)state;
	check(t, false, "NAME  N\n");
	assert_int_equal(ps_table_rows(t), 0);
}

static void aligns(void **state)
{
	_cleanup_(ps_table_free) struct ps_table *t = two_columns();

	(void)state;
	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, "a");
	ps_table_cellf(t, PS_STYLE_PLAIN, "%d", 12345);
	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, "longer name");
	ps_table_cell(t, PS_STYLE_PLAIN, "7");
	check(t, false,
		"NAME             N\n"
		"a            12345\n"
		"longer name      7\n");
	assert_int_equal(ps_table_rows(t), 2);
}

static void fits_a_narrow_terminal(void **state)
{
	static const char *const order[] = {"N", "MORE", NULL};
	_cleanup_(ps_table_free) struct ps_table *t = two_columns();

	(void)state;
	ps_table_column(t, "MORE", false);
	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, "abcde");
	ps_table_cell(t, PS_STYLE_PLAIN, "1");
	ps_table_cell(t, PS_STYLE_PLAIN, "xyz");
	assert_int_equal(ps_table_fit(t, 14, order), 0);
	check(t, false, "NAME   N  MORE\nabcde  1  xyz\n");
	assert_int_equal(ps_table_fit(t, 13, order), 1);
	check(t, false, "NAME   MORE\nabcde  xyz\n");
	assert_int_equal(ps_table_fit(t, 3, order), 1); /* what must stay stays */
	check(t, false, "NAME\nabcde\n");
	assert_int_equal(ps_table_fit(NULL, 3, order), 0);
}

static void no_spaces_at_the_end(void **state)
{
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();

	(void)state;
	ps_table_column(t, "A", false);
	ps_table_column(t, "B", false);
	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, "long enough");
	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, "");
	ps_table_cell(t, PS_STYLE_PLAIN, "x");
	check(t, false, "A            B\nlong enough\n             x\n");
}

static void characters_not_bytes(void **state)
{
	_cleanup_(ps_table_free) struct ps_table *t = two_columns();

	(void)state;
	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, "Zürich");
	ps_table_cell(t, PS_STYLE_PLAIN, "1");
	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, "sixchr");
	ps_table_cell(t, PS_STYLE_PLAIN, "2");
	check(t, false, "NAME    N\nZürich  1\nsixchr  2\n");
}

static void colours(void **state)
{
	_cleanup_(ps_table_free) struct ps_table *t = two_columns();

	(void)state;
	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_BAD, "down");
	ps_table_cell(t, PS_STYLE_PLAIN, "1");
	check(t, false, "NAME  N\ndown  1\n");
	check(t, true, "\033[1mNAME\033[0m  \033[1mN\033[0m\n\033[31mdown\033[0m  1\n");
}

/* A comment of a rule must not steer the terminal of whoever lists it. */
static void control_characters(void **state)
{
	_cleanup_(ps_table_free) struct ps_table *t = two_columns();
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, "a\033[2J\nb\x7f\xc2\x9b");
	ps_table_cell(t, PS_STYLE_PLAIN, "1");
	check(t, false, "NAME       N\na?[2J?b??  1\n");

	ps_style_add(&out, PS_STYLE_WARN, false, "x\033]0;title\a\xc2\x9by");
	assert_string_equal(ps_buf_str(&out), "x?]0;title??y");
}

static void long_cells_are_cut_at_a_character(void **state)
{
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	char text[PS_TABLE_CELL_MAX * 2];

	(void)state;
	/* the cell ends within this two-byte character */
	memset(text, 'x', sizeof(text));
	memcpy(text + PS_TABLE_CELL_MAX - 1, "\xc3\xa4", 2);
	text[sizeof(text) - 1] = '\0';
	ps_table_column(t, "A", false);
	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, text);
	assert_int_equal(ps_table_render(t, false, &out), 0);
	assert_int_equal(out.len, 2 + PS_TABLE_CELL_MAX - 1 + 1);
	assert_null(strstr(ps_buf_str(&out), "\xc3"));
}

static void more_or_fewer_cells(void **state)
{
	_cleanup_(ps_table_free) struct ps_table *t = two_columns();

	(void)state;
	ps_table_row(t);
	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, "a");
	ps_table_cell(t, PS_STYLE_PLAIN, "b");
	ps_table_cell(t, PS_STYLE_PLAIN, "c");
	check(t, false, "NAME  N\n\na     b\n");
}

static void many_rows(void **state)
{
	_cleanup_(ps_table_free) struct ps_table *t = two_columns();
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		ps_table_row(t);
		ps_table_cell(t, PS_STYLE_PLAIN, "row");
		ps_table_cellf(t, PS_STYLE_PLAIN, "%d", i);
	}
	assert_int_equal(ps_table_render(t, false, &out), 0);
	assert_int_equal(out.len, 10001 * strlen("NAME  9999\n"));
}

static void no_table(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	ps_table_column(NULL, "A", false);
	ps_table_row(NULL);
	ps_table_cell(NULL, PS_STYLE_PLAIN, "x");
	assert_true(ps_table_render(NULL, false, &out) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),
		cmocka_unit_test(aligns),
		cmocka_unit_test(fits_a_narrow_terminal),
		cmocka_unit_test(no_spaces_at_the_end),
		cmocka_unit_test(characters_not_bytes),
		cmocka_unit_test(colours),
		cmocka_unit_test(control_characters),
		cmocka_unit_test(long_cells_are_cut_at_a_character),
		cmocka_unit_test(more_or_fewer_cells),
		cmocka_unit_test(many_rows),
		cmocka_unit_test(no_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
