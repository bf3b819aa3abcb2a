"""Damage: spools that are not as they were written, clocks that jump, descriptors and disks that run out. Nothing that was altered is ever sent, what
is whole is sent once, and a person is told.

A spool is damaged by editing a pair of files that the daemon wrote: `Pair` has what is needed of relay/spool/README.md, written down a second time
on purpose. One pair is copied under many numbers, each copy with ids and subjects of its own, so that one start meets every damage at once."""
import concurrent.futures
import contextlib
import os
import pathlib
import resource
import smtplib
import socket
import struct
import subprocess
import sys
import time

from case import main
from preload import Clock
from receiver import Receiver
from submit import connect, message, send, submit, without_added
from world import TOP, Skip, World, wait_for, which

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(data):
    """CRC-32C (Castagnoli), as all checksums of the spool are."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


class Pair:
    """A segment of three messages and its log, as bytes that may be edited. MARK stands in the subjects: pp00-m0 and so on."""

    def __init__(self, segment, log, mark=b"pp00"):
        self.segment, self.log, self.mark = bytearray(segment), bytearray(log), mark
        self.number = struct.unpack_from("<Q", segment, 16)[0]
        self.table = struct.unpack_from("<Q", segment, len(segment) - 24)[0]
        count = struct.unpack_from("<I", segment, len(segment) - 16)[0]
        self.records = struct.unpack_from(f"<{count}Q", segment, self.table)
        self.outcomes, at = [], 32
        while at < len(log):
            self.outcomes.append(at)
            at += struct.unpack_from("<H", log, at + 4)[0] + 7 & ~7

    def sizes(self, record):
        """Bytes of (content, envelope, prefix) of RECORD (its place among the records)."""
        envelope, content, prefix = struct.unpack_from("<IQI", self.segment, self.records[record] + 20)
        return content, envelope, prefix

    def part(self, record, which):
        """Where content (0), envelope (1) or prefix (2) of RECORD begins."""
        return self.records[record] + 64 + sum(self.sizes(record)[:which])

    def put(self, at, form, value, log=False):
        struct.pack_into("<" + form, self.log if log else self.segment, at, value)

    def flip(self, at, log=False):
        (self.log if log else self.segment)[at] ^= 0x10

    def sign_header(self):
        self.put(60, "I", crc32c(self.segment[:60]))

    def sign_log_header(self):
        self.put(28, "I", crc32c(self.log[:28]), log=True)

    def sign_record(self, record):
        at = self.records[record]
        self.put(at + 60, "I", crc32c(self.segment[at:at + 60]))

    def sign_outcome(self, outcome):
        at = self.outcomes[outcome]
        size = struct.unpack_from("<H", self.log, at + 4)[0]
        self.put(at + 60, "I", crc32c(self.log[at:at + 60] + self.log[at + 64:at + size]), log=True)

    def sign_table(self):
        footer = len(self.segment) - 40
        self.put(footer + 28, "I", crc32c(self.segment[self.table:footer]))
        self.put(footer + 36, "I", crc32c(self.segment[footer:footer + 36]))

    def copy(self, number, ids=True):
        """The same under another NUMBER, with ids (unless IDS is false) and subjects of its own."""
        copy = Pair(self.segment, self.log, b"pp%02x" % (number & 255))
        copy.number = number
        copy.put(16, "Q", number)
        copy.put(16, "Q", number, log=True)
        copy.sign_header(), copy.sign_log_header()
        for i, at in enumerate(self.records):
            content, size = copy.part(i, 0), copy.sizes(i)[0]
            copy.segment[content:content + size] = copy.segment[content:content + size].replace(self.mark, copy.mark)
            copy.put(at + 40, "I", crc32c(copy.segment[content:content + size]))
            if ids:
                copy.put(at + 14, "I", number & 0xFFFFFFFF)
            copy.sign_record(i)
        for i, at in enumerate(self.outcomes):
            if ids:
                copy.put(at + 22, "I", number & 0xFFFFFFFF, log=True)
            copy.sign_outcome(i)
        return copy

    def open(self):
        """Without its table, as a crash would leave it."""
        del self.segment[self.table:]

    def write(self, folder, number=None, segment=True, log=True):
        name = f"{self.number if number is None else number:016x}"
        if segment:
            (folder / f"{name}.seg").write_bytes(self.segment)
        if log:
            (folder / f"{name}.log").write_bytes(self.log)


HERE, GONE = "127.0.1.1", "127.0.1.250"  # the hosts of example.com, which is there from the beginning, and of dead.example


def original(number, mark=b"pp00"):
    """The message NUMBER of the pair with MARK, as it was submitted."""
    return message(f"pp00-m{number}", b"".join(b"line %d of %d\r\n" % (line, number) for line in range(200))).replace(b"pp00", mark)


def template(world, daemon):
    """A pair of three messages: m0 was delivered to bob@example.com and waits for carol@dead.example, m1 and m2 wait for dead.example."""
    receiver = world.add(Receiver(HERE, world.delivery_port))
    session = connect(daemon)
    for number in range(3):
        send(session, "alice@example.net", (["bob@example.com"] if number == 0 else []) + ["carol@dead.example"], original(number))
    session.close()
    wait_for(lambda: daemon.events("delivered") and daemon.events("deferred"), what="a delivery and a deferral")
    assert daemon.stop() == 0
    spool = daemon.folder / "spool"
    (segment,) = spool.glob("*.seg")
    found = Pair(segment.read_bytes(), segment.with_suffix(".log").read_bytes())
    assert len(found.records) == 3 and len(found.outcomes) >= 2, (found.records, found.outcomes)
    segment.unlink(), segment.with_suffix(".log").unlink()
    return found, receiver, spool


def start_daemon(world, **options):
    options.setdefault("queue", "retry = { 1s }")
    daemon = world.posternd(**options)
    daemon.user("alice", "secret")
    return daemon.start()


ALL, NONE = {0, 1, 2}, set()


def outcome(pair, kind):
    """Which outcome of PAIR is of KIND: 1 delivered, 3 deferred."""
    return next(i for i, at in enumerate(pair.outcomes) if pair.log[at + 7] == kind)


def flip_part(which, opened, at=9):
    """Flips a byte of m1's part WHICH, in a sealed segment or in one that is OPENED; -1: of its header."""
    def damage(pair):
        if opened:
            pair.open()
        pair.flip(pair.records[1] + at if which < 0 else pair.part(1, which) + at)
    return damage


