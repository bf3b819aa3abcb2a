"""Errors of system calls in the running roles: strace lets the n-th call of one thread fail while mail goes through, for n = 1, 2, … until there is
no such call. The client is answered, what got a 250 arrives, and no other role notices. POSTERN_CRASH_LONG=1 goes through every point."""
import base64
import os
import pathlib
import resource
import ssl
import sys
import threading
import time

from ledger import LONG, RECORDS, Answer, Client, Ledger, Strace, need_strace, one_core, ready, thread_of  # noqa: E402  (finds the lab, too)
from case import main  # noqa: E402
from preload import Memory  # noqa: E402
from world import World, wait_for  # noqa: E402

SIZES = (300, 20000, 1100000)
MOST = 80 if LONG else 7
LIVES_SECONDS = 2.3  # the parent starts a role that lived so long again at once (relay/parent/process.c)

# (role, thread, call, errors, may the client lose its connection?)
MAIN, SECOND, THIRD = 0, 1, 2
SPOOL_CALLS = [
    ("submission", SECOND, "pwritev", ("ENOSPC", "EIO", "EDQUOT"), False),
    ("submission", SECOND, "fdatasync", ("EIO", "ENOSPC"), False),
    ("submission", SECOND, "pread64", ("EIO",), False),
    ("queue", SECOND, "openat", ("ENOSPC", "EMFILE", "EROFS"), False),
    ("queue", SECOND, "pwritev", ("ENOSPC", "EIO"), False),
    ("queue", SECOND, "fsync", ("EIO", "ENOSPC"), False),
    ("queue", SECOND, "fdatasync", ("EIO",), False),
    ("queue", SECOND, "ftruncate", ("EIO", "EROFS"), False),
    ("queue", SECOND, "unlinkat", ("EIO", "EROFS"), False),
    ("queue", SECOND, "pread64", ("EIO",), False),
    ("queue", SECOND, "flock", ("ENOLCK",), False),
    ("queue", MAIN, "openat", ("EMFILE", "EIO"), False),
    ("queue", MAIN, "pwritev", ("ENOSPC", "EIO"), False),
    ("queue", MAIN, "pread64", ("EIO",), False),
    ("queue", THIRD, "pwritev", ("ENOSPC", "EIO"), False),
    ("queue", THIRD, "fdatasync", ("EIO",), False),
]
SOCKET_CALLS = [
    ("submission", MAIN, "accept4", ("EMFILE", "ENFILE", "ECONNABORTED"), True),
    ("submission", MAIN, "sendmsg", ("EAGAIN", "ENOMEM", "ENOBUFS"), False),
    ("submission", MAIN, "recvmsg", ("EAGAIN", "EINTR"), False),
    ("submission", MAIN, "sendto", ("EAGAIN", "ECONNRESET"), True),
    ("submission", MAIN, "read", ("EAGAIN", "ECONNRESET"), True),
    ("queue", MAIN, "sendmsg", ("EAGAIN", "ENOMEM", "ENOBUFS"), False),
    ("queue", MAIN, "recvmsg", ("EAGAIN", "EINTR"), False),
    ("submission", SECOND, "write", ("EIO",), True),  # it wakes the loop: the process ends and is started again
    ("queue", SECOND, "write", ("EIO",), False),
    ("delivery", MAIN, "sendmsg", ("EAGAIN", "ENOMEM", "ENOBUFS"), False),
    ("delivery", MAIN, "recvmsg", ("EAGAIN", "EINTR"), False),
    ("delivery", MAIN, "socket", ("EMFILE", "ENOBUFS"), False),
    ("delivery", MAIN, "connect", ("ECONNREFUSED", "ENETUNREACH"), False),
    ("delivery", MAIN, "pread64", ("EIO",), False),
    ("delivery", MAIN, "sendto", ("EAGAIN", "ECONNRESET"), False),
    ("delivery", MAIN, "read", ("EAGAIN", "ECONNRESET"), False),
]


class LoginClient(Client):
    """The same with TLS and a login."""

    def open(self):
        code, text = super().open()
        for command, good in (("STARTTLS", 220), ("EHLO client.example.net", 250), ("AUTH PLAIN " + base64.b64encode(b"\0alice\0secret").decode(), 235)):
            if code not in (220, 250):
                return code, text
            self.sock.sendall(f"{command}\r\n".encode())
            code, text = self.reply()
            if command == "STARTTLS" and code == good:
                self.sock = ssl._create_unverified_context().wrap_socket(self.sock)
                self.file = self.sock.makefile("rb")
        return (250 if code == 235 else code), text


