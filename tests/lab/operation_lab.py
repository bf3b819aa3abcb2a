"""Operation: the log for machines, metrics, limits and sender rules, PROXY, reload, checks of the configuration, and every command and
example of the manuals."""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import smtplib
import socket
import ssl
import struct
import subprocess
import sys
import time
import unicodedata

from case import main
from receiver import Receiver
from submit import connect, message, send, submit
from world import Certificate, SANITIZED, TOP, World, free_port, parse_logfmt, wait_for

HOME = ["example.net. 300 IN MX 10 mx.example.net.", "mx.example.net. 300 IN A 127.0.1.5"]


@contextlib.contextmanager
def office(answers=None, users=("alice",), change=lambda text: text, records=(), **options):
    """(world, daemon, receiver of example.com): USERS can log in with the password "secret"; CHANGE edits the configuration."""
    with World(World.RECORDS + list(records)) as world:
        receiver = world.add(Receiver("127.0.1.1", world.delivery_port, answers))
        options.setdefault("queue", "retry = { 1h }")
        daemon = world.posternd(**options)
        daemon.text = change(daemon.text)
        daemon.file.write_text(daemon.text)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: daemon.user(name, "secret"), users[:1]))
            list(pool.map(lambda name: daemon.user(name, "secret"), users[1:]))
        daemon.start(wait=False)
        wait_for(lambda: '"ready:' in daemon.new_log(), what="the daemon's being ready")
        yield world, daemon, receiver


def refusal(call, *arguments, **named):
    """(code, enhanced code) that CALL was refused with; None where it was not."""
    try:
        call(*arguments, **named)
    except smtplib.SMTPRecipientsRefused as refused:
        code, text = next(iter(refused.recipients.values()))
    except smtplib.SMTPResponseException as refused:
        code, text = refused.smtp_code, refused.smtp_error
    except smtplib.SMTPException as other:  # 421 before the login, since the process makes room for another
        return 421, str(other)
    else:
        return None
    return code, text.split()[0].decode()


def from_address(address, port):
    """An smtplib session with PORT from ADDRESS, after EHLO."""
    session = smtplib.SMTP("127.0.0.1", port, timeout=60, source_address=(address, 0))
    session.ehlo("client.example.net")
    return session


EVENT_KEYS = {  # beside time, level, role and event
    "accepted": {"id", "account", "client", "from", "nrcpt", "size"},
    "delivered": {"id", "to", "site", "mx", "tls", "attempt", "delay", "reply"},
    "deferred": {"id", "to", "site", "mx", "tls", "attempt", "delay", "reply", "next"},
    "bounced": {"id", "to", "site", "mx", "tls", "attempt", "delay", "reply"},
    "throttled": {"limit", "key", "value", "then"},
    "held": {"id"}, "released": {"id"}, "removed": {"id"}, "authenticated": set(), "auth-failed": set(), "rejected": set(), "site-backoff": {"site"},
    "connected": set(), "tls": set(),
}


def case_the_log_for_machines_is_json_line_by_line():
    """log { format = json }: each line is an object of its own with the keys that are promised; logfmt says the same."""
    answers = {("rcpt", "later@example.com"): "450 4.2.0 later", ("rcpt", "never@example.com"): '550 5.1.1 "never"'}
    for kind in ("json", "logfmt"):
        with office(answers, sections=f"log {{ format = {kind} level = debug }}\nlimit few {{ key = client count = recipients rate = \"6/1h\" "
                                      'except = { "alice" } }\n') as (_, daemon, receiver):
            submit(daemon, "alice@example.net", [f"{name}@example.com" for name in ("bob", "later", "never")], message())
            held = submit(daemon, "alice@example.net", ["bob@dead.example"], message())
            session = connect(daemon, user=None)
            assert session.docmd("AUTH", "PLAIN AGFsaWNlAHdyb25n")[0] == 535  # one try: a refusal takes its time
            session.close()
            for _ in range(2):
                refusal(submit, daemon, "printer@example.net", [f"u{i}@example.com" for i in range(4)], message(), open_listener=True)
            assert refusal(submit, daemon, "alice@example.net", ["x@nothing.invalid"], message())
            daemon.cli("queue", "hold", held)
            daemon.cli("queue", "release", held)
            daemon.cli("queue", "remove", held)
            wait_for(lambda: len(receiver.messages) >= 1)

            def events():
                lines = daemon.log_path.read_text().splitlines()
                return [json.loads(line) if kind == "json" else parse_logfmt(line) for line in lines]
            wait_for(lambda: set(EVENT_KEYS) <= {e["event"] for e in events()}, what=f"all kinds of events, not only {sorted({e['event'] for e in events()})}")
            for event in events():
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"]) and event["level"] in ("debug", "info", "warning", "error"), event
                missing = ({"role"} | EVENT_KEYS.get(event["event"], set())) - set(event)
                assert not missing, (missing, event)
                assert kind != "json" or all(isinstance(v, (str, int)) for v in event.values()), event


def curl(address, path, *options):
    """(status, header, body) that curl gets."""
    done = subprocess.run(["curl", "-sS", "-i", "--max-time", "20", *options, f"http://{address}{path}"], capture_output=True)
    assert done.returncode == 0, done.stderr
    header, _, body = done.stdout.partition(b"\r\n\r\n")
    return int(header.split()[1]), header.decode(), body.decode()


SAMPLE = re.compile(r'([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (-?[0-9.]+)')


