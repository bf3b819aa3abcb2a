"""The relay as a whole: a message goes in on one side and comes out on the other; what is deferred, bounced, held; what a restart keeps."""
import email
import email.policy
import os
import subprocess
import sys
import threading
import time

from case import main
from receiver import Receiver
from submit import connect, message, send, submit, without_added
from world import World, wait_for


def small_world(world, receivers=("127.0.1.1",), answers=None, **options):
    """Alice can log in; RECEIVERS listen. Returns (daemon, receivers)."""
    found = [world.add(Receiver(address, world.delivery_port, answers)) for address in receivers]
    options.setdefault("queue", "retry = { 1s, 2s }")
    daemon = world.posternd(**options)
    daemon.user("alice", "secret")
    daemon.start()
    return daemon, found


def arrived(receiver, count=1, seconds=20):
    wait_for(lambda: len(receiver.messages) >= count, seconds, f"message {count} at the receiver")
    return receiver.messages


def case_a_message_goes_through():
    with World() as world:
        daemon, (receiver,) = small_world(world)
        data = message(body=b"Hello.\r\n.dots at the start\r\n..two\r\n\r\nEnd.\r\n")
        identity = submit(daemon, "alice@example.net", ["bob@example.com"], data)
        got = arrived(receiver)[0]
        assert without_added(got.data) == data, got.data
        assert got.sender == "alice@example.net" and got.recipients == ["bob@example.com"]
        received = got.header("received")
        assert "with ESMTPSA" in received and identity in received and "by relay.example.net" in received, received
        accepted = wait_for(lambda: daemon.events("accepted"))[0]
        assert accepted["id"] == identity and accepted["account"] == "alice" and accepted["nrcpt"] == "1", accepted
        delivered = wait_for(lambda: daemon.events("delivered"))[0]
        assert delivered["id"] == identity and delivered["to"] == "bob@example.com" and "127.0.1.1" in delivered["mx"], delivered
        life = daemon.cli("message", identity, json_output=True)
        assert [event["event"] for event in life["events"]] == ["accepted", "delivered"], life
        wait_for(lambda: daemon.cli("status", json_output=True)["queue"]["messages"] == 0)


def case_implicit_tls_and_open_listener():
    with World() as world:
        daemon, (receiver,) = small_world(world)
        submit(daemon, "alice@example.net", ["bob@example.com"], message("one"), implicit=True)
        submit(daemon, "printer@example.net", ["bob@example.com"], message("two"), open_listener=True)
        got = {m.header("subject"): m.header("received") for m in arrived(receiver, 2)}
        assert "with ESMTPSA" in got["one"] and "with ESMTP " in got["two"].replace("\r\n", " "), got


def case_missing_headers_are_added_and_private_ones_removed():
    with World() as world:
        daemon, (receiver,) = small_world(world)
        data = b"From: alice@example.net\r\nReturn-Path: <x@example.net>\r\nBcc: secret@example.org,\r\n other@example.org\r\nSubject: bare\r\n\r\nHello.\r\n"
        submit(daemon, "alice@example.net", ["bob@example.com"], data)
        got = arrived(receiver)[0]
        parsed = email.message_from_bytes(got.data)
        assert parsed["Message-ID"].endswith("@relay.example.net>") and parsed["Date"] and not parsed["Bcc"] and not parsed["Return-Path"], got.data
        assert b"secret@example.org" not in got.data and b"other@example.org" not in got.data
        assert got.data.endswith(b"From: alice@example.net\r\nSubject: bare\r\n\r\nHello.\r\n")


def case_many_recipients_at_two_sites_and_one_transaction_each():
    with World() as world:
        daemon, receivers = small_world(world, ("127.0.1.1", "127.0.1.2"))
        recipients = [f"user{i}@example.com" for i in range(30)] + [f"user{i}@example.org" for i in range(20)]
        submit(daemon, "alice@example.net", recipients, message())
        arrived(receivers[0]), arrived(receivers[1])
        assert sorted(receivers[0].messages[0].recipients) == sorted(recipients[:30])
        assert sorted(receivers[1].messages[0].recipients) == sorted(recipients[30:])
        wait_for(lambda: len(daemon.events("delivered")) == 50)


