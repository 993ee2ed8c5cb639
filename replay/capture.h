/*
 * A capture file, pcap or pcapng, read by libpcap: packets in the order of the file, times in nanoseconds. The only
 * file that includes libpcap is capture.c.
 */
#ifndef PS_REPLAY_CAPTURE_H
#define PS_REPLAY_CAPTURE_H

#include <stdint.h>

#include "common/base/error.h"
#include "replay/ethernet.h"

struct ps_capture;

struct ps_capture_packet {
	const uint8_t *data; /* valid until the next one is read */
	uint32_t caplen;
	uint32_t wirelen;
	uint64_t time; /* ns since 1970 */
};

/* "-" is standard input. Fills err with field "FILE": not there, no capture, a link type that can't be replayed. */
int ps_capture_open(const char *path, struct ps_capture **ret_capture, struct ps_error *err);
void ps_capture_free(struct ps_capture **capture);

enum ps_link ps_capture_link(const struct ps_capture *capture);
const char *ps_capture_link_name(const struct ps_capture *capture);

/* 1 = a packet, 0 = the end, -EBADMSG = the file breaks off or is damaged here (err says how). */
int ps_capture_next(struct ps_capture *capture, struct ps_capture_packet *ret_packet, struct ps_error *err);

/* How much of the file has been read, 0 to 1; negative where its size is not known. */
double ps_capture_progress(const struct ps_capture *capture);

#endif
