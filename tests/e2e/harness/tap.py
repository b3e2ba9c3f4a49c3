"""A monitor in between: what QEMU prints by its stub passes through here, and may be garbled."""

import os
import socket
import threading

from . import processes
from .stub import packet


def _command(payload):
    return bytes.fromhex(payload[len(b"qRcmd,") :].decode()).decode()


class Tap:
    """Listens on a unix socket for one client after another; each is led to the stub at endpoint ("unix:PATH").

    garble      called with the text of each monitor command's answer; returns what the client gets instead
    commands    the monitor commands that came by
    """

    def __init__(self, endpoint, garble=lambda command, text: text):
        self.garble = garble
        self.commands = []
        self._upstream = endpoint[len("unix:") :]
        self._directory = processes.directory()
        self.gdb = f"unix:{self._directory}/tap.sock"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.path.join(self._directory, "tap.sock"))
        self._listener.listen(4)
        self._sockets = []
        self._ended = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            stub = socket.socket(socket.AF_UNIX)
            stub.connect(self._upstream)
            self._sockets += [client, stub]
            self._pending = []  # requests not answered yet
            down = threading.Thread(target=self._run, args=(self._to_client, stub, client), daemon=True)
            down.start()
            self._run(self._to_stub, client, stub)
            down.join()
            client.close()
            stub.close()

    @staticmethod
    def _run(pass_on, source, sink):
        try:
            pass_on(source, sink)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _to_stub(self, client, stub):
        data = b""
        while piece := client.recv(65536):
            data += piece
            while (end := data.find(b"#")) >= 0:
                request, data = data[:end], data[end + 1 :]
                _, _, payload = request.rpartition(b"$")
                self._pending.append(payload)
                if payload.startswith(b"qRcmd,"):
                    self.commands.append(_command(payload))
            stub.sendall(piece)

    def _to_client(self, stub, client):
        data, printed = b"", []
        while piece := stub.recv(65536):
            data += piece
            while (start := data.find(b"$")) >= 0:
                end = data.find(b"#", start)
                if end < 0 or len(data) < end + 3:
                    break
                before, payload, data = data[:start], data[start + 1 : end], data[end + 3 :]
                client.sendall(before)
                if payload.startswith(b"O") and payload != b"OK":
                    printed.append(bytes.fromhex(payload[1:].decode()).decode())
                    continue
                self._tell(client, payload, "".join(printed))
                printed = []
                client.sendall(packet(payload))
            if b"$" not in data:
                client.sendall(data)
                data = b""

    def _tell(self, client, reply, text):
        """What was printed, before the reply; replies come in the order of the requests."""
        resumed = self._pending and self._pending[0][:1] in (b"?", b"v", b"c", b"s")
        if not self._pending or (reply[:1] in (b"T", b"S", b"W") and not resumed):
            return  # a stop that nobody asked for
        request = self._pending.pop(0)
        if request.startswith(b"qRcmd,"):
            for line in self.garble(_command(request), text).splitlines(keepends=True):
                client.sendall(packet("O" + line.encode().hex()))

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._sockets:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._thread.join()
        processes.remove(self._directory)
