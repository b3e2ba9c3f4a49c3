"""The ways to memory beside the GDB stub: each must do what the stub does, and more of it while the guest runs."""

import os
import random
import signal
import socket
import struct
import threading

import pytest
from conftest import Shared
from harness.guest import PAGE, PORT_DEBUGCON, Guest, kvm_trouble
from harness.rpc import (
    DEFAULT,
    E_INVALIDARG,
    E_UNEXPECTED,
    ISA,
    MISALIGNED,
    PCIBUS,
    READ_FAULT,
    WRITE_COMBINED,
    WRITE_FAULT,
    CallFailed,
)
from harness.daemon import Daemon
from test_virtual import refused, u32

WAYS = {
    "stub": ["--qtest", "off"],
    "qtest": ["--qtest", "on"],
    "direct": ["--direct-ram", "on"],
    "direct+qtest": ["--qtest", "on", "--direct-ram", "on"],
}
# Under KVM as well: nobody translates code there, and processors see memory through the host's page tables.
coherent = pytest.mark.parametrize("_ways", [*WAYS, "kvm stub", "kvm direct", "kvm direct+qtest"], indirect=True)
BULK = 1 << 20
PCI_INDEX = 0xCF8


@pytest.fixture(scope="module", params=WAYS)
def _ways(request):
    accel, _, name = request.param.rpartition(" ")
    if accel == "kvm" and kvm_trouble():
        pytest.skip(kvm_trouble())
    shared = Shared(arch="x86_64", options=WAYS[name], accel=accel or "tcg")
    shared.name, shared.kvm = name, accel == "kvm"
    yield shared
    shared.stop()


@pytest.fixture
def way(_ways):
    bridge = _ways.get()
    bridge.way, bridge.kvm = _ways.name, _ways.kvm
    yield bridge
    bridge.disconnect()


@pytest.fixture(scope="module")
def _live():
    shared = Shared(arch="x86_64", options=["--qtest", "on"])
    yield shared
    shared.stop()


@pytest.fixture
def live(_live):
    """A bridge with qtest, the guest running."""
    bridge = _live.get()
    yield bridge
    bridge.disconnect()


def pattern(size, seed=1):
    return bytes((i * 7 + (i >> 8) * 13 + seed) & 0xFF for i in range(size))


def counts(rpc, name):
    return rpc.GetTransportStatus()[name]


# every way does the same


@coherent
def test_what_is_open(way):
    rpc = way.connect()
    ways = rpc.GetTransportStatus()
    assert ways["rsp"]["open"] and ways["monitor"]["open"]
    assert ways["qtest"]["open"] == ("qtest" in way.way)
    assert ways["direct-ram"]["open"] == ("direct" in way.way)
    assert ways["memory-file"]["open"]
    for one in ways.values():
        assert one["open"] or one["note"]


@pytest.mark.parametrize("size", [1, 2047, PAGE, 5 * PAGE + 3, BULK])
def test_bulk_virtual(way, size):
    rpc = way.connect()
    rpc.halt()
    data = pattern(size)
    address = way.map.bulk + 3 * PAGE - 5
    rpc.WriteVirtualUncached(address + size, b"\xee")
    assert rpc.WriteVirtualUncached(address, data) == size
    assert rpc.ReadVirtualUncached(address, size + 1) == data + b"\xee"
    rpc.go()
    assert way.guest.holds(address, data)


@pytest.mark.parametrize("size", [1, 2047, PAGE, 5 * PAGE + 3, BULK])
def test_bulk_physical(way, size):
    rpc = way.connect()
    rpc.halt()
    data = pattern(size, 2)
    offset = 2 * PAGE - 9
    rpc.WritePhysical(way.map.bulk_physical + offset + size, b"\xee")
    assert rpc.WritePhysical(way.map.bulk_physical + offset, data) == size
    assert rpc.ReadPhysical(way.map.bulk_physical + offset, size + 1) == data + b"\xee"
    rpc.go()
    assert way.guest.holds(way.map.bulk + offset, data)


@pytest.mark.parametrize("method", ["WriteVirtualUncached", "WritePhysical"])
def test_runs_of_every_length(way, method):
    """They may go shortened, and must come out as they were."""
    rpc = way.connect()
    rpc.halt()
    data = b"".join(bytes([value]) * length for length in range(1, 120) for value in (0, 0x23, 0xFF, 0x2A, 0x7D, 0x11))
    address = way.map.bulk if method == "WriteVirtualUncached" else way.map.bulk_physical
    assert getattr(rpc, method)(address, data) == len(data)
    assert way.guest.physical(way.map.bulk_physical, len(data)) == data


def scatter(start, size):
    """Dirty runs of 1 to 17 bytes with gaps between, as (offset, bytes), rising, over size bytes."""
    runs, at, length = [], start, 1
    while at + length < size:
        runs.append((at, bytes((at * 5 + i * 31 + 1) & 0xFF for i in range(length))))
        at += length + 1 + at % 509
        length = length % 17 + 1
    return runs


