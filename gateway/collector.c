#include "gateway/collector.h"

#include <errno.h>

#include "common/limits.h"
#include "gateway/probe.h"

#define STUCK "Counting and enforcement in the kernel go on; end it with SIGKILL, and 'packetscope up' starts it anew."

/* Its socket tells at once that it died; a process that is stopped or hangs still holds it, but falls silent. */
const char *ps_collector_reason(const char *endpoint, const struct ps_value *aggregator, int64_t *ret_pid)
{
	int64_t pid = 0;
	int r = ps_probe(endpoint, &pid);
	const struct ps_value *age = ps_value_get(ps_value_get(aggregator, "collector"), "age");

	if (ret_pid)
		*ret_pid = pid;
	if (ps_value_as_real(age, 0) > PS_COLLECTOR_SILENT_S)
		r = r == 0 ? -ETIMEDOUT : r;
	switch (r) {
	case 0:
		return NULL;
	case -EAGAIN:
		return "The collector is stuck: it takes no connections. " STUCK;
	case -ETIMEDOUT:
		return "The collector is stuck: it has given no sign of life for seconds. " STUCK;
	default:
		return "The collector is not running: nothing new is reported. Counting and enforcement in the kernel "
		       "go on; "
		       "start everything with: packetscope up";
	}
}
