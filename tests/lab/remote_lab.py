"""Remote servers that hang, babble, lie, drop, loop or ask too much: what becomes of the mail, and that mail for others goes on.

Each hostile site is NAME.test with an MX and an address of its own; good.test behaves, and home.test takes the reports. The first retry
comes after an hour, so that one attempt is all that happens unless a case asks for more."""
import base64
import concurrent.futures
import contextlib
import email
import email.policy
import json
import re
import smtplib
import socket
import struct
import subprocess
import sys
import threading

from case import main
from receiver import Deaf, Deed, Receiver, flood, hang, leave, raw
from submit import CONTEXT, connect, message, send, submit
from world import Certificate, World, free_port, parse_logfmt, wait_for

HOUR = "retry = { 1h }"


class Scene:
    """A world of SITES: {name: answers of a Receiver, a dict of its arguments under "with", a class that takes (address, port), or None:
    nobody listens}."""

    def __init__(self, world, sites, records, options):
        self.world, self.daemon, self.receivers = world, None, {}
        for name, site in dict(sites, good={}, home={}).items():
            address = address_of(list(sites) + ["good", "home"], name)
            if isinstance(site, type):
                self.receivers[name] = world.add(site(address, world.delivery_port))
            elif site is not None:
                arguments = dict(site.get("with", {"answers": site}))
                if isinstance(arguments.get("certificate"), tuple):
                    arguments["certificate"] = Certificate(world.folder, *arguments["certificate"])
                self.receivers[name] = world.add(Receiver(address, world.delivery_port, **arguments))
        options.setdefault("queue", HOUR)
        options.setdefault("top", "processes = 1")
        if callable(options.get("sections")):
            options["sections"] = options["sections"](world)
        if callable(options.get("delivery")):
            options["delivery"] = options["delivery"](world)
        self.daemon = world.posternd(**options)
        self.daemon.user("alice", "secret")
        self.daemon.start(wait=False)
        wait_for(lambda: '"ready:' in self.daemon.new_log(), what="the daemon's being ready")  # in either format of the log

    def __getitem__(self, name):
        return self.receivers[name]

    def send(self, name, subject="test", recipients=("bob",), body=b"Hello.\r\n", sender="alice@home.test", options=(), extra=b""):
        """A message to the site NAME; its id."""
        data = message(subject, body, "alice@home.test", extra=extra)
        return submit(self.daemon, sender, [f"{r}@{name}.test" for r in recipients], data, options, open_listener=True)

    def fates(self, identity, count=1):
        """COUNT events of how the attempts of message IDENTITY went."""
        wanted = ("delivered", "deferred", "bounced")
        return wait_for(lambda: (lambda e: len(e) >= count and e)([e for e in self.daemon.events() if e.get("id") == identity and e["event"] in wanted]),
                        what=f"{count} fates of {identity}")

    def fate(self, identity, event, status="", words=""):
        """The one fate of IDENTITY, which must be EVENT with a STATUS (a prefix) and WORDS in its reply."""
        found = self.fates(identity)[0]
        assert found["event"] == event and found["status"].startswith(status) and words in found["reply"], found
        return found

    def good(self, subject="good"):
        """Mail for others goes on: one message arrives at good.test."""
        before = len(self["good"].messages)
        identity = self.send("good", subject)
        wait_for(lambda: len(self["good"].messages) > before, what="a message at the good site")
        self.fate(identity, "delivered")

    def log_events(self):
        """All events of the log, whichever its format."""
        lines = self.daemon.log_path.read_bytes().splitlines()
        return [json.loads(line) if line.startswith(b"{") else parse_logfmt(line.decode()) for line in lines]

    def heal(self, *names):
        """The sites NAMES behave from now on, and all mail is tried again."""
        for name in names:
            self[name].answers.clear()
        self.daemon.cli("queue", "retry", "--all")

    def waits(self, identities, words):
        """All of IDENTITIES wait for a later attempt with WORDS as the reason: those behind the one that was tried wait for their site."""
        def waiting():
            found = {e["id"]: e["recipients"] for e in self.daemon.cli("queue", "list", json_output=True)}
            return all(i in found and all(r["state"] == "scheduled" and words in r["reply"] for r in found[i]) for i in identities)
        wait_for(waiting, what=f"{len(identities)} messages' waiting for {words}")

    def bounces(self, count=1):
        """COUNT reports as they arrived at home.test: [(message, fields per recipient)]."""
        got = wait_for(lambda: (lambda m: len(m) >= count and m)(list(self["home"].messages)), what=f"{count} reports")
        parsed = [email.message_from_bytes(m.data, policy=email.policy.default) for m in got]
        return [(report, list(report.iter_parts())[1].get_payload()[1:]) for report in parsed]

    def life(self, identity):
        return self.daemon.cli("message", identity, json_output=True)

    def empty(self):
        wait_for(lambda: self.daemon.cli("status", json_output=True)["queue"]["messages"] == 0, what="an empty queue")


def address_of(names, name):
    return f"127.0.2.{names.index(name) + 1}"


@contextlib.contextmanager
def scene(sites, records=(), **options):
    names = list(sites) + ["good", "home"]
    all_records = [f"{n}.test. 300 IN MX 10 mx.{n}.test." for n in names] + [f"mx.{n}.test. 300 IN A {address_of(names, n)}" for n in names]
    with World(all_records + list(records)) as world:
        yield Scene(world, sites, records, options)


SHORT = "connect-timeout = 2s command-timeout = 2s data-timeout = 2s dot-timeout = 2s"


