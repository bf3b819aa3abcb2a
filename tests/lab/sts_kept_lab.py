"""MTA-STS (RFC 8461) over time and in trouble: a policy that was had once stays in force whatever happens to its record, its web server or the
relay's own processes, until another one, or its end; DANE beside it; many domains at once. Scene and style are those of sts_lab."""
import contextlib
import os
import signal
import sys
import time

from case import main
from dane_lab import FATES, OTHER, Scene as SignedScene, tlsa
from policy_host import PolicyHost, policy
from remote_lab import HOUR, a
from sts_lab import PATIENCE_S, SERVFAIL, Pair, scene
from submit import connect, message, send
from world import World, wait_for


def kill_sts(daemon):
    """Kills the sts role, and waits for the next one."""
    old = wait_for(lambda: daemon.pids().get("sts"), what="the sts role")[0]
    os.kill(old, signal.SIGKILL)
    return wait_for(lambda: [p for p in daemon.pids().get("sts", []) if p != old], what="another sts role")[0]


def case_a_policy_that_is_known_stays_in_force():
    """The hosts lose their TLS, or others stand in the MX record, and what announces the policy is gone, wrong, silent or cannot be had: mail waits, at
    once, behind a reload, a stop and start, and the death of the role that knows the policies."""
    with scene() as s:
        names = ("gone", "servfail", "silent", "two", "malformed", "down", "moved", "missing", "redirect", "html", "untrusted", "reset", "text", "mx")
        sites = {f"{name}.test": s.site(f"{name}.test") for name in names}
        s.begin()
        s.verified(sites)
        other = s.host("mx.attacker.test")
        s.domain("mx.test", "mx.attacker.test")
        for name, host in sites.items():
            host.context = None  # no STARTTLS from now on
        for name, answer in {"gone": (), "servfail": SERVFAIL, "silent": None}.items():
            s.names.table[f"_mta-sts.{name}.test", "TXT"] = answer
        s.announce("two.test", "v=STSv1; id=1", "v=STSv1; id=2")
        s.announce("malformed.test", "v=STSv1; id=")
        for name in ("down", "moved", "missing", "redirect", "html", "untrusted", "reset", "text"):
            s.announce(f"{name}.test", "v=STSv1; id=2")
        s.names.table["mta-sts.down.test", "A"] = [a("127.0.5.251")]
        s.names.table["mta-sts.moved.test", "A"] = ()
        for trick in ("missing", "redirect", "html", "untrusted", "reset"):
            s.policies.serve(f"{trick}.test", policy("none"), trick)
        s.policies.serve("text.test", "hello")

        def in_force(done):
            """Whoever knows none of the domains any more asks for each again."""
            s.outcomes({domain: s.send(domain) for domain in sites})
            for domain, host in sites.items():
                assert len(host.messages) == 1 and len(host.said("MAIL")) == 1, (done, domain, host.commands)
            statuses = {e["to"].split("@")[1]: e["status"] for e in s.daemon.events("deferred")}
            assert {statuses[d] for d in sites if d != "mx.test"} == {"4.7.4"} and statuses["mx.test"] == "4.7.5" and not other.connections, (done, statuses)
            for domain in ("down.test", "moved.test", "missing.test", "text.test"):
                assert [n for n in s.notices(domain) if "the one that is known holds" in n], (done, s.notices(domain))

        def fresh():
            """The queue knows no site that rests."""
            s.daemon.stop()
            s.daemon.start()
        s.forget()
        in_force("a reload")
        for done in ("a start", "another start"):
            fresh()
            in_force(done)
        kill_sts(s.daemon)
        s.forget()
        s.daemon.cli("queue", "retry", "--all")
        identity = {domain: s.send(domain) for domain in sites}
        s.daemon.cli("queue", "retry", "--all")
        s.outcomes(identity)
        assert all(len(host.messages) == 1 for host in sites.values()) and not other.connections


