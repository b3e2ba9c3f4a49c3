"""Clients that send what no client would, too much of it, too slowly, or nothing, and clients that go without a word.
Each test has a witness: another client of the same daemon, with bytes in its view that nobody else may see, lose or
report. Afterwards it must be as it was, and what it wrote must be in the guest exactly."""

import contextlib
import os
import random
import resource
import select
import socket
import struct
import threading
import time

import msgpack
import pytest
from conftest import Shared
from harness import processes
from harness.daemon import SANITIZER_OPTIONS, Daemon
from harness.processes import LIMIT, until
from harness.rpc import (
    BREAK,
    E_ACCESSDENIED,
    E_INVALIDARG,
    E_NOTIMPL,
    E_OUTOFMEMORY,
    NO_PAGEFILE,
    READ_FAULT,
    WRITE_FAULT,
    CallFailed,
    Rpc,
    connect,
)
from harness.stub import Stub

MIB = 1 << 20
# A frame's limits, from docs/protocol.md.
FRAME_MOST, DEPTH_MOST = 64 * MIB, 8
# What one connection may make the daemon hold: a frame that is being read and the one that is being carried out, or
# an answer; and what a decoder makes of a frame full of small values.
HELD_MOST = 200 * MIB
DECODED_MOST = 600 * MIB
# Seconds that a call of somebody else may take meanwhile.
PATIENCE = 5.0


@pytest.fixture(scope="module")
def _pc():
    """The shared guest, with its daemon on TCP too. AddressSanitizer must not keep much of what was freed."""
    directory = processes.directory()
    listen = [f"unix:{directory}/rpc.sock", "tcp:127.0.0.1:0"]
    options = SANITIZER_OPTIONS["ASAN_OPTIONS"] + ":quarantine_size_mb=8"
    shared = Shared(arch="x86_64", listen=listen, env={"ASAN_OPTIONS": options})
    yield shared
    shared.stop()
    processes.remove(directory)


@pytest.fixture(params=["unix", "tcp"])
def endpoint(request, pc):
    return next(one for one in pc.daemon.endpoints["rpc"] if one.startswith(request.param))


def status(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    raise KeyError(name)


class Memory:
    """How much more memory the daemon held at any time inside the block: .peak"""

    def __init__(self, daemon):
        self.pid = daemon.child.pid

    def __enter__(self):
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # forget the peak so far
        self.before = status(self.pid, "VmRSS")
        return self

    @property
    def peak(self):
        return status(self.pid, "VmHWM") - self.before

    def __exit__(self, *_):
        pass


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.child.pid}/fd"))


class Witness:
    """A client that does its work while others do not."""

    SECRET = b"of the witness"

    def __init__(self, pc):
        self.pc, self.rpc = pc, pc.connect()
        self.rpc.halt()
        self.at = pc.map.b + 100
        self.rpc.WriteVirtual(self.at, self.SECRET)
        self.slowest = 0.0
        self.others = descriptors(pc.daemon)

    def works(self):
        """It is served at once, and sees what it wrote."""
        began = time.monotonic()
        assert self.rpc.ReadVirtual(self.at - 1, len(self.SECRET) + 2) == b"\0" + self.SECRET + b"\0"
        assert self.rpc.GetExecutionStatus() == BREAK
        self.slowest = max(self.slowest, time.monotonic() - began)

    def check(self):
        self.works()
        assert self.slowest < PATIENCE, f"the witness waited {self.slowest:.1f} s"
        assert not self.rpc.notifications, self.rpc.notifications
        cache = self.rpc.GetCacheStatus()
        assert cache["dirty_bytes"] == len(self.SECRET) and cache["lost_bytes"] == 0
        assert self.pc.guest.physical(self.pc.map.b_physical, 4096) == bytes(4096)  # not flushed by anybody
        assert self.rpc.FlushCache() == len(self.SECRET)
        expected = bytes(100) + self.SECRET + bytes(4096 - 100 - len(self.SECRET))
        assert self.pc.guest.physical(self.pc.map.b_physical, 4096) == expected
        assert self.pc.daemon.running()
        until(lambda: descriptors(self.pc.daemon) <= self.others, "the daemon to let the others go")