def case_a_server_that_hangs_holds_nobody_up_and_has_a_timer_for_each_stage():
    """At connect, banner, EHLO, STARTTLS, handshake, MAIL, RCPT, DATA, body, after the dot."""
    expected = {"banner": "greeting", "ehlo": "EHLO", "starttls": "STARTTLS", "mail": "MAIL", "rcpt": "RCPT", "data": "DATA",
                "body": "sending the message", "dot": "unknown"}
    sites = {stage: {stage: hang()} for stage in expected}
    sites["body"] = {"data": hang(b"354 go\r\n", deaf=True)}
    sites["starttls"] = {"with": {"answers": {"starttls": hang()}, "certificate": ("starttls.test", ("mx.starttls.test",))}}
    sites["handshake"] = {"with": {"answers": {"starttls": hang(b"220 go\r\n")}, "certificate": ("handshake.test", ("mx.handshake.test",))}}
    sites["connect"] = Deaf
    large = b"0123456789012345678901234567890123456789012345678901234567890123456\r\n" * 200000
    with scene(sites) as s:
        sent = {stage: s.send(stage, stage, body=large if stage == "body" else b"Hello.\r\n") for stage in sites}
        wait_for(lambda: all(s[stage].notes.get("hung") for stage in sites if stage != "connect"), what="everybody's hanging")
        for i in range(3):
            s.good(f"good {i}")
        hung = {e["id"] for e in s.daemon.events("deferred")} & set(sent.values())
        assert not hung, "with the usual timers nobody has given up yet"
        s.daemon.kill()
        s.daemon.file.write_text(s.daemon.text.replace("allow-private = yes", "allow-private = yes " + SHORT))
        before = {stage: s[stage].connections for stage in sites if stage != "connect"}
        s.daemon.start()
        for stage, words in expected.items():
            found = s.fate(sent[stage], "deferred", "4.4.2", words)
            assert "timed out" in found["reply"] or stage == "dot", found
            assert s[stage].connections == before[stage] + 1, (stage, s[stage].connections, before[stage])
        s.fate(sent["connect"], "deferred", "4.4.2", "connecting")
        assert s.fate(sent["handshake"], "delivered")["tls"] == "none"  # opportunistic: once more without TLS
        assert s["handshake"].connections == before["handshake"] + 2
        s.good()


def case_a_reply_without_end_is_bounded():
    """Reply bytes that drip, endless continuation lines, a line without an end."""
    sites = {"drip": {"mail": flood(b"2", 0.1)}, "drip-lines": {"ehlo": flood(b"250-x\r\n", 0.05)},
             "lines": {"ehlo": flood(b"250-x y z\r\n" * 100)}, "line": {"banner": flood(b"220 abcdefgh" * 1000)},
             "mail-line": {"mail": flood(b"2" * 1000)}, "dot-lines": {"dot": flood(b"250-ok\r\n" * 100)}}
    with scene(sites, delivery=SHORT) as s:
        sent = {name: s.send(name) for name in sites}
        s.good()
        s.fate(sent["drip"], "deferred", "4.4.2", "timed out")
        for name in ("lines", "line", "mail-line", "dot-lines", "drip-lines"):
            assert s.fate(sent[name], "deferred", "4.")["status"] in ("4.4.2", "4.5.0"), name
        wait_for(lambda: all(s[name].notes.get("left") for name in sites), what="the connections' end")
        for name in sites:
            assert s[name].flooded < 20_000_000, (name, s[name].flooded)
            assert s[name].connections == 1, (name, s[name].connections)
        assert all(len(e["reply"]) < 1000 for e in s.daemon.events("deferred"))


NONSENSE = {"codes": b"250-a\r\n550 b\r\n", "letters": b"2xx hello\r\n", "two": b"25 x\r\n", "zero": b"000 x\r\n", "nines": b"999 x\r\n",
            "one": b"150 x\r\n", "bare": b"250 ok\n", "garbage": b"\xff\xfe\x00\x01\x1b[31m\r\n", "cr": b"250 ok\rx\r\n", "nul": b"250 o\0k\r\n",
            "empty": b"\r\n", "early": b"250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n"}


def case_what_is_no_reply_defers():
    """Codes that differ or are none, bare LF, garbage, an answer ahead of its question."""
    sites = {name: {"with": {"answers": {"mail": raw(data)}, "extensions": ("8BITMIME",)}} for name, data in NONSENSE.items()}
    with scene(sites, delivery=SHORT) as s:
        sent = {name: s.send(name) for name in sites}
        s.good()
        for name in sites:
            status = s.fate(sent[name], "deferred", "4.")["status"]
            assert status == "4.5.0" or name == "bare" and status == "4.4.2", (name, status)
            assert s[name].connections == 1 and not s[name].messages, (name, s[name].connections)
            last = s.life(sent[name])["events"][-1]
            assert last["event"] == "deferred" and last["reply"].isprintable(), last
        s.heal(*sites)
        s.empty()
        assert all(len(s[name].messages) == 1 for name in sites), {name: len(s[name].messages) for name in sites}


def case_the_code_beats_the_enhanced_code():
    """450 5.1.1 waits, 550 4.2.0 fails."""
    with scene({"waits": {"rcpt": "450 5.1.1 hm"}, "fails": {"rcpt": "550 4.2.0 hm"}}) as s:
        waits, fails = s.send("waits"), s.send("fails")
        s.fate(waits, "deferred", "4.", "450 5.1.1 hm")
        s.fate(fails, "bounced", "5.", "550 4.2.0 hm")
        (_, (fields,)), = s.bounces()
        assert fields["status"].startswith("5.") and fields["action"] == "failed", fields.items()


def case_the_wrong_kind_of_good_reply_sends_no_body():
    """250 to DATA, 354 to RCPT; with and without pipelining."""
    plain = ("8BITMIME",)
    sites = {"data": {"data": "250 ok"}, "rcpt": {"rcpt": "354 go"}, "data-plain": {"with": {"answers": {"data": "250 ok"}, "extensions": plain}},
             "rcpt-plain": {"with": {"answers": {"rcpt": "354 go"}, "extensions": plain}}}
    with scene(sites) as s:
        sent = {name: s.send(name) for name in sites}
        s.good()
        for name in sites:
            s.fate(sent[name], "deferred", "4.5.0", "makes no sense")
            assert not s[name].messages and s[name].connections == 1
            assert not [c for c in s[name].commands if "Hello." in c or c.startswith("Subject")], s[name].commands
        s.heal(*sites)
        s.empty()
        assert all(len(s[name].messages) == 1 for name in sites)


