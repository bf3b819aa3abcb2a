"""Spools of each version of the format, as they were written when it was the newest (spools/VERSION), are read by this postern.

When the format changes, make one of the version that ends first, with the program that still writes it:
    python3 tests/lab/spool_lab.py --make tests/lab/spools/VERSION"""
import pathlib
import shutil
import sys
import time

from case import main
from preload import Clock
from receiver import Receiver
from submit import message, submit
from world import World, wait_for

SPOOLS = pathlib.Path(__file__).resolve().parent / "spools"
WRITTEN = 1795867200  # when they were, about: 2026-11-28 12:00

# (subject, recipients); whose name begins with "done" was delivered, with "held" is held by a person; the others wait. The last two lie in a segment that
# was never sealed.
MESSAGES = [
    ("delivered", ["done@example.com"]),
    ("host down", ["first@dead.example"]),
    ("half delivered", ["done2@example.com", "later@example.com"]),
    ("held", ["held@example.com"]),
    ("8-bit and dots", ["later2@example.com"]),
    ("delivered behind", ["done3@example.com"]),
    ("unsealed", ["later3@example.com"]),
]
SEALED = 5


def body_of(subject):
    return b"".join(b"%b %d \xc3\xa9\r\n.\r\n..dots\r\n" % (subject.encode(), i) for i in range(len(subject)))


def make(folder):
    """A spool with all that a version can hold, of a relay that died."""
    with World() as world:
        daemon = world.posternd(release=True, queue="retry = { 1h }", prefix=("taskset", "-c", "0"))  # one process of each role
        daemon.user("alice", "secret")
        daemon.start()
        world.add(Receiver("127.0.1.1", world.delivery_port, {"rcpt": lambda address: None if address.startswith("done") else "450 4.2.1 later"}))
        for i, (subject, recipients) in enumerate(MESSAGES):
            if i == SEALED:
                daemon.stop()
                daemon.start()
            identity = submit(daemon, "alice@example.net", recipients, message(subject, body_of(subject)))
            if subject == "held":
                daemon.cli("queue", "hold", identity)
        wait_for(lambda: len(daemon.events("delivered")) == 3 and len(daemon.events("deferred")) >= 4, what="outcomes")
        time.sleep(2)  # outcomes are synced within a second
        daemon.kill()
        shutil.copytree(daemon.folder / "spool", folder)


def recipients_of(received):
    return sorted((m.header("subject"), sorted(m.recipients)) for m in received)


def case_spools_of_every_version_are_read():
    """What was delivered is not sent again, what is held stays so, the rest arrives as it was written."""
    folders = sorted(SPOOLS.iterdir())
    for folder in folders:
        with World() as world:
            clock = Clock(world.folder)
            clock.shift(WRITTEN - time.time())
            daemon = world.posternd(release=True)
            shutil.copytree(folder, daemon.folder / "spool")
            receivers = [world.add(Receiver(f"127.0.1.{i}", world.delivery_port)) for i in (1, 250)]
            daemon.prefix = clock.prefix
            daemon.start()
            daemon.prefix = []
            daemon.cli("queue", "retry", "--all")
            wait_for(lambda: sum(len(r.messages) for r in receivers) >= 4, what="what waits")
            assert [r["to"] for m in daemon.cli("queue", "list", json_output=True) for r in m["recipients"]] == ["held@example.com"]
            daemon.cli("queue", "release", "--all")
            wait_for(lambda: daemon.cli("queue", "list", json_output=True) == [], what="an empty queue")
            received = [m for r in receivers for m in r.messages]
            waited = [(subject, [r for r in recipients if not r.startswith("done")]) for subject, recipients in MESSAGES]
            assert recipients_of(received) == sorted((subject, recipients) for subject, recipients in waited if recipients), recipients_of(received)
            assert all(m.data.endswith(body_of(m.header("subject"))) for m in received)
            wait_for(lambda: not list((daemon.folder / "spool").iterdir()), what="the end of all segments")
    print(f"note read: {', '.join(folder.name for folder in folders)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(pathlib.Path(sys.argv[2]))
    else:
        sys.exit(main(sys.modules[__name__]))
