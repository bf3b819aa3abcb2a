"""DANE for SMTP (RFC 7672) against zones that are really signed and a resolver that really validates them: whom mail reaches, over what, and
that it never leaves in clear, nor to a server that is not the one, where DNS says with a signature what the server must show.

Hosts stand in signed.test. or in plain.test., which has no signatures; each has an address of its own. The first retry comes after an hour, so
that one attempt is all that happens unless a case asks for more."""
import base64
import contextlib
import hashlib
import itertools
import ssl
import subprocess
import sys
import time

from case import main
from receiver import Deed, Receiver, leave, raw
from remote_lab import HOUR, Stub, a, fate, mx, post
from signed import AD, NXDOMAIN, SERVFAIL, SignedDns, ask
from submit import message, submit
from world import Certificate, World, free_port, wait_for

QUICK = "timeout = 300ms tries = 2"
BRIEF = "cache-ttl-max = 1s cache-negative = 1s"  # what has changed is known a second later
FATES = ("delivered", "deferred", "bounced")


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *[str(argument) for argument in arguments]], check=True, capture_output=True, **options).stdout


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Issued:
    """A certificate for NAME that AUTHORITY (a Certificate) signed; what the server shows is the chain up to and with it."""

    def __init__(self, folder, name, authority):
        self.certificate, self.key = folder / f"issued.{name}.pem", folder / f"issued.{name}.key"
        extensions = folder / f"issued.{name}.ext"
        extensions.write_text(f"basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:{name}\n")
        request = openssl("req", "-new", *NEW_KEY, "-subj", "/CN=server", "-keyout", self.key)
        own = openssl("x509", "-req", "-CA", authority.certificate, "-CAkey", authority.key, "-set_serial", 7, "-days", 2, "-extfile", extensions, input=request)
        self.certificate.write_bytes(own + authority.certificate.read_bytes())


class Expired:
    """A self-signed certificate for NAME that was good in January 2020."""

    def __init__(self, folder, name):
        self.certificate, self.key = folder / f"expired.{name}.pem", folder / f"expired.{name}.key"
        openssl("req", "-new", *NEW_KEY, "-subj", f"/CN={name}", "-keyout", self.key, "-out", folder / "request")
        (folder / "index").write_text("")
        (folder / "ca").write_text(f"[ca]\ndefault_ca=own\n[own]\ndatabase={folder}/index\nnew_certs_dir={folder}\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n"
                                   "[any]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-notext", "-selfsign", "-config", folder / "ca", "-keyfile", self.key, "-in", folder / "request", "-out", self.certificate,
                "-startdate", "20200101000000Z", "-enddate", "20200201000000Z")


def tlsa(certificate, usage=3, selector=1, matching=1):
    """A TLSA record's data for the first certificate of CERTIFICATE."""
    end = "-----END CERTIFICATE-----"
    data = ssl.PEM_cert_to_DER_cert(certificate.certificate.read_text().split(end)[0] + end)
    if selector:
        public = openssl("x509", "-in", certificate.certificate, "-noout", "-pubkey").decode().strip().splitlines()
        data = base64.b64decode("".join(public[1:-1]))
    return f"{usage} {selector} {matching} " + {0: data, 1: hashlib.sha256(data).digest(), 2: hashlib.sha512(data).digest()}[matching].hex()


OTHER = "3 1 1 " + "ab" * 32  # of no key that there is