class Run:
    """One daemon that meets fault after fault."""

    def __init__(self, world, turn=0, prefix=()):
        self.daemon = world.posternd(release=True, prefix=(*one_core(turn), *prefix), queue="retry = { 1s }", listener="max-messages = 100000")
        self.ledger = Ledger(world, self.daemon)
        self.daemon.start()
        self.points = 0
        self.late, self.deaths, self.died = [], {}, {}

    def mail(self, what, client=None):
        """A connection (or CLIENT) with small messages, one that is returned, and a large one, which gets a segment of its own."""
        answers = []
        client = client or Client(self.daemon.open_port)
        for recipients, size in ((["bob@example.com"], SIZES[0]), (["never-KEY@example.com"], SIZES[0]), (["carol@example.com", "later-KEY@example.com"], SIZES[1]),
                                 (["bob@example.com"], SIZES[2])):
            answers.append(self.ledger.submit(client, recipients, size, what))
        client.close()
        return answers

    def count_deaths(self, roles, begun):
        """ROLES died since BEGUN."""
        for role in roles:
            self.deaths[role] = self.deaths.get(role, 0) + 1
            self.died[role] = time.time()
            self.ledger.killed.append((begun, time.time(), role))

    def meet(self, role, thread, call, deed, when, cut_off, also=()):
        """Mail with one fault. True where the fault was met."""
        what = f"{role}, thread {thread}, {call} {when}: {deed}"
        before, since, begun = ready(self.daemon), len(self.ledger.told), time.time()
        harm = Strace(thread_of(before[role][0], thread), call, deed, when, also)
        try:
            answers = self.mail(what)
            end = time.monotonic() + 0.12
            while not harm.hit() and time.monotonic() < end:
                time.sleep(0.005)
            hit = harm.hit()
        finally:
            harm.close()
        if not self.ledger.await_all(0.3, since):  # some of it waits until the disk is asked again
            self.late += [f"{what}: {missing}" for missing in self.ledger.missing(since)]
        after = self.daemon.pids()
        changed = {r for r in before if before[r] != after.get(r)}
        assert changed <= {role}, f"{what}: {changed} started again"
        assert cut_off or changed or all(answer.code for answer in answers), f"{what}: {answers}"
        self.count_deaths(changed, begun)
        assert not self.ledger.altered, what
        self.points += hit
        return hit

    def starve(self, role, spare):
        """Mail while ROLE has room for only SPARE more descriptors; then room again."""
        what = f"{role} with {spare} descriptors left"
        before = self.daemon.pids()
        pid = before[role][0]
        client = Client(self.daemon.open_port)
        client.open()
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")) + spare, limits[1]))
        self.mail(what, client)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        wait_for(lambda: self.mail(what)[-1].code == 250, what=f"{what}: a message that is taken again")
        assert self.ledger.await_all(20) and self.daemon.pids() == before, f"{what}: lost {self.ledger.missing()}, {before} {self.daemon.pids()}"
        self.points += 1

    def run_out(self, memory, role, n):
        """Mail, with a login and without, and a question of an administrator, while the N-th allocation of ROLE fails. True where it came to so many."""
        what = f"allocation {n} of {role}"
        time.sleep(max(0, self.died.get(role, 0) + LIVES_SECONDS - time.time()))
        before, since, begun = ready(self.daemon), len(self.ledger.told), time.time()
        memory.fail(before[role][0], n)
        answers = self.mail(what) + self.mail(what, LoginClient(self.daemon.port))
        self.daemon.cli("status", check=False)
        failed = memory.has_failed()
        assert self.ledger.await_all(60, since), f"{what}: lost {self.ledger.missing(since)}"
        after = ready(self.daemon)
        changed = {r for r in before if before[r] != after.get(r)}
        assert changed <= {role}, f"{what}: {changed} started again"
        assert changed or failed or all(answer.code == 250 for answer in answers), f"{what}: {answers}"
        self.count_deaths(changed, begun)
        self.points += failed
        return failed

    def meet_all(self, rows, more=()):
        for role, thread, call, errors, cut_off in rows:
            for error in errors if LONG else errors[:2]:
                when = 1
                while when <= MOST and self.meet(role, thread, call, f"error={error}", when, cut_off):
                    when += 1 if LONG else 3
        for row in more:
            self.meet(*row)

    def close(self):
        """What came late comes by itself within a minute or so, or at the next start; the short mode does not wait so long."""
        self.ledger.await_all(90 if LONG else 0.1)
        restart = self.ledger.missing()
        if restart:
            self.daemon.stop()
            self.daemon.start()
            assert self.ledger.await_all(20), f"lost {self.ledger.missing()}; late were {self.late}"
        assert not (LONG and restart), f"a restart was needed for {restart}; late were {self.late}"
        self.ledger.close(f"{self.points} faults met, {len(self.late)} deliveries late, roles died {self.deaths}: ")


