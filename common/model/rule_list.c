/* See rule_list.h. */
#include "common/model/rule_list.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/limits.h"
#include "common/model/utf8.h"

/* Networks under way; ranges make some more than there are lines. */
struct nets {
	struct ps_net *net;
	size_t n, room;
};

/* A piece of a line. */
struct piece {
	const char *s;
	size_t n;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static struct piece trimmed(const char *s, size_t n)
{
	while (n && is_blank(*s))
		s++, n--;
	while (n && is_blank(s[n - 1]))
		n--;
	return (struct piece){s, n};
}

/* --- Errors ---------------------------------------------------------------------------------- */

static int bad_line(struct ps_error *err, size_t line, struct piece p, const char *remedy)
{
	size_t cut = ps_utf8_valid(p.s, p.n) ? ps_utf8_cut(p.s, p.n, 48) : 0;
	char field[32];

	(void)snprintf(field, sizeof(field), "line %zu", line);
	return ps_error_set(err, -EINVAL, 400, "bad_line", field, "line %zu is \"%.*s%s\"; %s", line, (int)cut, p.s,
		cut < p.n ? "\xe2\x80\xa6" : "", remedy);
}

static int too_many(struct ps_error *err, size_t n)
{
	return ps_error_set(err, -E2BIG, 400, "too_many", "",
		"%zu rules would come of this list; %u is the most: shorten it", n, PS_RULES_MAX);
}

static int no_memory(struct ps_error *err)
{
	return ps_error_set(err, -ENOMEM, 507, "no_memory", "", "no memory for a list of rules");
}

/* --- Reading --------------------------------------------------------------------------------- */

static int push(struct nets *nets, const struct ps_net *net)
{
	if (nets->n == nets->room) {
		size_t room = nets->room ? nets->room * 2 : 256;
		struct ps_net *more = realloc(nets->net, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		nets->net = more;
		nets->room = room;
	}
	nets->net[nets->n++] = *net;
	return 0;
}

/* Number of zero bits at the end, and whether setting them all stays at or below `last`. */
static unsigned trailing_zeros(const struct ps_addr *a)
{
	unsigned bits = ps_net_bits(a->family);

	for (unsigned i = bits; i > 0; i -= 32) {
		uint32_t w = ntohl(a->word[i / 32 - 1]);

		if (w)
			return bits - i + (unsigned)__builtin_ctz(w);
	}
	return bits;
}

/* The highest address of the network. */
static struct ps_addr last_of(const struct ps_net *n)
{
	struct ps_addr a = n->addr;

	for (unsigned i = 0; i < ps_net_bits(a.family) / 32u; i++) {
		unsigned before = i * 32;
		uint32_t host = n->len >= before + 32 ? 0
				: n->len <= before    ? UINT32_MAX
						      : UINT32_MAX >> (n->len - before);

		a.word[i] |= htonl(host);
	}
	return a;
}

/* One more; false when there is none. */
static bool next_addr(struct ps_addr *a)
{
	for (unsigned i = ps_net_bits(a->family) / 32u; i-- > 0;) {
		uint32_t w = ntohl(a->word[i]) + 1;

		a->word[i] = htonl(w);
		if (w)
			return true;
	}
	return false;
}

/* The fewest networks that make up first…last: each as large as its start and the rest allow. */
static int push_range(struct nets *nets, struct ps_addr first, const struct ps_addr *last)
{
	unsigned bits = ps_net_bits(first.family);

	for (;;) {
		struct ps_net n = {.addr = first, .len = (uint8_t)(bits - trailing_zeros(&first))};
		struct ps_addr end = last_of(&n);

		while (ps_addr_compare(&end, last) > 0) {
			n.len++;
			end = last_of(&n);
		}
		if (push(nets, &n))
			return -ENOMEM;
		if (ps_addr_equal(&end, last) || !next_addr(&end))
			return 0;
		first = end;
	}
}

static const char remedy_plain[] = "one address, network or range a line: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32 or "
				   "192.0.2.1-192.0.2.9; comments begin with #";

static int read_range(struct nets *nets, size_t line, struct piece p, const char *dash, struct ps_error *err)
{
	struct piece lo = trimmed(p.s, (size_t)(dash - p.s)), hi = trimmed(dash + 1, p.n - (size_t)(dash + 1 - p.s));
	struct ps_addr first, last;

	if (ps_addr_parse(lo.s, lo.n, &first) || ps_addr_parse(hi.s, hi.n, &last))
		return bad_line(err, line, p, remedy_plain);
	if (first.family != last.family)
		return bad_line(err, line, p, "a range has both ends in the same family");
	if (ps_addr_compare(&first, &last) > 0)
		return bad_line(err, line, p, "a range begins with its lower end: swap the two");
	if (!trailing_zeros(&last) && trailing_zeros(&first) == ps_net_bits(first.family)) {
		struct ps_net all = {.addr = first};
		struct ps_addr end = last_of(&all);

		if (ps_addr_equal(&end, &last))
			return bad_line(err, line, p, "that is every address; leave it out");
	}
	return push_range(nets, first, &last) ? no_memory(err) : 0;
}

static bool is_mapped(const struct ps_net *n)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return n->addr.family == 6 && n->len >= 96 && !memcmp(n->addr.word, mapped, sizeof(mapped));
}

static int read_net(struct nets *nets, size_t line, struct piece p, struct ps_error *err)
{
	char remedy[96], text[PS_NET_TEXT];
	struct ps_net n;
	int r = ps_net_parse(p.s, p.n, &n);

	if (r == -ERANGE)
		return bad_line(err, line, p, "an IPv4 prefix has 0 to 32 bits, an IPv6 prefix 0 to 128");
	if (r)
		return bad_line(err, line, p, remedy_plain);
	if (!n.len)
		return bad_line(err, line, p, "that is every address; leave it out");
	if (is_mapped(&n))
		return bad_line(err, line, p, "no packet carries an IPv4 address in IPv6 clothes; write it as IPv4");
	if (!ps_net_is_masked(&n)) {
		ps_net_mask(&n);
		(void)snprintf(remedy, sizeof(remedy), "it has bits beyond its prefix: write %s, or the address alone",
			ps_net_format(&n, text));
		return bad_line(err, line, p, remedy);
	}
	return push(nets, &n) ? no_memory(err) : 0;
}

static int read_line(struct nets *nets, size_t line, const char *s, size_t n, struct ps_error *err)
{
	const char *hash = memchr(s, '#', n), *semicolon = memchr(s, ';', hash ? (size_t)(hash - s) : n);
	const char *end = semicolon ? semicolon : hash, *dash;
	struct piece p = trimmed(s, end ? (size_t)(end - s) : n);

	if (!p.n)
		return 0;
	dash = memchr(p.s, '-', p.n);
	return dash ? read_range(nets, line, p, dash, err) : read_net(nets, line, p, err);
}

static int compare_nets(const void *a, const void *b)
{
	return ps_net_compare(a, b);
}

static size_t without_duplicates(struct ps_net *net, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(net, n, sizeof(*net), compare_nets);
	for (size_t i = 0; i < n; i++)
		if (!kept || !ps_net_equal(&net[kept - 1], &net[i]))
			net[kept++] = net[i];
	return kept;
}

static void nets_free(struct nets *nets)
{
	free(nets->net);
	nets->net = NULL;
}

int ps_rule_list_parse(const char *text, size_t len, struct ps_rule_list *ret_list, struct ps_error *err)
{
	static const char bom[] = "\xef\xbb\xbf";
	_cleanup_(nets_free) struct nets nets = {0};
	const char *end = text + len;
	size_t line = 0, n;

	if (len >= 3 && !memcmp(text, bom, 3))
		text += 3;
	while (text < end) {
		const char *lf = memchr(text, '\n', (size_t)(end - text));
		size_t length = (size_t)((lf ? lf : end) - text);
		int r = read_line(&nets, ++line, text, length, err);

		if (r)
			return r;
		/* what is there twice does not count, but what is read has an end too */
		if (nets.n > 4ull * PS_RULES_MAX)
			return too_many(err, nets.n);
		text += length + (lf ? 1 : 0);
	}
	n = without_duplicates(nets.net, nets.n);
	if (n > PS_RULES_MAX)
		return too_many(err, n);
	*ret_list = (struct ps_rule_list){.net = PS_TAKE(nets.net), .n = n, .duplicates = nets.n - n};
	return 0;
}

void ps_rule_list_clear(struct ps_rule_list *list)
{
	free(list->net);
	*list = (struct ps_rule_list){0};
}

bool ps_rule_list_is_text(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && (is_blank(text[i]) || text[i] == '\n'))
		i++;
	return i == len || (text[i] != '[' && text[i] != '{');
}

