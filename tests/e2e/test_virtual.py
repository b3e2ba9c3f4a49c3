"""Virtual reads and writes: what WriteVirtual promises, the guest itself sees."""

import random

import pytest
from harness import versions
from harness.guest import PAGE
from harness.rpc import (
    E_UNEXPECTED,
    NO_PAGEFILE,
    READ_FAULT,
    S_OK,
    WRITE_FAULT,
    CallFailed,
)

POLICIES = ["write-back", "write-through", "off"]
WRITES = ["WriteVirtual", "WriteVirtualUncached"]


def refused(hresult, call, *params):
    """The call must fail with that HRESULT; returns the message."""
    with pytest.raises(CallFailed) as failure:
        call(*params)
    assert failure.value.hresult == hresult, failure.value
    return failure.value.message


def u32(*values):
    return b"".join(value.to_bytes(4, "little") for value in values)


@pytest.mark.parametrize("policy", POLICIES)
def test_bytes_reach_the_guest(pc, halted, policy):
    halted.SetCachePolicy(policy)
    data = bytes(range(256)) * 20
    assert halted.WriteVirtual(pc.map.a + 123, data[:200]) == 200
    assert halted.WriteVirtual(pc.map.bulk + 5, data) == len(data)
    assert halted.ReadVirtual(pc.map.a + 120, 206) == b"\0" * 3 + data[:200] + b"\0" * 3
    halted.go()
    assert pc.guest.read(pc.map.a, PAGE) == b"\0" * 123 + data[:200] + b"\0" * (PAGE - 323)
    assert pc.guest.read(pc.map.bulk + 5, len(data)) == data


@pytest.mark.parametrize(
    "policy, at_once", [("write-back", False), ("write-through", True), ("off", True)]
)
def test_when_the_target_is_written(pc, halted, policy, at_once):
    halted.SetCachePolicy(policy)
    halted.WriteVirtual(pc.map.a, b"now?")
    assert (pc.guest.physical(pc.map.a_physical, 4) == b"now?") is at_once
    assert halted.ReadVirtual(pc.map.a, 4) == b"now?"
    assert halted.FlushCache() == (0 if at_once else 4)
    assert pc.guest.physical(pc.map.a_physical, 5) == b"now?\0"


def test_uncached_write_is_there_at_once(pc, halted):
    assert halted.WriteVirtualUncached(pc.map.b + 8, b"at once") == 7
    assert pc.guest.physical(pc.map.b_physical + 8, 7) == b"at once"
    assert halted.ReadVirtualUncached(pc.map.b + 8, 7) == b"at once"


def test_neighbours_that_are_not_neighbours(pc, halted):
    """Pages A and B follow one another in virtual, not in physical memory."""
    data = bytes(range(1, 33))
    assert halted.WriteVirtual(pc.map.b - 16, data) == 32
    halted.FlushCache()
    assert pc.guest.physical(pc.map.a_physical + PAGE - 16, 16) == data[:16]
    assert pc.guest.physical(pc.map.b_physical, 16) == data[16:]
    assert pc.guest.physical(pc.map.c_physical, 16) == b"\0" * 16
    halted.go()
    assert pc.guest.read(pc.map.b - 16, 32) == data


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("call", WRITES)
@pytest.mark.parametrize("before", [1, 8, PAGE, 2 * PAGE])
def test_write_stops_at_the_hole(pc, halted, policy, call, before):
    """Counts the prefix that was written; page C, behind the hole, stays as it is."""
    halted.SetCachePolicy(policy)
    data = bytes(random.Random(before).randbytes(before + PAGE + 100))
    assert getattr(halted, call)(pc.map.hole - before, data) == before
    halted.FlushCache()
    halted.go()
    assert pc.guest.read(pc.map.hole - before, before) == data[:before]
    assert pc.guest.read(pc.map.c, PAGE) == b"\0" * PAGE


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("call", WRITES)
def test_write_into_the_hole(pc, halted, policy, call):
    halted.SetCachePolicy(policy)
    message = refused(WRITE_FAULT, getattr(halted, call), pc.map.hole + 8, b"x" * 2 * PAGE)
    assert call in message and f"{pc.map.hole + 8:x}" in message
    assert halted.FlushCache() == 0