@pytest.fixture
def witness(pc):
    made = Witness(pc)
    yield made
    made.check()


def read_all(connection):
    """What comes until the other end closes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while True:
            piece = connection.recv(1 << 16)
            if not piece:
                break
            data += piece
    return data


def messages(data):
    unpacker = msgpack.Unpacker(raw=False, max_buffer_size=1 << 27, strict_map_key=False)
    unpacker.feed(data)
    return list(unpacker)


def request(method, *params, msgid=1):
    return msgpack.packb([0, msgid, method, list(params)], use_bin_type=True)


def reset(connection):
    """Close without a good-bye, as a machine that dies does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def turned_out(connection, hresult=None):
    """One Error notification, last, and then the end; what came before it."""
    *before, (kind, method, (code, text)) = messages(read_all(connection))
    assert (kind, method) == (2, "Error") and code < 0 and text
    assert hresult is None or code & 0xFFFFFFFF == hresult
    return before


# Frames

HEAD = b"\x94\x00\x01"  # [0, 1, …
WRITE = HEAD + b"\xacWriteVirtual"
BROKEN_FRAMES = {
    "never used byte": b"\xc1",
    "extension": HEAD + b"\xa5Hello\x91\xd4\x01\x00",
    "extension without end": b"\xc9\xff\xff\xff\xff\x01",
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "a TLS greeting": bytes.fromhex("16030100c8010000c40303"),
    "an RSP packet": b"+$qSupported:multiprocess+#c6",
    "nothing but nil": b"\xc0" * 100,
    "a map": b"\x80",
    "an empty array": b"\x90",
    "an array of two": b"\x92\x00\x01",
    "an array of five": b"\x95\x00\x01\xa5Hello\x90\x00",
    "a kind that is none": b"\x94\x03\x01\xa5Hello\x90",
    "a kind that is negative": b"\x94\xff\x01\xa5Hello\x90",
    "a kind that is true": b"\x94\xc3\x01\xa5Hello\x90",
    "a response": b"\x94\x01\x01\xc0\x90",
    "an id of 64 bits": b"\x94\x00\xcf" + b"\xff" * 8 + b"\xa5Hello\x90",
    "an id that is negative": b"\x94\x00\xff\xa5Hello\x90",
    "an id that is text": b"\x94\x00\xa1x\xa5Hello\x90",
    "an id that is missing": b"\x93\x00\xa5Hello\x90",
    "nine deep": HEAD + b"\xa5Hello" + b"\x91" * DEPTH_MOST + b"\xc0",
    "a million deep": b"\x94" * 1000000,
    "maps a million deep": HEAD + b"\xa5Hello" + b"\x81\x01" * 1000000,
    # what is announced is not there, and must not be made room for
    "array bomb": b"\xdd\xff\xff\xff\xff",
    "map bomb": b"\xdf\xff\xff\xff\xff",
    "text bomb": b"\xdb\xff\xff\xff\xff",
    "bytes bomb": b"\xc6\xff\xff\xff\xff",
    "array bomb in the params": HEAD + b"\xa5Hello\xdd\xff\xff\xff\xff",
    "array bomb for a method": HEAD + b"\xdd\xff\xff\xff\xff",
    "array bomb for an id": b"\x94\x00\xdd\xff\xff\xff\xff",
    "array bomb one deeper": HEAD + b"\xb4WritePointersVirtual\x92\x00\xdd\xff\xff\xff\xff",
    "arrays that add up": HEAD + b"\xa5Hello" + b"\xdd\x00\x80\x00\x00" * 7,
    "map bomb in the params": HEAD + b"\xa5Hello\xdf\x7f\xff\xff\xff",
    "bytes bomb in a write": WRITE + b"\x92\x00\xc6\xff\xff\xff\xff",
    "bytes that end beyond the limit": WRITE + b"\x92\x00\xc6" + struct.pack(">I", FRAME_MOST),
    "more values than a frame has": HEAD + b"\xa5Hello\xdd" + struct.pack(">I", FRAME_MOST // 8 + 1),
}


def test_broken_frames(pc, witness, endpoint):
    """Each is told and closed; none costs memory, whatever it promises."""
    with Memory(pc.daemon) as memory:
        for name, frame in BROKEN_FRAMES.items():
            with connect(endpoint) as stranger:
                with contextlib.suppress(ConnectionError):  # closed in our face
                    stranger.sendall(frame)
                assert turned_out(stranger) == [], name
            witness.works()
        assert memory.peak < HELD_MOST, memory.peak


def test_broken_frame_behind_good_ones(pc, witness):
    """What was asked before it is answered, what comes after it is not looked at."""
    with connect(pc.daemon.rpc) as stranger:
        good = b"".join(request("WriteVirtual", pc.map.a + i, b"g", msgid=i) for i in range(50))
        stranger.sendall(good + b"\xc1" + request("WriteVirtual", pc.map.a, b"never"))
        answers = turned_out(stranger)
    assert [answer[:4] for answer in answers] == [[1, i, None, [0, 1]] for i in range(50)]
    until(lambda: pc.guest.physical(pc.map.a_physical, 51) == b"g" * 50 + b"\0", "the flush of the one who went")
    assert witness.rpc.ReadVirtualUncached(pc.map.a, 51) == b"g" * 50 + b"\0"


def test_frames_at_their_limits(pc, witness):
    """As deep, as long and as full as allowed: answered, and the connection goes on."""
    with Memory(pc.daemon) as memory, connect(pc.daemon.rpc, limit=2 * LIMIT) as stranger:
        deepest = HEAD + b"\xa5Hello" + b"\x91" * (DEPTH_MOST - 1) + b"\xc0"
        envelope = len(request("WriteVirtualUncached", pc.map.hole, b"")) + 3  # bin 32 in place of bin 8
        longest = request("WriteVirtualUncached", pc.map.hole, bytes(FRAME_MOST - envelope))
        assert len(longest) == FRAME_MOST
        for frame, expected in ((deepest, E_INVALIDARG), (longest, WRITE_FAULT)):
            sender = threading.Thread(target=stranger.sendall, args=(frame,))
            sender.start()
            kind, msgid, error, _ = msgpack.unpackb(stranger.recv(1 << 16))
            sender.join()
            assert (kind, msgid, error[0] & 0xFFFFFFFF) == (1, 1, expected), error
            witness.works()
        assert memory.peak < HELD_MOST, memory.peak
        full = HEAD + b"\xa5Hello\xdd" + struct.pack(">I", 4 * MIB) + b"\xc0" * (4 * MIB)
        stranger.sendall(full)
        witness.works()
        assert msgpack.unpackb(stranger.recv(1 << 16))[2][0] & 0xFFFFFFFF == E_INVALIDARG
        assert memory.peak < DECODED_MOST, memory.peak


def test_one_byte_too_long(pc, witness):
    with connect(pc.daemon.rpc) as stranger:
        stranger.sendall(WRITE + b"\x92\x00\xc6" + struct.pack(">I", FRAME_MOST - len(WRITE) - 6))
        assert turned_out(stranger) == []


def test_truncated_frames(pc, witness, endpoint):
    """Cut at every place: nothing is done of what was not asked whole."""
    frame = request("WriteVirtualUncached", pc.map.a, b"never")
    for cut in range(1, len(frame)):
        stranger = connect(endpoint)
        stranger.sendall(frame[:cut])
        if cut % 2:
            reset(stranger)
        else:
            stranger.shutdown(socket.SHUT_WR)
            assert read_all(stranger) == b""
            stranger.close()
    witness.works()
    assert pc.guest.physical(pc.map.a_physical, 16) == bytes(16)


def test_random_frames(pc, witness):
    """Good frames with bytes changed, lost, doubled and put in: whatever comes back is the protocol's."""
    rng = random.Random(20)
    seeds = [
        request("WriteVirtual", pc.map.nowhere, b"x" * 20),
        request("ReadVirtual", pc.map.a, 16),
        request("WritePointersVirtual", pc.map.nowhere, [1, 2**64 - 1]),
        request("SetCachePolicy", "write-through"),
        request("GetCacheStatus"),
        msgpack.packb([2, "Hello", [None, True, 1.5, {"a": b"b"}]]),
    ]
    harmless = (b"WritePhysical", b"WriteIo", b"SetExecutionStatus", b"SetInterrupt")
    for _ in range(150):
        data = bytearray(b"".join(rng.choice(seeds) for _ in range(rng.randint(1, 4))))
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data))
            data[at : at + rng.choice((0, 0, 1, 1, 2, 9))] = bytes(rng.choices(range(256), k=rng.choice((0, 1, 1, 4))))
        assert not any(word in data for word in harmless)
        with connect(pc.daemon.rpc) as stranger:
            with contextlib.suppress(ConnectionError):
                stranger.sendall(data)
                stranger.shutdown(socket.SHUT_WR)
            for message in messages(read_all(stranger)):
                assert message[0] in (1, 2) and len(message) == (4 if message[0] == 1 else 3), message
    witness.works()


