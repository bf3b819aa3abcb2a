"""Clients of the lab: Python's smtplib as an ordinary mail program, and what a message must look like after its way."""
import smtplib
import ssl

CONTEXT = ssl._create_unverified_context()
ADDED = ("received", "message-id", "date")


def connect(daemon, implicit=False, user="alice", password="secret", open_listener=False):
    """An smtplib session, after TLS and login."""
    if open_listener:
        session = smtplib.SMTP("127.0.0.1", daemon.open_port, timeout=60)
        session.ehlo("client.example.net")
        return session
    if implicit:
        session = smtplib.SMTP_SSL("127.0.0.1", daemon.tls_port, timeout=60, context=CONTEXT)
    else:
        session = smtplib.SMTP("127.0.0.1", daemon.port, timeout=60)
        session.starttls(context=CONTEXT)
    session.ehlo("client.example.net")
    if user:
        session.login(user, password)
    return session


def send(session, sender, recipients, data, options=()):
    """Sends DATA (bytes, CRLF lines) and returns the id in the 250."""
    code, text = session.mail(sender, list(options))
    if code != 250:
        raise smtplib.SMTPSenderRefused(code, text, sender)
    for recipient in recipients:
        code, text = session.rcpt(recipient)
        if code not in (250, 251):
            raise smtplib.SMTPRecipientsRefused({recipient: (code, text)})
    code, text = session.data(data)
    if code != 250:
        raise smtplib.SMTPDataError(code, text)
    return text.split()[1].decode()


def submit(daemon, sender, recipients, data, options=(), **how):
    """One message over one connection; returns its id."""
    session = connect(daemon, **how)
    try:
        return send(session, sender, recipients, data, options)
    finally:
        session.close()


def message(subject="test", body=b"Hello.\r\n", sender="alice@example.net", to="bob@example.com", extra=b""):
    return (f"From: Alice <{sender}>\r\nTo: {to}\r\nSubject: {subject}\r\nDate: Tue, 24 Nov 2026 22:15:03 +0000\r\n"
            f"Message-ID: <{abs(hash((subject, body, extra)))}@example.net>\r\n").encode() + extra + b"\r\n" + body


def without_added(data):
    """DATA without the Received field that postern put in front (one, folded)."""
    lines = data.split(b"\r\n")
    if not lines[0].lower().startswith(b"received:"):
        raise AssertionError(f"no Received in front: {lines[0]!r}")
    end = 1
    while lines[end][:1] in (b" ", b"\t"):
        end += 1
    return b"\r\n".join(lines[end:])
