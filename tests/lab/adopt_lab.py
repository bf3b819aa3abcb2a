"""A dead machine's spool is taken over by another: `postern queue adopt`. What was accepted arrives once, whatever is interrupted."""
import shutil
import subprocess
import sys

from case import main
from receiver import Receiver
from submit import connect, message, send, submit
from world import Skip, World, wait_for

RECIPIENTS = 3


def machines(world, **options):
    """Two relays with spools of their own; nobody receives yet."""
    found = []
    for name in ("first", "second"):
        daemon = world.posternd(name, queue="retry = { 1s }", **options)
        daemon.text = daemon.text.replace('hostname = "relay.example.net"', f'hostname = "{name}.example.net"')
        daemon.file.write_text(daemon.text)
        daemon.user("alice", "secret")
        found.append(daemon.start())
    return found


def fill(daemon):
    """Messages of many sizes, one in a segment of its own, one to several recipients. Their subjects."""
    session = connect(daemon)
    for number in range(12):
        body = b"".join(b"line %06d of the body\r\n" % n for n in range(90000 if number == 7 else 10 * number + 1))
        to = [f"to{n}@example.com" for n in range(RECIPIENTS if number == 3 else 1)]
        send(session, "alice@example.net", to, message(f"m{number}", body))
    session.close()
    return sorted(f"m{number}" for number in range(12))


def spool_of(daemon):
    return daemon.folder / "spool"


def adopt(daemon, other, prefix=(), check=False):
    daemon.prefix = list(prefix)
    try:
        return daemon.cli("queue", "adopt", str(spool_of(other)), check=check)
    finally:
        daemon.prefix = []


def all_once(receiver, subjects):
    wait_for(lambda: len(receiver.messages) >= len(subjects), 60, f"{len(subjects)} messages, not {len(receiver.messages)},")
    got = sorted(m.header("subject") for m in receiver.messages)
    assert got == subjects, got
    assert sum(len(m.recipients) for m in receiver.messages) == len(subjects) + RECIPIENTS - 1


def case_a_dead_spool_is_taken_over():
    with World() as world:
        first, second = machines(world)
        subjects = fill(first)
        living = adopt(second, first)
        assert living.returncode == 1 and "in use" in living.stderr, living
        own = adopt(second, second)
        assert own.returncode == 1 and "own spool" in own.stderr, own
        first.kill()
        done = adopt(second, first)
        assert done.returncode == 0 and "came over" in done.stdout, done
        assert len(second.cli("queue", "list", json_output=True)) == len(subjects)
        receiver = world.add(Receiver("127.0.1.1", world.delivery_port))
        second.cli("queue", "retry", "--all")
        all_once(receiver, subjects)
        again = adopt(second, first)
        assert again.returncode == 1 and "adopted already" in again.stderr and "second.example.net" in again.stderr, again
        first.start()
        assert first.cli("queue", "list", json_output=True) == []
        wait_for(lambda: not list(spool_of(second).glob("8*.seg")), what="the end of the carried segments")


def case_outcomes_come_along():
    """Who was delivered to by the dead machine is not sent to again."""
    with World() as world:
        first, second = machines(world)
        receiver = world.add(Receiver("127.0.1.1", world.delivery_port, {"rcpt": lambda address: "450 4.2.1 later" if "late" in address else None}))
        submit(first, "alice@example.net", ["bob@example.com", "late@example.com"], message("both"))
        wait_for(lambda: first.events("delivered") and first.events("deferred"), what="one delivered, one deferred")
        first.stop()
        receiver.close()
        done = adopt(second, first)
        assert done.returncode == 0, done
        listed = wait_for(lambda: second.cli("queue", "list", json_output=True), what="the message")
        assert len(listed) == 1, listed
        life = second.cli("message", listed[0]["id"], json_output=True)
        assert [event["event"] for event in life["events"]].count("delivered") == 1, life
        later = world.add(Receiver("127.0.1.1", world.delivery_port))
        second.cli("queue", "retry", "--all")
        wait_for(lambda: later.messages, what="the rest")
        assert [m.recipients for m in later.messages] == [["late@example.com"]], later.messages


def case_it_goes_on_wherever_it_was_killed():
    """The command dies at its n-th rename, sync or removal; the same command again ends it, and every message arrives once."""
    if not shutil.which("strace"):
        raise Skip("strace is not installed")
    points = 0
    with World() as world:
        first, second = machines(world, release=True)
        for call, when in [(call, when) for call in ("renameat", "fsync", "unlinkat", "pwritev") for when in (1, 2, 3, 5)]:
            subjects = fill(first)
            first.stop()
            second.stop()
            killed = adopt(second, first, ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={when}"])
            if killed.returncode not in (0, -9, 137):
                raise Skip(f"strace cannot inject here: {killed.stderr[-300:]}")
            points += killed.returncode != 0
            done = adopt(second, first)
            assert done.returncode == 0 or "adopted already" in done.stderr, f"{call} {when}: {done}"
            with_receiver = Receiver("127.0.1.1", world.delivery_port)
            try:
                second.start()
                first.start()
                all_once(with_receiver, subjects)
                wait_for(lambda: not second.cli("queue", "list", json_output=True) and not first.cli("queue", "list", json_output=True), what="empty queues")
                wait_for(lambda: not [path.name for daemon in (first, second) for path in spool_of(daemon).glob("*.adopt*")], 1, "the end of all copies")
            finally:
                with_receiver.close()
    print(f"note {points} kills in {points} adoptions, 0 lost, 0 twice")


def case_no_room_refuses_before_anything_is_taken():
    with World() as world:
        first, second = machines(world)
        subjects = fill(first)
        first.stop()
        second.file.write_text(second.text.replace("minimum-free = 1M", "minimum-free = 900T"))
        refused = adopt(second, first)
        assert refused.returncode == 1 and "no room" in refused.stderr, refused
        second.file.write_text(second.text)
        assert len(list(spool_of(first).glob("*.seg"))) >= 2 and len(subjects) == 12


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
