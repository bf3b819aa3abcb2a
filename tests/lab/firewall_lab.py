"""The firewall's rules as nft loads them on a gateway: a client behind it, the world with a mail server, over IPv4 and IPv6. Everything is tried
without the rules first, so that it is they who refuse."""
import ctypes
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import threading
import time

from case import main
from namespace_lab import GATEWAY_IN, NAMES, RECEIVER, Gateway, make_network, run
from receiver import Receiver
from submit import message
from world import Certificate, Dns, wait_for, which

CLIENT, CLIENT6, SECOND = "198.51.100.2", "2001:db8:587::2", "198.51.100.3"
GATEWAY_IN6, GATEWAY_OUT, GATEWAY_OUT6, RECEIVER6 = "2001:db8:587::1", "11.25.0.1", "2600:25::1", "2600:25::10"
RECORDS = ["example.com. 300 IN MX 10 mx.example.com.", f"mx.example.com. 300 IN A {RECEIVER}",
           "six.example. 300 IN MX 10 mx.six.example.", f"mx.six.example. 300 IN AAAA {RECEIVER6}"]
CLONE_NEWNET = 0x40000000
WORLD_INTERFACE = "gateway-worl"  # as Network.link names it
NFT = "/usr/sbin/nft"


def within(network, role, function, *arguments):
    """Calls FUNCTION on the machine ROLE, in a thread of its own, since a thread has a network of its own."""
    result = []

    def act():
        descriptor = os.open(f"/run/netns/{network.names[role]}", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            result.append(function(*arguments))
        except Exception as error:
            result.append(error)
        finally:
            os.close(descriptor)
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    if isinstance(result[0], Exception):
        raise result[0]
    return result[0]


def banner(address, port, source):
    """What a server says first, or "refused", or "nothing" where no answer comes within seconds."""
    begun = time.monotonic()
    try:
        with socket.create_connection((address, port), 5, (source, 0) if source else None) as connection:
            return connection.recv(512).decode()
    except ConnectionRefusedError:
        assert time.monotonic() - begun < 1, "refused, but not at once"
        return "refused"
    except TimeoutError:
        return "nothing"


class Scene:
    """The three machines, with a mail server in the world that has an address of each family, and posternd on the gateway, which forwards."""

    def __init__(self, network, listener=""):
        which("nft")
        self.network = network
        network.folder.chmod(0o755)
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            run(*network.at("gateway"), "sh", "-c", f"echo 1 > /proc/sys/net/{name}")
        for role, family, way in (("client", "-4", ("default", "via", GATEWAY_IN)), ("client", "-6", ("default", "via", GATEWAY_IN6)),
                                  ("world", "-4", ("default", "via", GATEWAY_OUT)), ("world", "-6", ("default", "via", GATEWAY_OUT6))):
            run("ip", "-n", network.names[role], family, "route", "add", *way)
        run("ip", "-n", network.names["client"], "address", "add", f"{SECOND}/24", "dev", "client-gatew")
        certificate = Certificate(network.folder)
        network.add(Dns(network.folder, RECORDS, NAMES, 53, network.at("world")))
        self.receivers = [network.add(within(network, "world", Receiver, address, 25)) for address in (RECEIVER, RECEIVER6)]
        self.gateway = network.add(Gateway(network, certificate))
        self.gateway.file.write_text(self.gateway.text + listener)
        self.gateway.user("alice", "secret")
        self.gateway.start()

    def connect(self, role, address, port=25, source=None):
        return within(self.network, role, banner, address, port, source)

    def nft(self, *arguments, check=True):
        """nft as the gateway's administrator calls it."""
        return subprocess.run([*self.gateway.machine.prefix, NFT, *arguments], check=check, capture_output=True, text=True)

    def load(self, *options, change=lambda text: text):
        """Prints the rules with OPTIONS, has nft check them, and loads them twice; so often an administrator may."""
        path = self.network.folder / "firewall.nft"
        path.write_text(change(self.gateway.cli("firewall", "print", *options)))
        self.nft("-c", "-f", str(path))
        for _ in range(2):
            self.nft("-f", str(path))

    def report(self):
        """{address: its row}."""
        rows = self.gateway.cli("firewall", "report", json_output=True)
        assert len({row["address"] for row in rows}) == len(rows), rows
        return {row["address"]: row for row in rows}

    def submit(self, url, recipient, subject, *options):
        """Sends a message from the client with curl."""
        mail = self.network.folder / "mail"
        mail.write_bytes(message(subject))
        return subprocess.run([*self.network.at("client"), "curl", "--silent", "--show-error", "--insecure", "--mail-from", "alice@example.net", "--mail-rcpt", recipient,
                               "--upload-file", str(mail), *options, url], capture_output=True, text=True, timeout=60)

    def subjects(self):
        """What arrived in the world: a set for each family."""
        return [{sent.header("Subject") for sent in receiver.messages} for receiver in self.receivers]


LOGIN = ("--ssl-reqd", "--user", "alice:secret")


def case_a_client_gets_to_the_world_by_the_relay_alone():
    """Port 25 of the world is refused at once to the client and to root on the gateway; submission and the relay's delivery work; the report names them."""
    with make_network() as network:
        scene = Scene(network)
        ways = [("client", RECEIVER), ("client", RECEIVER6), ("gateway", RECEIVER), ("gateway", RECEIVER6)]
        for way in ways:
            assert scene.connect(*way).startswith("220 "), way
        scene.load()
        begun = int(time.time())
        for way in ways + [("client", RECEIVER)]:
            assert scene.connect(*way) == "refused", way
        for number, (url, recipient) in enumerate([(f"smtp://{GATEWAY_IN}:587", "bob@example.com"), (f"smtp://[{GATEWAY_IN6}]:587", "bob@six.example")]):
            done = scene.submit(url, recipient, f"by way {number}", *LOGIN)
            assert done.returncode == 0, done
        wait_for(lambda: scene.subjects() == [{"by way 0"}, {"by way 1"}], 30, "a message over each family")
        # All else is as it was: the relay's own port 25, by its address and from itself, and what is no mail.
        assert scene.connect("client", GATEWAY_IN).startswith("220 relay.example.net") and scene.connect("gateway", GATEWAY_IN).startswith("220 ")
        assert within(network, "client", lambda: socket.create_connection((NAMES, 53), 5).close()) is None
        time.sleep(1.1)
        assert scene.connect("client", RECEIVER6) == "refused"
        rows = scene.report()
        assert {address: (row["attempts"], row["family"]) for address, row in rows.items()} == {
            CLIENT: (2, "IPv4"), CLIENT6: (2, "IPv6"), GATEWAY_OUT: (1, "IPv4"), GATEWAY_OUT6: (1, "IPv6")}, rows
        for row in rows.values():
            first, last = (time.mktime(time.strptime(row[name][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone for name in ("first", "last"))
            assert begun - 2 <= first <= last <= time.time() + 1 and (last > first) == (row["address"] == CLIENT6), (row, begun)
        text = scene.gateway.cli("firewall", "report")
        assert re.search(rf"^{CLIENT}\n    2 attempts since \d{{4}}-.*, the last \d{{4}}-.* ago\)$", text, re.M) and CLIENT6 in text, text
        scene.nft("delete", "table", "inet", "postern")
        assert scene.connect("client", RECEIVER).startswith("220 ")


def case_who_tried_has_a_name():
    """The report names the account that logged in last from an address, over IPv4 and IPv6, also after a restart; a daemon that is down costs the names alone."""
    with make_network() as network:
        scene = Scene(network)
        scene.gateway.user("bob", "secret")
        scene.load()
        ways = [(f"smtp://{GATEWAY_IN}:587", "bob:secret", SECOND), (f"smtp://{GATEWAY_IN}:587", "bob:secret", CLIENT), (f"smtp://{GATEWAY_IN}:587", "alice:secret", CLIENT),
                (f"smtp://[{GATEWAY_IN6}]:587", "alice:secret", CLIENT6)]
        for number, (url, user, source) in enumerate(ways):
            done = scene.submit(url, "bob@example.com", f"way {number}", "--ssl-reqd", "--user", user, "--interface", f"host!{source}")
            assert done.returncode == 0, done
        for role, address, source in (("client", RECEIVER, CLIENT), ("client", RECEIVER, SECOND), ("client", RECEIVER6, CLIENT6), ("gateway", RECEIVER, None)):
            assert scene.connect(role, address, source=source) == "refused", (role, address, source)
        named = {CLIENT: "alice", SECOND: "bob", CLIENT6: "alice", GATEWAY_OUT: None}

        def names():
            return {address: row["account"] for address, row in scene.report().items()}
        assert names() == named, names()
        assert all(bool(row["login"]) == bool(row["account"]) for row in scene.report().values())
        text = scene.gateway.cli("firewall", "report")
        assert re.search(rf"^{CLIENT}\n    1 attempt .*\n    account alice \(last login from there \w+ ago\)$", text, re.M), text
        assert re.search(rf"^{GATEWAY_OUT}\n    1 attempt .*\n    account -$", text, re.M), text
        assert scene.gateway.stop() == 0
        assert set(names()) == set(named) and set(names().values()) == {None}, names()
        scene.gateway.start()
        assert names() == named, names()


def case_attempts_are_redirected_to_a_listener():
    """--redirect: what the client sends to port 25 of the world comes to the relay's own listener, over IPv4 and IPv6, and is in the report nevertheless."""
    with make_network() as network:
        scene = Scene(network, f'listener astray {{ address = {{ "{GATEWAY_IN}:2525", "[{GATEWAY_IN6}]:2525" }} auth = none networks = {{ "198.51.100.0/24", "2001:db8:587::/64" }} }}\n')
        scene.load("--redirect", "2525")
        for number, (server, recipient) in enumerate([(RECEIVER, "bob@six.example"), (f"[{RECEIVER6}]", "bob@example.com")]):
            done = scene.submit(f"smtp://{server}:25", recipient, f"astray {number}")
            assert done.returncode == 0, done
        wait_for(lambda: scene.subjects() == [{"astray 1"}, {"astray 0"}], 30, "what was redirected, where its recipients are")
        assert scene.connect("client", RECEIVER).startswith("220 relay.example.net") and scene.connect("client", GATEWAY_IN).startswith("220 ")
        assert scene.connect("gateway", RECEIVER) == "refused", "only those behind the gateway are redirected"
        assert {address: row["attempts"] for address, row in scene.report().items()} == {CLIENT: 2, CLIENT6: 1, GATEWAY_OUT: 1}
        none = scene.gateway.cli("firewall", "print", "--redirect", "465", check=False)
        assert none.returncode == 1 and "no listener" in none.stderr, none


def case_a_mail_server_behind_the_gateway_is_reached():
    """From the world, a server inside is reached where the configuration lists its network, and else with --world; the way out is shut all the same."""
    with make_network() as network:
        scene = Scene(network)
        for address in (CLIENT, CLIENT6):
            network.add(within(network, "client", Receiver, address, 25))
        scene.load()
        assert scene.connect("world", CLIENT).startswith("220 ") and scene.connect("world", CLIENT6) == "refused"
        assert RECEIVER6 in scene.report()
        scene.load("--world", WORLD_INTERFACE)
        assert scene.connect("world", CLIENT).startswith("220 ") and scene.connect("world", CLIENT6).startswith("220 ")
        assert scene.connect("gateway", CLIENT6).startswith("220 ")
        assert not scene.report()
        for way in (("client", RECEIVER), ("client", RECEIVER6), ("gateway", RECEIVER), ("gateway", RECEIVER6)):
            assert scene.connect(*way) == "refused", way
        scene.load("--world", WORLD_INTERFACE, "--redirect", "25")
        assert scene.connect("world", CLIENT6).startswith("220 receiver.example") and scene.connect("client", RECEIVER).startswith("220 relay.example.net")


def case_a_full_set_lets_nobody_out():
    """Where no more addresses can be remembered those that come later are refused all the same, and the report says that it is not complete."""
    with make_network() as network:
        scene = Scene(network)
        scene.load(change=lambda text: text.replace("size 16384", "size 1"))
        for source in (CLIENT, SECOND, CLIENT, SECOND):
            assert scene.connect("client", RECEIVER, source=source) == "refused", source
        done = scene.gateway.cli("firewall", "report", check=False)
        assert done.returncode == 0 and CLIENT in done.stdout and SECOND not in done.stdout and "there may be others" in done.stderr, done


SENDER = """
import socket, sys
with socket.socket() as sender:
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400000)
    sender.connect((sys.argv[1], 25))
    sender.sendall(b"x" * 200000)
"""


def listen(address):
    """A listening socket whose connections take in a few kilobytes at a time."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind((address, 25))
    listener.listen()
    return listener


def case_the_last_bytes_go_out_after_their_socket_was_closed():
    """What the delivery user's process left with the kernel when it ended, which then belongs to nobody, arrives whole and is no attempt."""
    with make_network() as network:
        scene = Scene(network)
        scene.load()
        with within(network, "world", listen, NAMES) as listener:
            sender = [*scene.gateway.machine.prefix, which("setpriv"), "--reuid", "postern", "--clear-groups", sys.executable, "-c", SENDER, NAMES]
            assert subprocess.run(sender, timeout=30).returncode == 0
            connection, got = listener.accept()[0], 0
            connection.settimeout(30)
            with connection:
                while piece := connection.recv(65536):
                    got += len(piece)
            assert got == 200000
        assert not scene.report()


def send_in_fragments(source, destination):
    """A SYN to port 25 whose flags are in the second fragment: a filter that looks for the flag in the first does not find it."""
    tcp = struct.pack("!HHIIBBHHH", 40000, 25, 1, 0, 5 << 4, 2, 65535, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for offset, part, more in ((0, tcp[:8], 0x2000), (1, tcp[8:], 0)):
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(part), 4711, offset | more, 64, socket.IPPROTO_TCP, 0, socket.inet_aton(source), socket.inet_aton(destination))
            raw.sendto(header + part, (destination, 0))


def tcp_segments():
    """How many TCP segments this thread's machine got."""
    names, values = [line.split() for line in pathlib.Path("/proc/thread-self/net/snmp").read_text().splitlines() if line.startswith("Tcp:")]
    return int(values[names.index("InSegs")])


def case_a_connection_in_fragments_does_not_get_past():
    """A SYN cut so that its flags are in the second fragment gets to the world without the rules, and not with them."""
    with make_network() as network:
        scene = Scene(network)

        def arrives():
            before = within(network, "world", tcp_segments)
            within(network, "client", send_in_fragments, CLIENT, RECEIVER)
            time.sleep(0.5)
            return within(network, "world", tcp_segments) > before
        assert arrives()
        scene.load()
        assert not arrives()


def case_a_report_that_cannot_be_says_what_to_do():
    """No rules, rules of another program, nobody yet, not root: each has its sentence and exit status."""
    with make_network() as network:
        scene = Scene(network)

        def report(*prefix):
            return subprocess.run([*scene.gateway.machine.prefix, *prefix, str(scene.gateway.build / "postern"), "--json", "firewall", "report"], capture_output=True, text=True)
        done = report()
        assert done.returncode == 1 and not done.stdout and "the rules are not loaded here" in done.stderr, done
        scene.nft("add", "table", "inet", "postern")
        done = report()
        assert done.returncode == 1 and not done.stdout and "not one of this version" in done.stderr, done
        scene.load()
        done = report()
        assert done.returncode == 0 and json.loads(done.stdout) == [] and not done.stderr, done
        assert scene.gateway.cli("firewall", "report") == "nobody tried\n"
        done = report(which("setpriv"), "--reuid", "65534", "--clear-groups")
        assert done.returncode == 1 and not done.stdout and "only root can read the firewall" in done.stderr, done


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
