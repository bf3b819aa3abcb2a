"""DNS with signatures for the lab: knotd is the authority that signs zones, and unbound in front of it is a resolver that validates them, so
that answers from signed zones carry the AD bit, those from other zones do not, and what is not signed as it should be is SERVFAIL."""
import base64
import contextlib
import socket
import struct
import subprocess

from world import free_port, stop, wait_for, which

TYPES = {"A": 1, "CNAME": 5, "MX": 15, "AAAA": 28, "DNSKEY": 48, "TLSA": 52}
AD, DO = 0x20, 0x8000
SERVFAIL, NXDOMAIN = 2, 3


class Answer:
    """What a name server said: RCODE, whether it is AUTHENTIC (AD), RECORDS [(type, rdata)] of its answer."""

    def __init__(self, data):
        _, flags, questions, count, _, _ = struct.unpack(">HHHHHH", data[:12])
        self.rcode, self.authentic, self.records, at = flags & 15, bool(flags & AD), [], 12
        for _ in range(questions):
            at = after_name(data, at) + 4
        for _ in range(count):
            at = after_name(data, at)
            kind, _, _, size = struct.unpack(">HHIH", data[at:at + 10])
            self.records.append((kind, data[at + 10:at + 10 + size]))
            at += 10 + size

    def of(self, kind):
        return [rdata for k, rdata in self.records if k == TYPES[kind]]


def after_name(data, at):
    while data[at] and data[at] < 0xc0:
        at += 1 + data[at]
    return at + (2 if data[at] else 1)


def ask(port, name, kind, address="127.0.0.1", seconds=5, flags=AD):
    """Asks the server at ADDRESS, PORT for NAME's records of KIND, with the AD bit: an Answer, or None where there is none."""
    wire = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"
    query = struct.pack(">HHHHHH", 0x1234, 0x0100 | flags, 1, 0, 0, 1) + wire + struct.pack(">HH", TYPES[kind], 1) + b"\0\0\x29\x04\xd0" + bytes(6)
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock, contextlib.suppress(OSError):
        sock.settimeout(seconds)
        sock.sendto(query, (address, port))
        return Answer(sock.recv(4096))
    return None


