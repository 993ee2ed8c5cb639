/* Deadlines of connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "gateway/client.h"

static void expires_once_and_only_the_late(void **state)
{
	struct ps_clients clients = {0};
	const struct ps_addr none = {0};
	struct ps_client *c[3];
	int pair[3][2];
	char byte;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
		c[i] = ps_client_new(&clients, pair[i][0], &none, i < 2 ? 100u * (unsigned)(i + 1) : UINT64_MAX, 0);
		assert_non_null(c[i]);
	}
	assert_int_equal(ps_clients_expire(&clients, 99), 0);
	assert_int_equal(ps_clients_expire(&clients, 100), 1);
	assert_int_equal(ps_clients_expire(&clients, 100), 0);
	assert_int_equal(recv(pair[0][1], &byte, 1, MSG_DONTWAIT), 0);  /* its end */
	assert_int_equal(recv(pair[1][1], &byte, 1, MSG_DONTWAIT), -1); /* still open */
	assert_int_equal(ps_clients_expire(&clients, UINT64_MAX), 1);
	assert_int_equal(recv(pair[2][1], &byte, 1, MSG_DONTWAIT), -1);
	ps_client_free(&clients, &c[1]); /* from the middle */
	assert_null(c[1]);
	assert_ptr_equal(clients.first, c[2]);
	ps_client_free(&clients, &c[2]);
	ps_client_free(&clients, &c[0]);
	ps_client_free(&clients, &c[0]);
	assert_null(clients.first);
	for (int i = 0; i < 3; i++) {
		ps_closep(&pair[i][0]);
		ps_closep(&pair[i][1]);
	}
}

/* Whoever has waited longest for a request gives way; streams and those that are served do not. */
static void makes_room(void **state)
{
	const struct ps_addr a = {.family = 4, .word = {1}}, b = {.family = 4, .word = {2}};
	struct ps_clients clients = {0};
	struct ps_client *c[4];
	uint64_t evicted = 0;
	int pair[4][2];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
		c[i] = ps_client_new(&clients, pair[i][0], i < 3 ? &a : &b, UINT64_MAX, 10 + i);
		assert_non_null(c[i]);
	}
	c[0]->endless = true;
	c[1]->busy = true;
	assert_true(ps_clients_admit(&clients, &a, 4, 3, &evicted));
	assert_false(c[2]->shut);
	assert_true(ps_clients_admit(&clients, &a, 4, 2, &evicted)); /* the address has its places */
	assert_true(c[2]->shut);
	assert_false(ps_clients_admit(&clients, &a, 4, 1, &evicted)); /* all of it are served */
	assert_false(c[1]->shut);
	assert_true(ps_clients_admit(&clients, &a, 2, 9, &evicted)); /* all are taken */
	assert_true(c[3]->shut);
	assert_int_equal(evicted, 3);
	assert_false(ps_client_gone(c[0]));
	ps_closep(&pair[0][1]);
	assert_true(ps_client_gone(c[0]));
	for (int i = 0; i < 4; i++) {
		ps_client_free(&clients, &c[i]);
		ps_closep(&pair[i][0]);
		ps_closep(&pair[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expires_once_and_only_the_late),
		cmocka_unit_test(makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
