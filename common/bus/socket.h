/*
 * A ZeroMQ socket as the bus uses it. Private to common/bus/; nothing else includes zmq.h.
 */
#ifndef PS_BUS_SOCKET_H
#define PS_BUS_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>
#include <zmq.h>

#include "common/base/error.h"
#include "common/bus/bus.h"
#include "common/bus/curve.h"

struct ps_bus {
	void *context;
	struct ps_curve curve;
};

struct ps_socket {
	struct ps_bus *bus;
	void *handle;                                           /* NULL = none */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* socket file that a bind made; "" = none */
	dev_t dev;                                              /* and which file that was */
	ino_t ino;
};

struct ps_socket_options {
	int type;          /* ZMQ_PUB … */
	int hwm;           /* messages in each direction and for each peer */
	int64_t frame_max; /* bytes; a peer that sends a larger frame is cut off before it is read */
	int linger_ms;     /* how long a close waits for what was sent */
};

/* err tells what a failure means to an operator. */
int ps_socket_open(struct ps_bus *bus, const struct ps_socket_options *options, struct ps_socket *ret_socket,
	struct ps_error *err);
/*
 * ipc: a socket file that nobody listens on is replaced, one that lives is -EADDRINUSE, anything else -EEXIST; the file
 * gets mode 0660 and goes away with the socket.
 */
int ps_socket_bind(struct ps_socket *s, const char *endpoint, struct ps_error *err);
/* Further endpoints, tcp://address:port, separated by commas; "" = none. */
int ps_socket_bind_more(struct ps_socket *s, const char *endpoints, struct ps_error *err);
int ps_socket_connect(struct ps_socket *s, const char *endpoint, struct ps_error *err);
void ps_socket_close(struct ps_socket *s);

struct ps_frame {
	const void *data;
	size_t len;
};
#define PS_FRAMES_MAX 4 /* identity, header, body, payload */

/* Sends all frames as one message without waiting, or none. -EAGAIN: the peer's queue is full, or there is no peer. */
int ps_socket_send(struct ps_socket *s, const struct ps_frame *frames, size_t n);
/* The same with one frame more, which is shared and not copied: it stays the caller's, who must not change it. n is
 * less than PS_FRAMES_MAX. */
int ps_socket_send_body(struct ps_socket *s, const struct ps_frame *frames, size_t n, zmq_msg_t *body);

/* A received message. */
struct ps_frames {
	zmq_msg_t msg[PS_FRAMES_MAX];
	size_t n;     /* frames kept */
	size_t total; /* frames that came; more than PS_FRAMES_MAX were thrown away */
};

/* Takes one message without waiting: 1, 0 = nothing there, -errno. Without a message ret_frames is empty. */
int ps_socket_receive(struct ps_socket *s, struct ps_frames *ret_frames);
void ps_frames_free(struct ps_frames *frames); /* fits _cleanup_ */
const uint8_t *ps_frame_data(struct ps_frames *frames, size_t i, size_t *ret_len);

/* Waits for events (ZMQ_POLLIN, ZMQ_POLLOUT). 1, 0 = time is over, -errno. */
int ps_socket_wait(struct ps_socket *s, short events, long timeout_ms);

/*
 * What frames from outside say; -EBADMSG: they break the format. The result is to be freed in either case. A message
 * takes its payload frame over.
 */
int ps_frames_read_message(struct ps_frames *frames, struct ps_message *msg);
int ps_frames_read_request(struct ps_frames *frames, struct ps_request *req);
int ps_frames_read_reply(struct ps_frames *frames, struct ps_reply *reply);

/* For the loop. */
struct ps_socket *ps_publisher_socket(struct ps_publisher *pub);
struct ps_socket *ps_subscriber_socket(struct ps_subscriber *sub);
struct ps_socket *ps_responder_socket(struct ps_responder *resp);
struct ps_socket *ps_requester_socket(struct ps_requester *rq);

#endif
