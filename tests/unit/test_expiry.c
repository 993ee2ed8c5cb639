/* Which silence ends which connection, and what its end is called. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/expiry.h"

static const struct ps_timeouts t = {
	.syn_sent = 1,
	.syn_recv = 2,
	.established = 3,
	.fin_wait = 4,
	.close_wait = 5,
	.last_ack = 6,
	.time_wait = 7,
	.close = 8,
	.midstream = 9,
	.udp = 10,
	.udp_stream = 11,
};

static void timeouts(void **state)
{
	const uint8_t tcp = IPPROTO_TCP, confirmed = PS_CONN_CONFIRMED;

	(void)state;
	assert_int_equal(ps_expiry_timeout(&t, tcp, 0, PS_TCP_SYN_SENT), 1);
	assert_int_equal(ps_expiry_timeout(&t, tcp, 0, PS_TCP_SYN_RECV), 2);
	assert_int_equal(ps_expiry_timeout(&t, tcp, confirmed, PS_TCP_ESTABLISHED), 3);
	assert_int_equal(ps_expiry_timeout(&t, tcp, confirmed, PS_TCP_FIN_WAIT), 4);
	assert_int_equal(ps_expiry_timeout(&t, tcp, confirmed, PS_TCP_CLOSE_WAIT), 5);
	assert_int_equal(ps_expiry_timeout(&t, tcp, confirmed, PS_TCP_LAST_ACK), 6);
	assert_int_equal(ps_expiry_timeout(&t, tcp, confirmed | PS_CONN_CLOSED, PS_TCP_TIME_WAIT), 7);
	assert_int_equal(ps_expiry_timeout(&t, tcp, PS_CONN_CLOSED, PS_TCP_CLOSE), 8);
	assert_int_equal(ps_expiry_timeout(&t, tcp, PS_CONN_MIDSTREAM, PS_TCP_ESTABLISHED), 9);
	assert_int_equal(ps_expiry_timeout(&t, tcp, PS_CONN_MIDSTREAM | confirmed, PS_TCP_ESTABLISHED), 3);
	assert_int_equal(ps_expiry_timeout(&t, tcp, 0, PS_TCP_NONE), 9);
	assert_int_equal(ps_expiry_timeout(&t, IPPROTO_UDP, 0, PS_TCP_NONE), 10);
	assert_int_equal(ps_expiry_timeout(&t, IPPROTO_UDP, PS_CONN_REPLIED, PS_TCP_NONE), 11);
	/* whatever stands in the TCP line of a slot that is UDP's now */
	assert_int_equal(ps_expiry_timeout(&t, IPPROTO_UDP, 0, PS_TCP_CLOSE), 10);
}

static void reasons(void **state)
{
	(void)state;
	assert_int_equal(ps_expiry_reason(IPPROTO_TCP, PS_TCP_TIME_WAIT), PS_END_FIN);
	assert_int_equal(ps_expiry_reason(IPPROTO_TCP, PS_TCP_LAST_ACK), PS_END_FIN);
	assert_int_equal(ps_expiry_reason(IPPROTO_TCP, PS_TCP_CLOSE), PS_END_RST);
	assert_int_equal(ps_expiry_reason(IPPROTO_TCP, PS_TCP_ESTABLISHED), PS_END_TIMEOUT);
	assert_int_equal(ps_expiry_reason(IPPROTO_TCP, PS_TCP_FIN_WAIT), PS_END_TIMEOUT);
	assert_int_equal(ps_expiry_reason(IPPROTO_UDP, PS_TCP_CLOSE), PS_END_TIMEOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timeouts),
		cmocka_unit_test(reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
