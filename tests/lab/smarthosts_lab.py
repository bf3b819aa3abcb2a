"""Exim and Dovecot's submission server, unmodified, as smart hosts that want a login, and what becomes of mail where they refuse it; Postfix and
our own submission service are in upstream_lab."""
import sys
import time

from case import main
from dovecot import Dovecot
from dsn_lab import reports
from exim import Exim
from opensmtpd import OpenSmtpd
from operation_lab import HOME
from receiver import Receiver
from submit import connect, message, send, submit, without_added
from upstream_lab import deliver, postfix_with_logins, relay, smart_route
from world import World, free_port, wait_for

BODY = b".dot\r\n..two\r\n" + "Grüße aus Köln ✉\r\n".encode() + b"x" * 998 + b"\r\n.\x20\r\n"


def exim(world, *mechanisms, **options):
    """(Exim, its port): one that wants a login."""
    port = free_port()
    return world.add(Exim.receiver(world, "127.0.0.1", port, world.certificate, logins=mechanisms, **options)), port


def dovecot(world, *mechanisms, **options):
    """(Dovecot, its port): one that wants a login, and has a receiver at 127.0.6.1 behind it."""
    port = free_port()
    return world.add(Dovecot(world, port, ("127.0.6.1", world.delivery_port), mechanisms=" ".join(mechanisms).lower(), **options)), port


def token(server, seconds):
    """An access token that runs out in so many SECONDS."""
    now = int(time.time())
    return server.token(sub="office", iat=now - 3600, exp=now + seconds)


def case_logins_at_exim():
    """Each mechanism that it has: PLAIN and LOGIN of its own, SCRAM by Cyrus SASL."""
    for mechanism, name in (("PLAIN", "plain"), ("LOGIN", "login"), ("SCRAM-SHA-256", "scram")):
        with World() as world:
            server, port = exim(world, mechanism)
            daemon = relay(world, smart_route(world, port, "secret")[1])
            deliver(daemon, "bob@far.example")
            assert " P=esmtpsa " in server.log() and f" A={name}:office" in server.log(), server.log()
            assert len(wait_for(server.messages)) == 1


def case_logins_at_dovecot():
    """Each mechanism that it has and we have, two of them with an access token; what it hands on is what was sent."""
    for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2"):
        with World() as world:
            end = world.add(Receiver("127.0.6.1", world.delivery_port))
            server, port = dovecot(world, mechanism)
            is_token = mechanism.endswith(("BEARER", "2"))
            daemon = relay(world, smart_route(world, port, token(server, 600) if is_token else "secret", "login = token" if is_token else "")[1])
            sent = message(mechanism, BODY)
            submit(daemon, "alice@example.net", ["bob@far.example"], sent, ["BODY=8BITMIME"])
            arrived = wait_for(lambda: end.messages, what="the message behind Dovecot")[0]
            assert without_added(without_added(arrived.data)) == sent, arrived.data
            assert f"Login: user=<office>, method={mechanism}," in server.log(), server.log()


def check_that_it_waits(daemon, path, good):
    """A message to far.example waits for a login that is refused, with an alarm, and goes once PATH has what is GOOD."""
    waits = submit(daemon, "alice@example.net", ["bob@far.example"], message("waits"))
    deferred = wait_for(lambda: daemon.events("deferred"), what="the deferral")[0]
    assert deferred["id"] == waits and deferred["status"].startswith("4.") and "535 " in deferred["reply"], deferred
    assert [e for e in daemon.events("error") if "refused the login of user office" in e["text"]], daemon.events("error")
    assert "ALARM: this smart host cannot be used" in daemon.cli("status") and not daemon.events("bounced")
    path.write_text(good + "\n")
    wait_for(lambda: daemon.events("delivered"), what="delivery")
    assert "ALARM" not in daemon.cli("status")


def case_a_wrong_password_lets_mail_wait():
    """At Exim (535 without an enhanced code), at Dovecot and at Postfix, with each mechanism's own way to say no."""
    for server, mechanism in ((exim, "SCRAM-SHA-256"), (exim, "LOGIN"), (dovecot, "SCRAM-SHA-256"), (dovecot, "PLAIN"), (postfix_with_logins, "SCRAM-SHA-256")):
        with World() as world:
            world.add(Receiver("127.0.6.1", world.delivery_port))
            port = server(world, mechanism)[1]
            path, section = smart_route(world, port, "wrong")
            check_that_it_waits(relay(world, section, queue="retry = { 1s }"), path, "secret")