def case_a_new_policy_takes_the_place_of_the_old():
    """A new id: other hosts, testing, none, and enforce where there was none; and none is taken from what has another id in its own words only. What is
    announced is fetched once."""
    with scene() as s:
        hosts = {name: s.host(f"mx.{name}.test", None) for name in ("none", "testing", "later")}
        hosts["other"], new = s.host("mx.other.test"), s.host("mx2.other.test")
        for name in hosts:
            s.domain(f"{name}.test", f"mx.{name}.test")
            s.policy(f"{name}.test", "none" if name == "later" else "enforce", f"mx.{name}.test")
        s.begin()
        s.waits({f"{name}.test": hosts[name] for name in ("none", "testing")}, ("4.7.4",))
        s.verified({"other.test": hosts["other"]})
        s.in_clear({"later.test": hosts["later"]})
        for name, (mode, patterns) in {"none": ("none", ()), "testing": ("testing", ("mx.testing.test",)), "other": ("enforce", ("mx2.other.test",)),
                                       "later": ("enforce", ("mx.later.test",))}.items():
            s.policy(f"{name}.test", mode, *patterns)
            s.announce(f"{name}.test", "v=STSv1; id=2;")
        s.domain("other.test", "mx.other.test", "mx2.other.test")
        s.forget()
        s.in_clear({f"{name}.test": hosts[name] for name in ("none", "testing")})
        s.waits({"later.test": hosts["later"]}, ("4.7.4",))
        s.verified({"other.test": new})
        assert len(hosts["other"].messages) == 1 and len(hosts["later"].messages) == 1
        s.daemon.cli("queue", "retry", "--all")
        wait_for(lambda: len(hosts["none"].messages) == 2 and len(hosts["testing"].messages) == 2, what="what had waited")
        assert all(s.policies.requests[f"{name}.test"] == 2 for name in hosts), s.policies.requests


def case_a_policy_is_fetched_anew_and_ends():
    """In the second half of its max_age, whatever its id, without holding up the mail; behind its end, where no other can be had, mail goes as ever."""
    with scene() as s:
        sites = {"short.test": s.site("short.test", max_age=2), "renewed.test": s.site("renewed.test", max_age=60), "silent.test": s.site("silent.test", max_age=6)}
        s.begin()
        s.verified(sites)
        begun = time.monotonic()
        s.names.table["_mta-sts.short.test", "TXT"] = ()
        s.policies.serve("silent.test", "", "silent")
        sites["short.test"].context = None
        wait_for(lambda: time.monotonic() > begun + 4.2, what="the end of a policy")
        s.reload()
        s.in_clear({"short.test": sites["short.test"]})
        asked = time.monotonic()
        s.verified({"silent.test": sites["silent.test"]})
        assert time.monotonic() - asked < 3, "mail waits for a refresh"
        wait_for(lambda: s.policies.requests["silent.test"] == 2, what="another fetch")
        assert s.policies.requests["short.test"] == 1 and s.policies.requests["renewed.test"] == 1


def what_waits(retry, look_again):
    """At two sites that rest for a step of RETRY while their domains' policies change; LOOK_AGAIN(scene) is done then."""
    with scene() as s:
        down, bound = s.host("mx.down.test", None), s.host("mx.bound.test", None)
        s.domain("down.test", "mx.down.test")
        s.domain("bound.test", "mx.bound.test")
        s.policy("bound.test", "enforce", "mx.bound.test")
        down.answers["banner"] = "421 4.3.2 not now"
        s.begin(queue=retry)
        first = s.outcomes({d: s.send(d) for d in ("down.test", "bound.test")})
        assert all(e["event"] == "deferred" for e in first.values()), first
        waiting = {d: [s.send(d) for _ in range(2)] for d in first}
        s.policy("down.test", "enforce", "mx.down.test")
        s.policies.serve("bound.test", policy("none"))
        s.announce("bound.test", "v=STSv1; id=2")
        down.answers.clear()
        look_again(s)
        gone = lambda: [e for e in s.daemon.events("delivered") if e["id"] in waiting["bound.test"]]  # noqa: E731
        wait_for(lambda: down.messages or len(gone()) == 2, what="what waited for bound.test")
        assert not down.messages, down.commands
        s.daemon.cli("queue", "retry", "--all")
        found = wait_for(lambda: [e for e in s.daemon.events() if e.get("id") in waiting["down.test"] and e["event"] in FATES], what="an attempt at down.test")
        assert all(e["event"] == "deferred" and e["status"] == "4.7.4" for e in found) and not down.said("MAIL"), (found, down.commands)


def case_a_reload_has_all_that_waits_looked_up_again():
    """Mail that waits for a host that is down is bound by a policy that came meanwhile; what waits for a host that a policy did not let through goes when
    the policy no more demands it."""
    what_waits(HOUR, lambda s: s.forget())


def case_mail_that_waits_for_a_host_goes_by_the_policy_of_then():
    """The same where nobody reloads anything: the rest of the hosts ends, later than what is known of their domains."""
    what_waits("retry = { 12s }", lambda s: None)


