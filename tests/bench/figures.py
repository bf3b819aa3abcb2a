"""What the benchmarks measure with: processor time and memory of processes from /proc, and a table of it."""
import os
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "lab"))
from world import children  # noqa: E402

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
TOOLS = TESTS.parent / "build" / "bench"


def tree(pid):
    found = [pid]
    for child in children(pid):
        found += tree(child)
    return found


def processor_ms(pid):
    """Milliseconds of the process PID, all its children, and those it has waited for: of those that run to the nanosecond, by the scheduler; of those that
    ended in ticks."""
    total = 0
    for each in tree(pid):
        folder = pathlib.Path(f"/proc/{each}")
        try:
            ended = folder.joinpath("stat").read_text().rsplit(") ", 1)[1].split()
            total += sum(int(ended[i]) for i in (13, 14)) * TICK_MS
            total += sum(int(thread.joinpath("schedstat").read_text().split()[0]) for thread in folder.joinpath("task").iterdir()) / 1e6
        except OSError:
            continue
    return total


def memory_kb(pid):
    """Proportional set size of the tree."""
    total = 0
    for each in tree(pid):
        try:
            for line in pathlib.Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            continue
    return total


def status_kb(pid, name):
    """A field of /proc/PID/status: VmRSS, VmHWM (the most it ever was)."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def table(rows, names):
    width = max(len(row[0]) for row in rows) + 2
    print(" " * width + "".join(f"{name:>14}" for name in names))
    for row in rows:
        print(f"{row[0]:<{width}}" + "".join(f"{value:>14}" for value in row[1:]))


def compare(title, results):
    """Rows of what each relay did, {"rate": messages a second, "cpu_ms": processor ms a message}, with the ratio of the first to the second."""
    ratio = [f"{results[0]['cpu_ms'] / results[1]['cpu_ms']:.2f}"] if len(results) > 1 and results[1]["cpu_ms"] else []
    return [[f"{title}: messages/s"] + [f"{result['rate']:.0f}" for result in results],
            ["  processor ms a message"] + [f"{result['cpu_ms']:.3f}" for result in results] + ratio]


def show(rows):
    """Rows of compare(), and others like them: what postern did, then Postfix where it was measured, then the ratio."""
    table(rows, ("postern", "Postfix", "ratio")[:max(len(row) for row in rows) - 1])