def forge(field, form, value, opened):
    """Puts VALUE at FIELD of m1's header, which is signed again: a writer that errs, not a disk."""
    def damage(pair):
        pair.put(pair.records[1] + field, form, value)
        pair.sign_record(1)
        if opened:
            pair.open()
    return damage


def flip_at(place, log=False):
    return lambda pair: pair.flip(place(pair), log)


def foreign_segment(pair):
    pair.put(8, "I", 2)
    pair.sign_header()


def foreign_log(pair):
    pair.put(8, "I", 2, log=True)
    pair.sign_log_header()


def wrong_log(pair):
    pair.put(16, "Q", 0x999, log=True)
    pair.sign_log_header()


def table_past_the_end(pair):
    pair.put(pair.table + 16, "Q", len(pair.segment) + 8)
    pair.sign_table()


def outcome_size(value):
    def damage(pair):
        pair.put(pair.outcomes[outcome(pair, 1)] + 4, "H", value, log=True)
    return damage


def cut(segment=None, log=None):
    def damage(pair):
        if segment is not None:
            del pair.segment[segment(pair):]
        if log is not None:
            del pair.log[log:]
    return damage


def add(data):
    def damage(pair):
        pair.open()
        pair.segment.extend(data)
    return damage


# What is done to a pair: which messages arrive at dead.example, whether bob@example.com gets m0 again, the file that is named, and what the log says.
DAMAGES = [
    ("nothing", lambda pair: None, ALL, False, None, None),
    ("segment header", flip_at(lambda pair: 24), ALL, False, ".seg", "header is damaged"),
    ("segment magic", flip_at(lambda pair: 0), ALL, False, ".seg", "header is damaged"),
    ("record header", flip_part(-1, False), {0, 2}, False, ".seg", "set aside"),
    ("record header, open", flip_part(-1, True), {0, 2}, False, ".seg", "set aside"),
    ("record mark", flip_part(-1, True, 50), {0, 2}, False, ".seg", "set aside"),
    ("content", flip_part(0, False, 900), {0, 2}, False, ".seg", "checksum"),
    ("content, open", flip_part(0, True, 900), {0, 2}, False, ".seg", "the content is not"),
    ("envelope", flip_part(1, False), {0, 2}, False, ".seg", "the record is damaged"),
    ("envelope, open", flip_part(1, True), {0, 2}, False, ".seg", "the envelope is not"),
    ("prefix", flip_part(2, False), {0, 2}, False, ".seg", "checksum"),
    ("prefix, open", flip_part(2, True), {0, 2}, False, ".seg", "the prefix is not"),
    ("content of 0 bytes", forge(24, "Q", 0, False), {0, 2}, False, ".seg", "damaged"),
    ("content of 0 bytes, open", forge(24, "Q", 0, True), {0, 2}, False, ".seg", "not as it was written"),
    ("content of 2^32-1 bytes", forge(24, "Q", 2**32 - 1, False), {0, 2}, False, ".seg", "set aside"),
    ("content of 2^32-1 bytes, open", forge(24, "Q", 2**32 - 1, True), {0, 2}, False, ".seg", "set aside"),
    ("content of 2^64-1 bytes, open", forge(24, "Q", 2**64 - 1, True), {0, 2}, False, ".seg", "set aside"),
    ("envelope of 0 bytes", forge(20, "I", 0, False), {0, 2}, False, ".seg", "damaged"),
    ("envelope of 2^32-1 bytes", forge(20, "I", 2**32 - 1, False), {0, 2}, False, ".seg", "set aside"),
    ("prefix of 2^32-1 bytes, open", forge(32, "I", 2**32 - 1, True), {0, 2}, False, ".seg", "set aside"),
    ("table", flip_at(lambda pair: pair.table + 9), ALL, False, None, None),
    ("footer", flip_at(lambda pair: len(pair.segment) - 30), ALL, False, None, None),
    ("table past the end", table_past_the_end, ALL, False, None, None),
    ("no table", Pair.open, ALL, False, None, None),
    ("bytes behind the end", add(b"\x55" * 999), ALL, False, None, None),
    ("zeros behind the end", add(bytes(5000)), ALL, False, None, None),
    ("cut in m0, which waits", cut(segment=lambda pair: pair.records[0] + 500), NONE, False, ".seg", "restore the segment"),
    ("an empty segment", cut(segment=lambda pair: 0), NONE, False, ".seg", "restore the segment"),
    ("a segment of 40 bytes", cut(segment=lambda pair: 40), NONE, False, ".seg", "restore the segment"),
    ("an empty pair", cut(segment=lambda pair: 0, log=0), NONE, False, None, None),
    ("log header", flip_at(lambda pair: 16, log=True), ALL, False, ".log", "header is damaged"),
    ("outcome", flip_at(lambda pair: pair.outcomes[outcome(pair, 1)] + 70, log=True), ALL, True, "?", "may be sent to again"),
    ("outcome of 0 bytes", outcome_size(0), ALL, True, "?", "may be sent to again"),
    ("outcome of 65535 bytes", outcome_size(65535), ALL, True, "?", "may be sent to again"),
    ("an empty log", cut(log=0), ALL, True, None, None),
    ("foreign version", foreign_segment, NONE, False, ".seg", "of another version"),
    ("foreign version of the log", foreign_log, NONE, False, ".seg", "of another version"),
    ("log of another segment", wrong_log, NONE, False, ".seg", "of another segment"),
]


