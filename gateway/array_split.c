#include "gateway/array_split.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"

enum state {
	BEFORE, /* the array */
	FIRST,  /* an element, or the end of an empty array */
	NEXT,   /* an element, behind a comma */
	INSIDE, /* an element */
	BEHIND, /* an element: a comma, or the end */
	OVER,
};

void ps_array_split_init(struct ps_array_split *s)
{
	*s = (struct ps_array_split){.state = BEFORE};
	ps_buf_addc(&s->out, '[');
	s->whole = s->out.len;
}

void ps_array_split_free(struct ps_array_split *s)
{
	ps_buf_free(&s->out);
	*s = (struct ps_array_split){0};
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int bad(const struct ps_array_split *s, const char *what, struct ps_error *err)
{
	return ps_error_set(err, -EINVAL, 400, "bad_json", "",
		"After element number %zu of the array: %s. Send a JSON array: [{…}, {…}].", s->elements, what);
}

static void begin_element(struct ps_array_split *s)
{
	if (s->n)
		ps_buf_addc(&s->out, ',');
	s->state = INSIDE;
	s->depth = 0;
	s->text = s->escaped = false;
}

static void end_element(struct ps_array_split *s, int state)
{
	s->whole = s->out.len;
	s->n++;
	s->elements++;
	s->state = state;
}

/* Between the elements. */
static int between(struct ps_array_split *s, char c, struct ps_error *err)
{
	if (is_space(c))
		return 0;
	switch (s->state) {
	case BEFORE:
		if (c != '[')
			return ps_error_set(err, -EINVAL, 400, "bad_value", "",
				"The body is no array; send a JSON array: [{…}, {…}].");
		s->state = FIRST;
		return 0;
	case BEHIND:
		if (c != ',' && c != ']')
			return bad(s, "a comma or the closing bracket is missing", err);
		s->state = c == ',' ? NEXT : OVER;
		return 0;
	case OVER:
		return bad(s, "something stands behind its end", err);
	default: /* FIRST, NEXT */
		if (c == ']' && s->state == FIRST) {
			s->state = OVER;
			return 0;
		}
		if (strchr("]},:", c))
			return bad(s, "an element is missing", err);
		begin_element(s);
		return 1;
	}
}

/* One byte of an element. 1 = it was its last. */
static bool inside(struct ps_array_split *s, char c)
{
	if (s->text) {
		if (!s->escaped && c == '"')
			s->text = false;
		s->escaped = !s->escaped && c == '\\';
		return !s->text && !s->depth;
	}
	if (c == '"')
		s->text = true;
	else if (c == '[' || c == '{')
		s->depth++;
	else if (c == ']' || c == '}')
		return --s->depth == 0;
	return false;
}

/* A number or a word ends where what follows it begins. */
static bool ends_word(const struct ps_array_split *s, char c)
{
	return !s->text && !s->depth && (is_space(c) || c == ',' || c == ']' || c == '}');
}

int ps_array_split_feed(
	struct ps_array_split *s, const char *data, size_t len, size_t element_max, struct ps_error *err)
{
	for (size_t i = 0; i < len; i++) {
		if (s->state == INSIDE && ends_word(s, data[i]))
			end_element(s, BEHIND);
		if (s->state != INSIDE) {
			int r = between(s, data[i], err);

			if (r < 0)
				return r;
			if (r == 0)
				continue;
		}
		ps_buf_addc(&s->out, data[i]);
		if (inside(s, data[i]))
			end_element(s, BEHIND);
		else if (s->out.len - s->whole > element_max)
			return ps_error_set(err, -E2BIG, 413, "too_large", "",
				"Element number %zu of the array has more than %zu bytes.", s->elements + 1,
				element_max);
	}
	return s->out.error ? -ENOMEM : 0;
}

int ps_array_split_end(const struct ps_array_split *s, struct ps_error *err)
{
	if (s->state == OVER)
		return 0;
	if (s->state == BEFORE)
		return ps_error_set(err, -EINVAL, 400, "bad_json", "", "The body is empty; send a JSON array.");
	return bad(s, "the array does not end; was the body cut off?", err);
}

int ps_array_split_take(struct ps_array_split *s, struct ps_buf *ret_text)
{
	_cleanup_(ps_buf_free) struct ps_buf rest = PS_BUF_INIT;
	size_t from = s->whole + (s->n > 0 && s->out.len > s->whole); /* without the comma */

	ps_buf_add(ret_text, s->out.data, s->whole);
	ps_buf_addc(ret_text, ']');
	ps_buf_addc(&rest, '[');
	ps_buf_add(&rest, s->out.data + from, s->out.len - from);
	if (s->out.error || ret_text->error || rest.error)
		return -ENOMEM;
	ps_buf_free(&s->out);
	s->out = rest;
	rest = (struct ps_buf)PS_BUF_INIT;
	s->whole = 1;
	s->n = 0;
	return 0;
}
