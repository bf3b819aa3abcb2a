"""What programs under test see of the time of day and of memory, set while they run (clock.c, memory.c)."""
import os
import struct
import subprocess

from world import TOP


def preload(folder, name):
    """A command that starts another with the library NAME.c, made in FOLDER, and the file that tells it what to do, of zeros."""
    library, file = folder / f"{name}.so", folder / name
    subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-shared", "-fPIC", "-O2", "-o", library, TOP / f"tests/lab/{name}.c", "-ldl"], check=True)
    file.write_bytes(bytes(16))
    return ["env", f"LD_PRELOAD={library}", f"POSTERN_TEST_{name.upper()}={file}"], file


def write(file, form, *values):
    """In one piece, into the file that is mapped."""
    with open(file, "r+b", buffering=0) as mapped:
        mapped.write(struct.pack(form, *values))


class Clock:
    """The time of day of programs that are started behind `prefix`; the others keep theirs."""

    def __init__(self, folder):
        self.prefix, self.file = preload(folder, "clock")

    def shift(self, seconds):
        """It is SECONDS later than it is from now on."""
        write(self.file, "<q", int(seconds))


class Memory:
    """Memory of programs that are started behind `prefix`; it runs out once where that is said."""

    def __init__(self, folder):
        self.prefix, self.file = preload(folder, "memory")

    def fail(self, pid, n):
        """The N-th allocation of process PID from now on fails."""
        write(self.file, "<qq", pid, n)

    def has_failed(self):
        """It did; nothing fails any more."""
        _, countdown = struct.unpack("<qq", self.file.read_bytes())
        write(self.file, "<qq", 0, 0)
        return countdown <= 0
