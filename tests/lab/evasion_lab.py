"""Going around limits and guessing: many accounts, many addresses, drips, bursts, retries, and what a guesser learns."""
import concurrent.futures
import smtplib
import socket
import statistics
import sys
import time

from case import main
from operation_lab import HOME, from_address, office, proxied, refusal
from preload import Clock
from submit import CONTEXT, connect, message, send
from suspension_lab import add_users
from world import World, free_port, wait_for


def logged_in(daemon, user="alice", password="secret", address="127.0.0.1"):
    session = smtplib.SMTP("127.0.0.1", daemon.port, timeout=60, source_address=(address, 0))
    session.starttls(context=CONTEXT)
    session.ehlo("client.example.net")
    session.login(user, password)
    return session


def count_accepted(sessions):
    """How many of one message for each of SESSIONS (functions that make one, and a sender) are taken."""
    def one(make):
        session, sender = make()
        try:
            return refusal(send, session, sender, [f"r{id(make)}@example.com"], message(sender=sender)) is None
        finally:
            session.close()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        return sum(pool.map(one, sessions))


def case_many_accounts_and_many_addresses():
    """100 accounts at one address, an account at 200 addresses, an IPv6 /64 that is walked through: account, client and network limits each see it."""
    port = free_port()
    sections = (f'listener balanced {{ address = {{ "127.0.0.1:{port}" }} tls = none auth = none networks = {{ "2001:db8::/32" }} '
                'proxy-protocol = yes proxies = { "127.0.0.1" } }\n'
                'limit clients { key = client rate = "20/1h" except = { "2001:db8::/32" } apply-to = { "127.0.10.0/24" } }\n'
                'limit prefixes { key = client rate = "10/1h" apply-to = { "2001:db8::/32" } }\n'
                'limit blocks { key = network rate = "25/1h" apply-to = { "2001:db8::/32" } }\n'
                'limit accounts { key = account rate = "30/1h" apply-to = { "alice" } }\n')
    with office(users=("alice",), sections=sections, listener="max-connections-per-client = 300") as (_, daemon, _receiver):
        names = [f"user{number}" for number in range(100)]
        add_users(daemon, names)
        daemon.cli("reload")
        accepted = count_accepted([lambda name=name: (logged_in(daemon, name, address="127.0.10.1"), f"{name}@example.net") for name in names])
        assert accepted == 20, accepted
        accepted = count_accepted([lambda last=last: (logged_in(daemon, address=f"127.0.{20 + last % 7}.{1 + last}"), "alice@example.net") for last in range(200)])
        assert accepted == 30, accepted

        def v6(address):
            return proxied(port, f"PROXY TCP6 {address} 2001:db8::1 40000 25\r\n".encode()), "p@example.net"
        accepted = count_accepted([lambda last=last: v6(f"2001:db8:1:2:{last:x}::{last:x}") for last in range(1, 60)])
        assert accepted == 10, accepted
        accepted = count_accepted([lambda last=last: v6(f"2001:db8:1:{last:x}::1") for last in range(0x100, 0x140)])
        assert accepted == 15, "the /48 has 25 in all, of which 10 were used by the /64"
        used = {(row["limit"], row["value"]): row["used"] for row in daemon.cli("limits", json_output=True)}
        assert used[("prefixes", "2001:db8:1:2::/64")] == 10 and used[("blocks", "2001:db8:1::/48")] == 25, used


def case_bursts_are_exact_and_nothing_goes_round():
    """203 at once of a burst of 20; a period below a second; refused recipients, RSET, a broken connection and a second login do not give back."""
    sections = ('limit burst { rate = "20/1h" apply-to = { "alice" } }\nlimit short { count = messages rate = "1000/100ms" burst = 3 apply-to = { "bob" } }\n'
                'limit tries { rate = "6/1h" then = reject apply-to = { "carol" } }\n')
    with office(users=("alice", "bob", "carol"), sections=sections, listener="max-connections-per-client = 300") as (_, daemon, _receiver):
        accepted = count_accepted([lambda: (logged_in(daemon), "alice@example.net") for _ in range(203)])
        assert accepted == 20, accepted
        session = logged_in(daemon, "bob")
        wait_for(lambda: [refusal(send, session, "bob@example.net", ["x@example.com"], message(sender="bob@example.net")) for _ in range(5)] == [None] * 5,
                 what="a burst of five though three fit at once: it is regained within milliseconds")
        for how in ("rset", "close", "quit", "again"):
            session = logged_in(daemon, "carol")
            session.mail("carol@example.net")
            code, _ = session.rcpt(f"{how}@example.com")
            assert code == 250, how
            if how == "rset":
                session.rset()
            session.quit() if how == "quit" else session.close()
        session = logged_in(daemon, "carol")
        session.mail("carol@example.net")
        codes = [session.rcpt(f"u{n}@example.com")[0] for n in range(6)]
        assert codes == [250, 250, 550, 550, 550, 550], codes
        session.close()


