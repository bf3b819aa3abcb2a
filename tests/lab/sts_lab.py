"""MTA-STS (RFC 8461): domains whose policy says to which hosts their mail goes, and only over TLS that verifies. Whom mail reaches, over what,
that it never leaves in clear nor to another host where a policy is in force, and that no trouble with a policy holds up anything else.

Hosts and domains stand in test.; each host has an address of its own, and a policy host has everybody's policies. The first retry comes after an
hour, so that one attempt is all that happens unless a case asks for more."""
import contextlib
import itertools
import pathlib
import sys
import time

from case import main
from dane_lab import FATES, Host, breaks
from policy_host import PolicyHost, openssl, policy
from receiver import leave, raw
from remote_lab import HOUR, Stub, a, fate, mx
from submit import message, submit
from world import Certificate, World, free_port, wait_for

BRIEF = "cache-ttl-max = 1s cache-negative = 1s timeout = 300ms tries = 2"  # what has changed is known a second later
NXDOMAIN, SERVFAIL = 3, 2
PATIENCE_S = 10  # whoever asks for a policy waits no longer


def txt(*strings):
    """The data of a TXT record."""
    return b"".join(bytes([len(s)]) + s.encode() for s in strings)


class Pair:
    """A certificate and its key in one file."""

    def __init__(self, both):
        self.certificate = self.key = pathlib.Path(both)


class Names(Stub):
    """A name server whose records can be changed at any moment: TABLE {(name, type): [rdata], None for silence, or a number for an rcode}. A name
    without records does not exist."""

    def __init__(self, port):
        self.table = {}
        super().__init__(self.look_up, port)

    def look_up(self, name, kind):
        found = self.table.get((name, kind), ())
        if found is None:
            return None
        if isinstance(found, int):
            return (found, [])
        return (0 if found or any(n == name for n, _ in list(self.table)) else NXDOMAIN, list(found))

    def about(self, domain, kind):
        """How often DOMAIN was asked for, or a name below it."""
        return sum(1 for name, k in self.asked if k == kind and (name == domain or name.endswith("." + domain)))


