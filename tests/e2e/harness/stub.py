"""An RSP stub that is no QEMU: plain memory at one address, and misbehaviour on demand."""

import contextlib
import socket
import threading

CLOSE, SILENCE = object(), object()


def packet(payload):
    """Framed and summed."""
    if isinstance(payload, str):
        payload = payload.encode()
    return b"$" + payload + b"#" + f"{sum(payload) & 0xFF:02x}".encode()


class Stub:
    """Serves one client after another on a loopback port until stop().

    memory      a bytearray at address base: everything else is unmapped
    misbehave   called with each request's payload; returns None (behave), bytes to send as they are, SILENCE
                (say nothing, also no ack) or CLOSE (or (bytes, CLOSE): send these and close)
    binary      answers X
    requests    every payload that came
    """

    def __init__(self, base=0x10000, size=0x4000, binary=False):
        self.base, self.memory, self.binary = base, bytearray(size), binary
        self.misbehave = lambda payload: None
        self.requests = []
        self.in_flight = self.most_in_flight = 0
        self._ended = False
        self._client = None
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(4)
        self.gdb = f"tcp:127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._client = client
            try:
                self._talk(client)
            except OSError:
                pass
            finally:
                self._client = None
                client.close()

    def _talk(self, client):
        data = b""
        while True:
            piece = client.recv(65536)
            if not piece:
                return
            data += piece
            waiting = 0
            while True:
                data = data.lstrip(b"+-\x03")
                end = data.find(b"#")
                if end < 0 or len(data) < end + 3:
                    break
                payload, data = data[data.index(b"$") + 1 : end], data[end + 3 :]
                waiting += 1
                self.most_in_flight = max(self.most_in_flight, waiting)
                self.requests.append(payload)
                if not self._answer(client, payload):
                    return

    def _answer(self, client, payload):
        wrong = self.misbehave(payload)
        if wrong is CLOSE:
            return False
        if wrong is SILENCE:
            return True
        if isinstance(wrong, tuple):
            client.sendall(wrong[0])
            return False
        if wrong is not None:
            client.sendall(wrong)
            return True
        client.sendall(b"+" + packet(self._reply(payload)))
        return True

    def _reply(self, payload):
        kind = payload[:1]
        if payload.startswith(b"qSupported"):
            return "PacketSize=400"
        if kind == b"?":
            return "T05thread:1;"
        if kind == b"H" or kind == b"T":
            return "OK"
        if payload == b"qC":
            return "QC1"
        if payload == b"qfThreadInfo":
            return "m1"
        if payload == b"qsThreadInfo":
            return "l"
        if kind == b"g":
            return "00" * 64
        if kind == b"D":
            return "OK"
        if kind in b"mMX" and kind:
            return self._memory(kind, payload)
        return ""

    def _memory(self, kind, payload):
        if kind == b"X" and not self.binary:
            return ""
        head, _, data = payload[1:].partition(b":")
        address, length = (int(word, 16) for word in head.split(b","))
        start = address - self.base
        if start < 0 or start + length > len(self.memory):
            return "E01"
        if kind == b"m":
            return self.memory[start : start + length].hex()
        if kind == b"M":
            self.memory[start : start + length] = bytes.fromhex(data.decode())
        else:
            plain, escaped = bytearray(), False
            for byte in data:
                if escaped:
                    plain.append(byte ^ 0x20)
                    escaped = False
                elif byte == 0x7D:
                    escaped = True
                else:
                    plain.append(byte)
            assert len(plain) == length
            self.memory[start : start + length] = plain
        return "OK"

    def drop(self):
        """Close the connection that there is."""
        client = self._client
        if client is not None:
            with contextlib.suppress(OSError):  # the other side was quicker
                client.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self._ended = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        self._thread.join()
