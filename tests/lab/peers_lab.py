"""Exim, OpenSMTPD and Dovecot's submission server, unmodified: as receivers, with the limits and manners of their own, and as clients that
hand us mail. As smart hosts they are in upstream_lab, Postfix and aiosmtpd in interop_lab."""
import sys

from case import main
from exim import Exim
from opensmtpd import OpenSmtpd
from operation_lab import HOME
from submit import connect, message, send
from world import World, wait_for

RECORDS = World.RECORDS + HOME + ["exim.example. 300 IN MX 10 mx.exim.example.", "mx.exim.example. 300 IN A 127.0.1.20",
                                  "opensmtpd.example. 300 IN MX 10 mx.opensmtpd.example.", "mx.opensmtpd.example. 300 IN A 127.0.1.21"]
BODIES = (b".leading dot\r\n..two\r\n.\x20\r\n\r\nEnd.\r\n", "Grüße aus Köln ✉\r\n".encode(), b"x" * 998 + b"\r\n", b"\r\n" * 3 + b"y" * 5000 + b"\r\n..\r\n\r\n",
          b"".join(b"%06d the quick brown fox jumps over the lazy dog\r\n" % n for n in range(40000)))


def exim(world, *arguments, **options):
    return world.add(Exim.receiver(world, "127.0.1.20", world.delivery_port, *arguments, **options))


def opensmtpd(world, **options):
    return world.add(OpenSmtpd(world, "127.0.1.21", world.delivery_port, world.certificate, **options))


def relay(world, queue="retry = { 1h }", **options):
    daemon = world.posternd(queue=queue, **options)
    daemon.user("alice", "secret")
    return daemon.start()


def submit_each(daemon, domain, bodies):
    """A message for each of BODIES to bob at DOMAIN, over one connection; the messages."""
    session, sent = connect(daemon), []
    for number, body in enumerate(bodies):
        sent.append(message(str(number), body))
        send(session, "alice@example.net", [f"bob@{domain}"], sent[-1], ["BODY=8BITMIME"])
    session.close()
    return sent


def check_what_arrived(peer, sent):
    """PEER has each of SENT byte by byte, behind what servers put in front; the lines end as a Maildir has them."""
    wait_for(lambda: len(peer.messages()) == len(sent), 60, what=f"{len(sent)} messages")
    arrived = sorted(b"From: Alice" + data.partition(b"\nFrom: Alice")[2] for data in peer.messages())
    for got, wanted in zip(arrived, sorted(data.replace(b"\r\n", b"\n") for data in sent)):
        if got != wanted:
            at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
            raise AssertionError(f"{len(got)} bytes arrived, {len(wanted)} were sent; they differ at {at}: {got[at - 20:at + 40]!r} instead of {wanted[at - 20:at + 40]!r}")


def tls_of(daemon):
    return {event["tls"].split()[0] for event in daemon.events("delivered")}


def case_exim_takes_what_is_sent():
    """In clear and under STARTTLS, where it offers CHUNKING, PIPECONNECT and more, and watches that nobody talks out of turn; over one
    connection, since none of our commands is one that it counts as useless (smtp_accept_max_nonmail)."""
    for secure in (False, True):
        with World(RECORDS) as world:
            peer = exim(world, world.certificate if secure else None, settings="prdr_enable\nsmtp_accept_max_nonmail = 3\nlog_selector = +smtp_connection")
            before = peer.log().count("TCP/IP connection count")
            daemon = relay(world, delivery="connections-per-site = 1")
            sent = submit_each(daemon, "exim.example", [*BODIES, *([b"short\r\n"] * 30)])
            check_what_arrived(peer, sent)
            assert tls_of(daemon) == {"TLSv1.3" if secure else "none"}, daemon.events("delivered")
            log = peer.log()
            assert "synchronization" not in log and "rejected" not in log and not daemon.events("deferred"), log
            assert log.count("TCP/IP connection count") == before + 1, log


def case_opensmtpd_takes_what_is_sent():
    """In clear, since it offers STARTTLS and then breaks off each handshake, and without PIPELINING, which it has not. Where TLS must be, its
    mail waits, and the reason is told."""
    with World(RECORDS + ["secure.example. 300 IN MX 10 mx.opensmtpd.example."]) as world:
        peer = opensmtpd(world)
        daemon = relay(world, sections='route "secure.example" { via = mx tls = encrypt }\n')
        check_what_arrived(peer, submit_each(daemon, "opensmtpd.example", BODIES))
        assert tls_of(daemon) == {"none"} and "missing private key" in peer.log(), peer.log()
        assert not daemon.events("deferred"), daemon.events("deferred")
        submit_each(daemon, "secure.example", [b"Secret.\r\n"])
        deferred = wait_for(lambda: daemon.events("deferred"), what="the deferral")[0]
        assert deferred["status"].startswith("4.7.") and "TLS" in deferred["reply"], deferred
        assert len(peer.messages()) == len(BODIES)


def case_who_wants_few_messages_a_session_gets_them_in_many():
    """Exim's smtp_accept_max_per_connection (421, and it leaves) and OpenSMTPD's max-mails (452 to every MAIL from then on): each message goes at
    its first attempt, and nothing is slowed."""
    for peer, domain, settings in ((exim, "exim.example", "smtp_accept_max_per_connection = 2"), (opensmtpd, "opensmtpd.example", "smtp limit max-mails 2")):
        with World(RECORDS) as world:
            server = peer(world, settings=settings)
            daemon = relay(world, delivery="connections-per-site = 1")
            check_what_arrived(server, submit_each(daemon, domain, [b"%d\r\n" % n for n in range(7)]))
            assert "too many messages in one connection" in server.log() or "Too many messages sent" in server.log(), server.log()
            events = wait_for(lambda: len(daemon.events("delivered")) == 7 and daemon.events(), what="the last one's outcome")
            assert {e["attempt"] for e in events if e["event"] == "delivered"} == {"1"}, events
            assert not [e for e in events if e["event"] in ("deferred", "site-slowed", "site-backoff")], events


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