def read_metrics(text):
    """{name: value} of the Prometheus text format 0.0.4, which is checked on the way."""
    typed, helped, found = {}, set(), {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in helped and len(line.split()) > 3, line
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in typed and kind in ("gauge", "counter"), line
            typed[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match and match.group(1) in typed and match.group(1) in helped, line
            key = (match.group(1), match.group(2)) if match.group(2) else match.group(1)
            assert key not in found, line
            found[key] = float(match.group(3))
    return found


@contextlib.contextmanager
def observed(**options):
    """An office with an HTTP address: (daemon, address, receiver)."""
    address = f"127.0.0.1:{free_port()}"
    with office(change=lambda text: text.replace("control { socket", f'control {{ http = "{address}" socket'), **options) as (_, daemon, receiver):
        yield daemon, address, receiver


def case_metrics_and_status_over_http():
    """/metrics is in the text format and moves, /status is what postern status says, /healthz answers; nothing can be changed."""
    with observed() as (daemon, address, receiver):
        status, header, body = curl(address, "/metrics")
        before = read_metrics(body)
        assert status == 200 and "text/plain; version=0.0.4" in header and before["postern_queue_messages"] == 0, (header, body)
        for i in range(3):
            submit(daemon, "alice@example.net", ["bob@dead.example", "carol@dead.example"], message(str(i)))
        wait_for(lambda: daemon.events("site-backoff"))
        after = read_metrics(curl(address, "/metrics?x=y")[2])
        assert after["postern_queue_messages"] == 3 and after["postern_queue_recipients"] == 6, after
        assert after[("postern_site_resting", 'site="mx.dead.example"')] == 1 and after[("postern_up", 'role="queue"')] == 1, after
        held = daemon.cli("queue", "hold", "--all")
        assert "3" in held and read_metrics(curl(address, "/metrics")[2])["postern_queue_recipients_held"] == 6
        status, header, body = curl(address, "/status")
        shown, said = json.loads(body), daemon.cli("status", json_output=True)
        assert status == 200 and "application/json" in header and shown["queue"] == said["queue"] and shown["version"] == said["version"], body
        assert curl(address, "/healthz")[0] == 200
        status, header, body = curl(address, "/metrics", "-I")
        assert status == 200 and not body and "Content-Length" in header
        assert curl(address, "/queue")[0] == 404 and curl(address, "/status", "-d", "x=1")[0] == 405 and curl(address, "/status", "-X", "DELETE")[0] == 405
        daemon.cli("queue", "remove", "--all")
        wait_for(lambda: read_metrics(curl(address, "/metrics")[2])["postern_queue_messages"] == 0)


def http_bytes(address, data):
    """What comes back for DATA until the end."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), 60) as sock:
        sock.sendall(data)
        return read_all(sock)


def read_all(sock):
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            got += piece
    return got


def case_hostile_http_clients_are_closed():
    """Garbage, endless headers, SMTP and TLS get one answer; those who say nothing or drip are closed; too many get 503, and then it serves again."""
    with observed() as (daemon, address, _):
        for data in (b"\r\n\r\n", b"GET\r\n\r\n", b"GET http://x/ HTTP/1.1\r\n\r\n", b"GET /status HTTP/2.0\r\n\r\n", b"EHLO x\r\n\r\n", b"GET /status\r\n\r\n",
                     b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n", b"GET /status HTTP/1.1\r\n" + b"X: y\r\n" * 3000, b"\0" * 9000):
            answer = http_bytes(address, data)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400 "), (data[:40], answer[:100])
        assert http_bytes(address, b"GET /healthz HTTP/1.1\r\n\r\nGET /status HTTP/1.1\r\n\r\n").count(b"HTTP/1.1 ") == 1, "one request a connection"
        assert b"404" in http_bytes(address, b"GET /../../etc/passwd HTTP/1.1\r\n\r\n") and b"404" in http_bytes(address, b"GET /status%00 HTTP/1.1\r\n\r\n")
        host, port = address.split(":")
        silent = [socket.create_connection((host, int(port)), 60) for _ in range(40)]
        for sock in silent[:5]:
            sock.sendall(b"GET /status HTTP/1.1\r\nX:")
        assert curl(address, "/healthz")[0] == 503
        for sock in silent[5:10]:
            sock.close()

        def drip(sock):
            with contextlib.suppress(OSError):
                while True:
                    sock.settimeout(0.5)
                    sock.sendall(b"x")
                    with contextlib.suppress(socket.timeout):
                        if not sock.recv(100):
                            return
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            dripping = [pool.submit(drip, sock) for sock in silent[:5]]
            waiting = [pool.submit(read_all, sock) for sock in silent[10:]]
            assert all(f.done() for f in concurrent.futures.wait(dripping + waiting, 30).not_done or dripping)
        for sock in silent:
            sock.close()
        assert curl(address, "/healthz")[0] == 200
        submit(daemon, "alice@example.net", ["bob@example.com"], message())


LIMITS = """
limit messages-defer { key = account count = messages rate = "3/1h" apply-to = { "am" } }
limit messages-reject { key = account count = messages rate = "3/1h" then = reject apply-to = { "ar" } }
limit recipients-defer { key = account count = recipients rate = "3/1h" apply-to = { "rd" } }
limit recipients-reject { key = account count = recipients rate = "3/1h" then = reject apply-to = { "rr" } }
limit bytes-defer { key = account count = bytes rate = "20000/1h" apply-to = { "bd" } }
limit bytes-reject { key = account count = bytes rate = "20000/1h" then = reject apply-to = { "br" } }
limit observed { key = account count = messages rate = "1/1h" mode = observe apply-to = { "ob" } }
limit by-client { key = client count = messages rate = "3/1h" apply-to = { "127.0.0.50/32", "127.0.0.51/32" } }
limit by-client-recipients { key = client count = recipients rate = "3/1h" then = reject apply-to = { "127.0.0.60/32" } }
"""


def case_limits_hold_for_accounts_and_clients():
    """messages, recipients, bytes; an account and a client address; defer is 450 4.7.1, reject 550 5.7.1; others are not touched."""
    users = ("am", "ar", "rd", "rr", "bd", "br", "ob", "free")
    with office(users=users, sections=LIMITS) as (_, daemon, receiver):
        def mail(user, subject="x", recipients=("bob@example.com",), body=b"Hello.\r\n", options=()):
            return refusal(submit, daemon, f"{user}@example.net", recipients, message(subject, body, f"{user}@example.net"), options, user=user)
        for user, code in (("am", (450, "4.7.1")), ("ar", (550, "5.7.1"))):
            assert [mail(user) for _ in range(5)] == [None, None, None, code, code], user
        for user, code in (("rd", (450, "4.7.1")), ("rr", (550, "5.7.1"))):
            session = connect(daemon, user=user)
            assert session.mail(f"{user}@example.net")[0] == 250
            got = [session.rcpt(f"u{i}@example.com") for i in range(5)]
            assert [g[0] for g in got] == [250, 250, 250, code[0], code[0]] and got[3][1].startswith(code[1].encode()), got
            assert session.data(message(user, sender=f"{user}@example.net"))[0] == 250, "those within the limit are served"
            session.close()
        for user, code in (("bd", (450, "4.7.1")), ("br", (550, "5.7.1"))):
            assert mail(user, body=b"0123456789\r\n" * 1000) is None and mail(user, body=b"0123456789\r\n" * 1000) == code, user
            assert mail(user, options=["SIZE=15000"]) == code, "known at MAIL"
            assert mail(user, body=b"small\r\n") is None, "what fits still goes"
        assert [mail("ob") for _ in range(3)] == [None, None, None]
        assert [mail("free") for _ in range(6)] == [None] * 6

        def from_client(address, recipients=1):
            session = from_address(address, daemon.open_port)
            try:
                return refusal(send, session, "printer@example.net", [f"u{i}@example.com" for i in range(recipients)], message(sender="printer@example.net"))
            finally:
                session.close()
        assert [from_client("127.0.0.50") for _ in range(4)] == [None, None, None, (450, "4.7.1")]
        assert [from_client("127.0.0.51") for _ in range(4)] == [None, None, None, (450, "4.7.1")], "each address has its own count"
        assert from_client("127.0.0.60", 3) is None and from_client("127.0.0.60") == (550, "5.7.1")
        assert [from_client("127.0.0.52") for _ in range(5)] == [None] * 5
        throttled = {(e["limit"], e["value"], e["then"]) for e in daemon.events("throttled")}
        assert {("messages-defer", "am", "defer"), ("messages-reject", "ar", "reject"), ("by-client", "127.0.0.50", "defer")} <= throttled, throttled
        assert any(e["limit"] == "observed" for e in daemon.events("throttled")), "observed limits are told"
        row, = [r for r in daemon.cli("limits", "--account", "am", json_output=True) if r["limit"] == "messages-defer"]
        assert (row["used"], row["left"], row["key"], row["count"], row["then"], row["mode"]) == (3, 0, "account", "messages", "defer", "enforce"), row
        trouble = daemon.cli("status", json_output=True)["accounts"]
        assert {"am", "ar"} <= {t["account"] for t in trouble}, trouble


MORE_LIMITS = """
account "sl" { class = paced }
limit slow { key = account count = recipients rate = "7200/1h" burst = 2 then = slow apply-to = { "class:paced" } }
limit hold { key = account count = messages rate = "2/1h" then = hold apply-to = { "ho" } }
limit first { key = account count = first-time-recipients rate = "3/1d" apply-to = { "fi" } }
limit unique { key = account count = unique-recipients rate = "3/1h" then = reject apply-to = { "un" } }
limit domains { key = account count = unique-domains rate = "2/1h" apply-to = { "do" } }
limit network { key = network count = messages rate = "2/1h" apply-to = { "127.0.3.0/24" } }
limit senders { key = sender-domain count = messages rate = "2/1h" apply-to = { "se" } }
limit provider { key = recipient-domain count = recipients rate = "2/1h" apply-to = { "pr" } }
limit all { key = global count = messages rate = "2/1h" apply-to = { "g1", "g2" } }
"""


def case_limits_slow_hold_and_know_recipients():
    """Every other key, count and action; whom an account knows is known over a restart; what is held says so and waits for its release."""
    users = ("sl", "ho", "fi", "un", "do", "se", "pr", "g1", "g2")
    with office(users=users, sections=MORE_LIMITS) as (_, daemon, receiver):
        defer, reject = (450, "4.7.1"), (550, "5.7.1")

        def mail(user, to="bob@example.com", sender=None):
            sender = sender or f"{user}@example.net"
            return refusal(submit, daemon, sender, [to], message(user, b"Hello.\r\n", sender), user=user)
        begun = time.monotonic()
        assert [mail("sl", f"u{i}@example.com") for i in range(6)] == [None] * 6
        assert time.monotonic() - begun > 1.4, "four beyond the burst, two a second"
        assert [mail("ho") for _ in range(2)] == [None, None]
        session = connect(daemon, user="ho")
        assert session.mail("ho@example.net")[0] == 250 and session.rcpt("bob@example.com")[0] == 250
        code, text = session.data(message("held", sender="ho@example.net"))
        session.close()
        assert code == 250 and b" queued, and held: limit hold of account ho is used up: 2 messages in 1h; more from " in text, text
        assert [mail("fi", f"u{i}@example.com") for i in (0, 1, 2, 0, 3, 1, 2, 4)] == [None, None, None, None, defer, None, None, defer]
        assert [mail("un", to) for to in ("a@example.com", "A@example.com", "b@example.com", "c@example.com", "d@example.com", "b@example.com")] == [None] * 4 + [reject, None]
        assert [mail("do", to) for to in ("a@example.com", "b@example.com", "a@example.org", "a@postfix.example", "b@example.org")] == [None] * 3 + [defer, None]

        def from_client(address):
            session = from_address(address, daemon.open_port)
            try:
                return refusal(send, session, "printer@example.net", ["bob@example.com"], message(sender="printer@example.net"))
            finally:
                session.close()
        assert [from_client(f"127.0.3.{i}") for i in (1, 2, 3)] == [None, None, defer]
        assert [mail("se", sender=sender) for sender in ("x@one.example", "y@one.example", "z@one.example", "z@two.example")] == [None, None, defer, None]
        assert [mail("pr", to) for to in ("a@example.com", "b@example.com", "c@example.com", "c@example.org")] == [None, None, defer, None]
        assert [mail(user) for user in ("g1", "g2", "g1")] == [None, None, defer]
        listed = daemon.cli("queue", "list", "--account", "ho", json_output=True)
        assert [m["state"] for m in listed] == ["held"], listed
        daemon.cli("queue", "release", "--account", "ho")
        wait_for(lambda: "held" in [m.header("subject") for m in receiver.messages], what="what was released")
        daemon.stop()
        daemon.start()
        assert [mail("fi", f"u{i}@example.com") for i in (0, 5, 1)] == [None, defer, None]
        throttled = {(e["limit"], e["key"], e["value"], e["then"]) for e in daemon.events("throttled")}
        assert {("slow", "account", "sl", "slow"), ("hold", "account", "ho", "hold"), ("network", "network", "127.0.3.0/24", "defer"), ("all", "global", "all", "defer"),
                ("provider", "recipient-domain", "example.com", "defer"), ("senders", "sender-domain", "one.example", "defer")} <= throttled, throttled


def case_limits_are_exact_for_pipelined_recipients():
    """Recipients that come at once count one by one: refused in the middle, after RSET, by a client that goes, while policy dies."""
    sections = ('limit hourly { key = account count = recipients rate = "10/1h" }\n'
                'limit provider { key = recipient-domain count = recipients rate = "2/1h" then = reject apply-to = { "mixed" } }\n')
    records = [f"d{i}.example. 300 IN A 127.0.1.1" for i in range(8)]
    with office(users=("mixed", "gone", "alone"), sections=sections, records=records) as (_, daemon, _receiver):
        def say(user, *recipients, session=None):
            """A session in which USER has said MAIL, all RCPTs and RSET in one write."""
            session = session or connect(daemon, user=user)
            session.sock.sendall(b"".join([f"MAIL FROM:<{user}@example.net>\r\n".encode()] + [f"RCPT TO:<{to}>\r\n".encode() for to in recipients] + [b"RSET\r\n"]))
            return session

        def codes(session, recipients):
            got = [session.getreply()[0] for _ in range(recipients + 2)]
            assert got[0] == got[-1] == 250, got
            session.close()
            return got[1:-1]

        def used(user):
            return next((r["used"] for r in daemon.cli("limits", "--account", user, json_output=True) if r["limit"] == "hourly"), 0)
        for many, recipients, wanted in (
                (7, [f"u{i}@{'example.org' if i % 2 else f'd{i}.example'}" for i in range(7)], [250, 250, 250, 250, 250, 550, 250]),
                (8, [f"v{i}@d{i}.example" for i in range(8)], [250] * 4 + [450] * 4)):
            got = codes(say("mixed", *recipients), many)
            assert got == wanted, got
        assert used("mixed") == 10
        say("gone", *[f"u{i}@example.com" for i in range(9)]).close()
        wait_for(lambda: used("gone") == 9, what="the count of who has gone")
        assert codes(say("gone", "a@example.com", "b@example.com"), 2) == [250, 450]
        policy = daemon.pids()["policy"][0]
        session = connect(daemon, user="alone")
        os.kill(policy, signal.SIGSTOP)
        say("alone", "a@example.com", "b@example.com", "c@example.com", session=session)
        os.kill(policy, signal.SIGKILL)
        got = codes(session, 3)
        assert set(got) <= {451, 250}, "some may find the next process"
        wait_for(lambda: daemon.cli("limits", check=False).returncode == 0, what="the policy role's return")
        left = 10 - got.count(250)
        assert codes(say("alone", *[f"u{i}@example.com" for i in range(12)]), 12) == [250] * left + [450] * (12 - left)


def case_limits_hold_without_a_line():
    """The default limits hold for every account but those of class bulk; the file changes one by its name, or takes it away."""
    with office(users=("alice", "letters"), sections='account "letters" { class = bulk }\n', default_limits=True) as (_, daemon, _receiver):
        def rcpt(user, count, domain="example.com", name="u"):
            session = connect(daemon, user=user)
            assert session.mail(f"{user}@example.net")[0] == 250
            got = [session.rcpt(f"{name}{i}@{domain}") for i in range(count)]
            session.close()
            return [code for code, _ in got], got[-1][1]
        codes, text = rcpt("alice", 203)
        assert codes == [250] * 200 + [450] * 3 and b"4.7.1 limit first-time of account alice is used up: 200 first-time-recipients in 1d; more from " in text, (codes[-9:], text)
        codes, text = rcpt("alice", 200)
        assert codes == [250] * 200, codes
        codes, text = rcpt("alice", 102)
        assert codes == [250] * 100 + [450] * 2 and b"limit hourly of account alice is used up: 500 recipients in 1h" in text, (codes[-9:], text)
        assert rcpt("letters", 800)[0] == [250] * 800
        rows = {row["limit"]: row for row in daemon.cli("limits", "--account", "alice", json_output=True)}
        assert {name: (row["used"], row["rate"], row["then"], row["mode"]) for name, row in rows.items()} == {
            "hourly": (500, 500, "defer", "enforce"), "daily": (500, 2000, "defer", "enforce"), "first-time": (200, 200, "defer", "enforce"),
            "bounces": (0, 25, "suspend", "enforce"), "spam": (0, 15, "suspend", "enforce"), "reports": (0, 2, "suspend", "enforce"),
            "networks": (1, 10, "suspend", "enforce"), "guesses": (0, 100, "defer", "enforce")}, rows
        daemon.file.write_text(daemon.text + 'limit hourly { rate = "700/1h" }\nlimit first-time { mode = off }\nlimit daily { rate = "2000/1d" mode = observe }\n')
        daemon.cli("reload")
        assert rcpt("alice", 202, name="new")[0] == [250] * 200 + [450] * 2
        assert {row["limit"] for row in daemon.cli("limits", "--account", "alice", json_output=True)} == set(rows) - {"first-time"}


def case_counts_outlive_the_daemon():
    """What was used stays used after SIGTERM, and after kill -9 but for the last second."""
    sections = 'limit hourly { key = account count = messages rate = "5/1h" }\nlimit clients { key = client count = recipients rate = "5/1h" apply-to = { "127.0.0.50/32" } }\n'
    with office(sections=sections) as (_, daemon, _receiver):
        def used():
            return {r["value"]: r["used"] for r in daemon.cli("limits", json_output=True)}

        def from_client():
            session = from_address("127.0.0.50", daemon.open_port)
            got = refusal(send, session, "printer@example.net", ["bob@example.com"], message(sender="printer@example.net"))
            session.close()
            return got

        def folder_size():
            """Of the one file that is left when a start has written all anew; 0 before that."""
            files = list((daemon.folder / "policy").glob("limits-*.log"))
            return files[0].stat().st_size if len(files) == 1 else 0
        for _ in range(2):
            submit(daemon, "alice@example.net", ["bob@example.com"], message())
        assert from_client() is None and used() == {"alice": 2, "127.0.0.50": 1}, used()
        assert daemon.stop() == 0
        daemon.start()
        assert used() == {"alice": 2, "127.0.0.50": 1}, used()
        size = wait_for(folder_size, what="the end of the writing anew")
        submit(daemon, "alice@example.net", ["bob@example.com"], message())
        wait_for(lambda: folder_size() > size, what="the count on the disk")
        size = folder_size()
        assert from_client() is None
        wait_for(lambda: folder_size() > size, what="the count on the disk")
        daemon.kill()
        daemon.start()
        assert used() == {"alice": 3, "127.0.0.50": 2}, used()
        os.kill(daemon.pids()["policy"][0], signal.SIGKILL)
        wait_for(lambda: wait_used(daemon), what="the policy role's return")
        results = [refusal(submit, daemon, "alice@example.net", ["bob@example.com"], message()) for _ in range(3)]
        assert results == [None, None, (450, "4.7.1")], results


def wait_used(daemon):
    done = daemon.cli("limits", check=False)
    return done.returncode == 0 and "alice" in done.stdout


def case_senders_belong_to_the_login():
    """MAIL FROM that is not the account's 553 5.7.1, From 550 5.7.1; after a reload with other senders the new rule holds."""
    rules = 'account "alice" { senders = { "alice@example.net", "@sales.example.net" } }\n'
    with office(users=("alice", "bob"), top='domains = { "example.net" }', sections=rules) as (_, daemon, _receiver):
        def mail(user, sender, header=None, extra=b"", **how):
            return refusal(submit, daemon, sender, ["x@example.com"], message(sender=header or sender, extra=extra), user=user, **how)
        not_sender, not_from = (553, "5.7.1"), (550, "5.7.1")
        assert mail("alice", "alice@example.net") is None and mail("alice", "anyone@sales.example.net") is None
        assert mail("alice", "bob@example.net") == not_sender and mail("alice", "x@sub.sales.example.net") == not_sender
        assert mail("bob", "anyone@example.net") is None and mail("bob", "anyone@example.com") == not_sender
        assert mail("alice", "alice@example.net", "bob@example.net") == not_from
        assert mail("alice", "alice@example.net", extra=b"From: ceo@example.net\r\n") == not_from, "two From fields"
        assert mail("alice", "alice@example.net", extra=b"Sender: ceo@example.net\r\n") == not_from
        assert mail(None, "printer@example.net", open_listener=True) is None and mail(None, "x@example.org", open_listener=True) == not_sender
        assert mail(None, "printer@example.net", "x@example.org", open_listener=True) == not_from
        daemon.file.write_text(daemon.text.replace('"alice@example.net", ', '"ally@example.net", ').replace("domains =", "from-header = ignore domains ="))
        daemon.cli("reload")
        wait_for(lambda: mail("alice", "alice@example.net") == not_sender, what="the new rule")
        wait_for(lambda: mail("alice", "ally@example.net", "whoever@example.org") is None, what="the new senders")


def proxied(daemon_port, header, user=None):
    """A session behind a load balancer that says HEADER."""
    session = smtplib.SMTP(timeout=60)
    session.sock = socket.create_connection(("127.0.0.1", daemon_port), 60)
    session.sock.sendall(header)
    assert session.getreply()[0] == 220
    session.ehlo("client.example.net")
    return session


def case_processes_have_names():
    """What top, ps and pgrep show: each process by its role, as far as the kernel keeps a name."""
    with office() as (_, daemon, _):
        roles = {(role, pid) for role, pids in daemon.pids().items() for pid in pids}
        names = {(role, pathlib.Path(f"/proc/{pid}/comm").read_text().strip()) for role, pid in roles}
        assert len(roles) >= 7 and names == {(role, f"posternd:{role}"[:15]) for role, _ in roles}, names
        assert pathlib.Path(f"/proc/{daemon.process.pid}/comm").read_text().strip() == "posternd"


def case_roles_run_in_rounds_unless_told_otherwise():
    """Each role is a batch process to the scheduler; where posternd was started as something else they all are that."""
    with office() as (_, daemon, _):
        assert {os.sched_getscheduler(pid) for pids in daemon.pids().values() for pid in pids} == {os.SCHED_BATCH}
    if os.geteuid() != 0:
        return  # who has become idle may not be able to leave it
    before = os.sched_getscheduler(0)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    try:
        with office() as (_, daemon, _):
            assert {os.sched_getscheduler(pid) for pids in daemon.pids().values() for pid in pids} == {os.SCHED_IDLE}
    finally:
        os.sched_setscheduler(0, before, os.sched_param(0))


def case_proxy_headers_tell_the_client():
    """PROXY v1 and v2, IPv4 and IPv6: the client's address stands in Received, in the log and in limits; networks are checked against it."""
    port = free_port()
    sections = (f'listener balanced {{ address = {{ "127.0.0.1:{port}" }} tls = none auth = none networks = {{ "192.0.2.0/24", "2001:db8::/32" }} '
                'proxy-protocol = yes proxies = { "127.0.0.1" } max-connections-per-client = 2 }\n'
                'limit clients { key = client count = messages rate = "2/1h" }\n')

    def v1(client, family="TCP4", here="198.51.100.1"):
        return f"PROXY {family} {client} {here} 40000 587\r\n".encode()

    def v2(client, kind=socket.AF_INET, command=0x21):
        packed = socket.inet_pton(kind, client)
        body = packed + bytes(len(packed)) + struct.pack(">HH", 40000, 587)
        return b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, 0x11 if kind == socket.AF_INET else 0x21]) + struct.pack(">H", len(body)) + body
    with office(sections=sections) as (_, daemon, receiver):
        clients = [("192.0.2.7", v1("192.0.2.7")), ("192.0.2.8", v2("192.0.2.8")), ("2001:db8::7", v1("2001:db8::7", "TCP6", "2001:db8::1")),
                   ("2001:db8::8", v2("2001:db8::8", socket.AF_INET6))]
        for client, header in clients:
            session = proxied(port, header)
            identity = send(session, "p@example.net", ["bob@example.com"], message(client, sender="p@example.net"))
            session.close()
            accepted, = [e for e in daemon.events("accepted") if e["id"] == identity]
            assert accepted["client"] == client, accepted
        wait_for(lambda: len(receiver.messages) == len(clients))
        for got in receiver.messages:
            client = got.header("subject")
            assert f"[{'IPv6:' if ':' in client else ''}{client}]" in got.header("received") and "127.0.0.1" not in got.header("received"), got.header("received")
        used = {r["value"]: r["used"] for r in daemon.cli("limits", json_output=True)}
        assert used == {"192.0.2.7": 1, "192.0.2.8": 1, "2001:db8::/64": 2}, used
        session = proxied(port, v1("192.0.2.7"))
        assert refusal(send, session, "p@example.net", ["bob@example.com"], message(sender="p@example.net")) is None
        assert refusal(send, session, "p@example.net", ["bob@example.com"], message(sender="p@example.net")) == (450, "4.7.1")
        other = proxied(port, v2("192.0.2.9"))
        assert refusal(send, other, "p@example.net", ["bob@example.com"], message(sender="p@example.net")) is None
        more = [proxied(port, v1("192.0.2.9"))]  # the cap of connections is the real client's, not the balancer's
        for sock in [session, other] + more:
            sock.close()
        with socket.create_connection(("127.0.0.1", port), 60) as stranger:
            stranger.sendall(v1("203.0.113.9"))
            answer = read_all(stranger)
            assert answer[:3] in (b"554", b"421", b"521", b"550"), answer


