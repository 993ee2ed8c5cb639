// Server-sent events as the HTML standard has them (9.2.6).

/** Splits text into events, each told to onevent as {id, event, data}. Feed it chunks, cut anywhere. */
export class EventParser {
	constructor(onevent) {
		this.onevent = onevent;
		this.rest = "";
		this.reset();
	}

	reset() {
		this.name = "";
		this.data = [];
	}

	feed(text) {
		const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
		this.rest = lines.pop();
		for (const line of lines)
			this.line(line);
	}

	line(line) {
		if (line === "") {
			if (this.data.length)
				this.onevent({ id: this.id, event: this.name || "message", data: this.data.join("\n") });
			this.reset();
			return;
		}
		const colon = line.indexOf(":");
		if (colon === 0)
			return; // a comment
		const field = colon < 0 ? line : line.slice(0, colon);
		const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
		if (field === "data")
			this.data.push(value);
		else if (field === "event")
			this.name = value;
		else if (field === "id")
			this.id = value;
	}
}
