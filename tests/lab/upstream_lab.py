"""Smart hosts and other servers that want more than mail: TLS sessions, logins, routes by sender and account; with an unmodified Postfix
and with our own submission service."""
import base64
import datetime
import os
import pathlib
import shutil
import subprocess
import sys

from case import main
from postfix import Postfix
from receiver import Deed, Receiver
from submit import message, submit
from world import Skip, World, free_port, wait_for, which

HOUR = "retry = { 1h }"


def relay(world, sections="", name="posternd", **options):
    """A daemon that alice and carol can log in to, with one delivery process and a debug log; it trusts the world's certificate."""
    options["delivery"] = f'ca-file = "{world.certificate.certificate}" ' + options.get("delivery", "")
    options.setdefault("queue", HOUR)
    daemon = world.posternd(name, sections=sections, top="processes = 1", listener="check-recipient-domain = no", options=("-u", "-d"), **options)
    for account in ("alice", "carol"):
        daemon.user(account, "secret")
    daemon.start()
    return daemon


def deliver(daemon, recipient, count=1, sender="alice@example.net"):
    """COUNT messages to RECIPIENT, one after the other, all delivered; the events."""
    before = len(daemon.events("delivered"))
    for i in range(count):
        submit(daemon, sender, [recipient], message(str(i)))
        wait_for(lambda: len(daemon.events("delivered")) > before + i, what="delivery")
    return daemon.events("delivered")[before:]


def sessions(daemon):
    """What the delivery process tells of its handshakes."""
    return [event for event in daemon.events("tls") if event["role"] == "delivery"]


def case_sessions_are_resumed_with_postfix_but_not_between_policies():
    """One connection a message: from the second on Postfix says that the session was reused; a route with another policy begins anew."""
    with World() as world:
        postfix = world.add(Postfix.receiver(world.folder, f"127.0.1.10:{world.delivery_port}", "postfix.example", world.certificate,
                                             ["smtpd_tls_loglevel = 2", "virtual_mailbox_domains = postfix.example, other.example"]))
        sections = f'route "other.example" {{ via = "mx.postfix.example:{world.delivery_port}" tls = encrypt }}\n'
        daemon = relay(world, sections, delivery="messages-per-connection = 1 tls = opportunistic idle-timeout = 0")
        deliver(daemon, "bob@postfix.example", 3)
        resumed = [(e["policy"], e["resumed"]) for e in sessions(daemon)]
        assert resumed[0] == ("opportunistic", "no") and ("opportunistic", "yes") in resumed, resumed
        deliver(daemon, "bob@other.example", 2)
        encrypted = [e["resumed"] for e in sessions(daemon) if e["policy"] == "encrypt"]
        assert encrypted[0] == "no" and "yes" in encrypted, encrypted
        assert "reus" in postfix.log().lower(), postfix.log()[-2000:]


def case_routes_by_sender_and_account():
    """Three smart hosts for one recipient's domain; a change of the route moves mail that waits."""
    with World() as world:
        hosts = {name: world.add(Receiver(f"127.0.6.{i}", world.delivery_port, {"rcpt": "450 4.2.0 later"} if name == "sick" else {}))
                 for i, name in enumerate(("all", "sales", "carol", "sick"), 1)}
        sections = "".join(f'route "{name}" {{ domains = {{ "*" }} {only} via = "127.0.6.{i}:{world.delivery_port}" }}\n' for i, (name, only) in enumerate(
            (("all", ""), ("sales", 'senders = { "@sales.example.net" }'), ("carol", 'accounts = { "carol" }'), ("sick", 'senders = { "sick@sales.example.net" }')), 1))
        daemon = relay(world, sections)
        for sender, account, name in (("alice@example.net", "alice", "all"), ("alice@sales.example.net", "alice", "sales"), ("carol@sales.example.net", "carol", "carol")):
            submit(daemon, sender, ["bob@far.example", "bob@elsewhere.example"], message(name), user=account)
            wait_for(lambda: hosts[name].messages, what=f"the message at {name}")
            assert hosts[name].messages[0].sender == sender
        assert sum(len(host.messages) for host in hosts.values()) == 3
        waits = submit(daemon, "sick@sales.example.net", ["bob@far.example"], message("waits"))
        wait_for(lambda: daemon.events("deferred"), what="the deferral")
        listed = daemon.cli("queue", "list", json_output=True)
        assert listed[0]["id"] == waits and listed[0]["recipients"][0]["site"] == "127.0.6.4", listed
        daemon.file.write_text(daemon.text.replace('senders = { "sick@sales.example.net" }', 'senders = { "nobody@example.net" }'))
        daemon.cli("reload")
        daemon.cli("queue", "retry", waits)
        wait_for(lambda: len(hosts["sales"].messages) == 2, what="the message by the route that is left")


