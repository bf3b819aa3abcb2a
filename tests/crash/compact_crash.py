"""Kills (SIGKILL) of the queue process while it compacts a segment, before and after each of its calls. What got a 250 arrives once, unchanged, whichever
file the next process finds, and the next one compacts again. POSTERN_CRASH_LONG=1 goes through every call."""
import os
import pathlib
import signal
import sys
import time

from ledger import LONG, RECORDS, Client, Strace, need_strace, one_core, ready, thread_of  # noqa: E402  (finds the lab, too)
from kill_crash import AFTER, SECOND, Life
from case import main  # noqa: E402
from preload import Clock
from world import World, wait_for

DONE, WAITING = 36, 6
SIZE = 40000
HOUR = 3600

# (call, n-th, after): of the thread that waits for the disk. The segment is opened and the new file made (openat), a header, each record in two pieces
# and a table written (pwritev), the file and the folder synced (fsync).
POINTS = [(call, n, after) for call, most in (("openat", 2), ("pwritev", 2 + 2 * WAITING if LONG else 2), ("fsync", 2), ("renameat", 1))
          for n in range(1, most + 1) for after in (False, True)]


class Old(Life):
    """A daemon with an old segment of which little is needed."""

    def __init__(self, world):
        self.clock, self.hours, self.waits = Clock(world.folder), 0, True
        super().__init__(world, (*one_core(), *self.clock.prefix))
        self.ledger.receiver.answers["rcpt"] = lambda address: "451 4.2.0 later" if self.waits and address.startswith("later") else None

    def fill(self):
        """Messages that are delivered and some that wait, in a segment that nobody writes to any more. The size of that."""
        self.waits, told = True, len(self.ledger.told)
        client = Client(self.daemon.open_port)
        for i in range(DONE + WAITING):
            self.ledger.submit(client, ["later-KEY@example.com" if i % 7 == 3 else "bob@example.com"], SIZE)
        client.close()
        wait_for(lambda: len(self.ledger.missing(told)) == WAITING, what="the delivery of the others")
        pids = self.daemon.pids()
        self.daemon.process.send_signal(signal.SIGHUP)
        ready(self.daemon, {"submission": pids["submission"], "delivery": pids["delivery"]})
        return max(self.sizes())

    def sizes(self):
        return [path.stat().st_size for path in self.ledger.spool.glob("*.seg")]

    def grow_old(self):
        self.hours += 2
        self.clock.shift(self.hours * HOUR)

    def await_small(self, size):
        wait_for(lambda: max(self.sizes(), default=0) < size / 2, what=f"the compaction of a segment of {size} bytes")
        assert not list(self.ledger.spool.glob("*.compact"))

    def strike(self, call, when, after):
        """The queue dies in a compaction. True where it came to that call."""
        size, since = self.fill(), time.time()
        pid = ready(self.daemon)["queue"][0]
        harm = Strace(thread_of(pid, SECOND), call, AFTER if after else "signal=KILL", when)
        self.grow_old()
        try:
            wait_for(lambda: harm.hit() or max(self.sizes()) < size / 2, what=f"{call} {when}")
            hit = harm.hit()
            if hit:
                self.kill("queue", pid, since)
        finally:
            harm.close()
        listed = wait_for(lambda: len(found := self.daemon.cli("queue", "list", json_output=True, check=False) or []) >= WAITING and found, what="the messages that wait")
        assert len(listed) == WAITING, listed
        self.await_small(size)
        self.waits = False
        assert self.ledger.await_all(30), f"{call} {when}: lost {self.ledger.missing()}"
        wait_for(lambda: not self.daemon.cli("queue", "list", json_output=True), what="an empty queue")
        return hit


def case_killed_while_it_compacts():
    """The queue dies before or after its n-th call of each kind in a compaction."""
    need_strace()
    with World(RECORDS) as world:
        life = Old(world)
        for call, when, after in POINTS:
            life.strike(call, when, after)
        figures = life.close()
        assert figures["kills"] >= len(POINTS) * 3 // 4, figures


if __name__ == "__main__":
    os.chdir(pathlib.Path(__file__).resolve().parents[2])
    sys.exit(main(sys.modules[__name__]))
