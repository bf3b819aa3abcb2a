"""Power cuts, enumerated: tests/crash/power.c runs the spool on a disk in memory and looks at every state that a cut could leave. `make crash` looks
at many more."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
from case import main  # noqa: E402
from world import SANITIZED  # noqa: E402

SEEDS = 18


def power(*arguments):
    done = subprocess.run([SANITIZED / "crash" / "power", *map(str, arguments)], capture_output=True, text=True, timeout=200)
    return done.returncode, done.stdout + done.stderr


def case_every_power_cut_leaves_what_was_promised():
    """What was told as stored is there byte for byte, what was never stored is not, no recipient is sent to again; also after a second cut."""
    code, text = power("--seeds", 1, SEEDS)
    print("note " + text.splitlines()[-1])
    assert code == 0, text


def case_the_books_notice_a_missing_sync():
    """A spool that left out a sync of its data, or of its folder, is found out."""
    for call in ("fdatasync", "fsync-folder"):
        code, text = power("--seeds", 1, 1, "--forget", call)
        assert code == 1 and " 0 lost" not in text.splitlines()[-1], f"{call}: {text}"


if __name__ == "__main__":
    os.chdir(pathlib.Path(__file__).resolve().parents[2])
    sys.exit(main(sys.modules[__name__]))