class Host(Receiver):
    """A receiver that keeps the names it is called by in TLS (SNI)."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.names = []
        if self.context:
            self.context.sni_callback = lambda sock, name, context: self.names.append(name)

    def show(self, certificate):
        """Shows CERTIFICATE from now on, and still takes up sessions from before."""
        self.context.load_cert_chain(certificate.certificate, certificate.key)

    def said(self, verb):
        return [command for command in self.commands if command.upper().startswith(verb)]


class Scene:
    """Zones and hosts are told first; begin() starts DNS and posternd for them."""

    def __init__(self, world):
        self.world, self.daemon, self.dns = world, None, None
        self.records = {"signed.test.": [], "plain.test.": []}
        self.numbers = itertools.count(1)

    def zone_of(self, name):
        return next(zone for zone in self.records if name.endswith(zone))

    def record(self, text):
        """Adds a record, "NAME TYPE DATA", of a name without its last dot."""
        name, rest = text.split(" ", 1)
        self.records[self.zone_of(name + ".")].append(f"{name}. 60 IN {rest}")

    def owner(self, host):
        """Where the TLSA records of HOST stand."""
        return f"_{self.world.delivery_port}._tcp.{host}"

    def tlsa(self, host, *datas):
        for data in datas:
            self.record(f"{self.owner(host)} TLSA {data}")

    def certificate(self, name):
        return Certificate(self.world.folder, name, (name,))

    def host(self, name, certificate=None, datas=(), answers=None, address=None):
        """A host NAME with an address, and with TLSA records of DATAS: its Host."""
        address = address or f"127.0.4.{next(self.numbers)}"
        self.record(f"{name} A {address}")
        self.tlsa(name, *datas)
        return self.world.add(Host(address, self.world.delivery_port, answers, certificate))

    def domain(self, name, *hosts):
        """A domain whose mail goes to HOSTS, the best first."""
        for i, host in enumerate(hosts):
            self.record(f"{name} MX {10 * i + 10} {host}.")

    def site(self, name, certificate=None, datas=(), answers=None):
        """A domain with one host, mx.NAME: its Host."""
        self.domain(name, "mx." + name)
        return self.host("mx." + name, certificate, datas, answers)

    def begin(self, bogus=(), silent=(), dns="", **options):
        self.dns = self.world.dns = SignedDns(self.world.folder, {"signed.test.": self.records["signed.test."]}, {"plain.test.": self.records["plain.test."]},
                                              [name + "." for name in bogus], [name + "." for name in silent])
        options.setdefault("queue", HOUR)
        self.daemon = self.world.posternd(listener="check-recipient-domain = no", top="processes = 1", **options)
        self.daemon.file.write_text(self.daemon.text.replace("dns { servers", f"dns {{ {dns} servers"))
        self.daemon.start()

    def change(self, host, *datas):
        """HOST's TLSA records are DATAS from now on."""
        zone, owner = self.zone_of(host + "."), self.owner(host) + "."
        self.records[zone] = [r for r in self.records[zone] if r.split()[0] != owner]
        self.tlsa(host, *datas)
        self.dns.change(zone, self.records[zone])

    def send(self, domain, subject="test"):
        return submit(self.daemon, "alice@home.test", [f"bob@{domain}"], message(subject), open_listener=True)

    def fate(self, identity, event, status="", words=""):
        """How the first attempt of IDENTITY went, which must be EVENT with a STATUS (a prefix)."""
        return fate(self.daemon, identity, event, status, words)

    def delivered(self, domain, host, dane):
        """Mail to DOMAIN arrives at HOST over TLS, which DANE has verified or has not."""
        count = len(host.messages)
        found = self.fate(self.send(domain, domain), "delivered", "2.")
        assert found["tls"].startswith("TLSv1.") and found["tls"].endswith(" dane") == dane, (domain, found["tls"])
        assert len(host.messages) == count + 1 and host.messages[-1].tls, (domain, len(host.messages))
        return found

    def delivered_each(self, sites, dane=True):
        """The same of all SITES {domain: host}, side by side."""
        sent = {domain: self.send(domain, domain) for domain in sites}
        for domain, host in sites.items():
            found = self.fate(sent[domain], "delivered", "2.")
            assert found["tls"].startswith("TLSv1.") and (dane is None or found["tls"].endswith(" dane") == dane), (domain, found["tls"])
            assert [m.header("subject") for m in host.messages] == [domain] and host.messages[0].tls, domain

    def deferred_each(self, sites, statuses):
        """Mail to SITES {domain: host} waits for one of STATUSES, and no host has seen a MAIL, in clear or not. Returns {domain: event}."""
        sent, found = {domain: self.send(domain, domain) for domain in sites}, {}
        for domain, host in sites.items():
            found[domain] = self.fate(sent[domain], "deferred", "4.")
            assert found[domain]["status"] in statuses, (domain, found[domain])
            assert not host.said("MAIL") and not host.messages, (domain, host.commands)
        return found

    def obeyed(self, domain, statuses):
        """New records, which DNS has and posternd learns when the old ones have expired with it, put mail to DOMAIN off for one of STATUSES: the event."""
        def refused():
            found = self.fates([domain])[domain]
            return found if found["event"] == "deferred" else time.sleep(0.2)
        found = wait_for(refused, 10, "the new records' being obeyed")
        assert found["status"] in statuses, found
        return found

    def fates(self, domains):
        """{domain: event} of what came of one message to each of DOMAINS, in this order."""
        sent = {domain: self.send(domain, domain) for domain in domains}
        return {domain: wait_for(lambda i=i: [e for e in self.daemon.events() if e.get("id") == i and e["event"] in FATES], what=domain)[0] for domain, i in sent.items()}

    def retried(self, identity):
        """Tries what waits once more: the event of IDENTITY that comes of it."""
        fates = lambda: [e for e in self.daemon.events() if e.get("id") == identity and e["event"] in FATES]  # noqa: E731
        count = len(fates())
        self.daemon.cli("queue", "retry", "--all")
        return wait_for(lambda: len(fates()) > count and fates()[-1], what=f"another fate of {identity}")


@contextlib.contextmanager
def scene():
    with World(dns=False) as world:
        yield Scene(world)


