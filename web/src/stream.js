// Server-sent events, read with fetch so that a token can go along (EventSource sends none). Reconnects with the last id; what
// was missed comes again or is told as a gap.

import { authorization } from "./api.js";
import { EventParser } from "./event_parser.js";

const SILENT = 40000; // the gateway says something every 15 s
const RETRY = [500, 1000, 2000, 5000];

/**
 * Keeps a stream open until close(). on: {open(), event(name, data), lost(error)}; lost is called each time it breaks, with status 404
 * for good: this gateway has no streams, or none of these topics.
 */
export class Stream {
	constructor(topics, on) {
		this.topics = topics;
		this.on = on;
		this.tries = 0;
		this.lastId = null;
		this.closed = false;
		this.connect();
	}

	close() {
		this.closed = true;
		clearTimeout(this.timer);
		clearTimeout(this.silence);
		this.abort?.abort();
	}

	/** Anything that comes shows that the other side lives. */
	heard() {
		clearTimeout(this.silence);
		this.silence = setTimeout(() => this.abort.abort(), SILENT);
	}

	async connect() {
		this.abort = new AbortController();
		let failure = { status: 0 };
		try {
			const response = await fetch(`/api/events?topics=${this.topics.join(",")}`, {
				headers: { ...authorization(), Accept: "text/event-stream", ...(this.lastId ? { "Last-Event-ID": this.lastId } : {}) },
				cache: "no-store", signal: this.abort.signal });
			if (response.ok)
				await this.read(response.body.pipeThrough(new TextDecoderStream()).getReader());
			else
				failure = { status: response.status };
		} catch {
			// the network's word for it says nothing that we could use
		}
		clearTimeout(this.silence);
		if (this.closed)
			return;
		this.on.lost(failure);
		this.timer = setTimeout(() => this.connect(), failure.status === 404 ? 30000 : RETRY[Math.min(this.tries++, RETRY.length - 1)]);
	}

	async read(reader) {
		const parser = new EventParser(({ id, event, data }) => {
			if (id !== undefined)
				this.lastId = id;
			let value;
			try {
				value = JSON.parse(data);
			} catch {
				return;
			}
			this.on.event(event, value);
		});
		this.tries = 0;
		this.on.open();
		this.heard();
		for (;;) {
			const { done, value } = await reader.read();
			if (done || this.closed)
				return;
			this.heard();
			parser.feed(value);
		}
	}
}