def case_421_anywhere_defers_without_a_storm():
    """421 as banner, at each command, to the dot, at the third of five recipients; ten messages wait for each site."""
    third = {("rcpt", "c@third.test"): "421 4.7.0 enough"}
    stages = ("banner", "ehlo", "mail", "rcpt", "data", "dot")
    sites = {stage: {stage: "421 4.3.2 going down"} for stage in stages}
    sites["third"] = {"with": {"answers": third}}
    with scene(sites) as s:
        sent = {stage: [s.send(stage, f"{stage} {i}") for i in range(10)] for stage in stages}
        sent["third"] = [s.send("third", "third", recipients="abcde")]
        for name in sites:
            s.fate(sent[name][0], "deferred", "4.", "421")
        s.waits(sum(sent.values(), []), "421")
        assert {e["to"][0] for e in s.fates(sent["third"][0], 5)} == set("abcde")
        s.good()
        for name in sites:
            assert s[name].connections <= 5 and not s[name].messages, (name, s[name].connections)
        s.heal(*sites)
        s.empty()
        for name in stages:
            assert sorted(m.header("subject") for m in s[name].messages) == sorted(f"{name} {i}" for i in range(10)), name
        assert sorted(r[0] for m in s["third"].messages for r in m.recipients) == list("abcde")


def case_only_a_lost_answer_to_the_dot_brings_a_message_twice():
    """Dropped or reset after the dot is deferred as unknown and sent again; 250 and then RST is delivered, once."""
    with scene({"dropped": {"dot": leave("250")}, "reset": {"dot": leave("250", reset=True)},
                "answered": {"dot": leave("250", reset=True, before=b"250 2.0.0 kept\r\n")}}) as s:
        dropped, reset, answered = s.send("dropped"), s.send("reset"), s.send("answered")
        s.fate(dropped, "deferred", "4.4.2", "unknown")
        s.fate(reset, "deferred", "4.4.2", "unknown")
        # What stands behind an RST may be lost with it; whichever way it went, the log and the copies agree.
        told = s.fates(answered)[0]
        s.heal("dropped", "reset", "answered")
        s.empty()
        assert [len(s[name].messages) for name in ("dropped", "reset")] == [2, 2]
        assert len(s["answered"].messages) == (1 if told["event"] == "delivered" else 2), told
        assert len(s.daemon.events("delivered")) == 3


def case_each_recipient_has_one_outcome():
    """250, 450, 550 and then the dot is taken; the dot refused; all refused, yet 354."""
    mixed = {("rcpt", "b@mixed.test"): "450 4.2.1 busy", ("rcpt", "c@mixed.test"): "550 5.1.1 unknown"}
    sites = {"mixed": {"with": {"answers": mixed}}, "dot": {("rcpt", "b@dot.test"): "550 5.1.1 unknown", "dot": "451 4.3.0 later"},
             "none": {"rcpt": "550 5.1.1 unknown", "data": "354 go"}}
    with scene(sites) as s:
        sent = {name: s.send(name, name, recipients="abc") for name in sites}
        fates = {name: {e["to"][0]: (e["event"], e["status"]) for e in s.fates(sent[name], 3)} for name in sites}
        assert fates["mixed"] == {"a": ("delivered", "2.0.0"), "b": ("deferred", "4.2.1"), "c": ("bounced", "5.1.1")}, fates
        assert fates["dot"] == {"a": ("deferred", "4.3.0"), "b": ("bounced", "5.1.1"), "c": ("deferred", "4.3.0")}, fates
        assert fates["none"] == {r: ("bounced", "5.1.1") for r in "abc"}, fates
        assert [m.data for m in s["none"].messages] == [b""], "a lone dot"
        reports = s.bounces(3)
        assert sorted(fields["final-recipient"][8] for _, each in reports for fields in each) == list("abbcc")
        assert [e["event"] for e in s.life(sent["mixed"])["events"]].count("deferred") == 1
        s.heal("mixed", "dot")
        s.empty()
        assert sorted(r[0] for m in s["mixed"].messages for r in m.recipients) == ["a", "b"]
        assert sorted(r[0] for m in s["dot"].messages for r in m.recipients) == ["a", "c"]
        assert len(s["home"].messages) == 3


def case_what_a_server_says_it_takes():
    """SIZE 0 and 10, no 8BITMIME, no SMTPUTF8, a keyword of 10 KB, EHLO refused or dropped."""
    bare = {"with": {"extensions": ("PIPELINING",)}}
    with scene({"size0": {"with": {"extensions": ("SIZE 0",)}}, "size10": {"with": {"extensions": ("SIZE 10",)}}, "bits": bare, "utf8": bare,
                "keyword": {"with": {"extensions": ("X" * 10240,)}}, "long": {"with": {"extensions": ("X" * 1900,)}},
                "drops": {"ehlo": leave()}, "helo": {"ehlo": "502 5.5.1 what"}}) as s:
        s.fate(s.send("size0"), "delivered")
        s.fate(s.send("size10"), "bounced", "5.3.4", "at most 10")
        s.fate(s.send("bits", body="Grüße\r\n".encode(), options=["BODY=8BITMIME"]), "bounced", "5.6.3", "8BITMIME")
        session = connect(s.daemon, open_listener=True)
        assert session.docmd("MAIL", "FROM:<alice@home.test> SMTPUTF8")[0] == 250
        session.send("RCPT TO:<bøb@utf8.test>\r\n".encode())
        assert session.getreply()[0] == 250
        identity = session.data(message())[1].split()[1].decode()
        session.close()
        s.fate(identity, "bounced", "5.6.7", "SMTPUTF8")
        s.fate(s.send("keyword"), "deferred", "4.5.0")
        s.fate(s.send("long"), "delivered")
        for name in ("drops", "helo"):
            s.fate(s.send(name), "delivered")
            assert s[name].connections == 2 and any(c.startswith("HELO ") for c in s[name].commands), s[name].commands
        assert not s["size10"].messages and not s["bits"].messages and not s["utf8"].messages and not s["keyword"].messages
        assert [each["status"] for _, (each,) in s.bounces(3)] == ["5.3.4", "5.6.3", "5.6.7"]