def case_reload_while_sessions_are_open():
    """An open session finishes with the old settings, a new one has the new ones; a broken file is refused with FILE:LINE, and the old settings go on."""
    with office(listener="max-message-size = 100K") as (_, daemon, receiver):
        def size(session):
            return session.esmtp_features["size"]
        def connected_to(kilobytes):
            """A session with the settings of KILOBYTES: until the new processes are ready the old ones take connections."""
            def attempt():
                with contextlib.suppress(smtplib.SMTPException):  # 421: the service is restarting
                    session = connect(daemon)
                    if size(session) == str(kilobytes * 1024):
                        return session
                    session.close()
            return wait_for(attempt, what=f"the settings of {kilobytes}K")
        old = connect(daemon)
        assert size(old) == str(100 * 1024)
        old.mail("alice@example.net")
        daemon.file.write_text(daemon.text.replace("max-message-size = 100K", "max-message-size = 200K"))
        daemon.cli("reload")
        new = connected_to(200)
        assert old.rcpt("bob@example.com")[0] == 250 and old.data(message("old"))[0] == 250
        assert send(new, "alice@example.net", ["bob@example.com"], message("new", b"x" * 76 + b"\r\n" + b"y\r\n" * 40000))
        lines = daemon.text.replace("max-message-size = 100K", "max-message-size = 300K").splitlines()
        wrong = [lines.index(next(line for line in lines if line.startswith("queue"))) + 1]
        lines[wrong[0] - 1] = "queue { retry = { 1h } nonsense = 1 }"
        lines.append('delivery { port = "many" }')
        wrong.append(len(lines))
        daemon.file.write_text("\n".join(lines) + "\n")
        refused = daemon.cli("reload", check=False)
        said = refused.stdout + refused.stderr
        assert refused.returncode == 1 and all(f"{daemon.file}:{line}:" in said for line in wrong), said
        told = len(daemon.events("error"))
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(daemon.events("error")) > told and f"{daemon.file}:{wrong[0]}:" in daemon.new_log(), what="the log's word about the mistake")
        latest = connect(daemon)
        assert size(latest) == str(200 * 1024) and send(latest, "alice@example.net", ["bob@example.com"], message("after"))
        assert send(new, "alice@example.net", ["bob@example.com"], message("still open"))
        for session in (old, new, latest):
            session.close()
        daemon.file.write_text(daemon.text.replace("max-message-size = 100K", "max-message-size = 400K"))
        daemon.process.send_signal(signal.SIGHUP)
        connected_to(400).close()
        wait_for(lambda: sorted(m.header("subject") for m in receiver.messages) == ["after", "new", "old", "still open"])


