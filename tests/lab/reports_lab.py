"""Reports of abuse (ARF, RFC 5965): from the message that an account sent, over the report that somebody makes of it, back to the account."""
import re
import sys

from case import main
from operation_lab import from_address, office
from submit import connect, message, send, submit
from world import wait_for

REPORTS = "abuse-reports@example.com"
BOUNDARY = "=_report_1"


def report(original, kind="abuse", sender="desk@example.org", encoding="7bit"):
    """An ARF report about ORIGINAL (bytes), as bytes with CRLF lines."""
    parts = ["Content-Type: text/plain\r\n\r\nThis is a report about a message that came from you.\r\n",
             f"Content-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nUser-Agent: Lab/1.0\r\nVersion: 1\r\n"
             "Original-Rcpt-To: <bob@example.com>\r\nSource-IP: 127.0.0.1\r\n",
             f"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{original.decode()}\r\n"]
    head = (f"From: <{sender}>\r\nTo: <{REPORTS}>\r\nSubject: FW: test\r\nMIME-Version: 1.0\r\n"
            f'Content-Type: multipart/report; report-type=feedback-report;\r\n boundary="{BOUNDARY}"\r\n\r\n')
    return (head + "".join(f"--{BOUNDARY}\r\n{part}\r\n" for part in parts) + f"--{BOUNDARY}--\r\n").encode()


def hand_in(daemon, data):
    """The report DATA comes in as from the server that gets mail for the report address; returns its id."""
    session = from_address("127.0.0.60", daemon.open_port)
    try:
        return send(session, "desk@example.org", [REPORTS], data)
    finally:
        session.close()


def told(daemon, report_id):
    """(account, verdict) of what policy said about the report."""
    def find():
        return next((event for event in daemon.events("reported") if event["report"] == report_id), None)
    event = wait_for(find, what="policy's word about a report")
    return event["account"], event["verdict"]


def used(daemon, account):
    rows = daemon.cli("limits", "--account", account, json_output=True)
    return next(row["used"] for row in rows if row["limit"] == "reports")


def case_a_report_leads_to_its_account():
    """A report counts once against the account that sent the message, whose name nobody else can read; forged, repeated and harmless ones do not; the third suspends it."""
    def with_address(text):
        return text.replace("policy { ", f'policy {{ report-address = "{REPORTS}" ', 1)
    with office(users=("alice", "bob"), change=with_address, default_limits=True) as (_, daemon, receiver):
        session = connect(daemon)
        ids = [send(session, "alice@example.net", ["bob@example.com"], message(str(i))) for i in range(4)]
        session.close()
        submit(daemon, "bob@example.net", ["carl@example.com"], message("other", sender="bob@example.net"), user="bob")
        wait_for(lambda: len(receiver.messages) == 5, what="the five messages")
        sent = {re.search(r" id (\w{20})", got.header("Received"))[1]: got for got in receiver.messages}
        marks = [re.search(r"\(mark ([0-9a-f]{16})\)", got.header("Received"))[1] for got in receiver.messages]
        assert len(set(marks)) == 5 and not any("alice" in got.header("Received") for got in receiver.messages), marks
        first, second, third, fourth = (sent[number].data for number in ids)
        outer = b"Received: from relay.example.net by mx.example.org id 1\r\n\t(mark 0000000000000001); now\r\n"
        assert told(daemon, hand_in(daemon, report(outer + first))) == ("alice", "counts")
        assert used(daemon, "alice") == 1 and used(daemon, "bob") == 0
        wait_for(lambda: len(receiver.messages) == 6, what="the report, which is delivered as well")
        assert told(daemon, hand_in(daemon, report(first, kind="fraud"))) == ("alice", "was reported before")
        assert told(daemon, hand_in(daemon, report(second, kind="not-spam"))) == ("alice", "not of abuse")
        forged = first.replace(ids[0].encode(), ids[2].encode())
        assert forged != first and told(daemon, hand_in(daemon, report(forged)))[0] == ""
        assert told(daemon, hand_in(daemon, report(b"Received: by relay.example.net id " + ids[2].encode() + b"\r\nSubject: x\r\n\r\nx\r\n")))[0] == ""
        # A user who got a message accuses nobody: reports are read where no one logs in.
        submit(daemon, "bob@example.net", [REPORTS], report(third, sender="bob@example.net"), user="bob")
        assert used(daemon, "alice") == 1
        assert daemon.stop() == 0
        daemon.start()
        assert told(daemon, hand_in(daemon, report(first))) == ("alice", "was reported before")
        assert told(daemon, hand_in(daemon, report(third))) == ("alice", "counts")
        assert used(daemon, "alice") == 2
        # By the default limit two are forgiven.
        assert not daemon.events("suspended"), daemon.events("suspended")
        assert told(daemon, hand_in(daemon, report(fourth))) == ("alice", "counts")
        suspended = wait_for(lambda: daemon.events("suspended"), what="the account's suspension")
        assert [event["account"] for event in suspended] == ["alice"], suspended
        assert len(daemon.events("reported")) == 8, daemon.events("reported")


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