def case_second_mx_serves_when_the_first_is_down():
    with World() as world:
        daemon, (receiver,) = small_world(world, ("127.0.1.3",))
        submit(daemon, "alice@example.net", ["bob@example.org"], message())
        arrived(receiver)


def case_implicit_mx():
    with World() as world:
        daemon, (receiver,) = small_world(world, ("127.0.1.4",))
        submit(daemon, "alice@example.net", ["bob@implicit.example"], message())
        arrived(receiver)


def utf8(session, line):
    session.send(line.encode() + b"\r\n")
    return session.getreply()


def case_a_domain_in_other_letters_is_its_ascii_form():
    """A domain with letters beyond ASCII is looked up, counted, routed and owned as its A-labels are, and sent as the client wrote it (RFC 6531)."""
    records = World.RECORDS + ["xn--bcher-kva.example. 300 IN MX 10 mx1.example.com."]
    with World(records) as world:
        receiver = world.add(Receiver("127.0.1.1", world.delivery_port))
        smart = world.add(Receiver("127.0.1.2", world.delivery_port))
        sections = (f'route "MÜNCHEN.example" {{ via = "127.0.1.2:{world.delivery_port}" }}\n'
                    'limit books { key = recipient-domain count = recipients rate = "3/1h" then = defer }\n')
        daemon = world.posternd(top='domains = { "bücher.example" }', sections=sections)
        daemon.start()
        session = connect(daemon, open_listener=True)
        session.ehlo("client.example.net")
        code, text = utf8(session, "MAIL FROM:<a@münchen.example> SMTPUTF8")
        assert code == 553 and text.startswith(b"5.7.1"), (code, text)
        for recipient, expected in (("b@Bücher.example", "250 2.1.5"), ("c@xn--bcher-kva.example", "250 2.1.5"), ("d@bu\u0308cher.example", "250 2.1.5"),
                                    ("e@bücher.example", "450 4.7.1"), ("b@münchen.example", "250 2.1.5"), ("c@xn--mnchen-3ya.example", "250 2.1.5"),
                                    ("b@büchre.example", "550 5.1.2"), ("b@\u00ad.example", "501 5.1.3"), ("b@a\u200db.example", "501 5.1.3")):
            if recipient == "b@Bücher.example":
                assert utf8(session, "MAIL FROM:<a@xn--bcher-kva.example> SMTPUTF8")[0] == 250
            code, text = utf8(session, f"RCPT TO:<{recipient}>")
            assert f"{code} {text.decode()}".startswith(expected), (recipient, code, text)
        code, text = session.data(message(sender="a@xn--bcher-kva.example"))
        assert code == 250, text
        identity = text.split()[1].decode()
        wait_for(lambda: len([e for e in daemon.events("delivered") if e["id"] == identity]) == 5, what="all recipients")
        assert [m.recipients for m in receiver.messages] == [["b@bücher.example", "c@xn--bcher-kva.example", "d@bu\u0308cher.example"]], receiver.messages
        assert [m.recipients for m in smart.messages] == [["b@münchen.example", "c@xn--mnchen-3ya.example"]], smart.messages
        trace = daemon.cli("trace", "x@BÜCHER.example", json_output=True)
        assert [host["name"] for host in trace["hosts"]] == ["mx1.example.com"], trace
        assert daemon.cli("trace", "x@münchen.example", json_output=True)["route"] == "xn--mnchen-3ya.example"


def case_a_temporary_refusal_is_tried_again():
    with World() as world:
        first = ["450 4.2.0 not now\x1b[31m", "450 4.2.0 still not"]
        answers = {"rcpt": lambda address: first.pop(0) if first else None}
        daemon, (receiver,) = small_world(world, answers=answers)
        identity = submit(daemon, "alice@example.net", ["bob@example.com"], message())
        arrived(receiver)
        deferred = daemon.events("deferred")
        assert len(deferred) == 2 and deferred[0]["id"] == identity and "not now\\x1b" in deferred[0]["reply"], deferred
        wait_for(lambda: daemon.events("delivered"))
        assert daemon.events("delivered")[0]["attempt"] == "3"


