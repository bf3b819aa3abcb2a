"""A long queue: twenty thousand messages that the filler of the benchmarks wrote, for a host that is down at first. All are listed, by filters too,
while whoever reads is slow; all are delivered once when the host is up; and nothing is left in the spool."""
import json
import re
import subprocess
import sys

from case import main
from world import TOP, Skip, World, free_port, stop, wait_for

MESSAGES, DOMAINS, ACCOUNTS = 20000, 1000, 10
BENCH = TOP / "build" / "bench"


def full_world(world, *options):
    """A daemon whose spool is full, and the port that its only route leads to."""
    if not (BENCH / "fill").exists():
        raise Skip("build/bench/fill is not there: make bench-tools")
    port = free_port()
    daemon = world.posternd(sections=f'route "*" {{ via = "127.0.0.1:{port}" tls = none }}\n')
    subprocess.run([BENCH / "fill", "--spool", daemon.folder / "spool", "--messages", str(MESSAGES), "--domains", str(DOMAINS), "--accounts", str(ACCOUNTS), "--size", "300",
                    *options], check=True, stdout=subprocess.DEVNULL)
    return daemon, port


def read_all(daemon):
    wait_for(lambda: "the spool has been read" in daemon.log(), 60, "the end of recovery")
    assert f"{MESSAGES} messages are queued" in daemon.log()


def await_empty(daemon):
    wait_for(lambda: not [path for path in (daemon.folder / "spool").iterdir() if path.suffix in (".seg", ".log")], 60, "an empty spool")


def listed(daemon, *filters):
    return daemon.cli("queue", "list", *filters, json_output=True)


def begin_list(daemon):
    """A list of which only the first line was read, that line, and its process."""
    process = subprocess.Popen([daemon.build / "postern", "-f", daemon.file, "--json", "queue", "list"], stdout=subprocess.PIPE)
    line = process.stdout.readline().decode()
    return process, line


def come_up(port, expect):
    """The host comes up and takes EXPECT messages."""
    sink = subprocess.Popen([BENCH / "load", "--sink", f"127.0.0.1:{port}", "--expect", str(expect), "--seconds", "60"], stdout=subprocess.PIPE, text=True)
    assert sink.stdout.readline() == "ready\n"
    return sink


def check_delivered(daemon, sink, ids):
    text = sink.communicate()[0].splitlines()
    assert json.loads(text[-1])["received"] == MESSAGES, text
    await_empty(daemon)
    assert listed(daemon) == []
    delivered = re.findall(r" event=delivered id=(\S+) to=(\S+)", daemon.log())
    assert len(delivered) == MESSAGES and {id for id, to in delivered} == ids
    assert {to for id, to in delivered} == {f"user{i}@d{i % DOMAINS}.example" for i in range(MESSAGES)}


def case_a_long_queue_is_listed_and_delivered():
    """Every message is listed once, filters pick theirs, one message is told while a reader rests, and retried all are delivered once."""
    with World(dns=False) as world:
        daemon, port = full_world(world)
        daemon.start()
        read_all(daemon)
        messages = listed(daemon)
        ids = {message["id"] for message in messages}
        assert len(messages) == len(ids) == MESSAGES
        assert {message["recipients"][0]["to"] for message in messages} == {f"user{i}@d{i % DOMAINS}.example" for i in range(MESSAGES)}
        for filters, wanted in ((("--account", "account3"), MESSAGES // ACCOUNTS), (("--sender", "account7@example.net"), MESSAGES // ACCOUNTS),
                                (("--recipient", "user4321@d321.example"), 1), (("--recipient", "nobody@d1.example"), 0), (("--site", "127.0.0.1"), MESSAGES),
                                (("--account", "account3", "--recipient", "user4321@d321.example"), 0), (("--client", "192.0.2.1"), MESSAGES)):
            assert len(listed(daemon, *filters)) == wanted, filters
        slow, line = begin_list(daemon)
        quitter, _ = begin_list(daemon)
        stop(quitter)
        id = json.loads(line.lstrip("[").rstrip(",\n"))["id"]
        assert daemon.cli("message", id, json_output=True)["state"] == "queued"
        assert {m["id"] for m in json.loads(line + slow.communicate()[0].decode())} == ids
        sink = come_up(port, MESSAGES)
        daemon.cli("queue", "retry", "--all")
        check_delivered(daemon, sink, ids)


def case_a_long_queue_of_a_crash_is_delivered():
    """Segments that were never sealed, and a kill as soon as the first message has arrived: every message is delivered, and the spool is empty."""
    with World(dns=False) as world:
        daemon, port = full_world(world, "--open")
        sink = come_up(port, 2 * MESSAGES)
        daemon.start()
        assert sink.stdout.readline() == "first\n"
        daemon.kill()
        daemon.start()
        await_empty(daemon)
        stop(sink)
        delivered = set(re.findall(r" event=delivered id=(\S+)", daemon.log()))
        assert len(delivered) == MESSAGES, len(delivered)


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