def lay_out(pair, spool):
    """Writes a damaged copy of PAIR for each of DAMAGES. [(number, name, messages, again, ending, text)]"""
    expected = []
    for number, (name, damage, messages, again, ending, text) in enumerate(DAMAGES, 1):
        copy = pair.copy(number)
        last = copy.outcomes[outcome(copy, 1)] == copy.outcomes[-1]
        damage(copy)
        copy.write(spool)
        expected.append((number, name, messages, again, (None if last else ".log") if ending == "?" else ending, text))  # a torn end is no damage
    return expected


def lay_out_files(pair, spool):
    """The same for whole files: missing, copied, of another kind. Numbers from 0x80 on."""
    pair.copy(0x80).write(spool, log=False)
    pair.copy(0x81).write(spool, segment=False)
    pair.copy(0x82).write(spool, log=False), (spool / f"{0x82:016x}.log").mkdir()
    pair.copy(0x83).write(spool, segment=False), (spool / f"{0x83:016x}.seg").mkdir()
    for number in (0x85, 0x8c):  # cp, of both files and of one: their headers say what they are
        pair.copy(0x84).write(spool), pair.copy(0x84).write(spool, number, log=number == 0x85)
    copy = pair.copy(0x86)
    copy.write(spool), copy.copy(0x87, ids=False).write(spool)  # the same ids in segments that are right by themselves
    os.mkfifo(spool / f"{0x88:016x}.seg"), os.mkfifo(spool / f"{0x89:016x}.log")
    (spool / f"{0x8a:016x}.seg").symlink_to("/etc/passwd")
    empty = pair.copy(0x8b)
    del empty.log[32:]
    empty.write(spool, segment=False)
    (spool / "README").write_text("not ours"), (spool / "00000000000000FF.seg").write_text("upper case"), (spool / "1.seg").write_text("")
    (spool / "lost+found").mkdir(), (spool / "core").write_bytes(os.urandom(5000)), (spool / f"{0x84:016x}.seg.bak").write_bytes(pair.segment)
    return [(0x80, "no log", ALL, True, None, "has no outcome log"), (0x81, "no segment", NONE, False, ".seg", "restore the segment"),
            (0x82, "a folder as log", NONE, False, ".seg", "Is a directory"), (0x83, "a folder as segment", NONE, False, ".seg", "Is a directory"),
            (0x84, "copied", ALL, False, None, None), (0x85, "a copied pair", NONE, False, ".seg", "of another segment"),
            (0x8c, "a copied segment", NONE, False, ".seg", "copied or renamed"), (0x86, "ids twice", ALL, False, None, None),
            (0x87, "ids twice, again", NONE, False, None, "this copy is not"), (0x88, "a pipe as segment", NONE, False, ".seg", ""),
            (0x89, "a pipe as log", NONE, False, ".seg", ""), (0x8a, "a symbolic link", NONE, False, ".seg", "symbolic links"),
            (0x8b, "an empty log alone", NONE, False, None, None)]


