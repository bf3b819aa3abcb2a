"""Hosts of a site of which some are dead, swallow what is sent to them, or refuse one family: mail goes by the others."""
import contextlib
import socket
import sys
import time

from case import main
from receiver import Deaf, Deed, Receiver
from submit import message, submit
from world import World, wait_for

HOUR = "retry = { 1h }"  # what fails once does not come again within a case


class Deaf6(Deaf):
    """As Deaf, over IPv6."""
    family = socket.AF_INET6


@contextlib.contextmanager
def site(hosts, receivers, deaf=(), **options):
    """(daemon, {address: receiver}): far.test with HOSTS [(preference, [addresses])], where RECEIVERS {address: answers} listen and nobody
    gets through to those in DEAF."""
    records = []
    for i, (preference, addresses) in enumerate(hosts):
        records.append(f"far.test. 300 IN MX {preference} mx{i}.far.test.")
        records += [f"mx{i}.far.test. 300 IN {'AAAA' if ':' in a else 'A'} {a}" for a in addresses]
    with World(records) as world:
        found = {address: world.add(Receiver(address, world.delivery_port, answers)) for address, answers in receivers.items()}
        for address in deaf:
            world.add((Deaf6 if ":" in address else Deaf)(address, world.delivery_port))
        daemon = world.posternd(queue=HOUR, top="processes = 1", listener="check-recipient-domain = no", **options)
        daemon.user("alice", "secret")
        daemon.start()
        yield daemon, found


def deliver(daemon, count, word=""):
    """COUNT messages, all of which are delivered; the events."""
    before = len(daemon.events("delivered"))
    for i in range(count):
        submit(daemon, "alice@example.net", ["bob@far.test"], message(f"{word}{i}"))
    return wait_for(lambda: len(daemon.events("delivered")) == before + count and daemon.events("delivered")[before:], what="delivery")


def case_half_the_hosts_are_dead():
    """Four hosts of one preference and a worse one: two refuse, one swallows; nothing is deferred, and the worse one is not used."""
    hosts = [(10, ["127.0.5.1"]), (10, ["127.0.5.2"]), (10, ["127.0.5.3"]), (10, ["127.0.5.4"]), (20, ["127.0.5.5"])]
    with site(hosts, {"127.0.5.4": {}, "127.0.5.5": {}}, ("127.0.5.3",), delivery="connect-timeout = 1s messages-per-connection = 1") as (daemon, receivers):
        deliver(daemon, 12)
        assert not daemon.events("deferred") and not daemon.events("site-backoff"), daemon.events("deferred")
        assert len(receivers["127.0.5.4"].messages) == 12 and not receivers["127.0.5.5"].messages


def case_an_ipv6_black_hole_costs_no_timeout():
    """IPv6 lets nobody in and says nothing: IPv4 of the same host delivers, long before the connection's timeout."""
    with site([(10, ["::1", "127.0.5.1"])], {"127.0.5.1": {}}, ("::1",), delivery="connect-timeout = 10min") as (daemon, receivers):
        events = deliver(daemon, 3)
        assert all("[127.0.5.1]" in event["mx"] for event in events), events


def case_ipv6_is_used_where_it_works():
    with site([(10, ["::1", "127.0.5.1"])], {"::1": {}, "127.0.5.1": {}}) as (daemon, receivers):
        events = deliver(daemon, 3)
        assert all("[::1]" in event["mx"] for event in events) and not receivers["127.0.5.1"].connections, events


def case_a_server_that_greets_late_is_not_raced():
    """It has let us in, and makes its clients wait for its greeting as spam traps do: the other family is not tried beside it."""
    with site([(10, ["::1", "127.0.5.1"])], {"::1": {"banner": lambda _: time.sleep(1)}, "127.0.5.1": {}}) as (daemon, receivers):
        events = deliver(daemon, 1)
        assert "[::1]" in events[0]["mx"] and receivers["::1"].connections == 1 and not receivers["127.0.5.1"].connections, events


def case_a_refusal_for_a_missing_name_is_tried_over_ipv4():
    """Gmail's words for an IPv6 address without PTR, after the whole message: it goes over IPv4, and the next ones do at once."""
    no = ("550-5.7.1 [::1] Our system has detected that this message does not meet IPv6 sending\r\n"
          "550 5.7.1 guidelines regarding PTR records and authentication.")
    with site([(10, ["::1", "127.0.5.1"])], {"::1": {"dot": no}, "127.0.5.1": {}}, delivery="messages-per-connection = 1") as (daemon, receivers):
        deliver(daemon, 1, "first")
        events = deliver(daemon, 3, "then")
        assert all("[127.0.5.1]" in event["mx"] for event in events), events
        asked = [command for command in receivers["::1"].commands if command.startswith("MAIL")]
        assert len(asked) == 1 and len(receivers["127.0.5.1"].messages) == 4, asked
        assert not daemon.events("bounced") and not daemon.events("deferred")


def case_a_refusal_over_both_families_is_final():
    no = "550 5.7.25 The IP address sending this message does not have a PTR record setup"
    with site([(10, ["::1", "127.0.5.1"])], {"::1": {"rcpt": no}, "127.0.5.1": {"rcpt": no}}) as (daemon, receivers):
        submit(daemon, "alice@example.net", ["bob@far.test"], message())
        bounced = wait_for(lambda: daemon.events("bounced"), what="the bounce")[0]
        assert bounced["status"] == "5.7.25" and "[127.0.5.1]" in bounced["mx"], bounced
        assert receivers["::1"].connections == 1 and receivers["127.0.5.1"].connections == 1


