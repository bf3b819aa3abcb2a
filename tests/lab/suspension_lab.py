"""Suspension from end to end: by a person and by the default limits; what it stops, holds, keeps and tells; and whom it must leave alone."""
import concurrent.futures
import contextlib
import os
import random
import re
import signal
import smtplib
import subprocess
import sys
import threading
import time

from case import main
from operation_lab import from_address, office, refusal
from submit import CONTEXT, connect, message, send, submit
from world import SANITIZED, wait_for

POSTMASTER = 'postmaster = "postmaster@example.com"'


def login_refusal(daemon, user, password, address="127.0.0.1"):
    """What a login gets: (code, text), or None where it succeeds."""
    session = smtplib.SMTP("127.0.0.1", daemon.port, timeout=60, source_address=(address, 0))
    session.starttls(context=CONTEXT)
    session.ehlo("client.example.net")
    try:
        session.login(user, password)
    except smtplib.SMTPResponseException as refused:
        return refused.smtp_code, refused.smtp_error.decode()
    finally:
        session.close()
    return None


def state(daemon, account="alice"):
    return daemon.cli("account", "show", account, json_output=True)


def letters(receiver, to):
    return [m for m in receiver.messages if m.recipients == [to] and m.sender == ""]


def case_suspended_by_a_person_and_resumed():
    """suspend: sessions end, the right password gets 525 and a wrong one 535, mail is held over restarts; resume frees exactly that mail."""
    with office({("rcpt", "later@example.com"): "450 4.2.0 later"}, users=("alice", "bob"), top=POSTMASTER, queue="retry = { 1h } lifetime = 3d",
                sections='account "alice" { contact = "alice@example.org" }\n') as (_, daemon, receiver):
        waiting = submit(daemon, "alice@example.net", ["later@example.com"], message("waits"))
        mine = submit(daemon, "alice@example.net", ["later@example.com"], message("held by hand"))
        bobs = submit(daemon, "bob@example.net", ["later@example.com"], message("not hers"), user="bob")
        wait_for(lambda: len(daemon.events("deferred")) == 3)
        daemon.cli("queue", "hold", mine)
        session, idle = connect(daemon), connect(daemon)
        assert session.mail("alice@example.net")[0] == 250
        assert daemon.cli("account", "suspend", "Alice", json_output=True)["state"] == "suspended"
        for open_one in (session, idle):
            assert open_one.getreply() == (421, b"4.7.0 this account is suspended; the connection is closed")
        code, text = login_refusal(daemon, "alice", "secret")
        assert code == 525 and re.search(r"^5\.7\.13 account alice is suspended: .*; ask postmaster@example.com$", text), text
        assert login_refusal(daemon, "alice", "wrong")[0] == 535
        assert login_refusal(daemon, "bob", "secret") is None
        shown = wait_for(lambda: state(daemon)["held"] == 2 and state(daemon), what="her mail's being held")
        assert shown["state"] == "suspended" and shown["by"] == "administrator" and shown["queued"] == 2 and shown["strikes"] == [], shown
        assert "alice is suspended" in daemon.cli("account", "show", "alice") and "alice" in daemon.cli("account", "list")
        assert [row["account"] for row in daemon.cli("account", "list", json_output=True)] == ["alice"]
        trouble = daemon.cli("status", json_output=True)["accounts"]
        assert [(row["account"], row["state"]) for row in trouble] == [("alice", "suspended")] and "suspended:" in daemon.cli("status")
        letter = wait_for(lambda: letters(receiver, "postmaster@example.com"), what="the letter to the postmaster")[0]
        assert letter.header("Subject") == "The account alice is suspended" and b"postern account resume alice" in letter.body
        held = {e["id"]: e["state"] for e in daemon.cli("queue", "list", json_output=True)}
        assert held[waiting] == held[mine] == "held" and held[bobs] == "scheduled", held

        # The policy role dies, the daemon is stopped, the queue role dies: it stays so.
        os.kill(daemon.pids()["policy"][0], signal.SIGKILL)
        wait_for(lambda: login_refusal(daemon, "alice", "secret")[0] == 525, what="policy's return")
        assert daemon.stop() == 0
        daemon.start()
        assert login_refusal(daemon, "alice", "secret")[0] == 525 and state(daemon)["held"] == 2
        os.kill(daemon.pids()["queue"][0], signal.SIGKILL)
        wait_for(lambda: state(daemon)["unavailable"] == [] and state(daemon)["held"] == 2, what="the queue's return")

        receiver.answers.clear()
        assert daemon.cli("account", "resume", "alice", json_output=True)["state"] == "active"
        wait_for(lambda: any(m.header("Subject") == "waits" for m in receiver.messages), what="the held message's delivery")
        assert login_refusal(daemon, "alice", "secret") is None
        assert {e["id"]: e["state"] for e in daemon.cli("queue", "list", json_output=True)}[mine] == "held"
        assert not any(m.header("Subject") == "held by hand" for m in receiver.messages)
        assert [e["account"] for e in daemon.events("suspended")] == ["alice"] and [e["account"] for e in daemon.events("resumed")] == ["alice"]
        assert daemon.cli("account", "resume", "alice", json_output=True)["changed"] is False


