/*
 * A finding: what a detector has seen of one incident, as it stands now. The topic `finding` of the bus, GET
 * /api/findings and the `findings` of replay carry it as a map:
 *
 *	{id: "f-17", kind, severity, confidence, source, target, first, last, count, numbers: {name: n, …}, title,
 *	connections: [id, …], rule: {fields of a filter rule} or null, open}
 *
 * Pure.
 */
#ifndef PS_FINDING_H
#define PS_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/detect/limits.h"
#include "common/model/addr.h"
#include "common/model/value.h"

enum ps_finding_kind {
#define PS_DETECTOR(suffix, name, functions, doc) PS_FINDING_##suffix,
#include "common/detect/detector.def"
	PS_FINDING_KINDS,
};

enum ps_severity {
	PS_SEVERITY_LOW,
	PS_SEVERITY_MEDIUM,
	PS_SEVERITY_HIGH,
	PS_SEVERITY_CRITICAL,
};

/* "port_scan"; "high". */
const char *ps_finding_kind_name(enum ps_finding_kind kind);
const char *ps_severity_name(enum ps_severity severity);

/* A host, a service of a host (port), or the smallest network that holds all targets (prefix). */
struct ps_finding_target {
	struct ps_addr addr; /* family 0: none */
	uint8_t prefix;      /* length in bits; that of the whole address for one host */
	uint16_t port;       /* 0: none */
};

struct ps_finding_number {
	const char *name; /* a constant */
	uint64_t value;
};

/* The rule that would stop it; what is zero is not tested. */
struct ps_finding_rule {
	bool proposed;
	uint8_t protocol; /* 0 = any */
	struct ps_addr src, dst;
	uint16_t src_port, dst_port;
	bool syn;            /* only segments that begin a connection */
	bool echo;           /* only echo requests */
	bool both;           /* both directions, else ingress */
	uint32_t rate_limit; /* 0: none */
};

struct ps_finding {
	uint64_t id;
	enum ps_finding_kind kind;
	enum ps_severity severity;
	double confidence;     /* 0 to 1 */
	struct ps_addr source; /* family 0: many */
	struct ps_finding_target target;
	uint64_t first, last; /* ns since 1970 */
	uint64_t count;       /* how large it has become: ports, connections, addresses, messages, by kind */
	struct ps_finding_number numbers[PS_FINDING_NUMBERS_MAX];
	size_t n_numbers;
	char title[PS_FINDING_TITLE_MAX];
	uint64_t connections[PS_FINDING_CONNECTIONS_MAX];
	size_t n_connections;
	struct ps_finding_rule rule;
	bool open; /* false: nothing has been added for a while (detect-quiet) */
};

/* "f-17" */
#define PS_FINDING_ID_TEXT 24
char *ps_finding_id(uint64_t id, char buf[static PS_FINDING_ID_TEXT]);

/* "192.0.2.1", "192.0.2.1:22", "[2001:db8::1]:22", "192.0.2.0/24"; "" for none. */
#define PS_FINDING_TARGET_TEXT (PS_ADDR_TEXT + 8)
char *ps_finding_target(const struct ps_finding_target *target, char buf[static PS_FINDING_TARGET_TEXT]);

/* The map as the bus carries it: times are ns since 1970. NULL on no memory. */
struct ps_value *ps_finding_to_value(const struct ps_finding *f);

/*
 * Makes the bus's map the one of JSON: `first` and `last` become RFC 3339. What is not a number there stays. -ENOMEM.
 */
int ps_finding_times_to_text(struct ps_value *finding);

/* The proposed rule as the body of POST /api/filters; null if there is none. NULL on no memory. */
struct ps_value *ps_finding_rule_to_value(const struct ps_finding *f);

#endif
