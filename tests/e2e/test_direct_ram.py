"""Bulk writes past QEMU under TCG: QEMU fills the range, which drops what it has translated of it, and the bytes are
copied into its memory. Nothing of ours may see what stands there in between, and it must not stay."""

import contextlib
import os
import signal
import socket
import struct
import sys
import threading
import time

import pytest
from conftest import Bridge, make_clean
from harness.daemon import program
from harness.guest import PAGE
from harness.rpc import E_FAIL, E_UNEXPECTED, GO, ISA, WRITE_FAULT
from test_virtual import refused
from test_ways import Between, counts, pattern, returns

BULK = 1 << 20
LEAST = 16 << 10  # from here on a write is worth it
WRITES = ["WritePhysical", "WriteVirtualUncached"]
OPTIONS = ["--qtest", "on", "--direct-ram", "on"]


class Held(Between):
    """One between the daemon and qtest who can keep what QEMU answers to a fill."""

    def __init__(self, path):
        self.hold = False
        self.filled = threading.Event()  # an answer to a fill is kept
        self.released = threading.Event()
        self.answered = threading.Event()  # it was handed on
        self.asked = b""
        self.gone = []
        super().__init__(path)

    def _copy(self, one, other, upward):
        while True:
            try:
                data = one.recv(4096)
                if not data:
                    other.shutdown(socket.SHUT_RDWR)
                    return
                if upward:
                    self.asked += data
                elif self.hold and b"memset" in self.asked:
                    self.hold = False
                    self.filled.set()
                    self.released.wait()
                other.sendall(data)
                if not upward and self.released.is_set():
                    self.answered.set()
            except OSError:
                return

    def cut(self):
        """Those that there are: it may be connected to anew at once."""
        pairs, self.pairs = self.pairs, []
        self.gone += pairs
        for near, far in pairs:
            for one in (far, near):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self.released.set()
        super().stop()
        for near, far in self.gone:
            near.close()
            far.close()


class Kept:
    """A guest and a daemon with one between."""

    def __init__(self, guest, held, daemon):
        self.guest, self.held, self.daemon, self.map = guest, held, daemon, guest.map
        self.connections = []

    def connect(self):
        self.connections.append(self.daemon.connect())
        return self.connections[-1]

    def disconnect(self):
        for connection in self.connections:
            connection.close()


class Write:
    """A bulk write that is kept between the fill and the copy."""

    def __init__(self, bridge, method="WritePhysical", size=BULK, tail=b""):
        self.bridge, self.held, self.data = bridge, bridge.held, pattern(size - len(tail)) + tail
        self.rpc = bridge.connect()
        self.rpc.halt()
        self.address = bridge.map.bulk_physical if method == "WritePhysical" else bridge.map.bulk
        self.before = self.rpc.GetTransportStatus()
        self.held.released.clear()
        self.held.filled.clear()
        self.held.answered.clear()
        self.held.asked = b""
        self.held.hold = True
        self.call = self.rpc.post(method, self.address, self.data)
        assert self.held.filled.wait(10)
        assert self.there() == bytes(size)

    def there(self):
        """What stands there, as QEMU has it."""
        return self.bridge.guest.physical(self.bridge.map.bulk_physical, len(self.data))

    def finish(self):
        self.held.released.set()
        return self.rpc.answer(self.call).outs

    def went(self, name):
        return counts(self.rpc, name)["bytes_written"] - self.before[name]["bytes_written"]


@pytest.fixture
def new_held(directory, cleanup, new_guest, new_daemon):
    """A factory of bridges with one between the daemon and qtest."""

    def make():
        path = directory + "/qtest.sock"
        extra = ["-chardev", f"socket,id=spacebridge-qtest,path={path},server=on,wait=off"]
        extra += ["-object", "qtest,id=spacebridge-qtest,chardev=spacebridge-qtest,log=none"]
        extra += ["-device", "piix3-usb-uhci", "-device", "usb-tablet,id=tablet"]
        guest = new_guest(extra=extra)
        held = Held(path)
        cleanup.append(held)
        return Kept(guest, held, new_daemon(guest, options=OPTIONS))

    return make


@pytest.fixture
def kept(new_held):
    made = new_held()
    yield made
    made.disconnect()


