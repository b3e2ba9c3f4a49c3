"""A QMP monitor that is no QEMU: it greets, knows a few commands, and misbehaves on demand."""

import contextlib
import json
import os
import socket
import threading

from .stub import CLOSE, SILENCE

GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}


class Monitor:
    """Serves one client after another on a unix socket in a directory until stop().

    misbehave   called with each request ({} stands for a new connection, before its greeting); returns None
                (behave), bytes to send instead, SILENCE, CLOSE, or (bytes, CLOSE)
    running     what query-status says
    commands    the names of all commands that came
    """

    def __init__(self, directory):
        self.path = os.path.join(directory, "fake-qmp.sock")
        self.qmp = f"unix:{self.path}"
        self.running = False
        self.misbehave = lambda request: None
        self.commands = []
        self._ended = False
        self._client = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(4)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while not self._ended:
            try:
                self._client, _ = self._listener.accept()
            except OSError:
                return
            with self._client:
                try:
                    self._talk()
                except (OSError, ValueError):
                    pass
            self._client = None

    def _talk(self):
        if not self._say({}, json.dumps(GREETING).encode()):
            return
        data = b""
        while True:
            piece = self._client.recv(65536)
            if not piece:
                return
            data += piece
            while b"\n" in data:
                line, _, data = data.partition(b"\n")
                request = json.loads(line)
                self.commands.append(request["execute"])
                answer = {"return": self._answer(request["execute"]), "id": request["id"]}
                if not self._say(request, json.dumps(answer).encode()):
                    return

    def _answer(self, command):
        if command == "query-status":
            return {"running": self.running, "singlestep": False, "status": "running" if self.running else "paused"}
        if command == "query-target":
            return {"arch": "x86_64"}
        if command == "human-monitor-command":
            return ""
        return {}

    def _say(self, request, line):
        wrong = self.misbehave(request)
        if wrong is CLOSE:
            return False
        if wrong is SILENCE:
            return True
        if isinstance(wrong, tuple):
            self._client.sendall(wrong[0])
            return False
        self._client.sendall(line + b"\r\n" if wrong is None else wrong)
        return True

    def send(self, data):
        """Say something that nobody asked for."""
        client = self._client
        if client is not None:
            with contextlib.suppress(OSError):  # heard enough
                client.sendall(data)

    def stop(self):
        self._ended = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        client = self._client
        if client is not None:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._thread.join()
        with contextlib.suppress(FileNotFoundError):  # its directory may have gone before
            os.unlink(self.path)
