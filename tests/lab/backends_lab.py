"""The other stores of accounts: a real sasldb, and a saslauthd of the lab. Both lie where libsasl2 looks for them in a mount namespace that
the daemon has to itself."""
import base64
import contextlib
import pathlib
import socket
import subprocess
import sys
import threading

from case import main
from damage_lab import private_mount
from submit import connect, message, submit
from suspension_lab import login_refusal
from world import Skip, World, which

SASLDB = pathlib.Path("/etc/sasldb2")


class Saslauthd:
    """Answers at FOLDER/mux as saslauthd(8) does, without -r: of a name and a realm only the name counts. PASSWORDS are {name: password}."""

    def __init__(self, folder, passwords):
        self.passwords, self.asked = passwords, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "mux"))
        self.listener.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                session, _ = self.listener.accept()
                with session, session.makefile("rb") as reader:
                    name, password, _, realm = (reader.read(int.from_bytes(reader.read(2), "big")).decode() for _ in range(4))
                    self.asked.append((name, realm))
                    answer = b"OK" if password and self.passwords.get(name) == password else b"NO"
                    session.sendall(len(answer).to_bytes(2, "big") + answer)

    def close(self):
        self.listener.close()


@contextlib.contextmanager
def relay(backend, script, auth="", **options):
    """A daemon with that BACKEND, which sees what SCRIPT (sh) mounts. SCRIPT has {folder}, which is made beforehand."""
    with World() as world:
        folder = world.folder / "store"
        folder.mkdir()
        daemon = world.posternd(**options)
        begin, rest = daemon.text.split("auth { backend = file", 1)
        daemon.text = begin + f"auth {{ backend = {backend} {auth} }}" + rest.split("}", 1)[1]
        daemon.file.write_text(daemon.text)
        daemon.prefix = private_mount(script.format(folder=folder))
        yield world, daemon, folder
        daemon.prefix = []


@contextlib.contextmanager
def with_sasldb(*people, **options):
    """(world, daemon): PEOPLE are (name, realm), all with the password "secret"."""
    if not SASLDB.exists():
        raise Skip(f"{SASLDB} is not there to be mounted over")
    with relay("sasldb", f"mount --bind {{folder}}/sasldb2 {SASLDB}", **options) as (world, daemon, folder):
        for name, realm in people:
            subprocess.run([which("saslpasswd2"), "-p", "-c", "-f", str(folder / "sasldb2"), "-u", realm, name], input=b"secret", check=True)
        daemon.start()
        daemon.prefix = []
        yield world, daemon


def case_a_realm_is_no_second_account():
    """sasldb: the hostname behind a name is the realm that it has anyway: one account, one suspension; another realm is another account."""
    with with_sasldb(("carol", "relay.example.net"), ("carol", "other.example")) as (_, daemon):
        for name in ("carol", "CAROL@Relay.Example.net", "carol@other.example"):
            assert login_refusal(daemon, name, "secret") is None, name
        assert [e["account"] for e in daemon.events("authenticated")] == ["carol", "carol", "carol@other.example"]
        daemon.cli("account", "suspend", "Carol@relay.example.net")
        assert [a["account"] for a in daemon.cli("account", "list", json_output=True) if a["state"] == "suspended"] == ["carol"]
        for name in ("carol", "carol@relay.example.net", "Carol@RELAY.example.net"):
            assert login_refusal(daemon, name, "secret")[0] == 525, name
        assert login_refusal(daemon, "carol@other.example", "secret") is None
        assert login_refusal(daemon, "carol@relay.example.net@relay.example.net", "secret")[0] == 535
        submit(daemon, "printer@example.net", ["bob@dead.example"], message(), open_listener=True)
        daemon.cli("queue", "hold", "--all")
        assert len(daemon.cli("queue", "list", "--client", "127.0.0.1", json_output=True)) == 1
        assert daemon.cli("queue", "remove", "--account", "@relay.example.net", "--client", "127.0.0.1") == "0 messages\n", "a realm alone is nobody's name"


SASLAUTHD = "mount -t tmpfs tmpfs /run; mkdir /run/saslauthd; mount --bind {folder} /run/saslauthd"


def case_saslauthd_knows_one_name_of_each_account():
    """saslauthd, which by itself looks at nothing behind the '@': no realm makes a second account, and no letters beyond ASCII do."""
    with relay("saslauthd", SASLAUTHD) as (world, daemon, folder):
        server = world.add(Saslauthd(folder, {"carol": "secret", "kärin": "secret"}))
        daemon.start()
        daemon.prefix = []
        for name in ("carol", "Carol@anything.example", "carol@relay.example.net", "carol@"):
            assert login_refusal(daemon, name, "secret") is None, name
        assert {e["account"] for e in daemon.events("authenticated")} == {"carol"}
        session = connect(daemon, user=None)
        assert session.docmd("AUTH", "PLAIN " + base64.b64encode("\0kärin\0secret".encode()).decode())[0] == 535
        session.close()
        assert daemon.events("auth-failed")[-1]["reason"] == "this can be no account's name"
        daemon.cli("account", "suspend", "carol")
        assert login_refusal(daemon, "carol@anything.example", "secret")[0] == 525
        assert {asked for asked in server.asked if asked[0] == "carol"} == {("carol", "")}, server.asked


def case_what_is_offered_can_be_served():
    """saslauthd: EHLO has no SCRAM; with nobody at its socket logins are put off, and the log says why."""
    with relay("saslauthd", SASLAUTHD) as (world, daemon, folder):
        daemon.start()
        daemon.prefix = []
        session = connect(daemon, user=None)
        assert session.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"], session.esmtp_features
        assert login_refusal(daemon, "carol", "secret")[0] == 454
        reason = daemon.events("auth-failed")[-1]["reason"]
        assert reason == "saslauthd does not answer; does it run, and is the user postern-auth in the group sasl?", reason
        world.add(Saslauthd(folder, {"carol": "secret"}))
        assert login_refusal(daemon, "carol", "secret") is None
        assert login_refusal(daemon, "carol", "wrong")[0] == 535
        assert daemon.events("auth-failed")[-1]["reason"] == "wrong account or password"
        assert not [e for e in daemon.events("error") if "SCRAM" in e["text"]]
        session.close()


def case_a_broken_sasldb_puts_logins_off():
    """A sasldb that cannot be read refuses nobody's password."""
    with with_sasldb(("carol", "relay.example.net")) as (world, daemon):
        assert login_refusal(daemon, "carol", "secret") is None
        (world.folder / "store" / "sasldb2").write_bytes(b"nothing of the kind\n" * 1000)
        assert login_refusal(daemon, "carol", "secret")[0] == 454
        reason = daemon.events("auth-failed")[-1]["reason"]
        assert reason == "the sasldb cannot be read; is the user postern-auth in the group sasl?", reason


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
