// Numbers, times and codes as an operator reads them.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const THIN = "\u2009";

export const count = (n) => whole.format(n);
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

function scaled(n, base, units) {
	let i = 0;
	while (n >= base && i < units.length - 1) {
		n /= base;
		i++;
	}
	const digits = i === 0 || n >= 100 ? 0 : n >= 10 ? 1 : 2;
	return [n.toFixed(digits), units[i]];
}

const BYTES = ["B", "kB", "MB", "GB", "TB", "PB"];
const BITS = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];

export const bitsParts = (n) => scaled(n, 1000, BITS);
export const bytes = (n) => scaled(n, 1000, BYTES).join(THIN);
export const bits = (n) => bitsParts(n).join(THIN);
/** 1234567 → "1.23 M", for axes. */
export const short = (n) => (n < 1000 ? String(Math.round(n * 100) / 100) : scaled(n, 1000, ["", "k", "M", "G", "T"]).join(""));

/** Per second, small numbers with a digit. */
export const rate = (n) => (n > 0 && n < 10 ? n.toFixed(1) : whole.format(n));

export const percent = (ratio, digits = 1) => `${(ratio * 100).toFixed(digits)}${THIN}%`;

export function micros(us) {
	if (!us)
		return "–";
	if (us < 1000)
		return `${us}${THIN}µs`;
	return `${(us / 1000).toFixed(us < 10000 ? 2 : us < 100000 ? 1 : 0)}${THIN}ms`;
}

const two = (n) => String(Math.floor(n)).padStart(2, "0");

export function span(seconds) {
	if (seconds < 1)
		return `${Math.round(seconds * 1000)}${THIN}ms`;
	if (seconds < 60)
		return `${seconds.toFixed(1)}${THIN}s`;
	if (seconds < 3600)
		return `${Math.floor(seconds / 60)}m${THIN}${two(seconds % 60)}s`;
	if (seconds < 86400)
		return `${Math.floor(seconds / 3600)}h${THIN}${two((seconds % 3600) / 60)}m`;
	return `${Math.floor(seconds / 86400)}d${THIN}${two((seconds % 86400) / 3600)}h`;
}

let skew = 0; // the host's clock less ours, ms

export function setHostTime(text) {
	const t = Date.parse(text);
	if (!Number.isNaN(t))
		skew = t - Date.now();
}

export const hostNow = () => Date.now() + skew;

/** How long ago, in the host's time. */
export function age(text) {
	const seconds = (hostNow() - Date.parse(text)) / 1000;
	if (Number.isNaN(seconds))
		return "–";
	return seconds < 1.5 ? "now" : seconds < 60 ? `${Math.round(seconds)}${THIN}s ago` : `${span(seconds)} ago`;
}

/** Seconds until a moment of the host's time; negative when it has passed. */
export const secondsTo = (text) => (Date.parse(text) - hostNow()) / 1000;

/** Local time with milliseconds, the date only when it is not today. */
export function clock(text) {
	const d = new Date(text);
	if (Number.isNaN(d.getTime()))
		return "–";
	const time = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${String(d.getMilliseconds()).padStart(3, "0")}`;
	const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
	return d.toDateString() === new Date().toDateString() ? time : `${day} ${time}`;
}

export const address = (ip) => (ip === null || ip === undefined ? "–" : ip.includes(":") ? `[${ip}]` : ip);
export const host = (ip, port) => `${address(ip)}:${port}`;

const FLAGS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

export const tcpFlags = (n) => FLAGS.filter((_, bit) => n & (1 << bit)).join(" ") || "–";
