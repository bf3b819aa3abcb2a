"""An unmodified Postfix with a configuration of its own in a temporary folder: as a receiving server, or as a relay to compare with."""
import os
import pathlib
import shutil
import subprocess
import time

from world import Skip, wait_for, which

MASTER = """\
{smtpd}
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """Needs root, as Postfix itself does. SETTINGS are lines of main.cf that a case adds; PREFIX is a command that starts it elsewhere, in a
    namespace."""

    def __init__(self, folder, listen, certificate=None, settings=(), prefix=()):
        if os.geteuid() != 0:
            raise Skip("Postfix starts only as root")
        which("postfix")
        self.folder = pathlib.Path(folder) / f"postfix-{listen.replace(':', '-')}"
        self.conf, self.spool, self.mail = self.folder / "conf", self.folder / "spool", self.folder / "mail"
        for path in (self.conf, self.spool, self.folder / "data", self.mail):
            path.mkdir(parents=True)
        for path in (pathlib.Path(folder), self.folder):
            path.chmod(0o755)
        shutil.chown(self.folder / "data", "postfix", "postfix")
        shutil.chown(self.mail, "postfix", "postfix")
        self.log_path = self.folder / "maillog"
        lines = ["compatibility_level = 3.6", f"queue_directory = {self.spool}", f"data_directory = {self.folder / 'data'}",
                 "command_directory = /usr/sbin", "daemon_directory = /usr/lib/postfix/sbin", "mail_owner = postfix", "setgid_group = postdrop",
                 "myhostname = receiver.example", "mydomain = receiver.example", "myorigin = $myhostname", "mydestination =", "inet_interfaces = 127.0.0.1",
                 "inet_protocols = ipv4", "mynetworks = 127.0.0.0/8", "alias_maps =", "alias_database =", "local_recipient_maps =",
                 f"maillog_file = {self.log_path}", f"maillog_file_prefixes = {self.folder}", "smtputf8_enable = yes", "message_size_limit = 100000000",
                 "mailbox_size_limit = 0", "virtual_mailbox_limit = 0", "smtpd_client_connection_count_limit = 0", "smtpd_peername_lookup = no",
                 "smtp_host_lookup = native", "smtp_dns_support_level = disabled"]
        if certificate:
            lines += [f"smtpd_tls_cert_file = {certificate.certificate}", f"smtpd_tls_key_file = {certificate.key}", "smtpd_tls_security_level = may",
                      "smtpd_tls_loglevel = 1"]
        # A name once only: each process would warn of the other, and postlogd can wait for room in its own queue when it warns itself.
        named = {line.split("=", 1)[0].strip(): line for line in lines + list(settings)}
        (self.conf / "main.cf").write_text("\n".join(named.values()) + "\n")
        (self.conf / "master.cf").write_text(MASTER.format(smtpd=f"{listen} inet n - n - - smtpd"))
        shutil.copy("/usr/share/postfix/dynamicmaps.cf", self.conf) if os.path.exists("/usr/share/postfix/dynamicmaps.cf") else None
        subprocess.run(["postfix", "-c", str(self.conf), "check"], capture_output=True)
        self.master = subprocess.Popen([*prefix, "/usr/lib/postfix/sbin/master", "-c", str(self.conf), "-d"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pid_file = self.spool / "pid" / "master.pid"
        wait_for(lambda: pid_file.exists() or self.master.poll() is not None, what="Postfix")
        if self.master.poll() is not None:
            raise AssertionError("Postfix did not start: " + self.log())

    @classmethod
    def receiver(cls, folder, listen, domain, certificate=None, settings=(), prefix=()):
        """Takes mail for DOMAIN into one Maildir."""
        import pwd
        uid = pwd.getpwnam("postfix").pw_uid
        return cls(folder, listen, certificate, [f"virtual_mailbox_domains = {domain}", f"virtual_mailbox_base = {pathlib.Path(folder) / ('postfix-' + listen.replace(':', '-')) / 'mail'}",
                                                 "virtual_mailbox_maps = static:inbox/", f"virtual_uid_maps = static:{uid}", f"virtual_gid_maps = static:{uid}",
                                                 "virtual_minimum_uid = 1", *settings], prefix)

    def messages(self):
        """What has arrived, as bytes with the lines as the Maildir has them."""
        return [path.read_bytes() for path in sorted((self.mail / "inbox" / "new").glob("*"))] if (self.mail / "inbox" / "new").exists() else []

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def close(self):
        self.master.terminate()
        try:
            self.master.wait(10)
        except subprocess.TimeoutExpired:
            self.master.kill()
            self.master.wait()
        time.sleep(0.2)
