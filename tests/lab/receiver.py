"""A receiving SMTP server for the lab: keeps what it gets, and misbehaves where a case asks for it."""
import socket
import socketserver
import ssl
import struct
import threading
import time


class Message:
    def __init__(self, sender, recipients, data, tls, helo, peer=None):
        self.sender, self.recipients, self.data, self.tls, self.helo, self.peer = sender, recipients, data, tls, helo, peer

    def header(self, name):
        """The first header field NAME, unfolded, or None."""
        head = self.data.split(b"\r\n\r\n", 1)[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
        for line in head.split(b"\r\n"):
            field, _, value = line.partition(b":")
            if field.lower() == name.lower().encode():
                return value.strip().decode(errors="replace")
        return None

    @property
    def body(self):
        return self.data.split(b"\r\n\r\n", 1)[1]


class Deed(str):
    """An answer that is more than one reply line: ACT(session) is done in its place and says whether the session goes on. For what the
    receiver keeps it counts as TEXT ("354" to DATA, "250" to the dot)."""

    def __new__(cls, act, text=""):
        deed = super().__new__(cls, text)
        deed.act = act
        return deed


def raw(data, text="", goes_on=True):
    """Sends DATA as it is."""
    def act(session):
        session.sock.sendall(data)
        return goes_on
    return Deed(act, text)


def hang(before=b"", deaf=False):
    """Sends BEFORE and then says nothing until the other side leaves; DEAF: reads nothing either, until the receiver is closed."""
    def act(session):
        session.sock.sendall(before)
        session.receiver.note("hung")
        try:
            while session.receiver.over.wait(0.05 if deaf else 0) is False and (deaf or session.sock.recv(65536)):
                pass
        finally:
            session.receiver.note("left")
        return False
    return Deed(act)


def flood(data, pause=0.0, most=50_000_000):
    """Sends DATA over and over, with a PAUSE behind each, until the other side leaves or MOST bytes are out."""
    def act(session):
        session.receiver.note("hung")
        sent = 0
        try:
            while sent < most and not session.receiver.over.is_set():
                sent += session.sock.send(data)
                time.sleep(pause)
        finally:
            session.receiver.note("left")
            with session.receiver.lock:
                session.receiver.flooded = max(session.receiver.flooded, sent)
        return False
    return Deed(act)


def leave(text="", reset=False, before=b""):
    """Sends BEFORE and closes the connection, or resets it."""
    def act(session):
        session.sock.sendall(before)
        if reset:
            session.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            session.sock.close()
            session.file.close()  # the descriptor lives as long as both
        return False
    return Deed(act, text)


class Deaf:
    """Listens, but takes no connection: its queue is full, so that connecting hangs."""
    family = socket.AF_INET

    def __init__(self, address, port):
        self.listener = socket.socket(self.family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(0)
        self.fillers = [socket.socket(self.family) for _ in range(4)]
        for filler in self.fillers:
            filler.setblocking(False)
            filler.connect_ex((address, port))

    def close(self):
        for sock in [self.listener] + self.fillers:
            sock.close()


class Receiver:
    """Listens on (ADDRESS, PORT). ANSWERS maps a stage ("banner", "ehlo", "mail", "rcpt", "data", "dot") or (stage, address) to a reply line,
    or to a function of the argument that returns one, or None for the usual reply; a Deed in place of a line does more. CERTIFICATE offers
    STARTTLS."""

    def __init__(self, address, port, answers=None, certificate=None, extensions=("PIPELINING", "8BITMIME", "SIZE 100000000", "SMTPUTF8")):
        self.answers = answers or {}
        self.extensions = list(extensions)
        self.messages, self.connections, self.commands = [], 0, []
        self.notes, self.flooded, self.over = {}, 0, threading.Event()
        self.lock = threading.Lock()
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate.certificate, certificate.key)
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                try:
                    Session(outer, self.request).run()
                except (OSError, ssl.SSLError, ValueError):
                    pass

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads, request_queue_size = True, True, 512
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

        self.server = Server((address, port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def answer(self, stage, argument, usual):
        for key in ((stage, argument), stage):
            if key in self.answers:
                answer = self.answers[key]
                answer = answer(argument) if callable(answer) else answer
                if answer is not None:
                    return answer
        return usual

    def note(self, name):
        """Counts that NAME happened: `notes` has it."""
        with self.lock:
            self.notes[name] = self.notes.get(name, 0) + 1

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


class Session:
    def __init__(self, receiver, sock):
        self.receiver, self.sock = receiver, sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = sock.makefile("rb")
        self.tls, self.helo = False, ""
        self.reset()

    def reset(self):
        self.sender, self.recipients = None, []

    def reply(self, line):
        if isinstance(line, Deed):
            return line.act(self)
        self.sock.sendall(line.encode() + b"\r\n")
        return not line.startswith("421")

    def run(self):
        with self.receiver.lock:
            self.receiver.connections += 1
        going = self.reply(self.receiver.answer("banner", "", "220 receiver.example ESMTP"))
        while going:
            line = self.file.readline(65536)
            if not line:
                return
            text = line.decode(errors="replace").rstrip("\r\n")
            with self.receiver.lock:
                self.receiver.commands.append(text)
            verb, _, argument = text.partition(" ")
            handler = getattr(self, "on_" + verb.lower(), None)
            going = handler(argument) if handler else self.reply("500 5.5.2 what?")

    def on_ehlo(self, argument):
        self.helo = argument
        words = self.receiver.extensions + (["STARTTLS"] if self.receiver.context and not self.tls else [])
        usual = "\r\n".join(["250-receiver.example"] + ["250-" + word for word in words] + ["250 ENHANCEDSTATUSCODES"])
        return self.reply(self.receiver.answer("ehlo", argument, usual))

    def on_helo(self, argument):
        self.helo = argument
        return self.reply("250 receiver.example")

    def on_starttls(self, argument):
        answer = self.receiver.answer("starttls", argument, "220 2.0.0 go ahead")
        going = self.reply(answer)
        if answer.startswith("220"):
            self.sock = self.receiver.context.wrap_socket(self.sock, server_side=True)
            self.file = self.sock.makefile("rb")
            self.tls = True
            self.reset()
        return going

    def on_auth(self, argument):
        return self.reply(self.receiver.answer("auth", argument, "235 2.7.0 welcome"))

    def on_mail(self, argument):
        self.sender = argument[argument.index("<") + 1:argument.index(">")]
        return self.reply(self.receiver.answer("mail", self.sender, "250 2.1.0 ok"))

    def on_rcpt(self, argument):
        address = argument[argument.index("<") + 1:argument.rindex(">")]
        answer = self.receiver.answer("rcpt", address, "250 2.1.5 ok")
        if answer.startswith("250"):
            self.recipients.append(address)
        return self.reply(answer)

    def on_data(self, argument):
        answer = self.receiver.answer("data", argument, "354 go" if self.recipients else "554 5.5.1 no recipients")
        if not self.reply(answer) or not answer.startswith("354"):
            return not answer.startswith("421")
        lines = []
        while True:
            line = self.file.readline()
            if not line:
                return False
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        answer = self.receiver.answer("dot", self.recipients[0] if self.recipients else "", "250 2.0.0 kept")
        if answer.startswith("250"):
            with self.receiver.lock:
                self.receiver.messages.append(Message(self.sender, list(self.recipients), b"".join(lines), self.tls, self.helo, self.sock.getpeername()[0]))
        self.reset()
        return self.reply(answer)

    def on_rset(self, argument):
        self.reset()
        return self.reply("250 2.0.0 ok")

    def on_noop(self, argument):
        return self.reply("250 2.0.0 ok")

    def on_quit(self, argument):
        self.reply("221 2.0.0 bye")
        return False
