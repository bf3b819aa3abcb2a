"""postern top at a terminal: what it shows, its keys, and that the terminal is as before when it ends, by whatever."""
import contextlib
import fcntl
import os
import pathlib
import pty
import select
import signal
import struct
import subprocess
import sys
import termios

from case import main
from operation_lab import office
from submit import message, submit
from world import SANITIZED, wait_for


class Screen:
    """A terminal of 24 lines and 80 columns with `postern top` in it."""

    def __init__(self, daemon):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.slave, self.usual, self.text = slave, termios.tcgetattr(slave), b""
        self.process = subprocess.Popen([SANITIZED / "postern", "-f", daemon.file, "top"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 65536)
        return self.text

    def page(self):
        """The lines of the page that was drawn last and whole."""
        pages = self.read().split(b"\x1b[H")
        whole = [page for page in pages[1:] if b"\x1b[J" in page]
        return [line.replace("\x1b[K", "").replace("\x1b[7m", "").replace("\x1b[m", "") for line in whole[-1].decode().split("\r\n")] if whole else []

    def until(self, words):
        return wait_for(lambda: any(words in line for line in self.page()) and self.page(), what=words)

    def type(self, keys):
        os.write(self.master, keys)

    def end(self):
        code = self.process.wait(20)
        assert self.read().endswith(b"\x1b[?25h\x1b[?1049l"), self.text[-100:]
        assert termios.tcgetattr(self.slave) == self.usual, "the terminal's settings"
        os.close(self.master), os.close(self.slave)
        return code


def case_a_page_and_its_keys():
    """Rates, sites, accounts; sorting and choosing; hold and release of what is chosen, after a y; q ends it."""
    with office({"rcpt": "450 4.2.0 later"}, users=("alice",), queue="retry = { 1h }") as (_, daemon, _receiver):
        submit(daemon, "alice@example.net", ["bob@example.com"], message("one"))
        submit(daemon, "alice@example.net", ["bob@dead.example"], message("two"))
        wait_for(lambda: len(daemon.events("deferred")) == 2)
        screen = Screen(daemon)
        page = screen.until("mx.dead.example")
        assert page[0].startswith("postern 0.") and "2 messages, 2 recipients" in page[1] and "a second:" in page[2], page
        assert all(len(line) <= 80 for line in page), page
        assert any(line.startswith(">") for line in page)
        screen.type(b"s")
        screen.until("by connections")
        screen.type(b"sss")
        screen.until("by waiting")
        marked = next(line for line in screen.page() if line.startswith(">")).split()[0][1:]
        screen.type(b"h")
        screen.until(f"hold all mail of site {marked}? y does it")
        screen.type(b"n")
        wait_for(lambda: not any("y does it" in line for line in screen.page()))
        assert daemon.cli("status", json_output=True)["queue"]["held"] == 0
        screen.type(b"h")
        screen.until("y does it")
        screen.type(b"y")
        screen.until("1 messages changed")
        assert daemon.cli("status", json_output=True)["queue"]["held"] == 1
        screen.type(b"e")
        screen.until("let all held mail go")
        screen.type(b"y")
        wait_for(lambda: daemon.cli("status", json_output=True)["queue"]["held"] == 0)
        screen.type(b"\x1b[B\x1b[A")
        screen.type(b"a")
        screen.until("account in trouble")
        daemon.cli("account", "suspend", "alice")
        screen.until("alice")
        screen.type(b"q")
        assert screen.end() == 0


def case_an_answer_is_about_what_was_asked():
    """Between the question and the y the rows move: what the question named is held, and nothing else; the question stays on the page."""
    with office({"rcpt": "450 4.2.0 later"}, users=("alice",), queue="retry = { 1h }") as (_, daemon, _receiver):
        ids = [submit(daemon, "alice@example.net", [to], message(to)) for to in ("bob@dead.example", "bob@example.com")]
        wait_for(lambda: len(daemon.events("deferred")) == 2)
        screen = Screen(daemon)
        screen.until("mx.dead.example")
        while not any(line.startswith(">mx.dead") for line in screen.page()):
            screen.type(b"j")
            screen.until("mx.dead.example")
            wait_for(lambda: any(line.startswith(">") for line in screen.page()))
            screen.type(b"s")
        screen.type(b"h")
        screen.until("site mx.dead.example? y does it")
        before = len(screen.read())
        daemon.cli("queue", "remove", ids[1])  # its row goes, or at least stands elsewhere
        for n in range(3):
            submit(daemon, "alice@example.net", [f"x{n}@example.com"], message(f"more {n}"))
        wait_for(lambda: len(screen.read()) > before + 3000, what="some pages more")
        screen.until("site mx.dead.example? y does it")
        screen.type(b"y")
        screen.until("1 messages changed")
        held = [e["id"] for e in daemon.cli("queue", "list", json_output=True) if e["state"] == "held"]
        assert held == [ids[0]], held
        control = daemon.pids()["control"][0]
        os.kill(control, signal.SIGSTOP)
        try:
            os.write(screen.master, b"\x1a")  # no shell gets this page
            wait_for(lambda: is_asleep(screen.process.pid), what="its waiting for the daemon")
            screen.process.send_signal(signal.SIGTERM)
            assert screen.end() == 128 + signal.SIGTERM
        finally:
            os.kill(control, signal.SIGCONT)


def is_asleep(pid):
    """Does PID wait for an answer of the daemon (it reads a socket), not for a key (poll)?"""
    return pathlib.Path(f"/proc/{pid}/syscall").read_text().split()[0] in ("0", "45", "47")


def case_it_ends_with_whatever_ends_it():
    """SIGTERM, SIGHUP, and a daemon that stops: the terminal is given back; a daemon that is down is told of on the page."""
    with office(users=("alice",)) as (_, daemon, _receiver):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            screen = Screen(daemon)
            screen.until("postern 0.")
            screen.process.send_signal(number)
            screen.end()
        screen = Screen(daemon)
        screen.until("postern 0.")
        daemon.stop()
        screen.until("posternd")
        screen.type(b"q")
        assert screen.end() == 0
        with contextlib.closing(open(os.devnull)) as nothing:
            done = subprocess.run([SANITIZED / "postern", "-f", daemon.file, "top"], stdin=nothing, capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr, done


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