class Scene:
    """Hosts, domains and policies are told first; begin() starts posternd."""

    def __init__(self, world):
        self.world, self.daemon = world, None
        self.names = world.dns = Names(free_port())
        self.policies = world.add(PolicyHost(world.folder))
        self.numbers = itertools.count(1)

    def issued(self, name, days="2", stranger=False):
        """A certificate for NAME of the authority that is trusted, or of another."""
        return Pair((self.policies.stranger if stranger else self.policies.trusted).sign(name, days))

    def host(self, name, certificate="own", answers=None, **options):
        """A host NAME, by default with a certificate that verifies: its Host."""
        address = f"127.0.5.{next(self.numbers)}"
        self.names.table[name, "A"] = [a(address)]
        return self.world.add(Host(address, self.world.delivery_port, answers, self.issued(name) if certificate == "own" else certificate, **options))

    def domain(self, name, *hosts, step=10):
        """A domain whose mail goes to HOSTS, the best first."""
        self.names.table[name, "MX"] = [mx(host, step * i + 10) for i, host in enumerate(hosts)]

    def announce(self, domain, *records, address="127.0.0.1"):
        self.names.table[f"_mta-sts.{domain}", "TXT"] = [txt(*([r] if isinstance(r, str) else r)) for r in records or ("v=STSv1; id=1;",)]
        self.names.table[f"mta-sts.{domain}", "A"] = [a(address)]

    def policy(self, domain, mode, *patterns, trick="none", announced=True, **options):
        """DOMAIN has a policy for the hosts PATTERNS, and announces it."""
        self.policies.serve(domain, policy(mode, patterns, **options), trick)
        if announced:
            self.announce(domain)

    def site(self, name, mode="enforce", certificate="own", answers=None, **options):
        """A domain with one host, mx.NAME, and a policy that names it: its Host."""
        self.domain(name, "mx." + name)
        self.policy(name, mode, "mx." + name, **options)
        return self.host("mx." + name, certificate, answers)

    def begin(self, delivery="", dns=BRIEF, private="yes", **options):
        options.setdefault("queue", HOUR)
        self.daemon = self.world.posternd(listener="check-recipient-domain = no", top="processes = 1",
                                          delivery=f'ca-file = "{self.policies.authority}" {delivery}', **options)
        text = self.daemon.text.replace("dns { servers", f"dns {{ {dns} servers").replace("mta-sts {", f"mta-sts {{ port = {self.policies.port}")
        self.daemon.text = text.replace("allow-private = yes", f"allow-private = {private}")
        self.daemon.file.write_text(self.daemon.text)
        self.daemon.start()

    def forget(self):
        """What the queue knows of domains is asked for anew, without waiting for it to be too old: a reload, and what DNS says now."""
        time.sleep(1.1)  # what the dns role keeps for a second (BRIEF)
        self.reload()

    def reload(self):
        self.daemon.cli("reload")

    def send(self, domain, subject=None):
        return submit(self.daemon, "alice@home.test", [f"bob@{domain}"], message(subject or domain), open_listener=True)

    def outcomes(self, sent, seconds=20, past=0):
        """{domain: event} of what came of SENT {domain: id}; of its attempts behind the first PAST."""
        def found():
            events = [e for e in self.daemon.events() if e["event"] in FATES]
            by_id = {i: [e for e in events if e.get("id") == i] for i in sent.values()}
            return all(len(e) > past for e in by_id.values()) and {domain: by_id[i][past] for domain, i in sent.items()}
        return wait_for(found, seconds, f"what becomes of mail to {', '.join(sent)}")

    def fates(self, domains, seconds=20):
        """The same of one message to each of DOMAINS."""
        return self.outcomes({domain: self.send(domain) for domain in domains}, seconds)

    def verified(self, sites):
        """Mail to SITES {domain: host} arrives over TLS that has verified."""
        before = {domain: len(host.messages) for domain, host in sites.items()}
        for domain, found in self.fates(sites).items():
            assert found["event"] == "delivered" and found["tls"].startswith("TLSv1.") and found["tls"].endswith(" verified"), (domain, found)
            assert len(sites[domain].messages) > before[domain] and all(m.tls for m in sites[domain].messages), domain

    def in_clear(self, sites, seconds=20):
        """Mail to SITES, whose hosts have no TLS, arrives without it."""
        before = {domain: len(host.messages) for domain, host in sites.items()}
        for domain, found in self.fates(sites, seconds).items():
            assert found["event"] == "delivered" and found["tls"] == "none" and len(sites[domain].messages) > before[domain], (domain, found)

    def waits(self, sites, statuses=("4.7.5",)):
        """Mail to SITES waits for one of STATUSES, and no host has seen a MAIL that it had not before. Returns {domain: event}."""
        before = {domain: len(host.said("MAIL")) for domain, host in sites.items()}
        events = self.fates(sites)
        for domain, found in events.items():
            assert found["event"] == "deferred" and found["status"] in statuses, (domain, found)
            assert len(sites[domain].said("MAIL")) == before[domain], (domain, sites[domain].commands)
        return events

    def notices(self, domain):
        return [e["text"] for e in self.daemon.events("notice") if f"MTA-STS policy of {domain} " in e.get("text", "")]


@contextlib.contextmanager
def scene():
    with World(dns=False) as world:
        yield Scene(world)


def case_an_enforced_policy_that_is_kept_lets_mail_go():
    """However the host and the policy are written down: the host's name in any case, a pattern, a certificate for a pattern, a domain that is its own
    host, a record in pieces or with more in it, a policy in pieces. The host is called by the MX record's name, and each policy is fetched once."""
    with scene() as s:
        sites = {name + ".test": s.site(name + ".test") for name in ("plain", "pieces")}
        sites["case.test"] = s.site("case.test")
        s.domain("case.test", "MX.Case.TEST")
        s.policy("case.test", "enforce", "mX.cAse.test")
        sites["star.test"] = s.site("star.test")
        s.policy("star.test", "enforce", "other.test", "*.star.test")
        sites["starred.test"] = s.site("starred.test", certificate=s.issued("*.starred.test"))
        sites["own.test"] = s.host("own.test")
        s.policy("own.test", "enforce", "own.test")
        sites["guest.test"] = sites["plain.test"]
        s.domain("guest.test", "mx.plain.test")
        s.policy("guest.test", "enforce", "mx.plain.test")
        for trick in ("plain", "chunked", "parameters"):
            sites[f"{trick}.serve.test"] = s.site(f"{trick}.serve.test", trick=trick)
        s.announce("pieces.test", ["v=STS", "v1; id=", "a1;"])
        s.announce("case.test", "v=STSv1;id=1;more=x", "v=spf1 -all")
        s.begin()
        s.verified(sites)
        s.verified(sites)
        assert {d: s.policies.requests[d] for d in sites} == dict.fromkeys(sites, 1), s.policies.requests
        assert set(sites["star.test"].names) == {"mx.star.test"} and {n.lower() for n in sites["case.test"].names} == {"mx.case.test"}
        assert not s.daemon.events("deferred")


