"""How mail is spread: a site gets what it takes and no more, senders get equal parts of it, and a site in trouble takes nothing from others.

The cases are small. tests/bench/sites has the same scenes in full, with figures."""
import smtplib
import sys
import threading
import time

from case import main
from crowd import Crowd
from receiver import Receiver, hang
from submit import connect, message, send
from world import World, wait_for

RECORDS = [f"{name}.test. 300 IN MX 10 mx.{name}.test." for name in ("one", "two", "three", "four", "five")] + \
    [f"mx.{name}.test. 300 IN A 127.0.3.{number}" for number, name in enumerate(("one", "two", "three", "four", "five"), 1)] + \
    ["half.test. 300 IN MX 10 mx1.half.test.", "half.test. 300 IN MX 10 mx2.half.test.", "mx1.half.test. 300 IN A 127.0.3.11", "mx2.half.test. 300 IN A 127.0.3.12"]
NAMES = {"one": "127.0.3.1", "two": "127.0.3.2", "three": "127.0.3.3", "four": "127.0.3.4", "five": "127.0.3.5"}


def small_world(release=False, **options):
    world = World(RECORDS)
    options.setdefault("queue", "retry = { 1h }")
    options.setdefault("top", "processes = 1")
    daemon = world.posternd(release=release, **options)
    daemon.start()
    return world, daemon


def crowd(world, name, **limits):
    return world.add(Crowd(NAMES.get(name, name), world.delivery_port, **limits))


def put(daemon, to, count, subject="test", source=None):
    """COUNT messages for TO over one connection, from the client address SOURCE, which is their sender's as far as fairness goes."""
    session = connect_from(daemon, source) if source else connect(daemon, open_listener=True)
    data = message(subject, sender="alice@home.test")
    for _ in range(count):
        send(session, "alice@home.test", [to], data)
    session.quit()


def connect_from(daemon, source):
    session = smtplib.SMTP("127.0.0.1", daemon.open_port, timeout=60, source_address=(source, 0))
    session.ehlo("client.example.net")
    return session


def share_and_refusals(receiver, begin, end):
    """(messages a second, refusals in percent) between two moments."""
    taken = sum(begin <= moment < end for moment, *_ in receiver.taken)
    refused = sum(begin <= moment < end for moment, _ in receiver.refused)
    return taken / (end - begin), 100 * refused / max(1, taken + refused)


def find_allowance(seconds, found, release=False):
    """Serves a site of 5 connections and 10 messages a second for SECONDS. (rate, refusals in percent, from FOUND on; receiver, daemon's site)."""
    world, daemon = small_world(release)
    with world:
        receiver = crowd(world, "one", connections=5, most=10, latency=0.02)
        feeder = threading.Thread(target=put_many, args=(daemon, "bob@one.test", 12 * seconds, "127.7.0.1"), daemon=True)
        feeder.start()
        wait_for(lambda: receiver.refused, what="a refusal")
        begin = receiver.taken[0][0]
        wait_for(lambda: time.monotonic() >= begin + seconds, seconds + 10)
        feeder.join(60)
        site = daemon.cli("status", json_output=True)["sites"][0]
        trace = daemon.cli("trace", "bob@one.test", json_output=True)
        rate, refused = share_and_refusals(receiver, begin + found, begin + seconds)
        assert not daemon.events("site-backoff"), daemon.events("site-backoff")
        return rate, refused, receiver, site, trace, daemon.events("site-slowed")


def case_a_rate_is_found_and_kept():
    """5 connections and 10 messages a second are allowed: the rate is found, status, trace and log tell which reply did it."""
    rate, refused, receiver, site, trace, slowed = find_allowance(12, 7)
    print(f"note of 10 a second {rate:.1f} were used from the 7th to the 12th second, {refused:.1f} % refused")
    assert len(receiver.refused) < 60, receiver.refused
    assert site["state"] == "slowed" and site["row"] in ("rate", "too-many-connections") and 1 < site["rate"] < 20 and site["reply"].startswith("421 "), site
    assert trace["state"] == "slowed" and trace["row"] == site["row"], trace
    assert {event["about"] for event in slowed} >= {"rate"} and all("421 4.7.0" in event["reply"] for event in slowed), slowed


def case_a_connection_limit_is_found_and_kept():
    """A receiver that takes 3 connections gets 3, and what it takes goes through them."""
    world, daemon = small_world()
    with world:
        receiver = crowd(world, "one", connections=3, latency=0.03)
        put(daemon, "bob@one.test", 150)
        wait_for(lambda: len(receiver.taken) == 150, 60, "all mail")
        assert len(receiver.refused) <= 10, receiver.refused
        site = daemon.cli("status", json_output=True)["sites"][0]
        assert site["limit"] == 3 and site["row"] == "too-many-connections", site
        assert not daemon.events("deferred") and not daemon.events("site-backoff")