@pytest.mark.parametrize("call", ["ReadVirtual", "ReadVirtualUncached"])
def test_reads_stop_at_the_hole(pc, halted, call):
    pc.guest_data = b"before the hole"
    halted.WriteVirtualUncached(pc.map.hole - 15, pc.guest_data)
    assert getattr(halted, call)(pc.map.hole - 15, 3 * PAGE) == pc.guest_data
    refused(READ_FAULT, getattr(halted, call), pc.map.hole, 1)


def test_reads_see_what_the_guest_wrote(pc, rpc):
    pc.guest.write(pc.map.a, b"from the guest")
    rpc.halt()
    assert rpc.ReadVirtual(pc.map.a, 14) == b"from the guest"
    assert rpc.ReadVirtual(pc.map.high, 14) == b"from the guest"
    rpc.go()
    pc.guest.write(pc.map.a, b"anew          ")
    rpc.halt()
    assert rpc.ReadVirtual(pc.map.a, 14) == b"anew          "


@pytest.mark.parametrize("call", WRITES)
def test_read_only_page(pc, halted, call):
    """Page table permissions do not stop a debugger."""
    assert getattr(halted, call)(pc.map.read_only + 4, b"read-only") == 9
    halted.go()
    assert pc.guest.read(pc.map.read_only + 4, 9) == b"read-only"


@pytest.mark.parametrize("call", WRITES)
def test_rom(pc, halted, call):
    assert getattr(halted, call)(pc.map.rom, call.encode()) == len(call)
    halted.go()
    assert pc.guest.read(pc.map.rom, len(call)) == call.encode()


@pytest.mark.parametrize("call", WRITES)
def test_mapped_to_nothing(pc, halted, call):
    refused(WRITE_FAULT, getattr(halted, call), pc.map.nowhere, b"lost?")
    refused(READ_FAULT, halted.ReadVirtual, pc.map.nowhere, 4)


@pytest.mark.parametrize("call", WRITES)
def test_write_stops_at_nothing(pc, halted, call):
    """From the last page that is there into one that is mapped to nothing."""
    assert getattr(halted, call)(pc.map.nowhere - 4, b"12345678") == 4


@pytest.mark.parametrize("call", WRITES)
def test_hpet_counter(pc, rpc, call):
    """A device page: the write must reach the device now, not the view, and as the guest's own would."""
    counter = pc.map.hpet + 0xF0
    pieces = versions.pieces(pc.guest, "hpet", counter, 8)
    rpc.halt()
    value = bytes(range(0x11, 0x19)) if call == "WriteVirtual" else bytes(range(0x21, 0x29))
    with pc.guest.accesses() as seen:
        assert getattr(rpc, call)(counter, value) == 8
    assert [(a.name, a.address, a.value, a.size) for a in seen] == [
        ("hpet", pc.map.hpet_physical + 0xF0 + at, int.from_bytes(value[at : at + size], "little"), size)
        for at, size in pieces
    ]
    assert rpc.ReadVirtual(counter, 8) == value
    rpc.go()
    assert u32(pc.guest.load(4, counter), pc.guest.load(4, counter + 4)) == value


@pytest.mark.parametrize("call", WRITES)
def test_pci_bar(pc, halted, call):
    """The edu device gives back the inverse of what its register 4 was written."""
    with pc.guest.accesses(reads=True) as seen:
        assert getattr(halted, call)(pc.map.edu + 4, u32(0x12345678)) == 4
    assert [(a.kind, a.name, a.address, a.value, a.size) for a in seen] == [
        ("write", "edu-mmio", pc.guest.bars["edu"] + 4, 0x12345678, 4)
    ]
    halted.go()
    assert pc.guest.load(4, pc.map.edu + 4) == 0xEDCBA987


