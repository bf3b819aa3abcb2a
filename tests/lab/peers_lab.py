"""Exim, OpenSMTPD and Dovecot's submission server, unmodified: as receivers with limits and manners of their own, and as clients that hand us
mail. As smart hosts they are in smarthosts_lab; Postfix and aiosmtpd are in interop_lab and others."""
import smtplib
import sys

import sisimai
from case import main
from dovecot import Dovecot
from dsn_lab import reports
from exim import Exim
from opensmtpd import OpenSmtpd
from operation_lab import HOME
from receiver import Receiver
from submit import CONTEXT, connect, message, send
from world import World, free_port, wait_for

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


def case_who_wants_few_recipients_a_message_gets_it_in_parts():
    """Exim's recipients_max (452 without an enhanced code) and OpenSMTPD's max-rcpt (451 4.5.3): the others are asked for in the next transaction."""
    for peer, domain, settings in ((exim, "exim.example", "recipients_max = 2"), (opensmtpd, "opensmtpd.example", "smtp limit max-rcpt 2")):
        with World(RECORDS) as world:
            server = peer(world, settings=settings)
            daemon = relay(world)
            session = connect(daemon)
            send(session, "alice@example.net", [f"{name}@{domain}" for name in ("bob", "carol", "dave", "eve", "frank")], message("five"))
            session.close()
            wait_for(lambda: len(daemon.events("delivered")) == 5, what="five outcomes")
            assert {e["attempt"] for e in daemon.events("delivered")} == {"1"} and not daemon.events("deferred"), daemon.events("deferred")
            assert len({e["reply"] for e in daemon.events("delivered")}) == 3, daemon.events("delivered")
            check_what_arrived(server, [message("five")] * 5)


def case_exim_takes_one_connection_at_a_time():
    """smtp_accept_max_per_host: while a message takes its second, others are told so in the greeting (421). No message is put off for it."""
    with World(RECORDS) as world:
        server = exim(world, world.certificate, settings="smtp_accept_max_per_host = 1", content="  warn delay = 1s\n")
        daemon = relay(world, delivery="connections-per-site = 5")
        check_what_arrived(server, submit_each(daemon, "exim.example", [b"%d\r\n" % n for n in range(5)]))
        wait_for(lambda: len(daemon.events("delivered")) == 5, what="the last one's outcome")
        assert "too many connections from that IP address" in server.log(), server.log()
        assert {e["attempt"] for e in daemon.events("delivered")} == {"1"} and not daemon.events("deferred"), daemon.events("deferred")


EXIM_REFUSES = """\
  deny local_parts = gone
       message = no such user here\\nask her office
  deny local_parts = moved
       message = 5.1.6 has moved
  defer local_parts = later
       message = 4.2.1 come back later
"""
OPENSMTPD_REFUSES = """\
filter moved phase rcpt-to match rcpt-to regex { "^moved@" } reject "550 5.1.6 has moved"
filter later phase rcpt-to match rcpt-to regex { "^later@" } reject "451 4.2.1 come back later"
filter refuse chain { moved, later }
"""