def case_an_ehlo_that_broke_by_accident():
    """HELO has no 8BITMIME, but the server has not said that it knows no EHLO: the mail waits and goes the next time. The connection is not kept for
    others to fail on."""
    accidents = iter([leave()])
    with scene({"once": {"ehlo": lambda _: next(accidents, None)}}, delivery="idle-timeout = 10min") as s:
        identity = s.send("once", body="Grüße\r\n".encode(), options=["BODY=8BITMIME"])
        s.fate(identity, "deferred", "4.6.3", "8BITMIME")
        wait_for(lambda: "QUIT" in s["once"].commands, what="the connection's end")
        s.daemon.cli("queue", "retry", identity)
        assert s.fates(identity, 2)[1]["event"] == "delivered"
        assert s["once"].messages[0].data.endswith("Grüße\r\n".encode())


def case_a_handshake_that_fails():
    """Opportunistic: once more without TLS, and remembered; where TLS is demanded the mail waits, without a loop."""
    def site(name):
        return {"with": {"answers": {"starttls": raw(b"220 go\r\nno TLS here\r\n", goes_on=False)}, "certificate": (name, (f"mx.{name}",))}}

    def failing(name):
        return {"with": {"answers": {"starttls": Deed(fail_handshake)}, "certificate": (name, (f"mx.{name}",))}}
    with scene({"early": site("early.test"), "open": failing("open.test"), "strict": failing("strict.test")},
               delivery="messages-per-connection = 1", sections='route "strict.test" { via = mx tls = encrypt }\n') as s:
        assert s.fate(s.send("open", "one"), "delivered")["tls"] == "none"
        assert s["open"].connections == 2, s["open"].commands
        asked = s["open"].commands.count("STARTTLS")
        s.fate(s.send("open", "two"), "delivered")
        assert s["open"].connections == 3 and s["open"].commands.count("STARTTLS") == asked == 1, s["open"].commands
        strict = [s.send("strict", str(i)) for i in range(5)]
        s.fate(strict[0], "deferred", "4.7.5", "handshake")
        s.waits(strict, "handshake")
        s.fate(s.send("early"), "deferred", "4.7.5", "in between")  # words in clear behind the 220: never taken for the server's in TLS
        s.good()
        assert s["strict"].connections <= 2 and not s["strict"].messages and not s["early"].messages
        assert not [c for c in s["strict"].commands if c.startswith("MAIL")], s["strict"].commands


def fail_handshake(session):
    """Answers the TLS hello with something that is none."""
    session.sock.sendall(b"220 go\r\n")
    session.sock.recv(65536)
    session.sock.sendall(b"\x15\x03\x01\x00\x02\x02\x28")  # fatal alert: handshake_failure
    return False


def case_certificates_that_do_not_verify():
    """Self-signed and of another name: delivered where TLS is opportunistic, 4.7.5 where it must verify."""
    def own(name, *names):
        return {"with": {"certificate": (name, names or (f"mx.{name}",))}}
    routes = "".join(f'route "{name}.test" {{ via = mx tls = verify }}\n' for name in ("self", "name", "right"))

    def trusted(world):
        return f'ca-file = "{world.folder}/trusted.pem"'
    sites = {"loose": own("loose.test", "other.test"), "self": own("self.test"), "name": own("name.test", "other.test"), "right": own("right.test")}
    with scene_with_trust(sites, ("name", "right"), sections=routes, delivery=trusted) as s:
        assert s.fate(s.send("loose"), "delivered")["tls"].startswith("TLSv1.")
        s.fate(s.send("self"), "deferred", "4.7.5", "certificate")
        s.fate(s.send("name"), "deferred", "4.7.5", "mismatch")
        assert s.fate(s.send("right"), "delivered")["tls"].startswith("TLSv1.")
        assert not s["self"].messages and not s["name"].messages
        assert not [c for c in s["self"].commands + s["name"].commands if c.startswith("MAIL")]


@contextlib.contextmanager
def scene_with_trust(sites, trusted, **options):
    """A scene whose ca-file has the certificates of TRUSTED."""
    build = options["delivery"]

    def gather(world):
        texts = [(world.folder / f"{name}.test.cert.pem").read_text() for name in trusted]
        (world.folder / "trusted.pem").write_text("".join(texts))
        return build(world)
    options["delivery"] = gather
    with scene(sites, **options) as s:
        yield s


