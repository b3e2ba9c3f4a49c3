"""A client of the call protocol (MessagePack-RPC), small enough to be seen to be right."""

import collections
import socket

import msgpack

from .processes import LIMIT

S_OK, S_FALSE = 0, 1
E_NOTIMPL, E_FAIL, E_UNEXPECTED = 0x80004001, 0x80004005, 0x8000FFFF
E_ACCESSDENIED, E_OUTOFMEMORY, E_INVALIDARG = 0x80070005, 0x8007000E, 0x80070057
WRITE_FAULT, READ_FAULT = 0x8007001D, 0x8007001E
MISALIGNED, NO_PAGEFILE = 0x90000002, 0xD0000147

GO, STEP_INTO, BREAK = 1, 5, 6
DEFAULT, CACHED, UNCACHED, WRITE_COMBINED = 0, 1, 2, 3
INTERNAL, ISA, EISA, PCIBUS, PNPISABUS, PNPBUS, ACPIBUS = 0, 1, 2, 5, 14, 15, 17
HALTED, RUNNING = BREAK, GO

Answer = collections.namedtuple("Answer", "hresult outs")


class CallFailed(Exception):
    """The call's error: .hresult (unsigned) and .message."""

    def __init__(self, method, hresult, message):
        super().__init__(f"{method}: {hresult:#010x} {message}")
        self.method, self.hresult, self.message = method, hresult, message


def address_of(endpoint):
    """(family, address) of unix:PATH or tcp:HOST:PORT."""
    kind, _, rest = endpoint.partition(":")
    if kind == "unix":
        return socket.AF_UNIX, rest
    host, _, port = rest.rpartition(":")
    if host.startswith("["):
        return socket.AF_INET6, (host[1:-1], int(port))
    return socket.AF_INET, (host, int(port))


def connect(endpoint, limit=LIMIT):
    """A plain socket to an endpoint, for tests that send what no client would."""
    family, address = address_of(endpoint)
    connection = socket.socket(family)
    connection.settimeout(limit)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


class Rpc:
    """One connection. rpc.WriteVirtual(address, bytes) returns what comes after the HRESULT (nothing, one
    value, or a tuple) or raises CallFailed; call() gives the HRESULT too; post() and answer() pipeline."""

    def __init__(self, endpoint, limit=LIMIT):
        self.socket = connect(endpoint, limit)
        self._unpacker = msgpack.Unpacker(raw=False, max_buffer_size=1 << 27, strict_map_key=False)
        self._next = 1
        self._answers = {}
        self.order = []  # message ids in the order of their answers
        self.notifications = []  # (method, params)

    def frame(self, method, *params):
        """A request for the caller to send: its id, its bytes."""
        msgid, self._next = self._next, self._next + 1
        self._methods = getattr(self, "_methods", {})
        self._methods[msgid] = method
        return msgid, msgpack.packb([0, msgid, method, list(params)], use_bin_type=True)

    def post(self, method, *params):
        """Send a request; its id."""
        msgid, frame = self.frame(method, *params)
        self.socket.sendall(frame)
        return msgid

    def _receive(self):
        """Take in one message."""
        while True:
            for message in self._unpacker:
                assert isinstance(message, list) and message, f"no message: {message!r}"
                if message[0] == 2:
                    self.notifications.append((message[1], message[2]))
                else:
                    assert message[0] == 1 and len(message) == 4, f"no response: {message!r}"
                    self._answers[message[1]] = message[2:]
                    self.order.append(message[1])
                return
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError("the daemon closed the connection")
            self._unpacker.feed(data)

    def answer(self, msgid):
        """Wait for the answer to a posted request."""
        while msgid not in self._answers:
            self._receive()
        error, result = self._answers.pop(msgid)
        method = self._methods.pop(msgid)
        if error is not None:
            assert result is None and len(error) == 2 and isinstance(error[1], str), f"{method}: {error!r} {result!r}"
            assert -(2**31) <= error[0] < 0, f"{method}: {error[0]} is no failure"
            raise CallFailed(method, error[0] & 0xFFFFFFFF, error[1])
        assert isinstance(result, list) and result[0] in (S_OK, S_FALSE), f"{method}: {result!r}"
        return Answer(result[0], result[1:])

    def call(self, method, *params):
        return self.answer(self.post(method, *params))

    def __getattr__(self, method):
        if not method[0].isupper():
            raise AttributeError(method)

        def go(*params):
            outs = self.call(method, *params).outs
            return None if not outs else outs[0] if len(outs) == 1 else tuple(outs)

        return go

    def wait_notification(self, method):
        while True:
            for i, (name, params) in enumerate(self.notifications):
                if name == method:
                    del self.notifications[i]
                    return params
            self._receive()

    def wait_closed(self):
        """Read until the daemon closes the connection."""
        while True:
            try:
                self._receive()
            except (EOFError, ConnectionResetError):
                return

    # in a word

    def halt(self):
        """Halt the target and wait for it."""
        self.SetInterrupt()
        answer = self.call("WaitForEvent", int(LIMIT * 1000))
        assert answer.hresult == S_OK, "the target does not halt"
        assert self.GetExecutionStatus() == BREAK

    def go(self):
        """Have the target run, if it does not."""
        if self.GetExecutionStatus() != GO:
            self.SetExecutionStatus(GO)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
