"""The relay as it is installed: three machines (client, gateway, world) as network namespaces with the real ports 587, 465, 25 and 53, and
posternd started by root, which becomes its three users and closes each role's sandbox. Only root can make namespaces."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from case import main
from postfix import Postfix
from submit import without_added
from world import TOP, Certificate, Dns, Posternd, Skip, wait_for, which

# The world needs addresses to which mail is sent: none that is private or for documentation.
GATEWAY_IN, GATEWAY_OUT, NAMES, RECEIVER = "198.51.100.1", "11.25.0.1", "11.25.0.53", "11.25.0.10"
RECORDS = ["example.com. 300 IN MX 10 mx.example.com.", f"mx.example.com. 300 IN A {RECEIVER}", "mx.example.com. 300 IN AAAA 2600:25::10",
           f"relay.example.net. 300 IN A {GATEWAY_OUT}", "loop.example. 300 IN MX 10 relay.example.net."]
USERS = ("postern", "postern-queue", "postern-auth")


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


class Network:
    """client ─ gateway ─ world."""

    def __init__(self, folder):
        if os.geteuid() != 0:
            raise Skip("only root can make network namespaces")
        self.folder = folder
        self.names = {role: f"postern-{os.getpid()}-{role}" for role in ("client", "gateway", "world")}
        self.closers = []
        try:
            for name in self.names.values():
                run(which("ip"), "netns", "add", name)
                run("ip", "-n", name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            self.close()
            raise Skip(f"no network namespaces here: {error.stderr.strip()}")
        self.link("client", ["198.51.100.2/24", "2001:db8:587::2/64"], "gateway", ["198.51.100.1/24", "2001:db8:587::1/64"])
        self.link("gateway", ["11.25.0.1/24", "2600:25::1/64"], "world", ["11.25.0.10/24", "11.25.0.53/24", "2600:25::10/64"])

    def link(self, left, left_addresses, right, right_addresses):
        ends = f"{left}-{right}"[:12], f"{right}-{left}"[:12]
        run("ip", "-n", self.names[left], "link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", self.names[right])
        for role, end, addresses in ((left, ends[0], left_addresses), (right, ends[1], right_addresses)):
            run("ip", "-n", self.names[role], "link", "set", end, "up")
            for address in addresses:
                run("ip", "-n", self.names[role], "address", "add", address, "dev", end, *(["nodad"] if ":" in address else []))

    def at(self, role):
        """The command that runs what follows on the machine ROLE."""
        return ["ip", "netns", "exec", self.names[role]]

    def add(self, thing):
        self.closers.append(thing)
        return thing

    def close(self):
        for thing in reversed(self.closers):
            thing.close()
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class Machine:
    """The gateway's system as an installation leaves it: users from systemd/sysusers.conf, in an /etc/passwd that only this posternd sees."""

    def __init__(self, network):
        self.root = network.folder / "system"
        (self.root / "etc").mkdir(parents=True)
        for name in ("passwd", "group"):
            shutil.copy(f"/etc/{name}", self.root / "etc" / name)
        run(which("systemd-sysusers"), f"--root={self.root}", str(TOP / "systemd" / "sysusers.conf"))
        mounts = " && ".join(f"mount --bind {self.root}/etc/{name} /etc/{name}" for name in ("passwd", "group"))
        self.prefix = [*network.at("gateway"), "unshare", "--mount", "--propagation", "private", "sh", "-c", f'{mounts} && exec "$@"', "sh"]

    def users(self):
        """{uid: name} of this machine."""
        return {int(fields[2]): fields[0] for fields in (line.split(":") for line in (self.root / "etc" / "passwd").read_text().splitlines())}


class Gateway(Posternd):
    """posternd on the gateway, without any option that a test would need."""

    def __init__(self, network, certificate):
        self.machine = Machine(network)
        folder = network.folder / "gateway"
        folder.mkdir()
        super().__init__(folder, None, certificate, 25, release=True, options=(), ports=(587, 465, 25), prefix=self.machine.prefix, base=f"""
hostname = "relay.example.net"
tls {{ certificate = "{certificate.certificate}" key = "{certificate.key}" }}
listener submission {{ address = {{ "{GATEWAY_IN}:587", "[2001:db8:587::1]:587" }} tls = starttls auth = required }}
listener submissions {{ address = {{ "{GATEWAY_IN}:465" }} tls = implicit auth = required }}
listener office {{ address = {{ "{GATEWAY_IN}:25" }} tls = starttls auth = none networks = {{ "198.51.100.0/24" }} }}
auth {{ backend = file file = "{folder}/users" }}
spool {{ directory = "{folder}/spool" minimum-free = 1M allow-volatile = yes }}
policy {{ directory = "{folder}/policy" }}
mta-sts {{ directory = "{folder}/sts" }}
dns {{ servers = {{ "{NAMES}" }} }}
control {{ socket = "{folder}/control.sock" }}
""")

    def close(self):
        code, log = self.stop(), self.log()
        assert code == 0, f"posternd ended with status {code}: {log[-3000:]}"


def scene(network):
    """(gateway, receiver), running; alice can log in."""
    network.folder.chmod(0o755)
    certificate = Certificate(network.folder)
    network.add(Dns(network.folder, RECORDS, NAMES, 53, network.at("world")))
    receiver = network.add(Postfix.receiver(network.folder, f"{RECEIVER}:25", "example.com", certificate, ["inet_interfaces = all"], network.at("world")))
    gateway = network.add(Gateway(network, certificate))
    gateway.user("alice", "secret")
    gateway.start()
    return gateway, receiver