def case_a_hostile_reply_is_one_bounded_line_everywhere():
    """Escapes, 8-bit, quotes, format directives, 4 KB, 10,000 lines: log, spool, command line and report."""
    nasty = b'\x1b[2J\x07"\\ %n%s \xc3\xa4\xff\x7f event=forged to=x ' + b"z" * 1500
    sites = {"fails": {"rcpt": raw(b"550 5.1.1 " + nasty + b"\r\n")}, "waits": {"rcpt": raw(b"450 4.2.0 " + nasty + b"\r\n")},
             "many": {"rcpt": raw(b"550-x\r\n" * 10000 + b"550 x\r\n")}, "some": {"rcpt": raw(b"550-5.1.1 line\r\n" * 100 + b"550 5.1.1 end\r\n")},
             "nul": {"rcpt": raw(b"550 5.1.1 a\0b\r\n")}, "cr": {"rcpt": raw(b"550 5.1.1 a\rDiagnostic-Code: x\r\n")}}
    with scene(sites) as s:
        sent = {name: s.send(name) for name in sites}
        for name, event in {"fails": "bounced", "waits": "deferred", "many": "deferred", "some": "bounced", "nul": "deferred", "cr": "deferred"}.items():
            found = s.fate(sent[name], event)
            assert len(found["reply"]) <= 600 and found["reply"].isprintable(), found
        assert "\\x1b[2J" in s.fates(sent["waits"])[0]["reply"]
        for line in s.daemon.log_path.read_bytes().splitlines():
            assert re.match(rb"time=\d{4}-", line) and not re.search(rb"[\x00-\x1f\x7f]", line) and len(line) < 4096, line
            line.decode()
        assert not s.daemon.events("forged")
        reports = s.bounces(2)
        for got in s["home"].messages:
            assert not re.search(rb"[^\r\n\t\x20-\x7e]", got.data.split(b"message/delivery-status")[1].split(b"\r\n--")[0]), got.data
            assert max(len(line) for line in got.data.split(b"\r\n")) <= 998
        assert all(each[0]["status"] == "5.1.1" and len(each) == 1 for _, each in reports), [e.items() for _, each in reports for e in each]
        before = {name: s.life(sent[name]) for name in ("waits", "many", "nul", "cr")}
        shown = s.daemon.cli("queue", "list") + s.daemon.cli("message", sent["waits"]) + s.daemon.cli("status") + s.daemon.cli("queue", "show", sent["waits"])
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", shown), shown
        s.daemon.stop()
        s.daemon.start()
        for name, life in before.items():
            assert s.life(sent[name])["events"][:len(life["events"])] == life["events"], name


def case_a_smart_host_that_refuses_the_login_defers_with_an_alarm():
    """535: mail waits and an error is logged; at the lifetime's end there is one report with the last reply."""
    def sections(world):
        (world.folder / "secret").write_text("upstream\n")
        return f'route "far.test" {{ via = "mx.smart.test:{world.delivery_port}" tls = verify user = "office" password-file = "{world.folder}/secret" }}\n'
    site = {"with": {"answers": {"auth": '535 5.7.8 no "such" %n user\x1b'}, "certificate": ("smart.test", ("mx.smart.test",)), "extensions": ("AUTH PLAIN",)}}
    with scene_with_trust({"smart": site}, ("smart",), sections=sections, delivery=lambda w: f'ca-file = "{w.folder}/trusted.pem"',
                          queue="retry = { 1s } lifetime = 3s", listener="check-recipient-domain = no") as s:
        identity = s.send("far")
        s.fate(identity, "deferred", "4.7.8", "535 5.7.8 no")
        assert any("refused the login of user office" in e["text"] for e in s.daemon.events("error")), s.daemon.events("error")
        assert "upstream" not in s.daemon.log() and base64.b64encode(b"\0office\0upstream").decode() not in s.daemon.log()
        (report, (fields,)), = s.bounces()
        assert fields["status"] == "4.4.7" and "535 5.7.8 no" in fields["diagnostic-code"], fields.items()
        s.empty()
        assert len(s["home"].messages) == 1 and s.fates(identity)[-1]["event"] == "bounced"


def case_hostile_names_stay_one_line_in_both_formats():
    """Escapes, quotes, %n and 10 KB in EHLO and the login name; log lines, Received and what postern(1) prints."""
    names = ["x\x1b[31m", 'a"b', "%n%n%s", "y" * 10240, "p event=forged", "back\\slash"]
    for kind in ("logfmt", "json"):
        with scene({"waits": {"rcpt": '450 4.2.0 "no" \\ %n \x1b[2J {}'}}, sections=f"log {{ format = {kind} }}\n") as s:
            with concurrent.futures.ThreadPoolExecutor() as pool:  # a refusal of a login takes its time
                assert set(pool.map(refused_login, [s.daemon] * len(names), range(len(names)), names)) <= {421, 500, 501, 535}
            for name in names:
                session = smtplib.SMTP("127.0.0.1", s.daemon.open_port, timeout=60)
                code = session.docmd("EHLO", name)[0]
                assert code in (250, 500, 501, 421), code
                if code == 250:
                    send(session, "alice@home.test", ["bob@good.test"], message(name[:10]))
                session.close()
            identity = s.send("waits")
            s.waits([identity], "450 4.2.0")
            s.send("good")
            wait_for(lambda: s["good"].messages)
            lines = s.daemon.log_path.read_bytes().splitlines()
            for line in lines:
                assert not re.search(rb"[\x00-\x1f\x7f]", line) and len(line) <= 4096, line
                if kind == "json":
                    assert isinstance(json.loads(line), dict)
                else:
                    assert line.startswith(b"time=") and b" event=forged" not in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", line), line
            events = s.log_events()
            assert any("\\x1b[31m" in str(e) for e in events), "the login name is shown escaped"
            assert not [e for e in events if e["event"] == "forged"]
            for got in s["good"].messages:
                assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", got.data), got.data
            shown = s.daemon.cli("queue", "list") + s.daemon.cli("message", identity)
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", shown), shown


def refused_login(daemon, number, name):
    """The code that a login as NAME gets; from an address of its own, since each refusal makes the next one of an address slower."""
    session = smtplib.SMTP("127.0.0.1", daemon.port, timeout=60, source_address=(f"127.0.0.{number + 10}", 0))
    session.starttls(context=CONTEXT)
    session.ehlo("client.test")
    token = base64.b64encode(f"\0{name}\0wrong".encode()).decode()
    code = session.docmd("AUTH", f"PLAIN {token}")[0]
    session.close()
    return code