def file_name(number, ending):
    return f"{number:016x}{ending}"


def damaged(daemon):
    return set(daemon.cli("status", json_output=True)["spool"]["files"])


def wait_for_names(daemon, names):
    """Waits until the status names NAMES and no other file."""
    with contextlib.suppress(AssertionError):
        wait_for(lambda: damaged(daemon) == names, 10)
    assert damaged(daemon) == names, ("named or not against what is right", damaged(daemon) ^ names)


def check_arrived(receiver, recipient, expected):
    """RECEIVER has exactly the messages [(mark, number)] of EXPECTED, each once and unaltered."""
    got = sorted((m.header("subject") for m in receiver.messages if m.recipients == [recipient]))
    assert got == sorted(f"{mark.decode()}-m{number}" for mark, number in expected), (set(got) ^ {f"{m.decode()}-m{n}" for m, n in expected}, len(got))
    for m in receiver.messages:
        mark, number = m.header("subject").split("-m")
        assert without_added(m.data) == original(int(number), mark.encode()), m.data


def case_damage_of_every_kind_is_met_by_one_start():
    """Flipped bytes of each region, wrong lengths, foreign versions, missing, empty, copied and strange files: the whole messages go out, unaltered and once;
    the log, the status and postern check name each damaged file, and the start succeeds."""
    with World() as world:
        daemon = start_daemon(world)
        pair, here, spool = template(world, daemon)
        here.messages.clear()
        expected = lay_out(pair, spool) + lay_out_files(pair, spool)
        marks = {number: b"pp%02x" % number for number, *_ in expected}
        wanted = [(marks[number], m) for number, _, messages, *_ in expected for m in messages]
        again = [(marks[number], 0) for number, _, _, twice, *_ in expected if twice]
        daemon.start()
        wait_for(lambda: len(here.messages) >= len(again), what="what is sent again")
        names = {file_name(number, ending) for number, *_, ending, _ in expected if ending}
        unsent = {file_name(number, ".seg") for number, _, _, _, _, text in expected if text == "checksum"}  # known only when it should be sent
        wait_for_names(daemon, names - unsent)
        dead = world.add(Receiver(GONE, world.delivery_port))
        daemon.cli("queue", "retry", "--all")
        wait_for(lambda: len(dead.messages) >= len(wanted), what="all that is whole")
        names = {name for name in names if name.endswith(".seg")}  # a log's damage goes with it
        wait_for_names(daemon, names)
        check_arrived(dead, "carol@dead.example", wanted)
        check_arrived(here, "bob@example.com", again)
        said = [e for e in daemon.events("error")]
        for number, name, *_, text in expected:
            assert text is None or [e for e in said if text in e.get("text", "") + e.get("why", "") and (f"{number:016x}" in e["text"] or "checksum" in text)], (name, text)
        assert f"Spool: {len(names)} segments damaged" in daemon.cli("status")
        checked = daemon.cli("check", check=False)
        assert checked.returncode == 1 and all(f"{spool}/{name} is damaged" in checked.stdout for name in names), checked
        left = {path.name for path in spool.iterdir()}
        gone = {file_name(number, ".seg") for number, *_, ending, _ in expected if not ending}
        wait_for(lambda: not gone & {path.name for path in spool.iterdir()}, what="the end of all that is done")
        assert {"README", "1.seg", "core", "lost+found"} <= left, left
        before = len(dead.messages)
        daemon.stop()
        daemon.start()
        wait_for_names(daemon, names)
        submit(daemon, "alice@example.net", ["carol@dead.example"], message("after all"))
        wait_for(lambda: len(dead.messages) > before)
        assert len(dead.messages) == before + 1, "what was damaged came out at the second start"


