#include "replay/capture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <pcap/pcap.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"

struct ps_capture {
	pcap_t *pcap;
	enum ps_link link;
	off_t size; /* 0 = not known */
};

static int open_file(const char *path, FILE **ret_file, off_t *ret_size, struct ps_error *err)
{
	_cleanup_fclose_ FILE *f = strcmp(path, "-") == 0 ? fdopen(dup(STDIN_FILENO), "rb") : fopen(path, "rbe");
	struct stat st;

	if (!f || fstat(fileno(f), &st) < 0)
		return ps_error_set(
			err, -errno, 400, "no_file", "FILE", "cannot open %.160s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return ps_error_set(
			err, -EISDIR, 400, "no_file", "FILE", "%.160s is a directory; name a capture file", path);
	*ret_size = S_ISREG(st.st_mode) ? st.st_size : 0;
	*ret_file = PS_TAKE(f);
	return 0;
}

int ps_capture_open(const char *path, struct ps_capture **ret_capture, struct ps_error *err)
{
	_cleanup_(ps_capture_free) struct ps_capture *c = calloc(1, sizeof(*c));
	_cleanup_fclose_ FILE *f = NULL;
	char reason[PCAP_ERRBUF_SIZE] = "";
	int r;

	if (!c)
		return -ENOMEM;
	r = open_file(path, &f, &c->size, err);
	if (r < 0)
		return r;
	c->pcap = pcap_fopen_offline_with_tstamp_precision(f, PCAP_TSTAMP_PRECISION_NANO, reason);
	if (!c->pcap)
		return ps_error_set(err, -EINVAL, 400, "bad_capture", "FILE",
			"%.80s is no capture that can be read (%.120s); pcap and pcapng are", path, reason);
	(void)PS_TAKE(f); /* pcap_close() closes it */
	r = ps_link_of(pcap_datalink(c->pcap), pcap_datalink_val_to_name(pcap_datalink(c->pcap)), &c->link, err);
	if (r < 0)
		return r;
	*ret_capture = PS_TAKE(c);
	return 0;
}

void ps_capture_free(struct ps_capture **capture)
{
	if (!*capture)
		return;
	if ((*capture)->pcap)
		pcap_close((*capture)->pcap);
	ps_freep(capture);
}

enum ps_link ps_capture_link(const struct ps_capture *capture)
{
	return capture->link;
}

const char *ps_capture_link_name(const struct ps_capture *capture)
{
	const char *name = pcap_datalink_val_to_name(pcap_datalink(capture->pcap));

	return name ? name : "unknown";
}

int ps_capture_next(struct ps_capture *capture, struct ps_capture_packet *ret_packet, struct ps_error *err)
{
	struct pcap_pkthdr *head;
	const u_char *data;
	int r = pcap_next_ex(capture->pcap, &head, &data);

	if (r == PCAP_ERROR_BREAK)
		return 0;
	if (r != 1)
		return ps_error_set(err, -EBADMSG, 400, "bad_capture", "FILE", "the capture breaks off: %.200s",
			pcap_geterr(capture->pcap));
	/* The precision asked for makes tv_usec nanoseconds. Times before 1970 are none. */
	*ret_packet = (struct ps_capture_packet){
		.data = data,
		.caplen = head->caplen,
		.wirelen = head->len,
		.time = head->ts.tv_sec < 0 ? 0 : (uint64_t)head->ts.tv_sec * PS_NSEC + (uint64_t)head->ts.tv_usec,
	};
	return 1;
}

double ps_capture_progress(const struct ps_capture *capture)
{
	off_t at = capture->size ? ftello(pcap_file(capture->pcap)) : -1;

	if (at < 0 || capture->size <= 0)
		return -1;
	return at >= capture->size ? 1 : (double)at / (double)capture->size;
}
