#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/bus/bus.h"
#include "common/bus/curve.h"
#include "tempdir.h"

static const char *path(const char *name)
{
	return tempdir_path("", name);
}

static void keygen(const char *name)
{
	struct ps_error err = {0};

	if (ps_curve_keygen(path(name), &err) != 0)
		fail_msg("%s", err.message);
}

static void keys_are_made_once(void **state)
{
	struct ps_error err = {0};
	struct stat st;

	(void)state;
	keygen("once");
	assert_int_equal(stat(path("once.key_secret"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(path("once.key"), &st), 0);
	assert_int_equal(ps_curve_keygen(path("once"), &err), -EEXIST);
	assert_non_null(strstr(err.message, "once.key_secret"));
}

static void loopback_is_told_from_the_rest(void **state)
{
	static const struct {
		const char *endpoint;
		bool loopback;
	} cases[] = {
		{"tcp://127.0.0.1:1", true},
		{"tcp://127.9.9.9:1", true},
		{"tcp://[::1]:1", true},
		{"tcp://localhost:1", true},
		{"tcp://0.0.0.0:1", false},
		{"tcp://[::]:1", false},
		{"tcp://*:1", false},
		{"tcp://eth0:1", false},
		{"tcp://10.0.0.1:1", false},
		{"tcp://127.0.0.1.example:1", false},
		{"tcp://:1", false},
		{"tcp://", false},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		if (ps_curve_is_loopback(cases[i].endpoint) != cases[i].loopback)
			fail_msg("%s", cases[i].endpoint);
	}
}

static void without_keys_nobody_outside_is_served(void **state)
{
	_cleanup_(ps_bus_free) struct ps_bus *bus = NULL;
	_cleanup_(ps_publisher_free) struct ps_publisher *pub = NULL;
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_bus_new(&bus), 0);
	assert_int_equal(ps_publisher_new(bus, tempdir_path("ipc://", "plain.sock"), false, &pub, &err), 0);
	assert_int_equal(ps_publisher_bind(pub, "tcp://0.0.0.0:*", &err), -EPERM);
	assert_non_null(strstr(err.message, "--curve-key"));
	assert_int_equal(ps_publisher_bind(pub, "tcp://127.0.0.1:*,tcp://[::1]:*", &err), 0);
	assert_int_equal(ps_publisher_bind(pub, "ipc:///tmp/second.sock", &err), -EINVAL);
	ps_bus_allow_plain(bus);
	assert_int_equal(ps_publisher_bind(pub, "tcp://0.0.0.0:*", &err), 0);
}

static void bad_keys_are_told(void **state)
{
	_cleanup_(ps_bus_free) struct ps_bus *bus = NULL;
	struct ps_error err = {0};

	(void)state;
	keygen("bad");
	assert_int_equal(ps_bus_new(&bus), 0);
	assert_int_equal(ps_bus_secure(bus, "", "somewhere", false, &err), -EINVAL);
	assert_int_equal(ps_bus_serve_curve(bus, path("bad.key_secret"), "", &err), -EINVAL);
	assert_int_equal(ps_bus_serve_curve(bus, path("bad.key_secret"), "/nowhere", &err), -ENOENT);
	assert_int_equal(ps_bus_serve_curve(bus, path("bad.key"), tempdir, &err), -EINVAL); /* no secret in it */
	assert_non_null(strstr(err.message, "keygen"));
	assert_int_equal(chmod(path("bad.key_secret"), 0604), 0);
	assert_int_equal(ps_bus_serve_curve(bus, path("bad.key_secret"), tempdir, &err), -EPERM);
	assert_int_equal(chmod(path("bad.key_secret"), 0600), 0);
	assert_int_equal(ps_bus_serve_curve(bus, path("bad.key_secret"), tempdir, &err), 0);
}

#define PORT "tcp://127.0.0.1:28917"

/* How many of 20 messages, 10 ms apart, a client with those keys gets. */
static int heard(struct ps_publisher *pub, const char *own, const char *server)
{
	_cleanup_(ps_bus_free) struct ps_bus *bus = NULL;
	_cleanup_(ps_subscriber_free) struct ps_subscriber *sub = NULL;
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();
	struct ps_error err = {0};
	int n = 0;

	assert_int_equal(ps_bus_new(&bus), 0);
	if (own && ps_bus_join_curve(bus, path(own), path(server), &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(ps_subscriber_new(bus, PORT, 1u << PS_TOPIC_RULE, &sub, &err), 0);
	for (int i = 0; i < 60; i++) {
		struct ps_message msg;

		assert_int_equal(ps_publisher_map(pub, PS_TOPIC_RULE, map), 0);
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		if (ps_subscriber_next(sub, &msg) == 1) {
			ps_message_free(&msg);
			n++;
		}
	}
	return n;
}

static void only_listed_keys_come_in(void **state)
{
	_cleanup_(ps_bus_free) struct ps_bus *bus = NULL;
	_cleanup_(ps_publisher_free) struct ps_publisher *pub = NULL;
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(mkdir(path("allow"), 0755), 0);
	keygen("server");
	keygen("allow/friend");
	keygen("stranger");
	assert_int_equal(ps_bus_new(&bus), 0);
	if (ps_bus_secure(bus, path("server.key_secret"), path("allow"), false, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(ps_publisher_new(bus, tempdir_path("ipc://", "curve.sock"), false, &pub, &err), 0);
	assert_int_equal(ps_publisher_bind(pub, PORT, &err), 0);

	assert_true(heard(pub, "allow/friend.key_secret", "server.key") > 0);
	assert_int_equal(heard(pub, "stranger.key_secret", "server.key"), 0);
	assert_true(ps_bus_strangers(bus) > 0);
	assert_int_equal(heard(pub, NULL, NULL), 0);
	assert_int_equal(heard(pub, "allow/friend.key_secret", "stranger.key"), 0);
	/* the list is read anew: given and taken without a restart */
	assert_int_equal(rename(path("stranger.key"), path("allow/stranger.key")), 0);
	assert_true(heard(pub, "stranger.key_secret", "server.key") > 0);
	assert_int_equal(unlink(path("allow/friend.key")), 0);
	assert_int_equal(heard(pub, "allow/friend.key_secret", "server.key"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_made_once),
		cmocka_unit_test(loopback_is_told_from_the_rest),
		cmocka_unit_test(without_keys_nobody_outside_is_served),
		cmocka_unit_test(bad_keys_are_told),
		cmocka_unit_test(only_listed_keys_come_in),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