@pytest.fixture(scope="module")
def _shared():
    made = Bridge(options=OPTIONS)
    yield made
    made.stop()


@pytest.fixture
def direct(_shared):
    make_clean(_shared)
    yield _shared
    _shared.disconnect()


def written(rpc, name="direct-ram"):
    return counts(rpc, name)["bytes_written"]


@pytest.mark.parametrize("method", WRITES)
def test_without_qmp_nobody_would_tell_who_lets_it_run(bridge, method):
    """So QEMU writes the bytes itself, once, and no filler ever stands there."""
    made = bridge(qmp=False, options=OPTIONS)
    rpc = made.connect()
    rpc.halt()
    data = pattern(BULK, 3)
    address = made.map.bulk_physical if method == "WritePhysical" else made.map.bulk
    assert getattr(rpc, method)(address, data) == BULK
    assert counts(rpc, "direct-ram")["open"] and written(rpc) == 0
    assert written(rpc, "qtest") == BULK
    assert made.guest.physical(made.map.bulk_physical, BULK) == data


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize(
    "offset, size",
    [(PAGE, LEAST), (1, LEAST), (PAGE - 1, LEAST + 2), (5, 3 * BULK + 7), (64 * 1024 - 1, BULK + 2), (4095, BULK - 4095)],
)
def test_it_takes_the_bytes_and_no_more(direct, method, offset, size):
    rpc = direct.connect()
    rpc.halt()
    where = direct.map
    rpc.FillPhysical(where.bulk_physical, where.bulk_size, b"\xee")
    data = pattern(size, offset)
    before = written(rpc)
    address = where.bulk_physical if method == "WritePhysical" else where.bulk
    assert getattr(rpc, method)(address + offset, data) == size
    assert size - LEAST < written(rpc) - before <= size  # a short rest is not worth it
    seen = direct.guest.physical(where.bulk_physical, offset + size + PAGE)
    assert seen == b"\xee" * offset + data + b"\xee" * PAGE
    rpc.go()
    assert direct.guest.holds(where.bulk, seen)


def test_a_little_goes_by_qtest(direct):
    rpc = direct.connect()
    rpc.halt()
    before = written(rpc), written(rpc, "qtest")
    rpc.WritePhysical(direct.map.bulk_physical, pattern(LEAST - 1))
    assert (written(rpc), written(rpc, "qtest")) == (before[0], before[1] + LEAST - 1)


def test_the_end_of_ram(direct):
    rpc = direct.connect()
    rpc.halt()
    end = 64 << 20
    data = pattern(BULK + 3, 4)
    before = written(rpc)
    assert rpc.WritePhysical(end - len(data), data) == len(data)
    assert written(rpc) - before == len(data)
    assert rpc.WritePhysical(end - BULK, data) == BULK
    assert direct.guest.physical(end - len(data), len(data)) == data[:3] + data[:BULK]
    refused(WRITE_FAULT, rpc.WritePhysical, end, data)


