"""Sisimai, a library that others use to read what bounces: what it finds in our reports."""
import json
import subprocess
import tempfile

from world import Skip


def read(data):
    """A dict for each recipient of the report DATA: recipient, action, deliverystatus, reason, diagnosticcode, rhost, …"""
    if subprocess.run(["perl", "-MSisimai", "-e", "1"], capture_output=True).returncode:
        raise Skip("Sisimai (libsisimai-perl) is not installed")
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        done = subprocess.run(["perl", "-MSisimai", "-e", "print Sisimai->dump($ARGV[0], delivered => 1)", file.name], capture_output=True, timeout=60)
    if done.returncode or done.stderr:
        raise AssertionError(f"Sisimai: exit {done.returncode}: {done.stderr[-2000:]!r}")
    return json.loads(done.stdout or "[]")
