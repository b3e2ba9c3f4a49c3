"""Bad input and bad luck: a clear error, nothing lost that could be kept, nobody else disturbed."""

import os
import select
import socket
import struct
import time

import msgpack
import pytest
from harness import processes
from harness.rpc import (
    BREAK,
    E_FAIL,
    E_INVALIDARG,
    E_NOTIMPL,
    E_UNEXPECTED,
    GO,
    READ_FAULT,
    CallFailed,
    connect,
)
from harness.stub import CLOSE, SILENCE, Stub, packet
from test_virtual import refused


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def read_all(connection):
    """What comes until the other end closes."""
    data = b""
    while True:
        try:
            piece = connection.recv(65536)
        except ConnectionResetError:
            return data
        if not piece:
            return data
        data += piece


def nest(depth):
    return b"\x91" * depth + b"\xc0"


# frames

WRONG_FRAMES = {
    "reserved byte": b"\xc1",
    "text instead of a frame": b"GET / HTTP/1.1\r\n\r\n",
    "integer": b"\x07",
    "nil": b"\xc0",
    "empty array": b"\x90",
    "array of two": msgpack.packb([0, 1]),
    "array of five": msgpack.packb([0, 1, "Hello", [], 1]),
    "unknown type": msgpack.packb([7, 1, "Hello", []]),
    "a response": msgpack.packb([1, 1, None, []]),
    "message id is text": msgpack.packb([0, "one", "Hello", []]),
    "message id is negative": msgpack.packb([0, -1, "Hello", []]),
    "too deep": msgpack.packb([0, 1, "ReadVirtual", []])[:-1] + b"\x91" + nest(9),
    "much too deep": nest(100000),
    "array of four thousand million": b"\xdd\xff\xff\xff\xff",
    "map of four thousand million": b"\xdf\xff\xff\xff\xff",
    "four gigabytes of bytes": b"\x94\x00\x01\xacWriteVirtual\x92\x00\xc6\xff\xff\xff\xff",
    "four gigabytes of text": b"\xdb\xff\xff\xff\xff",
    "sixty-five megabytes": b"\x94\x00\x01\xacWriteVirtual\x92\x00\xc6" + struct.pack(">I", 65 << 20),
    "many arrays in the params": b"\x94\x00\x01\xa5Hello\xdd\x7f\xff\xff\xff",
}


@pytest.mark.parametrize("name", WRONG_FRAMES)
def test_wrong_frame(pc, rpc, name):
    """One error notification, and the connection is closed; memory stays as it is, others go on."""
    rpc.GetExecutionStatus()
    before = resident(pc.daemon.child.pid)
    with connect(pc.daemon.rpc) as stranger:
        stranger.sendall(WRONG_FRAMES[name])
        answer = read_all(stranger)
    unpacker = msgpack.Unpacker(raw=False)
    unpacker.feed(answer)
    messages = list(unpacker)
    assert len(messages) == 1, messages
    kind, method, (hresult, text) = messages[0]
    assert (kind, method) == (2, "Error") and hresult < 0 and text
    assert resident(pc.daemon.child.pid) - before < 64 << 20
    assert rpc.GetExecutionStatus() == GO


@pytest.mark.parametrize("cut", [1, 2, 5, 17, 30])
def test_truncated_frame(pc, halted, cut):
    """A client that goes in mid-frame has asked for nothing."""
    frame = msgpack.packb([0, 1, "WriteVirtualUncached", [pc.map.a, b"never"]])
    with connect(pc.daemon.rpc) as stranger:
        stranger.sendall(frame[:cut])
    assert halted.ReadVirtualUncached(pc.map.a, 5) == b"\0" * 5


def test_one_byte_at_a_time(pc, halted):
    frame = msgpack.packb([0, 77, "WriteVirtualUncached", [pc.map.a, b"slowly"]])
    with connect(pc.daemon.rpc) as slow:
        for byte in frame[:-1]:
            slow.sendall(bytes([byte]))
            assert halted.GetExecutionStatus() == BREAK  # nobody waits for it
        assert halted.ReadVirtualUncached(pc.map.a, 6) == b"\0" * 6
        slow.sendall(frame[-1:])
        answer = msgpack.unpackb(slow.recv(100))
        assert answer == [1, 77, None, [0, 6]]
    assert halted.ReadVirtualUncached(pc.map.a, 6) == b"slowly"


