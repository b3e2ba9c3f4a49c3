"""QEMU's monitor, for the harness itself: the daemon has another one."""

import json

from .processes import LIMIT


class Qmp:
    """QEMU connects to us, so that there is no moment at which it is not there yet."""

    def __init__(self, listener):
        listener.settimeout(LIMIT)
        self._socket, _ = listener.accept()
        listener.close()
        self._socket.settimeout(LIMIT)
        self._file = self._socket.makefile("rb")
        self.events = []
        while "QMP" not in self._receive():  # the greeting, and now and then an event before it
            pass
        self.execute("qmp_capabilities")

    def _receive(self):
        line = self._file.readline()
        if not line:
            raise EOFError("QEMU closed its monitor")
        return json.loads(line)

    def execute(self, command, **arguments):
        request = {"execute": command}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._receive()
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']}")
            else:
                return answer["return"]

    def human(self, line):
        return self.execute("human-monitor-command", command_line=line)

    def wait_event(self, name):
        while True:
            for i, event in enumerate(self.events):
                if event["event"] == name:
                    del self.events[: i + 1]
                    return event
            message = self._receive()
            if "event" in message:
                self.events.append(message)

    def close(self):
        self._file.close()
        self._socket.close()
