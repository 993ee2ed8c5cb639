#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "collector/pins.h"
#include "tempdir.h"

static void paths(void **state)
{
	char buf[PS_PIN_NAME];
	struct ps_pins pins;

	(void)state;
	assert_int_equal(ps_pins_init(&pins, "/sys/fs/bpf/scope//", 0, NULL), 0);
	assert_string_equal(pins.root, "/sys/fs/bpf/scope");
	assert_string_equal(ps_pins_map(&pins, "ps_hot", buf), "/sys/fs/bpf/scope/maps/v2/ps_hot");
	assert_string_equal(ps_pins_link(&pins, "xdp", "eth0", buf), "/sys/fs/bpf/scope/link/xdp-eth0");
	/* Neither may stand where the other may. */
	assert_string_equal(ps_pins_link(&pins, "tc", "eth0.7", buf), "/sys/fs/bpf/scope/link/tc-eth0:7");
	/* The longest that there are. */
	assert_string_equal(
		ps_pins_link(&pins, "clsact", "abcdefghijklmno", buf), "/sys/fs/bpf/scope/link/clsact-abcdefghijklmno");
}

static void roots_that_cannot_be(void **state)
{
	struct ps_pins pins = {.root = "kept"};
	struct ps_error err = {0};
	char longer[PS_PIN_PATH + 1];

	(void)state;
	memset(longer, 'a', PS_PIN_PATH);
	longer[0] = '/';
	longer[PS_PIN_PATH] = 0;
	assert_int_equal(ps_pins_init(&pins, longer, 0, &err), -ENAMETOOLONG);
	assert_string_equal(err.field, "pin-root");
	assert_int_equal(ps_pins_init(&pins, "relative", 0, NULL), -EINVAL);
	assert_int_equal(ps_pins_init(&pins, "", 0, NULL), -EINVAL);
	assert_string_equal(pins.root, "kept");
}

static void another_file_system(void **state)
{
	struct ps_error err = {0};
	struct ps_pins pins;

	(void)state;
	assert_false(ps_pins_is_bpffs(tempdir));
	assert_int_equal(ps_pins_init(&pins, tempdir_path("", "pins"), 0, NULL), 0);
	assert_int_equal(ps_pins_make(&pins, &err), -EOPNOTSUPP);
	assert_string_equal(err.code, "not_bpffs");
	assert_int_equal(access(pins.root, F_OK), -1);
}

struct found {
	unsigned n;
	char text[4][64];
};

static int note(void *arg, const char *kind, const char *iface)
{
	struct found *f = arg;

	(void)snprintf(f->text[f->n++ % 4], sizeof(f->text[0]), "%s %s", kind, iface);
	return f->n == 2 ? -ECANCELED : 0;
}

static void links_are_listed(void **state)
{
	struct found f = {0};
	struct ps_pins pins;

	(void)state;
	assert_int_equal(ps_pins_init(&pins, tempdir, 0, NULL), 0);
	assert_int_equal(ps_pins_each_link(&pins, note, &f), 0); /* no directory, no links */
	assert_int_equal(mkdir(pins.links, 0700), 0);
	assert_int_equal(mkdir(tempdir_path("", "link/nodash"), 0700), 0);
	assert_int_equal(mkdir(tempdir_path("", "link/xdp-eth0:7-x"), 0700), 0);
	assert_int_equal(ps_pins_each_link(&pins, note, &f), 0);
	assert_int_equal(f.n, 1);
	assert_string_equal(f.text[0], "xdp eth0.7-x");
	assert_int_equal(mkdir(tempdir_path("", "link/tc-eth1"), 0700), 0);
	f.n = 0;
	assert_int_equal(ps_pins_each_link(&pins, note, &f), -ECANCELED);
}

static void maps_are_cleared(void **state)
{
	struct ps_pins pins;
	FILE *file;

	(void)state;
	assert_int_equal(ps_pins_init(&pins, tempdir, 0, NULL), 0);
	assert_int_equal(ps_pins_clear(pins.maps), 0);
	assert_int_equal(mkdir(tempdir_path("", "maps"), 0700), 0);
	assert_int_equal(mkdir(tempdir_path("", "maps/v0"), 0700), 0);
	assert_int_equal(mkdir(pins.maps, 0700), 0);
	file = fopen(tempdir_path("", "maps/v2/ps_meta"), "w");
	assert_non_null(file);
	(void)fclose(file);
	assert_int_equal(ps_pins_clear_other_abi(&pins), 1);
	assert_int_equal(access(tempdir_path("", "maps/v0"), F_OK), -1);
	assert_int_equal(access(tempdir_path("", "maps/v2/ps_meta"), F_OK), 0);
	assert_int_equal(ps_pins_clear(pins.maps), 1);
	assert_int_equal(access(pins.maps, F_OK), -1);
}

static void versions_highest_first(void **state)
{
	static const char *const names[] = {"v2", "v10", "v1", "v0", "v", "v3x", "x4", "v99999"};
	uint32_t versions[PS_PIN_VERSIONS];
	struct ps_pins pins, other;
	char path[64];

	(void)state;
	assert_int_equal(ps_pins_init(&pins, tempdir_path("", "many"), 0, NULL), 0);
	assert_int_equal(ps_pins_versions(&pins, versions), 0);
	assert_int_equal(mkdir(pins.root, 0700), 0);
	assert_int_equal(mkdir(tempdir_path("", "many/maps"), 0700), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "many/maps/%s", names[i]);
		assert_int_equal(mkdir(tempdir_path("", path), 0700), 0);
	}
	assert_int_equal(ps_pins_versions(&pins, versions), 3);
	assert_int_equal(versions[0], 10);
	assert_int_equal(versions[1], 2);
	assert_int_equal(versions[2], 1);
	ps_pins_of_version(&pins, 10, &other);
	assert_string_equal(other.maps, tempdir_path("", "many/maps/v10"));
	assert_string_equal(other.links, pins.links);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(roots_that_cannot_be),
		cmocka_unit_test(another_file_system),
		cmocka_unit_test(links_are_listed),
		cmocka_unit_test(maps_are_cleared),
		cmocka_unit_test(versions_highest_first),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