@pytest.mark.parametrize("request_body", [[0, 9, 5, []], [0, 9, "Hello", 5], [0, 9, "Hello", {}], [0, 9, None, None]])
def test_wrong_request_in_a_right_frame(pc, request_body):
    """It can be answered, so it is, and the connection goes on."""
    with connect(pc.daemon.rpc) as stranger:
        for _ in range(2):
            stranger.sendall(msgpack.packb(request_body))
            kind, msgid, error, result = msgpack.unpackb(stranger.recv(4096))
            assert (kind, msgid, result) == (1, 9, None)
            assert error[0] & 0xFFFFFFFF in (E_INVALIDARG, E_NOTIMPL) and error[1]


def test_notification_from_a_client(pc, rpc):
    """A client's notification needs no answer; whatever becomes of it, the daemon stays."""
    with connect(pc.daemon.rpc) as stranger:
        stranger.sendall(msgpack.packb([2, "Hello", ["x", 1]]))
    assert rpc.GetExecutionStatus() == GO


# calls

WRONG_CALLS = [
    ("WriteVirtual", [], E_INVALIDARG),
    ("WriteVirtual", [1], E_INVALIDARG),
    ("WriteVirtual", [1, b"x", 3], E_INVALIDARG),
    ("WriteVirtual", ["1", b"x"], E_INVALIDARG),
    ("WriteVirtual", [1, 2], E_INVALIDARG),
    ("WriteVirtual", [1, None], E_INVALIDARG),
    ("WriteVirtual", [-1, b"x"], E_INVALIDARG),
    ("WriteVirtual", [1.5, b"x"], E_INVALIDARG),
    ("WriteVirtual", [[1], b"x"], E_INVALIDARG),
    ("ReadVirtual", [0, -1], E_INVALIDARG),
    ("ReadVirtual", [0, 2**32], E_INVALIDARG),
    ("ReadVirtual", [0, 2**64 - 1], E_INVALIDARG),
    ("ReadVirtual", [0, 2**32 - 1], E_INVALIDARG),
    ("ReadVirtual", [{}, 1], E_INVALIDARG),
    ("ReadPointersVirtual", [2**32 - 1, 0], E_INVALIDARG),
    ("ReadPointersVirtual", [-1, 0], E_INVALIDARG),
    ("WritePointersVirtual", [0, 5], E_INVALIDARG),
    ("WritePointersVirtual", [0, ["x"]], E_INVALIDARG),
    ("WritePointersVirtual", [0, [-1]], E_INVALIDARG),
    ("WritePhysical2", [0, b"x"], E_INVALIDARG),
    ("WritePhysical2", [0, -1, b"x"], E_INVALIDARG),
    ("WritePhysical2", [0, 2**32, b"x"], E_INVALIDARG),
    ("WriteIo", [1, 0, 1, 0x80], E_INVALIDARG),
    ("WriteIo", [1, 0, 1, 0x80, "x"], E_INVALIDARG),
    ("ReadIo", [1, 0, 1, 0x80, 2**31], E_INVALIDARG),
    ("SetCachePolicy", [1], E_INVALIDARG),
    ("SetCachePolicy", [""], E_INVALIDARG),
    ("SetExecutionStatus", ["go"], E_INVALIDARG),
    ("WaitForEvent", [-1], E_INVALIDARG),
    ("Hello", ["x", 0], E_INVALIDARG),
    ("Hello", ["x", 3], E_INVALIDARG),
    ("Hello", [1, 1], E_INVALIDARG),
    ("GetCacheStatus", [1], E_INVALIDARG),
    ("NoSuchCall", [], E_NOTIMPL),
    ("writevirtual", [1, b"x"], E_NOTIMPL),
    ("", [], E_NOTIMPL),
    ("x" * 5000, [], E_NOTIMPL),
]