def case_each_recipient_has_an_answer_of_its_own():
    """One is taken, two are refused, one is put off. What the server said stands in the queue and in the report, and Python's parser and
    Sisimai read it there."""
    for peer, domain, options, said in (
            (exim, "exim.example", {"recipient": EXIM_REFUSES}, ("5.0.0", "550 no such user here / ask her office")),
            (opensmtpd, "opensmtpd.example", {"settings": OPENSMTPD_REFUSES, "listener": "filter refuse", "inboxes": '"bob@opensmtpd.example" = inbox'},
             ("5.2.4", "524 5.2.4 Mailing list expansion problem: <gone@opensmtpd.example>"))):
        with World(RECORDS) as world:
            home = world.add(Receiver("127.0.1.5", world.delivery_port))
            server = peer(world, **options)
            daemon = relay(world)
            session = connect(daemon)
            identity = send(session, "alice@example.net", [f"{name}@{domain}" for name in ("gone", "bob", "later", "moved")], message("four"))
            session.close()
            report = wait_for(lambda: home.messages, what="the report")[0].data
            (_, fields, _, _, words), = reports(home)
            assert [(f["Final-Recipient"], f["Action"], f["Status"]) for f in fields] == [(f"rfc822; gone@{domain}", "failed", said[0]),
                                                                                    (f"rfc822; moved@{domain}", "failed", "5.1.6")], report
            assert fields[0]["Diagnostic-Code"] == f"smtp; {said[1]}" and fields[1]["Diagnostic-Code"] == "smtp; 550 5.1.6 has moved", report
            assert all(f["Remote-MTA"] == f"dns; mx.{domain}" for f in fields) and "has moved" in words, report
            found = {(r["recipient"], r["action"], r["deliverystatus"], r["replycode"], r["rhost"]) for r in sisimai.read(report)}
            assert found == {(f"gone@{domain}", "failed", said[0], said[1][:3], f"mx.{domain}"), (f"moved@{domain}", "failed", "5.1.6", "550", f"mx.{domain}")}, found
            waits, = daemon.cli("queue", "list", json_output=True)
            assert waits["id"] == identity and [(r["to"], r["reply"]) for r in waits["recipients"] if r["state"] == "scheduled"] == [
                (f"later@{domain}", "451 4.2.1 come back later")], waits
            check_what_arrived(server, [message("four")])


def case_exim_hangs_up_on_one_recipient():
    """`drop` answers a RCPT with 550 and leaves, though others were asked for in the same breath: that one bounces, and the others go next time."""
    with World(RECORDS) as world:
        home = world.add(Receiver("127.0.1.5", world.delivery_port))
        server = exim(world, recipient="  drop local_parts = foe\n       message = 5.7.1 go away\n")
        daemon = relay(world, "retry = { 1s }")
        session = connect(daemon)
        send(session, "alice@example.net", [f"{name}@exim.example" for name in ("bob", "foe", "carol")], message("three"))
        session.close()
        report = wait_for(lambda: home.messages, what="the report")[0].data
        (_, fields, _, _, _), = reports(home)
        assert [(f["Final-Recipient"], f["Diagnostic-Code"]) for f in fields] == [("rfc822; foe@exim.example", "smtp; 550 5.7.1 go away")], report
        wait_for(lambda: len(daemon.events("delivered")) == 3, what="the two others, and the report")
        check_what_arrived(server, [message("three")] * 2)  # Exim keeps one for each of them
        assert {(e["to"], e["attempt"]) for e in daemon.events("delivered") if "exim" in e["to"]} == {("bob@exim.example", "2"), ("carol@exim.example", "2")}


def case_exim_refuses_content_in_several_lines():
    """At the final dot: the report has all lines of it, and the next message goes over the same connection."""
    with World(RECORDS) as world:
        home = world.add(Receiver("127.0.1.5", world.delivery_port))
        server = exim(world, content="  deny condition = ${if match {$h_subject:}{1}}\n       message = This is not wanted:\\nsee the rules\\nof this house\n",
                      settings="log_selector = +smtp_connection")
        before = server.log().count("TCP/IP connection count")
        daemon = relay(world, delivery="connections-per-site = 1")
        sent = submit_each(daemon, "exim.example", [b"a\r\n", b"b\r\n", b"c\r\n"])
        check_what_arrived(server, [sent[0], sent[2]])
        report = wait_for(lambda: home.messages, what="the report")[0].data
        (_, fields, _, kind, _), = reports(home)
        assert [f["Diagnostic-Code"] for f in fields] == ["smtp; 550 This is not wanted: / see the rules / of this house"] and kind == "message/rfc822", report
        found, = sisimai.read(report)
        assert found["recipient"] == "bob@exim.example" and found["subject"] == "1" and "of this house" in found["diagnosticcode"], found
        assert server.log().count("TCP/IP connection count") == before + 1


