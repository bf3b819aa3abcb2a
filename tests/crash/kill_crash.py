"""Kills (SIGKILL) of the running roles, one or all, at each call of a message's way and at any time under load. What got a 250 arrives unchanged; a
second copy is allowed only where the queue or the delivery process ended between the message's last byte and the outcome's record.
POSTERN_CRASH_LONG=1 goes through every call, and kills thousands of times under load (KILLS, 10,000)."""
import concurrent.futures
import contextlib
import os
import pathlib
import random
import signal
import sys
import threading
import time

from ledger import LONG, RECORDS, Client, Ledger, Strace, need_strace, one_core, ready, thread_of  # noqa: E402  (finds the lab, too)
from case import main  # noqa: E402
from world import World, wait_for

MOST = 100 if LONG else 6
KILLS = int(os.environ.get("KILLS", "10000"))
KILLS_OF_A_LIFE = 200  # of one daemon under load in the long mode
DAEMONS = 6  # at once there
LIVES_SECONDS = 2.1  # the parent starts one that lived so long again at once (relay/parent/process.c)
MAIN, SECOND, THIRD = 0, 1, 2

# (role, thread, calls): where a process dies, before the call and, by a delay at its exit, after it.
CALLS = [
    ("submission", SECOND, ("pwritev", "fdatasync", "write", "close", "ftruncate")),
    ("queue", MAIN, ("pwritev", "recvmsg", "sendmsg", "pread64", "openat", "write")),
    ("delivery", MAIN, ("sendmsg", "sendto", "read", "recvmsg", "pread64", "connect", "close")),
    ("submission", MAIN, ("sendmsg", "sendto", "recvmsg", "accept4", "read", "close")),
    ("queue", SECOND, ("openat", "pwritev", "fsync", "fdatasync", "unlinkat", "ftruncate", "write")),
    ("queue", THIRD, ("pwritev", "fdatasync", "write")),
]
AFTER = "delay_exit=3000000"


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Life:
    """One daemon that is killed over and over."""

    def __init__(self, world, prefix=()):
        self.daemon = world.posternd(release=True, prefix=prefix, queue="retry = { 1s }", listener="max-messages = 1000000 max-connections-per-client = 1000",
                                     sections='limit all { key = client count = messages rate = "1000000/1h" }\n')
        self.ledger = Ledger(world, self.daemon)
        self.kills = {}
        self.daemon.start()

    def count(self, what):
        self.kills[what] = self.kills.get(what, 0) + 1

    def kill(self, role, pid, since=None):
        """Kills PID, which may have died since SINCE."""
        self.count(role)
        since = since or time.time()
        kill(pid)
        self.ledger.killed.append((since, time.time(), role))

    def die(self):
        """All at once, or the parent and with it the others, and back."""
        roles = sum(self.kills.values()) % 3 > 0
        self.count("everything" if roles else "parent")
        since = time.time()
        self.daemon.kill(roles)
        self.ledger.killed.append((since, time.time(), "everything"))
        self.daemon.start()

    def mail(self, what):
        """A connection with small messages, one that is returned, and a large one, which gets a segment of its own."""
        client = Client(self.daemon.open_port)
        for recipients, size in ((["bob@example.com"], 300), (["never-KEY@example.com"], 300), (["carol@example.com", "later-KEY@example.com"], 20000),
                                 (["bob@example.com"], 1100000)):
            self.ledger.submit(client, recipients, size, what)
        client.close()

    def strike(self, role, thread, call, when, after):
        """Mail while ROLE dies at its WHEN-th CALL. True where it did."""
        what = f"{role}, thread {thread}, killed {'after' if after else 'before'} {call} {when}"
        pid = ready(self.daemon)[role][0]
        harm = Strace(thread_of(pid, thread), call, AFTER if after else "signal=KILL", when)
        mail, since = threading.Thread(target=self.mail, args=(what,)), time.time()
        try:
            mail.start()
            while mail.is_alive() and not harm.hit():
                time.sleep(0.002)
            end = time.monotonic() + 0.1
            while not harm.hit() and time.monotonic() < end:
                time.sleep(0.002)
            hit = harm.hit()
            if hit:
                self.kill(role, pid, since)
        finally:
            harm.close()
        mail.join()
        assert self.ledger.await_all(30), f"{what}: lost {self.ledger.missing()}"
        return hit

    def close(self):
        assert self.ledger.await_all(120), f"lost {self.ledger.missing()[:20]}, kills {self.kills}"
        reloads = self.kills.pop("reload", 0)
        figures = self.ledger.close(f"{sum(self.kills.values())} kills {self.kills}, {reloads} reloads, ")
        return {**figures, "kills": sum(self.kills.values()), "reloads": reloads}


