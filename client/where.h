/*
 * Conditions on the fields of a record: "proto=tcp,dst_port=443,src_ip=10.0.0.0/8". Private to the library. Pure.
 */
#ifndef PS_CLIENT_WHERE_H
#define PS_CLIENT_WHERE_H

#include <stdbool.h>

#include "client/limits.h"
#include "client/record.h"
#include "common/base/error.h"

enum ps_where_op {
	PS_WHERE_EQUAL,
	PS_WHERE_UNEQUAL,
	PS_WHERE_LESS,
	PS_WHERE_MORE,
	PS_WHERE_AT_MOST,
	PS_WHERE_AT_LEAST,
};

struct ps_where {
	size_t n;
	struct ps_condition {
		char field[40];
		enum ps_where_op op;
		char text[80];
		bool is_number;
		double number;
		bool is_net; /* of an address field: network and length of the prefix */
		struct ps_addr net;
		unsigned prefix;
	} condition[PS_TAP_CONDITIONS_MAX];
};

/* -EINVAL fills err: the condition, and what is wrong with it. */
int ps_where_parse(const char *text, struct ps_where *ret_where, struct ps_error *err);

bool ps_where_holds(const struct ps_where *where, const struct ps_tap_record *r);

#endif