def case_a_drip_meets_the_long_window():
    """Below the hour's limit all day long: the day's limit holds, over restarts too, whose counts come from the disk."""
    sections = 'limit hour { rate = "5/1h" }\nlimit day { rate = "12/1d" }\n'
    with World(World.RECORDS + HOME) as world:
        clock = Clock(world.folder)
        daemon = world.posternd(sections=sections, queue="retry = { 1h }", prefix=clock.prefix, release=True)
        daemon.user("alice", "secret")
        taken = []
        for hour in range(4):
            clock.shift(3600 * hour)
            daemon.start()
            session = logged_in(daemon)
            taken.append([refusal(send, session, "alice@example.net", [f"h{hour}n{n}@dead.example"], message()) for n in range(6)].count(None))
            session.close()
            assert daemon.stop() == 0
        assert taken[:2] == [5, 5] and taken[2] in (2, 3) and taken[3] <= 1, taken  # a day's limit regains one each two hours


def reply_to_login(daemon, user, password, address="127.0.0.1"):
    session = smtplib.SMTP("127.0.0.1", daemon.port, timeout=60, source_address=(address, 0))
    session.starttls(context=CONTEXT)
    session.ehlo("client.example.net")
    begun = time.perf_counter()
    try:
        code, text = session.docmd("AUTH", "PLAIN " + __import__("base64").b64encode(f"\0{user}\0{password}".encode()).decode())
    finally:
        session.close()
    return code, text, time.perf_counter() - begun


def case_a_guesser_learns_nothing():
    """Unknown account, wrong password, and wrong password of a suspended account: the same code and text; 525 is for the right password alone."""
    with office(users=("alice", "bob"), auth="lockout-failures = 1000 max-failures = 100 cache-time = 0s") as (_, daemon, _receiver):
        daemon.cli("account", "suspend", "bob")
        answers, times = {}, {}
        def guess(place):
            user = ("nobody", "alice", "bob")[place % 3]
            return user, reply_to_login(daemon, user, "wrong", f"127.0.70.{place + 1}")
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for user, (code, text, took) in pool.map(guess, range(9)):
                answers.setdefault((code, text), set()).add(user)
                times.setdefault(user, []).append(took)
        assert list(answers.values()) == [{"nobody", "alice", "bob"}], answers
        print("note a wrong password is answered after (median): " + ", ".join(f"{user} {statistics.median(took) * 1000:.0f} ms" for user, took in times.items()))
        code, text, _ = reply_to_login(daemon, "bob", "secret")
        assert code == 525 and text.startswith(b"5.7.13 account bob is suspended"), (code, text)
        assert reply_to_login(daemon, "alice", "secret")[0] == 235
        shown = daemon.cli("account", "show", "bob", json_output=True)
        assert [network["network"] for network in shown["networks"]] == [], "nobody logged in"


def case_guesses_are_counted_in_one_place():
    """Guesses at one account from many addresses, whichever process they reach: the limit is reached, right and wrong are answered alike, but who was
    there before is let in; the other accounts are untouched."""
    with office(users=("alice", "bob"), auth="lockout-failures = 1000 max-failures = 100 processes = 2 cache-time = 0s",
                sections='limit guesses { count = auth-failures rate = "4/1h" }\nlimit addresses { key = client count = auth-failures rate = "2/1h" then = reject }\n',
                listener="max-connections-per-client = 300") as (_, daemon, _receiver):
        assert reply_to_login(daemon, "alice", "secret", "127.0.40.1")[0] == 235
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            codes = [answer[0] for answer in pool.map(lambda n: reply_to_login(daemon, "alice", f"guess{n}", f"127.0.{50 + n}.1"), range(10))]
        assert codes.count(535) == 4 and codes.count(421) == 6, codes
        right, wrong = reply_to_login(daemon, "alice", "secret", "127.0.90.1"), reply_to_login(daemon, "alice", "wrong", "127.0.90.1")
        assert right[:2] == wrong[:2] and right[0] == 421 and b"limit guesses of account alice is used up" in right[1], (right, wrong)
        assert reply_to_login(daemon, "alice", "secret", "127.0.40.1")[0] == 235, "its own place"
        assert reply_to_login(daemon, "bob", "secret", "127.0.90.1")[0] == 235
        codes = [reply_to_login(daemon, f"made-up{n}", "x", "127.0.91.1")[0] for n in range(3)] + [reply_to_login(daemon, "bob", "secret", "127.0.91.1")[0]]
        assert codes == [535] * 2 + [421] * 2, codes
        assert daemon.cli("account", "list", json_output=True) == [], "names that somebody makes up leave no records"


def case_connections_are_limited_before_a_word_is_said():
    """A limit of connections: 421 in place of the greeting, under TLS from the start the end; others come in."""
    sections = 'limit rush { key = client count = connections rate = "5/1h" apply-to = { "127.0.60.0/24" } }\n'
    with office(sections=sections) as (_, daemon, _receiver):
        def greeting(address, port):
            with socket.create_connection(("127.0.0.1", port), 60, source_address=(address, 0)) as sock:
                return sock.recv(200)
        assert [greeting("127.0.60.1", daemon.port)[:3] for _ in range(7)] == [b"220"] * 5 + [b"421"] * 2
        answer = greeting("127.0.60.1", daemon.port)
        assert answer.startswith(b"421 4.7.0 limit rush of client 127.0.60.1 is used up: 5 connections in 1h; more from "), answer
        assert greeting("127.0.60.1", daemon.tls_port) == b"" and greeting("127.0.60.2", daemon.port)[:3] == b"220"
        from_address("127.0.61.1", daemon.open_port).close()
        connect(daemon).close()


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