def case_a_segment_deleted_under_the_queue():
    """What is open goes out all the same; after a start the messages of which the log knows are missed by name, and no start fails."""
    with World() as world:
        daemon = start_daemon(world, queue="retry = { 1h }")
        first = [submit(daemon, "alice@example.net", ["carol@dead.example"], original(number)) for number in range(3)]
        wait_for(lambda: daemon.events("deferred") and len(daemon.events("accepted")) == 3)
        spool = daemon.folder / "spool"
        for segment in list(spool.glob("*.seg")):
            segment.unlink()
        waits = daemon.events("deferred")[0]["id"]
        daemon.stop()
        daemon.start()
        wait_for(lambda: len(damaged(daemon)) == 1)
        assert [e for e in daemon.events("error") if f"message {waits} waits" in e["text"]], daemon.events("error")
        assert daemon.cli("check", check=False).returncode == 1
        second = [submit(daemon, "alice@example.net", ["carol@dead.example"], original(number)) for number in range(3)]
        for segment in spool.glob("*.seg"):
            segment.unlink()
        dead = world.add(Receiver(GONE, world.delivery_port))
        daemon.cli("queue", "retry", "--all")
        wait_for(lambda: len(daemon.events("delivered")) == 3, what="the messages of a deleted segment that is open")
        assert not set(first) & {e["id"] for e in daemon.events("delivered")} and set(second) == {e["id"] for e in daemon.events("delivered")}
        check_arrived(dead, "carol@dead.example", [(b"pp00", number) for number in range(3)])


def private_mount(script):
    """A prefix for a daemon that sees what SCRIPT (sh) mounts, and nobody else does."""
    if os.geteuid() != 0 or subprocess.run([which("unshare"), "-m", "true"], capture_output=True).returncode:
        raise Skip("needs root and a mount namespace of its own")
    return ["unshare", "-m", "--propagation", "private", "sh", "-ec", script + '; exec "$@"', "sh"]


def mount_in(daemon, *arguments):
    subprocess.run(["nsenter", "-m", "-r", "-t", str(daemon.process.pid), "mount", *arguments], check=True)


def start_with(daemon, prefix):
    """Starts DAEMON behind PREFIX; its commands go without."""
    daemon.prefix = prefix
    daemon.start()
    daemon.prefix = []


