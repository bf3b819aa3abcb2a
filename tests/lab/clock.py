"""The time of day of programs under test, set while they run (clock.c)."""
import os
import struct
import subprocess

from world import TOP


class Clock:
    """The time of day of programs that are started behind `prefix`; the others keep theirs."""

    def __init__(self, folder):
        library, self.file = folder / "clock.so", folder / "clock"
        subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-shared", "-fPIC", "-O2", "-o", library, TOP / "tests/lab/clock.c", "-ldl"], check=True)
        self.file.write_bytes(bytes(8))
        self.prefix = ["env", f"LD_PRELOAD={library}", f"POSTERN_TEST_CLOCK={self.file}"]

    def shift(self, seconds):
        """It is SECONDS later than it is from now on."""
        with open(self.file, "r+b", buffering=0) as file:
            file.write(struct.pack("<q", int(seconds)))
