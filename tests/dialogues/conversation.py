"""Conversation files and the client that plays them. The format is described in README.md beside this file."""
import base64
import hashlib
import hmac
import os
import re
import socket
import ssl
import struct
import subprocess
import time

PATIENCE = 20        # seconds for a reply
PIECE_PAUSE = 0.0015 # between the two pieces of a cut block: a segment, or a record, of its own


# Steps that look at what became of the messages.
HALF = "half"
OUTCOMES = {"ACCEPTED", "GOT", "GOTNOT", "ENVELOPE", "LOG", "NOLOG"}


class Failed(Exception):
    pass


class Step:
    def __init__(self, word, text, number, count=1):
        self.word, self.text, self.number, self.count = word, text, number, count


class Conversation:
    """One parsed file: `header` (a dict) and `steps`."""

    def __init__(self, path):
        self.name, self.header, self.steps = path.stem, {}, []
        in_header = True
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith("#") or not line.strip():
                in_header = in_header and not (self.header and not line.strip())
                continue
            match = re.match(r"([a-z]+): *(.*)$", line)
            if in_header and match and match[1] != "c":
                self.header[match[1]] = match[2]
                continue
            in_header = False
            self.steps.append(parse_step(path.name, number, line))


def parse_step(name, number, line):
    match = re.match(r"(C|c|S|X)(?:\*(\d+))?: ?(.*)$", line) or re.match(r"(S[+-]|[A-Z]+)() ?(.*)$", line)
    if not match:
        raise SystemExit(f"{name}:{number}: not a step: {line}")
    return Step(match[1], match[3], number, int(match[2] or 1))


def unescape(text):
    """\\r \\n \\t \\0 \\\\ \\xNN; everything else is UTF-8."""
    plain = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}
    return re.sub(rb"\\(x[0-9a-fA-F]{2}|.)", lambda m: bytes([int(m[1][1:], 16)]) if len(m[1]) == 3 else plain[m[1]], text.encode())


def expand(text, mark):
    """The bytes of TEXT: $ID is MARK, {rep:N:TEXT} is TEXT N times, {b64:TEXT} is base64."""
    text = text.replace("$ID", mark)
    text = re.sub(r"\{rep:(\d+):(.*?)\}", lambda m: m[2] * int(m[1]), text)
    text = re.sub(r"\{b64:(.*?)\}", lambda m: base64.b64encode(unescape(m[1])).decode(), text)
    return unescape(text)


def glob(pattern, text):
    """Does TEXT match PATTERN, in which * stands for anything?"""
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text, re.S) is not None