# Calls

NUMBERS = [-1, -(2**63), 2**64 - 1, 1.5, float("nan"), None, True, "1", b"1", [], [1], {}, {"a": 1}]
CALLS = {
    "Hello": ["text", "number"],
    "ReadVirtual": ["address", "size"],
    "ReadVirtualUncached": ["address", "size"],
    "WriteVirtual": ["address", "bytes"],
    "WriteVirtualUncached": ["address", "bytes"],
    "ReadPointersVirtual": ["size", "address"],
    "WritePointersVirtual": ["address", "pointers"],
    "ReadPhysical": ["address", "size"],
    "ReadPhysical2": ["address", "number", "size"],
    "WritePhysical": ["address", "bytes"],
    "WritePhysical2": ["address", "number", "bytes"],
    "ReadIo": ["number", "number", "number", "address", "size"],
    "WriteIo": ["number", "number", "number", "address", "bytes"],
    "VirtualToPhysical": ["address"],
    "SetExecutionStatus": ["number"],
    "WaitForEvent": ["number"],
    "SetCurrentProcessor": ["number"],
    "SetCachePolicy": ["text"],
    "GetExecutionStatus": [],
    "SetInterrupt": [],
    "GetNumberProcessors": [],
    "GetCurrentProcessor": [],
    "FlushCache": [],
    "DiscardCache": [],
    "InvalidateCache": [],
    "GetCacheStatus": [],
}
GOOD = {"text": "x", "number": 1, "address": 0x1000, "size": 1, "bytes": b"x", "pointers": [1]}
# What is as right as it is odd, and so for the call to judge.
NOT_WRONG = {
    "text": ["1"],
    "address": [2**64 - 1],
    "number": [],
    "size": [],
    "bytes": [b"1"],
    "pointers": [[], [1]],
}
TOO_MANY = [2**32, 2**31, 2**63, FRAME_MOST]