def test_wrong_calls(pc, halted):
    """Each gets its error, names itself, and the connection goes on."""
    for method, params, hresult in WRONG_CALLS:
        with pytest.raises(CallFailed) as failure:
            halted.call(method, *params)
        assert failure.value.hresult == hresult, failure.value
        assert method[:20] in failure.value.message, failure.value
        assert len(failure.value.message) < 2000
    assert halted.WriteVirtual(pc.map.a, b"goes on") == 7


def test_wrong_calls_between_right_ones(pc, halted):
    right = [halted.post("WriteVirtual", pc.map.a + i, b"r") for i in range(3)]
    wrong = halted.post("WriteVirtual", pc.map.a, 5)
    more = halted.post("ReadVirtual", pc.map.a, 4)
    for msgid in right:
        assert halted.answer(msgid).outs == [1]
    with pytest.raises(CallFailed):
        halted.answer(wrong)
    assert halted.answer(more).outs == [b"rrr\0"]


@pytest.mark.parametrize("address", [2**64 - 1, 2**64 - 4096, 2**63, 2**63 - 1, 2**47, 0x7FFFFFFFFFFF])
def test_addresses_at_the_edges(pc, halted, address):
    """Not canonical, not there, or at the very top: refused or counted, never wrapped around."""
    low = pc.guest.physical(0, 64)
    for call in ("WriteVirtual", "WriteVirtualUncached", "WritePhysical"):
        try:
            count = getattr(halted, call)(address, b"\x5a" * 10000)
        except CallFailed as failure:
            assert failure.hresult in (0x8007001D, E_INVALIDARG), failure
        else:
            assert count <= 2**64 - address
    halted.FlushCache()
    assert pc.guest.physical(0, 64) == low


# clients

def test_client_that_says_nothing(pc, rpc):
    with connect(pc.daemon.rpc):
        assert rpc.GetExecutionStatus() == GO


def test_client_that_never_reads(pc, halted):
    """Back-pressure: its own requests wait, memory stays bounded, and others are served."""
    before = resident(pc.daemon.child.pid)
    request = msgpack.packb([0, 1, "ReadVirtual", [pc.map.bulk, 1 << 20]])
    with connect(pc.daemon.rpc) as greedy:
        greedy.setblocking(False)
        sent = 0
        end = time.monotonic() + processes.LIMIT
        while time.monotonic() < end:  # until it takes no more
            if not select.select([], [greedy], [], 0.5)[1]:
                break
            try:
                sent += greedy.send(request * 1000)
            except BlockingIOError:
                continue
            assert sent < 256 << 20, "the daemon takes requests without end"
            assert resident(pc.daemon.child.pid) - before < 200 << 20
        assert halted.WriteVirtual(pc.map.a, b"served") == 6
        assert halted.ReadVirtual(pc.map.bulk, 1 << 20) == halted.ReadVirtualUncached(pc.map.bulk, 1 << 20)
        assert resident(pc.daemon.child.pid) - before < 200 << 20
    assert halted.FlushCache() == 6


def test_clients_that_vanish_with_requests_in_flight(pc, halted):
    for _ in range(10):
        gone = pc.daemon.connect()
        for _ in range(20):
            gone.post("ReadVirtual", pc.map.bulk, 1 << 18)
            gone.post("WriteVirtualUncached", pc.map.bulk, b"\x77" * 1000)
        gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
    assert halted.WriteVirtual(pc.map.a, b"still there") == 11
    halted.go()
    assert pc.guest.read(pc.map.a, 11) == b"still there"


def test_waiting_client_that_vanishes(pc, rpc):
    gone = pc.daemon.connect()
    gone.post("WaitForEvent", 2**32 - 1)
    gone.close()
    rpc.halt()
    assert rpc.GetExecutionStatus() == BREAK


# the target

@pytest.fixture
def stub(cleanup):
    made = Stub()
    cleanup.append(made)
    return made


