"""What the dialogues talk to: posternd with a listener for each manner, DNS with a few domains, and a receiving server."""
import base64
import hashlib
import hmac
import os
import pathlib
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))

from receiver import Receiver  # noqa: E402
from world import World, free_port, wait_for  # noqa: E402

RECORDS = [
    "example.com. 300 IN MX 10 mx1.example.com.", "mx1.example.com. 300 IN A 127.0.1.1",
    "relay.example.net. 300 IN A 127.0.0.1",
    "nullmx.example. 300 IN MX 0 .",
    "xn--bcher-kva.example. 300 IN MX 10 mx1.example.com.",
    "nomail.example. 300 IN TXT \"nothing here\"",
    "implicit.example. 300 IN A 127.0.1.1",
    "loop.example. 300 IN MX 10 relay.example.net.",
]

PASSWORDS = {"alice": "secret", "bob": "b", "carol": "pässword"}

# name → the rest of its section. Ports are found by the scene.
LISTENERS = {
    "plain": "tls = none auth = none networks = { \"127.0.0.0/8\" }",
    "office": "tls = starttls auth = none networks = { \"127.0.0.0/8\" }",
    "submission": "tls = starttls auth = required",
    "submissions": "tls = implicit auth = required",
    "either": "tls = starttls auth = optional networks = { \"127.0.0.0/8\" }",
    "small": "tls = none auth = none networks = { \"127.0.0.0/8\" } max-message-size = 2K max-recipients = 3 max-messages = 3",
    "small-tls": "tls = starttls auth = none networks = { \"127.0.0.0/8\" } max-message-size = 1K max-errors = 100",
    "hasty": "tls = starttls auth = none networks = { \"127.0.0.0/8\" } command-timeout = 2s data-timeout = 2s",
    "hasty-auth": "tls = starttls auth = required command-timeout = 2s",
    "strict": "tls = none auth = none networks = { \"127.0.0.0/8\" } max-errors = 5",
    "crowded": "tls = none auth = none networks = { \"127.0.0.0/8\" } max-connections-per-client = 2",
    "crowded-tls": "tls = implicit auth = required max-connections-per-client = 2",
    "full": "tls = none auth = none networks = { \"127.0.0.0/8\" } max-connections = 2",
    "foreign": "tls = starttls auth = none networks = { \"10.0.0.0/8\" }",
    "foreign-tls": "tls = implicit auth = required networks = { \"10.0.0.0/8\" }",
    "hidden": "tls = starttls auth = none networks = { \"127.0.0.0/8\" } client-address = hide",
    "unchecked": "tls = none auth = none networks = { \"127.0.0.0/8\" } check-recipient-domain = no",
    "balanced": "tls = none auth = none networks = { \"192.0.2.0/24\", \"2001:db8::/32\" } proxy-protocol = yes proxies = { \"127.0.0.0/8\" }",
    "balanced-tls": "tls = implicit auth = required proxy-protocol = yes proxies = { \"127.0.0.0/8\" }",
    "unbalanced": "tls = none auth = none networks = { \"127.0.0.0/8\" } proxy-protocol = yes proxies = { \"10.0.0.0/8\" }",
}


def verifier(name, password, iterations=4096):
    """A line of the user file (RFC 5803)."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode() for part in (salt, hashlib.sha256(client_key).digest(), server_key)]
    return f"{name}:SCRAM-SHA-256${iterations}:{text[0]}${text[1]}:{text[2]}\n"


class Scene:
    """All of it, running. Attributes: ports (by listener), certificate, daemon, receiver."""

    def __init__(self):
        self.world = World(RECORDS)
        folder = self.world.folder
        self.certificate = self.world.certificate
        self.ports = {name: free_port() for name in LISTENERS}
        users, folder_of = folder / "users", folder / "relay"
        users.write_text("".join(verifier(name, password) for name, password in PASSWORDS.items()))
        users.chmod(0o600)
        lines = ['hostname = "relay.example.net"', "processes = 1",
                 f'tls {{ certificate = "{self.certificate.certificate}" key = "{self.certificate.key}" }}']
        for name, text in LISTENERS.items():
            lines.append(f'listener "{name}" {{ address = {{ "127.0.0.1:{self.ports[name]}" }} {text} }}')
        lines += [f'auth {{ backend = file file = "{users}" lockout-failures = 1000 }}',
                  'account "alice" { senders = { "alice@example.net", "@sales.example.net" } }',
                  f'spool {{ directory = "{folder_of / "spool"}" minimum-free = 1M allow-volatile = yes }}',
                  f'policy {{ directory = "{folder_of / "policy"}" }}',
                  f'mta-sts {{ directory = "{folder_of / "sts"}" }}',
                  f'dns {{ servers = {{ "127.0.0.1:{self.world.dns.port}" }} }}',
                  f'delivery {{ port = {self.world.delivery_port} allow-private = yes }}',
                  f'control {{ socket = "{folder_of / "control.sock"}" }}']
        self.receiver = self.world.add(Receiver("127.0.1.1", self.world.delivery_port))
        self.daemon = self.world.posternd("relay", base="\n".join(lines) + "\n")
        self.daemon.start()
        self.lock, self.read, self.accepts = threading.Lock(), 0, []

    def close(self):
        self.world.close()

    def log_size(self):
        return os.path.getsize(self.daemon.log_path)

    def log_since(self, start):
        """The log's lines behind byte START."""
        with open(self.daemon.log_path, errors="replace") as log:
            log.seek(start)
            return log.read().splitlines()

    def accepted(self, mark):
        """How many messages were accepted whose sender has MARK."""
        with self.lock:
            with open(self.daemon.log_path, errors="replace") as log:
                log.seek(self.read)
                text = log.read()
            whole = text.rfind("\n") + 1
            self.read += len(text[:whole].encode())
            self.accepts += [line for line in text[:whole].splitlines() if "event=accepted" in line]
            return sum(1 for line in self.accepts if mark + "@" in line)

    def message(self, mark, seconds=15):
        """The bytes of the message that reached the receiver and has MARK in its envelope."""
        def find():
            with self.receiver.lock:
                for message in self.receiver.messages:
                    if mark in message.sender or any(mark in recipient for recipient in message.recipients):
                        return message
            return None
        return wait_for(find, seconds, f"the message {mark}")