def test_wrong_types(pc, witness):
    """Every parameter of every call, replaced by every wrong thing: E_INVALIDARG that names the call."""
    with pc.daemon.connect() as stranger:
        calls = []
        for method, kinds in CALLS.items():
            good = [GOOD[kind] for kind in kinds]
            calls += [(method, good + [0]), (method, [0] * 9)]
            calls += [(method, good[:-1])] if good else []
            for i, kind in enumerate(kinds):
                for wrong in NUMBERS + (TOO_MANY if kind == "size" else []):
                    same = [one for one in NOT_WRONG[kind] if type(one) is type(wrong) and one == wrong]
                    if not same and not (kind == "number" and wrong == -1 and i == 0 and method.endswith("Io")):
                        calls.append((method, good[:i] + [wrong] + good[i + 1 :]))
        tickets = [(stranger.post(method, *params), method, params) for method, params in calls]
        for ticket, method, params in tickets:
            with pytest.raises(CallFailed) as failure:
                stranger.answer(ticket)
            assert failure.value.hresult == E_INVALIDARG, (params, failure.value)
            assert failure.value.message.startswith(method), (params, failure.value)
            assert len(failure.value.message) < 1000
        assert stranger.WriteVirtual(pc.map.a, b"goes on") == 7
        assert stranger.DiscardCache() == 7