def test_target_that_says_nothing(stub, new_daemon):
    """--timeout: then it counts as lost, and every caller learns it."""
    daemon = new_daemon(gdb=stub.gdb, options=["--timeout", "1"])
    with daemon.connect() as rpc, daemon.connect() as other:
        other.WriteVirtual(stub.base + 8, b"dirty")
        stub.misbehave = lambda payload: SILENCE
        start = time.monotonic()
        waiting = [rpc.post("ReadVirtualUncached", stub.base + i, 4) for i in range(3)]
        for msgid in waiting:
            with pytest.raises(CallFailed) as failure:
                rpc.answer(msgid)
            assert failure.value.hresult == E_UNEXPECTED
        assert 0.9 < time.monotonic() - start < 10
        _, message = other.wait_notification("FlushFailed")
        assert f"{stub.base + 8:x}" in message and "5" in message
        refused(E_UNEXPECTED, other.ReadVirtual, stub.base, 4)
    daemon.child.wait_errors("(?i)lost")
    assert daemon.running()


@pytest.mark.parametrize("what", [
    b"+" + packet("OK")[:-2] + b"zz",
    b"+$12345678#00",
    b"garbage without any frame at all ",
    b"+" + packet("not hex at all"),
    b"+" + packet("11" * 600),
    b"+" + packet("1122*"),
    (b"+$1122", CLOSE),
    CLOSE,
], ids=["sum is no number", "wrong sum", "garbage", "no hex", "too long", "bad run", "mid-packet", "close"])
def test_target_that_talks_nonsense(stub, new_daemon, what):
    """The call fails; afterwards the daemon works on, with the target when that behaves again."""
    daemon = new_daemon(gdb=stub.gdb, options=["--timeout", "1"])
    stub.memory[:4] = b"data"
    with daemon.connect() as rpc:
        stub.misbehave = lambda payload: what if payload.startswith(b"m") else None
        with pytest.raises(CallFailed) as failure:
            rpc.ReadVirtualUncached(stub.base, 4)
        assert failure.value.hresult in (E_UNEXPECTED, E_FAIL, READ_FAULT), failure.value
        stub.misbehave = lambda payload: None

        def works():
            try:
                return rpc.ReadVirtualUncached(stub.base, 4) == b"data"
            except CallFailed as error:
                assert error.hresult in (E_UNEXPECTED, E_FAIL), error
                return False

        processes.until(works, "the daemon to work on")
    assert daemon.running()


def test_target_that_gives_less(stub, new_daemon):
    """A stub may answer with fewer bytes than were asked for: the rest is asked for again."""
    daemon = new_daemon(gdb=stub.gdb)
    stub.memory[:4] = b"data"

    def one_byte(payload):
        if not payload.startswith(b"m"):
            return None
        start = int(payload[1:].split(b",")[0], 16) - stub.base
        return b"+" + packet(stub.memory[start : start + 1].hex())

    stub.misbehave = one_byte
    with daemon.connect() as rpc:
        assert rpc.ReadVirtualUncached(stub.base, 4) == b"data"


def test_target_that_refuses(stub, new_daemon):
    daemon = new_daemon(gdb=stub.gdb)
    with daemon.connect() as rpc:
        refused(READ_FAULT, rpc.ReadVirtual, stub.base + len(stub.memory), 4)
        refused(0x8007001D, rpc.WriteVirtualUncached, stub.base - 4096, b"1234")
        assert rpc.WriteVirtualUncached(stub.base + len(stub.memory) - 4, b"12345678") == 4
        assert bytes(stub.memory[-4:]) == b"1234"


def test_target_that_asks_again(stub, new_daemon):
    """A stub that says '-' wants the packet once more."""
    daemon = new_daemon(gdb=stub.gdb, options=["--timeout", "2"])
    refusals = [2]

    def nak(payload):
        if payload.startswith(b"m") and refusals[0]:
            refusals[0] -= 1
            return b"-"
        return None

    stub.misbehave = nak
    stub.memory[:4] = b"data"
    with daemon.connect() as rpc:
        try:
            assert rpc.ReadVirtualUncached(stub.base, 4) == b"data"
        except CallFailed as failure:
            assert failure.hresult == E_UNEXPECTED
    assert daemon.running()


