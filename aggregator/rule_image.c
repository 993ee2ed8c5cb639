#include "aggregator/rule_image.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "aggregator/limits.h"
#include "bpf/rule_match.h"
#include "common/base/cleanup.h"

/* --- Memory ------------------------------------------------------------------------------------ */

#define HUGE_PAGE ((size_t)2 << 20)

static size_t up_to(size_t size, size_t step)
{
	return (size + step - 1) / step * step;
}

/*
 * Head and chunks side by side. Units go all over them, so that each page would be fetched by a fault of its own and
 * found by a look-up of its own: large pages, for whoever has rules. Without rules nothing of it is touched.
 */
static int take_memory(struct ps_rule_image *image, bool large)
{
	size_t head = up_to(sizeof(*image->head), PS_IMAGE_PAGE),
	       chunk = up_to(sizeof(*image->chunk[0]), PS_IMAGE_PAGE);
	size_t size = head + image->chunks * chunk, room = large ? up_to(size, HUGE_PAGE) + HUGE_PAGE : size;
	char *at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -ENOMEM;
	image->memory = at;
	image->memory_size = room;
	if (large) {
		at += up_to((uintptr_t)at, HUGE_PAGE) - (uintptr_t)at;
		(void)madvise(
			at, up_to(size, HUGE_PAGE), MADV_HUGEPAGE); /* a hint: a kernel without them has small ones */
	}
	image->head = (struct ps_rule_head *)at;
	for (uint32_t c = 0; c < image->chunks; c++)
		image->chunk[c] = (struct ps_rule_chunk *)(at + head + c * chunk);
	return 0;
}

static void touch_head(struct ps_rule_image *image, const void *at, size_t size)
{
	size_t from = (size_t)((const char *)at - (const char *)image->head) / PS_IMAGE_PAGE;
	size_t to = (size_t)((const char *)at + size - 1 - (const char *)image->head) / PS_IMAGE_PAGE;

	for (; from <= to; from++)
		image->head_step[from] = image->step;
}

int ps_rule_image_new(uint32_t units, struct ps_rule_image **ret_image)
{
	_cleanup_(ps_rule_image_free) struct ps_rule_image *image = calloc(1, sizeof(*image));

	if (!image)
		return -ENOMEM;
	image->chunks = PS_MIN(PS_MAX((units + PS_UNIT_CHUNK - 1) / PS_UNIT_CHUNK, 1u), PS_UNIT_CHUNKS);
	if (take_memory(image, units >= PS_IMAGE_LARGE) < 0)
		return -ENOMEM;
	image->step = 1;
	image->head->chunks = image->chunks;
	touch_head(image, image->head, 1);
	*ret_image = PS_TAKE(image);
	return 0;
}

void ps_rule_image_free(struct ps_rule_image **p)
{
	struct ps_rule_image *image = *p;

	if (!image)
		return;
	if (image->memory)
		(void)munmap(image->memory, image->memory_size);
	free(image->terms);
	free(image);
	*p = NULL;
}

/* What is touched here never crosses a page: the structs are 64 bytes, aligned. */
static void touch_chunk(struct ps_rule_image *image, uint32_t chunk, const void *at)
{
	size_t offset = (size_t)((const char *)at - (const char *)image->chunk[chunk]);

	image->chunk_step[chunk][offset / PS_IMAGE_PAGE] = image->step;
}

struct ps_rule_unit *ps_rule_image_unit(const struct ps_rule_image *image, uint32_t i)
{
	return &image->chunk[i / PS_UNIT_CHUNK]->unit[i % PS_UNIT_CHUNK];
}

static void touch_unit(struct ps_rule_image *image, uint32_t i)
{
	touch_chunk(image, i / PS_UNIT_CHUNK, ps_rule_image_unit(image, i));
}

/* --- Rows -------------------------------------------------------------------------------------- */

int ps_rule_image_reserve_row(struct ps_rule_image *image, uint32_t id)
{
	if (id >= image->n_terms) {
		uint32_t n = PS_MAX(image->n_terms, 256u);
		struct ps_rule_term *terms;

		while (n <= id)
			n *= 2;
		terms = realloc(image->terms, n * sizeof(*terms));
		if (!terms)
			return -ENOMEM;
		memset(terms + image->n_terms, 0, (n - image->n_terms) * sizeof(*terms));
		image->terms = terms;
		image->n_terms = n;
	}
	image->rows = PS_MAX(image->rows, id + 1);
	return 0;
}