@pytest.mark.parametrize("method", ["", "x", "hello", "Hello\0", "WriteVirtual ", "é" * 10, "\x1b[2J", "A" * 100000])
def test_unknown_methods(pc, witness, method):
    with pc.daemon.connect() as stranger:
        with pytest.raises(CallFailed) as failure:
            stranger.call(method)
        assert failure.value.hresult == E_NOTIMPL
        assert failure.value.message.isprintable() and len(failure.value.message) < 1000
        assert stranger.GetExecutionStatus() == BREAK


def test_wrong_calls_of_every_shape(pc, witness):
    """A frame that is right and a request that is not."""
    with connect(pc.daemon.rpc) as stranger:
        for method in (5, None, b"Hello", [], {}, True):
            for params in (5, None, "x", b"x", {}, []):
                stranger.sendall(msgpack.packb([0, 7, method, params], use_bin_type=True))
                kind, msgid, error, result = msgpack.unpackb(stranger.recv(1 << 16))
                assert (kind, msgid, result) == (1, 7, None) and error[0] & 0xFFFFFFFF in (E_INVALIDARG, E_NOTIMPL)


def test_top_of_the_address_space(pc, witness):
    """The last page is mapped: a transfer ends with it and never begins again at 0."""
    low = pc.guest.physical(0, 4096)
    with pc.daemon.connect() as stranger:
        for uncached in ("", "Uncached"):
            write = getattr(stranger, "WriteVirtual" + uncached)
            read = getattr(stranger, "ReadVirtual" + uncached)
            assert write(2**64 - 16, b"\x5a" * 10000) == 16
            assert write(2**64 - 1, b"\x5b" * 2) == 1
            assert read(2**64 - 1, 1000) == b"\x5b"
            assert read(2**64 - 16, 60 * MIB) == b"\x5a" * 15 + b"\x5b"
            assert write(2**64 - 1, b"") == 0
        # pointers: all or an error, and none in two pieces at both ends of the space
        with pytest.raises(CallFailed):
            stranger.WritePointersVirtual(2**64 - 12, [1, 2])
        for offset in (2**64 - 4, 2**64 - 1):
            with pytest.raises(CallFailed):
                stranger.WritePointersVirtual(offset, [2**64 - 1])
            with pytest.raises(CallFailed):
                stranger.ReadPointersVirtual(1, offset)
        with pytest.raises(CallFailed):
            stranger.ReadPointersVirtual(7 * MIB, 2**64 - 16)
        for call, params, faults in (
            ("WritePhysical", (2**64 - 4, b"\x5a" * 64), (WRITE_FAULT,)),
            ("ReadPhysical", (2**64 - 4, 64), (READ_FAULT,)),
            ("WritePhysical2", (2**64 - 1, 2, b"\x5a" * 8), (WRITE_FAULT, E_INVALIDARG)),
            ("VirtualToPhysical", (2**63,), (NO_PAGEFILE,)),
            ("WriteVirtual", (2**63, b"x"), (WRITE_FAULT,)),
            ("WriteVirtual", (2**47, b"x"), (WRITE_FAULT,)),
            ("ReadVirtual", (2**64 - 2**47 - 1, 1), (READ_FAULT,)),
            ("WriteIo", (1, 0, 1, 2**64 - 1, b"x"), (E_INVALIDARG,)),
            ("ReadIo", (1, 0, 1, 0xFFFF, 2), (E_INVALIDARG, 0x90000002)),
        ):
            with pytest.raises(CallFailed) as failure:
                stranger.call(call, *params)
            assert failure.value.hresult in faults, failure.value
        stranger.DiscardCache()
    assert pc.guest.physical(0, 4096) == low


# Slow, silent and greedy

def test_silent_clients(pc, witness, endpoint):
    """A hundred that say nothing, and one that has begun to."""
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(endpoint)) for _ in range(100)]
        silent[0].sendall(request("ReadVirtual", 0, 1)[:-1])
        witness.works()
        silent[0].sendall(request("ReadVirtual", 0, 1)[-1:])
        assert msgpack.unpackb(silent[0].recv(1 << 16))[0] == 1


