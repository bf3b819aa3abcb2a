"""A web server that has the MTA-STS policies of many domains, behind certificates of an authority of its own, and every way to misbehave.

    host = PolicyHost(folder)
    host.serve("example.com", policy("enforce", ["mx1.example.com"]))
    host.serve("slow.example", policy("enforce", ["mx.example"]), trick="drip")
    … posternd with mta-sts { port = host.port } and delivery { ca-file = host.authority } …
    assert host.requests["example.com"] == 1
    host.close()

As a program, for tests that are none of Python's, it does what it is told on its input, a line each, until that ends:
    policy_host.py FOLDER       prints "PORT AUTHORITY" when it listens
    serve DOMAIN TRICK TEXT     has this for DOMAIN from here on (TEXT with \\n for a line's end); prints "served"
    count DOMAIN                prints how often its file was asked for"""
import collections
import pathlib
import socket
import ssl
import subprocess
import sys
import threading
import time

PATH = "/.well-known/mta-sts.txt"
ELSEWHERE = "/elsewhere"  # where a redirect leads to
PREFIX = "mta-sts."
TRICKS = {
    "none": "the policy, as it should be",
    "plain": "without a word of its length, up to the connection's end",
    "chunked": "in pieces",
    "parameters": "text/plain with a charset",
    "redirect": "302 to where it is",
    "missing": "404", "broken": "500", "empty": "204, nothing",
    "html": "the policy as text/html", "typeless": "without Content-Type",
    "large": "70 KB", "large-chunked": "the same in pieces, endless", "header": "a header without end", "continue": "100 Continue without end",
    "cut": "less than Content-Length says",
    "drip": "a byte now and then", "silent": "nothing behind the request", "mute": "nothing behind the TLS greeting", "gzip": "with Content-Encoding: gzip",
    "wrong-name": "a certificate of another name", "expired": "an expired certificate", "untrusted": "a certificate of nobody known",
    "old-tls": "TLS 1.1 at most", "reset": "the connection ends at the TLS greeting",
}


