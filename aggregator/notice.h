/*
 * Is a condition worth a line in the log? Not when it passes by itself, as at a start, when all parts come up together;
 * and once only while it lasts. Pure.
 */
#ifndef PS_AGG_NOTICE_H
#define PS_AGG_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

struct ps_notice {
	char text[256]; /* the condition; "" = none */
	uint64_t since; /* when it was first seen */
	bool told;
};

/* `text` is the condition as it is now, NULL = none. True, once, when it has been the same for PS_NOTICE_NS. */
bool ps_notice_due(struct ps_notice *notice, const char *text, uint64_t now);

#endif
