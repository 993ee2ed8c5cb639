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
	struct ps_client *c[3];
	int pair[3][2];
	char byte;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
		c[i] = ps_client_new(&clients, pair[i][0], i < 2 ? 100u * (unsigned)(i + 1) : UINT64_MAX);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expires_once_and_only_the_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
