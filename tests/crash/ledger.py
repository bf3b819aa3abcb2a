"""The books of what clients were told and what receivers got, and strace(1) as the one who does harm.

Given 250 means: arrives at least once, unchanged. Anything else means: arrives at most once. A copy too many is allowed only where the queue
or the delivery process ended between the message's last byte and the outcome's record (what is not wholly sent when the queue goes is not
sent on: relay/delivery/connection.c; here the window begins with the receiver's 354); for that the outcome logs are kept (a link to each) and
read at the end: who was recorded as delivered and got a copy afterwards was not allowed one."""
import contextlib
import hashlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
from receiver import Receiver  # noqa: E402
from submit import without_added  # noqa: E402
from world import Skip, World, wait_for  # noqa: E402

LONG = os.environ.get("POSTERN_CRASH_LONG") == "1"
HANG_SECONDS = 20
HEARS_SECONDS = 0.05  # within which the delivery process hears of the queue's end, and sends what it had begun to send no more
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ID = re.compile(rb"[\s;]id ([0-9a-z]{20})\b")
RECORDS = World.RECORDS + ["example.net. 300 IN MX 10 mx1.example.com."]


def content(key):
    """The message KEY ("NUMBER-SIZE"), byte for byte; some of its lines begin with a dot."""
    size = int(key.rpartition("-")[2])
    line = hashlib.sha256(key.encode()).hexdigest().encode() + b"\r\n"
    body = (line + b"." + line) * (size // 133 + 1)
    return (f"From: <alice@example.net>\r\nSubject: key={key}\r\nDate: Tue, 24 Nov 2026 22:15:03 +0000\r\n"
            f"Message-ID: <{key}@example.net>\r\n\r\n").encode() + body


class Answer:
    """What a client was told of one message: CODE 0 means that the connection ended first. TAKEN are the recipients that got a 250."""

    def __init__(self, code, text, taken=()):
        self.code, self.text, self.taken = code, text, list(taken)
        self.id = text.split()[1] if code == 250 else None

    def __repr__(self):
        return f"{self.code} {self.text}"


class Client:
    """A plain SMTP client that pipelines; opens its connection when it needs one. A server that says nothing for HANG_SECONDS hangs."""

    def __init__(self, port):
        self.port, self.sock, self.file = port, None, None

    def reply(self):
        while True:
            line = self.file.readline()
            if not line.endswith(b"\r\n"):
                raise ConnectionError("closed")
            if line[3:4] != b"-":
                return int(line[:3]), line[4:].decode().strip()

    def open(self):
        self.sock = socket.create_connection(("127.0.0.1", self.port), HANG_SECONDS)
        self.file = self.sock.makefile("rb")
        code, text = self.reply()
        if code == 220:
            self.sock.sendall(b"EHLO client.example.net\r\n")
            code, text = self.reply()
        return code, text

    def close(self):
        if self.sock:
            self.file.close()
            self.sock.close()
        self.sock = self.file = None

    def transaction(self, recipients, data):
        lines = ["MAIL FROM:<alice@example.net>", *(f"RCPT TO:<{recipient}>" for recipient in recipients), "DATA"]
        self.sock.sendall("".join(line + "\r\n" for line in lines).encode())
        replies = []
        for _ in lines:
            replies.append(self.reply())
            if replies[-1][0] == 421:
                return Answer(*replies[-1])
        taken = [recipient for recipient, reply in zip(recipients, replies[1:]) if reply[0] == 250]
        if replies[-1][0] != 354:
            return Answer(*next(reply for reply in replies if reply[0] >= 400))
        self.sock.sendall(data.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return Answer(*self.reply(), taken)

    def send(self, recipients, data):
        try:
            if not self.sock:
                code, text = self.open()
                if code != 250:
                    self.close()
                    return Answer(code, text)
            answer = self.transaction(recipients, data)
        except TimeoutError:
            return None
        except OSError as error:
            self.close()
            return Answer(0, str(error))
        if answer.code == 421:
            self.close()
        return answer


class Ledger:
    """DAEMON's books; its receivers are RECEIVER here, for example.com (and for the reports to example.net)."""

    def __init__(self, world, daemon):
        self.daemon = daemon
        self.spool = daemon.folder / "spool"
        self.logs = world.folder / f"{daemon.folder.name}-logs"
        self.logs.mkdir()
        self.linked = set()
        self.lock, self.session = threading.Lock(), threading.local()
        self.told, self.copies, self.reports, self.altered, self.put_off = {}, {}, {}, [], set()
        self.number = 0
        self.killed = []  # (from, until, what): died in between, WHAT being "everything" or a role
        self.receiver = world.add(Receiver("127.0.1.1", world.delivery_port, {"rcpt": self.answer_rcpt, "data": self.answer_data}))
        self.receiver.messages = self  # takes each message by append(), before it is answered

    def answer_rcpt(self, address):
        if address.startswith("never"):
            return "550 5.1.1 there is nobody of this name"
        if address.startswith("later") and address not in self.put_off:
            self.put_off.add(address)
            return "451 4.2.0 later"
        return None

    def answer_data(self, _):
        self.session.begun = time.time()

    def keep_logs(self):
        """Links each outcome log that is there, so that it can be read when the spool is done with it."""
        for entry in os.scandir(self.spool):
            with contextlib.suppress(FileNotFoundError):
                inode = entry.inode()
                if entry.name.endswith(".log") and inode not in self.linked:
                    os.link(entry.path, self.logs / f"{inode}.log")
                    self.linked.add(inode)

    def append(self, message):
        """A receiver got MESSAGE and is about to say 250. Its outcome log is there: it is not finished."""
        now = time.time()
        self.keep_logs()
        if message.sender == "":
            for key in set(re.findall(rb"never-(\d+-\d+)@", message.data)):
                self.reports.setdefault(key.decode(), []).append(now)
            return
        found = re.search(rb"^Subject: key=(\d+-\d+)\r$", message.data, re.M)
        key = found and found.group(1).decode()
        if not key or without_added(message.data) != content(key):
            self.altered.append(key or message.data[:200])
            return
        for recipient in message.recipients:
            self.copies.setdefault((key, recipient), []).append((self.session.begun, now, ID.search(message.data).group(1).decode()))

    def submit(self, client, recipients, size, what=""):
        """One message over CLIENT while WHAT happens; in a recipient, KEY stands for the message's key. Returns the answer, which must be a 250,
        a 4xx with an enhanced code, or the connection's end."""
        with self.lock:
            self.number += 1
            key = f"{self.number}-{size}"
        recipients = [recipient.replace("KEY", key) for recipient in recipients]
        answer = client.send(recipients, content(key))
        assert answer, f"{what}: the server said nothing of {key} for {HANG_SECONDS} s"
        self.told[key] = (recipients, answer)
        assert answer.code in (0, 250) or (400 <= answer.code < 500 and re.match(r"4\.\d+\.\d+ ", answer.text)), f"{what}: {key}: {answer}"
        return answer

    def missing(self, since=0):
        """(key, recipient) of what was told 250 and has not arrived, or was not reported; of the messages behind number SINCE."""
        found = []
        for key, (_, answer) in list(self.told.items())[since:]:
            if answer.code == 250:
                found += [(key, r) for r in answer.taken if not (self.reports.get(key) if r.startswith("never") else self.copies.get((key, r)))]
        return found

    def await_all(self, seconds=60, since=0):
        """Waits until everything accepted has arrived, trying at once what waits for its next attempt."""
        end, wait = time.monotonic() + seconds, 0.15
        tried = time.monotonic() - 0.12
        while self.missing(since) and time.monotonic() < end:
            time.sleep(0.01)
            if time.monotonic() - tried > wait:
                self.daemon.cli("queue", "retry", "--all", check=False)
                tried, wait = time.monotonic(), min(wait * 1.5, 2)
        return not self.missing(since)

    def delivered(self):
        """{(id, recipient's number): how often it was recorded as delivered}."""
        with contextlib.suppress(FileNotFoundError):
            self.keep_logs()
        found = {}
        for path in self.logs.iterdir():
            data = path.read_bytes()
            at = data.find(b"POut")
            while at >= 0:
                if at % 8 == 0 and data[at + 7] == 0:
                    who = (uid(data[at + 16:at + 28]), int.from_bytes(data[at + 28:at + 32], "little"))
                    found[who] = found.get(who, 0) + 1
                at = data.find(b"POut", at + 4)
        return found

    def twice(self):
        """{cause: how often a recipient got another copy}; raises where one has no allowed cause."""
        causes, delivered, deferred = {}, self.delivered(), None
        for (key, recipient), copies in self.copies.items():
            if len(copies) == 1:
                continue
            recipients, answer = self.told[key]
            deferred = self.deferrals() if deferred is None else deferred
            number = (answer.taken or recipients).index(recipient)
            records = delivered.get((copies[0][2], number), 0)
            assert records <= 1 and len({i for *_, i in copies}) == 1, f"{key} to {recipient}: {len(copies)} copies, recorded as delivered {records} times"
            for (before, _, i), (_, after, _) in zip(copies, copies[1:]):
                cause = self.cause(deferred.get((i, recipient), []), before, after)
                near = [(what, round(start - before, 3), round(end - before, 3)) for start, end, what in self.killed if abs(start - before) < 2]
                assert cause, f"{i}, {key} to {recipient}: a second copy {after - before:.3f} s after the first, without an allowed cause; killed were {near}; " \
                              + "; ".join(line for line in self.daemon.log().splitlines() if i in line)
                causes[cause] = causes.get(cause, 0) + 1
        return causes

    def deferrals(self):
        """{(id, recipient): [(time, reply)]} of the log."""
        found = {}
        for event in self.daemon.events("deferred"):
            found.setdefault((event["id"], event["to"]), []).append((timestamp(event["time"]), event.get("reply", "")))
        return found

    def cause(self, deferrals, before, after):
        """Why a recipient whose copies came at BEFORE and AFTER got the second: the queue died, and knew nothing of the first; or it lived and
        noted that the delivery process died, or that a connection broke behind the message."""
        until, reply = next(((at, reply) for at, reply in deferrals if before - 0.002 <= at <= after), (after, ""))
        died = {what for start, end, what in self.killed if start <= until + 0.001 and end >= before - HEARS_SECONDS}
        if died & {"queue", "everything"}:
            return "queue" if "queue" in died else "everything"
        if "delivery process ended" in reply and "delivery" in died:
            return "delivery"
        return "connection" if "whether it was taken is unknown" in reply else None

    def counts(self):
        answers = [answer.code for _, answer in self.told.values()]
        return {"sent": len(answers), "accepted": answers.count(250), "refused": sum(400 <= code for code in answers), "broken": answers.count(0)}

    def close(self, extra=""):
        """The last word: prints the figures, raises where something was lost, altered, or came twice without a cause, and returns the figures."""
        missing = self.missing()
        twice = self.twice()
        counts = self.counts()
        print(f"note {extra}{counts['sent']} messages: {counts['accepted']} accepted, {counts['refused']} refused, {counts['broken']} cut off; "
              f"{len(missing)} lost, {len(self.altered)} altered, {sum(twice.values())} twice {twice or ''}".rstrip(), flush=True)
        assert not missing and not self.altered, f"lost {missing[:20]}, altered {self.altered[:20]}"
        return {**counts, **{f"twice: {cause}": n for cause, n in twice.items()}}


def uid(data):
    """A message's id as it is printed."""
    number = int.from_bytes(data, "big") << 4
    return "".join(ALPHABET[number >> shift & 31] for shift in range(95, -1, -5))


def timestamp(text):
    """Seconds since the epoch of the log's time."""
    import calendar
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + float("0" + text[19:-1])


class Strace:
    """strace on the thread TID, doing DEED (error=EIO, signal=KILL, delay_exit=…) at calls CALL, the WHEN-th or those from it on ("3+"); ALSO are
    further (call, deed, when)."""

    def __init__(self, tid, call, deed, when, also=()):
        deeds = [(call, deed, when), *also]
        self.out = tempfile.NamedTemporaryFile(prefix="postern-strace-")
        command = ["strace", "-o", self.out.name, "-p", str(tid), "-e", "trace=" + ",".join(d[0] for d in deeds)]
        for what, how, n in deeds:
            command += ["-e", f"inject={what}:{how}:when={n}"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        if "attached" not in line:
            self.close()
            raise ProcessLookupError(line.strip())

    def text(self):
        return pathlib.Path(self.out.name).read_text(errors="replace")

    def hit(self):
        text = self.text()
        return "(INJECTED)" in text or "(DELAYED)" in text or "+++ killed" in text

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()
        self.out.close()


def need_strace():
    """Skips the case where strace is not there or may not look into another process."""
    from world import which
    which("strace")
    victim = subprocess.Popen(["sleep", "60"])
    try:
        Strace(victim.pid, "write", "error=EIO", 1).close()
    except ProcessLookupError as refused:
        raise Skip(f"strace is not permitted here: {refused}") from None
    finally:
        victim.kill()
        victim.wait()


def thread_of(pid, turn):
    """The thread of PID that was made as the TURN-th; waits for it."""
    threads = wait_for(lambda: len(os.listdir(f"/proc/{pid}/task")) > turn and os.listdir(f"/proc/{pid}/task"), what="a thread of the role")
    return sorted(map(int, threads))[turn]


def one_core(turn=0):
    """A command that runs another on one core, so that there is one process of each role."""
    cores = sorted(os.sched_getaffinity(0))
    return ("taskset", "-c", str(cores[turn % len(cores)]))


def ready(daemon, pids=None):
    """Waits until each role of DAEMON lives; those in PIDS must be others."""
    def settled():
        now = daemon.pids()
        return len(now) == 8 and not any(set(now[role]) & set(old) for role, old in (pids or {}).items()) and now
    return wait_for(settled, what="a new process of each role")