WAYS = """
account "carol" {{ class = bulk }}
source "bulk1" {{ pool = bulk addresses = {{ "127.0.7.2" }} helo = "b1.example.net" accounts = {{ "class:bulk" }} }}
source "staff" {{ addresses = {{ "127.0.7.1" }} }}
source "reports" {{ addresses = {{ "127.0.7.4" }} }}
route "*" {{ via = "127.0.6.1:{port}" }}
route "sales" {{ domains = {{ "*" }} senders = {{ "@sales.example.net" }} via = "127.0.6.2:{port}" }}
route "boss" {{ domains = {{ "*" }} senders = {{ "boss@sales.example.net" }} accounts = {{ "carol" }} via = "127.0.6.3:{port}" tls = none source = staff }}
"""


def case_a_trace_tells_the_way_that_such_mail_takes():
    """Route, hosts and source by sender, account and class; then the mail itself."""
    with World() as world:
        hosts = {f"127.0.6.{i}": world.add(Receiver(f"127.0.6.{i}", world.delivery_port)) for i in (1, 2, 3)}
        daemon = relay(world, WAYS.format(port=world.delivery_port), delivery='source = { "127.0.7.9" } bounce-source = reports')

        def trace(*words):
            told = daemon.cli("trace", "bob@far.example", *words, json_output=True)
            return told, (told["route"], told["hosts"][0]["name"], told["source"], [a for s in told["sources"] for a in s["addresses"]])
        for account, sender, way in (("alice", "alice@example.net", ("*", "127.0.6.1", "", ["127.0.7.9"])),
                                     ("alice", "boss@sales.example.net", ("sales", "127.0.6.2", "", ["127.0.7.9"])),
                                     ("carol", "carol@example.net", ("*", "127.0.6.1", "bulk", ["127.0.7.2"])),
                                     ("carol", "boss@sales.example.net", ("boss", "127.0.6.3", "staff", ["127.0.7.1"]))):
            told, found = trace("--sender", sender, "--account", account)
            assert found == way and (told["from"], told["account"]) == (sender, account), (way, told)
            receiver = hosts[way[1]]
            count = len(receiver.messages)
            submit(daemon, sender, ["bob@far.example"], message(account), user=account)
            wait_for(lambda: len(receiver.messages) > count, what=f"mail of {account} at {way[1]}")
            assert receiver.messages[-1].peer == way[3][0], receiver.messages[-1].peer
        told, found = trace()
        assert found[:3] == ("*", "127.0.6.1", "") and told["from"] is None and told["account"] is None, told
        assert trace("--sender", "<>")[1][2:] == ("reports", ["127.0.7.4"])
        told, found = trace("--account", "carol")
        assert found[0] == "*" and found[2] == "bulk" and (told["entry"], told["class"]) == ("carol", "bulk"), told
        told, found = trace("--account", "nobody")
        assert (found[0], told["entry"], told["class"]) == ("*", "", ""), told
        for words, answer in ((("--account", "nobody"), 'account "nobody" is not in the configuration'), (("--sender", "a@sales.example.net"), 'from <a@sales.example.net> goes by route "sales"'),
                              (("--account", "carol"), "bulk1  127.0.7.2 as b1.example.net")):
            assert answer in daemon.cli("trace", "bob@far.example", *words), answer
        wrong = daemon.cli("trace", "bob@far.example", "--sender", "nobody", check=False)
        assert wrong.returncode == 1 and "the sender is no mail address; give one such as user@example.net, or <> for none" in wrong.stderr, wrong


def smart_route(world, port, secret, more="", name="far.example"):
    """A route over a smart host at PORT of localhost, with the secret in a file that is returned too."""
    path = world.folder / f"secret-{name}"
    path.write_text(secret + "\n")
    return path, f'route "{name}" {{ via = "localhost:{port}" tls = verify user = "office" password-file = "{path}" {more} }}\n'


def case_logins_at_our_own_submission_service():
    """SCRAM-SHA-256, PLAIN and LOGIN, the best that the smart host offers; it sends on what it gets."""
    for offered, used in (('"PLAIN", "LOGIN", "SCRAM-SHA-256"', "SCRAM-SHA-256"), ('"LOGIN", "PLAIN"', "PLAIN"), ('"LOGIN"', "LOGIN")):
        with World() as world:
            end = world.add(Receiver("127.0.6.1", world.delivery_port))
            upstream = world.posternd("upstream", auth=f"mechanisms = {{ {offered} }}", sections=f'route "*" {{ via = "127.0.6.1:{world.delivery_port}" }}\n',
                                      listener="check-recipient-domain = no", top="processes = 1")
            upstream.user("office", "päss word,=")
            upstream.start()
            daemon = relay(world, smart_route(world, upstream.port, "päss word,=")[1])
            deliver(daemon, "bob@far.example")
            wait_for(lambda: end.messages, what="the message behind the smart host")
            logins = [(e["account"], e["mechanism"]) for e in upstream.events("authenticated")]
            assert logins == [("office", used)], logins