def test_one_byte_at_a_time(pc, witness, endpoint):
    frame = request("WriteVirtualUncached", pc.map.a, b"slowly")
    with connect(endpoint) as slow:
        for i in range(len(frame)):
            assert pc.guest.physical(pc.map.a_physical, 6) == bytes(6)
            slow.sendall(frame[i : i + 1])
            witness.works()
        assert msgpack.unpackb(slow.recv(1 << 16)) == [1, 1, None, [0, 6]]
    assert pc.guest.physical(pc.map.a_physical, 6) == b"slowly"


def fill(connection, data, memory, limit):
    """Send until the other end takes no more; how much it took."""
    connection.setblocking(False)
    sent, view = 0, memoryview(data)
    while select.select([], [connection], [], 0.3)[1]:
        with contextlib.suppress(BlockingIOError):
            sent += connection.send(view[sent % len(view) :])
        assert sent < limit, "it takes requests without end"
        assert memory.peak < HELD_MOST, memory.peak
    return sent


@pytest.mark.parametrize("what", ["large answers", "small answers", "errors", "interrupts", "large requests"])
def test_client_that_never_reads(pc, witness, what):
    """Its own requests wait, memory stays bounded, and others are served. What it wrote before arrives."""
    requests = {
        "large answers": request("ReadVirtual", pc.map.bulk, MIB) * 5000,
        "small answers": request("GetCacheStatus") * 20000,
        "errors": request("NoSuchCall" * 5) * 20000,
        "interrupts": request("SetInterrupt") * 50000,
        "large requests": (request("ReadVirtual", pc.map.bulk, MIB) * 8 + request("Hello", "x" * (8 * MIB), 2)) * 12,
    }[what]
    with Memory(pc.daemon) as memory, connect(pc.daemon.rpc) as greedy:
        greedy.sendall(request("WriteVirtual", pc.map.a, b"kept"))
        fill(greedy, requests, memory, 160 * MIB)
        for _ in range(5):
            witness.works()
        assert witness.rpc.ReadVirtual(pc.map.bulk, MIB) == bytes(MIB)
        assert memory.peak < HELD_MOST, memory.peak
        assert pc.guest.physical(pc.map.a_physical, 4) == bytes(4)
    until(lambda: pc.guest.physical(pc.map.a_physical, 4) == b"kept", "the flush of the one who went")


def test_client_that_reads_at_last(pc, witness):
    """Nothing of what it asked for has got lost or changed places meanwhile."""
    with connect(pc.daemon.rpc) as late, Memory(pc.daemon) as memory:
        count = 2000
        data = b"".join(request("ReadVirtual", pc.map.bulk + 4096 * (i % 100), 4096, msgid=i) for i in range(count))
        sender = threading.Thread(target=late.sendall, args=(data,))
        sender.start()
        witness.works()
        sender.join(LIMIT)
        late.shutdown(socket.SHUT_WR)
        answers = messages(read_all(late))
        assert [answer[:3] for answer in answers] == [[1, i, None] for i in range(count)]
        assert all(answer[3] == [0, bytes(4096)] for answer in answers)
        assert memory.peak < HELD_MOST


def test_flood(pc, witness):
    """Eight clients pipeline as fast as they can: each is answered whole and in order, and nobody waits long."""
    count, failures = 3000, []

    def flood(number):
        try:
            with Rpc(pc.daemon.rpc) as rpc:
                address = pc.map.bulk + 4096 * number
                tickets = []
                for i in range(count):
                    tickets.append(rpc.post("WriteVirtual", address + i % 4096, bytes([i % 256])))
                    if i % 100 == 99:
                        tickets.append(rpc.post("FlushCache"))
                for ticket in tickets:
                    rpc.answer(ticket)
                assert rpc.order == tickets
                expected = bytes(i % 256 for i in range(count))
                assert rpc.ReadVirtualUncached(address, count) == expected
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(error)

    flooders = [threading.Thread(target=flood, args=(number,)) for number in range(8)]
    for one in flooders:
        one.start()
    while any(one.is_alive() for one in flooders):
        witness.works()
        flooders[0].join(0.01)
    assert not failures, failures


# Those who go