def policy(mode, hosts=(), max_age=86400):
    return "".join(f"{line}\r\n" for line in ["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in hosts), f"max_age: {max_age}"])


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """Signs certificates, each with its key in one file."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.certificate, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key,
                "-out", self.certificate)

    def sign(self, host, days="2", names=None):
        """A certificate for HOST, or for NAMES in its place."""
        base = self.folder / f"{self.name}-{host}-{days}"
        key, request, certificate, extensions, both = (base.with_name(base.name + end) for end in (".key", ".csr", ".crt", ".ext", ".both"))
        if not both.exists():
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={host[:60]}", "-keyout", key, "-out", request)
            extensions.write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names or [host]) + "\n")
            openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-days", days, "-extfile", extensions, "-out", certificate)
            both.write_text(certificate.read_text() + key.read_text())
        return both


class PolicyHost:
    def __init__(self, folder, address="127.0.0.1", port=0):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.trusted, self.stranger = Authority(self.folder, "authority"), Authority(self.folder, "stranger")
        self.authority = self.trusted.certificate
        self.requests = collections.Counter()  # of a domain's file
        self.connections = collections.Counter()  # that a domain's name was greeted on
        self.domains = {}  # host: (text, trick, TLS context)
        self.closed = threading.Event()
        self.listening = socket.create_server((address, port), backlog=200)
        self.port = self.listening.getsockname()[1]
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    def serve(self, domain, text, trick="none"):
        assert trick in TRICKS, trick
        host = PREFIX + domain
        authority = self.stranger if trick == "untrusted" else self.trusted
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.sign("mta-sts.other.test" if trick == "wrong-name" else host, "-1" if trick == "expired" else "2"))
        if trick == "old-tls":
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        self.domains[host] = (text, trick, context)

    def serve_all(self, texts, trick="none"):
        """The same of many domains {domain: text}, with one certificate for all of them."""
        hosts = {PREFIX + domain: text for domain, text in texts.items()}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.trusted.sign(f"all-{len(self.domains)}", names=list(hosts)))
        self.domains.update({host: (text, trick, context) for host, text in hosts.items()})

    def close(self):
        self.closed.set()
        self.listening.shutdown(socket.SHUT_RDWR)  # or the thread that accepts would wait on, and take what comes for the next who has this descriptor
        self.accepting.join()
        self.listening.close()

    def accept(self):
        while not self.closed.is_set():
            try:
                connection = self.listening.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def named(self, connection):
        """The host that the greeting names, which stays to be read."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            greeting = connection.recv(4096, socket.MSG_PEEK)
            found = [host for host in self.domains if b"\0" + bytes([len(host)]) + host.encode() in greeting]
            if found or not greeting:
                return found[0] if found else None
            time.sleep(0.01)
        return None

    def talk(self, connection):
        try:
            connection.settimeout(60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            host = self.named(connection)
            if not host:
                return
            text, trick, context = self.domains[host]
            self.connections[host[len(PREFIX):]] += 1
            if trick == "mute":
                self.closed.wait(60)
            elif trick != "reset":
                with context.wrap_socket(connection, server_side=True) as tls:
                    self.answer(tls, host, text, trick)
        except (OSError, ssl.SSLError):
            pass
        finally:
            connection.close()

    def answer(self, tls, host, text, trick):
        head = b""
        while b"\r\n\r\n" not in head:
            head += tls.recv(4096) or b"\r\n\r\n"
        lines = head.decode(errors="replace").split("\r\n")
        hosts = [line.split(":", 1)[1].strip().split(":")[0] for line in lines if line.lower().startswith("host:")]
        if trick == "redirect" and lines[0] == f"GET {ELSEWHERE} HTTP/1.1":
            trick = "none"  # whoever goes there is served
        elif lines[0] != f"GET {PATH} HTTP/1.1" or hosts != [host]:
            tls.sendall(b"HTTP/1.1 400 What?\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n")
            return
        self.requests[host[len(PREFIX):]] += 1
        self.perform(tls, host, text.encode(), trick)
        tls.unwrap()

    def perform(self, tls, host, body, trick):
        ok, plain, length = b"HTTP/1.1 200 OK\r\n", b"Content-Type: text/plain\r\n", b"Content-Length: %d\r\n" % len(body)
        if trick == "plain":
            tls.sendall(ok + plain + b"Connection: close\r\n\r\n" + body)
        elif trick in ("chunked", "large-chunked"):
            tls.sendall(ok + plain + b"Transfer-Encoding: chunked\r\n\r\n")
            while trick == "large-chunked" and not self.closed.is_set():
                tls.sendall(b"2000\r\n" + b"x" * 8192 + b"\r\n")
            tls.sendall(b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]) for i in range(0, len(body), 7)) + b"0\r\n\r\n")
        elif trick == "redirect":
            tls.sendall(b"HTTP/1.1 302 Found\r\nLocation: https://%s:%d%s\r\n" % (host.encode(), self.port, ELSEWHERE.encode()) + plain + length + b"\r\n" + body)
        elif trick in ("missing", "broken"):
            tls.sendall(b"HTTP/1.1 %s\r\n" % (b"404 Not Found" if trick == "missing" else b"500 Oops") + plain + length + b"\r\n" + body)
        elif trick == "empty":
            tls.sendall(b"HTTP/1.1 204 Nothing\r\n\r\n")
        elif trick in ("large", "header", "continue"):
            many = b"X-Filler: " + b"x" * 1000 + b"\r\n"
            if trick == "large":
                tls.sendall(ok + plain + b"Connection: close\r\n\r\n" + body + b"x: " + b"y" * 70000)
                return
            tls.sendall(ok if trick == "header" else b"")
            while not self.closed.is_set():
                tls.sendall(many if trick == "header" else b"HTTP/1.1 100 Continue\r\n" + many + b"\r\n")
        elif trick == "cut":
            tls.sendall(ok + plain + b"Content-Length: %d\r\n\r\n" % (len(body) + 10) + body)
        elif trick == "drip":
            for byte in ok + plain + length + b"\r\n" + body:
                tls.sendall(bytes([byte]))
                if self.closed.wait(0.2):
                    return
        elif trick == "silent":
            self.closed.wait(60)
        else:
            kind = {"html": b"Content-Type: text/html\r\n", "typeless": b"", "parameters": b"Content-Type: Text/Plain ; charset=utf-8\r\n"}.get(trick, plain)
            tls.sendall(ok + kind + length + (b"Content-Encoding: gzip\r\n" if trick == "gzip" else b"") + b"\r\n" + body)


def main():
    host = PolicyHost(sys.argv[1])
    print(host.port, host.authority, flush=True)
    for line in sys.stdin:
        verb, _, rest = line.strip().partition(" ")
        if verb == "count":
            print(host.requests[rest], flush=True)
        else:
            domain, trick, text = (rest + " ").split(" ", 2)
            host.serve(domain, text.strip().replace("\\n", "\n"), trick)
            print("served", flush=True)
    host.close()


if __name__ == "__main__":
    main()
