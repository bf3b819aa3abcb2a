"""Unmodified mail programs submit to postern: swaks, msmtp, curl, Python's smtplib, nodemailer; each a plain, an attachment, a UTF-8 and a 20 MB
message over 587 (STARTTLS) and 465 (TLS from the start), with PLAIN, LOGIN and, where the program has it, SCRAM. What arrives must be what was
sent, byte for byte, but for the header fields that postern adds."""
import base64
import json
import os
import pathlib
import random
import smtplib
import subprocess
import sys

from case import main
from receiver import Receiver
from submit import CONTEXT
from world import Skip, World, wait_for, which

USER, PASSWORD = "alice", "s3cret, with spaces & signs"


def attachment():
    blob = base64.encodebytes(random.Random(1).randbytes(200000)).replace(b"\n", b"\r\n")
    return (b'Content-Type: multipart/mixed; boundary="edge"\r\nMIME-Version: 1.0\r\n', b"--edge\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n"
            b"--edge\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + blob + b"--edge--\r\n")


def bodies():
    """{name: (header fields, body)}; every program sends the same bytes."""
    return {
        "plain": (b"", b"Hello.\r\n.a line with a dot\r\n..and two\r\n.\x20\r\n\r\nEnd.\r\n"),
        "attachment": attachment(),
        "utf8": (b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", "Grüße aus Köln — 日本語 ✉\r\n".encode()),
        "large": (b"", b"".join(b"%08d the quick brown fox jumps over the lazy dog, again and again and again\r\n" % n for n in range(20 * 1024 * 1024 // 84))),
    }


def whole(name, header, body):
    return (f"From: Alice <alice@example.net>\r\nTo: bob@example.com\r\nSubject: {name}\r\nDate: Tue, 24 Nov 2026 22:15:03 +0000\r\n"
            f"Message-ID: <{name}@example.net>\r\n").encode() + header + b"\r\n" + body


def smtplib_sends(daemon, path, implicit, mechanism):
    if implicit:
        session = smtplib.SMTP_SSL("127.0.0.1", daemon.tls_port, context=CONTEXT, timeout=120)
    else:
        session = smtplib.SMTP("127.0.0.1", daemon.port, timeout=120)
        session.starttls(context=CONTEXT)
    session.ehlo()
    session.user, session.password = USER, PASSWORD
    session.auth(mechanism, getattr(session, "auth_" + mechanism.lower()))
    session.sendmail("alice@example.net", ["bob@example.com"], path.read_bytes())
    session.quit()


def run(command, **options):
    done = subprocess.run(command, capture_output=True, timeout=240, **options)
    if done.returncode:
        raise AssertionError(f"{command[0]}: exit {done.returncode}: {done.stdout[-1500:]!r} {done.stderr[-1500:]!r}")


def swaks_sends(daemon, path, implicit, mechanism):
    """swaks ends the data that it is given with CRLF . CRLF of its own."""
    path = path.with_suffix(".swaks")
    path.write_bytes(path.with_suffix(".eml").read_bytes().removesuffix(b"\r\n"))
    port = daemon.tls_port if implicit else daemon.port
    run([which("swaks"), "--server", f"127.0.0.1:{port}", "--tls-on-connect" if implicit else "--tls", "--auth", mechanism, "--auth-user", USER,
         "--auth-password", PASSWORD, "--from", "alice@example.net", "--to", "bob@example.com", "--data", f"@{path}", "--suppress-data",
         "--timeout", "120"])


def msmtp_sends(daemon, path, implicit, mechanism):
    port = daemon.tls_port if implicit else daemon.port
    file = daemon.folder / "msmtprc"
    file.write_text("")
    run([which("msmtp"), "-C", str(file), "--host=127.0.0.1", f"--port={port}", "--tls=on", f"--tls-starttls={'off' if implicit else 'on'}",
         "--tls-certcheck=off", f"--auth={mechanism.lower()}", f"--user={USER}", f"--passwordeval=printf %s '{PASSWORD}'", "--from=alice@example.net",
         "--timeout=120", "bob@example.com"], stdin=open(unix_lines(path), "rb"))


def unix_lines(path):
    """msmtp takes a message with LF and sends CRLF."""
    unix = path.with_suffix(".unix")
    unix.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
    return unix


def curl_sends(daemon, path, implicit, mechanism):
    url = f"smtps://127.0.0.1:{daemon.tls_port}" if implicit else f"smtp://127.0.0.1:{daemon.port}"
    run([which("curl"), "--silent", "--show-error", "--insecure", "--ssl-reqd", "--url", url, "--user", f"{USER}:{PASSWORD}", "--login-options", f"AUTH={mechanism}",
         "--mail-from", "alice@example.net", "--mail-rcpt", "bob@example.com", "--upload-file", str(path), "--crlf" if b"\r\n" not in path.read_bytes() else "--no-progress-meter"])


NODEMAILER = """
const [settings, path] = [JSON.parse(process.argv[1]), process.argv[2]];
const transport = require("nodemailer").createTransport(settings);
transport.sendMail({envelope: {from: "alice@example.net", to: ["bob@example.com"]}, raw: require("fs").readFileSync(path)})
    .then(() => transport.close(), error => { console.error(error); process.exit(1); });
"""


def nodemailer_sends(daemon, path, implicit, mechanism):
    if not os.path.isdir("/usr/share/nodejs/nodemailer"):
        raise Skip("nodemailer is not installed")
    settings = {"host": "127.0.0.1", "port": daemon.tls_port if implicit else daemon.port, "secure": implicit, "requireTLS": True, "authMethod": mechanism,
                "auth": {"user": USER, "pass": PASSWORD}, "tls": {"rejectUnauthorized": False}}
    run(["/usr/bin/node", "-e", NODEMAILER, json.dumps(settings), str(path)], env=dict(os.environ, NODE_PATH="/usr/share/nodejs"))


PROGRAMS = {
    "smtplib": (smtplib_sends, ("PLAIN", "LOGIN")),
    "swaks": (swaks_sends, ("PLAIN", "LOGIN")),
    "msmtp": (msmtp_sends, ("PLAIN", "LOGIN", "SCRAM-SHA-256")),
    "curl": (curl_sends, ("PLAIN", "LOGIN")),
    "nodemailer": (nodemailer_sends, ("PLAIN", "LOGIN")),
}


def strip_added(data):
    """The message without what postern puts in front of it."""
    head, separator, rest = data.partition(b"\r\nFrom: Alice")
    if not head.startswith(b"Received:") or not separator:
        raise AssertionError(f"unexpected beginning: {data[:300]!r}")
    return b"From: Alice" + rest


def program(name):
    """Every message, both ports, every mechanism of the program NAME; the 20 MB one with its first mechanism only."""
    sends, mechanisms = PROGRAMS[name]
    with World() as world:
        receiver = world.add(Receiver("127.0.1.1", world.delivery_port))
        daemon = world.posternd()
        daemon.user(USER, PASSWORD)
        daemon.start()
        sent = {}
        for implicit in (False, True):
            for mechanism in mechanisms:
                for kind, (header, body) in bodies().items():
                    if kind == "large" and mechanism != mechanisms[-1]:
                        continue
                    title = f"{kind}-{mechanism}-{'465' if implicit else '587'}"
                    path = world.folder / f"{title}.eml"
                    sent[title] = whole(title, header, body)
                    path.write_bytes(sent[title])
                    sends(daemon, path, implicit, mechanism)
        wait_for(lambda: len(receiver.messages) == len(sent), 60, f"{len(sent)} messages")
        for message in receiver.messages:
            title = message.header("subject")
            got = strip_added(message.data)
            if got != sent[title]:
                at = next((i for i, (a, b) in enumerate(zip(got, sent[title])) if a != b), min(len(got), len(sent[title])))
                raise AssertionError(f"{title}: {len(got)} bytes arrived, {len(sent[title])} sent; first difference at {at}: {got[at - 20:at + 40]!r} "
                                     f"instead of {sent[title][at - 20:at + 40]!r}")
        logins = [event for event in daemon.events("authenticated")]
        assert {event["account"] for event in logins} == {USER}, logins[:3]


def case_smtplib():
    program("smtplib")


def case_swaks():
    program("swaks")


def case_msmtp():
    program("msmtp")


def case_curl():
    program("curl")


def case_nodemailer():
    program("nodemailer")


def case_python_email_corpus_through_postfix():
    """Every message of the test corpus of Python's email package goes to an unmodified Postfix over TLS and arrives as it was sent."""
    from postfix import Postfix
    corpus = sorted(pathlib.Path("/usr/lib/python3.11/test/test_email/data").glob("msg_*.txt"))
    if not corpus:
        raise Skip("the corpus (libpython3.11-testsuite) is not installed")
    with World() as world:
        server = world.add(Postfix.receiver(world.folder, f"127.0.1.10:{world.delivery_port}", "postfix.example", world.certificate))
        daemon = world.posternd(top="from-header = ignore")
        daemon.user(USER, PASSWORD)
        daemon.start()
        sent = {}
        session = smtplib.SMTP("127.0.0.1", daemon.port, timeout=60)
        session.starttls(context=CONTEXT)
        session.login(USER, PASSWORD)
        refused = []
        for path in corpus:
            data = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
            data = f"X-Corpus: {path.name}\r\n".encode() + data
            try:
                session.sendmail("alice@example.net", [f"{path.stem}@postfix.example"], data, ["BODY=8BITMIME"])
                sent[path.name] = data
            except smtplib.SMTPDataError as error:
                refused.append((path.name, error.smtp_error.decode()))
                session.rset()
        wait_for(lambda: len(server.messages()) == len(sent), 60, f"{len(sent)} messages at Postfix")
        for message in server.messages():
            name = message.split(b"X-Corpus: ", 1)[1].split(b"\n", 1)[0].decode()
            wanted = sent[name].replace(b"\r\n", b"\n").rstrip(b"\n").partition(b"\n\n")[2]
            # Postfix itself puts an empty line where a header ends without one: the end of the whole is compared.
            assert message.rstrip(b"\n").endswith(wanted), f"{name}: the body differs"
        assert "TLS connection established" in server.log()
        print(f"note {len(sent)} messages of the corpus arrived, {len(refused)} refused: {refused}")
        assert len(sent) == len(corpus), refused


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