/* --- To rules and back ----------------------------------------------------------------------- */

int ps_rule_list_rules(
	const struct ps_rule_list *list, const struct ps_rule *like, struct ps_rules *ret_rules, struct ps_error *err)
{
	static const uint8_t directions[] = {PS_DIR_INGRESS, PS_DIR_EGRESS};
	_cleanup_(ps_rules_clear) struct ps_rules rules = {0};
	size_t each = like->direction == (PS_DIR_INGRESS | PS_DIR_EGRESS) ? 2 : 1, k = 0;

	if (list->n * each > PS_RULES_MAX)
		return too_many(err, list->n * each);
	if (ps_rules_alloc(list->n * each, &rules))
		return no_memory(err);
	for (size_t i = 0; i < list->n; i++) {
		for (size_t d = 0; d < PS_ARRAY_SIZE(directions); d++) {
			struct ps_rule *r = &rules.rule[k];

			if (!(like->direction & directions[d]))
				continue;
			if (ps_rule_copy(like, r))
				return no_memory(err);
			k++;
			r->id = -1;
			r->direction = directions[d];
			*(directions[d] == PS_DIR_INGRESS ? &r->src_ip : &r->dst_ip) = list->net[i];
		}
	}
	*ret_rules = rules;
	rules = (struct ps_rules){0};
	return 0;
}

