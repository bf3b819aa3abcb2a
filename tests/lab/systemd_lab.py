"""The relay as README.md installs it: a machine of its own whose first process is systemd, with the unit that `make install` puts there and the
configuration that README.md gives. Its files are a layer over this machine's, its processes and its network are its own. Only root can make it."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import smtplib
import subprocess
import sys

from case import main
from receiver import Receiver
from submit import CONTEXT, message, send
from world import TOP, Certificate, Dns, Skip, World, children, wait_for, which

MACHINE, RECEIVER = "11.25.0.1", "11.25.0.10"
RECORDS = ["example.com. 300 IN MX 10 mx.example.com.", f"mx.example.com. 300 IN A {RECEIVER}"]
ROLES = {"posternd": "root", "submission": "postern", "delivery": "postern", "dns": "postern", "control": "postern", "sts": "postern", "queue": "postern-queue",
         "policy": "postern-queue", "auth": "postern-auth"}
# $1 is the machine's folder. What this machine would start by itself is not wanted there.
BOOT = """
ip link set lo up
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t tmpfs tmpfs dev
for name in null zero full random urandom tty; do : >dev/$name; mount --bind /dev/$name dev/$name; done
: >dev/console; : >tmp/console; mount --bind tmp/console dev/console
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts; ln -s pts/ptmx dev/ptmx
mount -t proc proc proc; mount --bind proc/sys proc/sys; mount -o remount,bind,ro proc/sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs sys; mkdir -p sys/fs/cgroup; mount -t cgroup2 cgroup2 sys/fs/cgroup
rm -rf etc/systemd/system/*.wants lib/systemd/system/*.wants lib/systemd/system-generators/*
chroot . systemd-sysusers
chroot . systemd-tmpfiles --create postern.conf
mkdir old
pivot_root . old
umount -l /old
export container=lxc
exec /lib/systemd/systemd --system --unit=lab.target --log-target=console --show-status=no >/tmp/systemd.log 2>&1 </dev/null
"""


def readme_configuration():
    """What README.md calls enough."""
    text = (TOP / "README.md").read_text().split("This much is enough", 1)[1].split("`sudo posternd -n`", 1)[0]
    return "".join(line.removeprefix("       ") for line in text.splitlines(True) if line.startswith("       "))


def control_group():
    """A new group for all processes of a machine."""
    mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    found = [pathlib.Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"]
    try:
        group = found[0] / f"postern-lab-{os.getpid()}"
        group.mkdir()
        return group
    except (IndexError, OSError) as error:
        raise Skip(f"no control groups here: {error}") from None


class Machine:
    """With postern installed, its user alice, and the unit not started yet."""

    def __init__(self, world):
        self.folder = world.folder / "machine"
        self.files = self.folder / "upper"
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True)
        world.folder.chmod(0o755)
        subprocess.run(["make", "-s", "-C", str(TOP), "install", f"DESTDIR={self.files}", "PREFIX=/usr/local"], check=True, capture_output=True)
        self.write("etc/postern/postern.conf", readme_configuration())
        certificate = Certificate(world.folder)
        self.write("etc/postern/tls/cert.pem", certificate.certificate.read_text())
        self.write("etc/postern/tls/key.pem", certificate.key.read_text()).chmod(0o600)
        self.write("etc/resolv.conf", f"nameserver {RECEIVER}\n")
        self.write("etc/systemd/system/postern.service.d/log.conf", "[Service]\nStandardError=append:/var/log/postern.log\n")
        for name in ("sysinit.target", "basic.target", "lab.target"):
            self.write(f"etc/systemd/system/{name}", "[Unit]\nDefaultDependencies=no\n")
        self.group = control_group()
        self.process = subprocess.Popen(["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec unshare --cgroup --mount --uts --ipc --net --pid --fork --kill-child sh -ec "$@"',
                                         str(self.group), BOOT, "sh", str(self.folder)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: self.process.poll() is not None or (self.first() and self.run("systemctl", "is-active", "lab.target").stdout == "active\n"), what="systemd")
        if self.process.poll() is not None:
            reason = self.process.stderr.read()
            self.close()
            raise Skip(f"no machine of its own here: {reason.strip()}")
        self.link()

    def link(self):
        """The wire between it and this network, which is the world."""
        subprocess.run(["ip", "link", "add", "world", "type", "veth", "peer", "name", "machine", "netns", str(self.first())], check=True)
        for place, end, address in ([], "world", RECEIVER), (self.inside(), "machine", MACHINE):
            subprocess.run([*place, "ip", "address", "add", f"{address}/24", "dev", end], check=True)
            subprocess.run([*place, "ip", "link", "set", end, "up"], check=True)

    def write(self, place, text):
        path = self.files / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def first(self):
        """The process that is the machine's first, once it is systemd."""
        found = children(self.process.pid)
        return found[0] if found and pathlib.Path(f"/proc/{found[0]}/comm").read_text() == "systemd\n" else None

    def inside(self):
        """The command that runs what follows there."""
        return ["nsenter", f"--target={self.first()}", "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--net"]

    def run(self, *command, **options):
        return subprocess.run([*self.inside(), *command], capture_output=True, text=True, timeout=60, **options)

    def must(self, *command, **options):
        done = self.run(*command, **options)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}\n{self.log()[-3000:]}"
        return done.stdout

    def value(self, name):
        """A property of the unit."""
        return self.must("systemctl", "show", "--value", f"--property={name}", "postern").strip()

    def log(self):
        path = self.files / "var/log/postern.log"
        return path.read_text() if path.exists() else ""

    def roles(self):
        """{role: [(user's name, status text)]} of the processes that run."""
        names = {fields[2]: fields[0] for fields in (line.split(":") for line in self.must("cat", "/etc/passwd").splitlines())}
        found = {}
        for line in self.must("sh", "-c", "cat /sys/fs/cgroup/system.slice/postern.service/cgroup.procs").split():
            status = self.must("cat", f"/proc/{line}/status")
            role = re.search(r"^Name:\tposternd:?(.*)$", status, re.M)[1] or "posternd"
            whole = next((name for name in ROLES if name.startswith(role)), role)
            found.setdefault(whole, []).append((names[re.search(r"^Uid:\t(\d+)", status, re.M)[1]], status))
        return found

    def submit(self):
        """Sends a message on 587 as README.md's alice; returns its id."""
        with contextlib.closing(smtplib.SMTP(MACHINE, 587, timeout=60)) as session:
            session.starttls(context=CONTEXT)
            session.login("alice", "secret")
            return send(session, "alice@example.net", ["bob@example.com"], message())

    def close(self):
        if self.process.poll() is None:
            for pid in children(self.process.pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)
        self.process.stderr.close()
        for group in [*sorted((path for path in self.group.rglob("*") if path.is_dir()), reverse=True), self.group]:
            wait_for(lambda: not (group / "cgroup.procs").read_text(), what="the machine's end")
            group.rmdir()


@contextlib.contextmanager
def installed(start=True):
    """(machine, receiver): alice has her password, and the unit runs."""
    if os.geteuid() != 0 or not shutil.which("systemctl"):
        raise Skip("it needs root, and systemd's programs")
    with World(dns=False) as world:
        machine = world.add(Machine(world))
        world.dns = Dns(world.folder, RECORDS, RECEIVER, 53, ["env"])
        receiver = world.add(Receiver(RECEIVER, 25))
        machine.must("/usr/local/bin/postern", "user", "add", "alice", input="secret\n")
        if start:
            machine.must("systemctl", "start", "postern")
        yield machine, receiver


def arrives(machine, receiver):
    """A message goes in and comes out."""
    before = len(receiver.messages)
    machine.submit()
    wait_for(lambda: len(receiver.messages) == before + 1, what=f"the message: {machine.log()[-3000:]}")


def case_the_unit_starts_the_relay_of_the_readme():
    """README.md step by step: mail goes through, each role is its user and closed in, nothing is wrong in the log, and the commands that README.md names
    answer. Reload and restart are systemd's, and the relay is the same after them."""
    with installed() as (machine, receiver):
        arrives(machine, receiver)
        roles = machine.roles()
        assert set(roles) == set(ROLES), set(roles) ^ set(ROLES)
        for role, processes in roles.items():
            for user, status in processes:
                assert user == ROLES[role], (role, user)
                assert "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status, status
                assert user == "root" or "CapEff:\t0000000000000000" in status, status
        assert "Queue: 0 messages" in machine.must("/usr/local/bin/postern", "status")
        assert "mx.example.com" in machine.must("/usr/local/bin/postern", "trace", "somebody@example.com")
        machine.must("systemctl", "reload", "postern")
        wait_for(lambda: "configuration reloaded" in machine.log(), what=f"the reload: {machine.log()[-2000:]}")
        arrives(machine, receiver)
        machine.must("systemctl", "restart", "postern")
        arrives(machine, receiver)
        assert not re.search("level=(error|warning)", machine.log()), machine.log()
        assert machine.value("NRestarts") == "0"


def case_a_spool_elsewhere_is_named_to_systemd():
    """posternd(8): with ReadWritePaths= any folder will do; it becomes postern-queue's."""
    with installed(start=False) as (machine, receiver):
        configuration = readme_configuration() + 'spool { directory = "/srv/spool" }\n'
        machine.must("tee", "/etc/postern/postern.conf", input=configuration)
        machine.must("mkdir", "/srv/spool")
        machine.must("tee", "/etc/systemd/system/postern.service.d/spool.conf", input="[Service]\nReadWritePaths=/srv/spool\n")
        machine.must("systemctl", "daemon-reload")
        machine.must("systemctl", "start", "postern")
        arrives(machine, receiver)
        assert machine.must("stat", "--format=%U", "/srv/spool") == "postern-queue\n"


def case_systemd_keeps_the_relay_up_until_it_is_stopped():
    """Killed, it is back, with the spool that it had. Stopped by `postern stop` it stays so."""
    with installed() as (machine, receiver):
        arrives(machine, receiver)
        machine.must("systemctl", "kill", "--signal=KILL", "postern")
        wait_for(lambda: machine.value("NRestarts") == "1" and machine.value("ActiveState") == "active", what="the relay's return")
        arrives(machine, receiver)
        machine.must("/usr/local/bin/postern", "stop")
        wait_for(lambda: machine.value("ActiveState") == "inactive", what="the end")
        assert machine.value("Result") == "success", machine.log()


def in_own_network():
    """The exit status of this program in a network of its own, the world; None where that is this one already, or cannot be."""
    if "POSTERN_OWN_NETWORK" in os.environ or os.geteuid() != 0 or subprocess.run([which("unshare"), "--net", "true"], capture_output=True).returncode:
        return None
    script = 'ip link set lo up && exec "$@"'
    return subprocess.run(["unshare", "--net", "sh", "-c", script, "sh", sys.executable] + sys.argv, env=dict(os.environ, POSTERN_OWN_NETWORK="1")).returncode


if __name__ == "__main__":
    code = in_own_network()
    sys.exit(main(sys.modules[__name__]) if code is None else code)
