"""A receiving server for many connections: one thread, no files, few words. It is slow, or has limits, as a case asks for."""
import asyncio
import collections
import re
import threading
import time


class Crowd:
    """Listens on (ADDRESS, PORT). Takes at most CONNECTIONS at once and MOST messages in any WINDOW seconds, and says 421 above (None: any
    number). Each answer comes after LATENCY seconds (what was pipelined is answered together), each connection is greeted once `gate` is
    open. REFUSAL, a reply line, is said in place of any greeting."""

    def __init__(self, address, port, connections=None, most=None, window=1.0, latency=0.0, refusal=None, gated=False):
        self.connections, self.most, self.window, self.latency, self.refusal = connections, most, window, latency, refusal
        self.open, self.peak = 0, 0
        self.taken, self.refused = [], []  # (time, sender, subject), (time, what)
        self.recent = collections.deque()
        self.loop = asyncio.new_event_loop()
        self.begun = threading.Event()
        self.thread = threading.Thread(target=self.serve, args=(address, port, gated), daemon=True)
        self.thread.start()
        if not self.begun.wait(10):
            raise AssertionError("the receiver does not begin")

    def serve(self, address, port, gated):
        asyncio.set_event_loop(self.loop)
        self.gate = asyncio.Event()
        if not gated:
            self.gate.set()
        self.server = self.loop.run_until_complete(asyncio.start_server(self.visit, address, port, backlog=512, limit=1 << 20))
        self.begun.set()
        self.loop.run_forever()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def release(self):
        """Opens the gate."""
        self.loop.call_soon_threadsafe(self.gate.set)

    def close(self):
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.server.close)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(10)

    def may_take(self):
        """Is there room for one more message in the window? Counts it."""
        now = time.monotonic()
        while self.recent and now - self.recent[0] >= self.window:
            self.recent.popleft()
        if self.most is not None and len(self.recent) >= self.most:
            self.refused.append((now, "rate"))
            return False
        self.recent.append(now)
        return True

    async def visit(self, reader, writer):
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            await self.converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError, ValueError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def say(self, writer, line):
        await asyncio.sleep(self.latency)
        writer.write(line.encode() + b"\r\n")
        await writer.drain()

    async def converse(self, reader, writer):
        await self.gate.wait()
        if self.connections is not None and self.open > self.connections:
            self.refused.append((time.monotonic(), "connections"))
            return await self.say(writer, "421 4.7.0 receiver.example Error: too many connections from you")
        if self.refusal:
            self.refused.append((time.monotonic(), "greeting"))
            return await self.say(writer, self.refusal)
        await self.say(writer, "220 receiver.example ESMTP")
        while True:
            line = (await reader.readuntil(b"\r\n")).decode(errors="replace")
            verb = line[:4].upper()
            if verb == "EHLO":
                await self.say(writer, "250-receiver.example\r\n250-PIPELINING\r\n250 8BITMIME")
            elif verb == "MAIL":
                if not await self.take(reader, writer, line):
                    return None
            else:
                await self.say(writer, "221 bye" if verb == "QUIT" else "250 ok")
                if verb == "QUIT":
                    return None

    async def take(self, reader, writer, line):
        """A transaction, which comes pipelined. False: the session is over."""
        sender = line[line.index("<") + 1:line.index(">")]
        if not self.may_take():
            await self.say(writer, "421 4.7.0 rate limit exceeded, slow down")
            return False
        replies = ["250 ok"]
        while not (line := (await reader.readuntil(b"\r\n")).upper()).startswith(b"DATA"):
            replies.append("250 ok")
        await self.say(writer, "\r\n".join(replies + ["354 go"]))
        data = await reader.readuntil(b"\r\n.\r\n")
        subject = re.search(rb"^Subject: ([^\r]*)", data, re.M)
        await self.say(writer, "250 kept")
        self.taken.append((time.monotonic(), sender, subject.group(1).decode() if subject else ""))
        return True