def test_qemu_killed_with_dirty_bytes(bridge):
    """Every caller learns it, the log says what was lost, and the daemon comes back to the target."""
    pc = bridge("x86_64")
    rpc, other, waiting = pc.connect(), pc.connect(), pc.connect()
    rpc.halt()
    rpc.WriteVirtual(pc.map.a + 16, b"dirty bytes")
    other.ReadVirtual(pc.map.a, 4)
    rpc.go()
    rpc.halt()
    rpc.WriteVirtual(pc.map.a + 16, b"dirty bytes")
    pc.guest.kill()
    hresult, message = rpc.wait_notification("FlushFailed")
    assert hresult < 0 and f"{pc.map.a + 16:x}" in message and "11" in message
    for connection in (rpc, other, waiting):
        refused(E_UNEXPECTED, connection.ReadVirtual, pc.map.a, 4)
        refused(E_UNEXPECTED, connection.WriteVirtual, pc.map.a, b"no")
        refused(E_UNEXPECTED, connection.WriteIo, 1, 0, 1, 0x80, b"x")
    pc.daemon.child.wait_errors(r"(?i)lost")
    assert pc.daemon.running()
    assert rpc.GetCacheStatus()["dirty_bytes"] == 0

    pc.guest.launch()

    def back():
        try:
            return other.GetExecutionStatus()
        except CallFailed:
            return None

    assert processes.until(back, "the daemon to attach again") == GO
    other.halt()
    assert other.ReadVirtual(pc.map.a, 16) == b"\0" * 16
    assert rpc.WriteVirtual(pc.map.a, b"again") == 5
    other.go()
    assert pc.guest.read(pc.map.a, 5) == b"again"


def test_qemu_killed_while_one_waits(bridge):
    pc = bridge("x86_64")
    rpc = pc.connect()
    waiting = rpc.post("WaitForEvent", 2**32 - 1)
    with pc.daemon.connect() as other:
        other.GetExecutionStatus()
    pc.guest.kill()
    with pytest.raises(CallFailed) as failure:
        rpc.answer(waiting)
    assert failure.value.hresult == E_UNEXPECTED
    assert pc.daemon.running()


def test_qemu_killed_with_writes_under_way(bridge):
    pc = bridge("x86_64")
    rpc = pc.connect()
    rpc.halt()
    ids = [rpc.post("WriteVirtualUncached", pc.map.bulk, b"\x11" * (1 << 20)) for _ in range(20)]
    pc.guest.kill()
    outcomes = []
    for msgid in ids:
        try:
            outcomes.append(rpc.answer(msgid).outs[0])
        except CallFailed as failure:
            assert failure.hresult == E_UNEXPECTED
            outcomes.append(None)
    assert outcomes[-1] is None
    assert pc.daemon.running()


def test_frozen_qemu(bridge):
    """A stopped process answers nothing: after --timeout it counts as lost."""
    import signal

    pc = bridge("x86_64", options=["--timeout", "1"])
    rpc = pc.connect()
    rpc.halt()
    pc.guest.child.send(signal.SIGSTOP)
    try:
        refused(E_UNEXPECTED, rpc.ReadVirtualUncached, pc.map.a, 4)
        assert pc.daemon.running()
    finally:
        pc.guest.child.send(signal.SIGCONT)


def test_stub_taken_by_another(new_guest, directory):
    """QEMU's stub serves one client: the second daemon says so when it gets no answer."""
    from harness.daemon import Daemon
    from test_daemon import run

    guest = new_guest("x86_64")
    first = Daemon(guest)
    try:
        done = run("--gdb", guest.gdb, "--timeout", "1", directory=directory)
        assert done.returncode == 1 and guest.gdb in done.stderr
        assert guest.running()
    finally:
        first.stop()
