/*
 * What `doctor` looks at, and how it tells. A check is a function in the table of doctor.c.
 */
#ifndef PS_DOCTOR_H
#define PS_DOCTOR_H

#include <stdbool.h>

#include "cli/settings.h"
#include "common/base/buf.h"
#include "common/model/value.h"

enum ps_health {
	PS_HEALTH_OK,
	PS_HEALTH_WARN, /* it will work, but not as well as it could */
	PS_HEALTH_FAIL, /* it will not work */
};

struct ps_doctor {
	const struct ps_settings *settings;
	const char *ifaces;           /* to look at; "" = none could be chosen */
	const struct ps_value *probe; /* what packetscope-collector --probe printed; NULL = it could not */
	struct ps_value *findings;    /* list of {check, health, message, remedy} */
	enum ps_health worst;
	bool failed; /* no memory */
};

/* Runs every check. */
void ps_doctor_examine(struct ps_doctor *d);

/* Adds a finding; remedy is a command or a sentence, NULL = none needed. */
void ps_doctor_find(struct ps_doctor *d, const char *check, enum ps_health health, const char *remedy, const char *fmt,
	...) __attribute__((format(printf, 5, 6)));

/* "ok", "warn", "fail" */
const char *ps_health_name(enum ps_health health);

/* Is a kernel release ("6.1.0-18-amd64") at least major.minor? Pure. */
bool ps_kernel_at_least(const char *release, unsigned major, unsigned minor);

#endif