class SignedDns:
    """In place of a Dns. SIGNED and UNSIGNED are {zone: records}: names end in a dot; what stands outside of all zones does not exist.

    BOGUS are names of signed zones that do not validate: each becomes a zone of its own, of whose key the resolver has been told another, as
    where a DS is wrong. SILENT are names of whose zone no server ever answers. Answers are kept for no more than a second."""

    def __init__(self, folder, signed=None, unsigned=None, bogus=(), silent=()):
        self.folder = folder / "signed"
        (self.folder / "db").mkdir(parents=True)
        self.bogus, self.silent, self.serial = tuple(bogus), tuple(silent), 1
        self.signed, self.unsigned = dict(signed or {}), dict(unsigned or {})
        self.black_hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.black_hole.bind(("127.0.0.1", 0))
        self.knot = self.unbound = None
        try:
            self.begin_knot()
            self.begin_unbound()
        except BaseException:
            self.close()
            raise

    def run(self, program, *arguments):
        return subprocess.Popen([which(program), *arguments], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=open(self.folder / f"{program}.log", "w"))

    def contents(self):
        """{zone: records} as knotd has them: with a zone for each name that is bogus."""
        split = {**self.signed, **self.unsigned, **{name: [] for name in self.bogus}}
        for zone, records in {**self.signed, **self.unsigned}.items():
            split[zone] = [r for r in records if r.split()[0] not in self.bogus]
            for name in self.bogus:
                split[name] = split[name] + [r for r in records if r.split()[0] == name]
        return split

    def is_signed(self, zone):
        return zone in self.signed or zone in self.bogus

    def write_zones(self):
        for zone, records in self.contents().items():
            head = [f"{zone} 60 IN SOA ns.{zone} hostmaster.{zone} {self.serial} 3600 600 86400 1", f"{zone} 60 IN NS ns.{zone}", f"ns.{zone} 60 IN A 127.0.0.1"]
            (self.folder / f"{zone}zone").write_text("\n".join(head + list(records)) + "\n")

    def begin_knot(self):
        self.write_zones()
        for _ in range(5):  # a port that was free may be taken before knotd comes to it
            self.authority = free_port()
            lines = ["server:", f"  rundir: {self.folder}", f"  listen: 127.0.0.1@{self.authority}",
                     "  udp-workers: 1", "  tcp-workers: 1", "  background-workers: 1",
                     "control:", f"  listen: {self.folder}/knot.sock", "database:", f"  storage: {self.folder}/db",
                     "log:", "  - target: stderr", "    any: warning",
                     "policy:", "  - id: one", "    algorithm: ecdsap256sha256", "    single-type-signing: on",
                     "template:", "  - id: default", f"    storage: {self.folder}", "    file: \"%s.zone\"", "    zonefile-sync: -1",
                     "    zonefile-load: difference-no-serial", "    journal-content: all", "    dnssec-policy: one", "zone:"]
            for zone in self.contents():
                lines += [f"  - domain: {zone}", f"    file: {zone}zone", f"    dnssec-signing: {'on' if self.is_signed(zone) else 'off'}"]
            (self.folder / "knot.conf").write_text("\n".join(lines) + "\n")
            self.knot = self.run("knotd", "-c", "knot.conf")
            wait_for(lambda: self.knot.poll() is not None or all(self.is_served(zone) for zone in self.contents()), what="the authority's being ready")
            if self.knot.poll() is None:
                return
        raise AssertionError("knotd does not run: " + (self.folder / "knotd.log").read_text()[-500:])

    def is_served(self, zone):
        found = ask(self.authority, zone, "DNSKEY", seconds=0.2)
        return found and found.rcode == 0 and (found.of("DNSKEY") or not self.is_signed(zone))

    def anchor(self, zone):
        """The trust anchor of ZONE for unbound; of one that is bogus, another key."""
        key = ask(self.authority, zone, "DNSKEY").of("DNSKEY")[0]
        flags, protocol, algorithm = struct.unpack(">HBB", key[:4])
        material = key[4:] if zone not in self.bogus else key[4:-1] + bytes([key[-1] ^ 1])
        return f'  trust-anchor: "{zone} 60 IN DNSKEY {flags} {protocol} {algorithm} {base64.b64encode(material).decode()}"'

    def begin_unbound(self):
        zones = list(self.contents())
        for _ in range(5):
            self.port = free_port(kind=socket.SOCK_DGRAM)
            lines = ["server:", "  interface: 127.0.0.1", f"  port: {self.port}", "  do-daemonize: no", '  username: ""', '  chroot: ""',
                     f'  directory: "{self.folder}"', '  pidfile: ""', "  use-syslog: no", "  verbosity: 0", "  log-queries: yes",
                     "  num-threads: 1", "  so-reuseport: no",
                     "  access-control: 0.0.0.0/0 allow", '  module-config: "validator iterator"', "  do-not-query-localhost: no", "  do-ip6: no",
                     "  qname-minimisation: no", "  aggressive-nsec: no", "  cache-max-ttl: 1", "  cache-max-negative-ttl: 1",
                     "  val-bogus-ttl: 1", "  infra-host-ttl: 1",
                     "  trust-anchor-signaling: no", "  root-key-sentinel: no", '  local-zone: "." static']
            lines += [f'  local-zone: "{zone}" nodefault' for zone in ("test.", "invalid.")]
            lines += [f'  local-zone: "{zone}" transparent' for zone in zones]
            lines += [self.anchor(zone) for zone in zones if self.is_signed(zone)]
            lines += ["remote-control:", "  control-enable: no"]
            for zone in zones:
                lines += ["stub-zone:", f'  name: "{zone}"', f"  stub-addr: 127.0.0.1@{self.authority}"]
            for name in self.silent:
                lines += ["stub-zone:", f'  name: "{name}"', f"  stub-addr: 127.0.0.1@{self.black_hole.getsockname()[1]}"]
            (self.folder / "unbound.conf").write_text("\n".join(lines) + "\n")
            self.unbound = self.run("unbound", "-d", "-c", "unbound.conf")
            wait_for(lambda: self.unbound.poll() is not None or ask(self.port, "test", "A", seconds=0.2), what="the resolver's being ready")
            if self.unbound.poll() is None:
                return
        raise AssertionError("unbound does not run: " + (self.folder / "unbound.log").read_text()[-500:])

    def change(self, zone, records):
        """The ZONE has RECORDS from now on; the resolver says so when this returns: a mark that it has been told of as missing just before,
        and keeps as long as everything else, is there then."""
        self.serial += 1
        mark = f"mark{self.serial}.{zone}"
        assert ask(self.port, mark, "A").rcode == NXDOMAIN
        (self.signed if zone in self.signed else self.unsigned)[zone] = [*records, f"{mark} 60 IN A 127.0.0.1"]
        self.write_zones()
        subprocess.run([which("knotc"), "-c", str(self.folder / "knot.conf"), "-b", "zone-reload", *self.contents()], check=True, capture_output=True, timeout=20)
        wait_for(lambda: ask(self.port, mark, "A").rcode == 0, what=f"the change of {zone}")

    def asked(self, kind=None):
        """[(name, type)] of all questions so far, those of KIND."""
        words = [line.split() for line in (self.folder / "unbound.log").read_text().splitlines() if line.endswith(" IN")]
        return [(w[-3].lower(), w[-2]) for w in words if kind in (None, w[-2])]

    def close(self):
        for process in (self.unbound, self.knot):
            if process:
                stop(process)
        self.black_hole.close()