def case_a_reload_refuses_what_cannot_change():
    """Each key that the manual says a reload refuses, and no other that the daemon knows to be fixed; and the manual names the pages of HTTP."""
    page = (TOP / "relay/conf/postern.conf.5").read_text()
    told = re.findall(r"^\.Ic (\w+)\.(\w+)", page.split("\nSo they do where one of\n")[1].split("\nhas changed")[0], re.M)
    fixed = re.findall(r'\{ "(\w+)", "(\w+)", old->', (TOP / "relay/parent/reload.c").read_text())
    assert told == fixed and len(told) == 4, (told, fixed)
    pages = re.findall(r'^    \{ "(/\w+)", "', (TOP / "relay/control/http.c").read_text(), re.M)
    assert len(pages) == 3 and all(path in page for path in pages), pages
    with observed() as (daemon, _address, _receiver):
        for section, key in told:
            lines = daemon.text.splitlines()
            number = next(i for i, line in enumerate(lines) if line.startswith(section) and re.search(rf"\b{key} = ", line))
            other = f"127.0.0.1:{free_port()}" if key == "http" else "/nonexistent/other"
            lines[number] = re.sub(rf'\b{key} = "[^"]*"', f'{key} = "{other}"', lines[number])
            changed = daemon.file.with_name("changed.conf")
            changed.write_text("\n".join(lines) + "\n")
            changed.replace(daemon.file)
            refused = subprocess.run([SANITIZED / "postern", "-f", world_file(daemon), "reload"], capture_output=True, text=True)
            said = refused.stdout + refused.stderr
            assert refused.returncode == 1 and f"{daemon.file}:{number + 1}: {section}.{key} cannot change" in said, said