def case_the_role_may_die():
    """Killed over and over while mail for many domains comes, nothing is lost, and nothing sent in clear that is bound by a policy that was had."""
    with scene() as s:
        bound = {f"b{i}.many.test": f"b{i}.many.test" for i in range(20)}
        free = [f"f{i}.many.test" for i in range(20)]
        good, clear = s.host("mx.good.test"), s.host("mx.clear.test", None)
        for domain in bound:
            s.domain(domain, "mx.clear.test", "mx.good.test")
            s.announce(domain)
        s.policies.serve_all({domain: policy("enforce", ["mx.good.test", "mx.clear.test"]) for domain in bound})
        for domain in free:
            s.domain(domain, "mx.clear.test")
        s.begin()
        s.outcomes({domain: s.send(domain) for domain in bound})
        assert {r.split("@")[1] for m in good.messages for r in m.recipients} == set(bound) and not clear.messages
        s.daemon.stop()
        s.daemon.start()
        sent = {}
        for domain, other in zip(bound, free):
            if len(sent) % 10 == 0:
                kill_sts(s.daemon)
            sent.update({domain: s.send(domain, "again"), other: s.send(other, "again")})
        found = s.outcomes(sent)
        assert all(e["event"] == "delivered" and (e["tls"].endswith(" verified") if d in bound else e["tls"] == "none") for d, e in found.items()), found
        good_to = sorted(r.split("@")[1] for m in good.messages for r in m.recipients)
        assert good_to == sorted([*bound, *bound]), good_to
        assert sorted(r.split("@")[1] for m in clear.messages for r in m.recipients) == sorted(free)