def case_the_resolver_of_these_cases_validates():
    """AD for what is signed, names that do not exist included; none for what is not; SERVFAIL for what is wrongly signed; what changes is seen."""
    with World(dns=False) as world:
        records = ["signed.test. 60 IN MX 10 mx.signed.test.", "mx.signed.test. 60 IN A 127.0.4.1", f"_25._tcp.mx.signed.test. 60 IN TLSA {OTHER}",
                   "bad.signed.test. 60 IN A 127.0.4.2", "bad.signed.test. 60 IN MX 10 mx.signed.test.", "out.signed.test. 60 IN CNAME mx.plain.test."]
        plain = ["mx.plain.test. 60 IN A 127.0.4.3", f"_25._tcp.mx.plain.test. 60 IN TLSA {OTHER}", "in.plain.test. 60 IN CNAME mx.signed.test."]
        dns = world.dns = SignedDns(world.folder, {"signed.test.": records}, {"plain.test.": plain}, ["bad.signed.test."], ["quiet.signed.test."])
        expected = {("signed.test", "MX"): (0, True, 1), ("mx.signed.test", "A"): (0, True, 1), ("mx.signed.test", "AAAA"): (0, True, 0),
                    ("_25._tcp.mx.signed.test", "TLSA"): (0, True, 1), ("none.signed.test", "TLSA"): (NXDOMAIN, True, 0),
                    ("mx.plain.test", "A"): (0, False, 1), ("_25._tcp.mx.plain.test", "TLSA"): (0, False, 1), ("none.plain.test", "A"): (NXDOMAIN, False, 0),
                    ("bad.signed.test", "A"): (SERVFAIL, False, 0), ("bad.signed.test", "MX"): (SERVFAIL, False, 0),
                    ("out.signed.test", "A"): (0, False, 1), ("out.signed.test", "CNAME"): (0, True, 1), ("in.plain.test", "A"): (0, False, 1),
                    ("elsewhere.test", "A"): (NXDOMAIN, False, 0)}
        for (name, kind), wanted in expected.items():
            found = ask(dns.port, name, kind)
            assert (found.rcode, found.authentic, len(found.of(kind))) == wanted, (name, kind, found.rcode, found.authentic, found.records)
        assert not ask(dns.port, "mx.signed.test", "A", flags=0).authentic, "AD is for those who ask with it"
        assert ask(dns.port, "quiet.signed.test", "TLSA", seconds=0.3) is None
        dns.change("signed.test.", ["mx.signed.test. 60 IN A 127.0.4.9"])
        found = ask(dns.port, "mx.signed.test", "A")
        assert found.authentic and found.of("A") == [a("127.0.4.9")] and ask(dns.port, "signed.test", "MX").of("MX") == []
        assert ("_25._tcp.mx.plain.test.", "TLSA") in dns.asked() and len(dns.asked("TLSA")) == 4, dns.asked("TLSA")


def case_a_key_that_dns_names_is_enough():
    """DANE-EE: the server's key or certificate, as it is or its digest, one of many records; no matter for whom it is made, until when, and by whom.
    The server is called by the name whose records they are."""
    with scene() as s:
        def site(name, certificate, *datas):
            sites[f"{name}.signed.test"] = s.site(f"{name}.signed.test", certificate, datas)
        sites, own = {}, s.certificate("mx.signed.test")
        for number, kind in enumerate([(3, 1, 1), (3, 1, 2), (3, 1, 0), (3, 0, 1), (3, 0, 2), (3, 0, 0)]):
            site(f"kind{number}", own, tlsa(own, *kind))
        site("expired", *(lambda c: (c, tlsa(c)))(Expired(s.world.folder, "mx.expired.signed.test")))
        site("wrong-name", *(lambda c: (c, tlsa(c)))(s.certificate("mx.elsewhere.test")))
        site("expired-wrong-name", *(lambda c: (c, tlsa(c)))(Expired(s.world.folder, "mx.elsewhere.test")))
        site("rollover", own, OTHER, tlsa(own))
        site("with-unusable", own, "1 1 1 " + "cd" * 32, "3 1 9 " + "cd" * 32, tlsa(own))
        site("many", own, tlsa(own, 3, 1, 2), *(f"3 1 2 {i:0128x}" for i in range(20)))  # more than a packet holds
        s.begin()
        s.delivered_each(sites)
        for name, host in sites.items():
            assert set(host.names) == {f"mx.{name}"} and host.connections == 1, (name, host.names)
        events = {e["to"].split("@")[1]: e for e in s.daemon.events("delivered")}
        assert events["kind0.signed.test"]["tls"].startswith("TLSv1.3 "), events["kind0.signed.test"]