def postfix_with_logins(world, mechanisms, port=None, more=()):
    """(Postfix, its port): one that wants a login, of user office with password secret. MORE are settings."""
    which("saslpasswd2")
    folder = pathlib.Path(world.folder) / "sasl"
    folder.mkdir(mode=0o755)
    subprocess.run(["saslpasswd2", "-p", "-c", "-f", str(folder / "sasldb2"), "-u", "receiver.example", "office"], input=b"secret", check=True)
    shutil.chown(folder / "sasldb2", "postfix", "postfix")
    port = port or free_port()
    settings = ["smtpd_sasl_auth_enable = yes", "smtpd_sasl_path = smtpd", "smtpd_tls_auth_only = yes", "smtpd_sasl_local_domain = receiver.example",
                "smtpd_relay_restrictions = permit_sasl_authenticated, reject", "smtpd_tls_loglevel = 1", *more]
    postfix = world.add(Postfix.receiver(world.folder, f"127.0.0.1:{port}", "far.example", world.certificate, settings))
    (postfix.conf / "sasl").mkdir()  # where Debian's Postfix looks
    (postfix.conf / "sasl" / "smtpd.conf").write_text(f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {folder}/sasldb2\nmech_list: {mechanisms}\n")
    return postfix, port


def case_a_login_behind_implicit_tls():
    """Port 465 (RFC 8314): TLS from the first byte on, in which we speak first. In a network of its own, where the port is free."""
    if "POSTERN_OWN_NETWORK" not in os.environ:
        if os.geteuid() != 0 or subprocess.run([which("unshare"), "--net", "true"], capture_output=True).returncode:
            raise Skip("a network of its own needs root")
        again = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, __file__, "case_a_login_behind_implicit_tls"]
        done = subprocess.run(again, env=dict(os.environ, POSTERN_OWN_NETWORK="1"), capture_output=True, text=True)
        assert done.stdout.startswith("ok "), done.stdout + done.stderr
        return
    with World() as world:
        postfix, port = postfix_with_logins(world, "PLAIN", 465, ["smtpd_tls_wrappermode = yes"])
        daemon = relay(world, smart_route(world, port, "secret")[1])
        event, = deliver(daemon, "bob@far.example")
        assert event["tls"].startswith("TLSv1.3 "), event
        assert "sasl_method=PLAIN, sasl_username=office" in postfix.log(), postfix.log()[-2000:]


def case_logins_at_postfix():
    """An unmodified Postfix with Cyrus SASL: each mechanism that it offers."""
    for mechanism in ("SCRAM-SHA-256", "PLAIN", "LOGIN"):
        with World() as world:
            postfix, port = postfix_with_logins(world, mechanism)
            daemon = relay(world, smart_route(world, port, "secret")[1])
            deliver(daemon, "bob@far.example")
            assert f"sasl_method={mechanism}, sasl_username=office" in postfix.log(), postfix.log()[-2000:]


def tokens(port_of, good, mechanism):
    """A function for a Receiver's answers: takes the tokens in the set GOOD, and explains a refusal as RFC 7628 has it."""
    def answer(argument):
        name, _, initial = argument.partition(" ")
        text = base64.b64decode(initial).decode()
        assert name == mechanism and "office" in text, text
        port_of.append(text)
        if any(f"auth=Bearer {token}\1\1" in text for token in good):
            return None

        def refuse(session):
            session.sock.sendall(b"334 " + base64.b64encode(b'{"status":"invalid_token"}') + b"\r\n")
            assert session.file.readline() == (b"AQ==\r\n" if mechanism == "OAUTHBEARER" else b"\r\n")
            session.sock.sendall(b"535 5.7.8 the token is not valid\r\n")
            return True
        return Deed(refuse)
    return answer