def bad_hosts(s):
    """{kind: (certificate, answers)} of hosts that no enforced policy lets through."""
    own = s.issued("mx.any.test")
    return {"self-signed": lambda n: (Certificate(s.world.folder, n, (n,)), None), "expired": lambda n: (s.issued(n, "-1"), None),
            "wrong-name": lambda n: (s.issued("mx.elsewhere.test"), None), "domain-name": lambda n: (s.issued(n[3:]), None),
            "parent-star": lambda n: (s.issued("*.test"), None),
            "stranger": lambda n: (s.issued(n, stranger=True), None), "stripped": lambda n: (None, None),
            "later": lambda n: (s.issued(n), {"starttls": "454 4.7.0 not now"}), "never": lambda n: (s.issued(n), {"starttls": "502 5.5.1 not here"}),
            "no-ehlo": lambda n: (s.issued(n), {"ehlo": "502 5.5.1 what?"}), "no-banner": lambda n: (s.issued(n), {"banner": "554 5.3.2 go away"}),
            "leaves": lambda n: (own, {"starttls": leave(before=b"220 go\r\n")}), "alert": lambda n: (own, {"starttls": breaks(b"\x15\x03\x01\x00\x02\x02\x28")}),
            "babble": lambda n: (own, {"starttls": breaks(b"500 what?\r\n" * 9)}), "early": lambda n: (own, {"starttls": raw(b"220 go\r\n250 what?\r\n", goes_on=False)})}


STATUSES = {"stripped": ("4.7.4",), "later": ("4.7.4", "4.7.0"), "never": ("4.7.4", "4.7.0", "4.5.1"), "no-ehlo": ("4.7.4", "4.5.1", "4.5.0"),
            "no-banner": ("4.3.2",)}  # the others: 4.7.5


def case_a_host_that_does_not_verify_gets_nothing():
    """Whatever certificate it shows, and however it does without: no MAIL, in clear or not, nor on a second connection or attempt. Where the domain has
    another host that is fine, that one takes the mail at once."""
    with scene() as s:
        sites, second = {}, {}
        for kind, make in bad_hosts(s).items():
            name = kind + ".test"
            certificate, answers = make("mx." + name)
            sites[name] = s.site(name, certificate=certificate, answers=answers)
            s.domain("two-" + name, "mx." + name, "mx2." + name)
            s.policy("two-" + name, "enforce", "mx." + name, "mx2." + name)
            second["two-" + name] = s.host("mx2." + name)
        s.begin()
        sent = {domain: s.send(domain) for domain in sites}
        for domain, found in s.outcomes(sent).items():
            assert found["event"] == "deferred" and found["status"] in STATUSES.get(domain[:-5], ("4.7.5",)), (domain, found)
            assert not sites[domain].said("MAIL") and not sites[domain].said("HELO"), (domain, sites[domain].commands)
        s.verified(second)
        assert not [e for e in s.daemon.events("deferred") if "two-" in e["to"]], s.daemon.events("deferred")
        s.daemon.cli("queue", "retry", "--all")
        for domain, found in s.outcomes(sent, past=1).items():
            assert found["event"] == "deferred" and not sites[domain].said("MAIL") and not sites[domain].messages, (domain, found)


def case_only_hosts_that_are_allowed_are_connected_to():
    """Whatever the preference, and though the one that is allowed is down; a pattern stands for one label; where none is allowed mail waits."""
    with scene() as s:
        for name in ("some.test", "down.test", "none.test"):
            s.domain(name, *(f"mx{i}.{name}" for i in (1, 2, 3)))
            s.policy(name, "enforce", "mx2." + name if name != "none.test" else "mx4.none.test")
        some, down, none = ([s.host(f"mx{i}.{name}") for i in (1, 2, 3) if (name, i) != ("down.test", 2)] for name in ("some.test", "down.test", "none.test"))
        s.names.table["mx2.down.test", "A"] = [a("127.0.5.250")]
        deep, bare = s.host("a.b.star.test"), s.host("bare.test")
        s.domain("deep.test", "a.b.star.test")
        s.policy("deep.test", "enforce", "*.star.test")
        s.domain("bared.test", "bare.test")
        s.policy("bared.test", "enforce", "*.bare.test")
        s.begin()
        s.verified({"some.test": some[1]})
        found = s.fates(("down.test", "none.test", "deep.test", "bared.test"))
        assert all(e["event"] == "deferred" for e in found.values()), found
        assert all(found[d]["status"] == "4.7.5" for d in ("none.test", "deep.test", "bared.test")), found
        for host in (some[0], some[2], *down, *none, deep, bare):
            assert host.connections == 0, host.commands