def test_small_runs(way):
    """A flush of many: exactly these bytes, and by qtest where there is one."""
    rpc = way.connect()
    rpc.halt()
    size = 48 * PAGE
    rpc.WriteVirtualUncached(way.map.bulk, b"\xee" * size)
    expected = bytearray(b"\xee" * size)
    runs = scatter(3, size)
    before = rpc.GetTransportStatus()
    for offset, data in runs:
        assert rpc.WriteVirtual(way.map.bulk + offset, data) == len(data)
        expected[offset : offset + len(data)] = data
    assert rpc.FlushCache() == sum(len(data) for _, data in runs)
    after = rpc.GetTransportStatus()
    assert way.guest.physical(way.map.bulk_physical, size) == expected
    if "qtest" in way.way:
        written = {name: after[name]["bytes_written"] - before[name]["bytes_written"] for name in after}
        assert written["qtest"] == sum(len(data) for _, data in runs)
        assert written["rsp"] == 0


def test_a_stream_over_more_pages_than_the_view_holds(way):
    """The view is flushed again and again beside it; the last write to a byte wins, and nothing else is touched."""
    rpc = way.connect()
    rpc.halt()
    pages, chance = 700, random.Random(7)
    rpc.WriteVirtualUncached(way.map.bulk, b"\xee" * pages * PAGE)
    expected = bytearray(b"\xee" * pages * PAGE)
    for _ in range(6):
        calls = []
        for _ in range(1500):
            offset = chance.randrange(pages) * PAGE + chance.choice((0, 1, 7, 2040, PAGE - 9)) + chance.randrange(4)
            data = chance.randbytes(chance.choice((1, 2, 3, 4, 5, 8)))
            calls.append((rpc.post("WriteVirtual", way.map.bulk + offset, data), len(data)))
            expected[offset : offset + len(data)] = data
        at = chance.randrange(pages) * PAGE
        read = rpc.post("ReadVirtual", way.map.bulk + at, PAGE)
        assert [rpc.answer(call).outs for call, _ in calls] == [[length] for _, length in calls]
        assert rpc.answer(read).outs[0] == expected[at : at + PAGE]
    rpc.FlushCache()
    assert way.guest.physical(way.map.bulk_physical, pages * PAGE) == expected


def test_small_runs_of_a_big_endian_target(bridge):
    """They go as numbers of the target's order, and must come out as bytes."""
    ppc = bridge("ppc", options=["--qtest", "on"])
    rpc = ppc.connect()
    rpc.halt()
    size = 8 * PAGE
    rpc.WriteVirtualUncached(ppc.map.ram, b"\xee" * size)
    expected = bytearray(b"\xee" * size)
    runs = scatter(1, size)
    written = counts(rpc, "qtest")["bytes_written"]
    for offset, data in runs:
        rpc.WriteVirtual(ppc.map.ram + offset, data)
        expected[offset : offset + len(data)] = data
    rpc.FlushCache()
    assert counts(rpc, "qtest")["bytes_written"] - written == sum(len(data) for _, data in runs)
    for length in (1, 2, 4, 8, 9):
        rpc.WritePhysical(ppc.map.ram + 32 * length, pattern(length))
        expected[32 * length : 33 * length] = pattern(length)
    rpc.go()
    assert ppc.guest.read(ppc.map.ram, size) == expected


def test_pages_that_do_not_lie_together(way):
    """A and B are neighbours, their memory is not; behind them is the hole."""
    rpc = way.connect()
    rpc.halt()
    data = pattern(2 * PAGE, 3)
    assert rpc.WriteVirtualUncached(way.map.a, data + b"more") == 2 * PAGE
    assert rpc.ReadVirtualUncached(way.map.a, 2 * PAGE + 4) == data
    assert way.guest.physical(way.map.a_physical, PAGE) == data[:PAGE]
    assert way.guest.physical(way.map.b_physical, PAGE) == data[PAGE:]


def test_rom_by_virtual_address(way):
    rpc = way.connect()
    rpc.halt()
    before = rpc.ReadVirtualUncached(way.map.rom, PAGE)
    data = pattern(PAGE, 4)
    try:
        assert rpc.WriteVirtualUncached(way.map.rom, data) == PAGE
        assert way.guest.physical(way.map.rom_physical, PAGE) == data
    finally:
        rpc.WriteVirtualUncached(way.map.rom, before)
    refused(WRITE_FAULT, rpc.WritePhysical, way.map.rom_physical, data)


def test_a_device_sees_one_access(way):
    """Of the width asked for, where the device takes it; the test device takes bytes alone."""
    rpc = way.connect()
    rpc.halt()
    edu, testdev = way.guest.bars["edu"] + 4, way.guest.bars["testdev"] + 0x100
    with way.guest.accesses() as seen:
        rpc.WritePhysical(edu, u32(0x01020304))
        rpc.WritePhysical(way.map.hpet_physical + 0xF0, bytes(range(8)))
        rpc.WritePhysical(testdev, b"\x07")
        rpc.WritePhysical(testdev, b"\x08\x09")
    hpet = [(x.size, x.value) for x in seen if x.name == "hpet"]
    assert hpet in ([(8, 0x0706050403020100)], [(4, 0x03020100), (4, 0x07060504)])
    seen = [(x.address, x.size, x.value) for x in seen if x.name != "hpet"]
    assert seen == [(edu, 4, 0x01020304), (testdev, 1, 7), (testdev, 1, 8), (testdev + 1, 1, 9)]


