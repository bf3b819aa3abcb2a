"""A small world on loopback for the lab: DNS (unbound), receiving servers, and posternd under test.

Receivers listen on addresses 127.x.y.z with one port that all share, since an MX has no port of its own: `delivery { port = … }`.
Everything lives in one temporary folder and ends with `World.close()`."""
import contextlib
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
SANITIZED = TOP / "build" / "check"
RELEASE = TOP / "build"


PORTS = range(10240, 32640)  # below those that the kernel gives to connections, so that none takes one while a daemon starts again
PORTS_OF_ONE = 256
own_ports = {}  # {pid: (an endless iterator over its ports, the socket whose abstract name keeps others away from them)}


def take_ports():
    """Ports of this process alone: no other test program takes one while a daemon of ours, which had it, starts again."""
    places = list(PORTS[::PORTS_OF_ONE])
    random.shuffle(places)
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    for place in places:
        with contextlib.suppress(OSError):
            lock.bind(f"\0postern-test-ports-{place}")
            return itertools.cycle(range(place, min(place + PORTS_OF_ONE, PORTS.stop))), lock
    raise AssertionError("more test programs run than there are ports for")


def free_port(address="127.0.0.1", kind=socket.SOCK_STREAM):
    """A port that nobody uses now; it does not come again for a long time."""
    ports, _ = own_ports.get(os.getpid()) or own_ports.setdefault(os.getpid(), take_ports())
    for port in ports:
        with contextlib.closing(socket.socket(socket.AF_INET, kind)) as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0" if address is None else address, port))
            return port


def wait_for(condition, seconds=20, what="the expected event"):
    """Polls until CONDITION is true and returns its value; raises after SECONDS."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(0.02)


class Dns:
    """unbound with local data only: whatever is not in RECORDS does not exist (below the zones that records name). PREFIX is a command
    that starts it elsewhere, in a namespace."""

    def __init__(self, folder, records, address="127.0.0.1", port=None, prefix=()):
        self.folder = folder
        for _ in range(5):  # a port that was free may be taken before unbound comes to it
            self.port = port or free_port(kind=socket.SOCK_DGRAM)
            self.begin(folder, records, address, prefix)
            wait_for(lambda: self.process.poll() is not None or (self.listens() if prefix else self.answers()), what="the DNS server")
            if self.process.poll() is None:
                return
        raise AssertionError("unbound finds no port: " + (folder / "unbound.log").read_text()[-500:])

    def begin(self, folder, records, address, prefix):
        zones = sorted({record.split()[0].rstrip(".").split(".")[-1] + "." for record in records})
        lines = ["server:", f"  interface: {address}", f"  port: {self.port}", "  do-daemonize: no", '  username: ""', '  chroot: ""',
                 f'  directory: "{folder}"', '  pidfile: ""', "  use-syslog: no", "  verbosity: 0", "  num-threads: 1", "  so-reuseport: no",
                 "  access-control: 0.0.0.0/0 allow", "  local-zone: \".\" static"]
        lines += [f'  local-zone: "{zone}" static' for zone in zones]
        lines += [f"  local-data: '{record}'" for record in records]
        lines += ["remote-control:", "  control-enable: no"]
        path = folder / "unbound.conf"
        path.write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen([*prefix, which("unbound"), "-d", "-c", str(path)], stdout=subprocess.DEVNULL, stderr=open(folder / "unbound.log", "w"))

    def listens(self):
        return f":{self.port:04X} " in pathlib.Path(f"/proc/{self.process.pid}/net/udp").read_text()

    def answers(self):
        query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04test\x00\x00\x01\x00\x01"
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
            sock.settimeout(0.2)
            try:
                sock.sendto(query, ("127.0.0.1", self.port))
                return sock.recv(512)
            except OSError:
                return None

    def close(self):
        stop(self.process)


def which(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Skip(f"{name} is not installed")
    return path


class Skip(Exception):
    """Raised by a case that cannot run here, with the reason."""


def stop(process, signal_number=signal.SIGTERM, seconds=30):
    if process.poll() is None:
        process.send_signal(signal_number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


class Certificate:
    """A self-signed certificate made by openssl(1) for the names given."""

    def __init__(self, folder, name="relay.example.net", alternative=("relay.example.net", "localhost")):
        self.certificate = folder / f"{name}.cert.pem"
        self.key = folder / f"{name}.key.pem"
        names = ",".join(f"DNS:{n}" for n in alternative) + ",IP:127.0.0.1"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}", "-keyout", self.key, "-out", self.certificate],
                       check=True, capture_output=True)


DEFAULT_LIMITS = ("hourly", "daily", "first-time", "bounces", "spam", "reports", "networks", "guesses")  # tests send more than anybody's mail program would


class Posternd:
    """The daemon under test. SECTIONS is configuration text that is added to the base of every test."""

    def __init__(self, folder, dns, certificate, delivery_port, sections="", base=None, release=False, options=("-u",), queue="", delivery="",
                 ports=None, top="", listener="", auth="", prefix=(), default_limits=False):
        self.folder = folder
        self.build = RELEASE if release else SANITIZED
        self.prefix = list(prefix)
        self.options = list(options)
        self.port, self.tls_port, self.open_port = ports or (free_port(), free_port(), free_port())
        self.users = folder / "users"
        self.control = folder / "control.sock"
        self.file = folder / "postern.conf"
        self.log_path = folder / "postern.log"
        self.certificate = certificate
        self.text = base if base is not None else f"""