def world_file(daemon):
    """A configuration with DAEMON's socket as it was when it started, for commands."""
    path = daemon.folder / "before.conf"
    path.write_text(daemon.text)
    return path


def case_a_stop_waits_no_longer_because_of_a_reload():
    """A session from before a reload may go on for minutes, but SIGTERM ends it with all others within its 20 seconds."""
    with office() as (_, daemon, _receiver):
        session = connect(daemon)
        session.mail("alice@example.net")  # within a transaction, so that it is waited for
        old = set(daemon.pids()["submission"])
        daemon.cli("reload")
        wait_for(lambda: len(old & set(daemon.pids().get("submission", []))) < len(old) or os.cpu_count() == 1, what="the old generation's leaving")
        wait_for(lambda: len(set(daemon.pids().get("submission", [])) - old) == os.cpu_count(), what="the new generation")
        assert daemon.stop() == 0, "it was killed after 30 seconds"
        assert any("did not finish in time" in e.get("text", "") for e in daemon.events("notice"))
        session.close()


def check(path, *options):
    """posternd -n of PATH."""
    return subprocess.run([SANITIZED / "posternd", "-n", "-f", path, *options], capture_output=True, text=True, timeout=60)


def case_checks_of_the_configuration_and_their_exit_codes():
    """posternd -n: 0 and silent or with warnings, or 1 with one FILE:LINE: a mistake; postern check: 0, running or not, or 1; 2 for wrong use."""
    with World(dns=False) as world:
        daemon = world.posternd(top='postmaster = "postmaster@example.net"')
        done = check(daemon.file)
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), done
        checked = daemon.cli("check", check=False)
        assert checked.returncode == 0 and "does not run" in checked.stdout, checked
        assert daemon.cli("check", json_output=True) == {"configuration": True, "running": False}
        assert daemon.cli("status", check=False).returncode == 1, "nobody to ask"
        daemon.start()
        assert daemon.cli("check", json_output=True) == {"configuration": True, "running": True}
        assert "posternd runs" in daemon.cli("check")
        broken = world.folder / "broken.conf"
        broken.write_text(daemon.text.replace('"postmaster@example.net"', '"postmaster@relay.example.net"'))
        for done in (check(broken), subprocess.run([SANITIZED / "postern", "-f", broken, "check"], capture_output=True, text=True)):
            assert done.returncode == 0 and done.stderr.startswith(f"{broken}:3: warning: nobody reads postmaster@relay.example.net"), done
        lines = daemon.text.splitlines() + ["colour = red", "queue { lifetime = 1y }", 'route "x" { via = "h:99999" }', "processes = 65",
                                            'listener open { address = { "127.0.0.1:1" } auth = none }', "limit l { rate = 5 }"]
        broken.write_text("\n".join(lines) + "\n")
        done = check(broken)
        told = {int(line[len(str(broken)) + 1:].split(":")[0]) for line in done.stderr.splitlines() if line.startswith(f"{broken}:")}
        assert done.returncode == 1 and len(told) >= 6 and told >= set(range(len(lines) - 5, len(lines) + 1)), done.stderr
        assert all(re.match(rf"{re.escape(str(broken))}:\d+: .", line) for line in done.stderr.splitlines()), done.stderr
        asked = subprocess.run([SANITIZED / "postern", "-f", broken, "check"], capture_output=True, text=True)
        assert asked.returncode == 1 and asked.stderr.splitlines()[0].startswith(f"{broken}:"), asked
        for text in (daemon.text + "tls {", "", daemon.text + 'include("/nonexistent")\n', daemon.text + "\0\n", daemon.text.replace("hostname = ", "# ")):
            broken.write_text(text)
            done = check(broken)
            assert done.returncode == 1 and done.stderr.startswith(f"{broken}:"), (text[-80:], done)
        broken.write_text(daemon.text.replace(str(world.certificate.key), "/nonexistent/key.pem"))
        done = check(broken)
        assert done.returncode == 1 and "/nonexistent/key.pem: No such file" in done.stderr, done
        foreign = Certificate(world.folder, "foreign.example")
        broken.write_text(daemon.text.replace(str(world.certificate.key), str(foreign.key)))
        asked = subprocess.run([SANITIZED / "postern", "-f", broken, "check"], capture_output=True, text=True)
        assert asked.returncode == 1 and asked.stderr == check(broken).stderr and "does not belong to the certificate" in asked.stderr, asked
        assert check(world.folder / "nothing.conf").returncode == 1
        assert check(daemon.file, "-x").returncode == 2
        for words in ([], ["nonsense"], ["queue", "remove"], ["message"], ["status", "more"], ["queue", "list", "--color", "red"]):
            assert daemon.cli(*words, check=False).returncode == 2, words
        for words in (["help"], ["--help"], ["queue", "hold", "--help"], ["--version"]):
            done = daemon.cli(*words, check=False)
            assert done.returncode == 0 and done.stdout and not done.stderr, done
        assert daemon.cli("--version") == daemon.cli("version")
        for words in (["message", "06h123zab6f4ssce0000"], ["queue", "show", "nonsense"], ["user", "remove", "nobody"]):
            assert daemon.cli(*words, check=False).returncode == 1, words