def case_a_letter_that_nobody_reads_is_an_error():
    """Without a postmaster the letter goes to the relay's own name: the start warns, and the bounce of the letter is an error, not one line of many."""
    with office() as (_, daemon, receiver):
        warnings = [e for e in daemon.events("notice") if "warning: nobody reads postmaster@relay.example.net" in e.get("text", "")]
        assert len(warnings) == 1 and warnings[0]["level"] == "warning", warnings
        daemon.cli("account", "suspend", "alice")
        wait_for(lambda: daemon.events("bounced"), what="the letter's bounce")
        assert daemon.events("bounced")[0]["to"] == "postmaster@relay.example.net"
        errors = [e for e in daemon.events("error") if e.get("to") == "postmaster@relay.example.net"]
        assert len(errors) == 1 and errors[0]["level"] == "error" and "set postmaster" in errors[0]["text"], errors
        assert errors[0]["id"] == daemon.events("bounced")[0]["id"]
        daemon.cli("reload")
        wait_for(lambda: len([e for e in daemon.events("notice") if "warning: nobody reads" in e.get("text", "")]) == 2)


def case_a_message_in_the_middle_of_a_suspension():
    """Content that comes while the account is suspended is not answered 250; what was accepted just before is held and not lost."""
    with office(users=("alice",), top=POSTMASTER) as (_, daemon, receiver):
        session = connect(daemon)
        for command in ("MAIL FROM:<alice@example.net>", "RCPT TO:<bob@example.com>", "DATA"):
            assert session.docmd(command)[0] in (250, 354)
        session.send(message("cut off")[:100])
        daemon.cli("account", "suspend", "alice")
        assert session.getreply()[0] == 421
        daemon.cli("account", "resume", "alice")
        submit(daemon, "alice@example.net", ["bob@example.com"], message("afterwards"))
        wait_for(lambda: [m.header("Subject") for m in receiver.messages if m.sender] == ["afterwards"], what="the message after it")


def case_a_letter_gets_out_whoever_dies():
    """The queue dies as the letter comes, the policy process before it is stored: it is written nevertheless."""
    with office(users=("alice", "bob"), top=POSTMASTER) as (_, daemon, receiver):
        queue = daemon.pids()["queue"][0]
        os.kill(queue, signal.SIGSTOP)
        asked = subprocess.Popen([SANITIZED / "postern", "-f", daemon.file, "account", "suspend", "alice"], stdout=subprocess.DEVNULL)
        wait_for(lambda: daemon.events("suspended"), what="the suspension")
        os.kill(queue, signal.SIGKILL)
        asked.wait(60)
        wait_for(lambda: [m for m in letters(receiver, "postmaster@example.com") if "alice" in m.header("Subject")], what="alice's letter")
        queue = wait_for(lambda: daemon.pids().get("queue"), what="the next queue process")[0]
        os.kill(queue, signal.SIGSTOP)
        asked = subprocess.Popen([SANITIZED / "postern", "-f", daemon.file, "account", "suspend", "bob"], stdout=subprocess.DEVNULL)
        wait_for(lambda: len(daemon.events("suspended")) == 2, what="the other suspension")
        os.kill(daemon.pids()["policy"][0], signal.SIGKILL)
        os.kill(queue, signal.SIGKILL)
        asked.wait(60)
        wait_for(lambda: [m for m in letters(receiver, "postmaster@example.com") if "bob" in m.header("Subject")], what="bob's letter")
        wait_for(lambda: state(daemon, "bob").get("told"), what="its being noted")


