// What is typed into the filter box, as parameters of GET /api/connections: ":53" is a port, "tcp" a protocol, "established" a state, an
// address an address; the rest is text of the key.

export const STATES = ["syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close", "unreplied", "replied"];

const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;

export function parse(text) {
	const found = {}, rest = [];
	for (const word of text.trim().split(/\s+/).filter(Boolean)) {
		const low = word.toLowerCase();
		const port = /^:(\d{1,5})$/.exec(word);
		if (port && Number(port[1]) <= 65535 && !found.port)
			found.port = port[1];
		else if ((low === "tcp" || low === "udp") && !found.proto)
			found.proto = low;
		else if (STATES.includes(low) && !found.state)
			found.state = low;
		else if (!found.ip && ((IPV4.test(word) && word.split(".").every((n) => Number(n) < 256)) || (/^[\da-f:]+$/i.test(word) && (word.includes("::") || word.split(":").length === 8))))
			found.ip = word;
		else
			rest.push(word);
	}
	if (rest.length)
		found.q = rest.join(" ");
	return found;
}