def test_the_same_by_a_virtual_address(way):
    rpc = way.connect()
    rpc.halt()
    with way.guest.accesses(reads=True) as seen:
        rpc.WriteVirtualUncached(way.map.edu + 4, u32(0x12345678))
        assert rpc.ReadVirtualUncached(way.map.edu + 4, 4) == u32(0x12345678 ^ 0xFFFFFFFF)
    assert [(x.kind, x.size, x.value) for x in seen] == [("write", 4, 0x12345678), ("read", 4, 0xEDCBA987)]


# mov $n, %eax; ret
def returns(number):
    return b"\xb8" + struct.pack("<I", number) + b"\xc3"


@coherent
@pytest.mark.parametrize("method", ["WriteVirtual", "WriteVirtualUncached", "WritePhysical", "FillPhysical"])
@pytest.mark.parametrize("whole", [False, True], ids=["patch", "page"])
def test_code_that_was_patched_is_what_runs(way, method, whole):
    """What TCG has translated of the old code is not run any more."""
    rpc = way.connect()
    guest = way.guest
    for number in range(1, 6):
        rpc.halt()
        code = returns(number) + (b"\x90" * (PAGE - 6) if whole else b"")
        if method == "FillPhysical":
            code *= 2 if not whole else 1
            rpc.FillPhysical(way.map.code_physical, len(code), code)
        elif method == "WritePhysical":
            assert rpc.WritePhysical(way.map.code_physical, code) == len(code)
        else:
            assert getattr(rpc, method)(way.map.code, code) == len(code)
        rpc.go()
        assert int(guest.ask(f"call {way.map.code:#x} 0"), 16) == number


@coherent
def test_code_that_is_filled_over(way):
    """NOPs over a jump, by a fill of one byte."""
    rpc = way.connect()
    rpc.halt()
    # jmp over the first result; after the fill it falls through to the other
    code = b"\xeb\x05" + b"\x90" * 5 + returns(7)
    rpc.WriteVirtual(way.map.code, b"\x90" * PAGE)
    rpc.WriteVirtual(way.map.code + PAGE - len(code), code)
    rpc.go()
    start = way.map.code + PAGE - len(code)
    assert int(way.guest.ask(f"call {start:#x} 0"), 16) == 7
    rpc.halt()
    assert rpc.FillVirtual(way.map.code, PAGE, b"\xc3") == PAGE
    rpc.go()
    way.guest.ask(f"call {start:#x} 0")  # returns at once, with whatever was there
    assert way.guest.read(way.map.code, PAGE) == b"\xc3" * PAGE


# port writes that come together


def debug_bytes(count):
    return bytes(32 + i % 89 for i in range(count))


def post_ports(rpc, data, port=PORT_DEBUGCON):
    """Each byte a write of its own, none waiting for the one before."""
    return [rpc.post("WriteIo", ISA, 0, 1, port, data[i : i + 1]) for i in range(len(data))]


def on_debugcon(guest, since):
    """What has been written there, up to the end of a line."""
    return guest.debugcon.wait(lambda data: data[:-1] if data.endswith(b"\n") else None, since)


@pytest.mark.parametrize("running", [False, True])
def test_a_stream_of_port_writes(way, running):
    rpc = way.connect()
    if not running:
        rpc.halt()
    data = debug_bytes(10000 if "qtest" in way.way else 600)
    since = way.guest.debugcon.mark()
    before = counts(rpc, "qtest")
    for at in range(0, len(data), 1000):
        calls = post_ports(rpc, data[at : at + 1000])
        assert [rpc.answer(call).outs for call in calls] == [[1]] * len(calls)
    after = counts(rpc, "qtest")
    rpc.WriteIo(ISA, 0, 1, PORT_DEBUGCON, b"\n")
    assert on_debugcon(way.guest, since) == data
    for what in ("calls", "bytes_written"):
        assert after[what] - before[what] == (len(data) if "qtest" in way.way else 0)
    assert way.guest.running() is running


def test_a_stream_of_port_writes_is_one_access_each(way):
    rpc = way.connect()
    rpc.halt()
    data = debug_bytes(400)
    with way.guest.accesses(reads=True) as seen:
        calls = post_ports(rpc, data)
        wide = [
            rpc.post("WriteIo", ISA, 0, 1, PCI_INDEX, u32(0x80000000)),
            rpc.post("WriteIo", ISA, 0, 1, PORT_DEBUGCON, b"!"),
            rpc.post("WriteIo", ISA, 0, 1, PCI_INDEX, u32(0)),
        ]
        for call in calls + wide:
            rpc.answer(call)
    assert rpc.order[-len(calls + wide) :] == calls + wide
    assert [(x.kind, x.address, x.size, x.value) for x in seen] == [
        *(("write", PORT_DEBUGCON, 1, byte) for byte in data),
        ("write", PCI_INDEX, 4, 0x80000000),
        ("write", PORT_DEBUGCON, 1, ord("!")),
        ("write", PCI_INDEX, 4, 0),
    ]


