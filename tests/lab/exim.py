"""An unmodified Exim, as Debian's exim4-daemon-heavy has it: as a receiving server, as a smart host, or as one that sends through postern."""
import contextlib
import socket
import subprocess

from peers import Peer
from world import which

SERVER = """\
primary_hostname = mx.exim.example
disable_ipv6
keep_environment =
local_interfaces = {address}
daemon_smtp_ports = {port}
domainlist ours = exim.example : far.example
acl_smtp_rcpt = recipient
acl_smtp_data = content
deliver_drop_privilege
smtp_accept_queue_per_connection = 0
{tls}
{settings}
begin acl
recipient:
{recipient}
  accept domains = +ours
  deny message = relay not permitted
content:
{content}
  accept
begin routers
ours:
  driver = accept
  domains = +ours
  transport = inbox
begin transports
inbox:
  driver = appendfile
  directory = /var/mail/inbox
  create_directory
  maildir_format
  user = Debian-exim
begin authenticators
{logins}
"""
TLS = """\
tls_advertise_hosts = *
tls_certificate = /etc/cert.pem
tls_privatekey = /etc/key.pem
"""
LOGINS = {  # for user office with password secret
    "PLAIN": """\
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if eq {$auth3}{${lookup {$auth2} lsearch {/etc/passwords}}}}
  server_set_id = $auth2
""",
    "LOGIN": """\
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if eq {$auth2}{${lookup {$auth1} lsearch {/etc/passwords}}}}
  server_set_id = $auth1
""",
    "SCRAM-SHA-256": """\
scram:
  driver = cyrus_sasl
  public_name = SCRAM-SHA-256
  server_realm = mx.exim.example
  server_set_id = $auth1
""",
}
SENDER = """\
primary_hostname = office.example
disable_ipv6
keep_environment =
deliver_drop_privilege
trusted_users = root
begin routers
smart:
  driver = manualroute
  route_list = * localhost byname
  self = send
  transport = submission
begin transports
submission:
  driver = smtp
  port = {port}
  hosts_require_tls = *
  hosts_require_auth = *
  tls_verify_certificates = /etc/cert.pem
  tls_try_verify_hosts =
  tls_verify_hosts = *
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{user}^{password}
"""


class Exim(Peer):
    """The package's machine, with CONFIGURATION."""

    def __init__(self, world, name, configuration, certificate=None):
        super().__init__(world, name, "exim4-daemon-heavy", ("Debian-exim",))
        for place in ("var/spool/exim4", "var/log/exim4", "var/mail"):
            self.folder(place, "Debian-exim")
        if certificate:
            self.certificate(certificate, "Debian-exim")
        self.write("etc/exim4/exim4.conf", f"exim_path = {self.programs / 'exim4'}\n{configuration}")

    @classmethod
    def receiver(cls, world, address, port, certificate=None, settings="", recipient="", content="", logins=(), name="exim"):
        """Listens on ADDRESS, PORT and takes mail for exim.example and far.example. SETTINGS are lines of its main section, RECIPIENT and
        CONTENT of its ACLs; LOGINS are the mechanisms it offers and then insists on."""
        if logins:
            recipient += "  deny !authenticated = *\n       message = a login is needed\n"
        server = cls(world, name, SERVER.format(address=address, port=port, tls=TLS if certificate else "tls_advertise_hosts =", settings=settings, recipient=recipient, content=content,
                                                logins="".join(LOGINS[mechanism] for mechanism in logins)), certificate)
        server.write("etc/passwords", "office: secret\n")
        if "SCRAM-SHA-256" in logins:
            server.make_sasldb()
        server.start("exim4", "-bdf")
        server.wait_until(lambda: greets(address, port))
        return server

    @classmethod
    def sender(cls, world, port, certificate, user, password):
        """Hands everything to PORT of localhost, whose CERTIFICATE it knows, and logs in there."""
        return cls(world, "exim", SENDER.format(port=port, user=user, password=password), certificate)

    def make_sasldb(self):
        """Where Cyrus SASL has the password of office, and what tells it so."""
        path = self.root / "etc" / "sasldb2"
        subprocess.run([which("saslpasswd2"), "-p", "-c", "-f", path, "-u", "mx.exim.example", "office"], input=b"secret", check=True)
        path.chmod(0o644)
        self.write("etc/sasl2/exim.conf", "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: /etc/sasldb2\nmech_list: SCRAM-SHA-256\n")

    def send(self, sender, recipients, data):
        """Hands DATA to it, as to sendmail(8), and waits until each recipient has been tried, and what has bounced too."""
        for arguments, given in ((("-i", "-odf", "-f", sender, *recipients), data), (("-qff",), b"")):
            done = self.run("exim4", *arguments, input=given)
            if done.returncode:
                raise AssertionError(f"exim {arguments}: exit {done.returncode}: {done.stderr!r} {self.log()}")

    def log(self):
        logs = [self.root / "output", *sorted((self.root / "var" / "log" / "exim4").glob("*log"))]
        return "".join(path.read_text(errors="replace") for path in logs if path.exists())


def greets(address, port):
    """Does a server there say its greeting?"""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=5) as sock:
        return sock.recv(512).startswith(b"220")