def case_a_policy_makes_nothing_bounce():
    """The one host that it allows has no address, while the domain has another: that may be mended, and somebody may have tampered with the records
    (RFC 8461 5)."""
    with scene() as s:
        s.domain("nowhere.test", "mx1.nowhere.test", "mx2.nowhere.test")
        s.policy("nowhere.test", "enforce", "mx2.nowhere.test")
        other = s.host("mx1.nowhere.test", None)
        s.begin()
        found = s.fates(["nowhere.test"])["nowhere.test"]
        assert found["event"] == "deferred" and not other.connections, found


def named_in_the_subject(authority, host):
    """A certificate of AUTHORITY for HOST as its subject's common name, with no alternative name."""
    key, request, certificate = (authority.folder / f"subject-{host}.{end}" for end in ("key", "csr", "crt"))
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={host}", "-keyout", key, "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", authority.certificate, "-CAkey", authority.key, "-days", "2", "-out", certificate)
    certificate.write_text(certificate.read_text() + key.read_text())
    return Pair(certificate)


def case_a_name_in_the_subject_is_not_enough():
    """Certificates of MX hosts and of policy hosts name them in a subject alternative name (RFC 8461 3.3, 4.2)."""
    with scene() as s:
        host = s.site("subject.test", certificate=named_in_the_subject(s.policies.trusted, "mx.subject.test"))
        clear = s.site("web.test", certificate=None)
        s.policies.domains["mta-sts.web.test"][2].load_cert_chain(named_in_the_subject(s.policies.trusted, "mta-sts.web.test").certificate)
        s.begin()
        s.waits({"subject.test": host})
        s.in_clear({"web.test": clear})
        assert s.notices("web.test")


def case_without_a_policy_in_force_mail_goes_as_ever():
    """Modes testing and none; no announcement, or none that counts, for which nobody is asked."""
    records = {"two": ["v=STSv1; id=1", "v=STSv1; id=2"], "two-same": ["v=STSv1; id=1", "v=STSv1; id=1"], "no-id": ["v=STSv1;"], "bad-id": ["v=STSv1; id=a-b"],
               "long-id": ["v=STSv1; id=" + "a" * 33], "version": ["v=STSv2; id=1"], "lower": ["v=stsv1; id=1"], "order": ["id=1; v=STSv1"], "other": ["hello"],
               "bare": ["v=STSv1"], "comma": ["v=STSv1, id=1"], "empty": [""]}
    with scene() as s:
        sites = {f"{mode}.test": s.site(f"{mode}.test", mode, None) for mode in ("testing", "none")}
        s.policy("testing.test", "testing", "mx.elsewhere.test")
        quiet = {f"{name}.txt.test": s.site(f"{name}.txt.test", certificate=None) for name in [*records, "missing", "servfail", "silent"]}
        for name, texts in records.items():
            s.announce(f"{name}.txt.test", *texts)
        for name, answer in (("missing", ()), ("servfail", SERVFAIL), ("silent", None)):
            s.names.table[f"_mta-sts.{name}.txt.test", "TXT"] = answer
        tls = s.site("tls.test", "testing", Certificate(s.world.folder, "mx.tls.test", ("mx.tls.test",)))
        s.begin()
        s.in_clear({**sites, **quiet})
        assert set(s.policies.requests) == {"testing.test", "none.test"}, s.policies.requests
        assert not [e for e in s.daemon.events("notice") if "MTA-STS" in e.get("text", "")]
        found = s.fates(["tls.test"])["tls.test"]
        assert found["event"] == "delivered" and tls.messages[0].tls and not found["tls"].endswith(" verified"), found


QUICK_TRICKS = ("redirect", "missing", "broken", "empty", "html", "typeless", "large", "large-chunked", "header", "continue", "cut", "wrong-name", "expired",
                "untrusted", "old-tls", "reset")
