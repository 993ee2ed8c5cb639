#include "collector/detach.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "collector/maps.h"
#include "collector/tc.h"
#include "collector/xdp.h"
#include "common/base/cleanup.h"

struct removal {
	const struct ps_pins *pins;
	ps_detach_fn fn;
	void *arg;
	struct ps_error *err;
	int failed; /* first -errno */
};

static void note(struct removal *m, int r, const char *what, const char *where)
{
	char text[PS_PIN_NAME];

	(void)snprintf(text, sizeof(text), "%s%s", what, where);
	if (r > 0 && m->fn)
		m->fn(m->arg, text);
	if (r < 0 && m->failed == 0)
		m->failed = ps_error_set(m->err, r, 500, "no_detach", "", "Cannot remove %s: %s.", text, strerror(-r));
}

static int remove_link(void *arg, const char *kind, const char *iface)
{
	struct removal *m = arg;

	if (strcmp(kind, "xdp") == 0)
		note(m, ps_xdp_detach(m->pins, iface), "XDP program from ", iface);
	else
		note(m, ps_tc_detach(m->pins, iface, if_nametoindex(iface)), "TC program from ", iface);
	return 0;
}

int ps_detach_all(const struct ps_pins *pins, bool purge, ps_detach_fn fn, void *arg, struct ps_error *err)
{
	struct removal m = {.pins = pins, .fn = fn, .arg = arg, .err = err};
	char above[PS_PIN_NAME];
	int r = ps_pins_each_link(pins, remove_link, &m);

	if (r < 0)
		note(&m, r, "links below ", pins->links);
	if (m.failed == 0)
		ps_maps_note_detached(pins);
	if (purge) {
		(void)ps_pins_clear_other_abi(pins);
		note(&m, ps_pins_clear(pins->maps), "maps below ", pins->maps);
		(void)snprintf(above, sizeof(above), "%s/maps", pins->root);
		(void)rmdir(above);
	}
	/* Directories that are empty now; the others say why they are not. */
	(void)rmdir(pins->links);
	(void)rmdir(pins->root);
	return m.failed;
}
