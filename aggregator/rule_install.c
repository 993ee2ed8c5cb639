#include "aggregator/rule_install.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "aggregator/limits.h"
#include "aggregator/rule_image.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

/* --- The switch ---------------------------------------------------------------------------------- */

struct in_force {
	uint32_t half;     /* that the kernel judges by at that time */
	uint64_t deadline; /* 0 = for good */
	bool undone;       /* the deadline has passed: the other half than the word names */
};

static uint64_t switch_read(const struct ps_kernel_view *view)
{
	return __atomic_load_n(&view->runtime->rule_switch, __ATOMIC_ACQUIRE);
}

static struct in_force in_force_at(const struct ps_kernel_view *view, uint64_t now)
{
	uint64_t word = switch_read(view);
	struct in_force f = {.half = word & 1, .deadline = word >> 1};

	f.undone = f.deadline && now >= f.deadline;
	f.half ^= f.undone;
	return f;
}

static void switch_to(struct ps_kernel_view *view, uint32_t half, uint64_t deadline)
{
	__atomic_store_n(&view->runtime->rule_switch, deadline << 1 | half, __ATOMIC_RELEASE);
	view->rule_switched = ps_clock_boot();
}

/* Until nobody can be reading the half that is not in force: before it is written, not after the switch, so that only a
 * change on the heels of another waits. */
