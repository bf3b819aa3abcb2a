"""Policy as an administrator meets it: limits that only observe, what they would have done, and that it outlives the process."""
import contextlib
import os
import re
import signal
import sys
import time

from case import main
from operation_lab import HEAD, LISTENER, TLS, from_address, literal_blocks, manual_commands, office, passes, refusal
from submit import connect, message, send, submit
from world import TOP, World, wait_for

OBSERVED = """
limit watched { key = account count = recipients rate = "3/1h" then = reject mode = observe }
limit large { key = client count = bytes rate = "1000/1h" then = slow mode = observe }
limit real { key = account count = recipients rate = "6/1h" then = defer }
"""


def would(daemon, *filters):
    """{(limit, value, mode): (questions, units)} as `postern limits --would` has it; value None is all of them."""
    rows = daemon.cli("limits", "--would", *filters, json_output=True)
    for row in rows:
        assert sum(day["questions"] for day in row["days"]) == row["questions"] and sum(day["units"] for day in row["days"]) == row["units"], row
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", day["day"]) for day in row["days"]) and len(row["days"]) in (1, 2), row
    pairs = [row["units"] for row in rows if row["value"] is not None]
    assert pairs == sorted(pairs, reverse=True), rows
    return {(row["limit"], row["value"], row["mode"]): (row["questions"], row["units"]) for row in rows}


def asked_again(daemon):
    """What would returns, once the policy role is there to answer."""
    with contextlib.suppress(AssertionError):
        return would(daemon)
    return None


def case_observed_limits_tell_what_they_would_have_refused():
    """mode = observe refuses nothing; limits --would sums up what it would have refused, beside what others did; it outlives SIGTERM and kill -9."""
    with office(users=("alice", "bob"), sections=OBSERVED) as (_, daemon, receiver):
        assert would(daemon) == {} and daemon.cli("limits", "--would") == "none\n"
        session = connect(daemon)
        for number in range(3):
            send(session, "alice@example.net", [f"u{number}{i}@example.com" for i in range(2)], message(str(number)))
        assert refusal(send, session, "alice@example.net", ["more@example.com"], message("refused")) == (450, "4.7.1")
        session.close()
        submit(daemon, "bob@example.net", ["u@example.com"], message("large", b"x" * 70 + b"\r\n" + b"y" * 900 + b"\r\n"), user="bob")
        for i in range(2):
            outside = from_address("127.0.0.60", daemon.open_port)
            send(outside, "printer@example.net", ["u@example.com"], message(f"huge {i}", b"z" * 900 + b"\r\n" + b"z" * 900 + b"\r\n", sender="printer@example.net"))
            outside.close()
        wait_for(lambda: len(receiver.messages) == 6, what="all that was only observed")
        seen = would(daemon)
        # Of alice's six recipients three fitted; the seventh was observed, too, and refused by the other limit.
        assert seen[("watched", "alice", "observe")] == (4, 4) and seen[("real", "alice", "enforce")] == (1, 1), seen
        assert seen[("watched", None, "observe")] == (4, 4) and ("watched", "bob", "observe") not in seen, seen
        assert seen[("large", "127.0.0.60", "observe")][0] == 2 and seen[("large", "127.0.0.60", "observe")][1] > 3600, seen
        assert seen[("large", "127.0.0.1", "observe")][0] >= 1, seen
        assert would(daemon, "--account", "ALICE") == {key: value for key, value in seen.items() if key[1] == "alice"}
        assert would(daemon, "--client", "127.0.0.60") == {key: value for key, value in seen.items() if key[1] == "127.0.0.60"}
        text = daemon.cli("limits", "--would")
        assert re.search(r"^watched \(recipients by account\), only observed, would have been rejected:\n.*\n  alice +4 +4 +\d  \d{4}-\d\d-\d\d\n  all together +4 +4 +\d", text, re.M), text
        assert re.search(r"^real \(recipients by account\), in force, was deferred:\n.*\n  alice +1 +1 +\d  ", text, re.M), text
        assert all(len(line) <= 80 for line in text.splitlines()), text
        assert daemon.stop() == 0
        daemon.start()
        assert would(daemon) == seen
        session = connect(daemon)
        asked = time.time()
        assert refusal(send, session, "alice@example.net", ["more@example.com"], message("refused")) == (450, "4.7.1")
        session.close()
        seen = would(daemon)
        assert seen[("watched", "alice", "observe")] == (5, 5) and seen[("real", "alice", "enforce")] == (2, 2), seen
        wait_for(lambda: (daemon.folder / "policy" / "would.log").stat().st_mtime > asked, what="its being written down")
        os.kill(daemon.pids()["policy"][0], signal.SIGKILL)
        assert wait_for(lambda: asked_again(daemon), what="the policy role's return") == seen


def case_the_manual_of_the_policy_is_right():
    """postern-policy(7): its three configurations are whole and right, the piece of one fits, and every command in it is one of postern(1)."""
    text = (TOP / "policy/postern-policy.7").read_text()
    names, _ = manual_commands()
    with World(dns=False) as world:
        blocks = [block for block in literal_blocks(text) if "{" in block]
        assert len([block for block in blocks if "hostname" in block]) == 3 and len(blocks) == 4, blocks
        for number, block in enumerate(blocks):
            passes(world, block if "hostname" in block else HEAD + TLS + LISTENER + block, f"block {number}")
    commands = re.findall(r"^(?:\.Dl |\.Ic )?postern ([a-z].*)$", text, re.M)
    assert len(commands) >= 12, commands
    for command in commands:
        assert any(command.startswith(name) for name in names), command


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