def add_users(daemon, names):
    """Accounts with alice's password: checking it costs the same, making it does not."""
    line = next(line for line in daemon.users.read_text().splitlines() if line.startswith("alice:"))
    with open(daemon.users, "a") as users:
        users.writelines(name + line[len("alice"):] + "\n" for name in names)


def world_says(address):
    """A third of the thief's recipients do not exist, a third of the servers call it spam; of the others every second one says later."""
    number = re.match(r"victim(\d+)@", address)
    if not number or int(number[1]) % 6 == 2:
        return None
    if int(number[1]) % 6 == 5:
        return "450 4.2.0 later"
    return "550 5.1.1 no such user here" if int(number[1]) % 3 == 0 else "550 5.7.1 message rejected: this looks like spam"


class Thief:
    """Sends to NUMBERS from 40 addresses, each in a network of its own, whatever it is told."""

    def __init__(self, daemon, count):
        self.daemon, self.left, self.lock = daemon, list(range(count)), threading.Lock()
        self.accepted, self.refused = [], {}

    def take(self):
        with self.lock:
            return self.left.pop() if self.left else None

    def note(self, code, text):
        with self.lock:
            key = f"{code} {text.split()[0]}"
            self.refused[key] = self.refused.get(key, 0) + 1

    def run(self, address):
        session = None
        while (number := self.take()) is not None:
            try:
                if session is None:
                    session = smtplib.SMTP("127.0.0.1", self.daemon.port, timeout=60, source_address=(address, 0))
                    session.starttls(context=CONTEXT)
                    session.ehlo("thief.example")
                    session.login("alice", "secret")
                identity = send(session, "alice@example.net", [f"victim{number}@example.com"], message(f"win {number}", b"Click here.\r\n"))
                with self.lock:
                    self.accepted.append(identity)
                continue
            except smtplib.SMTPRecipientsRefused as error:
                self.note(*[(code, text.decode()) for code, text in error.recipients.values()][0])
                with contextlib.suppress(smtplib.SMTPException):
                    session.rset()
                continue
            except smtplib.SMTPResponseException as error:
                self.note(error.smtp_code, error.smtp_error.decode())
            except (smtplib.SMTPException, OSError):
                self.note(0, "closed")
            if session:
                session.close()
            session = None