def case_another_key_gets_nothing():
    """No record matches: nothing is said but the greeting, in clear or not; a host of worse preference that matches takes the mail, or another
    address of the same one."""
    with scene() as s:
        own = s.certificate("mx.signed.test")
        wrong = {"key": [OTHER], "certificate": ["3 0 1 " + "ab" * 32], "whole": [tlsa(s.certificate("other.signed.test"), 3, 0, 0)],
                 "sha512": ["3 1 2 " + "ab" * 64], "with-unusable": [OTHER, "1 1 1 " + tlsa(own).split()[-1]],
                 "selector": [tlsa(own, 3, 1).replace("3 1 1", "3 0 1")]}
        sites = {f"{name}.signed.test": s.site(f"{name}.signed.test", own, datas) for name, datas in wrong.items()}
        first, second = s.host("mx1.two.signed.test", own, [OTHER]), s.host("mx2.two.signed.test", own, [tlsa(own)])
        s.domain("two.signed.test", "mx1.two.signed.test", "mx2.two.signed.test")
        false, right = s.site("one.signed.test", s.certificate("false.signed.test"), [tlsa(own)]), s.host("mx.one.signed.test", own)  # two addresses
        s.begin()
        s.deferred_each(sites, ("4.7.5",))
        for name, host in sites.items():
            assert host.connections == 1, (name, host.connections)
        s.delivered("two.signed.test", second, dane=True)
        assert not first.said("MAIL") and not first.messages
        assert s.fate(s.send("one.signed.test"), "delivered", "2.")["tls"].endswith(" dane") and len(right.messages) == 1
        assert not false.said("MAIL") and not false.messages


def breaks(data):
    """Takes STARTTLS, and answers the first bytes of the handshake with DATA."""
    def act(session):
        session.sock.sendall(b"220 go\r\n")
        session.sock.recv(65536)
        session.sock.sendall(data)
        return False
    return Deed(act)


HANDSHAKE = ("4.7.5", "4.7.4", "4.7.0", "4.4.2")  # how it is called that one breaks


def case_without_starttls_nothing_is_said_in_clear():
    """The offer is missing from EHLO, refused, or the handshake breaks; there is no second attempt without TLS, also not where another one is made."""
    with scene() as s:
        own = s.certificate("mx.signed.test")
        stripped = {"stripped.signed.test": s.site("stripped.signed.test", None, [tlsa(own)])}
        refused = {f"{name}.signed.test": s.site(f"{name}.signed.test", own, [tlsa(own)], {"starttls": answer}) for name, answer in
                   {"later": "454 4.7.0 not now", "never": "502 5.5.1 not here"}.items()}
        broken = {f"{name}.signed.test": s.site(f"{name}.signed.test", own, [tlsa(own)], {"starttls": answer}) for name, answer in
                  {"leaves": leave(before=b"220 go\r\n"), "alert": breaks(b"\x15\x03\x01\x00\x02\x02\x28"), "babble": breaks(b"500 what?\r\n" * 9),
                   "early": raw(b"220 go\r\n250 what?\r\n", goes_on=False)}.items()}
        s.begin()
        s.deferred_each(stripped, ("4.7.4",))
        s.deferred_each(refused, ("4.7.4", "4.7.0", "4.5.1"))  # ours, or the server's own
        found = s.deferred_each(broken, HANDSHAKE)
        for name, host in broken.items():
            assert host.connections == 1, (name, host.commands)
        for name, host in broken.items():
            assert s.retried(found[name]["id"])["event"] == "deferred" and not host.said("MAIL"), (name, host.commands)


def case_an_authority_that_dns_names_is_enough():
    """DANE-TA: the chain leads to it, and the certificate is for the host; for another name it is not enough."""
    with scene() as s:
        authority, strange = s.certificate("authority"), s.certificate("strange")
        kinds = {"certificate": (2, 0, 1), "key": (2, 1, 1), "key512": (2, 1, 2), "whole": (2, 0, 0)}
        good, bad = {}, {}

        def site(group, name, issued_for, issuer, data):
            group[f"{name}.signed.test"] = s.site(f"{name}.signed.test", Issued(s.world.folder, issued_for, issuer), [data])
        for name, kind in {"certificate": (2, 0, 1), "key": (2, 1, 1), "key512": (2, 1, 2), "whole": (2, 0, 0)}.items():
            site(good, name, f"mx.{name}.signed.test", authority, tlsa(authority, *kind))
            site(bad, f"wrong-{name}", f"mx.{name}.elsewhere.test", authority, tlsa(authority, *kind))
        site(good, "star", "*.star.signed.test", authority, tlsa(authority, 2))
        site(bad, "a.deep", "*.signed.test", authority, tlsa(authority, 2))
        site(bad, "strange", "mx.strange.signed.test", strange, tlsa(authority, 2))
        site(bad, "leaf", "mx.leaf.signed.test", authority, tlsa(authority, 3))  # an authority's key as the server's own
        s.begin()
        s.delivered_each(good)
        s.deferred_each(bad, ("4.7.5",))