@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
def test_client_that_goes_with_requests_in_flight(pc, witness, endpoint, how):
    """What it had dirty is flushed, its requests end with it, and its place is free again."""
    for round_ in range(5):
        gone = connect(endpoint)
        gone.sendall(request("WriteVirtual", pc.map.a + 16 * round_, b"flushed at last!"))
        assert msgpack.unpackb(gone.recv(1 << 16))[3] == [0, 16]
        gone.sendall(
            b"".join(
                request("ReadVirtual", pc.map.bulk, 1 << 18) + request("WriteVirtualUncached", pc.map.bulk, b"\x77" * 999)
                for _ in range(20)
            )
        )
        if how == "half-close":
            gone.shutdown(socket.SHUT_WR)
            answers = messages(read_all(gone))  # it still wants them, and gets them all
            assert len(answers) == 40 and all(answer[2] is None for answer in answers)
        if how == "reset":
            reset(gone)
        else:
            gone.close()
        witness.works()
    until(
        lambda: pc.guest.physical(pc.map.a_physical, 80) == b"flushed at last!" * 5, "the flush of those who went"
    )


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_that_goes_while_it_waits(pc, witness, how):
    """The target runs, and the one who waits for it to halt is no more."""
    witness.rpc.FlushCache()
    witness.rpc.go()
    gone = [connect(pc.daemon.rpc) for _ in range(20)]
    for one in gone:
        one.sendall(request("WaitForEvent", 2**32 - 1) + request("WriteVirtual", pc.map.a, b"never"))
    for one in gone:
        if how == "reset":
            reset(one)
        else:
            one.close()
    until(lambda: descriptors(pc.daemon) <= witness.others, "the daemon to let them go")
    assert pc.guest.running()
    witness.rpc.halt()
    assert pc.guest.physical(pc.map.a_physical, 5) == bytes(5)
    pc.guest.post(f"fill {pc.map.b:#x} 4096 0")
    witness.rpc.go()
    until(lambda: pc.guest.physical(pc.map.b_physical, 4096) == bytes(4096), "the guest to clear its page")
    witness.rpc.halt()
    witness.rpc.WriteVirtual(witness.at, witness.SECRET)


def test_half_close_in_mid_frame(pc, witness, endpoint):
    """The requests before the broken one are answered."""
    with connect(endpoint) as half:
        half.sendall(b"".join(request("ReadVirtual", pc.map.bulk, 4096, msgid=i) for i in range(100)) + WRITE)
        half.shutdown(socket.SHUT_WR)
        answers = [message for message in messages(read_all(half)) if message[0] == 1]
    assert [answer[1] for answer in answers] == list(range(100))


def test_many_come_and_go(pc, witness, endpoint):
    """Five hundred connections, each gone at once in one way or another."""
    for i in range(500):
        one = connect(endpoint)
        if i % 5 == 1:
            one.sendall(b"\xc1")
        elif i % 5 == 2:
            one.sendall(request("GetExecutionStatus"))
        elif i % 5 == 3:
            one.sendall(request("ReadVirtual", pc.map.bulk, 1 << 16))
        if i % 2:
            reset(one)
        else:
            one.close()
        if i % 100 == 0:
            witness.works()


# Too many

@contextlib.contextmanager
def served(*options, **more):
    """A daemon on a fake stub."""
    stub = Stub()
    try:
        daemon = Daemon(gdb=stub.gdb, options=options, **more)
        try:
            yield stub, daemon
        finally:
            daemon.stop()
    finally:
        stub.stop()


def test_over_max_connections():
    """Who is one too many is told so; who is served is not disturbed; when one goes there is room."""
    with served("--max-connections", 4) as (stub, daemon), contextlib.ExitStack() as stack:
        inside = [stack.enter_context(daemon.connect()) for _ in range(4)]
        for i, rpc in enumerate(inside):
            assert rpc.WriteVirtual(stub.base + i, b"x") == 1
        for i in range(200):
            with connect(daemon.rpc) as outside:
                if i % 2:
                    with contextlib.suppress(ConnectionError):
                        outside.sendall(request("WriteVirtual", stub.base, b"never"))
                assert turned_out(outside, E_ACCESSDENIED) == []
        for i, rpc in enumerate(inside):
            assert rpc.GetCacheStatus()["dirty_bytes"] == 1 and not rpc.notifications
            assert rpc.FlushCache() == 1
        assert stub.memory[:5] == b"xxxx\0"
        inside[2].close()

        def room():
            with contextlib.suppress(EOFError, KeyError, OSError):
                with daemon.connect() as rpc:
                    return rpc.GetExecutionStatus()

        assert until(room, "room") == BREAK