def case_a_role_that_stands_still_frees_nobody():
    """It answers nothing for a while: what was known to be bound a moment ago is not sent in clear, behind a reload as well. Other mail goes then, or when
    the role is itself again."""
    with scene() as s:
        bound, free = s.site("bound.test"), s.host("mx.free.test", None)
        s.domain("free.test", "mx.free.test")
        s.begin()
        s.verified({"bound.test": bound})
        bound.context = None
        still = s.daemon.pids()["sts"][0]
        os.kill(still, signal.SIGSTOP)
        try:
            s.forget()
            begun, sent = time.monotonic(), {domain: s.send(domain) for domain in ("bound.test", "free.test")}
            wait_for(lambda: free.messages or len(bound.messages) > 1 or time.monotonic() > begun + 25, 30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(still, signal.SIGCONT)
        found = s.outcomes(sent)
        assert found["free.test"]["event"] == "delivered" and found["bound.test"]["event"] == "deferred" and len(bound.messages) == 1, found


class Both(SignedScene):
    """Zones that are signed, and policies."""

    def __init__(self, world):
        super().__init__(world)
        self.policies = world.add(PolicyHost(world.folder))

    def issued(self, name):
        return Pair(self.policies.trusted.sign(name))

    def policy(self, domain, *patterns, mode="enforce"):
        self.record(f'_mta-sts.{domain} TXT "v=STSv1; id=1;"')
        self.record(f"mta-sts.{domain} A 127.0.0.1")
        self.policies.serve(domain, policy(mode, patterns))

    def bound(self, name, certificate, *datas):
        """A domain with an enforced policy for its host, which has TLSA records of DATAS."""
        self.policy(name, "mx." + name)
        return self.site(name, certificate, datas)

    def begin(self, **options):
        start = self.world.posternd

        def posternd(**more):
            daemon = start(**more)
            daemon.text = daemon.text.replace("mta-sts {", f"mta-sts {{ port = {self.policies.port}")
            return daemon
        self.world.posternd = posternd
        options["delivery"] = f'ca-file = "{self.policies.authority}" {options.get("delivery", "")}'
        super().begin(**options)


@contextlib.contextmanager
def both():
    with World(dns=False) as world:
        yield Both(world)


def tls_of(found):
    return {domain: e["tls"].split()[-1] if e["event"] == "delivered" else e["status"] for domain, e in found.items()}


def case_what_is_signed_comes_first():
    """A policy overrides no TLSA records (RFC 8461 2): those that match are enough, and those that do not keep mail back though the certificate is good. None
    that can be used: the certificate must verify. A host that the policy does not name is not used, whatever its records."""
    with both() as s:
        own, good = s.certificate("mx.elsewhere.test"), lambda name: s.issued(f"mx.{name}.signed.test")
        sites = {"dane": (own, tlsa(own)), "both": (good("both"), tlsa(good("both"))), "wrong": (good("wrong"), OTHER),
                 "unusable": (own, "0 0 1 " + "cd" * 32), "unusable-good": (good("unusable-good"), "0 0 1 " + "cd" * 32), "none": (own,), "none-good": (good("none-good"),)}
        wanted = {"dane": "dane", "both": "dane", "wrong": "4.7.5", "unusable": "4.7.5", "unusable-good": "verified", "none": "4.7.5", "none-good": "verified"}
        hosts = {f"{name}.signed.test": s.bound(f"{name}.signed.test", *data) for name, data in sites.items()}
        wanted = {f"{name}.signed.test": value for name, value in wanted.items()}
        hosts["away.signed.test"] = s.site("away.signed.test", own, [tlsa(own)])
        s.policy("away.signed.test", "mx.elsewhere.test")
        s.begin()
        found = s.fates(hosts)
        assert tls_of(found) == {**wanted, "away.signed.test": "4.7.5"}, found
        assert all(bool(host.messages) == (found[d]["event"] == "delivered") and bool(host.said("MAIL")) == bool(host.messages) for d, host in hosts.items())
        assert not hosts["away.signed.test"].connections


def case_without_dane_the_policy_alone_counts():
    """TLSA records that nobody wants to know of do not stand in its way, nor do those in a zone without signatures."""
    with both() as s:
        hosts = {"off.signed.test": s.bound("off.signed.test", s.issued("mx.off.signed.test"), OTHER),
                 "match.signed.test": s.bound("match.signed.test", *(lambda c: (c, tlsa(c)))(s.certificate("mx.match.signed.test"))),
                 "off.plain.test": s.bound("off.plain.test", s.issued("mx.off.plain.test"), OTHER)}
        s.begin(delivery="dane = no")
        found = s.fates(hosts)
        assert tls_of(found) == {"off.signed.test": "verified", "match.signed.test": "4.7.5", "off.plain.test": "verified"}, found


def case_aliases():
    """The record and the web server may be somebody else's by an alias (RFC 8461 8.2), whose name nobody looks at; a host that is an alias must show a certificate
    for the name in the MX record, also where TLSA records that cannot be used stand at the other name."""
    with both() as s:
        hosts, wanted = {}, {}
        for zone in ("signed.test", "plain.test"):
            for name, certified, datas in (("mx", "mx", ()), ("target", "target", ()), ("unusable", "mx", ["0 0 1 " + "cd" * 32])):
                domain = f"{name}.alias.{zone}"
                hosts[domain] = s.host(f"target.{domain}", s.issued(f"{certified}.{domain}"), datas)
                s.record(f"mx.{domain} CNAME target.{domain}.")
                s.domain(domain, f"mx.{domain}")
                s.record(f"_mta-sts.{domain} CNAME _mta-sts.provider.{zone}.")
                s.record(f"mta-sts.{domain} CNAME provider.{zone}.")
                s.policies.serve(domain, policy("enforce", [f"mx.{domain}"]))
                wanted[domain] = "4.7.5" if certified == "target" else "verified"
            s.record(f'_mta-sts.provider.{zone} TXT "v=STSv1; id=1;"')
            s.record(f"provider.{zone} A 127.0.0.1")
        s.begin()
        found = s.fates(hosts)
        assert tls_of(found) == wanted, found


def case_many_domains_at_once():
    """Three hundred that are new have one web server: each is fetched once, and all have their mail. Forty whose web servers are silent hold up neither
    them nor domains without a policy."""
    with scene() as s:
        good, clear = s.host("mx.good.test"), s.host("mx.clear.test", None)
        many = [f"d{i}.many.test" for i in range(300)]
        silent = [f"s{i}.silent.test" for i in range(40)]
        free = [f"f{i}.free.test" for i in range(20)]
        for domain in (*many, *silent, *free):
            s.domain(domain, "mx.good.test" if domain in many else "mx.clear.test")
        for domain in (*many, *silent):
            s.announce(domain)
        s.policies.serve_all({domain: policy("enforce", ["mx.good.test"]) for domain in many})
        quiet = s.world.add(PolicyHost(s.policies.folder / "quiet", "127.0.5.253", s.policies.port))
        quiet.serve_all({domain: policy("enforce", ["mx.clear.test"]) for domain in silent}, "mute")
        for domain in silent:
            s.announce(domain, address="127.0.5.253")
        s.begin()
        session = connect(s.daemon, open_listener=True)

        def sent(domains):
            return {domain: send(session, "alice@home.test", [f"bob@{domain}"], message(domain)) for domain in domains}
        late = sent(silent)
        begun = time.monotonic()
        quick = sent(free)
        found = s.outcomes(quick, 5)
        assert all(float(e["delay"]) < 2 for e in found.values()), found
        identities = sent(many)
        found = s.outcomes(identities, PATIENCE_S)
        session.close()
        assert all(e["event"] == "delivered" and e["tls"].endswith(" verified") for e in found.values()), [e for e in found.values() if not e["tls"].endswith(" verified")][:5]
        assert s.policies.requests == dict.fromkeys(many, 1), [d for d in many if s.policies.requests[d] != 1]
        found = s.outcomes(late, PATIENCE_S + 5)
        assert all(e["event"] == "delivered" and e["tls"] == "none" and float(e["delay"]) < PATIENCE_S + 3 for e in found.values()), found
        assert time.monotonic() - begun > PATIENCE_S - 1 and len(clear.messages) == len(silent) + len(free) and len(good.messages) == len(many)


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
