"""A client of the GDB remote protocol, small enough to be seen to be right: what it is told to send, and every
packet that comes back."""

import contextlib
import re
import time

from .processes import LIMIT
from .rpc import connect

GDB = "qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+;vContSupported+;no-resumed+;xmlRegisters=i386"
IDA = "qSupported:xmlRegisters=i386,arm,mips"


class Closed(Exception):
    """The connection was closed."""


def checksum(payload):
    return sum(payload) % 256


def escape(data):
    """Binary data as it may stand in a packet."""
    return b"".join(bytes([0x7D, b ^ 0x20]) if b in b"#$}*" else bytes([b]) for b in data)


def expand(payload):
    """Run-length and escapes undone, strictly: a broken one is a failure."""
    out, at = bytearray(), 0
    flat = bytearray()
    while at < len(payload):
        if payload[at] == ord("*"):
            count = payload[at + 1] - 29
            assert 3 <= count <= 97 and chr(payload[at + 1]) not in "$#+-", f"run length {payload[at + 1]}"
            flat += bytes([flat[-1]]) * count
            at += 2
        else:
            flat.append(payload[at])
            at += 1
    at = 0
    while at < len(flat):
        if flat[at] == 0x7D:
            out.append(flat[at + 1] ^ 0x20)
            at += 2
        else:
            out.append(flat[at])
            at += 1
    return bytes(out)


class Gdb:
    """One client. ask() sends a packet and gives its reply as text; send() and reply() do it in two
    steps; raw() sends bytes as they are. hello: the qSupported to begin with, None: none."""

    def __init__(self, endpoint, hello=GDB, limit=LIMIT):
        self.limit = limit
        self.socket = connect(endpoint, limit)
        self.data = b""
        self.ack = True
        self.acks = 0  # that came
        self.wire = b""  # the last packet as it came
        self.features = self.ask(hello) if hello else ""

    def raw(self, data):
        self.socket.sendall(data)

    def send(self, payload):
        if isinstance(payload, str):
            payload = payload.encode("latin-1")
        self.raw(b"$" + payload + b"#%02x" % checksum(payload))

    def interrupt(self):
        self.raw(b"\x03")

    def byte(self, limit=None):
        """One byte, None when nothing comes in time."""
        if not self.data:
            self.socket.settimeout(self.limit if limit is None else limit)
            try:
                self.data = self.socket.recv(65536)
            except (TimeoutError, BlockingIOError):
                return None
            except ConnectionResetError:
                raise Closed from None
            if not self.data:
                raise Closed
        first, self.data = self.data[:1], self.data[1:]
        return first

    def packet(self, limit=None):
        """The next packet's payload as bytes; None when none comes in time."""
        end = time.monotonic() + (self.limit if limit is None else limit)
        while True:
            left = max(0.001, end - time.monotonic())
            one = self.byte(left)
            if one is None:
                return None
            if one == b"+":
                assert self.ack, "an ack in no-ack mode"
                self.acks += 1
            elif one == b"-":
                return b"-"
            else:
                assert one == b"$", f"not a packet: {one + self.data[:40]!r}"
                break
        payload = bytearray()
        while (one := self.byte()) != b"#":
            assert one is not None, f"a packet that does not end: {bytes(payload[:80])!r}"
            payload += one
        digits = self.byte() + self.byte()
        assert int(digits, 16) == checksum(payload), "a bad checksum"
        if self.ack:
            with contextlib.suppress(BrokenPipeError):  # it was the last packet
                self.raw(b"+")
        self.wire = bytes(payload)
        return expand(payload)

    def reply(self, limit=None):
        """The next packet as text."""
        packet = self.packet(limit)
        assert packet is not None, "no reply in time"
        return packet.decode("latin-1")

    def quiet(self, seconds=0.3):
        """Does nothing come for so long?"""
        return self.packet(seconds) is None

    def ask(self, payload, limit=None):
        self.send(payload)
        return self.reply(limit)

    def no_ack(self):
        assert self.ask("QStartNoAckMode") == "OK"
        self.ack = False

    # what debuggers do

    def read(self, address, length):
        reply = self.ask(f"m{address:x},{length:x}")
        assert not reply.startswith("E"), reply
        return bytes.fromhex(reply)

    def write(self, address, data):
        return self.ask(f"M{address:x},{len(data):x}:{bytes(data).hex()}")

    def register(self, number):
        """A register, in the little-endian order of a PC."""
        return int.from_bytes(bytes.fromhex(self.ask(f"p{number:x}")), "little")

    def monitor(self, command):
        """What a monitor command printed, and the last packet (OK or an error)."""
        self.send("qRcmd," + command.encode().hex())
        text = ""
        while True:
            reply = self.reply()
            if not reply.startswith("O") or reply == "OK":
                return text, reply
            text += bytes.fromhex(reply[1:]).decode("utf-8", "replace")

    def go(self):
        self.send("vCont;c")

    def stop(self):
        """For a client that waits: interrupt, and the stop reply."""
        self.interrupt()
        return self.reply()

    def document(self, name, chunk=0xFFB):
        """qXfer:NAME, read in chunks."""
        text = b""
        while True:
            self.send(f"qXfer:{name}:{len(text):x},{chunk:x}")
            reply = self.packet()
            assert reply[:1] in (b"m", b"l"), reply
            text += reply[1:]
            if reply[:1] == b"l":
                return text.decode()

    def closed(self, limit=None):
        """Does the other side close?"""
        try:
            while self.byte(limit) is not None:
                pass
        except Closed:
            return True
        return False

    def close(self):
        self.socket.close()


def thread_of(stop):
    """The thread that a stop reply names."""
    found = re.search(r"thread:([^;]+);", stop)
    return found and found[1]
