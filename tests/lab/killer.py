"""killer.py PID   kills (SIGKILL) one of PID's children each half second, its roles in turn, until its standard input ends; then prints how many.
A process of its own, so that busy clients do not hold it up."""
import os
import select
import signal
import sys

from world import children

turn, kills, parent = 0, 0, int(sys.argv[1])


def roles():
    found = {}
    for pid in children(parent):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as command:
                found.setdefault(command.read().split(b"--role=")[-1], []).append(pid)
        except OSError:
            continue
    return sorted(found.items())


while not select.select([sys.stdin], [], [], 0.5)[0]:
    living = roles()
    if living:
        _, pids = living[turn % len(living)]
        turn += 1
        try:
            os.kill(pids[turn % len(pids)], signal.SIGKILL)
            kills += 1
        except ProcessLookupError:
            pass
print(kills)