def case_a_certificate_for_the_domain_is_enough_as_well():
    """RFC 7672 3.2.2: with DANE-TA the domain that the mail is for, and what it is an alias of, are names that a certificate may be for. But it is for
    that domain alone, and where the domain's MX are not signed, anybody may have named the host."""
    with scene() as s:
        authority = s.certificate("authority")
        record = [tlsa(authority, 2)]

        def host(name, issued_for):
            return s.host(name, Issued(s.world.folder, issued_for, authority), record)
        own = s.site("own.signed.test", Issued(s.world.folder, "own.signed.test", authority), record)
        s.domain("guest.signed.test", "mx.own.signed.test")
        good = {"alias.signed.test": host("mx1.signed.test", "alias.signed.test"), "alias2.signed.test": host("mx2.signed.test", "end2.signed.test"),
                "alias3.signed.test": host("end3.signed.test", "alias3.signed.test")}
        for number in (1, 2, 3):
            s.record(f"alias{number if number > 1 else ''}.signed.test CNAME end{number}.signed.test.")
        s.domain("end1.signed.test", "mx1.signed.test")
        s.domain("end2.signed.test", "mx2.signed.test")  # the third has no MX
        forged = host("mx.forged.signed.test", "forged.plain.test")
        s.domain("forged.plain.test", "mx.forged.signed.test")
        s.begin()
        found = s.fates(["own.signed.test", *good, "forged.plain.test"])
        assert not found["forged.plain.test"]["tls"].endswith(" dane") and len(forged.messages) <= 1, found["forged.plain.test"]
        wrong = [name for name, e in found.items() if name in good or name == "own.signed.test" if not e["tls"].endswith(" dane")]
        assert not wrong, [(name, found[name]["event"], found[name]["reply"]) for name in wrong]
        assert all(len(receiver.messages) == 1 for receiver in good.values())
        s.fate(s.send("guest.signed.test"), "deferred", "4.7.5")  # also while a connection for the other is open
        assert [m.header("subject") for m in own.messages] == ["own.signed.test"]


UNUSABLE = {"usage0": "0 1 1 " + "ab" * 32, "usage1": "1 1 1 " + "ab" * 32, "usage9": "9 1 1 " + "ab" * 32, "selector9": "3 9 1 " + "ab" * 32,
            "matching9": "3 1 9 " + "ab" * 32, "short": "3 1 1 " + "ab" * 5, "nineteen": "3 1 1 " + "ab" * 19, "long": "3 1 1 " + "ab" * 33,
            "no-certificate": "3 0 0 " + "ab" * 40}


def case_records_of_no_use_demand_tls_and_verify_nothing():
    """Usages of public authorities, what is not known, digests of a wrong length: TLS is needed, with whomever."""
    with scene() as s:
        own = s.certificate("mx.elsewhere.test")
        good = {f"{name}.signed.test": s.site(f"{name}.signed.test", own, [data]) for name, data in UNUSABLE.items()}
        good["all.signed.test"] = s.site("all.signed.test", own, UNUSABLE.values())
        bad = {f"plain-{name}.signed.test": s.site(f"plain-{name}.signed.test", None, [data]) for name, data in UNUSABLE.items()}
        s.begin()
        s.delivered_each(good, dane=None)
        s.deferred_each(bad, ("4.7.4", "4.7.5"))


def case_what_the_settings_demand_is_not_lessened():
    """tls = verify: a certificate that usable records name is enough, as the manual has it; records of no use do not do away with verifying."""
    with scene() as s:
        own = s.certificate("mx.elsewhere.test")
        good = s.site("good.signed.test", own, [tlsa(own)])
        bad = {f"{name}.signed.test": s.site(f"{name}.signed.test", own, [data]) for name, data in UNUSABLE.items()}
        bad["other.signed.test"], bad["none.signed.test"] = s.site("other.signed.test", own, [OTHER]), s.site("none.signed.test", own)
        s.begin(delivery="tls = verify")
        s.delivered("good.signed.test", good, dane=True)
        s.deferred_each(bad, ("4.7.5",))


def case_without_records_tls_stays_optional():
    """It is certain that there are none: without an offer of TLS mail goes in clear, and with one over TLS, whatever is shown."""
    with scene() as s:
        clear, anybody = s.site("clear.signed.test"), s.site("anybody.signed.test", s.certificate("mx.elsewhere.test"))
        s.begin()
        assert s.fate(s.send("clear.signed.test"), "delivered", "2.")["tls"] == "none" and len(clear.messages) == 1
        s.delivered("anybody.signed.test", anybody, dane=False)


def case_a_domain_that_is_its_own_host():
    """No MX: what is said of the domain's own address counts."""
    with scene() as s:
        own = s.certificate("elsewhere.test")
        good, bad = s.host("good.signed.test", own, [tlsa(own)]), s.host("bad.signed.test", own, [OTHER])
        s.begin()
        s.delivered("good.signed.test", good, dane=True)
        s.deferred_each({"bad.signed.test": bad}, ("4.7.5",))


NOT_KNOWN = ("4.4.3", "4.7.0", "4.7.4", "4.7.5")