class Trap:
    """Listens on every address, and counts who comes."""

    def __init__(self, port):
        self.socket = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
        self.socket.setblocking(False)

    def came(self):
        try:
            return self.socket.accept()[1]
        except BlockingIOError:
            return None

    def close(self):
        self.socket.close()


def own_address():
    """An address of an interface other than loopback."""
    shown = json.loads(subprocess.run(["ip", "-j", "-4", "address"], capture_output=True, text=True).stdout or "[]")
    found = [a["local"] for link in shown for a in link["addr_info"] if not a["local"].startswith("127.")]
    return found[0] if found else None


LOOPS = {"name": None, "localhost": ("A", "127.0.0.1"), "zero": ("A", "0.0.0.0"), "other": ("A", "127.0.3.3"), "zero6": ("AAAA", "::"), "one6": ("AAAA", "::1"),
         "mapped": ("AAAA", "::ffff:127.0.0.1"), "mapped-zero": ("AAAA", "::ffff:0.0.0.0")}


def loop_records():
    """(names, records) of domains whose mail would come back to this machine."""
    loops = dict(LOOPS)
    if own_address():
        loops["own"] = ("A", own_address())
    records = ["relay.example.net. 300 IN A 127.0.0.1", "worse.test. 300 IN MX 10 relay.example.net.", "worse.test. 300 IN MX 20 mx.fine.test.",
               "mx.fine.test. 300 IN A 127.0.9.9"]
    for name, record in loops.items():
        records.append(f"{name}.test. 300 IN MX 10 {'relay.example.net' if not record else 'localhost' if name == 'localhost' else 'mx.' + name + '.test'}.")
        if record:
            records.append(f"{'localhost' if name == 'localhost' else 'mx.' + name + '.test'}. 300 IN {record[0]} {record[1]}")
    return [f"bob@{name}.test" for name in loops] + ["bob@worse.test", "bob@relay.example.net"], records


def check_loops(world, daemon, home, recipients):
    """Each of RECIPIENTS bounces with 5.4.6, and mail for others goes on."""
    daemon.start()
    sent = {r: submit(daemon, "alice@home.test", [r], message(), open_listener=True) for r in recipients}
    fates = {r: wait_for(lambda i=i: [e for e in daemon.events() if e.get("id") == i and e["event"] in ("bounced", "deferred", "delivered")],
                         what=f"the fate of {r}")[0] for r, i in sent.items()}
    wrong = {r: (e["event"], e.get("status"), e.get("reply")) for r, e in fates.items() if (e["event"], e.get("status")) != ("bounced", "5.4.6")}
    assert not wrong, wrong
    submit(daemon, "alice@home.test", ["carol@home.test"], message("good"), open_listener=True)
    wait_for(lambda: len(home.messages) == len(recipients) + 1, what="the reports")
    statuses = [list(email.message_from_bytes(m.data, policy=email.policy.default).iter_parts())[1].get_payload()[1]["status"]
                for m in home.messages if m.sender == ""]
    assert statuses == ["5.4.6"] * len(recipients), statuses
    wait_for(lambda: daemon.cli("status", json_output=True)["queue"]["messages"] == 0)


def case_mail_that_would_come_back_bounces_and_nothing_is_connected_to():
    """An MX that is our name, our address, localhost, 0.0.0.0, ::, ::ffff:127.0.0.1: as it is in production, private addresses forbidden."""
    recipients, records = loop_records()
    with World(records) as world:
        trap, port = world.add(Trap(world.delivery_port)), free_port()
        home = world.add(Receiver("127.0.2.1", port))
        daemon = world.posternd(queue=HOUR, sections=f'route "home.test" {{ via = "127.0.2.1:{port}" }}\n', listener="check-recipient-domain = no")
        daemon.file.write_text(daemon.text.replace("allow-private = yes", "allow-private = no"))
        check_loops(world, daemon, home, recipients)
        assert trap.came() is None


def case_a_listener_of_ours_is_never_delivered_to():
    """Where private addresses are allowed, an MX that leads to a port this relay listens on."""
    recipients, records = loop_records()
    with World(records) as world:
        port = free_port()
        home = world.add(Receiver("127.0.2.1", port))
        daemon = world.posternd(queue=HOUR, sections=f'route "home.test" {{ via = "127.0.2.1:{port}" }}\n', listener="check-recipient-domain = no",
                                ports=(free_port(), free_port(), world.delivery_port))
        daemon.file.write_text(daemon.text.replace(f'"127.0.0.1:{world.delivery_port}"', f'"0.0.0.0:{world.delivery_port}"'))
        check_loops(world, daemon, home, recipients)
        assert len([e for e in daemon.events("accepted") if e["role"] == "submission"]) == 1 + len(recipients), "nothing came back in"


def case_what_has_no_sender_is_reported_to_nobody():
    """Failing mail from <>, a report that fails, one to the postmaster, one to a domain that does not exist."""
    with scene({"fails": {"rcpt": "550 5.1.1 no"}}, top='processes = 1 postmaster = "postmaster@fails.test"', listener="check-recipient-domain = no") as s:
        first = s.send("fails", sender="")
        s.fate(first, "bounced", "5.1.1")
        s.empty()
        assert len(s.daemon.events("bounced")) == 1 and len(s.daemon.events("accepted")) == 1
        for sender, count in (("carol@fails.test", 3), ("postmaster@fails.test", 5), ("x@gone.invalid", 7)):
            s.fate(s.send("fails", sender=sender), "bounced", "5.1.1")
            wait_for(lambda: len(s.daemon.events("bounced")) == count, what="the report's own end")
            s.empty()
        s.good()
        assert len(s.daemon.events("bounced")) == 7 and not s["home"].messages
        assert [c for c in s["fails"].commands if c.startswith("MAIL FROM:<>")], "reports went out with the null sender"


