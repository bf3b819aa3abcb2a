"""Power cuts of a real disk: the spool lies on ext4 on a block device whose every write is logged. The device as it was after any of these writes is
mounted, posternd starts on it, and what arrives is compared with what had been acknowledged by then. POSTERN_CRASH_LONG=1: a thousand cuts.

The device is an image behind qemu-storage-daemon's blklogwrites, shown as a file by FUSE, with a loop device on it. Its log is that of the
kernel's dm-log-writes: a header sector, then for each write a sector {sector, count, flags, length} and the data. The log's size at the moment of a 250 says
which writes came before it. What was written after the last flush before the cut is there, or is not, each write by chance, as with a disk's cache."""
import contextlib
import ctypes
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
from case import main  # noqa: E402
from receiver import Receiver  # noqa: E402
from submit import connect, message, send  # noqa: E402
from world import Skip, World, stop, wait_for  # noqa: E402

LONG = bool(os.environ.get("POSTERN_CRASH_LONG"))
CUTS = 1000 if LONG else 16
MESSAGES = 400 if LONG else 120
IMAGE_BYTES = 64 << 20
SECTOR = 512
FLUSH, FUA, DISCARD = 1, 2, 4


def run(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout.strip()


class Mount:
    """IMAGE, mounted on FOLDER."""

    def __init__(self, image, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.loop = run("losetup", "--find", "--show", image)
        try:
            run("mount", "-o", "noatime", self.loop, folder)
        except subprocess.CalledProcessError:
            run("losetup", "--detach", self.loop)
            raise

    def close(self):
        run("umount", self.folder)
        run("losetup", "--detach", self.loop)


class LoggedDisk:
    """An empty ext4 whose writes are logged."""

    def __init__(self, folder):
        self.base, self.device, self.log = folder / "base.img", folder / "device.img", folder / "writes.log"
        disk = folder / "disk.img"
        with open(self.base, "wb") as image:
            image.truncate(IMAGE_BYTES)
        run("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", self.base)
        shutil.copy(self.base, disk)
        self.log.touch()
        self.device.touch()
        self.daemon = subprocess.Popen(["qemu-storage-daemon", "--blockdev", f"driver=file,filename={disk},node-name=disk", "--blockdev", f"driver=file,filename={self.log},node-name=log",
                                        "--blockdev", "driver=blklogwrites,file=disk,log=log,node-name=logged", "--export",
                                        f"type=fuse,id=export,node-name=logged,mountpoint={self.device},writable=on"], stderr=subprocess.PIPE, text=True)
        wait_for(lambda: self.device.stat().st_size == IMAGE_BYTES or self.daemon.poll() is not None, what="the logged disk")
        if self.daemon.poll() is not None:
            raise Skip(f"no FUSE export of a disk here: {self.daemon.stderr.read().strip()}")

    def written(self):
        """How long the log is now: what was written before now lies before it."""
        return self.log.stat().st_size

    def writes(self):
        """[(end in the log, flags, offset on the disk, data)] in order."""
        log, at, found = self.log.read_bytes(), SECTOR, []
        while at + SECTOR <= len(log):
            sector, count, flags, _ = struct.unpack_from("<QQQQ", log, at)
            at += SECTOR
            data = b"" if flags & DISCARD else log[at:at + count * SECTOR]
            at += len(data)
            found.append((at, flags, sector * SECTOR, data))
        return found

    def close(self):
        stop(self.daemon)


def leave_others_alone():
    """A mount namespace of our own. In one that others copy, they keep each disk mounted behind its umount, and it is written to once more when the
    copy ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000) != 0:  # CLONE_NEWNS
        raise Skip(f"no mount namespace here: {os.strerror(ctypes.get_errno())}")
    run("mount", "--make-rprivate", "/")


def make_disk(folder):
    if os.geteuid() != 0:
        raise Skip("only root can mount a disk")
    for program in ("qemu-storage-daemon", "mkfs.ext4", "losetup"):
        if not shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            raise Skip(f"{program} is not installed")
    leave_others_alone()
    if not os.path.exists("/dev/fuse") or not os.path.exists("/dev/loop-control"):
        raise Skip("there is no FUSE or no loop device here")
    return LoggedDisk(folder)


class Books:
    """When each message was acknowledged and when it arrived, as positions in the disk's log."""

    def __init__(self, disk):
        self.disk, self.lock = disk, threading.Lock()
        self.acknowledged, self.arrived, self.bodies = {}, {}, {}

    def note_arrival(self, recipient):
        with self.lock:
            self.arrived.setdefault(recipient.split("@")[0], self.disk.written())


def submit_all(daemon, books):
    """Four clients; every third message is for a domain whose server is down and waits."""
    numbers = iter(range(MESSAGES))

    def client(seed):
        chance = random.Random(seed)
        session = connect(daemon, open_listener=True)
        while True:
            with books.lock:
                number = next(numbers, None)
            if number is None:
                return session.close()
            subject = f"m{number}"
            body = b"".join(b"line %04d of m%d\r\n" % (line, number) for line in range(chance.choice((1, 40, 400, 400 if number % 40 else 70000))))
            books.bodies[subject] = body
            send(session, "alice@example.net", [f"{subject}@dead.example" if number % 3 == 0 else f"{subject}@example.com"], message(subject, body))
            books.acknowledged[subject] = books.disk.written()

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def cut(base, image, writes, after, chance):
    """IMAGE becomes the disk after the first AFTER writes; of those behind the last flush some are lost."""
    shutil.copy(base, image)
    flushed = max((i for i in range(after) if writes[i][1] & FLUSH), default=0)
    with open(image, "r+b") as out:
        for i in range(after):
            _, flags, offset, data = writes[i]
            if data and (i <= flushed or flags & FUA or chance is None or chance.random() < 0.5):
                out.seek(offset)
                out.write(data)


def start_and_compare(world, daemon, image, books, position, delivery_port):
    """Starts on IMAGE; (lost, altered, twice, what an engineer wants to see)."""
    with contextlib.closing(Mount(image, daemon.folder / "spool")):
        receivers = [Receiver(address, delivery_port) for address in ("127.0.1.1", "127.0.1.250")]
        try:
            daemon.start()
            due = {subject for subject, at in books.acknowledged.items() if at <= position and books.arrived.get(subject, position + 1) > position}

            def arrived():
                return [m for receiver in receivers for m in receiver.messages]

            def is_over():
                daemon.cli("queue", "retry", "--all", check=False)
                return due <= {m.header("subject") for m in arrived()} and not daemon.cli("queue", "list", json_output=True)
            with contextlib.suppress(AssertionError):
                wait_for(is_over, 60, "everything's arrival")
            waiting = daemon.cli("queue", "list", check=False).stdout
            code = daemon.stop()
            assert code == 0, daemon.log()[-3000:]
            subjects = [m.header("subject") for m in arrived()]
            lost = due - set(subjects)
            altered = [m.header("subject") for m in arrived() if m.body != books.bodies[m.header("subject")]]
            twice = [s for s in set(subjects) if subjects.count(s) > 1 or books.arrived.get(s, position + 1) <= position]
            return lost, altered, twice, f"in the queue: {waiting[:2000]}; the log's end: {daemon.log()[-3000:]}"
        finally:
            daemon.stop()
            for receiver in receivers:
                receiver.close()


def case_a_disk_after_any_write_has_what_was_acknowledged():
    with World() as world:
        disk = world.add(make_disk(world.folder))
        books = Books(disk)
        daemon = world.posternd(release=True, queue="retry = { 1s }")
        mounted = Mount(disk.device, daemon.folder / "spool")
        try:
            receiver = Receiver("127.0.1.1", world.delivery_port, {"dot": books.note_arrival})
            daemon.start()
            submit_all(daemon, books)
            wait_for(lambda: len(books.arrived) >= MESSAGES - (MESSAGES + 2) // 3, 60, "what can be delivered")
            receiver.close()
        finally:
            daemon.stop()
            mounted.close()
        writes = disk.writes()
        first = min(books.acknowledged.values())
        begin = next(i for i, write in enumerate(writes) if write[0] >= first)
        chance = random.Random(1)
        points = sorted(chance.sample(range(begin, len(writes) + 1), min(CUTS, len(writes) + 1 - begin)))
        lost, altered, twice = 0, 0, 0
        for number, after in enumerate(points):
            position = writes[after - 1][0]
            image = world.folder / f"cut-{number}.img"
            cut(disk.base, image, writes, after, chance if number % 2 else None)
            result = start_and_compare(world, daemon, image, books, position, world.delivery_port)
            image.unlink()
            lost, altered, twice = lost + len(result[0]), altered + len(result[1]), twice + len(result[2])
            assert not result[0] and not result[1], f"after write {after} of {len(writes)}: lost {result[0]}, altered {result[1]}; {result[3]}"
        print(f"note {len(points)} cuts among {len(writes)} writes of a disk, {MESSAGES} messages: {lost} lost, {altered} altered, {twice} twice (delivered, and the "
              "outcome not on the disk yet)")


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