def case_records_that_cannot_be_learned_skip_their_host():
    """SERVFAIL for what is wrongly signed, and no answer: nobody connects; the next host, of which all is known, takes the mail at once."""
    with scene() as s:
        own = s.certificate("mx.signed.test")
        sites, good = {}, {}
        for name in ("bogus", "silent"):
            sites[f"{name}.signed.test"] = s.site(f"{name}.signed.test", own, [tlsa(own)])
            good[f"two-{name}.signed.test"] = s.host(f"mx2.two-{name}.signed.test", own, [tlsa(own)])
            s.domain(f"two-{name}.signed.test", f"mx.{name}.signed.test", f"mx2.two-{name}.signed.test")
        s.begin(bogus=[s.owner("mx.bogus.signed.test")], silent=[s.owner("mx.silent.signed.test")], dns=QUICK)
        s.deferred_each(sites, NOT_KNOWN)
        s.delivered_each(good)
        assert not [e for e in s.daemon.events("deferred") if "two-" in e["to"]], s.daemon.events("deferred")
        for name, host in sites.items():
            assert host.connections == 0, (name, host.commands)


MALFORMED = {"empty": b"", "one": b"\3", "three": b"\3\1\1"}


def case_records_that_are_malformed_skip_their_host():
    """TLSA of none, one and three bytes: nobody connects, and the next host takes the mail. Behind a record that is well it changes nothing, or
    the same happens."""
    with World(dns=False) as world:
        own = Certificate(world.folder, "mx.signed.test", ("mx.signed.test",))
        usage, selector, matching, digest = tlsa(own).split()
        fine = bytes([int(usage), int(selector), int(matching)]) + bytes.fromhex(digest)
        table = {name: [data] for name, data in MALFORMED.items()}
        table.update({f"behind-{name}": [fine, data] for name, data in MALFORMED.items()})
        hosts = {f"mx.{name}.test": f"127.0.4.{i + 1}" for i, name in enumerate(table)}
        hosts["mx.fine.test"] = "127.0.4.100"

        def answers(name, kind):
            """All of it with AD."""
            owner = f"_{world.delivery_port}._tcp."
            if kind == "MX" and name.startswith("two-"):
                return (AD, [mx(f"mx.{name[4:]}", 10), mx("mx.fine.test", 20)])
            if kind == "MX":
                return (AD, [mx(f"mx.{name}")])
            if kind == "TLSA" and name.startswith(owner):
                return (AD, table.get(name[len(owner):].split(".")[1], [fine]))
            return (AD, [a(hosts[name])] if kind == "A" and name in hosts else [])
        world.dns = Stub(answers, free_port())
        receivers = {name: world.add(Host(address, world.delivery_port, certificate=own)) for name, address in hosts.items()}
        daemon = world.posternd(listener="check-recipient-domain = no", top="processes = 1", queue=HOUR)
        daemon.start()
        sent = {name: (post(daemon, f"bob@{name}.test"), post(daemon, f"bob@two-{name}.test")) for name in table}
        for name, (alone, two) in sent.items():
            host = receivers[f"mx.{name}.test"]
            one, other = (wait_for(lambda i=i: [e for e in daemon.events() if e.get("id") == i and e["event"] in FATES], what=name)[0] for i in (alone, two))
            if one["event"] == "delivered" and name.startswith("behind-"):
                assert one["tls"].endswith(" dane") and f"mx.{name}.test" in other["mx"], (one, other)
            else:
                assert one["event"] == "deferred" and one["status"] in NOT_KNOWN, (name, one)
                assert "mx.fine.test" in other["mx"] and host.connections == 0, (name, other, host.commands)
            assert other["event"] == "delivered" and other["tls"].endswith(" dane"), (name, other)


def case_hosts_and_addresses_of_a_wrong_signature_are_not_used():
    """MX is bogus: mail waits. An address is: its host is skipped, and another takes the mail."""
    with scene() as s:
        own = s.certificate("mx.signed.test")
        sites = {"no-mx.signed.test": s.site("no-mx.signed.test", own, [tlsa(own)]), "no-address.signed.test": s.site("no-address.signed.test", own, [tlsa(own)])}
        good = s.host("mx.good.signed.test", own, [tlsa(own)])
        s.domain("two.signed.test", "mx.no-address.signed.test", "mx.good.signed.test")
        s.begin(bogus=["no-mx.signed.test", "mx.no-address.signed.test"])
        s.deferred_each(sites, ("4.4.3",))
        s.delivered("two.signed.test", good, dane=True)
        assert not any(host.connections for host in sites.values())


def case_what_is_not_signed_binds_nobody():
    """TLSA records of an unsigned zone are not even asked for, and mail goes as ever. An unsigned domain whose host is in a signed zone has its mail."""
    with scene() as s:
        own = s.certificate("mx.elsewhere.test")
        other, none = s.site("other.plain.test", own, [OTHER]), s.site("none.plain.test", None, [tlsa(own)])
        guest = s.host("mx.guest.signed.test", own, [tlsa(own)])
        s.domain("guest.plain.test", "mx.guest.signed.test")
        away = s.host("mx.away.plain.test", own, [OTHER])
        s.domain("away.signed.test", "mx.away.plain.test")
        s.begin()
        s.delivered("other.plain.test", other, dane=False)
        assert s.fate(s.send("none.plain.test"), "delivered", "2.")["tls"] == "none" and len(none.messages) == 1
        s.delivered("away.signed.test", away, dane=False)
        s.delivered_each({"guest.plain.test": guest}, dane=None)
        assert not [name for name, _ in s.dns.asked("TLSA") if "plain.test" in name], s.dns.asked("TLSA")