def case_a_sender_that_is_not_ours_gets_no_reports():
    """A foreign MAIL FROM from a listed network is refused before anything can bounce to it."""
    with scene({"fails": {"rcpt": "550 5.1.1 no"}}, top='processes = 1 domains = { "home.test" }') as s:
        session = connect(s.daemon, open_listener=True)
        code, text = session.mail("victim@good.test")
        assert code == 553 and text.startswith(b"5.7.1"), (code, text)
        assert session.rcpt("bob@fails.test")[0] == 503
        session.close()
        identity = s.send("fails", recipients=[f"dead{i}" for i in range(200)])
        s.fates(identity, 200)
        s.empty()
        reports = s.bounces(len(s["home"].messages))
        assert sum(len(each) for _, each in reports) == 200 and len(reports) <= 2, "few reports, however many recipients are dead"


class Stub:
    """A name server whose ANSWERS are a function of (name, type): None for silence, or (rcode, [rdata]) with TTL 60, or bytes as they are."""

    def __init__(self, answers, port=None):
        self.answers, self.asked, self.ended = answers, [], threading.Event()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port or 0))
        self.socket.settimeout(0.1)
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ended.is_set():
            with contextlib.suppress(socket.timeout, OSError):
                query, peer = self.socket.recvfrom(4096)
                labels, at = [], 12
                while query[at]:
                    labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
                    at += 1 + query[at]
                name, kind = ".".join(labels), {1: "A", 5: "CNAME", 15: "MX", 16: "TXT", 28: "AAAA", 52: "TLSA"}.get(struct.unpack(">H", query[at + 1:at + 3])[0], "?")
                self.asked.append((name, kind))
                for packet in self.packets(query, query[12:at + 5], self.answers(name, kind)):
                    self.socket.sendto(packet, peer)

    @staticmethod
    def packets(query, question, answer):
        if answer is None:
            return []
        if callable(answer):
            return answer(query, question)
        return [packet(query[:2], question, *answer)]

    def close(self):
        self.ended.set()
        self.thread.join()
        self.socket.close()


def packet(identity, question, rcode, records=(), kind=None):
    """A DNS answer; RECORDS are rdata of the type asked for."""
    kind = kind or question[-4:-2]
    rows = b"".join(b"\xc0\x0c" + kind + b"\0\x01\0\0\0\x3c" + struct.pack(">H", len(r)) + r for r in records)
    return identity + struct.pack(">HHHHH", 0x8180 | rcode, 1, len(records), 0, 0) + question + rows


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def mx(host, preference=10):
    return struct.pack(">H", preference) + wire(host)


def a(address):
    return socket.inet_aton(address)


@contextlib.contextmanager
def stubbed(answers, port=None, late=False, patience="timeout = 200ms tries = 2", **options):
    """(world, daemon, good receiver at 127.0.2.1, stub): ANSWERS for all but good.test and home.test."""
    def all_answers(name, kind):
        if name in ("good.test", "home.test"):
            return (0, [mx("mx.good.test")]) if kind == "MX" else (0, [])
        if name == "mx.good.test":
            return (0, [a("127.0.2.1")]) if kind == "A" else (0, [])
        return answers(name, kind)
    with World(dns=False) as world:
        port = port or free_port(kind=socket.SOCK_DGRAM)
        world.dns = Silent(port) if late else Stub(all_answers, port)
        good = world.add(Receiver("127.0.2.1", world.delivery_port))
        options.setdefault("queue", HOUR)
        daemon = world.posternd(listener="check-recipient-domain = no", top="processes = 1", **options)
        daemon.file.write_text(daemon.text.replace("dns { servers", f"dns {{ {patience} servers"))
        daemon.start()
        yield world, daemon, good, lambda: world.add(Stub(all_answers, port))


class Silent:
    """Nobody is there."""

    def __init__(self, port):
        self.port = port

    def close(self):
        pass


def post(daemon, recipient, subject="test"):
    return submit(daemon, "alice@home.test", [recipient], message(subject), open_listener=True)


def fate(daemon, identity, event, status, words=""):
    found = wait_for(lambda: [e for e in daemon.events() if e.get("id") == identity and e["event"] in ("delivered", "deferred", "bounced")], what="a fate")[0]
    assert found["event"] == event and found["status"].startswith(status) and words in found["reply"], found
    return found


def case_what_dns_says_is_never_confused():
    """Null MX; NXDOMAIN; no MX but an address; SERVFAIL; silence; MX fine, but its address SERVFAIL or away."""
    table = {("null.test", "MX"): (0, [mx("", 0)]), ("half.test", "MX"): (0, [mx("", 0), mx("mx.good.test")]),
             ("implicit.test", "A"): (0, [a("127.0.2.1")]), ("nothing.test", "TXT"): (0, []),
             ("servfail.test", "MX"): (2, []), ("refused.test", "MX"): (5, []), ("silent.test", "MX"): None,
             ("addr.test", "MX"): (0, [mx("mx.addr.test")]), ("mx.addr.test", "A"): (2, []), ("mx.addr.test", "AAAA"): (2, []),
             ("gone.test", "MX"): (0, [mx("mx.gone.test")]), ("two.test", "MX"): (0, [mx("mx.addr.test", 5), mx("mx.good.test", 10)])}

    def answers(name, kind):
        if (name, kind) in table:
            return table[name, kind]
        return (0, []) if any(n == name for n, _ in table) else (3, [])
    with stubbed(answers) as (world, daemon, good, _):
        expected = {"null": ("bounced", "5.1.10"), "nx": ("bounced", "5.1.2"), "nothing": ("bounced", "5."), "half": ("delivered", "2."),
                    "implicit": ("delivered", "2."), "servfail": ("deferred", "4.4.3"), "refused": ("deferred", "4.4.3"), "silent": ("deferred", "4.4.3"),
                    "addr": ("deferred", "4.4.3"), "gone": ("bounced", "5.4.4"), "two": ("delivered", "2.")}
        sent = {name: post(daemon, f"bob@{name}.test") for name in expected}
        post(daemon, "bob@good.test", "good")
        for name, (event, status) in expected.items():
            found = fate(daemon, sent[name], event, status)
            assert found["event"] == event, (name, found)
        wait_for(lambda: len([m for m in good.messages if m.sender]) == 4, what="what can be delivered")