TEXTS = {"text": "hello", "nothing": "", "no-mode": "version: STSv1\nmx: mx.no-mode.bad.test\nmax_age: 86400\n", "no-mx": policy("enforce"),
         "no-age": "version: STSv1\nmode: enforce\nmx: mx.no-age.bad.test\n", "mode": policy("enforced", ["mx.mode.bad.test"]), "age": policy("enforce", ["mx.age.bad.test"], -1),
         "version": policy("enforce", ["mx.version.bad.test"]).replace("STSv1", "STSv2")}


def case_a_policy_that_cannot_be_had_is_none():
    """Its host misbehaves, or has something else: mail goes within seconds, the log says why, and nobody is asked again soon. Where nobody answers,
    mail waits for no longer than it must."""
    with scene() as s:
        sites = {f"{trick}.bad.test": s.site(f"{trick}.bad.test", certificate=None, trick=trick) for trick in QUICK_TRICKS}
        for name, text in TEXTS.items():
            sites[f"{name}.bad.test"] = s.site(f"{name}.bad.test", certificate=None)
            s.policies.serve(f"{name}.bad.test", text)
        sites["nowhere.bad.test"] = s.site("nowhere.bad.test", certificate=None)
        s.names.table["mta-sts.nowhere.bad.test", "A"] = []
        sites["down.bad.test"] = s.site("down.bad.test", certificate=None)
        s.names.table["mta-sts.down.bad.test", "A"] = [a("127.0.5.251")]
        slow = {f"{trick}.bad.test": s.site(f"{trick}.bad.test", certificate=None, trick=trick) for trick in ("silent", "mute", "drip")}
        s.begin()
        begun = time.monotonic()
        late = {domain: s.send(domain) for domain in slow}
        s.in_clear(sites, PATIENCE_S - 1)
        quick_s = time.monotonic() - begun
        for domain in sites:
            notices = wait_for(lambda d=domain: s.notices(d), what=f"a word about {domain}")
            assert len(notices) == 1 and "its mail goes without" in notices[0], notices
        for domain, found in s.outcomes(late).items():
            assert found["event"] == "delivered" and found["tls"] == "none" and slow[domain].messages, (domain, found)
        slow_s = time.monotonic() - begun
        assert quick_s < PATIENCE_S - 1 and PATIENCE_S - 1 < slow_s < PATIENCE_S + 4, (quick_s, slow_s)
        asked = dict(s.policies.connections)
        s.forget()
        s.in_clear(sites)
        assert dict(s.policies.connections) == asked and not [d for d in sites if len(s.notices(d)) > 1], (asked, s.policies.connections)
        begun = time.monotonic()
        s.in_clear(slow)
        assert time.monotonic() - begun < 5, "it waits once more"
        wait_for(lambda: s.notices("mute.bad.test"), what="a word about mute.bad.test")


def case_domains_with_the_same_hosts_are_apart():
    """One has a policy in force and the other has not: what cannot be sent to the first goes to the second, in clear, again and again, and what is open
    for one is of no use for the other."""
    with scene() as s:
        clear, weak = s.host("clear.host.test", None), s.host("weak.host.test", Certificate(s.world.folder, "weak", ("weak.host.test",)))
        good = s.host("good.host.test")
        for name in ("clear", "weak", "good"):
            s.domain(f"{name}.free.test", f"{name}.host.test")
            s.domain(f"{name}.bound.test", f"{name}.host.test")
            s.policy(f"{name}.bound.test", "enforce", f"{name}.host.test")
        s.begin()
        s.in_clear({"clear.free.test": clear})
        sent = {name: s.send(name) for name in ("clear.bound.test", "weak.bound.test")}
        for past in range(3):
            found = s.outcomes(sent, past=past)
            assert all(e["event"] == "deferred" and e["status"] in ("4.7.4", "4.7.5") for e in found.values()), found
            s.in_clear({"clear.free.test": clear})
            found = s.fates(["weak.free.test", "good.free.test"])
            assert all(e["event"] == "delivered" and e["tls"].startswith("TLSv1.") and not e["tls"].endswith(" verified") for e in found.values()), found
            s.verified({"good.bound.test": good})
            s.daemon.cli("queue", "retry", "--all")
        s.outcomes(sent, past=3)
        both = submit(s.daemon, "alice@home.test", ["bob@clear.free.test", "bob@clear.bound.test"], message("both"), open_listener=True)
        fates = lambda: {e["to"]: e["event"] for e in s.daemon.events() if e.get("id") == both and e["event"] in FATES}  # noqa: E731
        wait_for(lambda: fates(), what="what becomes of a message to both")
        s.daemon.cli("queue", "retry", "--all")
        wait_for(lambda: len(fates()) == 2, what="what becomes of both recipients")
        assert fates() == {"bob@clear.free.test": "delivered", "bob@clear.bound.test": "deferred"}, fates()
        assert {r for m in clear.messages + weak.messages for r in m.recipients} == {"bob@clear.free.test", "bob@weak.free.test"}
        assert {r for m in good.messages for r in m.recipients} == {"bob@good.free.test", "bob@good.bound.test"} and all(len(m.recipients) == 1 for m in good.messages)
        good.show(Certificate(s.world.folder, "changed", ("good.host.test",)))  # connections that were open with the old one may be in use
        s.reload()
        assert s.fates(["good.free.test"])["good.free.test"]["event"] == "delivered"