def refused(call, *arguments, **named):
    """The code that CALL is refused with; None where it is not."""
    try:
        call(*arguments, **named)
    except smtplib.SMTPResponseException as error:
        return error.smtp_code
    return None


def case_a_spool_that_became_read_only():
    """The start succeeds, clients get 451, nothing is sent since it could not be remembered, and the log, status and check tell; when it can be written again
    all goes out once."""
    with World() as world:
        daemon = start_daemon(world, queue="retry = { 1h }")
        for number in range(3):
            submit(daemon, "alice@example.net", ["carol@dead.example"], original(number))
        wait_for(lambda: daemon.events("deferred"))
        daemon.stop()
        spool = daemon.folder / "spool"
        dead = world.add(Receiver(GONE, world.delivery_port))
        start_with(daemon, private_mount(f"mount --bind {spool} {spool}; mount -o remount,bind,ro {spool}"))
        wait_for(lambda: daemon.cli("status", json_output=True)["queue"]["messages"] == 3)
        daemon.cli("queue", "retry", "--all")
        wait_for(lambda: damaged(daemon), what="a log that cannot be written")
        assert daemon.cli("check", check=False).returncode == 1
        assert refused(submit, daemon, "alice@example.net", ["carol@dead.example"], original(3)) in (451, 452)
        assert [e for e in daemon.events("error") if "Read-only file system" in e["text"]] and not dead.messages
        mount_in(daemon, "-o", "remount,bind,rw", spool)
        daemon.cli("queue", "retry", "--all")
        wait_for(lambda: len(dead.messages) == 3)
        wait_for(lambda: not refused(submit, daemon, "alice@example.net", ["carol@dead.example"], original(3)))
        wait_for(lambda: len(dead.messages) == 4)
        check_arrived(dead, "carol@dead.example", [(b"pp00", number) for number in range(4)])
        wait_for_names(daemon, set())