void ps_rule_image_set_term(struct ps_rule_image *image, uint32_t id, struct ps_rule_term term)
{
	struct ps_rule_term *at = &image->terms[id];

	image->with_terms -= at->until || at->rate_ns;
	*at = term;
	image->with_terms += term.until || term.rate_ns;
}

/* --- Tuples ------------------------------------------------------------------------------------ */

unsigned ps_rule_image_add_tuple(struct ps_rule_image *image, const struct ps_rule_shape *shape)
{
	struct ps_rule_head *head = image->head;
	unsigned t = head->tuples++;

	image->shape[t] = *shape;
	ps_rule_shape_tuple(shape, &head->tuple[t]);
	head->tuple[t].best_rank = UINT64_MAX;
	touch_head(image, head, 1);
	touch_head(image, &head->tuple[t], sizeof(head->tuple[t]));
	return t;
}

int ps_rule_image_find_tuple(const struct ps_rule_image *image, const struct ps_rule_shape *shape)
{
	unsigned best_loss = UINT32_MAX;
	int best = -1;

	for (uint32_t t = 0; t < image->head->tuples; t++) {
		unsigned loss;

		if (!ps_rule_shape_fits(shape, &image->shape[t]))
			continue;
		loss = ps_rule_shape_loss(shape, &image->shape[t]);
		if (loss < best_loss) {
			best_loss = loss;
			best = (int)t;
		}
	}
	return best;
}

/* --- Indexes ------------------------------------------------------------------------------------ */

/* Bits of `everywhere`. */
enum {
	EVERY_SPORT,
	EVERY_DPORT,
	EVERY_PROTO,
	EVERY_SRC, /* and the two levels behind it */
	EVERY_DST = EVERY_SRC + 3,
};

static void mark(struct ps_rule_image *image, __u64 *row, unsigned t)
{
	if (*row >> t & 1)
		return;
	*row |= 1ull << t;
	touch_head(image, row, sizeof(*row));
}

static void mark_all(struct ps_rule_image *image, __u64 *rows, size_t n, unsigned t, unsigned which)
{
	if (image->everywhere[t] >> which & 1)
		return;
	image->everywhere[t] |= 1ull << which;
	if (image->bulk) {
		image->late[which] |= 1ull << t;
		return;
	}
	for (size_t i = 0; i < n; i++)
		rows[i] |= 1ull << t;
	touch_head(image, rows, n * sizeof(*rows));
}

static void mark_ports(
	struct ps_rule_image *image, __u64 rows[PS_INDEX_PORTS], const __u16 range[2], unsigned t, unsigned which)
{
	if (range[0] == 0 && range[1] == UINT16_MAX) {
		mark_all(image, rows, PS_INDEX_PORTS, t, which);
		return;
	}
	for (unsigned i = range[0] / 16u; i <= range[1] / 16u; i++)
		mark(image, &rows[i], t);
}

/* A shorter prefix than the level looks at is written to all of its rows while they are this few (bits). */
#define SPREAD_BITS 6

static void mark_level(struct ps_rule_image *image, __u64 *rows, unsigned bits, __u32 (*row_of)(__u64, __u8),
	const struct ps_rule_unit *u, __u64 high, unsigned len, unsigned level_len, unsigned t, unsigned which)
{
	unsigned more = level_len > len ? level_len - len : 0;

	if (u->family == PS_FAMILY_NONE || more > SPREAD_BITS) {
		mark_all(image, rows, (size_t)1 << bits, t, which);
		return;
	}
	for (__u64 i = 0; i < 1ull << more; i++)
		mark(image, &rows[row_of(high | i << (64 - level_len), u->family)], t);
}

static __u32 row_coarse(__u64 high, __u8 family)
{
	return ps_index_coarse(high, family);
}

static __u32 row_middle(__u64 high, __u8 family)
{
	return ps_index_middle(high, family);
}

static __u32 row_fine(__u64 high, __u8 family)
{
	return ps_index_fine(high, family);
}