def columns(line):
    """How wide LINE is on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def other_spool(world, number):
    """The spool of another relay that was stopped, with a message."""
    other = world.posternd(f"other-{number}", queue="retry = { 1h }").start()
    submit(other, "alice@example.net", ["bob@dead.example"], message(), open_listener=True)
    other.stop()
    return str(other.folder / "spool")


def manual_commands():
    """(names, examples) of postern(1): what stands behind .It Ic, and the words of each .Dl and of the literal blocks."""
    text = (TOP / "relay/cli/postern.1").read_text()
    names = [re.sub(r" (Op )?Ar .*", "", name).strip() for name in re.findall(r"^\.It Ic (.*)$", text, re.M)]
    return names, [line.removeprefix(".Dl ").split()[1:] for line in text.splitlines() if re.match(r"(\.Dl )?postern [a-z]", line)]


def with_rules(world, daemon):
    """A command in front of a report of the firewall: it loads the rules in a network of its own. There is no user postern here, so they are
    root's."""
    path = world.folder / "firewall.nft"
    path.write_text(daemon.cli("firewall", "print").replace('skuid "postern"', 'skuid "root"'))
    return ["unshare", "--net", "sh", "-c", f'/usr/sbin/nft -f {path} && exec "$@"', "sh"]


def case_every_command_of_the_manual_with_and_without_json():
    """postern(1): each command and each example runs; --json is one JSON value; text is at most 80 columns wide and printable."""
    long = "a" * 60 + "@" + "b" * 60 + "." + "c" * 60 + ".example"
    names, examples = manual_commands()
    records = HOME + [f"{long.split('@')[1]}. 300 IN MX 10 mx.dead.example."]
    with office({"rcpt": "450 4.2.0 " + "a sentence that goes on and on " * 8}, users=("alice", "newsletter"), records=records,
                top='postmaster = "postmaster@example.com"',
                sections='limit hourly { rate = "200/1h" }\nlimit a-limit-with-a-long-name-of-its-own { key = client rate = "200/1h" }\n') as (world, daemon, _receiver):
        def fresh():
            return submit(daemon, "alice@example.net", ["bob@example.com", long, "x@dead.example"], message())
        fresh(), submit(daemon, long, ["bob@example.com"], message(sender=long), open_listener=True)
        wait_for(lambda: daemon.events("deferred"))
        assert len(names) >= 15 and {n for e in examples for n in names if " ".join(e).startswith(n)} == set(names), (names, examples)
        last = [e for e in examples if e[0] == "stop"]
        if os.geteuid() != 0 or subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
            print("note without root and network namespaces the firewall's report is left out")
            examples = [e for e in examples if e != ["firewall", "report"]]
        for words in [e for e in examples if e[0] != "stop"] + last:
            for as_json in (False, True):
                if words[0] == "stop" and as_json:
                    daemon.stop()
                    daemon.start()
                identity = fresh() if any(re.fullmatch(r"06h\w{17}", w) for w in words) else ""
                actual = [identity if re.fullmatch(r"06h\w{17}", w) else other_spool(world, as_json) if w.startswith("/mnt/") else w for w in words]
                name = actual[2] if actual[0] == "user" and len(actual) > 2 else None
                if name:
                    exists = name in daemon.cli("user", "list", json_output=True)
                    if actual[1] == "add" and exists:
                        daemon.cli("user", "remove", name)
                    elif actual[1] != "add" and not exists:
                        daemon.user(name, "secret")
                actual = actual[:actual.index(">")] if ">" in actual else actual
                prefix = with_rules(world, daemon) if actual == ["firewall", "report"] else []
                done = subprocess.run(prefix + [SANITIZED / "postern", "-f", daemon.file] + (["--json"] if as_json else []) + actual, capture_output=True, text=True,
                                      input="secret\n", timeout=60)
                assert done.returncode == 0 and not done.stderr, (actual, as_json, done)
                if as_json:
                    value = json.loads(done.stdout)
                    assert isinstance(value, list if actual[:2] in (["queue", "list"], ["user", "list"], ["account", "list"], ["firewall", "report"]) or actual[0] == "limits" else dict), (actual, value)
                else:
                    assert done.stdout.strip() or name or words[0] == "queue", actual
                    header = " ".join(words).startswith("queue show")
                    for line in done.stdout.replace(str(world.folder), "").splitlines():
                        assert all(c.isprintable() or c == "\t" for c in line), (actual, line)
                        assert columns(line) <= 80 or header and re.match(r"[A-Z][A-Za-z-]*:|\s", line), (actual, columns(line), line)
            if words[0] == "user" and words[-1] == "alice" and words[1] == "remove":
                daemon.user("alice", "secret")
        assert daemon.process.wait(60) == 0
        helped = daemon.cli(check=False).stdout
        assert all(name in helped for name in names) and all(columns(line) <= 80 for line in helped.splitlines()), helped