def case_a_stolen_password_is_stopped_by_the_defaults():
    """5,000 messages from 40 addresses in 8 networks with one account's password: few leave, the others' mail goes on, the evidence shows it, resume sets it
    right."""
    with office({"rcpt": world_says}, users=("alice",), top=POSTMASTER, default_limits=True, listener="max-connections-per-client = 200",
                auth="lockout-failures = 100000", queue="retry = { 1h }") as (_, daemon, receiver):
        others = [f"user{number}" for number in range(99)]
        add_users(daemon, others)
        daemon.cli("reload")
        known = submit(daemon, "alice@example.net", ["friend@example.com"], message("before"))
        wait_for(lambda: any(m.recipients == ["friend@example.com"] for m in receiver.messages), what=known)
        thief, begun = Thief(daemon, 5000), time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(44) as pool:
            attack = [pool.submit(thief.run, f"127.0.{100 + number % 8}.{1 + number}") for number in range(40)]
            honest = [pool.submit(submit, daemon, f"{name}@example.net", [f"{name}@example.com"], message(f"from {name}", sender=f"{name}@example.net"), user=name)
                      for name in others]
            wait_for(lambda: daemon.events("suspended"), seconds=60, what="the suspension")
            after = time.monotonic() - begun
            assert all(f.result(timeout=120) for f in honest), "the others were refused"
            for f in attack:
                f.result(timeout=120)
        wait_for(lambda: len([m for m in receiver.messages if m.header("Subject").startswith("from ")]) == 99, what="the others' mail")
        left = [m for m in receiver.messages if m.header("Subject").startswith("win ")]
        wait_for(lambda: all(e["state"] == "held" for e in daemon.cli("queue", "list", "--account", "alice", json_output=True)), what="its queue's being held")
        delivered = daemon.events("delivered")
        print(f"note of 5,000 messages {len(thief.accepted)} were accepted and {len(left)} were delivered; suspended after {after:.1f} s "
              f"by {daemon.events('suspended')[0]['by']}; refused: {thief.refused}")
        assert len(thief.accepted) <= 250 and len(left) < 100, (len(thief.accepted), len(left))
        assert all(float(e["delay"]) < 30 for e in delivered if e["to"].startswith("user")), "the others' mail was late"
        assert login_refusal(daemon, "alice", "secret")[0] == 525

        shown = state(daemon)
        assert shown["state"] == "suspended" and shown["strikes"] and shown["reason"], shown
        assert len(shown["networks"]) == 9 and sum(hour["recipients"] for hour in shown["curve"]) >= len(left), shown
        assert {signal["kind"] for signal in shown["signals"]} == {"hard-bounces", "spam-replies"} and shown["samples"], shown["signals"]
        letter = wait_for(lambda: letters(receiver, "postmaster@example.com"), what="the letter")[0]
        assert b"Strikes:" in letter.body and b"127.0." in letter.body

        # Another password; what is the thief's goes, but for one that is let go by hand; the account comes back.
        held = [e["id"] for e in daemon.cli("queue", "list", "--account", "alice", json_output=True)]
        assert held and shown["held"] == len(held), (shown["held"], held)
        def attempts():
            return len([e for name in ("deferred", "delivered", "bounced") for e in daemon.events(name) if e["id"] == held[0]])
        before = attempts()
        daemon.cli("queue", "release", held[0])
        wait_for(lambda: attempts() > before, what="an attempt at what was released")
        daemon.cli("queue", "remove", "--account", "alice")
        assert daemon.cli("queue", "list", "--account", "alice", json_output=True) == []
        daemon.cli("user", "passwd", "alice", input="another\n")
        daemon.cli("account", "resume", "alice")
        wait_for(lambda: login_refusal(daemon, "alice", "another") is None, what="the new password")
        assert login_refusal(daemon, "alice", "secret")[0] == 535
        submit(daemon, "alice@example.net", ["friend@example.com"], message("again"), password="another")
        wait_for(lambda: [m for m in receiver.messages if m.header("Subject") == "again"], what="mail after the resumption")
        assert state(daemon)["weight"] == 0


def case_logins_from_many_networks_suspend():
    """The same from 40 networks: the logins alone give it away, before much is sent."""
    with office({"rcpt": world_says}, users=("alice",), top=POSTMASTER, default_limits=True, listener="max-connections-per-client = 200") as (_, daemon, receiver):
        thief = Thief(daemon, 500)
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            list(pool.map(lambda number: thief.run(f"127.0.{number}.1"), range(100, 140)))
        event = wait_for(lambda: daemon.events("suspended"), what="the suspension")[0]
        assert event["by"] == "limit networks" and len(thief.accepted) < 100, (event, len(thief.accepted))
        assert [strike["weight"] for strike in state(daemon)["strikes"]] == [50, 50] and len(state(daemon)["networks"]) >= 22
        letter = wait_for(lambda: letters(receiver, "postmaster@example.com"), what="the letter")[0]
        assert b"127.0.1" in letter.body


