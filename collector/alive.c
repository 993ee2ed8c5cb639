#include "collector/alive.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/limits.h"

int ps_alive(const struct ps_pins *pins, struct ps_error *err)
{
	char path[PS_PIN_NAME];
	struct ps_ledger ledger = {0};
	_cleanup_close_ int fd = bpf_obj_get(ps_pins_map(pins, "ps_ledger", path));
	uint64_t now = ps_clock_boot();
	uint32_t zero = 0;

	if (fd < 0)
		return ps_error_set(err, -errno, 503, "not_running", "", "Cannot read %s: %s.", path, strerror(errno));
	if (bpf_map_lookup_elem(fd, &zero, &ledger) < 0)
		return ps_error_set(err, -errno, 503, "not_running", "", "Cannot read %s: %s.", path, strerror(errno));
	if (ledger.alive == 0)
		return ps_error_set(err, -ESRCH, 503, "not_running", "", "The collector has ended.");
	if (now > ledger.alive && now - ledger.alive > PS_COLLECTOR_SILENT_S * PS_NSEC)
		return ps_error_set(err, -ETIMEDOUT, 503, "silent", "",
			"The collector (process %llu) has given no sign of life for %llu s.",
			(unsigned long long)ledger.pid, (unsigned long long)((now - ledger.alive) / PS_NSEC));
	if (ledger.waiting_since && now - ledger.waiting_since > PS_TAKEOVER_PATIENCE_NS)
		return ps_error_set(err, -EAGAIN, 503, "takeover_waits", "",
			"The new programs have waited %llu s for the rules, and those of the former version go on "
			"enforcing theirs: start packetscope-aggregator of this version, or see why it does not "
			"install them.",
			(unsigned long long)((now - ledger.waiting_since) / PS_NSEC));
	return 0;
}