def test_bad_ones_in_a_stream_of_port_writes(way):
    """They are refused, in their places; what is before them is done, and what is behind them too."""
    rpc = way.connect()
    rpc.halt()
    since = way.guest.debugcon.mark()
    parts = [debug_bytes(50), debug_bytes(70)[10:], b"x", b"the end"]
    bad = [(ISA, 0, 1, 0x71, b"no"), (ISA, 0, 1, PORT_DEBUGCON, b"no!"), (PCIBUS, 200, 1, PORT_DEBUGCON, b"n")]
    hresults = [MISALIGNED, E_INVALIDARG, E_INVALIDARG]
    good, refusals = [], []
    with way.guest.accesses() as seen:
        for part, one in zip(parts, bad + [None]):
            good += post_ports(rpc, part)
            if one:
                refusals.append(rpc.post("WriteIo", *one))
        for call, hresult in zip(refusals, hresults):
            refused(hresult, rpc.answer, call)
        for call in good:
            rpc.answer(call)
    assert rpc.order[-len(good + refusals) :] == sorted(good + refusals)
    assert [(x.address, x.size, x.value) for x in seen] == [(PORT_DEBUGCON, 1, byte) for byte in b"".join(parts)]
    rpc.WriteIo(ISA, 0, 1, PORT_DEBUGCON, b"\n")
    assert on_debugcon(way.guest, since) == b"".join(parts)


def test_an_interrupt_overtakes_a_stream_of_port_writes(live):
    rpc = live.connect()
    calls = post_ports(rpc, debug_bytes(2000))
    interrupt = rpc.post("SetInterrupt")
    rpc.answer(interrupt)
    for call in calls:
        rpc.answer(call)
    rpc.WaitForEvent(10000)
    assert not live.guest.running()
    rpc.go()


def test_dirty_bytes_go_before_a_stream_of_port_writes(way):
    rpc = way.connect()
    rpc.halt()
    write = rpc.post("WriteVirtual", way.map.a, b"before")
    calls = post_ports(rpc, b"12345")
    for call in [write, *calls]:
        rpc.answer(call)
    assert rpc.GetCacheStatus()["dirty_bytes"] == 0
    assert way.guest.physical(way.map.a_physical, 6) == b"before"


# page tables


@coherent
@pytest.mark.parametrize("by", ["WritePhysical", "WriteVirtual", "guest", "FillPhysical"])
def test_page_tables_that_are_edited(way, by):
    """Translations are kept, but not a moment too long."""
    rpc, other = way.connect(), way.connect()
    guest, where = way.guest, way.map
    rpc.halt()
    entry = guest.page_entry(where.flip)
    old = int.from_bytes(guest.physical(entry, 8), "little")
    new = (old & 0xFFF) | where.c_physical
    # known to everybody, in more pages than are asked for one by one
    for connection in (rpc, other):
        connection.ReadVirtual(where.a, PAGE)
        connection.ReadVirtual(where.bulk, 16 * PAGE)
        connection.ReadVirtualUncached(where.flip, 8)
        assert connection.VirtualToPhysical(where.flip) == where.flip_physical
    rpc.WritePhysical(where.c_physical, b"C" * 16)
    rpc.WritePhysical(where.flip_physical, b"F" * 16)
    try:
        if by == "WritePhysical":
            rpc.WritePhysical(entry, new.to_bytes(8, "little"))
        elif by == "FillPhysical":
            rpc.FillPhysical(entry, 8, new.to_bytes(8, "little"))
        elif by == "WriteVirtual":  # low memory is mapped as it is
            rpc.WriteVirtualUncached(entry, new.to_bytes(8, "little"))
        else:
            rpc.go()
            guest.ask(f"map {where.flip:#x} {where.c_physical:#x} rw")
            rpc.halt()
        for connection in (rpc, other):
            assert connection.VirtualToPhysical(where.flip) == where.c_physical
            assert connection.ReadVirtual(where.flip, 16) == b"C" * 16
            assert connection.WriteVirtualUncached(where.flip, b"new") == 3
            assert guest.physical(where.c_physical, 3) == b"new"
            connection.WritePhysical(where.c_physical, b"CCC")
        assert guest.physical(where.flip_physical, 3) == b"FFF"
    finally:
        rpc.WritePhysical(entry, old.to_bytes(8, "little"))
        rpc.go()


# fills