@pytest.mark.parametrize("call", WRITES)
def test_natural_widths_on_a_device(pc, halted, call):
    """Widest first, each byte once, in order, nothing read: 8 and then 4 on a register bank that takes 8."""
    data = bytes(range(12))
    with pc.guest.accesses(reads=True) as seen:
        assert getattr(halted, call)(pc.map.edu + 0x80, data) == 12
    base = pc.guest.bars["edu"] + 0x80
    assert [(a.kind, a.address, a.size) for a in seen] == [("write", base, 8), ("write", base + 8, 4)]
    halted.go()
    assert pc.guest.load(8, pc.map.edu + 0x80) == 0x0706050403020100


@pytest.mark.parametrize("offset, size, expected", [
    (1, 7, [(1, 1), (2, 2), (4, 4)]),
    (4, 7, [(4, 4), (8, 2), (10, 1)]),
    (3, 1, [(3, 1)]),
    (2, 2, [(2, 2)]),
])
def test_natural_widths_when_unaligned(pc, halted, offset, size, expected):
    register = 0x80  # the I/O APIC has nothing there, and takes any width
    with pc.guest.accesses(reads=True) as seen:
        assert halted.WriteVirtual(pc.map.ioapic + register + offset, bytes(range(size))) == size
    assert [(a.kind, a.address - pc.map.ioapic_physical - register, a.size) for a in seen] == [
        ("write", at, width) for at, width in expected
    ]


@pytest.mark.parametrize("call", WRITES)
def test_end_of_a_device(pc, rpc, call):
    """The HPET has 1 KiB of its page; behind it nothing is there."""
    pieces = versions.pieces(pc.guest, "hpet", pc.map.hpet + 0x3F8, 8)
    rpc.halt()
    with pc.guest.accesses() as seen:
        assert getattr(rpc, call)(pc.map.hpet + 0x3F8, bytes(16)) == 8
    assert [(a.address - pc.map.hpet_physical - 0x3F8, a.size) for a in seen] == pieces
    refused(WRITE_FAULT, getattr(rpc, call), pc.map.hpet + 0x400, b"1234")
    refused(READ_FAULT, rpc.ReadVirtual, pc.map.hpet + 0x400, 4)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("call", WRITES)
def test_from_memory_into_a_device_and_on(pc, rpc, policy, call):
    """One write over a RAM page, a device page and a RAM page again: each gets its part, and it is counted."""
    pc.guest.ask(f"map {pc.map.rom:#x} {pc.guest.bars['testdev']:#x} rw")  # between the pages flip and mailbox
    rpc.halt()
    rpc.SetCachePolicy(policy)
    mailbox = pc.guest.physical(pc.map.mailbox_physical, 8)
    data = b"RAM!" + bytes(PAGE) + mailbox
    with pc.guest.accesses(reads=True) as seen:
        assert getattr(rpc, call)(pc.map.rom - 4, data) == len(data)
    assert {a.kind for a in seen} == {"write"} and {a.name for a in seen} == {"pci-testdev-mmio"}
    addresses = [a.address for a in seen]
    assert addresses == sorted(set(addresses)) and sum(a.size for a in seen) == PAGE
    rpc.go()
    assert pc.guest.read(pc.map.flip + PAGE - 4, 4) == b"RAM!"


@pytest.mark.parametrize("call", WRITES)
def test_count_of_a_very_large_write(pc, halted, call):
    """More than is mapped there: the count is what fitted."""
    data = random.Random(5).randbytes(6 << 20)
    start = pc.map.bulk + pc.map.bulk_size - (2 << 20)
    assert getattr(halted, call)(start, data) == 2 << 20
    halted.go()
    assert pc.guest.holds(start, data[: 2 << 20])


@pytest.mark.parametrize("call", ["ReadVirtual", "ReadVirtualUncached"])
def test_device_reads_are_exact(pc, halted, call):
    """No byte more than was asked for is read, and none twice: a device might change by it."""
    with pc.guest.accesses(reads=True) as seen:
        assert getattr(halted, call)(pc.map.edu, 4) == u32(0x010000ED)
    assert [(a.kind, a.address, a.size) for a in seen] == [("read", pc.guest.bars["edu"], 4)]