hostname = "relay.example.net"
{top}
tls {{ certificate = "{certificate.certificate}" key = "{certificate.key}" }}
listener submission {{ address = {{ "127.0.0.1:{self.port}" }} tls = starttls auth = required {listener} }}
listener submissions {{ address = {{ "127.0.0.1:{self.tls_port}" }} tls = implicit auth = required {listener} }}
listener office {{ address = {{ "127.0.0.1:{self.open_port}" }} tls = starttls auth = none networks = {{ "127.0.0.0/8" }} {listener} }}
auth {{ backend = file file = "{self.users}" {auth} }}
spool {{ directory = "{folder / 'spool'}" minimum-free = 1M allow-volatile = yes }}
policy {{ directory = "{folder / 'policy'}" }}
mta-sts {{ directory = "{folder / 'sts'}" }}
dns {{ servers = {{ "127.0.0.1:{dns.port if dns else 1}" }} }}
delivery {{ port = {delivery_port} allow-private = yes {delivery} }}
queue {{ {queue} }}
control {{ socket = "{self.control}" }}
"""
        self.text += sections
        for limit in DEFAULT_LIMITS:
            if not default_limits and f"limit {limit} " not in self.text:
                self.text += f"limit {limit} {{ mode = off }}\n"
        self.file.write_text(self.text)
        self.process = None
        self.pass_fds = ()

    def user(self, name, password):
        """Adds an account as an administrator does."""
        self.cli("user", "add", name, input=password + "\n")

    def cli(self, *arguments, check=True, input=None, json_output=False):
        command = [*self.prefix, str(self.build / "postern"), "-f", str(self.file)] + (["--json"] if json_output else []) + list(arguments)
        done = subprocess.run(command, capture_output=True, text=True, input=input, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"postern {' '.join(arguments)}: exit {done.returncode}: {done.stdout}{done.stderr}")
        if json_output:
            return json.loads(done.stdout)
        return done if not check else done.stdout

    def start(self, wait=True):
        self.log_file = open(self.log_path, "a")
        self.seen = os.path.getsize(self.log_path)
        environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=86", UBSAN_OPTIONS="print_stacktrace=1")
        self.process = subprocess.Popen(self.prefix + [str(self.build / "posternd"), "-f", str(self.file)] + self.options,
                                        stderr=self.log_file, stdout=self.log_file, env=environment, pass_fds=self.pass_fds)
        if wait:
            wait_for(lambda: "text=\"ready:" in self.new_log() or self.process.poll() is not None, what="posternd's being ready")
            if self.process.poll() is not None:
                raise AssertionError("posternd ended: " + self.new_log()[-2000:])
        return self

    def new_log(self):
        with open(self.log_path, errors="replace") as log:
            log.seek(self.seen)
            return log.read()

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def events(self, name=None):
        """The log's lines as dicts, those of event NAME."""
        found = []
        for line in self.log().splitlines():
            fields = parse_logfmt(line)
            if fields.get("event") and (name is None or fields["event"] == name):
                found.append(fields)
        return found

    def pids(self):
        """{role: [pid, …]} of the running roles."""
        roles = {}
        for pid in children(self.process.pid):
            try:
                command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            for word in command:
                if word.startswith(b"--role="):
                    roles.setdefault(word[7:].decode(), []).append(pid)
        return roles

    def stop(self):
        if self.process is None:
            return 0
        code = stop(self.process)
        self.log_file.close()
        self.process = None
        return code

    def kill(self, roles=True):
        """Everything at once, as a power cut would, but for the disk; or, without ROLES, the parent alone, which ends the others."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # it forks no more
        pids = children(self.process.pid)
        for pid in pids if roles else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        wait_for(lambda: not any(is_alive(pid) for pid in pids), what="the end of all roles")
        self.log_file.close()
        self.process = None

    def check_clean(self):
        """No sanitizer has complained and no role died by itself."""
        log = self.log()
        for word in ("AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion"):
            if word in log:
                at = log.index(word)
                raise AssertionError(f"the log has {word}: {log[max(0, at - 300):at + 3000]}")


def is_alive(pid):
    """Is PID there, and not only waited for by nobody?"""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def parse_logfmt(line):
    """{name: value} of one log line; quoted values unquoted."""
    fields, i = {}, 0
    while i < len(line):
        equals = line.find("=", i)
        if equals < 0:
            break
        name, i = line[i:equals].strip(), equals + 1
        if i < len(line) and line[i] == '"':
            value, i = [], i + 1
            while i < len(line) and line[i] != '"':
                if line[i] == "\\" and i + 1 < len(line) and line[i + 1] in '"\\':
                    i += 1
                value.append(line[i])
                i += 1
            fields[name] = "".join(value)
            i += 2
        else:
            end = line.find(" ", i)
            end = len(line) if end < 0 else end
            fields[name] = line[i:end]
            i = end + 1
    return fields


class World:
    """A temporary folder, DNS, and whatever a case adds; all of it ends with close()."""

    RECORDS = [
        "example.com. 300 IN MX 10 mx1.example.com.", "mx1.example.com. 300 IN A 127.0.1.1",
        "example.org. 300 IN MX 10 mx1.example.org.", "example.org. 300 IN MX 20 mx2.example.org.",
        "mx1.example.org. 300 IN A 127.0.1.2", "mx2.example.org. 300 IN A 127.0.1.3",
        "implicit.example. 300 IN A 127.0.1.4",
        "nullmx.example. 300 IN MX 0 .",
        "loop.example. 300 IN MX 10 relay.example.net.", "relay.example.net. 300 IN A 127.0.0.1",
        "nomail.example. 300 IN TXT \"nothing here\"",
        "dead.example. 300 IN MX 10 mx.dead.example.", "mx.dead.example. 300 IN A 127.0.1.250",
        "postfix.example. 300 IN MX 10 mx.postfix.example.", "mx.postfix.example. 300 IN A 127.0.1.10",
    ]

    def __init__(self, records=(), dns=True):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-lab-"))
        self.closers = []
        self.failed = False
        self.dns = Dns(self.folder, list(records) or self.RECORDS) if dns else None
        self.certificate = Certificate(self.folder)
        self.delivery_port = free_port(None)

    def posternd(self, name="posternd", **options):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        daemon = Posternd(folder, self.dns, self.certificate, options.pop("delivery_port", self.delivery_port), **options)
        self.closers.append(daemon)
        return daemon

    def add(self, thing):
        self.closers.append(thing)
        return thing

    def close(self):
        """Ends everything; a daemon that ended badly or complained is a failure of its own."""
        problem = None
        for thing in reversed(self.closers):
            if isinstance(thing, Posternd):
                code = thing.stop()
                try:
                    thing.check_clean()
                    if code:
                        raise AssertionError(f"posternd ended with status {code}: {thing.log()[-3000:]}")
                except AssertionError as error:
                    problem = problem or error
            else:
                thing.close()
        if self.dns:
            self.dns.close()
        keep = os.environ.get("POSTERN_KEEP")
        if keep:
            print(f"kept {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        if problem:
            raise problem

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            self.close()
        except AssertionError:
            if error is None:
                raise
