"""What senders ask of reports (RFC 3461): handed on where the next server can, answered here where it cannot, and parsed by somebody else's parser."""
import email
import email.policy
import sys

import sisimai
from case import main
from operation_lab import HOME
from receiver import Receiver
from submit import connect, message
from world import World, wait_for

DSN = ("PIPELINING", "8BITMIME", "SIZE 100000000", "SMTPUTF8", "DSN")


def send(daemon, recipients, subject, mail_options=(), body=b"Hello.\r\n"):
    """RECIPIENTS: (address, options) each."""
    session = connect(daemon)
    assert session.has_extn("dsn")
    assert session.mail("alice@example.net", list(mail_options))[0] == 250
    for address, options in recipients:
        assert session.rcpt(address, list(options))[0] == 250, address
    code, text = session.data(message(subject, body))
    session.close()
    assert code == 250, text
    return text.split()[1].decode()


def reports(home):
    """[(subject, recipients' fields, the message's fields, type of the third part)] of the reports that came home."""
    found = []
    for got in list(home.messages):
        whole = email.message_from_bytes(got.data, policy=email.policy.default)
        assert got.sender == "" and whole["Auto-Submitted"] == "auto-replied" and whole.get_content_type() == "multipart/report", got.data
        words, status, original = whole.iter_parts()
        assert words.get_content_type() == "text/plain" and status.get_content_type() == "message/delivery-status"
        blocks = status.get_payload()
        found.append((whole["Subject"], [dict(block.items()) for block in blocks[1:]], dict(blocks[0].items()), original.get_content_type(), words.get_content()))
    return found


def world_with(extensions, answers=None, queue="retry = { 1h }"):
    world = World(World.RECORDS + HOME)
    receiver = world.add(Receiver("127.0.1.1", world.delivery_port, answers, extensions=extensions))
    home = world.add(Receiver("127.0.1.5", world.delivery_port))
    daemon = world.posternd(queue=queue)
    daemon.user("alice", "secret")
    daemon.start()
    return world, receiver, home, daemon


def case_wishes_are_handed_on_as_they_came():
    """A server with DSN is told RET, ENVID, NOTIFY and ORCPT, in xtext; it reports, and the relay does not."""
    world, receiver, home, daemon = world_with(DSN)
    with world:
        send(daemon, [("bob@example.com", ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;bob+2Bx@old.example"]), ("carol@example.com", ["NOTIFY=NEVER"]), ("dave@example.com", [])],
             "wishes", ["RET=HDRS", "ENVID=QQ314159+2B+3D"])
        wait_for(lambda: receiver.messages)
        said = [c for c in receiver.commands if c.startswith(("MAIL", "RCPT"))]
        assert said[0].startswith("MAIL FROM:<alice@example.net> SIZE=") and said[0].endswith(" RET=HDRS ENVID=QQ314159+2B+3D"), said
        assert said[1:] == ["RCPT TO:<bob@example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob+2Bx@old.example", "RCPT TO:<carol@example.com> NOTIFY=NEVER",
                            "RCPT TO:<dave@example.com>"], said
        send(daemon, [("nobody@example.org", ["NOTIFY=FAILURE"])], "bounces")  # nobody listens there: it waits
        assert not home.messages


def case_success_is_reported_where_the_next_server_does_not():
    """A server without DSN: who asked for SUCCESS hears "relayed", once a message; who did not, and NEVER, hear nothing; failures as they were asked for."""
    answers = {("rcpt", "gone@example.com"): "550 5.1.1 no such user", ("rcpt", "quiet@example.com"): "550 5.1.1 no such user",
               ("rcpt", "only@example.com"): "550 5.1.1 no such user"}
    world, receiver, home, daemon = world_with(("PIPELINING", "8BITMIME"), answers)
    with world:
        identity = send(daemon, [("bob@example.com", ["NOTIFY=SUCCESS", "ORCPT=rfc822;robert@old.example"]), ("carol@example.com", ["NOTIFY=SUCCESS,FAILURE"]),
                                 ("dave@example.com", []), ("eve@example.com", ["NOTIFY=FAILURE"]), ("gone@example.com", ["NOTIFY=SUCCESS,FAILURE"]),
                                 ("quiet@example.com", ["NOTIFY=NEVER"]), ("only@example.com", ["NOTIFY=SUCCESS"])], "mixed", ["RET=FULL", "ENVID=abc+2Bdef"])
        wait_for(lambda: len(home.messages) == 2, what="two reports")
        relayed, = [r for r in reports(home) if r[0] == "Your message was handed on"]
        failed, = [r for r in reports(home) if r[0] == "Your message could not be delivered"]
        assert [(f["Final-Recipient"], f["Action"], f["Status"]) for f in relayed[1]] == [("rfc822; bob@example.com", "relayed", "2.0.0"),
                                                                                       ("rfc822; carol@example.com", "relayed", "2.0.0")], relayed
        assert relayed[1][0]["Original-Recipient"] == "rfc822;robert@old.example" and relayed[2]["Original-Envelope-Id"] == "abc+def", relayed
        assert relayed[3] == "text/rfc822-headers" and "took it and will not report any further" in " ".join(relayed[4].split()), relayed
        assert [(f["Final-Recipient"], f["Action"], f["Status"]) for f in failed[1]] == [("rfc822; gone@example.com", "failed", "5.1.1")], failed
        assert failed[3] == "message/rfc822", "RET=FULL"
        life = daemon.cli("message", identity, check=False)
        assert len([m for m in receiver.messages]) == 1 and life is not None
        wait_for(lambda: daemon.cli("status", json_output=True)["queue"]["messages"] == 0, what="an empty queue")
        assert len(home.messages) == 2


def case_sisimai_reads_each_kind_of_report():
    """Refused, put off, and given up: it finds who, why and with what code, as it would in a report of any other server."""
    answers = {("rcpt", "gone@example.com"): "550 5.1.1 no such user", ("rcpt", "full@example.com"): "552 5.2.2 mailbox full", ("rcpt", "later@example.com"): "451 4.2.1 come back later"}
    world, receiver, home, daemon = world_with(("PIPELINING", "8BITMIME"), answers, "retry = { 1s } lifetime = 3s delay-warning = 1s")
    with world:
        send(daemon, [(f"{name}@example.com", []) for name in ("gone", "full", "bob", "later")], "kinds")
        wait_for(lambda: len(home.messages) == 3, what="three reports")
        found = [(r["recipient"], r["action"], r["deliverystatus"], r["replycode"], r["reason"]) for report in home.messages for r in sisimai.read(report.data)]
        assert found == [("gone@example.com", "failed", "5.1.1", "550", "userunknown"), ("full@example.com", "failed", "5.2.2", "552", "mailboxfull"),
                         ("later@example.com", "delayed", "4.2.1", "451", "suspend"), ("later@example.com", "failed", "4.2.1", "451", "suspend")], found
        assert {(r["addresser"], r["subject"], r["rhost"]) for report in home.messages for r in sisimai.read(report.data)} == {
            ("alice@example.net", "kinds", "mx1.example.com")}


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