def case_a_token_that_was_replaced_in_its_file_is_read_again():
    """The token that the daemon was started with has run out; a helper wrote a new one: no message is deferred. Then none is good: an alarm."""
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        with World() as world:
            seen, good = [], {"second"}
            upstream = world.add(Receiver("127.0.0.1", 0, {"auth": tokens(seen, good, mechanism)}, world.certificate, ("PIPELINING", f"AUTH PLAIN LOGIN {mechanism}")))
            path, section = smart_route(world, upstream.server.server_address[1], "first", "login = token")
            daemon = relay(world, section, delivery="messages-per-connection = 1 idle-timeout = 0")
            path.write_text("second\n")
            deliver(daemon, "bob@far.example")
            assert [text.partition("Bearer ")[2].rstrip("\1") for text in seen[:2]] == ["first", "second"], seen
            assert not daemon.events("deferred") and not [e for e in daemon.events("error") if "login" in e["text"]], daemon.events("error")
            good.clear()
            submit(daemon, "alice@example.net", ["bob@far.example"], message("waits"))
            deferred = wait_for(lambda: daemon.events("deferred"), what="the deferral")[0]
            assert deferred["status"] == "4.7.8" and "535 5.7.8" in deferred["reply"], deferred
            assert [e for e in daemon.events("error") if "refused the login of user office" in e["text"]]
            site, = [s for s in daemon.cli("status", json_output=True)["sites"] if s["failures"]]
            assert "535 5.7.8" in site["reply"] and site["alarm"], site
            assert "ALARM: this smart host cannot be used" in daemon.cli("status")
            assert "second" not in daemon.log() and not daemon.events("bounced")


def case_a_password_that_was_mended_is_read_again_without_a_reload():
    with World() as world:
        upstream = world.posternd("upstream", sections=f'route "*" {{ via = "127.0.6.1:{world.delivery_port}" }}\n', listener="check-recipient-domain = no",
                                  auth="lockout-failures = 1000")
        upstream.user("office", "right")
        upstream.start()
        path, section = smart_route(world, upstream.port, "wrong")
        daemon = relay(world, section, queue="retry = { 1s }")
        submit(daemon, "alice@example.net", ["bob@far.example"], message())
        wait_for(lambda: daemon.events("deferred"), what="the deferral")
        path.write_text("right\n")
        wait_for(lambda: daemon.events("delivered"), what="delivery")


def case_a_dead_smart_host_is_an_alarm_and_mail_waits():
    """Two smart hosts, both dead: deferred, told once in the log and in the status; the second one comes back, and the alarm is over."""
    with World() as world:
        port = free_port()
        daemon = relay(world, f'route "far.example" {{ via = {{ "127.0.6.1:{port}", "127.0.6.2:{port}" }} }}\n', queue="retry = { 1s }")
        for i in range(3):
            submit(daemon, "alice@example.net", ["bob@far.example"], message(str(i)))
        site = wait_for(lambda: [s for s in daemon.cli("status", json_output=True)["sites"] if s["alarm"]], what="the alarm")[0]
        assert "refused" in site["reply"] and "ALARM" in daemon.cli("status"), site
        alarms = [e["text"] for e in daemon.events("error") if "smart host 127.0.6.1 cannot be used" in e["text"]]
        assert len(alarms) == 1, alarms
        second = world.add(Receiver("127.0.6.2", port))
        wait_for(lambda: len(second.messages) == 3, what="what waited")
        wait_for(lambda: not [s for s in daemon.cli("status", json_output=True)["sites"] if s["alarm"]], what="the alarm's end")
        assert not daemon.events("bounced")


def case_a_wrong_password_is_not_tried_again_so_soon():
    """It could lock the account: the site rests for the schedule's step, however soon a smart host that is away is probed, as the second one is."""
    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        with World() as world:
            port = postfix_with_logins(world, mechanism)[1]
            section = smart_route(world, port, "wrong")[1].replace(f'via = "localhost:{port}"', f'via = {{ "localhost:{port}", "127.0.6.9:{free_port()}" }}')
            daemon = relay(world, section, queue="retry = { 5min }")
            submit(daemon, "alice@example.net", ["bob@far.example"], message())
            rest = wait_for(lambda: daemon.events("site-backoff"), what="the site's rest")[0]
            began, ends = (datetime.datetime.fromisoformat(rest[name].replace("Z", "+00:00")) for name in ("time", "next"))
            assert "535 " in rest["reply"] and (ends - began).total_seconds() > 240, rest


def case_a_smart_host_that_starts_anew_is_not_given_up_for_long():
    """It is away for a moment: mail goes within half a minute after it has come back, whatever the schedule; no attempt was used up."""
    with World() as world:
        port = free_port()
        daemon = relay(world, f'route "far.example" {{ via = "127.0.6.1:{port}" tls = none }}\n')
        submit(daemon, "alice@example.net", ["bob@far.example"], message("first"))
        deferred = wait_for(lambda: daemon.events("deferred"), what="the deferral")[0]
        assert deferred["attempt"] == "0" and "refused" in deferred["reply"], deferred
        host = world.add(Receiver("127.0.6.1", port))
        submit(daemon, "alice@example.net", ["bob@far.example"], message("second"))
        wait_for(lambda: len(host.messages) == 2, 30, "both")
        assert {e["attempt"] for e in wait_for(lambda: len(daemon.events("delivered")) == 2 and daemon.events("delivered"))} == {"1"}, daemon.events("delivered")
        assert daemon.events("site-recovered")


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
