"""Several machines and one Redis: limits that hold for all of them together, and what happens when Redis goes and comes back."""
import concurrent.futures
import contextlib
import re
import signal
import socket
import subprocess
import sys
import time

from case import main
from receiver import Receiver
from submit import connect, message, submit
from world import World, free_port, stop, wait_for, which

LIMIT = 'limit shared { key = account count = recipients rate = "100/1d" burst = 100 then = defer }\n'


class Redis:
    """redis-server on a free port with a password; where it KEEPS, everything that it said yes to is on the disk."""

    def __init__(self, folder, keeps=True):
        self.folder = folder / "redis"
        self.folder.mkdir()
        self.port = free_port()
        self.socket = self.folder / "socket"
        self.keeps = "yes" if keeps else "no"
        self.password = self.folder / "password"
        self.password.write_text("open sesame\n")
        self.start()

    def start(self):
        command = [which("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket), "--dir", str(self.folder), "--save", "",
                   "--appendonly", self.keeps, "--appendfsync", "always", "--requirepass", "open sesame"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(lambda: self.asked("PING") == b"+PONG", what="Redis")

    def asked(self, command):
        """The first line of Redis's answer to COMMAND; None where it gives none."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock:
            sock.sendall(b'AUTH "open sesame"\r\n' + command.encode() + b"\r\n")
            with sock.makefile("rb") as answers:
                return answers.readline() == b"+OK\r\n" and answers.readline().rstrip()
        return None

    def decisions(self):
        """How often the script was run."""
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.port), timeout=5)) as sock:
            sock.sendall(b'AUTH "open sesame"\r\nINFO commandstats\r\nQUIT\r\n')
            with sock.makefile("rb") as answers:
                return int(re.search(rb"cmdstat_evalsha:calls=(\d+)", answers.read()).group(1))

    def kill(self):
        stop(self.process, signal.SIGKILL)

    def close(self):
        stop(self.process)


@contextlib.contextmanager
def machines(count=2, limit=LIMIT, redis=True, timeout="10s", release=False, keeps=True):
    """(redis, daemons): COUNT of them with the account alice, and LIMIT, shared where there is a Redis, which KEEPS what it has on the disk;
    the daemons that are installed (RELEASE) talk to it over its socket."""
    with World() as world:
        world.add(Receiver("127.0.1.1", world.delivery_port))
        server = world.add(Redis(world.folder, keeps)) if redis else None
        where = server.socket if release else f"127.0.0.1:{server.port if server else free_port()}"
        daemons = []
        for number in range(count):
            daemon = world.posternd(f"machine{number}", sections=limit, release=release)
            policy = f'policy {{ store = redis redis = "{where}" redis-timeout = {timeout} '
            policy += f'redis-password-file = "{server.password}" ' if server else ""
            daemon.text = daemon.text.replace("policy {", policy)
            daemon.file.write_text(daemon.text)
            daemon.user("alice", "secret")
            daemons.append(daemon.start())
        yield server, daemons


def store(daemon):
    return daemon.cli("status", json_output=True)["store"]


def until(daemons, state):
    for daemon in daemons:
        wait_for(lambda: store(daemon).get("state") == state, what=f"the state {state}")


def name_recipients(daemon, count, first):
    """How many of COUNT recipients are accepted in one session; the others must be deferred by the limit."""
    accepted = 0
    session = connect(daemon)
    with contextlib.closing(session):
        session.mail("alice@example.net")
        for number in range(first, first + count):
            code, text = session.rcpt(f"r{number}@example.com")
            assert code == 250 or (code == 450 and b"limit shared" in text), (code, text)
            accepted += code == 250
    return accepted


def case_a_limit_of_100_is_100_for_both_together():
    """150 recipients over many connections to two machines in turn: exactly 100 are accepted."""
    with machines() as (redis, daemons):
        until(daemons, "connected")
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            parts = list(pool.map(lambda n: name_recipients(daemons[n % 2], 15, n * 15), range(10)))
        assert sum(parts) == 100, parts
        assert [name_recipients(daemon, 1, 200) for daemon in daemons] == [0, 0]
        rows = daemons[0].cli("limits", "--account", "alice", json_output=True) + daemons[1].cli("limits", "--account", "alice", json_output=True)
        used = [row["used"] for row in rows if row["limit"] == "shared"]
        assert used == [100, 100], used
        assert redis.asked("EXISTS postern:account:recipients:shared:alice") == b":1"


def case_a_batch_is_one_question():
    """Recipients that a client names at once are decided together, and still exactly as many as fit are accepted."""
    with machines(limit=LIMIT.replace("100", "30")) as (redis, daemons):
        until(daemons, "connected")
        accepted, before = 0, redis.decisions()
        for number in range(2):
            with contextlib.closing(connect(daemons[number])) as session:
                session.putcmd("mail from:<alice@example.net>")
                session.sock.sendall(b"".join(b"rcpt to:<p%d@example.com>\r\n" % (number * 25 + n) for n in range(25)))
                assert session.getreply()[0] == 250
                accepted += sum(session.getreply()[0] == 250 for _ in range(25))
        assert accepted == 30, accepted
        assert redis.decisions() - before <= 8, redis.decisions() - before  # of 52 questions: MAIL, the first RCPT, and those behind it


def case_redis_dies_and_comes_back():
    """SIGKILL in the middle: submissions go on, nothing is refused below the limit, and what was counted meanwhile is counted in the end."""
    with machines() as (redis, daemons):
        until(daemons, "connected")

        def send(count):
            for number in range(count):
                submit(daemons[number % 2], "alice@example.net", ["bob@example.com"], message(subject=f"{time.monotonic()}"))

        send(10)
        redis.kill()
        send(20)
        until(daemons, "away")
        for daemon in daemons:
            assert "Redis: away since" in daemon.cli("status"), daemon.cli("status")
        redis.start()
        until(daemons, "connected")
        send(10)
        accepted = 40 + name_recipients(daemons[0], 40, 0) + name_recipients(daemons[1], 40, 40)
        assert accepted == 100, accepted
        for daemon in daemons:
            away = [line for line in daemon.events("error") if "Redis at" in line["text"]]
            back = [line for line in daemon.events("notice") if "is back" in line["text"]]
            assert len(away) == 1 and len(back) == 1, (away, back)
            assert "Redis: away" not in daemon.cli("status")


def stands(daemon, account="alice"):
    return daemon.cli("account", "show", account, json_output=True)["state"]


def case_a_suspension_holds_on_all_machines():
    """Suspended on one, suspended on the other within a second, resumed in the same way; a Redis that lost everything, or was away, forgets neither
    a suspension nor that one is over; one letter is written."""
    with machines() as (redis, (one, two)):
        until((one, two), "connected")
        session = connect(two)
        begun = time.monotonic()
        one.cli("account", "suspend", "alice")
        wait_for(lambda: stands(two) == "suspended", what="the other machine's hearing it")
        print(f"note a suspension was known on the other machine after {time.monotonic() - begun:.2f} s, a call of postern included")
        assert session.getreply()[0] == 421
        assert two.cli("account", "show", "alice", json_output=True)["by"] == "another machine"
        assert [len([e for e in d.events("accepted") if e.get("report") == "account"]) for d in (one, two)] == [1, 0], "one letter"
        two.cli("account", "resume", "alice")
        wait_for(lambda: stands(one) == "active", what="its hearing that it is over")

        one.cli("account", "suspend", "alice")
        wait_for(lambda: stands(two) == "suspended")
        redis.kill()
        until((one, two), "away")
        two.cli("account", "resume", "alice")
        assert stands(one) == "suspended" and stands(two) == "active"
        one.cli("account", "suspend", "carol", "--ahead")
        redis.start()
        until((one, two), "connected")
        wait_for(lambda: stands(one) == "active" and stands(two, "carol") == "suspended", what="what was decided meanwhile")
        assert redis.asked("FLUSHALL") == b"+OK"
        redis.kill()
        redis.start()
        wait_for(lambda: redis.asked("HEXISTS postern:suspended carol") == b":1", what="its being told again")
        assert stands(one, "carol") == stands(two, "carol") == "suspended"
        two.stop()
        one.cli("account", "resume", "carol")
        two.start()
        wait_for(lambda: stands(two, "carol") == "active", what="news that it slept through")


def case_redis_forgets():
    """A Redis that comes back empty is told by each machine what it knows: at most what one had not heard of the other is counted anew."""
    with machines(keeps=False) as (redis, daemons):
        until(daemons, "connected")
        accepted = name_recipients(daemons[0], 20, 0) + name_recipients(daemons[1], 20, 20) + name_recipients(daemons[0], 1, 40)
        redis.kill()
        accepted += name_recipients(daemons[0], 10, 50) + name_recipients(daemons[1], 10, 60)
        redis.start()
        until(daemons, "connected")
        accepted += name_recipients(daemons[0], 60, 100) + name_recipients(daemons[1], 60, 200)
        assert 100 <= accepted <= 101, accepted


def case_redis_hangs():
    """A Redis that is stopped costs the first questions their time-out and nobody else anything."""
    with machines(timeout="100ms") as (redis, daemons):
        until(daemons, "connected")
        redis.process.send_signal(signal.SIGSTOP)
        for number in range(20):
            submit(daemons[number % 2], "alice@example.net", ["bob@example.com"], message(subject=f"stopped {number}"))
        until(daemons, "away")
        redis.process.send_signal(signal.SIGCONT)
        until(daemons, "connected")
        submit(daemons[0], "alice@example.net", ["bob@example.com"], message(subject="back"))


def case_the_sandbox_lets_it_through():
    """The build that is installed, with all of its sandbox, reaches Redis by its socket."""
    with machines(count=1, release=True, limit=LIMIT.replace("100", "5")) as (redis, daemons):
        until(daemons, "connected")
        assert name_recipients(daemons[0], 8, 0) == 5
        assert redis.asked("EXISTS postern:account:recipients:shared:alice") == b":1"


def case_redis_was_never_there():
    """Without a Redis each machine starts and serves by itself; status and log say so."""
    with machines(count=1, redis=False, limit=LIMIT.replace("100", "5")) as (_, daemons):
        until(daemons, "away")
        assert name_recipients(daemons[0], 8, 0) == 5
        assert len([line for line in daemons[0].events("error") if "Redis at" in line["text"]]) == 1


def case_a_reload_keeps_what_is_shared():
    """A reload changes limits while questions are under way; none is lost, and counts stay."""
    with machines() as (_, daemons):
        until(daemons, "connected")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            parts = [pool.submit(name_recipients, daemons[n % 2], 10, n * 10) for n in range(4)]
            for _ in range(3):
                daemons[0].cli("reload")
            got = [part.result() for part in parts]
            assert got == [10] * 4, got
        assert name_recipients(daemons[1], 70, 40) == 60


def case_a_reload_with_other_redis_settings():
    """What is shared goes on over a new connection; questions that are under way then are answered, and what they count is not lost."""
    with machines() as (_, daemons):
        until(daemons, "connected")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            parts = [pool.submit(name_recipients, daemons[n % 2], 10, n * 10) for n in range(4)]
            for seconds in (9, 8, 7):
                daemons[0].file.write_text(daemons[0].text.replace("redis-timeout = 10s", f"redis-timeout = {seconds}s"))
                daemons[0].cli("reload")
            got = [part.result() for part in parts]
            assert got == [10] * 4, got
        until(daemons, "connected")
        more = name_recipients(daemons[1], 70, 40)
        assert more == 60, more


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