@pytest.mark.parametrize("size", [1, 7, PAGE, PAGE + 1, 3 * PAGE - 1, BULK])
@pytest.mark.parametrize("what", [b"\xa5", b"\0\0\0", b"abc", b"\x00\xff"])
def test_fill(way, size, what):
    rpc = way.connect()
    rpc.halt()
    expected = (what * (size // len(what) + 1))[:size]
    for method, address in (("FillVirtual", way.map.bulk + 7), ("FillPhysical", way.map.bulk_physical + 7)):
        rpc.WritePhysical(way.map.bulk_physical, b"\x11" * (size + 16))
        assert getattr(rpc, method)(address, size, what) == size
        rpc.FlushCache()
        assert rpc.ReadPhysical(way.map.bulk_physical, size + 16) == b"\x11" * 7 + expected + b"\x11" * 9


def test_fill_edges(way):
    rpc = way.connect()
    rpc.halt()
    where = way.map
    refused(E_INVALIDARG, rpc.FillVirtual, where.a, 16, b"")
    refused(E_INVALIDARG, rpc.FillPhysical, where.a_physical, 16, b"")
    assert rpc.FillVirtual(where.hole, 0, b"x") == 0
    assert rpc.FillVirtual(where.b, 2 * PAGE, b"x") == PAGE  # up to the hole
    refused(WRITE_FAULT, rpc.FillVirtual, where.hole, 8 * PAGE, b"x")
    refused(WRITE_FAULT, rpc.FillPhysical, where.rom_physical, PAGE, b"x")
    assert rpc.FillPhysical((64 << 20) - PAGE, 3 * PAGE, b"x") == PAGE  # up to the end of RAM
    assert rpc.FillVirtual(where.a, 3, b"longer") == 3
    assert rpc.ReadVirtual(where.a, 4) == b"lon\0"


@coherent
def test_fill_and_the_view(way):
    """What waits in the view was written before the fill, and is not read any more after it."""
    rpc = way.connect()
    rpc.halt()
    rpc.ReadVirtual(way.map.bulk, 2 * PAGE)
    rpc.WriteVirtual(way.map.bulk + 10, b"dirty")
    assert rpc.FillVirtual(way.map.bulk, 2 * PAGE, b"z") == 2 * PAGE
    assert rpc.ReadVirtual(way.map.bulk, 2 * PAGE) == b"z" * 2 * PAGE
    rpc.FlushCache()
    assert way.guest.physical(way.map.bulk_physical, 2 * PAGE) == b"z" * 2 * PAGE


@coherent
def test_which_way_it_went(way):
    rpc = way.connect()
    rpc.halt()
    before = rpc.GetTransportStatus()
    rpc.WritePhysical(way.map.bulk_physical, bytes(BULK))
    rpc.ReadPhysical(way.map.bulk_physical, BULK)
    rpc.WriteVirtualUncached(way.map.bulk, bytes(BULK))
    rpc.ReadVirtualUncached(way.map.bulk, BULK)
    after = rpc.GetTransportStatus()
    read = {name: after[name]["bytes_read"] - before[name]["bytes_read"] for name in after}
    written = {name: after[name]["bytes_written"] - before[name]["bytes_written"] for name in after}
    # TCG of QEMU 7.2 keeps what it has translated, unless QEMU itself writes there: that takes qtest
    names = {"direct+qtest": "direct-ram", "qtest": "qtest", "direct": "direct-ram" if way.kvm else "rsp"}
    assert written[names.get(way.way, "rsp")] == 2 * BULK and sum(written.values()) == 2 * BULK
    assert read["direct-ram" if "direct" in way.way else "memory-file"] == 2 * BULK


# while it runs


def undisturbed(bridge):
    """Nothing has halted it since the events were forgotten."""
    assert bridge.guest.running()
    assert not [event for event in bridge.guest.qmp_control.events if event["event"] in ("STOP", "RESUME")]


@pytest.fixture
def running(live):
    live.guest.qmp_control.execute("query-status")
    live.guest.qmp_control.events.clear()
    yield live
    undisturbed(live)


@pytest.mark.parametrize("size", [1, 100, PAGE, 3 * PAGE + 5])
def test_running_virtual(running, size):
    rpc, data = running.connect(), pattern(size, 6)
    address = running.map.bulk + PAGE - 3
    for write in ("WriteVirtual", "WriteVirtualUncached"):
        running.guest.fill(address, size)
        assert getattr(rpc, write)(address, data) == size
        assert running.guest.holds(address, data)
        for read in ("ReadVirtual", "ReadVirtualUncached"):
            assert getattr(rpc, read)(address, size) == data
    assert counts(rpc, "qtest")["bytes_written"] >= size


def test_running_nothing_is_kept(running):
    rpc, where = running.connect(), running.map
    rpc.WriteVirtual(where.a, b"ours")
    assert rpc.ReadVirtual(where.a, 4) == b"ours"
    running.guest.write(where.a, b"its!")
    assert rpc.ReadVirtual(where.a, 4) == b"its!"
    assert rpc.GetCacheStatus()["lines"] == 0
    assert rpc.GetCacheStatus()["dirty_bytes"] == 0


def test_running_pages(running):
    rpc, where = running.connect(), running.map
    data = pattern(2 * PAGE, 7)
    assert rpc.WriteVirtual(where.a, data + b"hole") == 2 * PAGE
    assert running.guest.physical(where.b_physical, PAGE) == data[PAGE:]
    refused(WRITE_FAULT, rpc.WriteVirtual, where.hole, b"no")
    refused(READ_FAULT, rpc.ReadVirtual, where.hole, 2)
    running.guest.ask(f"map {where.flip:#x} {where.c_physical:#x} rw")
    rpc.WriteVirtual(where.flip, b"flipped")
    assert running.guest.read(where.c, 7) == b"flipped"


def test_running_pointers(running):
    rpc, where = running.connect(), running.map
    rpc.WritePointersVirtual(where.a + 8, [1, 0xFFFFFFFF80000000])
    assert rpc.ReadPointersVirtual(2, where.a + 8) == [1, 0xFFFFFFFF80000000]
    assert running.guest.read(where.a + 8, 16) == struct.pack("<2Q", 1, 0xFFFFFFFF80000000)


def test_running_rom(running):
    """It is written by virtual address through the stub alone: not now, and nothing else is tried."""
    rpc, where = running.connect(), running.map
    before = running.guest.physical(where.rom_physical, 16)
    assert rpc.ReadVirtual(where.rom, 16) == before
    message = refused(E_UNEXPECTED, rpc.WriteVirtual, where.rom, b"no")
    assert "running" in message
    refused(WRITE_FAULT, rpc.WritePhysical, where.rom_physical, b"no")
    assert running.guest.physical(where.rom_physical, 16) == before


def test_running_physical(running):
    rpc, where = running.connect(), running.map
    data = pattern(BULK, 8)
    beat = running.guest.beat()
    assert rpc.WritePhysical(where.bulk_physical, data) == BULK
    assert rpc.ReadPhysical(where.bulk_physical, BULK) == data
    assert running.guest.holds(where.bulk, data)
    assert running.guest.beat() != beat
    refused(WRITE_FAULT, rpc.WritePhysical, where.nowhere_physical, b"no")
    assert rpc.WritePhysical2(running.guest.bars["frame"], WRITE_COMBINED, data[:PAGE]) == PAGE
    assert running.guest.holds(where.frame, data[:PAGE])


def test_running_device(running):
    rpc, where = running.connect(), running.map
    with running.guest.accesses() as seen:
        rpc.WriteVirtual(where.edu + 4, u32(0x55667788))
        rpc.WritePhysical(running.guest.bars["edu"] + 4, u32(1))
    assert [(x.size, x.value) for x in seen if x.address == running.guest.bars["edu"] + 4] == [(4, 0x55667788), (4, 1)]
    assert running.guest.load(4, where.edu + 4) == 0xFFFFFFFE


def test_running_code(running):
    rpc = running.connect()
    for number in range(1, 6):
        rpc.WriteVirtual(running.map.code, returns(number))
        assert int(running.guest.ask(f"call {running.map.code:#x} 0"), 16) == number


def test_running_fill(running):
    rpc, where = running.connect(), running.map
    assert rpc.FillVirtual(where.bulk + 1, 3 * PAGE, b"v") == 3 * PAGE
    assert rpc.FillPhysical(where.bulk_physical + 4 * PAGE, 9, b"abc") == 9
    assert running.guest.read(where.bulk, 3 * PAGE + 2)[1:-1] == b"v" * 3 * PAGE
    assert running.guest.read(where.bulk + 4 * PAGE, 9) == b"abc" * 3


def test_running_ports(running):
    rpc = running.connect()
    rpc.WriteIo(ISA, 0, 1, 0x70, b"\x0f")
    rpc.WriteIo(ISA, 0, 1, 0x71, b"\x5a")
    running.guest.ask("out 1 0x70 0x0f")
    assert int(running.guest.ask("in 1 0x71"), 16) == 0x5A
    assert rpc.ReadIo(ISA, 0, 1, 0x71, 1) == b"\x5a"
    before = counts(rpc, "monitor")["calls"]
    for byte in b"by qtest\n":
        rpc.WriteIo(ISA, 0, 1, 0xE9, bytes([byte]))
    running.guest.debugcon.wait_line(r"by qtest")
    assert counts(rpc, "monitor")["calls"] == before


@pytest.mark.parametrize("size", [1, 2, 4])
def test_port_widths(live, size):
    rpc = live.connect()
    value = pattern(size, 9)
    with live.guest.accesses() as seen:
        rpc.WriteIo(ISA, 0, 1, 0x80, value)
    assert sum(access.size for access in seen) == size


def test_dirty_bytes_when_others_let_it_run(live):
    """They go to the target before anything else of this connection."""
    rpc = live.connect()
    rpc.halt()
    rpc.WriteVirtual(live.map.a, b"waits")
    live.guest.qmp_control.execute("cont")
    while rpc.GetExecutionStatus() != 1:
        pass
    assert rpc.ReadVirtual(live.map.a, 8) == b"waits\0\0\0"
    assert live.guest.read(live.map.a, 5) == b"waits"
    assert rpc.GetCacheStatus()["dirty_bytes"] == 0


def test_run_and_halt_under_writes(live):
    """One halts and resumes, another writes all the while: every byte counted is there."""
    writer, runner = live.connect(), live.connect()
    stop = threading.Event()
    failure = []

    def run():
        try:
            while not stop.is_set():
                runner.halt()
                runner.go()
        except Exception as error:  # pylint: disable=broad-except
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        for turn in range(20):
            data = pattern(9 * PAGE, turn)
            at = 0
            while at < len(data):
                try:
                    at += writer.WriteVirtualUncached(live.map.bulk + at, data[at:])
                except CallFailed as error:
                    assert error.hresult == E_UNEXPECTED, error
            assert live.guest.physical(live.map.bulk_physical, len(data)) == data
    finally:
        stop.set()
        thread.join()
    assert not failure, failure
    runner.go()


# how it is opened


def test_a_guest_of_ours_has_it(cleanup):
    guest = Guest("x86_64", by_daemon=True)
    cleanup.append(guest)
    daemon = Daemon(command=guest.argv, ready=False)
    cleanup.append(daemon)
    guest.arrived()
    daemon.wait_ready()
    with daemon.connect() as rpc:
        assert counts(rpc, "qtest")["open"]
        rpc.go()
        assert rpc.WriteVirtual(guest.map.a, b"runs") == 4
        assert guest.read(guest.map.a, 4) == b"runs"


def test_off_is_off(bridge):
    made = bridge(options=["--qtest", "off"])
    rpc = made.connect()
    assert not counts(rpc, "qtest")["open"]
    refused(E_UNEXPECTED, rpc.WritePhysical, made.map.a_physical, b"no")
    assert "qtest" not in made.guest.qmp_control.human("info chardev")


def test_auto_leaves_a_guest_of_others_alone(bridge):
    made = bridge()
    assert not counts(made.connect(), "qtest")["open"]
    assert "qtest" not in made.guest.qmp_control.human("info chardev")


@pytest.mark.parametrize("qmp", [True, False])
def test_added_to_a_guest_that_runs_and_found_again(directory, new_guest, new_daemon, qmp):
    guest = new_guest()
    for _ in range(3):
        daemon = new_daemon(
            guest, qmp=None if qmp else "", options=["--qtest", "on"], env={"XDG_RUNTIME_DIR": directory}
        )
        with daemon.connect() as rpc:
            assert counts(rpc, "qtest")["open"]
            rpc.halt()
            assert rpc.WritePhysical(guest.map.a_physical, b"there") == 5
            rpc.go()
            assert guest.read(guest.map.a, 5) == b"there"
            # without a monitor nobody can tell where things lie while it runs
            if not qmp:
                refused(E_UNEXPECTED, rpc.WriteVirtual, guest.map.a, b"no")
                assert guest.read(guest.map.a, 5) == b"there"
        daemon.stop()
    # one socket for each QEMU, in a directory that nobody else can look into
    names = [name for name in os.listdir(directory + "/spacebridge") if name.startswith("qtest")]
    assert len(names) == 1
    assert os.stat(directory + "/spacebridge").st_mode & 0o777 == 0o700


def test_on_that_cannot_be_had(new_guest, new_daemon, tmp_path):
    """Somebody else's qtest: there is one for each QEMU."""
    guest = new_guest(extra=["-qtest", f"unix:{tmp_path}/other,server=on,wait=off", "-qtest-log", "none"])
    daemon = new_daemon(guest, options=["--qtest", "on"], ready=False)
    assert daemon.child.wait() == 1
    assert "--qtest on" in daemon.log
    fine = new_daemon(guest)
    assert not counts(fine.connect(), "qtest")["open"]


# misfortune


class Between:
    """A man in the middle of a unix socket, who can cut it."""

    def __init__(self, path):
        os.rename(path, path + ".real")
        self.real = path + ".real"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(4)
        self.pairs = []
        self.after = None  # bytes towards QEMU after which it is cut
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.real)
            self.pairs.append((near, far))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(one, other, one is near), daemon=True).start()

    def _copy(self, one, other, upward):
        while True:
            try:
                data = one.recv(4096)
                if upward and data and self.after is not None:
                    self.after -= len(data)
                    if self.after < 0:
                        self.cut()
                        return
                if not data:
                    other.shutdown(socket.SHUT_RDWR)
                    return
                other.sendall(data)
            except OSError:
                return

    def cut(self):
        for pair in self.pairs:
            for one in pair:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        self.cut()
        for pair in self.pairs:
            for one in pair:
                one.close()