def test_what_is_no_ram_is_never_filled(direct):
    """A BAR's memory and ROM."""
    rpc = direct.connect()
    rpc.halt()
    before = written(rpc)
    data = pattern(direct.map.frame_size, 5)
    assert rpc.WritePhysical(direct.guest.bars["frame"], data) == len(data)
    assert direct.guest.physical(direct.guest.bars["frame"], len(data)) == data
    rom = direct.guest.physical(0xFFFC0000, 0x40000)
    refused(WRITE_FAULT, rpc.WritePhysical, 0xFFFC0000, pattern(0x40000, 6))
    assert direct.guest.physical(0xFFFC0000, 0x40000) == rom
    assert written(rpc) == before


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("size", [LEAST, BULK + 5])
def test_code_that_has_run_and_is_written_in_bulk(direct, method, size):
    """Nothing that was translated of the old code is run: at its beginning, at its end, in the middle of pages."""
    rpc = direct.connect()
    where = direct.map
    places = [3, PAGE - 3, 2 * PAGE + 100, size // 2, size - 6]
    for number in range(1, 6):
        rpc.halt()
        data = bytearray(pattern(size, number))
        for i, place in enumerate(places):
            data[place : place + 6] = returns(number * 100 + i)
        address = where.bulk_physical if method == "WritePhysical" else where.bulk
        before = written(rpc)
        assert getattr(rpc, method)(address, bytes(data)) == size
        assert size - LEAST < written(rpc) - before <= size
        rpc.go()
        for i, place in enumerate(places):
            assert int(direct.guest.ask(f"call {where.bulk + place:#x} 0"), 16) == number * 100 + i


def test_pages_that_lie_apart(direct):
    """Each is a span of its own, and all are filled together."""
    rpc = direct.connect()
    rpc.go()
    where, guest = direct.map, direct.guest
    pages = [where.window + i * PAGE for i in range(11, 16)]  # the window has them free
    first = pages[0]
    for i, page in enumerate(pages):
        guest.ask(f"map {page:#x} {where.bulk_physical + (15 - 2 * i) * PAGE:#x} rw")
    rpc.halt()
    data = pattern(5 * PAGE, 7)
    before = written(rpc)
    assert rpc.WriteVirtualUncached(first, data) == len(data)
    assert written(rpc) - before == len(data)
    rpc.go()
    for i, page in enumerate(pages):
        part = data[i * PAGE : (i + 1) * PAGE]
        assert guest.physical(where.bulk_physical + (15 - 2 * i) * PAGE, PAGE) == part
        assert guest.holds(page, part)


# in between


def answered(rpc, call, within=0.3):
    """Has it been answered? Waits a little."""
    rpc.socket.settimeout(within)
    try:
        while call not in rpc._answers:  # pylint: disable=protected-access
            rpc._receive()  # pylint: disable=protected-access
    except TimeoutError:
        pass
    finally:
        rpc.socket.settimeout(30)
    return call in rpc._answers  # pylint: disable=protected-access


@pytest.mark.parametrize("method", WRITES)
def test_nobody_of_ours_sees_the_filler(kept, method):
    """Whatever looks at memory waits, by whichever way it looks."""
    others = [kept.connect() for _ in range(8)]
    where = kept.map
    write = Write(kept, method)
    asked = [
        ("ReadPhysical", where.bulk_physical, BULK),
        ("ReadPhysical", where.bulk_physical + 8, 8),
        ("ReadVirtual", where.bulk + 16, 8),
        ("ReadVirtualUncached", where.bulk, 3 * PAGE),
        ("ReadPointersVirtual", 2, where.bulk),
        ("ReadIo", ISA, 0, 1, 0x70, 1),
        ("VirtualToPhysical", where.per_cpu),
        ("FillPhysical", where.c_physical, PAGE, b"c"),
    ]
    calls = [(other, other.post(*ask)) for other, ask in zip(others, asked)]
    assert [answered(other, call, 0.1) for other, call in calls] == [False] * len(calls)
    assert write.finish() == [BULK]
    outs = [other.answer(call).outs[0] for other, call in calls]
    data = write.data
    assert outs[:4] == [data, data[8:16], data[16:24], data[: 3 * PAGE]]
    assert outs[4] == list(struct.unpack("<2Q", data[:16]))
    assert write.went("direct-ram") == BULK and write.went("qtest") == PAGE
    assert write.there() == data


@pytest.mark.parametrize("method", WRITES)
def test_a_resume_waits(kept, method):
    write = Write(kept, method)
    other = kept.connect()
    go = other.post("SetExecutionStatus", GO)
    assert not answered(other, go)
    assert not kept.guest.running()
    assert write.finish() == [BULK]
    other.answer(go)
    assert kept.guest.running()
    assert write.went("direct-ram") == BULK
    assert kept.guest.holds(kept.map.bulk, write.data)


def jumps(to, rax):
    """Code that goes there with a value in RAX: what the zeros of a filler add to lies there."""
    return b"\x48\xb8" + struct.pack("<Q", rax) + b"\x49\xbb" + struct.pack("<Q", to) + b"\x41\xff\xe3"


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("late", [False, True])
def test_another_lets_it_run(kept, method, late):
    """QEMU writes the bytes itself then, so that nothing stays which was translated of the filler. Late: the daemon hears
    of it and of the fill together."""
    rpc = kept.connect()
    rpc.halt()
    where, guest = kept.map, kept.guest
    rpc.WritePhysical(where.bulk_physical + BULK, b"\xc3" * 16)
    rpc.WritePhysical(where.code_physical, jumps(where.bulk + BULK - 6, where.a))
    write = Write(kept, method, tail=returns(77))
    if late:
        os.kill(kept.daemon.child.pid, signal.SIGSTOP)
    guest.qmp_control.execute("cont")
    guest.ask(f"call {where.code:#x} 0")  # the last zeros ("add %al, (%rax)"), then it returns
    if late:
        kept.held.released.set()
        assert kept.held.answered.wait(10)
        os.kill(kept.daemon.child.pid, signal.SIGCONT)
    assert write.finish() == [BULK]
    assert write.went("qtest") == BULK
    assert guest.physical(where.bulk_physical + PAGE, BULK - PAGE) == write.data[PAGE:]
    assert int(guest.ask(f"call {where.code:#x} 0"), 16) == 77


def test_the_map_moves(kept):
    write = Write(kept)
    events = kept.guest.qmp_control.events
    events.clear()
    kept.guest.qmp_control.execute("device_del", id="tablet")
    while not any(event["event"] == "DEVICE_DELETED" for event in events):
        kept.guest.qmp_control.execute("query-status")
    assert write.finish() == [BULK]
    assert write.there() == write.data
    assert write.went("qtest") == BULK


def test_qtest_is_lost_and_comes_back(kept):
    """A new connection is served when what came by the old one was carried out: then it is written, and counts."""
    write = Write(kept)
    kept.held.cut()
    assert write.finish() == [BULK]
    assert write.there() == write.data
    assert counts(write.rpc, "qtest")["open"]
    assert write.went("qtest") == BULK and write.went("direct-ram") == 0


def test_qtest_is_lost_for_good(kept):
    """The fill might be carried out yet: the bytes are written, but not counted."""
    write = Write(kept)
    os.unlink(kept.held.real[: -len(".real")])
    kept.held.cut()
    refused(E_FAIL, write.finish)
    assert write.there() == write.data
    assert not counts(write.rpc, "qtest")["open"]
    assert write.rpc.WritePhysical(write.address, write.data) == BULK


def test_qemu_dies(kept):
    write = Write(kept)
    kept.guest.kill()
    refused(E_UNEXPECTED, write.finish)
    refused(E_UNEXPECTED, write.rpc.WritePhysical, 0, b"gone")
    assert kept.daemon.running()


def test_the_client_leaves(kept):
    write = Write(kept)
    write.rpc.close()
    time.sleep(0.1)
    kept.held.released.set()
    assert kept.connect().ReadPhysical(write.address, BULK) == write.data
    assert write.there() == write.data


def test_the_daemon_is_asked_to_end(kept):
    write = Write(kept)
    os.kill(kept.daemon.child.pid, signal.SIGTERM)
    time.sleep(0.2)
    kept.held.released.set()
    assert kept.daemon.child.wait() == 0
    assert write.there() == write.data


REFUSER = """#!{python}
# The program with a kernel that refuses process_vm_writev.
import ctypes, os, platform, struct, sys
number = {{"x86_64": 311, "aarch64": 271}}[platform.machine()]
code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Filter(len(code), ctypes.addressof(program)))) == 0
os.execv({program!r}, sys.argv[:])
"""


@pytest.mark.parametrize("method", WRITES)
def test_the_kernel_refuses(new_held, monkeypatch, tmp_path, method):
    wrapper = tmp_path / "refused"
    wrapper.write_text(REFUSER.format(python=sys.executable, program=program("spacebridged")))
    wrapper.chmod(0o755)
    monkeypatch.setenv("SPACEBRIDGED", str(wrapper))
    made = new_held()
    try:
        write = Write(made, method)
        other = made.connect()
        assert counts(other, "direct-ram")["open"]
        read = other.post("ReadPhysical", made.map.bulk_physical, BULK)
        assert write.finish() == [BULK]
        assert other.answer(read).outs == [write.data]
        assert write.there() == write.data
        assert not counts(other, "direct-ram")["open"]
        assert write.went("qtest") == BULK and write.went("direct-ram") == 0
    finally:
        made.disconnect()