def case_bad_replies_alone_suspend():
    """One address, one session, a list of bad addresses: bounces and spam replies suspend, with what came back and what was sent as evidence."""
    with office({"rcpt": world_says}, users=("alice",), top=POSTMASTER, default_limits=True) as (_, daemon, receiver):
        with contextlib.suppress(smtplib.SMTPException):
            session = connect(daemon)
            for number in range(400):
                send(session, "alice@example.net", [f"victim{number}@example.com"], message(f"win {number}"))
                if number % 20 == 19:
                    sent = number + 1
                    wait_for(lambda: len(daemon.events("bounced")) + len(daemon.events("delivered")) >= sent * 0.9 or daemon.events("suspended"))
        event = wait_for(lambda: daemon.events("suspended"), what="the suspension")[0]
        assert event["by"] in ("limit bounces", "limit spam"), event
        shown = state(daemon)
        assert shown["signals"] and shown["samples"] and shown["samples"][-1]["subject"].startswith("win "), shown
        assert {s["kind"] for s in shown["signals"]} == {"hard-bounces", "spam-replies"} and all(s["text"].startswith("550 5.") for s in shown["signals"]), shown["signals"]
        accepted = [e for e in daemon.events("accepted") if e["account"] == "alice"]
        assert 50 <= len(accepted) < 160, len(accepted)
        wait_for(lambda: letters(receiver, "postmaster@example.com"), what="the letter")


def case_nobody_is_suspended_by_mistake():
    """A newsletter of 10,000 by an account of class bulk, a user with 1 bounce of 3, a team behind one address, a traveller: no false alarm."""
    def says(address):
        return "550 5.1.1 no such user here" if address.startswith("gone") else None
    with office({"rcpt": says}, users=("alice",), top=POSTMASTER, default_limits=True, listener="max-connections-per-client = 200",
                sections='account "newsletter" { class = bulk }\n') as (_, daemon, receiver):
        team = [f"member{number}" for number in range(30)]
        add_users(daemon, team + ["newsletter", "traveller"])
        daemon.cli("reload")
        readers = [f"gone{n}@example.com" if n % 33 == 0 else f"reader{n}@example.com" for n in range(10000)]
        random.Random(1).shuffle(readers)
        session = connect(daemon, user="newsletter")
        for at in range(0, 10000, 100):
            send(session, "news@example.net", readers[at:at + 100], message(f"news {at}", sender="news@example.net"))
        for to in ("bob@example.com", "gone1@example.com", "carol@example.com"):
            submit(daemon, "alice@example.net", [to], message("to " + to))
        def work(name):
            session = connect(daemon, user=name)
            for number in range(20):
                send(session, f"{name}@example.net", [f"customer{number}of{name}@example.com"], message(f"{name} {number}", sender=f"{name}@example.net"))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(work, team))
        for number in range(5):
            outside = smtplib.SMTP("127.0.0.1", daemon.port, timeout=60, source_address=(f"127.0.{200 + number}.1", 0))
            outside.starttls(context=CONTEXT)
            outside.ehlo("phone.example")
            outside.login("traveller", "secret")
            send(outside, "traveller@example.net", ["home@example.com"], message(f"from {number}", sender="traveller@example.net"))
            outside.close()
        wait_for(lambda: len([e for e in daemon.events("bounced") if e["to"].startswith("gone")]) == 304 + 1, seconds=120, what="all that bounces")
        wait_for(lambda: sum(len(m.recipients) for m in receiver.messages if m.sender) >= 10000 - 304 + 2 + 600 + 5, seconds=120, what="all that is delivered")
        assert daemon.events("suspended") == [] and daemon.cli("status", json_output=True)["accounts"] == []
        assert [e for e in daemon.events("throttled") if e.get("mode") != "observe"] == []
        assert all(row["state"] == "active" and row["weight"] == 0 for row in daemon.cli("account", "list", json_output=True))
        assert letters(receiver, "postmaster@example.com") == []


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