@pytest.fixture
def cuttable(directory, cleanup, new_guest, new_daemon):
    path = directory + "/qtest.sock"
    extra = ["-chardev", f"socket,id=spacebridge-qtest,path={path},server=on,wait=off"]
    extra += ["-object", "qtest,id=spacebridge-qtest,chardev=spacebridge-qtest,log=none"]
    guest = new_guest(extra=extra)
    between = Between(path)
    cleanup.append(between)
    daemon = new_daemon(guest, options=["--qtest", "on"])
    return guest, between, daemon


def test_qtest_that_closes(cuttable):
    """The stub takes over, while it can."""
    guest, between, daemon = cuttable
    with daemon.connect() as rpc:
        assert counts(rpc, "qtest")["open"]
        between.cut()
        while counts(rpc, "qtest")["open"]:
            pass
        refused(E_UNEXPECTED, rpc.WritePhysical, guest.map.a_physical, b"no")
        rpc.halt()
        data = pattern(BULK, 10)
        assert rpc.WritePhysical(guest.map.bulk_physical, data) == BULK
        assert rpc.ReadVirtual(guest.map.bulk, BULK) == data
        rpc.WriteIo(ISA, 0, 1, 0x80, b"\1")
        rpc.go()
        assert guest.holds(guest.map.bulk, data)


