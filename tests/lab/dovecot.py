"""An unmodified Dovecot as a submission server: it wants a login, and hands what it takes to the server behind it while the client waits."""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import subprocess

from exim import greets
from world import Skip, stop, wait_for, which

SETTINGS = """\
protocols = submission
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
auth_verbose = yes
mail_home = {folder}/home
mail_location = maildir:~/mail
ssl = required
ssl_cert = <{certificate.certificate}
ssl_key = <{certificate.key}
auth_mechanisms = {mechanisms}
passdb {{
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login scram-sha-256
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid}
}}
submission_relay_host = {behind[0]}
submission_relay_port = {behind[1]}
{settings}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service submission-login {{
  inet_listener submission {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""
OAUTH2 = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={folder}/keys/
username_attribute = sub
"""
UID = 60000  # of no user of the machine


class Dovecot:
    """Listens on PORT of 127.0.0.1 for user office, whose password is PASSWORD, and hands on to the server BEHIND (address, port). Needs root."""

    def __init__(self, world, port, behind, password="secret", mechanisms="plain login", settings=""):
        if os.geteuid() != 0:
            raise Skip("Dovecot starts only as root")
        program = which("dovecot")
        if not os.path.exists("/usr/lib/dovecot/submission"):
            raise Skip("dovecot-submissiond is not installed")
        world.folder.chmod(0o755)
        self.folder = pathlib.Path(world.folder) / "dovecot"
        for name in ("run", "state", "home", "keys/default/HS256"):
            (self.folder / name).mkdir(parents=True)
        os.chown(self.folder / "home", UID, UID)
        self.secret = os.urandom(32)
        (self.folder / "keys/default/HS256/default").write_bytes(base64.b64encode(self.secret))
        (self.folder / "users").write_text(f"office:{{PLAIN}}{password}\n")
        (self.folder / "oauth2.conf").write_text(OAUTH2.format(folder=self.folder))
        (self.folder / "dovecot.conf").write_text(SETTINGS.format(folder=self.folder, certificate=world.certificate, mechanisms=mechanisms, uid=UID, behind=behind,
                                                                  settings=settings, port=port))
        self.output = open(self.folder / "output", "w")
        self.process = subprocess.Popen([program, "-F", "-c", str(self.folder / "dovecot.conf")], stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output)
        try:
            wait_for(lambda: greets("127.0.0.1", port) or self.process.poll() is not None, what="Dovecot's being ready")
            if self.process.poll() is not None:
                raise AssertionError("Dovecot ended")
        except AssertionError as error:
            self.close()
            raise AssertionError(f"{error}: {self.log()[-3000:]}") from None

    def token(self, **claims):
        """An access token that its own key has signed."""
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        signed = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + b"." + part(json.dumps(claims).encode())
        return (signed + b"." + part(hmac.digest(self.secret, signed, hashlib.sha256))).decode()

    def log(self):
        return "".join(path.read_text(errors="replace") for path in (self.folder / "output", self.folder / "log") if path.exists())

    def close(self):
        stop(self.process)
        self.output.close()
