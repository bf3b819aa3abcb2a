"""Sites: many domains of one provider are one site, and a message to many of its people is one transaction."""
import sys
import time

from case import main
from receiver import Receiver
from submit import connect, message, send
from world import World, wait_for

SITES, DOMAINS, EACH = 10, 100, 10


def case_a_thousand_recipients_in_a_hundred_domains_of_ten_sites():
    """One message to 1,000 recipients in 100 domains whose mail goes to 10 sites: 10 transactions with 100 recipients each, one copy for everybody."""
    records = [f"d{n}.example. 300 IN MX 10 mx.provider{n % SITES}.test." for n in range(DOMAINS)]
    records += [f"mx.provider{n}.test. 300 IN A 127.0.5.{n + 1}" for n in range(SITES)]
    with World(World.RECORDS + records) as world:
        receivers = [world.add(Receiver(f"127.0.5.{n + 1}", world.delivery_port)) for n in range(SITES)]
        daemon = world.posternd(queue="retry = { 1h }")
        daemon.user("alice", "secret")
        daemon.start()
        everybody = [f"u{i}@d{n}.example" for i in range(EACH) for n in range(DOMAINS)]
        session = connect(daemon)
        begun = time.monotonic()
        send(session, "alice@example.net", everybody, message("to all"))
        wait_for(lambda: sum(len(m.recipients) for r in receivers for m in r.messages) >= len(everybody), what="all recipients")
        took = time.monotonic() - begun
        assert [len(r.messages) for r in receivers] == [1] * SITES, [len(r.messages) for r in receivers]
        assert sorted(a for r in receivers for m in r.messages for a in m.recipients) == sorted(everybody)
        print(f"note 1,000 recipients in {DOMAINS} domains of {SITES} sites: {sum(r.connections for r in receivers)} connections, "
              f"{sum(len(r.messages) for r in receivers)} transactions, {took:.2f} s from MAIL on")


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