static void wait_for_readers(const struct ps_kernel_view *view)
{
	uint64_t since = view->rule_switched ? ps_clock_boot() - view->rule_switched : 0;
	struct timespec left = {0};

	if (since >= PS_RULE_GRACE_NS)
		return;
	left.tv_nsec = (long)(PS_RULE_GRACE_NS - since);
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* --- Room ---------------------------------------------------------------------------------------- */

int ps_rule_install_prepare(
	struct ps_kernel_view *view, const struct ps_rule_set *set, uint64_t now, struct ps_error *err)
{
	uint32_t rows = (set->image->rows + PS_ROW_CHUNK - 1) / PS_ROW_CHUNK;
	struct in_force f = in_force_at(view, now);

	if (!ps_rule_install_settle(view, now) && f.deadline)
		return ps_error_set(err, -EBUSY, 409, "confirm_pending", "",
			"a change of the rules waits to be confirmed: confirm it, or wait until its time is up");
	if (set->image->chunks <= view->rule_unit_chunks && rows <= view->rule_row_chunks)
		return 0;
	return view->kernel.ops->rule_room(view->kernel.impl, view, set->image->chunks, rows, err);
}

/* --- Copying out --------------------------------------------------------------------------------- */

static struct ps_rule_row *row_of(const struct ps_kernel_view *view, uint32_t id)
{
	uint32_t c = id / PS_ROW_CHUNK;

	return c < view->rule_row_chunks ? &view->rule_rows[c]->row[id % PS_ROW_CHUNK] : NULL;
}

static void copy_pages(void *to, const void *from, size_t size, const uint32_t *steps, uint32_t since)
{
	for (size_t at = 0, page = 0; at < size; at += PS_IMAGE_PAGE, page++) {
		size_t n = PS_MIN(size - at, PS_IMAGE_PAGE);

		if (steps[page] < since)
			continue;
		/* Reading what was never written would make the system find memory for it. */
		if (steps[page] == 0)
			memset((char *)to + at, 0, n);
		else
			memcpy((char *)to + at, (const char *)from + at, n);
	}
}

/* What the half lacks of the image: all of it, unless it is an older copy of the same. */
static void copy_image(struct ps_kernel_view *view, uint32_t half, struct ps_rule_image *image)
{
	struct ps_rule_head *head = &view->rule_heads[half];
	bool older = head->generation && image->copied[half].generation == head->generation;
	uint32_t since = older ? image->copied[half].step : 0;

	copy_pages(head, image->head, sizeof(*head), image->head_step, since);
	for (uint32_t c = 0; c < image->chunks; c++)
		copy_pages(view->rule_chunks[half][c], image->chunk[c], sizeof(*image->chunk[c]), image->chunk_step[c],
			since);
}

/* The deadlines and rates of the rules that have any, for this half. */
static void write_terms(struct ps_kernel_view *view, uint32_t half, const struct ps_rule_image *image)
{
	for (uint32_t id = 0; image->with_terms && id < image->rows; id++) {
		const struct ps_rule_term *t = &image->terms[id];
		struct ps_rule_row *row = t->until || t->rate_ns ? row_of(view, id) : NULL;

		if (!row)
			continue;
		__atomic_store_n(&row->until[half], t->until, __ATOMIC_RELAXED);
		__atomic_store_n(&row->rate_ns[half], t->rate_ns, __ATOMIC_RELAXED);
	}
}

static uint32_t next_generation(const struct ps_kernel_view *view)
{
	uint32_t a = view->rule_heads[0].generation, b = view->rule_heads[1].generation;
	/* the later of the two, also where the count has just begun anew */
	uint32_t last = (int32_t)(a - b) > 0 ? a : b;

	if (!a || !b)
		last = a | b;
	return last + 1 ? last + 1 : 1;
}

bool ps_rule_install_current(const struct ps_kernel_view *view, const struct ps_rule_set *set, uint64_t now)
{
	const struct ps_rule_head *in_kernel = &view->rule_heads[in_force_at(view, now).half];

	return in_kernel->generation && in_kernel->units == set->image->head->units &&
	       in_kernel->digest == set->image->head->digest;
}

uint32_t ps_rule_install(struct ps_kernel_view *view, struct ps_rule_set *set, uint64_t confirm_by)
{
	struct ps_rule_image *image = set->image;
	uint32_t in_force = in_force_at(view, 0).half, half = !in_force, generation;

	ps_rule_set_settle(set);
	if (ps_rule_install_current(view, set, 0)) {
		write_terms(view, in_force, image);
		return view->rule_heads[in_force].generation;
	}
	generation = next_generation(view);
	wait_for_readers(view);
	copy_image(view, half, image);
	view->rule_heads[half].generation = generation;
	write_terms(view, half, image);
	image->copied[half].generation = generation;
	image->copied[half].step = ++image->step;
	switch_to(view, half, confirm_by);
	return generation;
}

/* --- Until it is confirmed ------------------------------------------------------------------------ */

uint32_t ps_rule_install_generation(const struct ps_kernel_view *view, uint64_t now)
{
	return view->rule_heads[in_force_at(view, now).half].generation;
}

struct ps_rule_pending ps_rule_install_pending(const struct ps_kernel_view *view)
{
	struct in_force f = in_force_at(view, 0);

	if (!f.deadline)
		return (struct ps_rule_pending){0};
	return (struct ps_rule_pending){
		.confirm_by = f.deadline,
		.generation = view->rule_heads[f.half].generation,
		.before = view->rule_heads[!f.half].generation,
	};
}

int ps_rule_install_confirm(struct ps_kernel_view *view, uint64_t now)
{
	struct in_force f = in_force_at(view, now);

	if (!f.deadline)
		return -ENOENT;
	if (f.undone)
		return -ETIME;
	switch_to(view, f.half, 0);
	return 0;
}

int ps_rule_install_revert(struct ps_kernel_view *view)
{
	struct in_force f = in_force_at(view, 0);

	if (!f.deadline)
		return -ENOENT;
	switch_to(view, !f.half, 0);
	return 0;
}

bool ps_rule_install_settle(struct ps_kernel_view *view, uint64_t now)
{
	struct in_force f = in_force_at(view, now);

	if (!f.undone)
		return false;
	switch_to(view, f.half, 0);
	return true;
}

/* --- Counters ------------------------------------------------------------------------------------- */

struct ps_rule_hits ps_rule_install_hits(const struct ps_kernel_view *view, uint32_t id)
{
	const struct ps_rule_row *row = row_of(view, id);
	const struct ps_rule_hits *h;

	if (!row)
		return (struct ps_rule_hits){0};
	h = &row->hits;
	return (struct ps_rule_hits){
		.packets = __atomic_load_n(&h->packets, __ATOMIC_RELAXED),
		.bytes = __atomic_load_n(&h->bytes, __ATOMIC_RELAXED),
		.first_hit = __atomic_load_n(&h->first_hit, __ATOMIC_RELAXED),
		.last_hit = __atomic_load_n(&h->last_hit, __ATOMIC_RELAXED),
	};
}

void ps_rule_install_clear_hits(const struct ps_kernel_view *view, uint32_t id)
{
	struct ps_rule_row *row = row_of(view, id);

	if (row)
		memset(&row->hits, 0, sizeof(row->hits));
}
