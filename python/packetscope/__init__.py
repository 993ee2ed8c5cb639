# SPDX-License-Identifier: MIT
"""Tap Packet Scope's stream from Python: pyzmq and msgpack are all it needs.

    import packetscope

    with packetscope.Tap(table=True) as tap:
        for record in tap:
            print(record.topic, record["src_ip"], record["dst_ip"], record["orig_bytes"])

A tap listens to the collector (`events`), the aggregator (`state`) and the AI worker (`findings`), notices every loss by epoch and sequence number, and,
if it keeps a table, catches up by itself with a snapshot: at the start, after a loss, after a restart of either. Records are
dictionaries by column name; times are ns since 1970. docs/stream.md describes the format on the wire; libpacketscope is the
same in C.
"""

import collections
import itertools
import time

import msgpack
import zmq
from zmq import auth

__all__ = ["Counters", "Gap", "Record", "Tap", "TOPICS"]
__version__ = "0.1.0"

TOPICS = ("conn.new", "conn.update", "conn.end", "icmp", "drop", "stats", "rule", "finding", "snapshot", "job")
TABLE_TOPICS = ("conn.new", "conn.update", "conn.end")
SCHEMA_VERSION = 1

FRAME_MAX = 1 << 20  # bytes of a payload that a publisher may send
HEADER_MAX = 16 << 10
RECORDS_MAX = 1024  # in one message
ENDED_MAX = 16384  # ids of ended connections that are remembered
ASIDE_MAX = 256 << 20  # bytes of messages kept while a snapshot is read; beyond it the socket's own bound holds
JOIN_SECONDS = 2.5  # publishers say once a second how far each topic has come
ANSWER_SECONDS = 2.0
AGAIN_SECONDS = 1.0
BEHIND_SECONDS = 0.05

Gap = collections.namedtuple("Gap", "source topic messages records seq restarted")
Gap.__doc__ = """What was lost between two messages of a topic, or `restarted`: by the publisher's restart nobody knows what. `seq` is the
number of the message that showed it: the last that is missing has one less."""


class Counters:
    """What came, and what was lost on the way to us."""

    def __init__(self):
        self.messages = self.records = self.lost_messages = self.lost_records = self.malformed = self.resyncs = 0

    def __repr__(self):
        return f"Counters({', '.join(f'{name}={value}' for name, value in vars(self).items())})"


class Record(dict):
    """A record: its fields, and `topic`, `ts` (ns since 1970), `source` ("events", "state", "snapshot")."""

    __slots__ = ("source", "topic", "ts")

    def __init__(self, fields, topic, ts, source):
        super().__init__(fields)
        self.topic, self.ts, self.source = topic, ts, source


class Malformed(ValueError):
    """A message against the format."""


def _number(header, key, most=(1 << 64) - 1):
    value = header.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Malformed(key)
    return value


def _unpack(data, most):
    """One object that fills data; msgpack's own limits are set by what is there."""
    if len(data) > most:
        raise Malformed("too long")
    try:
        return msgpack.unpackb(data, max_array_len=len(data), max_map_len=len(data), max_str_len=len(data), max_bin_len=len(data))
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise Malformed(str(error)) from error


def _rows(fields, payload):
    rows = _unpack(payload, FRAME_MAX)
    if not isinstance(fields, list) or not isinstance(rows, list) or len(rows) > RECORDS_MAX:
        raise Malformed("rows")
    for row in rows:
        if not isinstance(row, list) or len(row) != len(fields):
            raise Malformed("row")
    return [dict(zip(fields, row)) for row in rows]


class _Message:
    __slots__ = ("before", "epoch", "fields", "missed", "n", "payload", "seq", "topic", "ts")

    def __init__(self, frames):
        if len(frames) != 3:
            raise Malformed("frames")
        self.topic = frames[0].decode("ascii", "replace")
        header = _unpack(frames[1], HEADER_MAX)
        if self.topic not in TOPICS or not isinstance(header, dict) or header.get("v") != SCHEMA_VERSION:
            raise Malformed("header")
        self.epoch, self.seq, self.ts, _ = (_number(header, key) for key in ("epoch", "seq", "ts", "lost"))
        if not isinstance(header.get("host"), str):
            raise Malformed("host")
        self.n = _number(header, "n", RECORDS_MAX)
        self.before = _number(header, "before") if "before" in header else 0
        self.fields = header.get("fields")
        self.payload = frames[2]
        self.missed = 0
        if not self.seq or len(self.payload) > FRAME_MAX:
            raise Malformed("header")

    def records(self):
        """Dictionaries; a topic whose payload is one map gives that."""
        if self.fields is not None:
            return _rows(self.fields, self.payload)
        record = _unpack(self.payload, FRAME_MAX)
        if not isinstance(record, dict):
            raise Malformed("map")
        return [record]