def parse_report(data):
    """(the report, fields per message, [fields per recipient], the returned part) of an RFC 3464 message, by Python's email package."""
    report = email.message_from_bytes(data, policy=email.policy.default)
    assert report.get_content_type() == "multipart/report" and report.get_param("report-type") == "delivery-status", report["content-type"]
    parts = list(report.iter_parts())
    assert [p.get_content_type() for p in parts][:2] == ["text/plain", "message/delivery-status"], [p.get_content_type() for p in parts]
    blocks = parts[1].get_payload()
    return report, blocks[0], blocks[1:], parts[2]


def case_a_refused_recipient_bounces_to_the_sender():
    answers = {("rcpt", "nobody@example.com"): "550 5.1.1 no such user here"}
    with World(World.RECORDS + ["example.net. 300 IN MX 10 mx.example.net.", "mx.example.net. 300 IN A 127.0.1.5"]) as world:
        daemon, (receiver, home) = small_world(world, ("127.0.1.1", "127.0.1.5"), answers)
        submit(daemon, "alice@example.net", ["nobody@example.com", "bob@example.com"], message("lost?", extra=b"X-Mark: kept\r\n"))
        arrived(receiver)
        got = arrived(home)[0]
        assert got.sender == "" and got.recipients == ["alice@example.net"], (got.sender, got.recipients)
        report, whole, each, returned = parse_report(got.data)
        assert report["auto-submitted"] and "mailer-daemon" in report["from"].lower(), report.items()
        assert whole["reporting-mta"] == "dns; relay.example.net", whole.items()
        assert len(each) == 1 and each[0]["final-recipient"] == "rfc822; nobody@example.com", each[0].items()
        assert each[0]["action"] == "failed" and each[0]["status"] == "5.1.1" and "550 5.1.1 no such user here" in each[0]["diagnostic-code"]
        assert b"X-Mark: kept" in returned.as_bytes(), returned.as_bytes()
        assert [e["to"] for e in daemon.events("bounced")] == ["nobody@example.com"]
        wait_for(lambda: daemon.cli("status", json_output=True)["queue"]["messages"] == 0)


def case_a_failing_report_is_not_reported():
    with World(World.RECORDS + ["example.net. 300 IN MX 10 mx.example.net.", "mx.example.net. 300 IN A 127.0.1.5"]) as world:
        daemon, _ = small_world(world, ("127.0.1.1", "127.0.1.5"), {"rcpt": "550 5.1.1 no"})
        submit(daemon, "alice@example.net", ["nobody@example.com"], message())
        wait_for(lambda: len(daemon.events("bounced")) == 2, what="the bounce's own end")
        wait_for(lambda: daemon.cli("status", json_output=True)["queue"]["messages"] == 0)
        assert len(daemon.events("bounced")) == 2


def case_lifetime_ends_in_a_report():
    with World(World.RECORDS + ["example.net. 300 IN MX 10 mx.example.net.", "mx.example.net. 300 IN A 127.0.1.5"]) as world:
        daemon, (home,) = small_world(world, ("127.0.1.5",), queue="retry = { 1s } lifetime = 3s delay-warning = 0s")
        submit(daemon, "alice@example.net", ["bob@dead.example"], message())
        got = arrived(home, seconds=30)[0]
        _, _, each, _ = parse_report(got.data)
        assert each[0]["status"].startswith("4.") and each[0]["action"] == "failed", each[0].items()


def case_restart_keeps_the_queue():
    with World() as world:
        daemon, _ = small_world(world, ())
        identities = [submit(daemon, "alice@example.net", ["bob@example.com"], message(f"m{i}")) for i in range(5)]
        wait_for(lambda: daemon.events("deferred") or daemon.events("site-backoff"))
        assert daemon.stop() == 0
        receiver = world.add(Receiver("127.0.1.1", world.delivery_port))
        daemon.start()
        arrived(receiver, 5)
        wait_for(lambda: len(daemon.events("delivered")) == 5)
        assert {e["id"] for e in daemon.events("delivered")} == set(identities)
        assert len(receiver.messages) == 5


def case_kill_of_everything_loses_nothing():
    with World() as world:
        daemon, _ = small_world(world, ())
        accepted = [submit(daemon, "alice@example.net", ["bob@example.com"], message(f"m{i}", open_body(i))) for i in range(10)]
        daemon.kill()
        receiver = world.add(Receiver("127.0.1.1", world.delivery_port))
        daemon.start()
        arrived(receiver, len(accepted))
        assert sorted(m.header("subject") for m in receiver.messages) == sorted(f"m{i}" for i in range(10))