def test_frame_buffer(pc, halted):
    data = bytes(range(256)) * 32
    assert halted.WriteVirtual(pc.map.frame + 100, data) == len(data)
    halted.go()
    assert pc.guest.read(pc.map.frame + 100, len(data)) == data


def test_each_processor_has_its_own_map(pc, halted):
    assert halted.GetNumberProcessors() == 2
    for cpu in (0, 1):
        halted.SetCurrentProcessor(cpu)
        assert halted.GetCurrentProcessor() == cpu
        assert halted.VirtualToPhysical(pc.map.per_cpu + 8) == pc.map.per_cpu_physical[cpu] + 8
        halted.WriteVirtual(pc.map.per_cpu, u32(0x1000 + cpu))
        assert halted.ReadVirtual(pc.map.per_cpu, 4) == u32(0x1000 + cpu)
    halted.SetCurrentProcessor(0)
    assert halted.ReadVirtual(pc.map.per_cpu, 4) == u32(0x1000)
    halted.go()
    assert pc.guest.load(4, pc.map.per_cpu, cpu=0) == 0x1000
    assert pc.guest.load(4, pc.map.per_cpu, cpu=1) == 0x1001


def test_high_addresses(pc, halted):
    assert halted.WriteVirtual(pc.map.high + 0x3010, b"high up") == 7
    assert halted.VirtualToPhysical(pc.map.high + 0x3010) == pc.map.b_physical + 0x10
    halted.go()
    assert pc.guest.read(pc.map.b + 0x10, 7) == b"high up"


@pytest.mark.parametrize("call", WRITES)
def test_top_of_the_address_space(pc, halted, call):
    """A range that would wrap is cut at the top, and counted honestly."""
    assert getattr(halted, call)(pc.map.top + PAGE - 4, b"12345678") == 4
    assert halted.ReadVirtual(pc.map.top + PAGE - 4, 100) == b"1234"
    halted.go()
    assert pc.guest.read(pc.map.top + PAGE - 4, 4) == b"1234"
    assert pc.guest.phys(0, 4) == pc.guest.read(0, 4) != b"5678"


def test_nothing_asked_nothing_done(pc, halted):
    with pc.guest.accesses(reads=True) as seen:
        for call in WRITES:
            for address in (pc.map.a, pc.map.hole, pc.map.hpet, 2**64 - 1):
                assert halted.call(call, address, b"") == (S_OK, [0])
        assert halted.ReadVirtual(pc.map.hole, 0) == b""
    assert seen == []


def test_translation(pc, halted):
    assert halted.VirtualToPhysical(pc.map.a + 5) == pc.map.a_physical + 5
    assert halted.VirtualToPhysical(pc.map.bulk + 0x23456) == pc.map.bulk_physical + 0x23456
    assert halted.VirtualToPhysical(pc.map.hpet + 0xF0) == pc.map.hpet_physical + 0xF0
    message = refused(NO_PAGEFILE, halted.VirtualToPhysical, pc.map.hole)
    assert "VirtualToPhysical" in message and f"{pc.map.hole:x}" in message


def test_page_tables_that_changed_while_it_ran(pc, halted):
    assert halted.VirtualToPhysical(pc.map.flip) == pc.map.flip_physical
    halted.go()
    pc.guest.ask(f"unmap {pc.map.flip:#x}")
    halted.halt()
    refused(WRITE_FAULT, halted.WriteVirtual, pc.map.flip, b"gone")
    halted.go()
    pc.guest.ask(f"map {pc.map.flip:#x} {pc.map.c_physical:#x} rw")
    halted.halt()
    assert halted.WriteVirtual(pc.map.flip, b"moved") == 5
    halted.go()
    assert pc.guest.read(pc.map.c, 5) == b"moved"


def test_page_tables_that_a_debugger_changed(pc, halted):
    """A translation is not believed any longer than the tables behind it hold."""
    assert halted.WriteVirtual(pc.map.flip, b"here") == 4
    assert halted.FlushCache() == 4
    entry = pc.guest.page_entry(pc.map.flip)
    assert halted.WritePhysical(entry, (pc.map.c_physical | 3).to_bytes(8, "little")) == 8
    assert halted.VirtualToPhysical(pc.map.flip) == pc.map.c_physical
    assert halted.WriteVirtual(pc.map.flip, b"there") == 5
    halted.FlushCache()
    assert pc.guest.physical(pc.map.c_physical, 5) == b"there"
    assert pc.guest.physical(pc.map.flip_physical, 5) == b"here\0"


