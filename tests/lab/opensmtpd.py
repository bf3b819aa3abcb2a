"""An unmodified OpenSMTPD: as a receiving server, or as one that sends through postern.

Debian 12's is 6.8.0p2 with OpenSSL 3, and no handshake that it answers succeeds, whatever the key is ("missing private key"; its own tracker
has it as #1171 and #1239). It offers STARTTLS all the same. So it cannot be a smart host with a login here: AUTH it has under TLS only."""
from exim import greets
from peers import Peer

SERVER = """\
pki own cert "/etc/cert.pem"
pki own key "/etc/key.pem"
table inboxes {{ {inboxes} }}
{settings}
listen on {address} port {port} hostname mx.opensmtpd.example tls pki own {listener}
action inbox maildir "/var/mail/inbox" virtual <inboxes>
{rules}
"""
RECEIVE = "match from any for domain opensmtpd.example action inbox"
SEND = """\
action out relay host smtp+tls://us@127.0.0.1:{port} auth <secrets>
match from any for any action out
"""


class OpenSmtpd(Peer):
    """Listens on ADDRESS, PORT. SETTINGS are lines in front, LISTENER words of its listener; INBOXES are the addresses that there are, and RULES
    say what becomes of mail. FILES: (place, text, mode) each."""

    def __init__(self, world, address, port, certificate, settings="", listener="", inboxes='"@opensmtpd.example" = inbox', rules=RECEIVE, files=()):
        super().__init__(world, "opensmtpd", "opensmtpd", ("opensmtpd", "opensmtpq"))
        self.folder("var/spool/smtpd", "root", 0o711)
        self.folder("var/lib/opensmtpd/empty", "root", 0o755)
        self.folder("var/mail", "inbox")
        self.certificate(certificate, "root")
        for place, text, mode in files:
            self.write(place, text, mode=mode)
        self.write("etc/smtpd.conf", SERVER.format(address=address, port=port, settings=settings, listener=listener, inboxes=inboxes, rules=rules))
        self.start("smtpd", "-d", "-v")
        self.wait_until(lambda: greets(address, port))

    @classmethod
    def sender(cls, world, port, to, user, password):
        """Takes everything on PORT of 127.0.0.1 and hands it to port TO there, whose certificate it knows, and logs in."""
        return cls(world, "127.0.0.1", port, world.certificate, 'table secrets "/etc/secrets"', rules=SEND.format(port=to),
                   files=[("etc/secrets", f"us {user}:{password}\n", 0o600),
                          ("etc/ssl/certs/ca-certificates.crt", world.certificate.certificate.read_text(), 0o644)])