@pytest.mark.parametrize("method", ["WritePhysical", "WriteVirtualUncached"])
def test_qtest_that_closes_in_the_middle(cuttable, method):
    """What it had not acknowledged goes by the stub: nothing is lost, and nothing counted that is not there."""
    guest, between, daemon = cuttable
    with daemon.connect() as rpc:
        rpc.halt()
        data = pattern(BULK, 11)
        between.after = 300000
        where = guest.map.bulk_physical if method == "WritePhysical" else guest.map.bulk
        assert getattr(rpc, method)(where, data) == BULK
        assert not counts(rpc, "qtest")["open"]
        assert guest.physical(guest.map.bulk_physical, BULK) == data


def test_qtest_that_closes_in_the_middle_of_a_flush(cuttable):
    """The runs that are left go by the stub."""
    guest, between, daemon = cuttable
    with daemon.connect() as rpc:
        rpc.halt()
        runs = scatter(1, 64 * PAGE)
        for offset, data in runs:
            rpc.WriteVirtual(guest.map.bulk + offset, data)
        between.after = 10000
        assert rpc.FlushCache() == sum(len(data) for _, data in runs)
        assert not counts(rpc, "qtest")["open"]
        memory = guest.physical(guest.map.bulk_physical, 64 * PAGE)
        for offset, data in runs:
            assert memory[offset : offset + len(data)] == data