def test_code_that_ran_already(pc, rpc):
    """New instructions take effect, though the old ones were translated long ago."""
    pc.guest.write(pc.map.code, bytes.fromhex("b82a000000c3"))  # mov eax, 42; ret
    assert pc.guest.ask(f"call {pc.map.code:#x} 0") == "0x2a"
    rpc.halt()
    rpc.WriteVirtual(pc.map.code + 1, b"\x2b")
    rpc.go()
    assert pc.guest.ask(f"call {pc.map.code:#x} 0") == "0x2b"


@pytest.mark.parametrize("call", WRITES)
def test_two_megabytes(pc, halted, call):
    data = random.Random(2).randbytes(2 << 20)
    assert getattr(halted, call)(pc.map.bulk, data) == len(data)
    assert halted.ReadVirtual(pc.map.bulk, len(data)) == data
    halted.go()
    assert pc.guest.holds(pc.map.bulk, data)


def test_not_while_it_runs(pc, rpc):
    """One byte to the stub would stop the guest: nothing is sent, and it runs on."""
    assert pc.guest.running()
    for call, params in [
        ("WriteVirtual", (pc.map.a, b"no")),
        ("WriteVirtualUncached", (pc.map.a, b"no")),
        ("ReadVirtual", (pc.map.a, 2)),
        ("ReadVirtualUncached", (pc.map.a, 2)),
    ]:
        refused(E_UNEXPECTED, getattr(rpc, call), *params)
    assert pc.guest.running()
    before = pc.guest.beat(1)
    assert pc.guest.read(pc.map.a, 2) == b"\0\0"
    pc.guest.serial.wait(lambda _: True if pc.guest.beat(1) > before else None)


# ARM: the UART is a device page like any other

@pytest.fixture(scope="module")
def arm():
    from conftest import Bridge

    made = Bridge("aarch64")
    yield made
    made.stop()


def test_arm_writes(arm):
    with arm.connect() as rpc:
        rpc.go()
        arm.guest.fill(arm.map.a, PAGE)
        rpc.halt()
        assert rpc.Hello("test", 1)[1]["pointer_size"] == 8
        assert rpc.WriteVirtual(arm.map.b - 4, b"12345678") == 8
        assert rpc.WriteVirtual(arm.map.hole - 2, b"1234") == 2
        assert rpc.WriteVirtual(arm.map.high + 0x4000, b"abc") == 3
        rpc.go()
        assert arm.guest.read(arm.map.b - 4, 8) == b"12345678"
        assert arm.guest.read(arm.map.hole - 2, 2) == b"12"
        assert arm.guest.read(arm.map.read_only, 3) == b"abc"


def test_arm_page_at_physical_zero(arm):
    """Physical address 0 is an address like any other."""
    with arm.connect() as rpc:
        rpc.go()
        rpc.halt()
        assert rpc.VirtualToPhysical(arm.map.rom + 4) == 4
        assert len(rpc.ReadVirtual(arm.map.rom, 16)) == 16


@pytest.mark.parametrize("call", WRITES + ["WritePhysical"])
def test_arm_uart_prints(arm, call):
    with arm.connect() as rpc:
        rpc.go()
        ((_, size),) = versions.pieces(arm.guest, "pl011", arm.map.pl011, 1)
        rpc.halt()
        since = arm.guest.serial.mark()
        address = arm.map.pl011_physical if call == "WritePhysical" else arm.map.pl011
        with arm.guest.accesses(reads=True) as seen:
            assert getattr(rpc, call)(address, b"A") == 1
        assert [(a.kind, a.name, a.value, a.size) for a in seen] == [("write", "pl011", 0x41, size)]
        arm.guest.serial.wait(lambda data: True if data == b"A" else None, since, what="A on the serial port")
        assert not arm.guest.running()