def case_whoever_does_not_want_policies_asks_for_none():
    """Switched off for all mail, with TLS, for a route, or mail that goes by a smart host: neither DNS nor a web server hears of it. Switched on by a
    reload it counts at once."""
    for words in ("mta-sts = no", "tls = none"):
        with scene() as s:
            host = s.site("off.test", certificate=None)
            s.begin(delivery=words)
            s.in_clear({"off.test": host})
            assert not s.names.about("_mta-sts.off.test", "TXT") and not s.policies.connections and not s.names.about("mta-sts.off.test", "A")
            s.daemon.file.write_text(s.daemon.text.replace(words, ""))
            s.reload()

            def obeyed():
                return s.fates(["off.test"])["off.test"]["event"] == "deferred"
            wait_for(obeyed, what="the policy's being obeyed")
            count = len(host.messages)
            s.daemon.file.write_text(s.daemon.text)
            s.reload()
            s.daemon.cli("queue", "retry", "--all")
            wait_for(lambda: len(host.messages) > count, what="what had waited")


def case_policies_count_for_questions_that_are_open_when_they_are_switched_on():
    """A reload comes while DNS has not yet said which hosts the domain has."""
    with scene() as s:
        host = s.site("late.test", certificate=None)
        hosts, s.names.table["late.test", "MX"] = s.names.table["late.test", "MX"], None
        s.begin(delivery="mta-sts = no", dns="timeout = 2s tries = 3")
        sent = s.send("late.test")
        wait_for(lambda: s.names.about("late.test", "MX"), what="the question")
        s.daemon.file.write_text(s.daemon.text.replace("mta-sts = no", ""))
        s.reload()
        s.names.table["late.test", "MX"] = hosts
        found = s.outcomes({"late.test": sent})["late.test"]
        assert found["event"] == "deferred" and found["status"] == "4.7.4" and not host.messages, found


def case_routes_have_a_word_about_policies():
    with scene() as s:
        hosts = {name: s.site(name, certificate=None) for name in ("off.test", "clear.test", "by.test", "on.test")}
        smart = s.host("smart.test", None)
        sections = "".join(f'route "{name}" {{ {words} }}\n' for name, words in
                           {"off.test": "via = mx mta-sts = no", "clear.test": "via = mx tls = none", "on.test": "via = mx mta-sts = yes",
                            "by.test": f'via = {{ "smart.test:{s.world.delivery_port}" }} tls = opportunistic'}.items())
        s.begin(sections=sections)
        s.in_clear({"off.test": hosts["off.test"], "clear.test": hosts["clear.test"], "by.test": smart})
        assert not s.policies.connections and not [n for n, k in s.names.asked if "mta-sts" in n], s.names.asked
        s.waits({"on.test": hosts["on.test"]}, ("4.7.4",))
    with scene() as s:
        host = s.site("on.test", certificate=None)
        s.begin(delivery="mta-sts = no", sections='route "on.test" { via = mx mta-sts = yes }\n')
        s.waits({"on.test": host}, ("4.7.4",))


def case_policy_hosts_at_private_addresses_are_not_asked():
    """MX hosts on loopback are nobody's either then; it is enough that nobody connects to the web server."""
    with scene() as s:
        host = s.site("private.test", certificate=None)
        s.begin(private="no")
        sent = s.send("private.test")
        fate(s.daemon, sent, "bounced", "5.4.")
        assert s.names.about("_mta-sts.private.test", "TXT") and not s.policies.connections and not host.connections
        assert "private" in wait_for(lambda: s.notices("private.test"), what="a word about it")[0]


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