def case_a_token_that_has_run_out_lets_mail_wait():
    """Dovecot explains the refusal in a challenge (RFC 7628), which must be answered before it says 535."""
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        with World() as world:
            world.add(Receiver("127.0.6.1", world.delivery_port))
            server, port = dovecot(world, mechanism)
            path, section = smart_route(world, port, token(server, -60), "login = token")
            check_that_it_waits(relay(world, section, queue="retry = { 1s }"), path, token(server, 600))


def case_a_login_that_exim_cannot_check_lets_mail_wait():
    """435, as the file with its passwords is away for the moment; and no alarm for somebody who mends passwords: it goes next time."""
    with World() as world:
        server, port = exim(world, "PLAIN")
        passwords = server.root / "etc" / "passwords"
        away = passwords.rename(passwords.with_suffix(".away"))
        daemon = relay(world, smart_route(world, port, "secret")[1])
        waits = submit(daemon, "alice@example.net", ["bob@far.example"], message("waits"))
        deferred = wait_for(lambda: daemon.events("deferred"), what="the deferral")[0]
        assert "435 Unable to authenticate at present" in deferred["reply"] and not daemon.events("bounced"), deferred
        away.rename(passwords)
        daemon.cli("queue", "retry", waits)
        wait_for(server.messages, what="the message at Exim")


def case_opensmtpd_without_a_working_tls_sees_no_password():
    """Its handshake fails (see opensmtpd.py), and neither the password nor mail comes in clear."""
    with World() as world:
        port = free_port()
        server = world.add(OpenSmtpd(world, "127.0.0.1", port, world.certificate))
        daemon = relay(world, smart_route(world, port, "secret")[1])
        submit(daemon, "alice@example.net", ["bob@far.example"], message())
        deferred = wait_for(lambda: daemon.events("deferred"), what="the deferral")[0]
        assert "TLS" in deferred["reply"] and not daemon.events("bounced"), deferred
        assert "missing private key" in server.log() and "AUTH" not in server.log() and "MAIL FROM" not in server.log(), server.log()
        assert "ALARM: this smart host cannot be used" in daemon.cli("status")


def case_dovecot_hands_on_what_is_said_behind_it():
    """Its replies are those of the server behind it, recipient by recipient; the alarm is not for them."""
    with World(World.RECORDS + HOME) as world:
        home = world.add(Receiver("127.0.1.5", world.delivery_port))
        answers = {("rcpt", "gone@far.example"): "550 5.1.1 no such user", ("rcpt", "later@far.example"): "451 4.2.1 come back later",
                   "dot": lambda recipient: "554 5.7.1 not in this house" if recipient == "foe@far.example" else None}
        end = world.add(Receiver("127.0.6.1", world.delivery_port, answers))
        server, port = dovecot(world, "PLAIN")
        daemon = relay(world, smart_route(world, port, "secret")[1])
        session = connect(daemon)
        for recipients in (("gone", "bob", "later"), ("foe",)):
            send(session, "alice@example.net", [f"{name}@far.example" for name in recipients], message(recipients[0]))
        session.close()
        wait_for(lambda: len(home.messages) == 2, what="two reports")
        said = sorted((f["Final-Recipient"], f["Status"], f["Diagnostic-Code"]) for _, fields, _, _, _ in reports(home) for f in fields)
        assert [(who, status) for who, status, _ in said] == [("rfc822; foe@far.example", "5.7.1"), ("rfc822; gone@far.example", "5.1.1")], said
        assert [words for _, _, words in said] == ["smtp; 554 5.7.1 not in this house", "smtp; 550 5.1.1 <gone@far.example> no such user"], said
        waits, = daemon.cli("queue", "list", json_output=True)
        assert [(r["to"], r["reply"]) for r in waits["recipients"] if r["state"] == "scheduled"] == [
            ("later@far.example", "451 4.2.1 <later@far.example> come back later")], waits
        assert len(end.messages) == 1 and "ALARM" not in daemon.cli("status")


def case_dovecot_with_nobody_behind_it():
    """It takes the login and then has nowhere to go: mail waits, and goes when somebody is there."""
    with World() as world:
        server, port = dovecot(world, "PLAIN")
        daemon = relay(world, smart_route(world, port, "secret")[1], queue="retry = { 1s }")
        submit(daemon, "alice@example.net", ["bob@far.example"], message("nobody is there"))
        deferred = wait_for(lambda: daemon.events("deferred"), 60, what="the deferral")[0]
        assert deferred["status"] == "4.4.0" and "Failed to connect to relay server" in deferred["reply"], deferred
        end = world.add(Receiver("127.0.6.1", world.delivery_port))
        wait_for(lambda: end.messages, 60, what="the message behind Dovecot")
        assert not daemon.events("bounced"), daemon.events("bounced")


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