def case_killed_at_each_call():
    """A role dies before or after its n-th call of each kind on a message's way."""
    need_strace()
    with World(RECORDS) as world:
        life, strikes = Life(world, one_core()), 0
        points = [(role, thread, calls[i], after) for i in range(7) for after in (False, True) for role, thread, calls in CALLS if i < len(calls)]
        whens = {point: iter(range(1, MOST + 1) if LONG else (1 + 2 * point[3],)) for point in points}
        while whens:
            for point in list(whens):  # by turns, so that the parent starts each again at once
                when = next(whens[point], None)
                if when is None or not life.strike(*point[:3], when, point[3]):
                    del whens[point]
                    continue
                strikes += 1
                if strikes % 6 == 0:
                    life.die()
        life.close()


class Load:
    """Clients that send all the time, in threads of their own, until close()."""

    def __init__(self, life, clients=4, pause=0.02):
        self.life, self.pause, self.over, self.problem = life, pause, threading.Event(), None
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, seed):
        chance = random.Random(seed)
        client = Client(self.life.daemon.open_port)
        try:
            while not self.over.is_set():
                recipients = chance.choice((["bob@example.com"],) * 6 + (["never-KEY@example.com"], ["bob@example.com", "later-KEY@example.com"]))
                size = chance.choice((300,) * 20 + (20000,) * 4 + (1100000,) * (chance.random() < 0.3))
                answer = self.life.ledger.submit(client, recipients, size, "under load")
                if answer.code != 250 or chance.random() < 0.1:
                    client.close()
                self.over.wait(self.pause)
        except Exception as error:  # shown by close()
            self.problem = self.problem or error
        finally:
            client.close()

    def close(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        if self.problem:
            raise self.problem


class Killer:
    """Kills LIFE's roles by chance, SEED, each PAUSE seconds or when one is old enough."""

    def __init__(self, life, seed, pause=0.05):
        self.life, self.chance, self.pause, self.born = life, random.Random(seed), pause, {}

    def old(self):
        """(role, pid) of those that have lived long enough."""
        now = time.monotonic()
        living = [(role, pid) for role, pids in self.life.daemon.pids().items() for pid in pids]
        self.born = {who: self.born.get(who, now) for who in living}
        return [who for who, since in self.born.items() if now - since > LIVES_SECONDS]

    def queue_again(self, pid):
        """Kills the queue process that comes for PID within its first milliseconds, and perhaps that one's successor."""
        for _ in range(self.chance.randint(1, 2)):
            pids = wait_for(lambda: self.life.daemon.pids().get("queue", [pid]) != [pid] and self.life.daemon.pids().get("queue"), what="a queue process")
            time.sleep(self.chance.random() * 0.03)
            pid = pids[0]
            self.life.kill("queue", pid)

    def strike(self):
        what = self.chance.random()
        old = self.old()
        if what < 0.006:
            self.life.die()
            self.born = {}
        elif what < 0.015:
            self.life.count("reload")
            self.life.daemon.process.send_signal(signal.SIGHUP)
            time.sleep(self.chance.random() * 0.05)
        elif old:
            role, pid = self.chance.choice(sorted(old))
            self.life.kill(role, pid)
            if role == "queue" and self.chance.random() < 0.4:
                self.queue_again(pid)
        time.sleep(self.pause * (0.5 + self.chance.random()))


def load(kills, seed, seconds=None):
    """A daemon under steady load whose roles are killed KILLS times, or for SECONDS; the figures."""
    with World(RECORDS) as world:
        life = Life(world)
        traffic, killer = Load(life), Killer(life, seed)
        end = time.monotonic() + (seconds or 1e9)
        while sum(life.kills.values()) - life.kills.get("reload", 0) < kills and time.monotonic() < end and not traffic.problem:
            killer.strike()
        traffic.close()
        return life.close()


def case_killed_under_load():
    """Roles die by chance, some ten each second, all at once now and then and while settings are loaded anew, and the queue while it recovers."""
    if not LONG:
        load(1000, 1, 8)
        return
    lives = -(-KILLS // KILLS_OF_A_LIFE)
    with concurrent.futures.ProcessPoolExecutor(DAEMONS) as pool:
        results = [pool.submit(load, KILLS_OF_A_LIFE, seed) for seed in range(lives)]
    figures = [result.result() for result in results if not result.exception()]
    print("note in all:", {what: sum(f.get(what, 0) for f in figures) for what in sorted(set().union(*figures))}, flush=True)
    problems = [str(result.exception()) for result in results if result.exception()]
    assert not problems, f"{len(problems)} of {lives} daemons: {problems[:5]}"


def case_reloaded_under_load():
    """Settings are loaded anew all the time: nothing comes twice, and no attempt is cut off."""
    with World(RECORDS) as world:
        life = Life(world)
        traffic, chance = Load(life), random.Random(1)
        end = time.monotonic() + (60 if LONG else 4)
        while time.monotonic() < end and not traffic.problem:
            life.count("reload")
            life.daemon.process.send_signal(signal.SIGHUP)
            time.sleep(0.05 + chance.random() * 0.3)
        traffic.close()
        figures = life.close()
        assert not any(what.startswith("twice") for what in figures) and "delivery process ended" not in life.daemon.log(), figures


def case_killed_while_it_recovers():
    """The queue process dies before its n-th call while it reads a full spool, and so does its successor."""
    need_strace()
    calls = ("openat", "pread64", "sendmsg", "ftruncate", "fdatasync", "unlinkat", "pwritev")
    with World(RECORDS) as world:
        life = Life(world, one_core(1))
        for call in calls if LONG else calls[:3]:
            for when in (1, 2, 3, 5, 9, 20, 60, 200) if LONG else (2, 20):
                life.ledger.receiver.answers["banner"] = "421 4.3.2 not now"
                client = Client(life.daemon.open_port)
                for _ in range(60):
                    life.ledger.submit(client, ["bob@example.com", "later-KEY@example.com"], 3000, "a full spool")
                client.close()
                pid = ready(life.daemon)["queue"][0]
                life.kill("queue", pid)
                for _ in range(2):
                    pids = wait_for(lambda old=pid: life.daemon.pids().get("queue", [old]) != [old] and life.daemon.pids().get("queue"), what="a queue process")
                    pid = pids[0]
                    with contextlib.suppress(ProcessLookupError):
                        harm = Strace(pid, call, "signal=KILL", when)
                        end = time.monotonic() + 0.3
                        while not harm.hit() and time.monotonic() < end:
                            time.sleep(0.002)
                        harm.close()
                    life.kill("queue", pid)
                del life.ledger.receiver.answers["banner"]
                life.die()
                assert life.ledger.await_all(60), f"{call} {when}: lost {life.ledger.missing()[:20]}"
        life.close()


if __name__ == "__main__":
    os.chdir(pathlib.Path(__file__).resolve().parents[2])
    sys.exit(main(sys.modules[__name__]))