def case_a_spool_that_is_full():
    """A message that does not fit is refused with 452 and takes no room; all that was accepted goes out unaltered, and then there is room again."""
    with World() as world:
        daemon = start_daemon(world)
        daemon.stop()
        spool = daemon.folder / "spool"
        start_with(daemon, private_mount(f"mount -t tmpfs -o size=6m,mode=755 none {spool}"))
        seen = f"/proc/{daemon.process.pid}/root{spool}"

        def room():
            status = os.statvfs(seen)
            return status.f_bavail * status.f_frsize

        def large(name, size):
            return message(name, (b"x" * 76 + b"\r\n") * (size // 78))
        accepted = {"first": large("first", 3500000)}
        submit(daemon, "alice@example.net", ["carol@dead.example"], accepted["first"])
        before = room()
        for _ in range(3):
            assert refused(submit, daemon, "alice@example.net", ["carol@dead.example"], large("no", 3500000)) == 452
        wait_for(lambda: room() > before - 300000, what="the room that a refused message took")
        for number in range(100):
            data = large(f"n{number}", 200000)
            code = refused(submit, daemon, "alice@example.net", ["carol@dead.example"], data)
            if code:
                break
            accepted[f"n{number}"] = data
        assert code == 452 and 1 < len(accepted) < 20, (code, len(accepted))
        with contextlib.suppress(OSError), open(f"{seen}/ballast", "wb") as ballast:  # the last bytes go to somebody else
            while ballast.write(bytes(4096)):
                ballast.flush()
        assert room() < 4096
        dead = world.add(Receiver(GONE, world.delivery_port))
        daemon.cli("queue", "retry", "--all")
        wait_for(lambda: len(dead.messages) == len(accepted))
        os.unlink(f"{seen}/ballast")
        assert {m.header("subject"): without_added(m.data) for m in dead.messages} == accepted
        wait_for(lambda: not refused(submit, daemon, "alice@example.net", ["carol@dead.example"], original(0)), what="acceptance when there is room")
        wait_for(lambda: len(dead.messages) == len(accepted) + 1)
        wait_for(lambda: daemon.cli("status", json_output=True)["queue"]["messages"] == 0)
        wait_for_names(daemon, set())


DAY, YEAR = 86400, 365 * 86400


def case_the_clock_jumps():
    """Ten years forward, a day back, 1970 at a start, ten years forward at a start: nobody gets a bounce, each message is tried again, ids are unique, and all
    arrive once."""
    with World() as world:
        clock = Clock(world.folder)
        daemon = world.posternd(release=True, queue="retry = { 1s } lifetime = 2d delay-warning = 0s")
        daemon.user("alice", "secret")
        start_with(daemon, clock.prefix)
        identities, shifts = [], []

        def go_on(name, seconds, restart=False, attempts=1):
            """Another message is taken in at this time, and ATTEMPTS more fail."""
            if restart:
                assert daemon.stop() == 0
            clock.shift(seconds)
            if restart:
                start_with(daemon, clock.prefix)
            before = len(daemon.events("site-backoff"))
            shifts.append(name)
            identities.append(submit(daemon, "alice@example.net", ["carol@dead.example"], message(name)))
            wait_for(lambda: len(daemon.events("site-backoff")) >= before + attempts, what=f"attempts when it is {name}")
            assert not daemon.events("bounced"), daemon.events("bounced")
            assert daemon.cli("status", json_output=True)["queue"]["messages"] == len(identities)
        go_on("now", 0)
        go_on("in ten years", 10 * YEAR)
        go_on("yesterday", -DAY)
        go_on("1970", 1000 - time.time(), restart=True)
        go_on("in ten years, again", 10 * YEAR, restart=True, attempts=3)
        go_on("now, again", 0)
        assert any(e["time"].startswith("1970-01-01") for e in daemon.events("accepted")) and len({e["time"][:4] for e in daemon.events("accepted")}) == 3
        assert len(set(identities)) == len(identities), identities
        dead = world.add(Receiver(GONE, world.delivery_port))
        wait_for(lambda: len(daemon.events("delivered")) == len(identities), what="all messages")
        assert sorted(m.header("subject") for m in dead.messages) == sorted(shifts)


ROLES = ["submission", "queue", "delivery", "dns", "auth", "policy", "control", "sts"]


@contextlib.contextmanager
def no_descriptors(pids):
    """As long as it lasts the processes PIDS can open nothing more; what they have they keep."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    for pid, (_, hard) in before.items():
        used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(len(used) + 1)) - used), hard))  # the lowest number that is free
    yield
    for pid, limits in before.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def processor_seconds(pids):
    """Processor time that PIDS have used."""
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def try_to_submit(daemon, subject):
    """Submits from a connection of its own with little patience; the id, or None."""
    try:
        session = smtplib.SMTP("127.0.0.1", daemon.open_port, timeout=0.5)
        session.ehlo("client.example.net")
        return send(session, "alice@example.net", ["bob@example.com"], message(subject))
    except (OSError, smtplib.SMTPException):
        return None


def case_no_descriptor_is_left():
    """No role that can open nothing more ends, spins or loses what it accepted: sessions go on, and all works again when there are descriptors."""
    with World() as world:
        daemon = start_daemon(world)
        receiver = world.add(Receiver(HERE, world.delivery_port))
        session = connect(daemon)
        roles, accepted = daemon.pids(), set()
        for role in ROLES:
            pids = roles[role]
            with no_descriptors(pids):
                asked = subprocess.Popen([daemon.build / "postern", "-f", daemon.file, "status"], stdout=subprocess.DEVNULL)
                used, begun, n = processor_seconds(pids), time.monotonic(), 0
                while time.monotonic() < begun + 0.7:
                    n += 1
                    time.sleep(0.03)  # some load, not all that the machine can give
                    if try_to_submit(daemon, f"{role}-{n}"):
                        accepted.add(f"{role}-{n}")
                assert session.noop()[0] == 250, role
                used, whole = processor_seconds(pids) - used, time.monotonic() - begun
                assert used < 0.7 * whole * len(pids), f"{role} used {used} s of {whole} s"
            assert asked.wait(30) == 0, role
            wait_for(lambda: try_to_submit(daemon, f"{role}-after"), what=f"acceptance after {role} had no descriptors")
        session.close()
        accepted |= {f"{role}-after" for role in ROLES}
        daemon.cli("queue", "retry", "--all")
        with contextlib.suppress(AssertionError):
            wait_for(lambda: accepted <= {m.header("subject") for m in receiver.messages})
        missing = accepted - {m.header("subject") for m in receiver.messages}
        assert not missing, (missing, daemon.cli("queue", "list"), daemon.events("error"))
        assert daemon.pids() == roles, "a role ended"
        for what in ("segment", "would.log", "logins.log"):
            assert len([e for e in daemon.events("error") if e["text"].startswith(what) and "cannot be made" in e["text"]]) < 3, "complaints without end"
        wait_for(lambda: daemon.cli("status", json_output=True)["queue"]["messages"] == 0)
        wait_for_names(daemon, set())


def case_thousands_of_idle_connections_from_one_address():
    """All above the cap are told 421 4.7.0 and closed; a good client from elsewhere is served at once."""
    with World() as world:
        daemon = start_daemon(world)
        receiver = world.add(Receiver(HERE, world.delivery_port))
        count = min(10000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1000)
        if count < 2000:
            raise Skip("too few descriptors")
        idle = []
        try:
            for _ in range(count):
                idle.append(socket.create_connection(("127.0.0.1", daemon.open_port), timeout=30, source_address=("127.0.0.9", 0)))
            submit(daemon, "alice@example.net", ["bob@example.com"], message("good"))
            lines = [connection.recv(200) for connection in idle]
            served = sum(line.startswith(b"220 ") for line in lines)
            assert 0 < served <= 50 * len(daemon.pids()["submission"]), served
            assert all(line.startswith((b"220 ", b"421 4.7.0 too many connections from your address")) for line in lines)
        finally:
            for connection in idle:
                connection.close()
        wait_for(lambda: len(receiver.messages) == 1)
        wait_for(lambda: try_from(daemon, "127.0.0.9"), what="service for that address when its connections have gone")


def try_from(daemon, address):
    try:
        with smtplib.SMTP("127.0.0.1", daemon.open_port, timeout=10, source_address=(address, 0)) as session:
            return session.noop()[0] == 250
    except (OSError, smtplib.SMTPException):
        return False


def begin_data(daemon):
    """A plain connection behind the 354, with a socket that resets when it is closed."""
    connection = socket.create_connection(("127.0.0.1", daemon.open_port), timeout=30)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(b"EHLO client\r\nMAIL FROM:<alice@example.net>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n")
    seen = b""
    while b"\r\n354 " not in seen:
        got = connection.recv(4096)
        assert got and b"\r\n45" not in seen, seen
        seen += got
    return connection


def case_clients_that_go_before_the_end():
    """1000 connections end just below the size limit, small messages and large ones: nothing stays on the disk. A hundred are reset behind the final dot, before
    the reply: what was accepted arrives once, and nothing else does."""
    with World() as world:
        daemon = world.posternd(listener="max-message-size = 2M max-connections-per-client = 1000")
        daemon.user("alice", "secret")
        daemon.start()
        receiver = world.add(Receiver(HERE, world.delivery_port))
        spool = daemon.folder / "spool"
        line = b"y" * 76 + b"\r\n"
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            def abort(number):
                with begin_data(daemon) as connection:
                    connection.sendall(message(f"abort {number}", line * (26500 if number % 50 == 0 else 300)))
            list(pool.map(abort, range(1000)))

            def reset(number):
                with begin_data(daemon) as connection:
                    connection.sendall(message(f"reset-{number}", line) + b".\r\n")
            list(pool.map(reset, range(100)))
        submit(daemon, "alice@example.net", ["bob@example.com"], message("last"))
        wait_for(lambda: daemon.cli("status", json_output=True)["queue"]["messages"] == 0 and any(m.header("subject") == "last" for m in receiver.messages))
        wait_for(lambda: len(daemon.events("delivered")) == len(daemon.events("accepted")), what="the delivery of what was accepted, and no more")
        subjects = [m.header("subject") for m in receiver.messages]
        assert len(subjects) == len(set(subjects)) == len(daemon.events("accepted")) and not any("abort" in subject for subject in subjects), subjects
        wait_for(lambda: sum(path.stat().st_blocks * 512 for path in spool.iterdir()) < 1000000, what="room on the disk")
        print(f"note {len(subjects) - 1} of 100 that were reset behind the dot were taken")


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
