// Numbers, times and codes as an operator reads them.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export const count = (n) => whole.format(n);

function scaled(n, base, units) {
	let i = 0;
	while (n >= base && i < units.length - 1) {
		n /= base;
		i++;
	}
	const digits = i === 0 || n >= 100 ? 0 : n >= 10 ? 1 : 2;
	return [n.toFixed(digits), units[i]];
}

export const bytesParts = (n) => scaled(n, 1000, ["B", "kB", "MB", "GB", "TB", "PB"]);
export const bitsParts = (n) => scaled(n, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]);

export const bytes = (n) => bytesParts(n).join("\u2009");
export const bits = (n) => bitsParts(n).join("\u2009");

/** Per second, small numbers with a digit. */
export const rate = (n) => (n > 0 && n < 10 ? n.toFixed(1) : whole.format(n));

export function micros(us) {
	if (!us)
		return "–";
	if (us < 1000)
		return `${us}\u2009µs`;
	return `${(us / 1000).toFixed(us < 10000 ? 2 : us < 100000 ? 1 : 0)}\u2009ms`;
}

const two = (n) => String(Math.floor(n)).padStart(2, "0");

export function span(seconds) {
	if (seconds < 1)
		return `${Math.round(seconds * 1000)}\u2009ms`;
	if (seconds < 60)
		return `${seconds.toFixed(1)}\u2009s`;
	if (seconds < 3600)
		return `${Math.floor(seconds / 60)}m\u2009${two(seconds % 60)}s`;
	if (seconds < 86400)
		return `${Math.floor(seconds / 3600)}h\u2009${two((seconds % 3600) / 60)}m`;
	return `${Math.floor(seconds / 86400)}d\u2009${two((seconds % 86400) / 3600)}h`;
}

let skew = 0; // the host's clock less ours, ms

export function setHostTime(text) {
	const t = Date.parse(text);
	if (!Number.isNaN(t))
		skew = t - Date.now();
}

/** How long ago, in the host's time. */
export function age(text) {
	const seconds = Math.max(0, (Date.now() + skew - Date.parse(text)) / 1000);
	if (Number.isNaN(seconds))
		return "–";
	return seconds < 1.5 ? "now" : seconds < 60 ? `${Math.round(seconds)}\u2009s ago` : `${span(seconds)} ago`;
}

/** Local time with milliseconds, the date only when it is not today. */
export function clock(text) {
	const d = new Date(text);
	if (Number.isNaN(d.getTime()))
		return "–";
	const time = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${String(d.getMilliseconds()).padStart(3, "0")}`;
	const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
	return d.toDateString() === new Date().toDateString() ? time : `${day} ${time}`;
}

export const host = (ip, port) => (ip === null ? "–" : `${ip.includes(":") ? `[${ip}]` : ip}:${port}`);

const FLAGS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

export const tcpFlags = (n) => FLAGS.filter((_, bit) => n & (1 << bit)).join(" ") || "–";

const ICMP = {
	0: "Echo reply", 3: "Destination unreachable", 4: "Source quench", 5: "Redirect", 8: "Echo request",
	9: "Router advertisement", 10: "Router solicitation", 11: "Time exceeded", 12: "Parameter problem", 13: "Timestamp",
	14: "Timestamp reply",
};
const ICMPV6 = {
	1: "Destination unreachable", 2: "Packet too big", 3: "Time exceeded", 4: "Parameter problem", 128: "Echo request",
	129: "Echo reply", 130: "Multicast listener query", 131: "Multicast listener report", 132: "Multicast listener done",
	133: "Router solicitation", 134: "Router advertisement", 135: "Neighbour solicitation", 136: "Neighbour advertisement",
	137: "Redirect", 143: "Multicast listener report v2",
};
const UNREACHABLE = {
	0: "network", 1: "host", 2: "protocol", 3: "port", 4: "fragmentation needed", 5: "source route", 9: "network prohibited",
	10: "host prohibited", 13: "filtered",
};

const isIPv6 = (row) => row.src_ip.includes(":");

export const isEchoRequest = (row) => row.icmp_type === (isIPv6(row) ? 128 : 8);

export function icmpName(row) {
	const six = isIPv6(row);
	const name = (six ? ICMPV6 : ICMP)[row.icmp_type] ?? `Type ${row.icmp_type}`;
	const detail = !six && row.icmp_type === 3 ? UNREACHABLE[row.icmp_code] : null;
	return detail ? `${name}: ${detail}` : name;
}
