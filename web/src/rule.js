// A filter rule as people read it.

import { tcpFlags } from "./format.js";

const given = (ip) => ip && ip !== "any";

function end(ip, port) {
	const text = String(port ?? 0);
	if (!given(ip))
		return text !== "0" ? `any:${text}` : "any";
	return text !== "0" ? `${ip.includes(":") ? `[${ip}]` : ip}:${text}` : ip;
}

const has = (port) => port !== undefined && port !== 0 && port !== "0" && port !== "";

/** The rule's condition in a line: "tcp from 10.0.0.0/8 to any:22". Members that are missing mean any. */
export function summary(r) {
	const words = [!r.protocol || r.protocol === "any" ? (r.rule_type && r.rule_type !== "basic" ? r.rule_type : "anything") : r.protocol];
	if (given(r.src_ip) || has(r.src_port))
		words.push("from", end(r.src_ip, r.src_port));
	if (given(r.dst_ip) || has(r.dst_port))
		words.push("to", end(r.dst_ip, r.dst_port));
	if (r.tcp_flags_mask)
		words.push(`flags ${tcpFlags(r.tcp_flags)} of ${tcpFlags(r.tcp_flags_mask)}`);
	if ((r.icmp_type ?? 255) !== 255)
		words.push(`type ${r.icmp_type}`);
	if ((r.icmp_code ?? 255) !== 255)
		words.push(`code ${r.icmp_code}`);
	const inner = [];
	if (given(r.inner_protocol))
		inner.push(r.inner_protocol);
	if (given(r.inner_src_ip) || has(r.inner_src_port))
		inner.push("from", end(r.inner_src_ip, r.inner_src_port));
	if (given(r.inner_dst_ip) || has(r.inner_dst_port))
		inner.push("to", end(r.inner_dst_ip, r.inner_dst_port));
	if (inner.length)
		words.push("quoting", ...inner);
	return words.join(" ");
}

/** What the rule does, in a word or two. */
export const effect = (r) => (r.action === "allow" ? "allow" : r.rate_limit ? `drop above ${r.rate_limit}/s` : "drop");

/* What the program adds to a rule and does not take back. */
const ECHO = ["packets", "bytes", "first_hit", "last_hit", "generation", "warnings", "impact", "reason", "evidence", "expires_at", "expired",
	"confirm_by"];

/** The members that a person can set. */
export const settable = (r) => Object.fromEntries(Object.entries(r).filter(([name]) => !ECHO.includes(name)));