def case_limits_that_a_server_names_are_obeyed():
    """LIMITS RCPTMAX=20 MAILMAX=2 (RFC 9422), enforced with 421: a message to 100 recipients goes in five transactions over three connections,
    and nobody is put off."""
    counts = {"rcpt": 0, "mail": 0}

    class Strict(Receiver):
        def answer(self, stage, argument, usual):
            if stage == "mail":
                counts["rcpt"] = 0
            counts["mail"] = 0 if stage == "banner" else counts["mail"] + (stage == "mail")
            counts["rcpt"] += stage == "rcpt"
            return "421 4.5.3 I said so" if counts["rcpt"] > 20 or counts["mail"] > 2 else usual
    with site([(10, ["127.0.5.1"])], {}, delivery="connections-per-site = 1") as (daemon, receivers):
        port = next(int(line.split("port = ")[1].split()[0]) for line in daemon.text.splitlines() if line.startswith("delivery"))
        strict = Strict("127.0.5.1", port, extensions=("PIPELINING", "LIMITS RCPTMAX=20 MAILMAX=2"))
        try:
            submit(daemon, "alice@example.net", [f"r{i}@far.test" for i in range(100)], message())
            wait_for(lambda: len(daemon.events("delivered")) == 100, what="delivery to all")
            assert [len(m.recipients) for m in strict.messages] == [20] * 5 and strict.connections >= 3, strict.connections
            assert len({m.data for m in strict.messages}) == 1 and not daemon.events("deferred")
            assert {e["attempt"] for e in daemon.events("delivered")} == {"1"}
        finally:
            strict.close()


SOURCES = """
source "staff" {{ addresses = {{ "127.0.7.1" }} helo = "staff.example.net" }}
source "bulk1" {{ pool = bulk addresses = {{ "127.0.7.2" }} helo = "b1.example.net" accounts = {{ "class:bulk" }} }}
source "bulk2" {{ pool = bulk addresses = {{ "203.0.113.99" }} helo = "b2.example.net" weight = 1000 }}
source "reports" {{ addresses = {{ "127.0.7.4" }} helo = "reports.example.net" }}
account "carol" {{ class = bulk }}
route "partner.test" {{ via = "127.0.5.1:{port}" source = staff }}
"""


def case_mail_leaves_from_its_pool_of_sources():
    """By class, by route, and reports; each greets by its name. An address that cannot be bound to rests while the other of its pool serves."""
    with World(["far.test. 300 IN MX 10 mx.far.test.", "mx.far.test. 300 IN A 127.0.5.1"]) as world:
        receiver = world.add(Receiver("127.0.5.1", world.delivery_port, {("rcpt", "dead@far.test"): "550 5.1.1 no"}))
        daemon = world.posternd(queue=HOUR, top="processes = 1", listener="check-recipient-domain = no", sections=SOURCES.format(port=world.delivery_port),
                                delivery='source = { "127.0.7.9" } bounce-source = reports')
        for account in ("alice", "carol"):
            daemon.user(account, "secret")
        daemon.start()

        def arrives(account, recipient, peer, helo):
            count = len(receiver.messages)
            submit(daemon, f"{account}@far.test", [recipient], message(f"{account} {recipient}"), user=account)
            wait_for(lambda: len(receiver.messages) > count, what=f"mail of {account} to {recipient}")
            got = receiver.messages[count]
            assert (got.peer, got.helo) == (peer, helo), (got.peer, got.helo)
        arrives("alice", "bob@far.test", "127.0.7.9", "relay.example.net")
        arrives("carol", "bob@far.test", "127.0.7.2", "b1.example.net")
        arrives("alice", "bob@far.test", "127.0.7.9", "relay.example.net")  # not over a connection that is kept for another pool
        arrives("carol", "bob@partner.test", "127.0.7.1", "staff.example.net")
        arrives("carol", "dead@far.test", "127.0.7.4", "reports.example.net")
        assert [e for e in daemon.events("error") if "203.0.113.99 is not used" in e["text"]], daemon.events("error")
        assert not daemon.events("deferred") and not [e for e in daemon.events("site-backoff")]
        assert {s["source"] for s in daemon.cli("status", json_output=True)["sites"]} >= {"", "bulk", "staff"}


def case_a_source_that_is_on_a_list_rests_where_it_is():
    """A host greets one of our addresses with a refusal by its blocklist: the other one serves at once; elsewhere both go on."""
    def greet(session):
        listed = session.sock.getpeername()[0] == "127.0.7.1"
        session.sock.sendall(b"554 5.7.1 blocked using bl.example\r\n" if listed else b"220 welcome\r\n")
        return not listed
    with site([(10, ["127.0.5.1"])], {"127.0.5.1": {"banner": Deed(greet)}}, delivery='messages-per-connection = 1 bounce-source = ours',
              sections='source "ours" { addresses = { "127.0.7.1", "127.0.7.2" } accounts = { "alice" } }\n') as (daemon, receivers):
        deliver(daemon, 10)
        assert {m.peer for m in receivers["127.0.5.1"].messages} == {"127.0.7.2"} and not daemon.events("deferred")


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