def quiet_behind_loud(loud, release=False):
    """Seconds that B's one message takes, with LOUD of A's before it, to a site of 20 connections with 50 ms latency; and how many waited."""
    world, daemon = small_world(release)
    with world:
        receiver = crowd(world, "one", latency=0.05, gated=True)
        put_many(daemon, "bob@one.test", loud, "127.7.0.1")
        wait_for(lambda: receiver.open, what="a connection")
        receiver.release()
        wait_for(lambda: receiver.open == 20 or len(receiver.taken) == loud, 60, "20 connections")
        waiting = loud - len(receiver.taken)
        put(daemon, "bob@one.test", 1, "quiet", "127.7.0.2")
        begun = time.monotonic()
        wait_for(lambda: any(subject == "quiet" for *_, subject in receiver.taken), 60, "the quiet one's message")
        arrived = next(moment for moment, _, subject in receiver.taken if subject == "quiet")
        return arrived - begun, waiting


def put_many(daemon, to, count, source):
    """COUNT messages from SOURCE over connections of at most 900 each."""
    while count > 0:
        put(daemon, to, min(count, 900), "loud", source)
        count -= 900


def case_a_quiet_sender_is_not_behind_a_loud_one():
    """One message of B behind some hundred of A goes next."""
    seconds, waiting = quiet_behind_loud(600)
    print(f"note {waiting} of the loud one's messages waited; the quiet one's took {1000 * seconds:.0f} ms")
    assert waiting > 100, waiting
    # by turns, not by time: what was taken before it after it came is a few rounds of the connections


def shares(senders, least, release=False):
    """How many messages each of SENDERS got through while all had something to send: the smallest and the largest, and what is equal. The I-th
    has LEAST + I * LEAST / 10 messages."""
    world, daemon = small_world(release)
    with world:
        receiver = crowd(world, "one", latency=0.005, gated=True)
        for i in range(senders):
            put(daemon, "bob@one.test", least + i * least // 10, f"from {i}", f"127.7.1.{i + 1}")
        wait_for(lambda: receiver.open, what="a connection")
        receiver.release()
        wait_for(lambda: len(receiver.taken) >= senders * least * 9 // 10, 120, "nine tenths of the smallest one's")
        first = [subject for *_, subject in receiver.taken[:senders * least * 9 // 10]]
        counts = [first.count(f"from {i}") for i in range(senders)]
        return min(counts), max(counts), len(first) / senders


def case_senders_get_equal_parts():
    """Ten senders with unequal loads get equal parts while each has something to send."""
    low, high, equal = shares(10, 20)
    print(f"note an equal part was {equal:.1f} messages; senders got {low} to {high}")
    assert low >= equal - 2 and high <= equal + 2, (low, high, equal)


def trouble(world):
    """Sites that misbehave: their receivers, by domain."""
    storm = crowd(world, "two", refusal="421 4.3.2 Service not available")
    slow = crowd(world, "three", latency=5.0)
    world.add(Receiver(NAMES["four"], world.delivery_port, {"banner": hang()}))
    return {"two.test": storm, "three.test": slow, "four.test": None, "half.test": crowd(world, "127.0.3.11"), "five.test": None}


def others(count, each, troubled, release=False):
    """Messages a second to the site one, of COUNT that are all queued before, while sites are TROUBLED, with EACH messages, or not."""
    world, daemon = small_world(release)
    with world:
        receiver = crowd(world, "one", latency=0.05, gated=True)
        domains = trouble(world) if troubled else {}
        put_many(daemon, "bob@one.test", count, "127.7.0.1")
        for i, domain in enumerate(domains):
            put(daemon, f"bob@{domain}", each, "trouble", f"127.7.2.{i + 1}")
        receiver.release()
        wait_for(lambda: len(receiver.taken) == count, 120, "all mail for the site that is well")
        moments = [moment for moment, *_ in receiver.taken]
        begin, end = count // 10, count * 9 // 10
        return (end - begin) / (moments[end] - moments[begin])


def case_sites_in_trouble_take_nothing_from_others():
    """With 421 storms, tarpits of 5 s a reply, a silent host, a dead one and a site half of whose hosts are dead, others' mail flows."""
    rate = others(300, 40, True)
    print(f"note {rate:.0f} messages a second to the site that is well")


def case_a_site_is_held_released_and_retried():
    """After an outage an administrator says that a site is there again; what is held for it stays, and goes when it is released."""
    world, daemon = small_world()
    with world:
        put(daemon, "bob@five.test", 2, "held")
        wait_for(lambda: daemon.events("site-backoff"), what="the site's rest")
        assert daemon.cli("queue", "hold", "--site", "mx.five.test", json_output=True)["changed"] == 2
        put(daemon, "bob@five.test", 2, "free")
        wait_for(lambda: daemon.cli("status", json_output=True)["queue"]["scheduled"] == 2)
        five, one = crowd(world, "five"), crowd(world, "one")
        put(daemon, "bob@one.test", 1)
        wait_for(lambda: one.taken, what="the mail for another site")
        assert daemon.cli("queue", "retry", "--site", "mx.five.test", json_output=True)["changed"] >= 2
        wait_for(lambda: len(five.taken) == 2, what="the mail that is not held")
        assert [subject for *_, subject in five.taken] == ["free", "free"], five.taken
        wait_for(lambda: daemon.events("site-recovered"))
        assert daemon.cli("queue", "release", "--site", "mx.five.test", json_output=True)["changed"] == 2
        wait_for(lambda: len(five.taken) == 4, what="the mail that was held")


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