def case_a_host_that_is_an_alias():
    """RFC 7672 2.2.2: the name at the end of a chain that is signed throughout comes first, and then the alias itself; where the chain leaves the
    signed zones, only an alias that is signed counts; one that is not signed counts for nothing."""
    with scene() as s:
        own = s.certificate("mx.signed.test")
        good, bad, calls = {}, {}, {}

        def site(group, name, target_zone, at_target, at_alias, zone="signed.test", call=None):
            target = f"target.{name}.{target_zone}"
            group[f"{name}.{zone}"] = s.host(target, own, at_target)
            s.record(f"mx.{name}.{zone} CNAME {target}.")
            s.tlsa(f"mx.{name}.{zone}", *at_alias)
            s.domain(f"{name}.{zone}", f"mx.{name}.{zone}")
            calls[f"{name}.{zone}"] = {"target": target, "alias": f"mx.{name}.{zone}"}.get(call)
        mine = [tlsa(own)]
        site(good, "both", "signed.test", mine, [OTHER], call="target")
        site(bad, "both-wrong", "signed.test", [OTHER], mine)
        site(good, "target", "signed.test", mine, [], call="target")
        site(bad, "target-wrong", "signed.test", [OTHER], [])
        site(good, "alias", "signed.test", [], mine, call="alias")
        site(bad, "alias-wrong", "signed.test", [], [OTHER])
        site(good, "leaves", "plain.test", [OTHER], mine, call="alias")
        site(bad, "leaves-wrong", "plain.test", mine, [OTHER])
        free = {}
        site(free, "comes", "signed.test", [OTHER], [OTHER], zone="plain.test")
        site(free, "leaves-none", "plain.test", [OTHER], [])
        s.begin()
        s.delivered_each(good)
        s.deferred_each(bad, ("4.7.5",))
        s.delivered_each(free, dane=False)
        for name, host in good.items():
            assert set(host.names) == {calls[name]}, (name, host.names)
        assert not [name for name, _ in s.dns.asked("TLSA") if name.endswith("plain.test.")], s.dns.asked("TLSA")


def case_records_that_are_an_alias():
    """The TLSA records of many hosts are one set elsewhere: it counts where the whole way to it is signed."""
    with scene() as s:
        own = s.certificate("mx.signed.test")
        good, bad, free = s.site("good.signed.test", own), s.site("bad.signed.test", own), s.site("free.signed.test", own)
        s.record(f"dane.signed.test TLSA {tlsa(own)}")
        s.record(f"other.signed.test TLSA {OTHER}")
        s.record(f"other.plain.test TLSA {OTHER}")
        for name, target in {"good": "dane.signed.test", "bad": "other.signed.test", "free": "other.plain.test"}.items():
            s.record(f"{s.owner(f'mx.{name}.signed.test')} CNAME {target}.")
        s.begin()
        s.delivered("good.signed.test", good, dane=True)
        s.deferred_each({"bad.signed.test": bad}, ("4.7.5",))
        s.delivered("free.signed.test", free, dane=False)


def case_dane_can_be_switched_off():
    """For all mail, or with TLS itself: records count for nothing and are not asked for."""
    for words, clear in (("dane = no", False), ("tls = none", True)):
        with scene() as s:
            host = s.site("off.signed.test", s.certificate("mx.signed.test"), [OTHER])
            s.begin(delivery=words)
            found = s.fate(s.send("off.signed.test"), "delivered", "2.")
            assert (found["tls"] == "none") == clear and not found["tls"].endswith(" dane") and len(host.messages) == 1, found
            assert not s.dns.asked("TLSA"), s.dns.asked("TLSA")


def case_dane_can_be_switched_off_for_a_route():
    """Another domain of the same host is bound all the same, also while a connection to it is open."""
    with scene() as s:
        host = s.site("off.signed.test", s.certificate("mx.signed.test"), [OTHER])
        s.domain("on.signed.test", "mx.off.signed.test")
        s.begin(sections='route "off.signed.test" { via = mx dane = no }\n')
        s.delivered("off.signed.test", host, dane=False)
        s.fate(s.send("on.signed.test", "on"), "deferred", "4.7.5")
        s.delivered("off.signed.test", host, dane=False)
        assert [m.header("subject") for m in host.messages] == ["off.signed.test"] * 2