class _Source:
    def __init__(self, socket):
        self.socket = socket
        self.held = None
        self.epoch = 0
        self.seq, self.expected = {}, {}
        self.valid_epoch, self.valid_seq = 0, {}


def _weight(record):
    """Of two records of one connection the one with more packets (then bytes) is newer."""
    return record["orig_packets"] + record["resp_packets"], record["orig_bytes"] + record["resp_bytes"]


class Tap:
    """A tap. As an iterator it gives Records; `live` is the table, id -> Record, if it keeps one.

    run_dir: directory of the sockets on this host. events, state, query, findings: endpoints, when they are elsewhere
    ("tcp://192.0.2.1:5556"). keys: (own secret file, server's public file) for CURVE, as `packetscope keygen` makes them.
    topics: an iterable of names. table: keep a table of the live connections; the iterator then gives each change of it once, in
    order. on_gap(Gap), on_resync(rows, gone): called as they happen.
    """

    def __init__(self, run_dir="/run/packetscope", events=None, state=None, query=None, findings=None, keys=None, topics=TABLE_TOPICS, table=False,
                 on_gap=None, on_resync=None):
        unknown = set(topics) - set(TOPICS)
        if unknown:
            raise ValueError(f"there is no topic {sorted(unknown)}; there are {TOPICS}")
        self.topics, self.table = frozenset(topics), table
        self.on_gap, self.on_resync = on_gap, on_resync
        self.counters = Counters()
        self.live, self._ended = {}, {}
        self._keys = keys
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        self._sources = {"events": _Source(self._subscribe(events or f"ipc://{run_dir}/events.sock")),
                         "state": _Source(self._subscribe(state or f"ipc://{run_dir}/state.sock")),
                         "findings": _Source(self._subscribe(findings or f"ipc://{run_dir}/findings.sock"))}
        self._query = None
        if table:
            self._query = self._open(zmq.DEALER, query or f"ipc://{run_dir}/control.sock")
        self._stale, self._synced, self._phase = table, False, "idle"
        self._since = self._not_until = 0.0
        self._request, self._cursor, self._numbers = 0, None, itertools.count(1)
        self._aside, self._aside_bytes, self._late = collections.deque(), 0, 0
        self._seen, self._rows = set(), 0
        self._ready = collections.deque()

    # --- sockets

    def _open(self, kind, endpoint):
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IPV6, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        socket.setsockopt(zmq.MAXMSGSIZE, 8 * FRAME_MAX)
        if kind == zmq.DEALER:
            socket.setsockopt(zmq.IMMEDIATE, 1)
        if endpoint.startswith("tcp://") and self._keys:
            socket.curve_publickey, socket.curve_secretkey = auth.load_certificate(self._keys[0])
            socket.curve_serverkey = auth.load_certificate(self._keys[1])[0]
        socket.connect(endpoint)
        self._poller.register(socket, zmq.POLLIN)
        return socket

    def _subscribe(self, endpoint):
        socket = self._open(zmq.SUB, endpoint)
        for topic in self.topics | (set(TABLE_TOPICS) if self.table else set()):
            socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
        return socket

    def close(self):
        for socket in (*(source.socket for source in self._sources.values()), self._query):
            if socket is not None:
                socket.close(0)
        self._context.term()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- messages

    def _follow(self, name, message):
        """What is missing before this message."""
        source = self._sources[name]
        first, restarted = not source.epoch, False
        if message.epoch != source.epoch:
            restarted = not first
            source.epoch, source.seq = message.epoch, {}
        last = source.seq.get(message.topic, 0)
        if message.seq <= last:
            raise Malformed("seq")
        message.missed = message.seq - last - 1 if last else 0
        records = max(0, message.before - source.expected[message.topic]) if last else 0
        source.seq[message.topic] = message.seq
        source.expected[message.topic] = message.before + message.n
        self.counters.messages += 1
        self.counters.records += message.n
        self.counters.lost_messages += message.missed
        self.counters.lost_records += records
        if self.table and name != "findings" and (restarted or (message.missed and message.topic in TABLE_TOPICS) or
                           (first and (self._synced or self._phase in ("ask", "page", "late")))):
            self._stale = True
        if self.on_gap and (restarted or message.missed):
            self.on_gap(Gap(name, message.topic, message.missed, records, message.seq, restarted))

    def _receive(self):
        """The older of the messages that wait: (source, message), or None."""
        oldest = None
        for name, source in self._sources.items():
            while source.held is None:
                try:
                    source.held = _Message(source.socket.recv_multipart(zmq.DONTWAIT))
                except zmq.Again:
                    break
                except Malformed:
                    self.counters.malformed += 1
            if source.held is not None and (oldest is None or source.held.ts < self._sources[oldest].held.ts):
                oldest = name
        if oldest is None:
            return None
        message, self._sources[oldest].held = self._sources[oldest].held, None
        try:
            self._follow(oldest, message)
        except Malformed:
            self.counters.malformed += 1
            return self._receive()
        return oldest, message

    def _take(self, name, message):
        """Appends what is new in a message to what is ready."""
        source = self._sources[name]
        of_table = self.table and message.topic in TABLE_TOPICS
        if message.n == 0:
            return
        if of_table and self._synced and message.epoch == source.valid_epoch and \
                message.seq <= source.valid_seq.get(message.topic, 0):
            return  # the snapshot has it
        try:
            records = message.records()
        except Malformed:
            self.counters.malformed += 1
            self._stale = self._stale or of_table
            return
        for fields in records:
            topic = self._fold(message.topic, fields) if of_table else message.topic
            if topic in self.topics:
                self._ready.append(Record(fields, topic, message.ts, name))

    # --- the table

    def _fold(self, topic, fields):
        """What a record does to the table; None: nothing new."""
        key = fields.get("id")
        known = self.live.get(key)
        if self._phase in ("ask", "page", "late"):
            self._seen.add(key)
        if key is None or key in self._ended:
            return None
        if topic == "conn.end":
            self.live.pop(key, None)
            self._ended[key] = True
            if len(self._ended) > ENDED_MAX:
                del self._ended[next(iter(self._ended))]
            return topic
        if known is not None and (_weight(fields) < _weight(known) or fields == known):
            return None
        self.live[key] = fields
        return "conn.update" if known else "conn.new"

    @property
    def in_step(self):
        """True from the first snapshot on, except while something is missing that the next one will bring."""
        return self._synced and not self._stale and self._phase == "idle"

    # --- snapshots: see docs/stream.md

    def _enter(self, phase, now):
        self._phase, self._since = phase, now

    def _give_up(self, now):
        self._stale, self._not_until = True, now + AGAIN_SECONDS
        self._enter("idle", now)

    def _joined(self):
        events, state = (self._sources[name].seq for name in ("events", "state"))
        return all(topic in events for topic in TABLE_TOPICS) and all(topic in state for topic in TABLE_TOPICS[1:])

    def _ask(self, now):
        self._request = next(self._numbers)
        header = {"v": SCHEMA_VERSION, "id": self._request, "op": "snapshot", "peer": "tap",
                  "deadline": time.time_ns() + int(ANSWER_SECONDS * 1e9)}
        try:
            self._query.send_multipart([msgpack.packb(header), msgpack.packb({"cursor": self._cursor} if self._cursor else {})],
                                       zmq.DONTWAIT)
        except zmq.Again:  # nobody is there yet
            self._give_up(now)
            return
        self._enter("page" if self._cursor else "ask", now)

    def _behind(self):
        """Has the aggregator not yet applied all that is in our table? What was put aside comes after the snapshot."""
        events = self._sources["events"]
        seq = dict(events.seq)
        for name, message in reversed(self._aside):
            if name == "events" and message.epoch != events.epoch:
                return False  # the collector was restarted since: another snapshot is due anyway
            if name == "events":
                seq[message.topic] = message.seq - 1 - message.missed
        if not events.epoch:
            return False
        return events.valid_epoch != events.epoch or any(events.valid_seq.get(topic, 0) < seq.get(topic, 0) for topic in TABLE_TOPICS)

    def _page(self, frames, now):
        """Takes one page of the snapshot."""
        header, body = _unpack(frames[0], HEADER_MAX), _unpack(frames[1], 8 * FRAME_MAX)
        if not isinstance(header, dict) or header.get("id") != self._request or self._phase not in ("ask", "page"):
            return
        if header.get("status") != 200 or not isinstance(body, dict) or len(frames) != 3:
            raise Malformed("no page")
        rows = _rows(body.get("fields"), frames[2])
        if self._phase == "ask":
            for name in ("events", "state"):
                source = self._sources[name]
                source.valid_seq = body["seq"][name]
                source.valid_epoch = source.valid_seq.get("epoch", 0)
            if self._behind():
                self._request, self._not_until = 0, now + BEHIND_SECONDS
                return
        self._cursor = body.get("next")
        self._rows += len(rows)
        for fields in rows:
            topic = self._fold("conn.update", fields)
            if topic in self.topics:
                self._ready.append(Record(fields, topic, time.time_ns(), "snapshot"))
        if self._cursor:
            self._ask(now)
            return
        self._synced, self._late = True, len(self._aside)
        self._enter("late", now)

    def _finish(self, now):
        gone = [key for key in self.live if key not in self._seen]
        for key in gone:
            fields = self.live.pop(key)
            if "conn.end" in self.topics:
                self._ready.append(Record(fields, "conn.end", time.time_ns(), "snapshot"))
        self._seen = set()
        self._enter("idle", now)
        self.counters.resyncs += 1
        if self.on_resync:
            self.on_resync(self._rows, len(gone))

    def _sync(self, now):
        """Moves the snapshot on as far as it goes without waiting; returns when it must be looked at again."""
        try:
            while self._phase in ("ask", "page"):
                self._page(self._query.recv_multipart(zmq.DONTWAIT), now)
        except zmq.Again:
            pass
        except (Malformed, KeyError, TypeError, AttributeError, IndexError):
            self._give_up(now)
        if self._phase == "late" and self._late == 0:
            self._finish(now)
        if self._phase == "idle" and self._stale and now >= self._not_until:
            self._enter("join", now)
        if self._phase == "join" and (self._joined() or now - self._since >= JOIN_SECONDS):
            self._stale, self._cursor, self._seen, self._rows = False, None, set(), 0
            self._ask(now)
        if self._phase == "ask" and not self._request and now >= self._not_until:
            self._ask(now)
        if self._phase in ("ask", "page") and self._request and now - self._since >= ANSWER_SECONDS:
            self._give_up(now)
        if self._phase == "join":
            return self._since + JOIN_SECONDS
        if self._phase == "idle":
            return self._not_until if self._stale else float("inf")
        return self._since + ANSWER_SECONDS if self._request else self._not_until

    # --- listening

    def _advance(self):
        """Works until something is ready or nothing is left to do; returns when it must be called again."""
        due = float("inf")
        while not self._ready:
            if self.table:
                due = self._sync(time.monotonic())
            waits = self._phase in ("ask", "page")
            if self._ready:
                break
            if self._aside and not waits:
                name, message = self._aside.popleft()
                self._aside_bytes -= len(message.payload)
                self._late = max(0, self._late - 1)
                self._take(name, message)
                continue
            got = self._receive() if self._aside_bytes <= ASIDE_MAX else None
            if got is None:
                if self._phase == "late":
                    continue
                break
            if waits:
                self._aside.append(got)
                self._aside_bytes += len(got[1].payload)
            else:
                self._take(*got)
        return due

    def next(self, timeout=None):
        """The next Record, or None when `timeout` (seconds) is over."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            due = self._advance()
            if self._ready:
                return self._ready.popleft()
            now = time.monotonic()
            if now >= deadline:
                return None
            until = min(due, deadline)
            self._poller.poll(None if until == float("inf") else max(0, int((until - now) * 1000) + 1))

    def __iter__(self):
        while True:
            yield self.next()
