"""A receiving SMTP server for the lab: keeps what it gets, and misbehaves where a case asks for it."""
import socket
import socketserver
import ssl
import threading


class Message:
    def __init__(self, sender, recipients, data, tls, helo):
        self.sender, self.recipients, self.data, self.tls, self.helo = sender, recipients, data, tls, helo

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


class Receiver:
    """Listens on (ADDRESS, PORT). ANSWERS maps a stage ("banner", "ehlo", "mail", "rcpt", "data", "dot") or (stage, address) to a reply line,
    or to a function of the argument that returns one, or None for the usual reply. CERTIFICATE offers STARTTLS."""

    def __init__(self, address, port, answers=None, certificate=None, extensions=("PIPELINING", "8BITMIME", "SIZE 100000000", "SMTPUTF8")):
        self.answers = answers or {}
        self.extensions = list(extensions)
        self.messages, self.connections, self.commands = [], 0, []
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

    def close(self):
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
                self.receiver.messages.append(Message(self.sender, list(self.recipients), b"".join(lines), self.tls, self.helo))
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