def case_the_disk_says_no():
    """Writes, syncs, opens, cuts and removals of the spool fail one by one: the client is told 4xx, what got a 250 arrives."""
    need_strace()
    with World(RECORDS) as world:
        run = Run(world)
        both = [("submission", SECOND, "pwritev", f"error={error}", n, False, [("ftruncate", "error=EIO", 1)]) for error in ("EIO", "ENOSPC") for n in (1, 2, 6)]
        both += [("submission", SECOND, "fdatasync", "error=EIO", n, False, [("ftruncate", "error=EIO", 1)]) for n in (1, 2)]
        both += [("queue", MAIN, "pwritev", "error=ENOSPC", n, False, [("ftruncate", "error=EIO", 1)]) for n in (1, 2)]
        run.meet_all(SPOOL_CALLS, both)
        run.close()


def case_the_disk_goes_on_saying_no():
    """A disk that is full, read-only or broken for a while, from the n-th call on: nothing is accepted and lost, all goes on afterwards."""
    need_strace()
    with World(RECORDS) as world:
        run = Run(world, 1)
        for role, thread, call, errors, cut_off in SPOOL_CALLS:
            for error in errors if LONG else errors[:1]:
                for n in range(1, 12) if LONG else (1, 3):
                    if not run.meet(role, thread, call, f"error={error}", f"{n}+", cut_off):
                        break
        run.close()


def case_sockets_and_channels_say_no():
    """accept, sends, reads and connects fail one by one, among them what the roles say to each other."""
    need_strace()
    with World(RECORDS) as world:
        run = Run(world, 1)
        run.meet_all(SOCKET_CALLS)
        run.close()


def case_no_descriptor_is_left():
    """A role that can open and take no descriptor for a while answers, and goes on when it can again: its channels to the others last."""
    with World(RECORDS) as world:
        run = Run(world)
        for role in ("submission", "delivery", "queue"):
            for spare in range(6) if LONG else range(3):
                run.starve(role, spare)
        run.close()


def mail_from(client):
    """What MAIL gets, without a message behind it."""
    client.sock.sendall(b"MAIL FROM:<alice@example.net>\r\n")
    answer = Answer(*client.reply())
    if answer.code == 250:
        client.sock.sendall(b"RSET\r\n")
        client.reply()
        time.sleep(0.2)
    return answer


def case_the_disk_does_not_answer():
    """A sync that takes 13 seconds: who waits for it gets a 250 then, who comes after ten is told to try later, and when it is over all goes on."""
    need_strace()
    with World(RECORDS) as world:
        run = Run(world)
        pid = ready(run.daemon)["submission"][0]
        waiting, answers = Client(run.daemon.open_port), []
        thread = threading.Thread(target=lambda: answers.append(run.ledger.submit(waiting, ["bob@example.com"], SIZES[0])))
        harm = Strace(thread_of(pid, SECOND), "fdatasync", "delay_enter=13000000", 1)
        thread.start()
        early = Client(run.daemon.open_port)
        early.open()
        refused = wait_for(lambda: (answer := mail_from(early)).code == 451 and answer, 15, "a refusal")
        assert "disk" in refused.text and not answers, (refused, answers)
        thread.join()
        harm.close()
        assert answers[0].code == 250, answers
        assert run.ledger.submit(early, ["bob@example.com"], SIZES[0]).code == 250
        early.close(), waiting.close()
        texts = [event["text"] for event in run.daemon.events() if "text" in event]
        assert any("no message for 10 seconds" in text for text in texts) and any("stores messages again" in text for text in texts), texts[-5:]
        run.points += 1
        run.close()


def case_memory_runs_out():
    """The n-th allocation of a role fails: it answers, or ends and is started again, and nothing that got a 250 is lost."""
    with World(RECORDS) as world:
        memory = Memory(world.folder)
        run = Run(world, prefix=memory.prefix)
        run.daemon.user("alice", "secret")
        roles = {role: iter((*range(1, 100), *range(100, 400, 9)) if LONG else (1, 5, 22, 90, 360)) for role in ("submission", "auth", "dns", "queue", "delivery", "policy", "control", "sts")}
        while roles:
            for role in list(roles):  # by turns, so that the parent starts each again at once
                n = next(roles[role], None)
                if n is None or not run.run_out(memory, role, n):
                    del roles[role]
        run.close()


if __name__ == "__main__":
    os.chdir(pathlib.Path(__file__).resolve().parents[2])
    sys.exit(main(sys.modules[__name__]))