def open_body(i):
    """Bodies of many sizes, one beyond a shared segment's limit."""
    return b"".join(b"line %06d of the body\r\n" % n for n in range(1 if i % 5 else 60000 * (i // 5) + 10))


def case_the_dialogue_of_the_last_failed_attempt():
    """postern message shows what was said when the last attempt failed: commands, replies; bounded; no content."""
    answers = {("rcpt", "bob@example.com"): "450 4.2.0 not now", ("rcpt", "carol@example.com"): "550 5.1.1 no such user"}
    with World() as world:
        receiver = world.add(Receiver("127.0.1.1", world.delivery_port, answers))
        daemon = world.posternd(queue="retry = { 1h }")
        daemon.user("alice", "secret")
        daemon.start()
        identity = submit(daemon, "alice@example.net", ["bob@example.com", "carol@example.com", "dave@example.com"], message("secret subject"))
        said = wait_for(lambda: daemon.cli("message", identity, json_output=True).get("dialogue"), what="the dialogue")
        assert said[:2] == ["C: MAIL FROM:<alice@example.net>", "S: 250 2.1.0 ok"], said
        assert said[said.index("C: RCPT TO:<bob@example.com>") + 1] == "S: 450 4.2.0 not now", said
        assert "C: (message) ." in said and not any("secret" in line for line in said), said
        text = daemon.cli("message", identity)
        assert "What was said in the last attempt that failed:" in text and "  S: 550 5.1.1 no such user" in text, text
        fine = submit(daemon, "alice@example.net", ["dave@example.com", "bob@example.com"], message("fine"))
        wait_for(lambda: daemon.cli("message", fine, json_output=True).get("dialogue"))
        receiver.answers["rcpt"] = "450 4.2.0 " + "x" * 400
        long = submit(daemon, "alice@example.net", [f"u{n}@example.com" for n in range(90)], message("many"))
        said = wait_for(lambda: daemon.cli("message", long, json_output=True).get("dialogue"), what="the long one")
        assert said[-1] == "… and more" and sum(len(line.encode()) + 1 for line in said) <= 4000, said[-2:]


def case_hold_release_remove():
    with World() as world:
        daemon, _ = small_world(world, ())
        first = submit(daemon, "alice@example.net", ["bob@example.com"], message("first"))
        second = submit(daemon, "alice@example.net", ["bob@example.com"], message("second"))
        assert daemon.cli("queue", "hold", "--all") is not None
        wait_for(lambda: daemon.cli("status", json_output=True)["queue"]["held"] == 2)
        receiver = world.add(Receiver("127.0.1.1", world.delivery_port))
        daemon.cli("queue", "remove", first)
        daemon.cli("queue", "retry", "--all", check=False)
        listed = daemon.cli("queue", "list", json_output=True)
        assert [entry["id"] for entry in listed] == [second] and listed[0]["state"] == "held", listed
        daemon.cli("queue", "release", second)
        daemon.cli("queue", "retry", second, check=False)
        arrived(receiver)
        assert [m.header("subject") for m in receiver.messages] == ["second"]
        names = [e["event"] for e in daemon.events() if e["event"] in ("held", "released", "removed")]
        assert names.count("held") == 2 and names.count("removed") == 1 and names.count("released") == 1, names


def case_a_route_goes_to_its_host_with_login_over_verified_tls():
    with World() as world:
        secret = world.folder / "secret"
        secret.write_text("upstream-password\n")
        upstream = world.add(LoginReceiver("127.0.0.1", 0, world.certificate))
        port = upstream.server.server_address[1]
        daemon, _ = small_world(world, (), delivery=f'ca-file = "{world.certificate.certificate}"',
                                sections=f'route "far.example" {{ via = "localhost:{port}" tls = verify user = "office" password-file = "{secret}" }}\n'
                                         f'route "unverified.example" {{ via = "127.0.0.2:{port}" tls = verify user = "office" password-file = "{secret}" }}\n',
                                listener="check-recipient-domain = no")
        submit(daemon, "alice@example.net", ["bob@far.example"], message("secure"))
        got = arrived(upstream)[0]
        assert got.tls and upstream.logins == [("office", "upstream-password")], upstream.logins


class LoginReceiver(Receiver):
    """A smart host that wants AUTH PLAIN."""

    def __init__(self, address, port, certificate):
        self.logins = []
        super().__init__(address, port, certificate=certificate, extensions=("PIPELINING", "AUTH PLAIN LOGIN"))
        import base64
        import receiver as module

        def on_auth(session, argument):
            mechanism, _, initial = argument.partition(" ")
            if not session.tls or mechanism.upper() != "PLAIN" or not initial:
                return session.reply("504 5.5.4 only PLAIN with its response")
            _, user, password = base64.b64decode(initial).decode().split("\0")
            self.logins.append((user, password))
            return session.reply("235 2.7.0 welcome")
        module.Session.on_auth = on_auth


def case_no_space_is_452_and_nothing_is_half_kept():
    with World() as world:
        daemon, (receiver,) = small_world(world)
        daemon.stop()
        daemon.file.write_text(daemon.text.replace("minimum-free = 1M", "minimum-free = 900T"))
        daemon.start()
        session = connect(daemon)
        code = wait_for(lambda: session.mail("alice@example.net")[0] == 452 or (session.rset() and None), what="452 at MAIL")
        assert code
        daemon.file.write_text(daemon.text)
        daemon.cli("reload")
        wait_for(lambda: submit_or_none(daemon), what="acceptance after the reload")
        arrived(receiver)


def submit_or_none(daemon):
    try:
        return submit(daemon, "alice@example.net", ["bob@example.com"], message())
    except Exception:
        return None


def case_reload_keeps_sessions_and_refuses_mistakes():
    with World() as world:
        daemon, (receiver,) = small_world(world)
        session = connect(daemon)
        session.mail("alice@example.net")
        daemon.file.write_text(daemon.text + "nonsense = 1\n")
        refused = daemon.cli("reload", check=False)
        assert refused.returncode == 1 and "nonsense" in refused.stdout + refused.stderr, refused
        daemon.file.write_text(daemon.text + 'domains = { "example.net", "example.org" }\n')
        daemon.cli("reload")
        session.rcpt("bob@example.com")
        code, text = session.data(message("old session"))
        assert code == 250, (code, text)
        submit(daemon, "alice@example.net", ["bob@example.com"], message("new session"))
        arrived(receiver, 2)
        wait_for(lambda: len(daemon.pids().get("submission", [])) == os.cpu_count(), seconds=30, what="the old generation's end")


def case_every_250_arrives_while_roles_are_killed():
    """10,000 messages by 50 clients at once, one role killed each half second in turn. Each 250 was in the log before the client heard it."""
    with World() as world:
        count, clients = 10000, 50
        daemon, (receiver,) = small_world(world, release=True, listener="max-connections-per-client = 1000 max-messages = 100000")
        numbers, lock, accepted = iter(range(count)), threading.Lock(), {}

        def client():
            session = None
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    break
                for _ in range(200):  # one that was refused is tried again, as a mail program does
                    try:
                        session = session or connect(daemon)
                        accepted[number] = send(session, "alice@example.net", ["bob@example.com"], message(f"n{number}"))
                        time.sleep(0.05)  # so that each role is killed several times meanwhile
                        break
                    except Exception:
                        session and session.close()
                        session = None
                        time.sleep(0.05)
            session and session.close()

        killer = subprocess.Popen([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "killer.py"), str(daemon.process.pid)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kills = killer.communicate("", 10)[0].strip()
        subjects = lambda: {m.header("subject") for m in list(receiver.messages)}
        try:
            wait_for(lambda: {f"n{n}" for n in accepted} <= subjects(), 90, "every accepted message")
        finally:
            got = [m.header("subject") for m in receiver.messages]
            lost = {f"n{n}" for n in accepted} - set(got)
            print(f"note {len(accepted)} accepted, {len(got)} arrived, {len(got) - len(set(got))} twice, {len(lost)} lost, {kills} kills")
        assert len(accepted) == count and not lost, (len(accepted), sorted(lost)[:20])
        untold = set(accepted.values()) - {event["id"] for event in daemon.events("accepted")}
        assert not untold, untold


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
