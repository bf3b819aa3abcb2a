"""What hostile clients send, where a conversation file cannot say it: many bytes sequences at many places, many connections at once, and what the
receiving server got in the end. Each case also demands that the log stays one printable line an event, and that no sanitizer complains."""
import base64
import contextlib
import email
import email.policy
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading

from case import main
from receiver import Receiver
from submit import CONTEXT
from world import World, wait_for

# What is no end of a message, whatever some server once took it for; the only true one is CRLF . CRLF.
FALSE_ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\n", b"\r.\r\n", b"\n.\r", b"\r\n.\r", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n", b"\r\n\r.\r\n", b"\n\r.\r\n"]
# These do not even have a bare CR or LF: content like any other.
NO_ENDS = [b"\r\n..\r\n", b"\r\n. \r\n", b"\r\n .\r\n", b"\r\n.\t\r\n", b"\r\n.a\r\n"]
NUL_ENDS = [b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\0\n.\r\n"]
SMUGGLED = b"MAIL FROM:<smuggled@example.net>\r\nRCPT TO:<smuggled@example.com>\r\nDATA\r\nSubject: smuggled\r\n"
PATIENCE = 20


class Client:
    """A connection that sends bytes as they are. SOURCE: the address it comes from."""

    def __init__(self, port, source="127.0.0.1", implicit=False, hello=True):
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        if implicit:
            self.secure()
        self.banner = self.reply()
        if hello:
            self.expect("250", b"EHLO client.example\r\n")

    def secure(self):
        self.sock = CONTEXT.wrap_socket(self.sock)

    def send(self, data):
        self.sock.sendall(data)

    def more(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError):
            data = b""
        self.received += data
        return bool(data)

    def line(self):
        while b"\n" not in self.received:
            if not self.more():
                return ""  # the end
        line, _, self.received = self.received.partition(b"\n")
        return line.decode().rstrip("\r")

    def reply(self):
        """The last line of the next reply; "" at the end of the connection."""
        line = self.line()
        while line[3:4] == "-":
            line = self.line()
        return line

    def expect(self, prefix, data=b""):
        if data:
            self.send(data)
        got = self.reply()
        assert got.startswith(prefix), f"to {data[:120]!r} came {got!r}, not {prefix}"
        return got

    def begin(self, sender=b"alice@example.net", recipient=b"bob@example.com"):
        """A transaction up to its 354."""
        self.send(b"MAIL FROM:<" + sender + b">\r\nRCPT TO:<" + recipient + b">\r\nDATA\r\n")
        for prefix in ("250 2.1.0", "250 2.1.5", "354"):
            self.expect(prefix)

    def auth(self, response, prefix):
        """AUTH PLAIN with RESPONSE (bytes) as initial response."""
        return self.expect(prefix, b"AUTH PLAIN " + base64.b64encode(response) + b"\r\n")

    def ended(self):
        while self.more():
            pass
        return not self.received

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.sock.close()


@contextlib.contextmanager
def scene(answers=None, sections="", users=(("alice", "secret"),), **options):
    """(daemon, receiver of example.com and example.org); the log is looked at in the end."""
    with World() as world:
        receiver = world.add(Receiver("127.0.1.1", world.delivery_port, answers))
        receiver.other = world.add(Receiver("127.0.1.2", world.delivery_port, answers))
        daemon = world.posternd(sections=sections, **options)
        for name, password in users:
            daemon.user(name, password)
        daemon.start()
        yield daemon, receiver
        check_log(daemon)


def check_log(daemon):
    """No client has made a line of the log, or put a control byte in one."""
    log = daemon.log_path.read_bytes()
    for line in log.decode(errors="replace").splitlines():
        assert line.startswith(("time=", "==", "    ")) or "level=" in line, f"a strange line in the log: {line!r}"
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", log), "the log has control bytes"


def arrived(receiver, count):
    wait_for(lambda: len(receiver.messages) >= count, PATIENCE, f"message {count} at the receiver")
    return list(receiver.messages)


def case_false_ends_at_every_place():
    """False ends of data at the beginning, in the header and in the body: refused at the true end, nothing is a command, the next message arrives."""
    places = [b"", b"Subject: x", b"Subject: x\r\n", b"Subject: x\r\n\r\n", b"Subject: x\r\n\r\nbody", b"Subject: x\r\n\r\nbody\r\n..\r\n"]
    with scene(listener="max-errors = 1000 max-messages = 10000") as (daemon, receiver):
        for port, implicit in ((daemon.open_port, False), (daemon.tls_port, True)):
            client = Client(port, implicit=implicit)
            if implicit:
                client.auth(b"\0alice\0secret", "235 2.7.0")
            for place in places:
                for end in FALSE_ENDS + NUL_ENDS:
                    client.begin()
                    client.send(place + end + SMUGGLED + b"x\r\n.\r\n")
                    client.expect("550 5.5.2" if end in FALSE_ENDS and b"\0" not in end else "55")
                    client.expect("250 2.0.0", b"NOOP\r\n")
            client.begin()
            client.expect("250 2.0.0", b"Subject: good\r\n\r\nx\r\n.\r\n")
            client.close()
        assert [m.header("subject") for m in arrived(receiver, 2)] == ["good", "good"]
        assert len(daemon.events("accepted")) == 2


def case_lines_that_begin_with_a_dot_are_content():
    """A dot with something behind it, or in front of it, ends nothing, and arrives as it was meant."""
    with scene() as (daemon, receiver):
        client = Client(daemon.open_port)
        for i, end in enumerate(NO_ENDS):
            client.begin()
            client.expect("250 2.0.0", b"Subject: %d\r\n\r\nx" % i + end + b"RSET\r\n.\r\n")
        got = {m.header("subject"): m.body for m in arrived(receiver, len(NO_ENDS))}
        for i, end in enumerate(NO_ENDS):
            assert got[str(i)] == b"x" + end.replace(b"\r\n.", b"\r\n") + b"RSET\r\n", (end, got[str(i)])
        client.close()


def case_ends_across_buffers_and_records():
    """False ends and the true one across the ends of the input buffer and of TLS records: found, or not found, as anywhere else."""
    header = b"Subject: x\r\n\r\n"
    with scene(listener="max-errors = 1000 max-messages = 10000") as (daemon, receiver):
        for port, implicit in ((daemon.open_port, False), (daemon.tls_port, True)):
            client = Client(port, implicit=implicit)
            if implicit:
                client.auth(b"\0alice\0secret", "235 2.7.0")
            count, sizes = len(receiver.messages), []
            for edge in (16384, 65536):
                for before in range(1, 7):
                    filler = header + b"a" * (edge - before - len(header))
                    for end in FALSE_ENDS[:10]:
                        client.begin()
                        client.send(filler + end + b"MAIL FROM:<smuggled@example.net>\r\nx\r\n.\r\n")
                        client.expect("550 5.5.2")
                    client.begin()
                    client.expect("250 2.0.0", filler + b"\r\n.\r\n")
                    sizes.append(len(filler) - len(header) + 2)
            client.expect("250 2.0.0", b"NOOP\r\n")
            client.close()
            assert sorted(len(m.body) for m in arrived(receiver, count + len(sizes))[count:]) == sorted(sizes)
        assert all(m.sender == "alice@example.net" for m in receiver.messages)


def case_size_limit_then_false_end():
    """A message beyond the size limit is read to its true end, whatever false end comes before: 552, and none of it is a command."""
    with scene(listener="max-message-size = 10K max-errors = 1000") as (daemon, receiver):
        client = Client(daemon.open_port)
        for end in FALSE_ENDS + NUL_ENDS:
            client.begin()
            client.send(b"Subject: x\r\n\r\n" + b"0123456789abcde\r\n" * 6000 + b"x" + end + SMUGGLED + b"x\r\n.\r\n")
            client.expect("552 5.3.4")
            client.expect("250 2.0.0", b"NOOP\r\n")
        client.close()
        assert not daemon.events("accepted") and not receiver.messages


def case_a_report_keeps_the_rule():
    """The report about a refused message: its lines end in CRLF whatever the remote and the client wrote, dots of the original stay, and ENVID and
    ORCPT come back decoded, as one field each."""
    answers = {("rcpt", "dead@example.com"): "550 5.1.1 no \x1b[31m such % user\t=20"}
    with scene(answers) as (daemon, receiver):
        client = Client(daemon.open_port)
        client.send(b"MAIL FROM:<alice@example.org> RET=FULL ENVID=QQ+2B1+3D+20X-Evil:+201\r\n"
                    b"RCPT TO:<dead@example.com> ORCPT=rfc822;de+2Bad+3D@example.com\r\nDATA\r\n")
        for prefix in ("250 2.1.0", "250 2.1.5", "354"):
            client.expect(prefix)
        client.expect("250 2.0.0", b"Subject: x\r\n\r\n..\r\n...\r\n..QUIT\r\nend\r\n.\r\n")
        client.close()
        report = arrived(receiver.other, 1)[0]
        assert report.sender == "" and report.recipients == ["alice@example.org"], report.recipients
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\x1b", report.data), report.data
        assert b"\r\n\r\n.\r\n..\r\n.QUIT\r\nend\r\n" in report.data, report.data
        parsed = email.message_from_bytes(report.data, policy=email.policy.default)
        status = [part for part in parsed.walk() if part.get_content_type() == "message/delivery-status"][0].get_payload()
        assert status[0]["Original-Envelope-Id"] == "QQ+1= X-Evil: 1", status[0].items()
        assert status[1]["Original-Recipient"] == "rfc822;de+ad=@example.com", status[1].items()
        assert status[1]["Final-Recipient"] == "rfc822; dead@example.com" and status[1]["Status"] == "5.1.1", status[1].items()


def case_tls_breaks_with_replies_queued():
    """A reset, an end and garbage in the middle of TLS, with half a command read and replies that the client never read: freed once, and others are
    served."""
    with scene(listener="max-connections-per-client = 1000 max-errors = 10000") as (daemon, _):
        for i in range(30):
            raw = socket.create_connection(("127.0.0.1", daemon.tls_port), PATIENCE)
            duplicate = raw.dup()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client = CONTEXT.wrap_socket(raw)
            client.sendall(b"EHLO client.example\r\n" * 1000 + b"AUTH PLAIN\r\n" * (i % 2) + b"MAIL FR")
            if i % 3 == 0:
                duplicate.sendall(b"\x17\x03\x03\x00\x20" + bytes(range(32)))  # a record that no key fits
            if i % 3 == 1:
                duplicate.sendall(b"\x17\x03\x03\x40\x00half a record")
            if i % 3 != 0:
                duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            duplicate.close()
        client = Client(daemon.tls_port, implicit=True)
        client.auth(b"\0alice\0secret", "235 2.7.0")
        client.close()


def case_key_updates_without_end():
    """TLS 1.3 lets a client change its keys as often as it likes, before it has said a word: the connection ends, and the log says why."""
    with scene() as (daemon, _):
        command = ["openssl", "s_client", "-quiet", "-no_ign_eof", "-tls1_3", "-connect", f"127.0.0.1:{daemon.tls_port}"]
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def updated():
            with contextlib.suppress(BrokenPipeError):
                client.stdin.write(b"K\n")  # one for each read(2) of it
                client.stdin.flush()
            return client.poll() is not None

        wait_for(updated, PATIENCE, "the end of the connection")
        with contextlib.suppress(BrokenPipeError):
            client.stdin.close()
        assert "too many TLS records" in [event for event in daemon.events("tls") if "text" in event][0]["text"]


def case_a_password_in_clear_is_not_looked_at():
    """AUTH before TLS is refused whether the password is right or wrong, and neither the log nor the auth process hears of it."""
    secret = base64.b64encode(b"\0alice\0secret")
    with scene() as (daemon, _):
        client = Client(daemon.port)
        client.expect("538 5.7.11", b"AUTH PLAIN " + secret + b"\r\n")
        client.expect("538 5.7.11", b"AUTH PLAIN\r\n")
        client.expect("500 5.5.2", secret + b"\r\n")
        client.expect("538 5.7.11", b"AUTH LOGIN YWxpY2U=\r\n")
        client.expect("500 5.5.2", b"c2VjcmV0\r\n")
        client.expect("530 5.7.0", b"MAIL FROM:<alice@example.net>\r\n")
        client.close()
        log = daemon.log()
        assert secret.decode() not in log and "c2VjcmV0" not in log and "secret" not in log.replace("users", "")
        assert not daemon.events("auth-failed") and not daemon.events("authenticated")


def side_by_side(cases, run):
    """RUN(number, case) for each of CASES at once; what failed is raised."""
    problems = []

    def one(number, case):
        try:
            run(number, case)
        except Exception as problem:
            problems.append(f"{case!r}: {problem}")
    threads = [threading.Thread(target=one, args=item) for item in enumerate(cases)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, "\n".join(problems)


def case_odd_responses():
    """PLAIN responses with too few or too many NULs, a foreign authorization identity, line ends in the name, 8-bit, and at the limit of length: each has
    its one answer, and the next login works."""
    cases = [(b"\0alice\0secret", "235 2.7.0"), (b"alice\0alice\0secret", "235 2.7.0"), (b"\0bob\0b", "235 2.7.0"), (b"\0bob\0c", "535 5.7.8"),
             (b"bob\0alice\0secret", "535 5.7.8"), (b"alice secret", "501 5.5.2"), (b"alice\0secret", "501 5.5.2"), (b"\0alice\0secret\0", "501 5.5.2"),
             (b"\0alice\0sec\0ret\0\0", "501 5.5.2"), (b"\0\0", "535 5.7.8"), (b"\0\0\0", "501 5.5.2"), (b"\0alice\0", "535 5.7.8"),
             (b"\0ali\r\nlevel=info event=accepted x=\0secret", "535 5.7.8"), (b"\0alice\r\n\0secret", "535 5.7.8"), (b"\0\x1b[31malice\0secret", "535 5.7.8"),
             (b"\0alice\0secret\r\n", "535 5.7.8"), (b"\0alice\xff\0secret", "535 5.7.8"), (b"\0\xe4\xf6\0\xfc", "535 5.7.8"), (b"\0alice\0\xff\xfe", "535 5.7.8"),
             (b"\0alice)(uid=*\0secret", "535 5.7.8"), (b"\0x' OR '1'='1\0' OR '1'='1", "535 5.7.8"), (b"\0alice\0" + b"x" * 9209, "535 5.7.8"),
             (b"\0alice\0" + b"x" * 9210, "500 5.5.6")]
    with scene(users=(("alice", "secret"), ("bob", "b"))) as (daemon, _):
        def run(number, case):
            response, prefix = case
            for challenged in (False, True):  # each from an address of its own, since failures of one make it wait
                client = Client(daemon.tls_port, f"127.0.{2 + challenged}.{number + 1}", implicit=True)
                if challenged:
                    client.expect("334", b"AUTH PLAIN\r\n")
                    client.expect(prefix, base64.b64encode(response) + b"\r\n")
                elif prefix != "500 5.5.6":  # of an initial response the command's name is no part
                    client.auth(response, prefix)
                if not prefix.startswith("235"):
                    client.auth(b"\0alice\0secret", "235 2.7.0")
                client.expect("250 2.1.0", b"MAIL FROM:<alice@example.net>\r\n")
                client.close()
        side_by_side(cases, run)
        names = {event["account"] for event in daemon.events("authenticated")}
        assert names == {"alice", "bob"}, names


def case_mechanisms_that_are_not_loaded():
    """Mechanisms that libsasl2 has and postern does not are refused, and their plugins are not in the auth process's memory."""
    with scene() as (daemon, _):
        client = Client(daemon.tls_port, implicit=True)
        for name in (b"DIGEST-MD5", b"CRAM-MD5", b"NTLM", b"GSSAPI", b"GSS-SPNEGO", b"OTP", b"SRP", b"EXTERNAL", b"ANONYMOUS eA==", b"XOAUTH2 eA==", b"SCRAM-SHA-1"):
            client.expect("504 5.5.4", b"AUTH " + name + b"\r\n")
        client.auth(b"\0alice\0secret", "235 2.7.0")
        client.close()
        for pid in daemon.pids()["auth"]:
            with open(f"/proc/{pid}/maps") as maps:
                loaded = maps.read()
            assert "libsasl2" in loaded
            for plugin in ("libdigestmd5", "libcrammd5", "libntlm", "libgssapi", "libotp", "libsrp", "libanonymous"):
                assert plugin not in loaded, plugin


def case_guessing_from_one_address():
    """After a few failures an address is not heard any more, with the right password neither; other addresses are; and unknown accounts and wrong passwords
    get the same answers."""
    with scene(auth="lockout-failures = 2 max-failures = 100 processes = 1") as (daemon, _):
        texts = []
        for name in (b"alice", b"nobody"):
            client = Client(daemon.tls_port, "127.0.4.1", implicit=True)
            texts.append(client.auth(b"\0" + name + b"\0wrong", "535 5.7.8"))
            client.close()
        assert len(set(texts)) == 1, texts
        for name in (b"alice", b"nobody"):
            client = Client(daemon.tls_port, "127.0.4.1", implicit=True)
            texts.append(client.auth(b"\0" + name + b"\0secret", "421 4.7.0"))
            assert client.ended()
            client.close()
        assert texts[-1] == texts[-2]
        client = Client(daemon.tls_port, "127.0.4.2", implicit=True)
        client.auth(b"\0alice\0secret", "235 2.7.0")
        client.close()


def case_guessing_from_many_addresses():
    """Guesses at one account from many addresses, a few each: the account is locked for new addresses, not for the one it was used from, and other accounts
    are not."""
    with scene(auth="lockout-failures = 5 max-failures = 100 processes = 1 cache-time = 0s", users=(("alice", "secret"), ("bob", "b"))) as (daemon, _):
        def log_in(source, response, prefix):
            client = Client(daemon.tls_port, source, implicit=True)
            got = client.auth(response, prefix)
            client.close()
            return got
        log_in("127.0.5.1", b"\0alice\0secret", "235 2.7.0")
        side_by_side(range(2, 17), lambda number, last: log_in(f"127.0.5.{last}", b"\0alice\0guess%d" % number, "535 5.7.8"))
        locked = []
        side_by_side([b"secret", b"wrong"], lambda number, word: locked.append(log_in(f"127.0.6.{number + 1}", b"\0alice\0" + word, "421 4.7.0")))
        assert locked[0] == locked[1], locked
        log_in("127.0.5.1", b"\0alice\0secret", "235 2.7.0")
        log_in("127.0.6.3", b"\0bob\0b", "235 2.7.0")


def case_waiting_for_a_verdict_holds_nobody_up():
    """Many failed logins whose answers wait: the one auth process serves a good login meanwhile."""
    with scene(auth="processes = 1 max-failures = 100", top="processes = 1") as (daemon, _):
        waiting = [Client(daemon.tls_port, "127.0.4.3", implicit=True) for _ in range(12)]
        for client in waiting:
            client.send(b"AUTH PLAIN " + base64.b64encode(b"\0alice\0wrong") + b"\r\n")
        wait_for(lambda: len(daemon.events("auth-failed")) == len(waiting), what="the verdicts")
        good = Client(daemon.tls_port, "127.0.4.4", implicit=True)
        good.auth(b"\0alice\0secret", "235 2.7.0")
        good.close()
        waiting[-1].sock.setblocking(False)
        try:
            data = waiting[-1].sock.recv(1000)
        except (BlockingIOError, ssl.SSLWantReadError):
            data = None
        assert data is None, f"the last one's answer did not wait: {data!r}"
        for client in waiting:
            client.reset()


def case_quoted_local_parts_keep_their_domain():
    """Quoted local parts go out quoted, in the one spelling they have; the domain behind the last "@" is the one for the route, the sender rule and the
    log."""
    forms = [(b'""', '""@example.com'), (b'"a b"', '"a b"@example.com'), (b'"a\\"b\\\\"', '"a\\"b\\\\"@example.com'), (b'"plain"', "plain@example.com"),
             (b'"x@example.org y"', '"x@example.org y"@example.com')]
    with scene(sections='domains = { "example.net" }\n') as (daemon, receiver):
        client = Client(daemon.tls_port, implicit=True)
        client.auth(b"\0alice\0secret", "235 2.7.0")
        client.expect("553 5.7.1", b'MAIL FROM:<"x@example.net y"@example.org>\r\n')
        client.expect("250 2.1.0", b'MAIL FROM:<"x@example.org y"@example.net>\r\n')
        client.expect("501 5.1.3", b"RCPT TO:<a\\@b@example.com>\r\n")
        for form, _ in forms:
            client.expect("250 2.1.5", b"RCPT TO:<" + form + b"@example.com>\r\n")
        client.expect("250 2.1.5", b'RCPT TO:<"x@example.com z"@example.org>\r\n')
        client.expect("354", b"DATA\r\n")
        client.expect("250 2.0.0", b"From: alice@example.net\r\nSubject: x\r\n\r\nx\r\n.\r\n")
        client.close()
        got = arrived(receiver, 1)[0]
        assert got.sender == '"x@example.org y"@example.net' and sorted(got.recipients) == sorted(text for _, text in forms), (got.sender, got.recipients)
        assert arrived(receiver.other, 1)[0].recipients == ['"x@example.com z"@example.org']
        delivered = wait_for(lambda: len(daemon.events("delivered")) == 6 and daemon.events("delivered"), what="six deliveries")
        assert '"x@example.org y"@example.com' in {event["to"] for event in delivered}, delivered


def case_names_that_look_like_sql():
    """An account and a sender that would be a query, with limits: keys like any other, counted as such, one line in the log."""
    sections = ('limit accounts { key = account count = messages rate = "2/1h" burst = 2 then = defer }\n'
                'limit clients { key = client count = messages rate = "100/1h" burst = 100 then = defer }\n')
    name, sender = "x'/**/union/**/select/**/1--;%s", b"\"x'/**/UNION/**/SELECT/**/1--;%s\"@example.net"
    with scene(sections=sections, users=(("alice", "secret"), (name, "secret"))) as (daemon, receiver):
        client = Client(daemon.tls_port, implicit=True)
        client.auth(b"\0" + name.encode() + b"\0secret", "235 2.7.0")
        for _ in range(2):
            client.begin(sender)
            client.expect("250 2.0.0", b"From: x@example.net\r\nSubject: x\r\n\r\n.\r\n")
        client.expect("450 4.7.1", b"MAIL FROM:<" + sender + b">\r\n")
        client.close()
        client = Client(daemon.tls_port, implicit=True)
        client.auth(b"\0alice\0secret", "235 2.7.0")
        client.begin()
        client.expect("250 2.0.0", b"From: x@example.net\r\nSubject: x\r\n\r\n.\r\n")
        client.close()
        assert {m.sender for m in arrived(receiver, 3)} == {sender.decode(), "alice@example.net"}
        assert {event["value"] for event in daemon.events("throttled")} == {name}
        assert (name, sender.decode()) in {(event["account"], event["from"]) for event in daemon.events("accepted")}


def case_a_thousand_recipients_and_more():
    """As many recipients as one message may have are taken, the next thousand are answered 452 each, then the connection ends; none of it is a message."""
    with scene(listener="check-recipient-domain = no") as (daemon, receiver):
        client = Client(daemon.open_port)
        client.expect("250 2.1.0", b"MAIL FROM:<alice@example.net>\r\n")
        sender = threading.Thread(target=client.send, args=(b"".join(b"RCPT TO:<u%d@example.com>\r\n" % i for i in range(2001)),))
        sender.start()
        codes = [client.reply()[:9] for _ in range(2001)]
        sender.join()
        assert codes == ["250 2.1.5"] * 1000 + ["452 4.5.3"] * 1000 + ["421 4.7.0"], {code: codes.count(code) for code in codes}
        assert client.ended()
        client.close()
        assert not daemon.events("accepted") and not receiver.messages


def case_refusals_of_a_batch_end_it():
    """Recipients that policy refuses many at a time: the one that is too many ends the connection in the middle of its batch."""
    limit = 'limit few { key = client count = recipients rate = "5/1h" burst = 5 then = reject }\n'
    with scene(sections=limit, listener="max-recipients = 10") as (daemon, _):
        client = Client(daemon.open_port)
        client.expect("250 2.1.0", b"MAIL FROM:<alice@example.net>\r\n")
        client.send(b"".join(b"RCPT TO:<r%d@example.com>\r\n" % i for i in range(1100)))
        for prefix in ["250 2.1.5"] * 5 + ["550 5.7.1"] * 1011 + ["421 4.7.0 too many refusals"]:
            client.expect(prefix)
        assert client.ended()
        assert len(daemon.events("rejected")) == 1011


def nested(depth):
    """A multipart in a multipart in …"""
    head = b"".join(b'--%d\r\nContent-Type: multipart/mixed; boundary="%d"\r\n\r\n' % (i, i + 1) for i in range(depth))
    return b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="0"\r\n', head + b"".join(b"--%d--\r\n" % i for i in range(depth, -1, -1))


def case_shapes_of_messages():
    """Shapes that cost some server its time or its stack: passed on unchanged, or refused whole; never cut."""
    addresses = b"a@b,\r\n " * 1000 + b"a@b," * 99000 + b"a@b"
    good = {
        "nested": nested(10000),
        "parameters": (b"Content-Type: text/plain" + b"".join(b";\r\n a*%d=b" % (i % 10) for i in range(60000)) + b"\r\n", b"x\r\n"),
        "parameters in one line": (b"Content-Type: text/plain" + b";a*9=b" * 100000 + b"\r\n", b"x\r\n"),
        "addresses": (b"To: " + addresses + b"\r\n", b"x\r\n"),
        "comments": (b"To: " + b"(" * 100000 + b")" * 100000 + b" a@b\r\n", b"x\r\n"),
        "encoded words": (b"Comments: " + b"=?utf-8?q?x?= " * 50000 + b"\r\n", b"x\r\n"),
        "empty lines": (b"", b"\r\n" * 100000 + b"x\r\n"),
        "lines": (b"", b"".join(b"x" * n + b"\r\n" for n in (997, 998, 999, 1000, 4095, 4096, 65535, 65536, 65537, 1000000))),
    }
    bad = {
        "550 5.7.1": b"From: " + addresses + b"\r\n",
        "552 5.3.4": b"From: a@b.example\r\nSubject: " + b"x" * 1048576 + b"\r\n",
    }
    with scene() as (daemon, receiver):
        client = Client(daemon.open_port)
        for name, (fields, body) in good.items():
            client.begin()
            stuffed = body.replace(b"\r\n.", b"\r\n..")
            client.send(b"From: alice@example.net\r\nSubject: " + name.encode() + b"\r\n" + fields + b"\r\n" + stuffed + b".\r\n")
            client.expect("250 2.0.0")
        for prefix, fields in bad.items():
            client.begin()
            client.send(fields + b"\r\nx\r\n.\r\n")
            client.expect(prefix)
            client.expect("250 2.0.0", b"NOOP\r\n")
        client.close()
        got = {m.header("subject"): m.data for m in arrived(receiver, len(good))}
        for name, (fields, body) in good.items():
            assert got[name].endswith(b"\r\nFrom: alice@example.net\r\nSubject: " + name.encode() + b"\r\n" + fields + b"\r\n" + body), name
        assert len(daemon.events("accepted")) == len(good)


def case_a_group_in_one_write():
    """MAIL, recipients good, bad and good, DATA and the content in one write, at once over many connections: one reply each in order, and each message once,
    to the good ones."""
    block = (b"MAIL FROM:<n%d@example.net>\r\nRCPT TO:<1@example.com>\r\nRCPT TO:<x@evil.invalid>\r\nRCPT TO:<bad\r\nRCPT TO:<2@example.com>\r\nDATA\r\n"
             b"Subject: n%d\r\n\r\nRSET\r\nQUIT\r\n.\r\nNOOP\r\n")
    with scene() as (daemon, receiver):
        def run(number, implicit):
            client = Client(daemon.tls_port if implicit else daemon.open_port, implicit=implicit)
            if implicit:
                client.auth(b"\0alice\0secret", "235 2.7.0")
            for round_number in range(3):
                client.send(block % (number * 10 + round_number, number * 10 + round_number))
                for prefix in ("250 2.1.0", "250 2.1.5", "550 5.1.2", "501 5.1.3", "250 2.1.5", "354", "250 2.0.0", "250 2.0.0 ok"):
                    client.expect(prefix)
            client.close()
        side_by_side([False, True] * 6, run)
        messages = arrived(receiver, 36)
        assert len({m.sender for m in messages}) == len(messages) == 36
        for message in messages:
            assert message.recipients == ["1@example.com", "2@example.com"] and message.body == b"RSET\r\nQUIT\r\n", (message.recipients, message.body)


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