def sending_world(world):
    """(a relay that trusts nobody without a login, the receiver of example.com, that of example.net)."""
    return relay(world), world.add(Receiver("127.0.1.1", world.delivery_port)), world.add(Receiver("127.0.1.5", world.delivery_port))


def check_what_was_handed_on(daemon, receiver, data, mechanism="PLAIN"):
    """The receiver has DATA, behind what two servers put in front, and it came from alice over TLS."""
    arrived = wait_for(lambda: receiver.messages, what="the message")[0].data
    if not arrived.endswith(data):
        raise AssertionError(f"{arrived!r} does not end in {data!r}")
    login = daemon.events("authenticated")[-1]
    assert (login["account"], login["mechanism"]) == ("alice", mechanism), login
    assert b" with ESMTPSA id " in arrived, arrived


def case_exim_hands_on_to_us():
    """A smart host for Exim, which checks our certificate and logs in: what we refuse at RCPT bounces there, and the bounce comes over us too."""
    with World(RECORDS) as world:
        daemon, receiver, home = sending_world(world)
        office = Exim.sender(world, daemon.port, world.certificate, "alice", "secret")
        data = message("from Exim", BODIES[0] + BODIES[1])
        office.send("alice@example.net", ["bob@example.com", "nobody@nullmx.example"], data.replace(b"\r\n", b"\n"))
        check_what_was_handed_on(daemon, receiver, data)
        log = office.log()
        assert "=> bob@example.com R=smart T=submission" in log and " A=plain " in log and "CV=yes" in log, log
        assert "** nobody@nullmx.example" in log and "556 5.1.10" in log, log
        bounce = wait_for(lambda: home.messages, what="the bounce that Exim wrote")[0]
        assert bounce.sender == "" and bounce.recipients == ["alice@example.net"] and b"nobody@nullmx.example" in bounce.data, bounce.data


def hand_over(session, recipients, data):
    assert session.mail("alice@example.net", ["BODY=8BITMIME"])[0] == 250
    for recipient in recipients:
        assert session.rcpt(recipient)[0] == 250, recipient
    code, text = session.data(data)
    session.close()
    assert code == 250, text


def case_opensmtpd_hands_on_to_us():
    """As a client its TLS works: it checks our certificate, logs in, and bounces what we refuse."""
    with World(RECORDS) as world:
        daemon, receiver, home = sending_world(world)
        port = free_port()
        world.add(OpenSmtpd.sender(world, port, daemon.port, "alice", "secret"))
        data = message("from OpenSMTPD", BODIES[0] + BODIES[1])
        session = smtplib.SMTP("127.0.0.1", port, timeout=60)
        session.ehlo()
        hand_over(session, ["bob@example.com", "nobody@nullmx.example"], data)
        check_what_was_handed_on(daemon, receiver, data)
        bounce = wait_for(lambda: home.messages, what="the bounce that OpenSMTPD wrote")[0]
        assert bounce.sender == "" and b"nobody@nullmx.example" in bounce.data and b"556 5.1.10" in bounce.data, bounce.data


def case_dovecot_hands_on_to_us():
    """Its clients log in to it, and it logs in to us: our answers are its answers, the id of the message in them included."""
    with World(RECORDS) as world:
        daemon, receiver, _ = sending_world(world)
        port = free_port()
        settings = f"submission_relay_ssl = starttls\nsubmission_relay_user = alice\nsubmission_relay_password = secret\nssl_client_ca_file = {world.certificate.certificate}\n"
        world.add(Dovecot(world, port, ("localhost", daemon.port), settings=settings))
        data = message("from Dovecot", BODIES[0] + BODIES[1])
        session = smtplib.SMTP("127.0.0.1", port, timeout=60)
        session.starttls(context=CONTEXT)
        session.login("office", "secret")
        session.mail("alice@example.net", ["BODY=8BITMIME"])
        assert session.rcpt("nobody@nullmx.example")[0] == 556
        session.rset()
        hand_over(session, ["bob@example.com"], data)
        check_what_was_handed_on(daemon, receiver, data)


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