def test_no_more_descriptors():
    """The system gives no more: those inside are served, and those outside get in when there is room."""
    with served() as (stub, daemon), daemon.connect() as inside, contextlib.ExitStack() as stack:
        assert inside.WriteVirtual(stub.base, b"inside") == 6
        resource.prlimit(daemon.child.pid, resource.RLIMIT_NOFILE, (descriptors(daemon) + 3,) * 2)
        outside = [stack.enter_context(connect(daemon.rpc)) for _ in range(10)]
        for one in outside:
            one.sendall(request("ReadVirtual", stub.base, 4))
        began = time.process_time()
        daemon.child.wait_errors("cannot be accepted")
        for _ in range(20):
            assert inside.ReadVirtual(stub.base, 6) == b"inside"
        assert time.process_time() - began < PATIENCE
        answered = 0
        while outside:  # each that goes makes room for another
            ready, _, _ = select.select(outside, [], [], LIMIT)
            assert ready, "nobody gets in"
            for one in ready:
                assert msgpack.unpackb(one.recv(1 << 16))[3][0] == 0
                outside.remove(one)
                one.close()
                answered += 1
        assert answered == 10
        assert inside.FlushCache() == 6 and stub.memory[:6] == b"inside"


def test_no_more_memory():
    """Who asks for more than there is, is told; the others have what they need."""
    with served() as (stub, daemon), daemon.connect() as inside:
        with open(f"/proc/{daemon.child.pid}/maps", encoding="utf-8") as file:
            if "asan" in file.read():
                pytest.skip("AddressSanitizer cannot do with less")
        assert inside.WriteVirtual(stub.base, b"inside") == 6
        size = status(daemon.child.pid, "VmSize") + 40 * MIB
        resource.prlimit(daemon.child.pid, resource.RLIMIT_AS, (size, size))
        with daemon.connect() as greedy:
            for call, params in (
                ("ReadVirtual", (stub.base, 60 * MIB)),
                ("ReadVirtualUncached", (stub.base, 60 * MIB)),
                ("ReadPointersVirtual", (7 * MIB, stub.base)),
            ):
                with pytest.raises(CallFailed) as failure:
                    greedy.call(call, *params)
                assert failure.value.hresult == E_OUTOFMEMORY
                assert inside.ReadVirtual(stub.base, 6) == b"inside"
            assert greedy.ReadVirtual(stub.base, 16) == bytes(stub.memory[:16])
        # Many values take no more than their bytes; what is too long for the memory is turned out.
        values = HEAD + b"\xa5Hello\xdd" + struct.pack(">I", 3 * MIB) + b"\xc0" * (3 * MIB)
        with connect(daemon.rpc) as greedy:
            greedy.sendall(values)
            greedy.shutdown(socket.SHUT_WR)
            ((kind, _, (code, _), result),) = messages(read_all(greedy))
            assert (kind, code & 0xFFFFFFFF, result) == (1, E_INVALIDARG, None)
        with connect(daemon.rpc) as greedy:
            with contextlib.suppress(ConnectionError):
                greedy.sendall(WRITE + b"\x92\x00\xc6" + struct.pack(">I", 60 * MIB) + bytes(50 * MIB))
            read_all(greedy)
        daemon.child.wait_errors("out of memory")
        many = [connect(daemon.rpc) for _ in range(300)]  # each takes a stack
        told = 0
        for one in many:
            with contextlib.suppress(ConnectionError):
                one.sendall(request("GetExecutionStatus"))
            kind, *answer = msgpack.unpackb(one.recv(1 << 16))
            assert (kind, answer) == (1, [1, None, [0, BREAK]]) or answer[1][0] & 0xFFFFFFFF == E_OUTOFMEMORY
            told += kind == 2
            one.close()
        assert told
        assert inside.FlushCache() == 6 and stub.memory[:6] == b"inside"
