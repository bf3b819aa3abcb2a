"""Smart hosts and other servers that want more than mail: TLS sessions, logins, routes by sender and account; with an unmodified Postfix
and with our own submission service."""
import sys

from case import main
from postfix import Postfix
from receiver import Receiver
from submit import message, submit
from world import World, wait_for

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


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
