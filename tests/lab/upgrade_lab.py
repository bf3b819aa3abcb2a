"""A new binary takes the place of the old one under load, as systemd does it: the listening sockets are kept over the restart."""
import array
import os
import smtplib
import socket
import sys
import threading
import time

from case import main
from receiver import Receiver
from submit import CONTEXT, connect, message, send
from world import RELEASE, SANITIZED, World, wait_for


class Systemd:
    """The part of it that keeps sockets: what is sent to NOTIFY_SOCKET with FDSTORE=1 is handed over at the next start."""

    def __init__(self, folder):
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.stored, self.states = {}, []
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(64 * 4))
            except OSError:
                return
            fields = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
            self.states.append(fields)
            fds = array.array("i")
            for _, _, raw in ancillary:
                fds.frombytes(raw[:len(raw) - len(raw) % fds.itemsize])
            for fd in fds:
                if fields.get("FDNAME") in self.stored:
                    os.close(fd)
                else:
                    self.stored[fields["FDNAME"]] = fd
            if "FDSTOREREMOVE" in fields and fields["FDNAME"] in self.stored:
                os.close(self.stored.pop(fields["FDNAME"]))

    def start(self, daemon, build):
        """Starts DAEMON from BUILD with the sockets that are kept."""
        fds = list(self.stored.values())
        numbers = " ".join(f"{3 + i}<&{fd}" for i, fd in enumerate(fds))
        # They must be 3, 4, …: moved out of each other's way first, then into place.
        daemon.pass_fds = fds
        assert all(fd >= 3 + len(fds) for fd in fds), fds
        daemon.prefix = ["env", f"NOTIFY_SOCKET={self.path}", f"LISTEN_FDS={len(fds)}", "bash", "-c", f'export LISTEN_PID=$$; exec "$@" {numbers}', "bash"]
        daemon.build = build
        daemon.start()
        daemon.prefix, daemon.pass_fds = [], ()

    def close(self):
        self.socket.close()
        for fd in self.stored.values():
            os.close(fd)


def reserve_low_descriptors():
    """So that what is received later has numbers that are not 3, 4, …"""
    return [os.open("/dev/null", os.O_RDONLY) for _ in range(30)]


def case_a_restart_with_another_binary_refuses_nobody():
    """Clients go on connecting while the daemon is replaced four times: none is refused, whoever is in DATA is heard to the end, and every 250 arrives."""
    low = reserve_low_descriptors()
    with World() as world:
        systemd = world.add(Systemd(world.folder))
        receiver = world.add(Receiver("127.0.1.1", world.delivery_port))
        daemon = world.posternd(listener="max-connections-per-client = 1000 max-messages = 100000", queue="retry = { 1s }")
        daemon.user("alice", "secret")
        systemd.start(daemon, RELEASE)
        wait_for(lambda: len(systemd.stored) == 3, what="the sockets' being stored")
        over, refused, accepted, lock = threading.Event(), [], set(), threading.Lock()

        def client(number):
            count = 0
            while not over.is_set():
                count += 1
                subject = f"c{number}m{count}"
                try:
                    session = connect(daemon, open_listener=True)
                    send(session, "alice@example.net", ["bob@example.com"], message(subject))
                    with lock:
                        accepted.add(subject)
                    session.close()
                except ConnectionRefusedError as error:
                    refused.append(error)
                except (smtplib.SMTPException, OSError):
                    pass  # a session that the stop has ended: it comes again

        threads = [threading.Thread(target=client, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for number, build in enumerate((SANITIZED, RELEASE, SANITIZED, RELEASE)):
            slow = smtplib.SMTP("127.0.0.1", daemon.port, timeout=60)
            slow.starttls(context=CONTEXT)
            slow.login("alice", "secret")
            slow.mail("alice@example.net")
            slow.rcpt("bob@example.com")
            assert slow.docmd("DATA")[0] == 354
            data = message(f"slow{number}", b"a line\r\n" * 50)
            slow.send(data[:200])
            stopping = threading.Thread(target=daemon.stop)
            stopping.start()
            for at in range(200, len(data), 40):
                slow.send(data[at:at + 40])
                time.sleep(0.05)
            slow.send(b".\r\n")
            code, text = slow.getreply()
            assert code == 250, (code, text)
            accepted.add(f"slow{number}")
            slow.close()
            stopping.join()
            systemd.start(daemon, build)
            assert len(systemd.stored) == 3, systemd.stored
        over.set()
        for thread in threads:
            thread.join()
        wait_for(lambda: accepted <= {m.header("subject") for m in receiver.messages}, 30, "all that was accepted")
        assert not refused, refused[:3]
        assert any(fields.get("READY") == "1" for fields in systemd.states)
        print(f"note 4 restarts, {len(accepted)} accepted, 0 refused connections, 0 lost")
    for fd in low:
        os.close(fd)


def case_sockets_that_the_configuration_names_no_more_are_given_back():
    low = reserve_low_descriptors()
    with World() as world:
        systemd = world.add(Systemd(world.folder))
        daemon = world.posternd()
        systemd.start(daemon, SANITIZED)
        wait_for(lambda: len(systemd.stored) == 3, what="the sockets' being stored")
        lines = [line for line in daemon.text.splitlines() if not line.startswith("listener submissions")]
        daemon.file.write_text("\n".join(lines) + "\n")
        daemon.cli("reload")
        wait_for(lambda: len(systemd.stored) == 2, 30, "one socket's being given back")
        daemon.stop()
        systemd.start(daemon, SANITIZED)
        smtplib.SMTP("127.0.0.1", daemon.port, timeout=30).close()
        try:
            smtplib.SMTP("127.0.0.1", daemon.tls_port, timeout=5)
            raise AssertionError("the port that is not configured is open")
        except ConnectionRefusedError:
            pass
    for fd in low:
        os.close(fd)


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
