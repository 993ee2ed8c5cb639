#include "aggregator/notice.h"

#include <stdio.h>
#include <string.h>

#include "aggregator/limits.h"

bool ps_notice_due(struct ps_notice *notice, const char *text, uint64_t now)
{
	char cut[sizeof(notice->text)];

	(void)snprintf(cut, sizeof(cut), "%s", text ? text : "");
	if (strcmp(cut, notice->text) != 0) {
		memcpy(notice->text, cut, sizeof(cut));
		notice->since = now;
		notice->told = false;
	}
	if (!notice->text[0] || notice->told || now - notice->since < PS_NOTICE_NS)
		return false;
	notice->told = true;
	return true;
}