def make_network():
    for program in ("systemd-sysusers", "unshare", "swaks", "postfix", "unbound"):
        which(program)
    if not (TOP / "build" / "posternd").exists():
        raise Skip("the release build is not there: make programs")
    return Network(pathlib.Path(tempfile.mkdtemp(prefix="postern-net-")))


def swaks(network, *arguments):
    done = subprocess.run([*network.at("client"), "swaks", "--from", "alice@example.net", "--helo", "client.example.net", *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def case_mail_crosses_three_machines_on_the_real_ports():
    """swaks on the client submits over 587, 465 and 25, by IPv4 and IPv6; Postfix in the world receives over 25; names come from port 53."""
    login = ["--auth", "PLAIN", "--auth-user", "alice", "--auth-password", "secret"]
    ways = [["--server", GATEWAY_IN, "--port", "587", "-tls", *login], ["--server", GATEWAY_IN, "--port", "465", "-tlsc", *login], ["--server", GATEWAY_IN, "--port", "25"]]
    with make_network() as network:
        gateway, receiver = scene(network)
        for number, way in enumerate(ways):
            code, text = swaks(network, "--to", f"way{number}@example.com", "--body", f"by way {number}", *way)
            assert code == 0, text
        mail = network.folder / "mail"
        mail.write_text("From: alice@example.net\r\nTo: six@example.com\r\nSubject: six\r\n\r\nby way 3\r\n")
        subprocess.run([*network.at("client"), "curl", "--silent", "--show-error", "--insecure", "--ssl-reqd", "--user", "alice:secret", "--mail-from", "alice@example.net",
                        "--mail-rcpt", "six@example.com", "--upload-file", str(mail), "smtp://[2001:db8:587::1]:587"], check=True, timeout=60)
        wait_for(lambda: len(receiver.messages()) == 4, 30, "all four at the receiver")
        assert sorted(re.search(rb"by way (\d)", data)[1] for data in receiver.messages()) == [b"0", b"1", b"2", b"3"]
        code, text = swaks(network, "--to", "x@loop.example", *ways[0])
        assert code != 0 and "550 5.4.6" in text, text
        # Nobody reaches the submission ports from the world, nor the world's port 25 from the client: there is no way but the relay.
        direct, _ = swaks(network, "--to", "x@example.com", "--server", RECEIVER, "--port", "25", "--timeout", "3")
        assert direct != 0


def case_roles_run_as_three_users_in_closed_sandboxes():
    """ps shows three users besides root; every role but the parent has a system call filter, no new privileges and no capabilities."""
    with make_network() as network:
        gateway, receiver = scene(network)
        code, text = swaks(network, "--to", "bob@example.com", "--server", GATEWAY_IN, "--port", "587", "-tls", "--auth-user", "alice", "--auth-password", "secret")
        assert code == 0, text
        wait_for(receiver.messages, 30, "the message")
        names = gateway.machine.users()
        seen = set()
        roles = gateway.pids()
        assert set(roles) == {"submission", "auth", "dns", "policy", "queue", "delivery", "control", "sts"}, roles
        for role, pids in roles.items():
            for pid in pids:
                uid = int(run("ps", "-o", "uid=", "-p", str(pid)))
                status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
                assert uid != 0, f"{role} runs as root"
                assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1", f"{role}: Seccomp {status['Seccomp']}, NoNewPrivs {status['NoNewPrivs']}"
                assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0, f"{role}: capabilities {status['CapEff']}"
                assert status["Groups"].split() in ([], [status["Gid"].split()[0]]), f"{role}: groups {status['Groups']}"
                seen.add(names[uid])
        assert seen == set(USERS), seen


def case_a_role_that_dies_comes_back_in_its_sandbox():
    """A role that is killed is started again, with its user and filter, and mail goes on."""
    with make_network() as network:
        gateway, receiver = scene(network)
        for role in ("queue", "delivery", "submission", "auth"):
            before = gateway.pids().get(role, ())
            for pid in before:
                os.kill(pid, 9)
            def is_back():
                now = gateway.pids().get(role, ())
                return len(now) == len(before) and not set(before) & set(now)
            wait_for(is_back, 30, f"{role} again")
        def through():
            code, _ = swaks(network, "--to", "bob@example.com", "--server", GATEWAY_IN, "--port", "587", "-tls", "--auth-user", "alice", "--auth-password", "secret")
            return code == 0
        wait_for(through, 30, "a submission's success")
        wait_for(receiver.messages, 30, "the message")
        for pids in gateway.pids().values():
            for pid in pids:
                assert "Seccomp:\t2" in pathlib.Path(f"/proc/{pid}/status").read_text()


def case_the_unit_is_tight():
    """systemd-analyze rates the unit's exposure below 2.5, without a running systemd."""
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not installed")
    with tempfile.TemporaryDirectory(prefix="postern-unit-") as folder:
        run("make", "-s", "-C", str(TOP), "install", f"DESTDIR={folder}", "PREFIX=/usr")
        unit = pathlib.Path(folder) / "usr/lib/systemd/system/postern.service"
        done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)], capture_output=True, text=True)
        found = re.search(r"Overall exposure level for postern\.service: ([\d.]+)", done.stdout)
        assert found, done.stdout + done.stderr
        print(f"note exposure {found[1]}")
        assert float(found[1]) < 2.5


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