class Connection:
    """A client's connection; plain or TLS."""

    def __init__(self, port, context):
        self.context = context
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.closed = False

    def secure(self):
        self.sock = self.context.wrap_socket(self.sock, server_hostname="relay.example.net")

    def send(self, data, cut=None):
        pieces = [data] if cut is None or not 0 < cut < len(data) else [data[:cut], data[cut:]]
        try:
            for i, piece in enumerate(pieces):
                if i:
                    time.sleep(PIECE_PAUSE)
                self.sock.sendall(piece)
        except (ConnectionError, ssl.SSLError):
            self.closed = True # what was said before it can still be read

    def more(self, seconds=PATIENCE):
        """Reads once. False at the end; raises TimeoutError."""
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
            data = b""
        self.received += data
        return bool(data)

    def line(self):
        while b"\n" not in self.received:
            if not self.more():
                raise Failed("the connection ended" + (f" behind {self.received!r}" if self.received else ""))
        line, _, self.received = self.received.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def reply(self):
        """The lines of one reply."""
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return lines

    def expect_end(self, seconds=PATIENCE):
        end = time.monotonic() + seconds
        try:
            while not self.received and self.more(max(0.01, end - time.monotonic())):
                pass
        except TimeoutError:
            raise Failed("the connection stays open")
        if self.received:
            raise Failed(f"instead of the end came {self.received!r}")
        self.closed = True

    def close(self):
        self.closed = True
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class Player:
    """Plays one conversation over one connection at a time."""

    def __init__(self, scene, conversation, transport, mark):
        self.scene, self.conversation, self.transport, self.mark = scene, conversation, transport, mark
        self.listener = conversation.header.get("listener", {"plain": "plain", "starttls": "office", "implicit": "submissions"}[transport])
        self.connection, self.lines, self.pending, self.others = None, [], b"", []
        self.cut = None
        self.log_start = scene.log_size()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.load_verify_locations(scene.certificate.certificate)
        if conversation.header.get("tls") == "1.2":
            self.context.maximum_version = ssl.TLSVersion.TLSv1_2

    def connect(self):
        """Up to the point where the file begins: "raw", "greeting" (the default), or "ehlo" (behind TLS where the transport has it)."""
        self.connection = Connection(self.scene.ports[self.listener], self.context)
        start = self.conversation.header.get("start", "greeting")
        if start == "raw":
            return
        if self.transport == "implicit":
            self.connection.secure()
        if start == "greeting":
            return
        self.say("", "220 *")
        self.say("EHLO client.example", "250 *")
        if self.transport == "starttls":
            self.say("STARTTLS", "220 *")
            self.connection.secure()
            self.say("EHLO client.example", "250 *")
        if self.transport == "implicit" and start == "ehlo" and self.listener.startswith("submission"):
            self.do_login("bob b")
        if self.conversation.header.get("login"):
            self.do_login(self.conversation.header["login"])

    def say(self, command, pattern):
        if command:
            self.connection.send(command.encode() + b"\r\n")
        self.lines = self.connection.reply()
        if not glob(pattern, self.lines[-1]):
            raise Failed(f"to {command!r} came {self.lines}, not {pattern}")

    def flush(self):
        if self.pending:
            pending, self.pending = self.pending, b""
            self.connection.send(pending, len(pending) // 2 if self.cut == HALF else self.cut)

    def play(self, cut=None):
        """Once through. With CUT, each block of bytes that is sent at once is cut there, or in its middle (HALF); what became of the messages is
        looked at only without."""
        self.cut, self.longest = cut, 0
        if self.connection is None or self.connection.closed:
            self.connect()
        for step in self.conversation.steps:
            if cut is not None and step.word in OUTCOMES:
                continue
            try:
                self.do(step)
            except (Failed, TimeoutError, AssertionError, OSError) as problem:
                where = f" cut at {cut}" if cut is not None else ""
                raise Failed(f"line {step.number} ({step.word} {step.text[:60]}){where} over {self.transport}: "
                             f"{problem or type(problem).__name__}"[:1500])
        self.flush()

    def do(self, step):
        if step.word in ("C", "c"):
            self.pending += expand(step.text, self.mark) * step.count if step.word == "c" else (expand(step.text, self.mark) + b"\r\n") * step.count
            self.longest = max(self.longest, len(self.pending))
            return
        self.flush()
        getattr(self, {"S": "do_reply", "S+": "do_has", "S-": "do_lacks"}.get(step.word, "do_" + step.word.lower()))(step.text.replace("$ID", self.mark), *([step.count] if step.word == "S" else []))

    def do_reply(self, pattern, count):
        if pattern == "close":
            self.connection.expect_end()
            return
        if pattern == "ends":
            while self.connection.more():
                pass
            self.connection.closed = True
            return
        for _ in range(count):
            self.lines = self.connection.reply()
            if not glob(pattern, self.lines[-1]):
                raise Failed(f"came {self.lines[-1]}")

    def do_has(self, pattern):
        if not any(glob(pattern, line[4:]) for line in self.lines):
            raise Failed(f"not in {self.lines}")

    def do_lacks(self, pattern):
        if any(glob(pattern, line[4:]) for line in self.lines):
            raise Failed(f"in {self.lines}")

    def do_silent(self, seconds):
        try:
            if self.connection.received or self.connection.more(float(seconds)):
                raise Failed(f"came {self.connection.received!r}")
            raise Failed("the connection ended")
        except TimeoutError:
            pass

    def do_wait(self, seconds):
        time.sleep(float(seconds))

    def do_tls(self, text):
        if text != "fail":
            self.connection.secure()
            return
        try:
            self.connection.secure()
        except (ssl.SSLError, ConnectionError):
            self.connection.close()
            return
        raise Failed("the handshake succeeded")

    def do_new(self, text):
        self.connection.close()
        self.connect()

    def do_leave(self, text):
        """The client closes its connection without a word; NEW makes another."""
        self.connection.close()
        time.sleep(0.3)

    def do_open(self, text):
        """OPEN N: N more connections to the listener that just stay."""
        for _ in range(int(text)):
            self.others.append(Connection(self.scene.ports[self.listener], self.context))
            self.others[-1].line()

    def do_hold(self, text):
        """HOLD N: as OPEN, but nothing is read: the server waits for a handshake."""
        for _ in range(int(text)):
            self.others.append(Connection(self.scene.ports[self.listener], self.context))
        time.sleep(0.3)

    def do_push(self, text):
        """What is to be sent is sent now."""

    def do_renegotiate(self, text):
        """openssl(1) asks for a renegotiation under TLS 1.2, which must not happen."""
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.scene.ports[self.listener]}", "-starttls", "smtp", "-tls1_2"],
                              input=b"R\nNOOP\r\nQUIT\r\n", capture_output=True, timeout=PATIENCE)
        if b"no renegotiation" not in done.stderr + done.stdout:
            raise Failed(f"openssl says {done.stderr[-300:]!r}")

    def do_shut(self, text):
        for other in self.others:
            other.close()
        self.others = []

    def do_reset(self, text):
        self.connection.reset()

    def do_half(self, text):
        self.connection.sock.shutdown(socket.SHUT_WR)

    def do_drip(self, text):
        """DRIP SECONDS TEXT: a byte each SECONDS until something comes."""
        seconds, text = text.split(" ", 1)
        for byte in expand(text, self.mark):
            self.connection.send(bytes([byte]))
            try:
                if not self.connection.more(float(seconds)) or self.connection.received:
                    return
            except TimeoutError:
                pass
        raise Failed("nothing came")

    def do_login(self, text):
        name, password = text.split()
        token = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
        self.say(f"AUTH PLAIN {token}", "235 2.7.0 *")

    def do_scram(self, text):
        """SCRAM NAME PASSWORD [PLUS]: SCRAM-SHA-256 to the 334 with the server's signature, which is checked (RFC 5802). With TLS of this
        Python there is no exporter, so PLUS is not here; the lab does it with another client."""
        name, password = text.split()
        nonce = base64.b64encode(os.urandom(18)).decode()
        bare = f"n={name},r={nonce}"
        self.say("AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,," + bare.encode()).decode(), "334 *")
        first = base64.b64decode(self.lines[-1][4:]).decode()
        fields = dict(part.split("=", 1) for part in first.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        final = f"c=biws,r={fields['r']}"
        message = f"{bare},{first},{final}".encode()
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        self.connection.send(base64.b64encode(f"{final},p={proof}".encode()) + b"\r\n")
        self.lines = self.connection.reply()
        if self.lines[-1].startswith("334"):
            server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
            if base64.b64decode(self.lines[-1][4:]) != b"v=" + base64.b64encode(server):
                raise Failed("the server's signature is wrong")

    def do_last(self, pattern):
        """LAST PATTERN: the reply that came last matches."""
        if not glob(pattern, self.lines[-1]):
            raise Failed(f"it was {self.lines[-1]}")

    def do_accepted(self, number):
        """ACCEPTED N: so many messages were stored, and no more."""
        self.expect_accepted(int(number))

    def expect_accepted(self, number):
        deadline = time.monotonic() + 5
        while self.scene.accepted(self.mark) < number and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.scene.accepted(self.mark) != number:
            raise Failed(f"{self.scene.accepted(self.mark)} messages were accepted, not {number}")

    def do_got(self, text):
        data = self.scene.message(self.mark).data
        if expand(text, self.mark) not in data:
            raise Failed(f"the message is {data!r}")

    def do_gotnot(self, text):
        data = self.scene.message(self.mark).data
        if expand(text, self.mark) in data:
            raise Failed(f"the message is {data!r}")

    def do_envelope(self, text):
        """ENVELOPE SENDER RECIPIENT…: as the receiving server got it."""
        message = self.scene.message(self.mark)
        if [message.sender] + sorted(message.recipients) != [word.strip("<>") for word in text.split()]:
            raise Failed(f"it is {message.sender} {message.recipients}")

    def do_log(self, pattern):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if any(glob(pattern, line) for line in self.scene.log_since(self.log_start)):
                return
            time.sleep(0.02)
        raise Failed("no such line in the log")

    def do_nolog(self, pattern):
        found = [line for line in self.scene.log_since(self.log_start) if glob(pattern, line)]
        if found:
            raise Failed(f"the log has {found[0]}")

    def accepts(self):
        """How many messages one run makes."""
        return sum(int(step.text) for step in self.conversation.steps if step.word == "ACCEPTED")

    def close(self):
        self.do_shut("")
        if self.connection:
            self.connection.close()
