# SPDX-License-Identifier: MIT
"""`packetscope filters` as an operator and a script use it: every action, what it prints, its exit status, and what it says when refused."""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import time

from harness import BIN, CLIENT4, SERVER4, Host, Pipeline, main, need
from lab import Server

PORT = 7777


class Cli:
    """Runs the command line in the namespace of the pipeline."""

    def __init__(self, pipeline):
        self.pipeline = pipeline

    def __call__(self, *args, stdin=None):
        """Exit status, standard output, standard error."""
        done = subprocess.run(self.command(*args), input=stdin, stdin=subprocess.DEVNULL if stdin is None else None, capture_output=True,
                              text=True, env=self.pipeline.environment(), timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def command(self, *args):
        return self.pipeline.ns.command(os.path.join(BIN, "packetscope"), "filters", "--api", f"127.0.0.1:{self.pipeline.port}", *args)

    def json(self, *args, stdin=None):
        status, out, err = self(*args, "--json", stdin=stdin)
        if status:
            raise RuntimeError(f"filters {' '.join(args)}: {status} {err}")
        return json.loads(out) if out.strip() else None

    def on_terminal(self, *args, answer=None, interrupt=False, seconds=30):
        """The same on a terminal: exit status, and all that appeared. After the question: a line, or Ctrl-C."""
        leader, follower = pty.openpty()
        process = subprocess.Popen(self.command(*args), stdin=follower, stdout=follower, stderr=follower,
                                   env=self.pipeline.environment(), start_new_session=True)
        os.close(follower)
        said, asked, end = b"", False, time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([leader], [], [], 0.1)[0]:
                try:
                    data = os.read(leader, 4096)
                except OSError:
                    break
                if not data:
                    break
                said += data
            if b"Enter keeps it" in said and not asked:
                asked = True
                if answer is not None:
                    os.write(leader, answer)
                elif interrupt:
                    process.send_signal(signal.SIGINT)
        os.close(leader)
        return process.wait(10), said.decode(errors="replace")


def refusals(report, cli):
    for args, words in (
            (("add", "--src-ip", "10.0.0.1/8"), ("src_ip", "write 10.0.0.0/8")),
            (("add", "--dst-port", "9-8"), ("dst_port", "write 8-9")),
            (("add", "--rule-type", "udp", "--tcp-flags", "SYN"), ("tcp_flags", "udp")),
            (("show", "99"), ("99", "filters list")),
            (("set", "99", "--enabled"), ("99",)),
            (("rm", "99"), ("99",)),
    ):
        status, out, err = cli(*args)
        report.check(f"filters {' '.join(args)} is refused with its reason",
                     status == 1 and not out and all(word in err for word in words), f"{status} {out} {err}")
    for args in (("add",), ("nonsense",), ("rm", "x"), ("add", "--src-ip")):
        report.equal(f"filters {' '.join(args)}: exit status", cli(*args, stdin="")[0], 2)
    report.equal("nothing of that left a rule", cli.json("list"), [])
    report.check("an empty list says how to begin", "filters add" in cli("list")[1])
    status, _, err = cli("list", "--api", "127.0.0.1:1")
    report.check("no gateway: exit status 3", status == 3 and "packetscope up" in err, f"{status} {err}")


def one_by_one(report, cli):
    status, out, err = cli("add", "--rule-type", "tcp", "--src-ip", "203.0.113.0/24", "--dst-port", "443,22,80-90", "--comment", "x y", "--enabled")
    report.check("add with flags", status == 0 and "dst_port=22,80-90,443" in out and "src_ip=203.0.113.0/24" in out, f"{status} {out} {err}")
    report.check("no colours where there is no terminal", "\033" not in out, repr(out))
    rule = cli.json("show", "0")
    report.equal("show --json", (rule["id"], rule["dst_port"], rule["enabled"], rule["comment"]), (0, "22,80-90,443", True, "x y"))
    report.check("show", "priority   1000" in cli("show", "0")[1], cli("show", "0"))
    report.equal("set", cli("set", "0", "--priority", "5", "--ttl", "600", "--enabled", "no")[0], 0)
    rule = cli.json("show", "0")
    report.check("and it is so", (rule["priority"], rule["enabled"]) == (5, False) and 590 < rule["ttl"] <= 600, rule)
    cli("set", "0", "--ttl", "none")
    report.equal("ttl none takes it back", cli.json("show", "0")["ttl"], None)
    report.equal("enable", (cli("enable", "0")[0], cli.json("show", "0")["enabled"]), (0, True))
    report.equal("disable", (cli("disable", "0")[0], cli.json("show", "0")["enabled"]), (0, False))
    again = cli.json("add", "-", stdin=json.dumps(rule))
    report.equal("what show --json says can be added", [again[k] for k in ("id", "src_ip", "dst_port", "priority")],
                 [1, "203.0.113.0/24", "22,80-90,443", 5])
    status, out, _ = cli("list")
    report.check("list is a table", status == 0 and out.splitlines()[0].split()[:3] == ["ID", "STATE", "ACTION"] and len(out.splitlines()) == 3, out)
    status, out, err = cli("add", "--rule-type", "icmp", "--icmp-type", "3")
    report.check("warnings are printed", status == 0 and "warning: Dropping ICMP type 3" in out, f"{out} {err}")
    report.equal("rm of several", (cli("rm", "0", "1", "2")[0], cli.json("list")), (0, []))


def preview(report, cli, host):
    with host.client.datagrams(SERVER4) as sock:
        for _ in range(5):
            sock.sendto(b"x", (SERVER4, PORT))
    time.sleep(1.5)
    seen = cli.json("preview", "--rule-type", "udp", "--src-ip", CLIENT4, "--dst-port", str(PORT), "--enabled")
    report.check("preview counts the connection", seen["live"] == 1 and seen["packets"] >= 5, seen)
    status, out, _ = cli("preview", "--rule-type", "udp", "--src-ip", CLIENT4, "--dst-port", str(PORT), "--enabled")
    report.check("preview in words", status == 0 and "hits 1 live" in out, f"{status} {out}")
    report.equal("a preview makes no rule", cli.json("list"), [])


def many(report, cli):
    text = "# list\n10.9.0.1\r\n10.9.1.0/24 ; why\n2001:db8:9::/48\n10.9.2.0-10.9.2.2\n10.9.0.1\n"
    status, out, err = cli("import", "-", "--comment", "block list", "--ttl", "86400", stdin=text)
    report.check("import of a block list", status == 0 and "5 rules added (numbers 0 to 4)" in out, f"{status} {out} {err}")
    rules = cli.json("list")
    report.check("each line is a rule", [r["src_ip"] for r in rules] == ["10.9.0.1", "10.9.1.0/24", "10.9.2.0/31", "10.9.2.2", "2001:db8:9::/48"] and
                 all(r["enabled"] and r["comment"] == "block list" and r["source"] == "import" and r["ttl"] for r in rules), rules)
    status, _, err = cli("import", "-", stdin="10.8.0.1\n10.8.0.300\n")
    report.check("a bad line is named and nothing imported", status == 1 and "line 2" in err and len(cli.json("list")) == 5, f"{status} {err}")
    status, out, _ = cli("export", "list")
    report.equal("export as a list", [line for line in out.splitlines() if not line.startswith("#")],
                 ["10.9.0.1", "10.9.1.0/24", "10.9.2.0/31", "10.9.2.2", "2001:db8:9::/48"])
    saved = cli("export")[1]
    report.equal("export is JSON", len(json.loads(saved)), 5)
    status, out, err = cli("replace", "-", "--dry-run", stdin='[{"src_ip": "10.7.0.0/16", "enabled": true}]')
    report.check("replace --dry-run", status == 0 and "nothing was changed" in out and len(cli.json("list")) == 5, f"{status} {out} {err}")
    status, out, err = cli("replace", "-", stdin='[{"src_ip": "10.7.0.0/16", "enabled": true}]')
    report.check("replace", status == 0 and [r["src_ip"] for r in cli.json("list")] == ["10.7.0.0/16"], f"{status} {out} {err}")
    status, out, err = cli("replace", "-", stdin=saved)
    report.check("what was exported comes back", status == 0 and len(cli.json("list")) == 5, f"{status} {out} {err}")
    report.equal("replace by nothing", (cli("replace", "-", stdin="[]")[0], cli.json("list")), (0, []))


def confirming(report, cli):
    rule = ("add", "--rule-type", "udp", "--src-ip", "203.0.113.9", "--enabled")
    status, said = cli.on_terminal(*rule, "--confirm-within", "60", answer=b"\n")
    report.check("Enter confirms", status == 0 and "Confirmed." in said and cli.json("show", "0")["confirm_by"] is None, f"{status} {said}")
    status, said = cli.on_terminal(*rule, "--confirm-within", "60", interrupt=True)
    report.check("Ctrl-C leaves it", status == 1 and "filters confirm 1" in said and cli.json("show", "1")["confirm_by"], f"{status} {said}")
    report.check("confirm keeps it", cli("confirm", "1")[0] == 0 and cli.json("show", "1")["confirm_by"] is None)
    status, said = cli.on_terminal(*rule, "--confirm-within", "2")
    report.check("silence undoes it", status == 1 and "undone" in said, f"{status} {said}")
    status, _, err = cli(*rule, "--confirm-within", "60")
    report.check("without a terminal it says how", status == 0 and "packetscope filters confirm" in err, f"{status} {err}")
    cli("replace", "-", "--force", stdin="[]")


def shadow(report, cli):
    report.equal("a shadow rule", cli("add", "--src-ip", "203.0.113.9", "--mode", "shadow", "--enabled")[0], 0)
    report.check("is shown as one", " shadow " in cli("list")[1], cli("list"))
    number = str(cli.json("list")[0]["id"])
    report.equal("promote", (cli("promote", number)[0], cli.json("show", number)["mode"]), (0, "enforce"))
    cli("rm", number)


def protecting(report, cli):
    report.equal("protect add", cli("protect", "add", "198.51.100.0/24", "2001:db8::/32")[0], 0)
    report.check("protect list", [p["cidr"] for p in cli.json("protect")] == ["198.51.100.0/24", "2001:db8::/32"], cli("protect"))
    status, _, err = cli("add", "--src-ip", "198.51.100.0/25", "--enabled")
    report.check("a rule against it is refused, with the way on", status == 1 and "a protected network" in err and "--force" in err, f"{status} {err}")
    report.equal("--force does it", cli("add", "--src-ip", "198.51.100.0/25", "--enabled", "--force")[0], 0)
    report.equal("preview says so in its exit status", cli("preview", "--src-ip", "198.51.100.0/25", "--enabled")[0], 1)
    report.equal("protect rm", cli("protect", "rm", "198.51.100.0/24")[0], 0)
    report.check("and the rest stays", [p["cidr"] for p in cli.json("protect")] == ["2001:db8::/32"], cli("protect"))


def test(report):
    need("ip", "tc")
    with Host() as host, Pipeline(host.server, "ps0") as pipeline:
        _ = Server(host.server.listen(socket.AF_INET, socket.SOCK_DGRAM, SERVER4, PORT), lambda data: None)
        cli = Cli(pipeline)
        refusals(report, cli)
        one_by_one(report, cli)
        preview(report, cli, host)
        many(report, cli)
        confirming(report, cli)
        shadow(report, cli)
        protecting(report, cli)


main(test)
