// What codes mean, in words: ICMP messages, history letters, connection summaries, well-known ports.

import * as f from "./format.js";

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
const UNREACHABLE6 = { 0: "no route", 1: "prohibited", 2: "beyond scope", 3: "address", 4: "port", 5: "policy", 6: "route rejected" };

const isIPv6 = (row) => (row.src_ip ?? row.dst_ip ?? "").includes(":");

export const isEchoRequest = (row) => row.icmp_type === (isIPv6(row) ? 128 : 8);

export function icmpName(row) {
	const six = isIPv6(row);
	const name = (six ? ICMPV6 : ICMP)[row.icmp_type] ?? `Type ${row.icmp_type}`;
	const detail = row.icmp_type === (six ? 1 : 3) ? (six ? UNREACHABLE6 : UNREACHABLE)[row.icmp_code] : null;
	return detail ? `${name}: ${detail}` : name;
}

/* The letters of a history. Upper case is the originator's, lower case the responder's. */
const HISTORY = {
	S: "SYN: asks for a connection", H: "SYN+ACK: agrees to it", A: "ACK alone", D: "payload", F: "FIN: nothing more to send",
	R: "RST: breaks it off", Q: "flags that do not go together (SYN with FIN or RST)", I: "FIN and RST at once",
	T: "sent again (each further T: ten times as often)", W: "window closed: the receiver is full",
	G: "a gap: payload that was acknowledged but never seen here", "^": "the first packet seen came from the responder",
};

/** "ShA" → [{letter, who, text}]; a repeated letter is repeated. */
export function explainHistory(history) {
	return [...(history ?? "")].map((letter) => ({
		letter,
		who: letter === "^" ? "" : letter === letter.toUpperCase() ? "originator" : "responder",
		text: HISTORY[letter.toUpperCase()] ?? "unknown",
	}));
}

/* Zeek's words for how a connection went. */
export const CONN_STATES = {
	S0: "asked, no answer", S1: "established, not ended", S2: "originator has ended its side, responder has not",
	S3: "responder has ended its side, originator has not", SF: "established and ended in order", REJ: "asked and refused",
	RSTO: "established, broken off by the originator", RSTR: "broken off by the responder",
	RSTOS0: "SYN, then RST by the originator, no answer seen", RSTRH: "SYN+ACK, then RST by the responder, no SYN seen",
	SH: "SYN, then FIN by the originator, no answer seen", SHR: "SYN+ACK, then FIN by the responder, no SYN seen",
	OTH: "met in the middle",
};

const PORTS = {
	20: "ftp-data", 21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 53: "dns", 67: "dhcp", 68: "dhcp", 69: "tftp", 80: "http", 88: "kerberos",
	110: "pop3", 111: "rpcbind", 123: "ntp", 135: "msrpc", 137: "netbios", 138: "netbios", 139: "netbios", 143: "imap", 161: "snmp",
	162: "snmp-trap", 179: "bgp", 389: "ldap", 443: "https", 445: "smb", 465: "smtps", 500: "ike", 514: "syslog", 546: "dhcpv6", 547: "dhcpv6",
	587: "submission", 631: "ipp", 636: "ldaps", 853: "dns-tls", 873: "rsync", 990: "ftps", 993: "imaps", 995: "pop3s", 1194: "openvpn",
	1433: "mssql", 1521: "oracle", 1883: "mqtt", 1900: "ssdp", 2049: "nfs", 2375: "docker", 2379: "etcd", 3128: "proxy", 3306: "mysql", 3389: "rdp",
	4500: "ipsec", 5060: "sip", 5201: "iperf3", 5353: "mdns", 5432: "postgres", 5672: "amqp", 5900: "vnc", 6379: "redis", 6443: "kubernetes",
	8080: "http-alt", 8443: "https-alt", 9000: "", 9090: "prometheus", 9100: "node-exporter", 9200: "elastic", 11211: "memcached",
	27017: "mongodb", 51820: "wireguard",
};

/** The usual name of a port, or "". */
export const portName = (port) => PORTS[port] ?? "";

const KINDS = {
	port_scan: "Port scan", port_scan_vertical: "Port scan", port_scan_horizontal: "Host scan", syn_flood: "SYN flood",
	brute_force: "Brute force", icmp_sweep: "ICMP sweep", icmp_tunnel: "ICMP tunnel", udp_amplification: "UDP amplification", beaconing: "Beaconing",
};

export const kindName = (kind) => KINDS[kind] ?? (kind ? kind[0].toUpperCase() + kind.slice(1).replaceAll("_", " ") : "Finding");

/** "10.0.0.1:1234 → 10.0.0.2:80" */
export const ends = (row) => `${f.host(row.src_ip, row.src_port)} → ${f.host(row.dst_ip, row.dst_port)}`;

/** A drop record: {text, label, kind}. A rule in shadow mode only says what it would do. */
export function dropWords(row) {
	const shadow = row.mode === "shadow";
	const who = row.proto === "tcp" || row.proto === "udp" ? ends(row) : `${row.src_ip} → ${row.dst_ip}`;
	return {
		text: `${shadow ? "would be dropped" : "dropped"} by rule ${row.rule_id}: ${row.proto} ${who}, ${f.bytes(row.bytes)}`,
		label: shadow ? "would drop" : "drop", kind: shadow ? "shadow" : "drop",
	};
}