static void mark_addr(struct ps_rule_image *image, struct ps_rule_index *index, const struct ps_rule_unit *u,
	__u64 high, unsigned len, unsigned t, unsigned which)
{
	unsigned unit = u->family == PS_FAMILY_IPV6 ? 16 : 8, first = u->family == PS_FAMILY_IPV6 ? 32 : 8;

	mark_level(image, index->coarse, PS_INDEX_COARSE_BITS, row_coarse, u, high, len, first, t, which);
	mark_level(image, index->middle, PS_INDEX_MIDDLE_BITS, row_middle, u, high, len, first + unit, t, which + 1);
	mark_level(image, index->fine, PS_INDEX_FINE_BITS, row_fine, u, high, len, first + 2 * unit, t, which + 2);
}

void ps_rule_image_begin(struct ps_rule_image *image)
{
	image->bulk = true;
}

static void write_late(struct ps_rule_image *image, __u64 *rows, size_t n, unsigned which)
{
	uint64_t late = image->late[which];

	image->late[which] = 0;
	if (!late)
		return;
	for (size_t i = 0; i < n; i++)
		rows[i] |= late;
	touch_head(image, rows, n * sizeof(*rows));
}

static void write_late_addr(struct ps_rule_image *image, struct ps_rule_index *index, unsigned which)
{
	write_late(image, index->coarse, PS_ARRAY_SIZE(index->coarse), which);
	write_late(image, index->middle, PS_ARRAY_SIZE(index->middle), which + 1);
	write_late(image, index->fine, PS_ARRAY_SIZE(index->fine), which + 2);
}

void ps_rule_image_finish(struct ps_rule_image *image)
{
	struct ps_rule_head *head = image->head;

	_Static_assert(EVERY_DST + 3 == PS_IMAGE_INDEXES, "one for each");
	image->bulk = false;
	write_late(image, head->sport, PS_INDEX_PORTS, EVERY_SPORT);
	write_late(image, head->dport, PS_INDEX_PORTS, EVERY_DPORT);
	write_late(image, head->proto, PS_ARRAY_SIZE(head->proto), EVERY_PROTO);
	write_late_addr(image, &head->src, EVERY_SRC);
	write_late_addr(image, &head->dst, EVERY_DST);
}

static void mark_proto(struct ps_rule_image *image, const struct ps_rule_unit *u, unsigned t)
{
	struct ps_rule_head *head = image->head;

	if (u->flags & PS_UNIT_PROTO) {
		mark(image, &head->proto[u->proto], t);
	} else if (u->flags & PS_UNIT_PORTS) {
		mark(image, &head->proto[IPPROTO_TCP], t);
		mark(image, &head->proto[IPPROTO_UDP], t);
	} else {
		mark_all(image, head->proto, PS_ARRAY_SIZE(head->proto), t, EVERY_PROTO);
	}
}

static void index_unit(struct ps_rule_image *image, const struct ps_rule_unit *u, unsigned t, __u64 hash)
{
	struct ps_rule_head *head = image->head;
	__u64 *bloom = &head->bloom[ps_bloom_word(hash)], bits = ps_bloom_bits(hash);

	for (unsigned f = 0; f < 3; f++)
		if (u->family == PS_FAMILY_NONE || f == (u->family == PS_FAMILY_IPV6 ? 2 : 1))
			mark(image, &head->family[f], t);
	for (unsigned d = 1; d < 4; d++)
		if (u->direction & d)
			mark(image, &head->direction[d], t);
	if (u->flags & PS_UNIT_QUOTED)
		mark(image, &head->quoted, t);
	mark_proto(image, u, t);
	mark_ports(image, head->sport, u->sport, t, EVERY_SPORT);
	mark_ports(image, head->dport, u->dport, t, EVERY_DPORT);
	mark_addr(image, &head->src, u, u->saddr[0], u->slen, t, EVERY_SRC);
	mark_addr(image, &head->dst, u, u->daddr[0], u->dlen, t, EVERY_DST);
	if ((*bloom & bits) != bits) {
		*bloom |= bits;
		touch_head(image, bloom, sizeof(*bloom));
	}
}

/* Which segments, by their flags, a rule that tests them could hit: those can't be answered from a cached verdict. */
static void count_flags(struct ps_rule_image *image, const struct ps_rule_unit *u, int by)
{
	struct ps_rule_head *head = image->head;
	unsigned others = ~u->tcp_mask & 0xffu, some = 0;

	if (!u->tcp_mask || u->tcp_flags & others)
		return;
	do { /* every combination of the flags that it does not test */
		unsigned f = u->tcp_flags | some;

		image->with_flags[f] += (uint32_t)by;
		if (image->with_flags[f])
			head->tcp_flags_hit[f / 64] |= 1ull << f % 64;
		else
			head->tcp_flags_hit[f / 64] &= ~(1ull << f % 64);
		some = (some - others) & others;
	} while (some);
}

