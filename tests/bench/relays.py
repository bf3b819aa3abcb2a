"""The relays that are compared, postern and Postfix, with settings that let a load pass, and tests/bench/load, which makes it.

What goes by MX runs in a network of its own (own_network): an MX has no port but 25, and Postfix asks the name server of resolv.conf."""
import json
import os
import re
import statistics
import subprocess
import sys
import time

from figures import TESTS, TOOLS, processor_ms
from postfix import Postfix
from world import Dns, Skip, World, free_port

NO_LIMITS = "".join(f"limit {name} {{ mode = off }}\n" for name in re.findall(r'^    { "([a-z-]+)", CONF_COUNT_', (TESTS.parent / "relay/conf/defaults.c").read_text(), re.M))
LISTENER = "max-connections-per-client = 10000 max-messages = 100000"
UNCHECKED = LISTENER + " check-recipient-domain = no"
SETTLE_S = 1.5
# Both families are asked for, as Debian sets Postfix up (and as postern always does); tests/lab/postfix.py sets it to IPv4.
BY_MX = ["relayhost =", "smtp_dns_support_level = enabled", "smtp_host_lookup = dns", "smtp_tls_security_level = none", "inet_protocols = all"]


class Relay:
    """One that runs: its name, its first process, its ports (Postfix has one), and the thing behind it, which stop() ends. A sink is for whoever has one
    for each relay."""

    sink = None

    def __init__(self, name, pid, plain_port, tls_port, server, stop):
        self.name, self.pid, self.plain_port, self.tls_port, self.server, self.stop = name, pid, plain_port, tls_port, server, stop


def postern(world, listener=UNCHECKED, **options):
    """With the account bench, whose password is secret."""
    daemon = world.posternd(f"postern-{len(world.closers)}", release=True, listener=listener, **options)
    daemon.user("bench", "secret")
    daemon.start()
    return Relay("postern", daemon.process.pid, daemon.open_port, daemon.port, daemon, daemon.stop)


def postfix(world, settings, certificate=None):
    """Raises Skip or AssertionError where it does not start."""
    port = free_port()
    server = world.add(Postfix(world.folder, f"127.0.0.1:{port}", certificate,
                               ["myhostname = relay.example.net", "smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject",
                                "default_destination_concurrency_limit = 20", "smtpd_client_message_rate_limit = 0", "smtpd_client_connection_rate_limit = 0",
                                "smtpd_client_auth_rate_limit = 0", *settings]))
    return Relay("Postfix", server.master.pid, port, port, server, server.close)


def load(*options):
    """What tests/bench/load with OPTIONS says; zeros where it says nothing."""
    done = subprocess.run([TOOLS / "load", *map(str, options)], stdout=subprocess.PIPE, text=True)
    keys = ("accepted", "refused", "connections", "received", "recipients", "submit_s", "total_s", "after_data_s", "rate", "p50_ms", "p99_ms")
    return json.loads(done.stdout) if done.stdout else dict.fromkeys(keys, 0)


class Sink:
    """The receiving server alone, at ADDRESS, until COUNT recipients had their message."""

    def __init__(self, address, count, *options):
        command = [TOOLS / "load", "--sink", address, "--expect", str(count), "--seconds", "300", *map(str, options)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def result(self):
        return json.loads(self.process.communicate()[0].splitlines()[-1])


def spend(relay, work, settle_s=SETTLE_S):
    """What WORK returns, and the processor ms that RELAY spends on it and in a moment after it."""
    before = processor_ms(relay.pid)
    result = work()
    time.sleep(settle_s)
    return result, processor_ms(relay.pid) - before


def note_missing(relay, arrived, wanted):
    if arrived < wanted:
        print(f"note: {relay.name}: {arrived} of {wanted} arrived")


def in_turns(contenders, measure, runs):
    """For each of CONTENDERS the median of each figure that MEASURE says of it, RUNS times: in turns, so that what else the machine does falls on all
    alike. One of which it says None is left out from there on."""
    found = {contender: [] for contender in contenders}
    for turn in range(runs):
        for contender in list(found)[::-1 if turn % 2 else 1]:
            figures = measure(contender)
            if figures:
                found[contender].append(figures)
            else:
                del found[contender]
    return [{key: statistics.median(each[key] for each in results) for key in results[0]} for results in found.values()]


def started(world, makers, measure, runs):
    """As in_turns, of relays that each of MAKERS starts anew for each run, so that they know nothing of the run before."""
    def measure_one(make):
        try:
            relay = make(world)
        except (Skip, AssertionError) as reason:
            print(f"note: a relay is not measured: {reason}")
            return None
        try:
            return measure(relay)
        finally:
            relay.stop()
    return in_turns(makers, measure_one, runs)


def own_network():
    """This program once more, with a loopback, a port 25 and a resolv.conf of its own."""
    if os.environ.get("POSTERN_BENCH_NETWORK"):
        return
    if os.geteuid() != 0 or subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True).returncode:
        print(f"note: {os.path.basename(sys.argv[0])} measures nothing here: that needs root and network namespaces")
        sys.exit(0)
    script = 'ip link set lo up && echo "nameserver 127.0.0.1" >/run/postern-bench-resolv && mount --bind /run/postern-bench-resolv /etc/resolv.conf && exec "$@"'
    done = subprocess.run(["unshare", "--net", "--mount", "sh", "-c", script, "sh", sys.executable] + sys.argv, env=dict(os.environ, POSTERN_BENCH_NETWORK="1"))
    os.path.exists("/run/postern-bench-resolv") and os.unlink("/run/postern-bench-resolv")
    sys.exit(done.returncode)


def domains_of(sites):
    """How many domains world_of has for SITES: d0.example and so on, each site's in turn."""
    return max(sites, 100)


def world_of(sites):
    """A world whose name server, for own_network, knows the domains of so many SITES, each with an address of its own."""
    records = [f"d{n}.example. 3600 IN MX 10 mx{n % sites}.test." for n in range(domains_of(sites))]
    records += [f"mx{n}.test. 3600 IN A 127.{10 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}" for n in range(sites)]
    world = World(dns=False)
    world.dns = Dns(world.folder, records, port=53)
    return world