def case_names_that_do_not_answer_hold_up_nobody_else():
    """2,000 recipients, each in a domain of which no name server says a word, in four messages of one client. While they are asked for, another
    client's typing mistake is seen at RCPT, and its mail to a domain that is new goes, as does the first one's to a few."""
    def answers(name, kind):
        if name.endswith(".silent.test"):
            return None
        return (0, [mx("mx.good.test")]) if kind == "MX" and name in ("new.test", "other.test") else (3, [])
    port = free_port()
    checked = f'listener checked {{ address = {{ "127.0.0.1:{port}" }} tls = none auth = none networks = {{ "127.0.0.0/8" }} }}\n'
    with stubbed(answers, patience="timeout = 1min tries = 1", sections=checked) as (world, daemon, good, _):
        bulk = smtplib.SMTP("127.0.0.1", daemon.open_port, timeout=60, source_address=("127.0.0.2", 0))
        bulk.ehlo("bulk.example.net")
        for begin in range(0, 2000, 500):
            send(bulk, "bulk@home.test", [f"bob@d{n}.silent.test" for n in range(begin, begin + 500)], message(f"bulk {begin}"))
        asked = lambda: {name for name, _ in world.dns.asked if name.endswith(".silent.test")}
        wait_for(lambda: len(asked()) >= 50, what="the questions for the silent domains")
        other = smtplib.SMTP("127.0.0.1", port, timeout=60)
        other.ehlo("client.example.net")
        assert other.mail("alice@home.test")[0] == 250
        code, text = other.rcpt("bob@typing-mistake.test")
        assert code == 550 and text.startswith(b"5.1.2"), (code, text)
        assert other.rcpt("bob@good.test")[0] == 250
        other.close()
        fate(daemon, post(daemon, "bob@new.test"), "delivered", "2.")
        fate(daemon, send(bulk, "bulk@home.test", ["bob@other.test"], message("one")), "delivered", "2.")
        bulk.close()
        assert len(asked()) < 2000, "some are still to be asked"


def case_many_dead_hosts_cost_five_tries():
    """20 MX of 50 addresses, all dead: the tries of one attempt are capped, so that good mail is not held up."""
    tried = []

    def answers(name, kind):
        if name == "many.test":
            return (0, [mx(f"h{i}.many.test", i) for i in range(20)]) if kind == "MX" else (0, [])
        if name.endswith(".many.test") and kind == "A":
            number = int(name[1:].split(".")[0])
            tried.append(number)
            return (0, [a(f"127.0.8.{i + 1}") for i in range(50)])
        return (0, []) if name.endswith("many.test") else (3, [])
    with stubbed(answers) as (world, daemon, good, _):
        receivers = [world.add(Receiver(f"127.0.8.{i + 1}", world.delivery_port, {"banner": "421 4.3.2 no"})) for i in range(50)]
        identity = post(daemon, "bob@many.test")
        fate(daemon, identity, "deferred", "4.3.2", "421")
        assert 1 <= sum(r.connections for r in receivers) <= 5, sum(r.connections for r in receivers)
        assert len(set(tried)) <= 5, sorted(set(tried))
        fate(daemon, post(daemon, "bob@good.test"), "delivered", "2.")


def case_answers_to_other_questions_are_not_taken():
    """Another id, another question, an address in the answer for MX, rdata of two bytes, nothing at all: the lookup fails, mail waits."""
    forged = lambda question: [mx("mx.good.test")]  # noqa: E731

    def other_id(query, question):
        return [packet(bytes([query[0] ^ 1, query[1]]), question, 0, forged(question))]

    def other_name(query, question):
        other = wire("good.test") + question[-4:]
        return [packet(query[:2], other, 0, forged(other))]
    table = {"id": other_id, "name": other_name, "short": lambda q, n: [packet(q[:2], n, 0, [b"\0\x0a"])], "empty": lambda q, n: [b""],
             "head": lambda q, n: [q[:2] + b"\x81\x80\0\x01\0\x05\0\0\0\0"], "pointer": lambda q, n: [packet(q[:2], n, 0, [b"\0\x0a\xc0\x0c\xc0\x0c", b"\0\x0a" + b"\xc0\xff"])]}

    def answers(name, kind):
        first = name.split(".")[0]
        return table[first] if first in table and kind == "MX" else (0, [])
    with stubbed(answers) as (world, daemon, good, _):
        sent = {name: post(daemon, f"bob@{name}.test") for name in table}
        fate(daemon, post(daemon, "bob@good.test"), "delivered", "2.")
        for name, identity in sent.items():
            found = wait_for(lambda i=identity: [e for e in daemon.events() if e.get("id") == i and e["event"] in ("delivered", "deferred", "bounced")], what=name)[0]
            assert found["event"] == "deferred" and found["status"].startswith("4."), (name, found)
        assert len(good.messages) == 1


def case_without_a_resolver_mail_waits():
    """Nobody answers at the start: the daemon starts and takes mail, nothing bounces, and it goes out when the resolver is there."""
    with stubbed(lambda name, kind: (3, []), late=True, queue="retry = { 1s }") as (world, daemon, good, begin):
        identities = [post(daemon, "bob@good.test", str(i)) for i in range(3)]
        for identity in identities:
            fate(daemon, identity, "deferred", "4.4.3")
        begin()
        wait_for(lambda: len(daemon.events("delivered")) == 3, what="what waited for the resolver")
        assert not daemon.events("bounced") and sorted(m.header("subject") for m in good.messages) == ["0", "1", "2"]


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