def case_a_record_that_is_mended_lets_waiting_mail_go():
    with scene() as s:
        own = s.certificate("mx.signed.test")
        host = s.site("late.signed.test", own, [OTHER])
        s.begin(dns=BRIEF)
        identity = s.deferred_each({"late.signed.test": host}, ("4.7.5",))["late.signed.test"]["id"]
        s.change("mx.late.signed.test", tlsa(own))

        def goes():
            time.sleep(0.2)
            return s.retried(identity)["event"] == "delivered"
        wait_for(goes, what="what waited for a record")
        assert s.daemon.events("delivered")[0]["tls"].endswith(" dane") and len(host.messages) == 1 and host.messages[0].tls


def case_one_address_with_and_without_records():
    """Two hosts of one address, one of which has records: what is open, or remembered of TLS, for the one is of no use for the other."""
    with scene() as s:
        own = s.certificate("mx.signed.test")
        machine = s.host("free.signed.test", own, address="127.0.4.200")
        for name, datas in {"bound": [tlsa(own)], "wrong": [OTHER]}.items():
            s.record(f"{name}.signed.test A 127.0.4.200")
            s.tlsa(f"{name}.signed.test", *datas)
        for host in ("free", "bound", "wrong"):
            s.domain(f"at-{host}.signed.test", f"{host}.signed.test")
        s.begin()
        s.delivered("at-free.signed.test", machine, dane=False)
        s.fate(s.send("at-wrong.signed.test"), "deferred", "4.7.5")
        for _ in range(2):
            s.delivered("at-bound.signed.test", machine, dane=True)
            s.delivered("at-free.signed.test", machine, dane=False)
        assert len(machine.messages) == 5, [m.header("subject") for m in machine.messages]


def case_what_is_remembered_of_tls_saves_no_check():
    """Each message has a connection of its own, whose session the server would take up again. Only the record changes: deferred; the key does as
    well: delivered; and so on."""
    with scene() as s:
        first, second, third = (s.certificate(f"{number}.signed.test") for number in ("first", "second", "third"))
        host = s.site("roll.signed.test", first, [tlsa(first)])
        s.begin(dns=BRIEF, delivery="messages-per-connection = 1")

        for _, other in ((first, second), (second, third)):
            for _ in range(2):
                s.delivered("roll.signed.test", host, dane=True)
            s.change("mx.roll.signed.test", tlsa(other))
            found = s.obeyed("roll.signed.test", ("4.7.5",))
            host.show(other)
            count = len(host.messages)
            assert s.retried(found["id"])["event"] == "delivered" and len(host.messages) == count + 1
        assert all(e["tls"].endswith(" dane") for e in s.daemon.events("delivered")) and host.connections > len(host.messages)


def case_records_that_come_later_bind_at_once():
    """A host of which it is remembered that it cannot do TLS, and so is sent to in clear, publishes records: from then on nothing is said in clear."""
    with scene() as s:
        own = s.certificate("mx.signed.test")
        host = s.site("later.signed.test", own, (), {"starttls": leave(before=b"220 go\r\n")})
        s.begin(dns=BRIEF, delivery="messages-per-connection = 1")  # what is open may go on
        assert s.fate(s.send("later.signed.test"), "delivered", "2.")["tls"] == "none" and len(host.messages) == 1
        s.change("mx.later.signed.test", tlsa(own))
        found = s.obeyed("later.signed.test", HANDSHAKE)
        count = len(host.messages)
        assert s.retried(found["id"])["event"] == "deferred" and len(host.messages) == count
        host.answers.clear()
        assert s.retried(found["id"])["tls"].endswith(" dane") and host.messages[-1].tls and len(host.messages) == count + 1


def case_trace_tells_what_each_host_must_show():
    """What delivery would demand of each host now, and of which one nothing is known."""
    with scene() as s:
        own = s.certificate("mx.elsewhere.test")
        s.domain("many.signed.test", "mx1.signed.test", "mx2.signed.test", "mx.plain.test", "mx3.signed.test")
        s.host("mx1.signed.test", own, [tlsa(own), OTHER])
        s.host("mx2.signed.test", own)
        s.host("mx.plain.test", own, [tlsa(own)])
        s.host("mx3.signed.test", own, [tlsa(own)])
        s.begin(bogus=[s.owner("mx3.signed.test")])
        trace = s.daemon.cli("trace", "bob@many.signed.test", json_output=True)
        assert trace["tls"] == "opportunistic" and trace["mta-sts"] == "none", trace
        assert [(h["name"], h["tls"], h["tlsa"]) for h in trace["hosts"]] == [
            ("mx1.signed.test", "dane", 2), ("mx2.signed.test", "opportunistic", 0), ("mx.plain.test", "opportunistic", 0),
            ("mx3.signed.test", "opportunistic", 0)], trace["hosts"]
        assert ["TLSA" in h["problem"] for h in trace["hosts"]] == [False, False, False, True], trace["hosts"]
        shown = s.daemon.cli("trace", "bob@many.signed.test")
        assert "DANE, 2 TLSA records" in shown and "opportunistic, MTA-STS policy: none" in shown, shown


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