/* --- Places ------------------------------------------------------------------------------------- */

static struct ps_rule_query query_of(const struct ps_rule_unit *u)
{
	return (struct ps_rule_query){
		.saddr = {u->saddr[0], u->saddr[1]},
		.daddr = {u->daddr[0], u->daddr[1]},
		.word = ps_rule_word(u->sport[0], u->dport[0], u->proto, u->family),
	};
}

static __u64 hash_of(const struct ps_rule_image *image, const struct ps_rule_unit_pair *pair, unsigned t)
{
	struct ps_rule_query q = query_of(&pair->unit), inner = query_of(&pair->quoted);

	return ps_rule_hash(&q, &inner, &image->head->tuple[t], t);
}

struct place {
	struct ps_rule_bucket *bucket;
	uint32_t chunk;
	unsigned i;
};

/* The place of that hash. free_too: or the first that is free. */
static bool find_place(const struct ps_rule_image *image, __u64 hash, bool free_too, struct place *ret)
{
	__u32 buckets = image->chunks * PS_CHUNK_BUCKETS, b = ps_rule_bucket_of(hash, buckets);
	struct place found = {0};

	for (int probe = 0; probe < PS_RULE_PROBES; probe++) {
		struct ps_rule_bucket *k = &image->chunk[b / PS_CHUNK_BUCKETS]->bucket[b % PS_CHUNK_BUCKETS];

		for (unsigned i = 0; i < PS_ARRAY_SIZE(k->first); i++) {
			bool is_free = k->first[i] == 0 || k->first[i] == PS_BUCKET_DEAD;

			if (!is_free && k->print[i] == (__u32)hash) {
				*ret = (struct place){k, b / PS_CHUNK_BUCKETS, i};
				return true;
			}
			if (is_free && !found.bucket)
				found = (struct place){k, b / PS_CHUNK_BUCKETS, i};
		}
		if (!k->first[PS_ARRAY_SIZE(k->first) - 1])
			break;
		b = b + 1 < buckets ? b + 1 : 0;
	}
	*ret = found;
	return free_too && found.bucket;
}

/* --- Units -------------------------------------------------------------------------------------- */

/* A free unit, or an even one whose next is free too. 1 + its index, 0 = there is none. */
static uint32_t take_unit(struct ps_rule_image *image, bool pair)
{
	uint32_t *list = pair ? &image->free_pair : &image->free_single;
	uint32_t at = *list, room = image->chunks * PS_UNIT_CHUNK;

	if (at) {
		*list = ps_rule_image_unit(image, at - 1)->next;
		return at;
	}
	if (pair && image->used % 2 && image->used < room) {
		ps_rule_image_unit(image, image->used)->next = image->free_single;
		image->free_single = ++image->used;
	}
	if (image->used + (pair ? 2 : 1) > room)
		return 0;
	at = image->used + 1;
	image->used += pair ? 2 : 1;
	return at;
}

static void give_unit(struct ps_rule_image *image, uint32_t at, bool pair)
{
	uint32_t *list = pair ? &image->free_pair : &image->free_single;

	ps_rule_image_unit(image, at - 1)->next = *list;
	*list = at;
}

static bool same_unit(const struct ps_rule_unit *a, const struct ps_rule_unit *b)
{
	_Static_assert(offsetof(struct ps_rule_unit, next) == sizeof(*a) - sizeof(a->next), "next is last");
	return memcmp(a, b, offsetof(struct ps_rule_unit, next)) == 0;
}

/* Where in a chain the link to a unit of that rank would be: after those that are not behind it. -EMLINK: too long. */
static int chain_position(struct ps_rule_image *image, __u32 first, __u64 rank, uint32_t *ret_before)
{
	uint32_t n = 0;

	*ret_before = 0;
	for (__u32 at = first; at; n++) {
		const struct ps_rule_unit *u = ps_rule_image_unit(image, at - 1);

		if (u->rank <= rank)
			*ret_before = at;
		at = u->next;
	}
	return n < PS_RULE_CHAIN ? 0 : -EMLINK;
}