const struct ps_net *ps_rule_list_net(const struct ps_rule *r, uint64_t now)
{
	const struct ps_net *in = &r->src_ip, *out = &r->dst_ip;

	if (!r->enabled || r->action != PS_RULE_ACTION_DROP || r->mode != PS_MODE_ENFORCE || r->rate_limit ||
		ps_rule_expired(r, now) || r->protocol != PS_RULE_ANY || r->src_port.n || r->dst_port.n)
		return NULL;
	if (r->direction == PS_DIR_INGRESS && in->len && !out->addr.family)
		return in;
	return r->direction == PS_DIR_EGRESS && out->len && !in->addr.family ? out : NULL;
}

size_t ps_rule_list_write(const struct ps_rule *rules, size_t n, uint64_t now, struct ps_buf *out)
{
	_cleanup_(nets_free) struct nets nets = {0};

	for (size_t i = 0; i < n; i++) {
		const struct ps_net *net = ps_rule_list_net(&rules[i], now);

		if (net && push(&nets, net)) {
			out->error = -ENOMEM;
			return 0;
		}
	}
	nets.n = without_duplicates(nets.net, nets.n);
	ps_buf_addf(out, "# Packet Scope: %zu networks that are dropped, of %zu rules\n", nets.n, n);
	for (size_t i = 0; i < nets.n; i++) {
		char text[PS_NET_TEXT];

		ps_buf_adds(out, ps_net_format(&nets.net[i], text));
		ps_buf_addc(out, '\n');
	}
	return nets.n;
}