def literal_blocks(text):
    """The literal blocks of a manual page, unescaped."""
    return [unescape(block) for block in re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed", text, re.M)]


def unescape(text):
    return text.replace("\\(dq", '"').replace("\\&", "").replace("\\e", "\\")


def manual_sections():
    """{section as it opens: [(key, example line, must be given)]} of the KEYS of postern.conf(5)."""
    keys = (TOP / "relay/conf/postern.conf.5").read_text().split(".Sh KEYS")[1].split("\n.Sh ")[0]
    sections = {}
    for part in keys.split("\n.Ss ")[1:]:
        title, _, body = part.partition("\n")
        rows = [(item.split("\n")[0], unescape(re.search(r"^\.Dl (.*)$", item, re.M).group(1)), "Must be given." in item) for item in body.split("\n.It Ic ")[1:]]
        sections[unescape(title)] = rows
    return sections


def localized(text, world):
    """TEXT with files that exist in place of those of an installed relay."""
    secret = world.folder / "secret"
    secret.write_text("password\n")
    for path, actual in ((r'"/etc/postern/tls/[a-z]*cert\.pem"|"/etc/postern/tls/other\.pem"|"/var/tmp/postern/cert\.pem"', world.certificate.certificate),
                         (r'"/etc/postern/tls/(key\.pem|other\.key)"|"/var/tmp/postern/key\.pem"|"/etc/postern/dkim/[^"]*"', world.certificate.key),
                         (r'"/etc/postern/[a-z]*\.password"', secret), (r'"/etc/ssl/certs/[^"]*"', world.certificate.certificate),
                         (r'"/etc/postern/users"', world.folder / "users"), (r'"/var/(lib|spool)/postern[^"]*"', world.folder / "spool")):
        text = re.sub(path, f'"{actual}"', text)
    return text


def passes(world, text, what, warns=False):
    path = world.folder / "example.conf"
    path.write_text(localized(text, world))
    done = check(path)
    told = [line for line in done.stderr.splitlines() if not warns or ": warning: " not in line]
    assert done.returncode == 0 and not told, f"{what}:\n{path.read_text()}\n{done.stderr}"


HEAD = 'hostname = "relay.example.net"\npostmaster = "postmaster@example.net"\n'
TLS = 'tls { certificate = "/etc/postern/tls/cert.pem" key = "/etc/postern/tls/key.pem" }\n'
LISTENER = 'listener submission { address = { "0.0.0.0:587" } }\n'
SERVERS = 'listener servers { address = { "192.0.2.1:25" } auth = none networks = { "192.0.2.25/32" } }\n'
SOURCES = 'source reports { addresses = { "192.0.2.8" } }\nsource bulk { addresses = { "192.0.2.9" } }\n'
NOT_YET = ("dkim",)  # the manual says that it is not available


def section_text(title, rows):
    lines = [example for _, example, _ in rows]
    if "{" not in title:
        return "\n".join(lines) + "\n"
    name = title.replace("NAME", {"certificate": "mail.example.net", "route": "example.com", "listener": "one"}.get(title.split()[0], "example.net"))
    return name.replace("}", "\n  " + "\n  ".join(lines) + "\n}") + "\n"


def case_every_example_of_the_manuals_is_right():
    """Each key's example of postern.conf(5), those of each section together, all together, and the blocks of both manuals and of README.md."""
    with World(dns=False) as world:
        sections = {title: rows for title, rows in manual_sections().items() if title.split()[0] not in NOT_YET}
        assert len(sections) >= 14 and sum(len(rows) for rows in sections.values()) >= 75, {t: len(r) for t, r in sections.items()}
        base = {"hostname": HEAD, "tls": TLS, "listener": LISTENER, "servers": SERVERS, "sources": SOURCES}  # reports of abuse need a listener without login
        everything = ""
        for title, rows in sections.items():
            text = section_text(title, rows)
            everything += text
            own = "hostname" if title == "Top level" else title.split()[0]
            passes(world, "".join(part for name, part in base.items() if name != own) + text, title, warns=True)
            for key, example, must in rows:
                needed = [row for row in rows if row[0] == key or row[2] or (row[0] in COMPANIONS.get((own, key), ()))]
                passes(world, "".join(part for name, part in base.items() if name != own) + section_text(title, needed), f"{title} {key}", warns=True)
        passes(world, everything + SERVERS + SOURCES, "everything", warns=True)
        pages = [TOP / "relay/conf/postern.conf.5", TOP / "relay/posternd.8"]
        blocks = [block for page in pages for block in literal_blocks(page.read_text()) if "hostname" in block]
        blocks += [re.sub(r"^ {7}", "", block, flags=re.M) for block in re.findall(r"(?:^ {7}.*\n)+", (TOP / "README.md").read_text(), re.M) if "hostname" in block]
        assert len(blocks) >= 3, blocks
        for block in blocks:
            passes(world, block, "a block")


def case_the_trial_of_the_manual_works_without_root():
    """posternd(8): its configuration and its commands as they stand, but for the folder and the port, as a user who is not root."""
    configuration, commands = [block for block in literal_blocks((TOP / "relay/posternd.8").read_text()) if "my.conf" in block or "hostname" in block]
    with World(dns=False) as world:
        port, folder = str(free_port()), world.folder / "trial"
        folder.mkdir()
        (folder / "my.conf").write_text(configuration.replace("/var/tmp/postern", str(folder)).replace("2587", port))
        programs = folder / "bin"
        programs.mkdir()
        for name in ("postern", "posternd"):
            shutil.copy(SANITIZED / name, programs / name)
        root = os.geteuid() == 0
        if root:
            world.folder.chmod(0o755)
            os.chown(folder, 65534, 65534)
        process = subprocess.Popen(["sh", "-e", "-c", commands.replace("\nposternd ", "\nexec posternd ")], cwd=folder, stdin=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, env=dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}", HOME=str(folder)),
                                   **({"user": 65534, "group": 65534, "extra_groups": []} if root else {}))
        try:
            process.stdin.write("secret\n")
            process.stdin.close()
            for line in process.stderr:
                if "ready:" in line:
                    break
            else:
                raise AssertionError(f"it ended with status {process.wait(10)}")
            with contextlib.closing(smtplib.SMTP("127.0.0.1", int(port), timeout=60)) as session:
                session.starttls(context=ssl._create_unverified_context())
                session.login("alice", "secret")
                assert session.mail("alice@example.net")[0] == 250
        finally:
            process.terminate()
            assert process.wait(40) == 0
            process.stderr.close()


COMPANIONS = {("listener", "proxy-protocol"): ("proxies",), ("listener", "proxies"): ("proxy-protocol",), ("route", "user"): ("tls", "password-file"), ("route", "password-file"): ("user", "tls"),
              **{("limit", key): ("rate",) for key in ("key", "count", "burst", "at-least", "weight", "then", "mode", "apply-to", "except")}, ("limit", "share"): ("rate", "count"), **{("source", key): ("addresses",) for key in ("helo", "weight", "pool", "accounts")}, ("tls", "certificate"): ("key",), ("tls", "key"): ("certificate",), ("tls", "minimum"): ("certificate", "key")}


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
