"""Servers whose packages Debian does not install beside Postfix, unmodified: tests/unpack has put each into a folder of the build.

Each runs with a machine of its own around it, as far as it looks: /etc and /var are folders of the case, and so is the place of its helpers,
mounted in a namespace of its own. Its processes have one too, whose first is a shell: they end with that."""
import os
import pathlib
import shutil
import signal
import subprocess

from world import TOP, Skip, children, wait_for, which

PEERS = TOP / "build" / "peers"
INBOX = 60000  # whose mail it is, in each of these machines; no user of the real one
MOUNTS = ("etc", "var", "usr/libexec")
ENTER = " && ".join(f'mount --bind "$0/{place}" /{place}' for place in MOUNTS) + ' && "$@"; exit $?'


class Peer:
    """PACKAGE's machine in a folder of WORLD; USERS are the accounts that the package would have made. Needs root."""

    def __init__(self, world, name, package, users):
        if os.geteuid() != 0:
            raise Skip(f"{package} starts only as root")
        self.programs = PEERS / package / "usr" / "sbin"
        if not self.programs.is_dir():
            raise Skip(f"{package} is not unpacked; make check does it")
        if subprocess.run([which("unshare"), "--mount", "--pid", "--fork", "true"], capture_output=True).returncode:
            raise Skip("the kernel makes no namespaces for us")
        world.folder.chmod(0o755)
        self.root = world.folder / name
        self.process = None
        for place in (*MOUNTS, "var/run", "var/tmp", "var/mail"):
            (self.root / place).mkdir(parents=True, exist_ok=True)
        helpers = PEERS / package / "usr" / "libexec"
        if helpers.is_dir():
            shutil.copytree(helpers, self.root / "usr" / "libexec", dirs_exist_ok=True)
        accounts = [("root", 0), ("mail", 8), ("nobody", 65534), ("inbox", INBOX), *((user, INBOX + 1 + i) for i, user in enumerate(users))]
        self.write("etc/passwd", "".join(f"{user}:x:{number}:{number}::/var:/bin/sh\n" for user, number in accounts))
        self.write("etc/group", "".join(f"{user}:x:{number}:\n" for user, number in accounts))
        self.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
        self.write("etc/services", "smtp 25/tcp\n")
        self.write("etc/hosts", "127.0.0.1 localhost\n")
        self.uids = dict(accounts)

    def write(self, place, text, owner=None, mode=0o644):
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        if owner:
            os.chown(path, self.uids[owner], self.uids[owner])

    def folder(self, place, owner, mode=0o750):
        path = self.root / place
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        os.chown(path, self.uids[owner], self.uids[owner])
        return path

    def certificate(self, certificate, owner):
        """CERTIFICATE and its key, for OWNER to read: /etc/cert.pem and /etc/key.pem."""
        self.write("etc/cert.pem", certificate.certificate.read_text())
        self.write("etc/key.pem", certificate.key.read_text(), owner, 0o600)

    def command(self, program, *arguments):
        return [which("unshare"), "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, str(self.root),
                str(self.programs / program), *arguments]

    def start(self, program, *arguments):
        """Starts the daemon; `wait_until` it is there."""
        self.output = open(self.root / "output", "w")
        self.process = subprocess.Popen(self.command(program, *arguments), stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output)

    def run(self, program, *arguments, **options):
        """Another program of the package, in the same surroundings."""
        return subprocess.run(self.command(program, *arguments), capture_output=True, timeout=60, **options)

    def wait_until(self, ready):
        """Waits for READY(); what does not get ready leaves nothing behind."""
        try:
            wait_for(lambda: ready() or self.process.poll() is not None, what=f"{self.root.name}'s being ready")
            if self.process.poll() is not None:
                raise AssertionError(f"{self.root.name} ended")
        except AssertionError as error:
            self.close()
            raise AssertionError(f"{error}: {self.log()[-3000:]}") from None

    def messages(self):
        """What has arrived, as bytes with the lines as the Maildir has them."""
        return [path.read_bytes() for path in sorted((self.root / "var" / "mail" / "inbox" / "new").glob("*"))]

    def log(self):
        return (self.root / "output").read_text(errors="replace")

    def close(self):
        if self.process:
            for first in children(self.process.pid):
                os.kill(first, signal.SIGKILL)
            self.process.wait(30)
            self.output.close()
