"""Servers of other hands as receivers: aiosmtpd, as it comes, with and without TLS and SMTPUTF8. Postfix is in clients_lab and relay_lab."""
import contextlib
import mailbox
import subprocess
import sys

from case import main
from receiver import Receiver
from submit import connect, message, submit
from world import Skip, World, stop, wait_for

PYTHON = "/usr/bin/python3"  # whose packages Debian's are


class Aiosmtpd:
    """aiosmtpd with a folder that it delivers to."""

    def __init__(self, world, address, *options):
        if subprocess.run([PYTHON, "-c", "import aiosmtpd"], capture_output=True).returncode:
            raise Skip("aiosmtpd is not installed")
        self.folder = world.folder / f"mail-{address}"
        self.process = subprocess.Popen([PYTHON, "-m", "aiosmtpd", "-n", "-c", "aiosmtpd.handlers.Mailbox", *options, "-l", f"{address}:{world.delivery_port}", self.folder],
                                        stderr=subprocess.DEVNULL)

    def subjects(self):
        with contextlib.suppress(FileNotFoundError):
            return sorted(m["Subject"] for m in mailbox.Maildir(self.folder, create=False))
        return []

    def messages(self):
        return list(mailbox.Maildir(self.folder, create=False))

    def close(self):
        stop(self.process)


def case_aiosmtpd_takes_what_is_sent():
    """Plain, under STARTTLS with its certificate, and with SMTPUTF8: bodies arrive byte by byte, dots and 8-bit text included; what it cannot take bounces."""
    with World(World.RECORDS + ["example.net. 300 IN MX 10 mx.example.net.", "mx.example.net. 300 IN A 127.0.1.5"]) as world:
        plain = world.add(Aiosmtpd(world, "127.0.1.1"))
        secure = world.add(Aiosmtpd(world, "127.0.1.2", "-u", "--tlscert", world.certificate.certificate, "--tlskey", world.certificate.key))
        home = world.add(Receiver("127.0.1.5", world.delivery_port))
        daemon = world.posternd(queue="retry = { 1s, 1s, 1s, 1h }")
        daemon.user("alice", "secret")
        daemon.start()
        body = b".leading dot\r\n..two\r\n" + "Grüße aus Köln\r\n".encode() + b"x" * 900 + b"\r\n"
        for host in ("com", "org"):
            for number in range(3):
                submit(daemon, "alice@example.net", [f"bob{number}@example.{host}"], message(f"{host} {number}", body), ["BODY=8BITMIME"])
        wait_for(lambda: len(plain.subjects()) == 3 and len(secure.subjects()) == 3, what="what aiosmtpd got")
        for server in (plain, secure):
            for got in server.messages():
                assert got.get_payload(decode=True).replace(b"\r\n", b"\n") == body.replace(b"\r\n", b"\n"), got.get_payload()
        tls = {event["to"]: event["tls"] for event in daemon.events("delivered")}
        assert tls["bob0@example.com"] == "none" and tls["bob0@example.org"].startswith("TLSv1."), tls
        session = connect(daemon)
        for address in ("jürgen@example.org", "jürgen@example.com"):
            assert session.docmd("MAIL FROM:<alice@example.net> SMTPUTF8")[0] == 250
            session.command_encoding = "utf-8"
            assert session.docmd(f"RCPT TO:<{address}>")[0] == 250
            assert session.data(message(f"to {address[-3:]}", to="bob@example.org"))[0] == 250
        session.close()
        wait_for(lambda: "to org" in secure.subjects(), what="the one with SMTPUTF8")
        bounce = wait_for(lambda: home.messages, what="the bounce of the one without")[0]
        assert b"5.6.7" in bounce.data and b"j\\x{FC}rgen@example.com" in bounce.data, bounce.data


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