int ps_rule_image_insert(struct ps_rule_image *image, const struct ps_rule_unit_pair *pair, unsigned t)
{
	struct ps_rule_tuple *tuple = &image->head->tuple[t];
	bool quoted = pair->unit.flags & PS_UNIT_QUOTED;
	__u64 hash = hash_of(image, pair, t);
	uint32_t before = 0, at, id = (uint32_t)(pair->unit.rank & PS_RANK_ID);
	struct ps_rule_unit *u;
	struct place place;
	__u32 *link;
	bool is_new;

	if (!find_place(image, hash, true, &place))
		return -ENOSPC;
	link = &place.bucket->first[place.i];
	is_new = *link == 0 || *link == PS_BUCKET_DEAD;
	if (!is_new && chain_position(image, *link, pair->unit.rank, &before) < 0)
		return -EMLINK;
	at = take_unit(image, quoted);
	if (!at)
		return -ENOSPC;
	u = ps_rule_image_unit(image, at - 1);
	*u = pair->unit;
	if (quoted)
		u[1] = pair->quoted;
	touch_unit(image, at - 1);
	if (before) {
		link = &ps_rule_image_unit(image, before - 1)->next;
		touch_unit(image, before - 1);
	}
	u->next = is_new ? 0 : *link;
	*link = at;
	place.bucket->print[place.i] = (__u32)hash;
	touch_chunk(image, place.chunk, place.bucket);
	index_unit(image, u, t, hash);
	count_flags(image, u, 1);
	tuple->units++;
	tuple->best_rank = PS_MIN(tuple->best_rank, u->rank);
	touch_head(image, tuple, sizeof(*tuple));
	image->head->units++;
	image->head->digest += ps_rule_image_digest(pair, image->terms[id]);
	touch_head(image, image->head, 1);
	return 0;
}

bool ps_rule_image_remove(struct ps_rule_image *image, const struct ps_rule_unit_pair *pair, unsigned t)
{
	struct ps_rule_tuple *tuple = &image->head->tuple[t];
	bool quoted = pair->unit.flags & PS_UNIT_QUOTED;
	uint32_t at, before = 0, id = (uint32_t)(pair->unit.rank & PS_RANK_ID);
	struct ps_rule_unit *u = NULL;
	struct place place;
	__u32 *link;

	if (!find_place(image, hash_of(image, pair, t), false, &place))
		return false;
	link = &place.bucket->first[place.i];
	for (at = *link; at; at = u->next) {
		u = ps_rule_image_unit(image, at - 1);
		if (same_unit(u, &pair->unit) && (!quoted || same_unit(&u[1], &pair->quoted)))
			break;
		before = at;
	}
	if (!at)
		return false;
	if (before) {
		ps_rule_image_unit(image, before - 1)->next = u->next;
		touch_unit(image, before - 1);
	} else {
		*link = u->next ? u->next : PS_BUCKET_DEAD;
		touch_chunk(image, place.chunk, place.bucket);
	}
	count_flags(image, u, -1);
	give_unit(image, at, quoted);
	tuple->units--;
	touch_head(image, tuple, sizeof(*tuple));
	image->stale++;
	image->head->units--;
	image->head->digest -= ps_rule_image_digest(pair, image->terms[id]);
	touch_head(image, image->head, 1);
	return true;
}

/* A wall clock that is kept right by small steps moves a deadline by as much: two seconds are no difference. */
#define UNTIL_STEP_NS 2000000000ull

uint64_t ps_rule_image_digest(const struct ps_rule_unit_pair *pair, struct ps_rule_term term)
{
	uint64_t w[8], h = ps_rule_mix((term.until + UNTIL_STEP_NS / 2) / UNTIL_STEP_NS, term.rate_ns);
	const struct ps_rule_unit *units[] = {&pair->unit, &pair->quoted};

	_Static_assert(sizeof(w) == sizeof(struct ps_rule_unit), "a unit is eight words");
	for (size_t k = 0; k < (pair->unit.flags & PS_UNIT_QUOTED ? 2u : 1u); k++) {
		memcpy(w, units[k], sizeof(w));
		for (size_t i = 0; i < PS_ARRAY_SIZE(w); i++)
			h = ps_rule_mix(h, w[i]);
	}
	return h * PS_RULE_MUL2;
}