def test_qtest_that_closes_in_the_middle_while_it_runs(cuttable):
    guest, between, daemon = cuttable
    with daemon.connect() as rpc:
        data = pattern(2 * BULK, 12)
        between.after = 300000
        try:
            written = rpc.WritePhysical(guest.map.bulk_physical, data)
        except CallFailed as error:
            assert error.hresult == E_UNEXPECTED
            written = 0
        assert written < len(data)
        assert guest.physical(guest.map.bulk_physical, written or 1)[:written] == data[:written]
        assert guest.running()


def test_qtest_that_closes_in_a_stream_of_port_writes(cuttable):
    """Those that it had not acknowledged have failed, and are not made by another way; those behind them are."""
    guest, between, daemon = cuttable
    with daemon.connect() as rpc:
        rpc.halt()
        since = guest.debugcon.mark()
        data = debug_bytes(1500)
        between.after = 6000
        failed = []
        for at, call in enumerate(post_ports(rpc, data)):
            try:
                rpc.answer(call)
            except CallFailed as error:
                assert "not made again" in error.message
                failed.append(at)
        assert not counts(rpc, "qtest")["open"]
        first, end = failed[0], failed[-1] + 1
        assert failed == list(range(first, end)) and 0 < first < end - 1 and end < len(data)
        rpc.WriteIo(ISA, 0, 1, PORT_DEBUGCON, b"\n")
        seen = on_debugcon(guest, since)
        made = seen[first : len(seen) - (len(data) - end)]
        assert seen[:first] == data[:first] and data[first:end].startswith(made)
        assert seen[first + len(made) :] == data[end:]


@pytest.mark.parametrize("way_name", ["qtest", "direct+qtest"])
@pytest.mark.parametrize("method", ["WritePhysical", "ReadPhysical"])
def test_qemu_that_dies_in_the_middle(bridge, way_name, method):
    made = bridge(options=WAYS[way_name])
    rpc = made.connect()
    rpc.halt()
    argument = bytes(48 << 20) if method == "WritePhysical" else 48 << 20

    def calls(connection):
        ways = connection.GetTransportStatus()
        return sum(ways[name]["calls"] for name in ("qtest", "direct-ram", "memory-file"))

    before = calls(rpc)
    call = rpc.post(method, 0x1400000 - (16 << 20), argument)
    other = made.connect()
    while calls(other) == before:
        pass
    os.kill(made.guest.child.pid, signal.SIGKILL)
    try:
        answer = rpc.answer(call)
        assert answer.hresult == 0
    except CallFailed as error:
        assert error.hresult == E_UNEXPECTED
    refused(E_UNEXPECTED, rpc.WritePhysical, 0, b"gone")
    assert made.daemon.running()
    made.guest.kill()


def test_default_is_the_flag(live):
    """Explicit flags and none go by the same way."""
    rpc = live.connect()
    assert rpc.WritePhysical2(live.map.a_physical, DEFAULT, b"same") == 4
    assert live.guest.read(live.map.a, 4) == b"same"
