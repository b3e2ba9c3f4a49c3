"""Physical memory and the flags of WritePhysical2: held to the target's real map."""

import pytest
from harness import versions
from harness.guest import PAGE
from harness.rpc import (
    CACHED,
    DEFAULT,
    E_INVALIDARG,
    E_UNEXPECTED,
    READ_FAULT,
    S_OK,
    UNCACHED,
    WRITE_COMBINED,
    WRITE_FAULT,
)
from test_virtual import refused, u32

RAM_END = 64 << 20


@pytest.mark.parametrize("flags", [DEFAULT, CACHED])
def test_ram(pc, halted, flags):
    data = bytes(range(200))
    address = pc.map.b_physical - 100  # over a page boundary
    assert halted.WritePhysical2(address, flags, data) == 200
    assert halted.ReadPhysical2(address, flags, 200) == data
    halted.go()
    assert pc.guest.phys(address, 100) == data[:100]
    assert pc.guest.phys(pc.map.b_physical, 100) == data[100:]


def test_without_flags(pc, halted):
    assert halted.WritePhysical(pc.map.c_physical, b"plain") == 5
    assert halted.ReadPhysical(pc.map.c_physical, 5) == b"plain"
    halted.go()
    assert pc.guest.read(pc.map.c, 5) == b"plain"


@pytest.mark.parametrize("flags", [UNCACHED, WRITE_COMBINED])
def test_ram_is_not_advertised_so(pc, halted, flags):
    message = refused(E_INVALIDARG, halted.WritePhysical2, pc.map.a_physical, flags, b"no")
    assert "WritePhysical2" in message and "pc.ram" in message
    refused(E_INVALIDARG, halted.ReadPhysical2, pc.map.a_physical, flags, 2)
    halted.go()
    assert pc.guest.read(pc.map.a, 2) == b"\0\0"


@pytest.mark.parametrize("flags", [4, 0x80000000, 0xFFFFFFFF])
def test_no_such_flags(pc, halted, flags):
    for address in (pc.map.a_physical, pc.map.nowhere_physical, pc.map.hpet_physical):
        refused(E_INVALIDARG, halted.WritePhysical2, address, flags, b"no")
        refused(E_INVALIDARG, halted.ReadPhysical2, address, flags, 2)
    assert pc.guest.physical(pc.map.a_physical, 2) == b"\0\0"


@pytest.mark.parametrize("flags", [DEFAULT, CACHED])
def test_rom_can_be_read_and_not_written(pc, halted, flags):
    address = pc.map.rom_physical + 0x800
    before = pc.guest.physical(address, 16)
    assert halted.ReadPhysical2(address, flags, 16) == before
    message = refused(WRITE_FAULT, halted.WritePhysical2, address, flags, b"\x5a" * 16)
    assert f"{address:x}" in message
    assert pc.guest.physical(address, 16) == before
    halted.go()
    assert pc.guest.phys(address, 16) == before


@pytest.mark.parametrize("flags", [UNCACHED, WRITE_COMBINED])
def test_rom_is_not_advertised_so(pc, halted, flags):
    refused(E_INVALIDARG, halted.ReadPhysical2, pc.map.rom_physical, flags, 4)
    refused(E_INVALIDARG, halted.WritePhysical2, pc.map.rom_physical, flags, b"1234")


def test_hole(pc, halted):
    with pc.guest.accesses(reads=True) as seen:
        message = refused(WRITE_FAULT, halted.WritePhysical, pc.map.nowhere_physical, b"lost?")
        assert "WritePhysical" in message and f"{pc.map.nowhere_physical:x}" in message
        refused(READ_FAULT, halted.ReadPhysical, pc.map.nowhere_physical, 4)
        refused(WRITE_FAULT, halted.WritePhysical2, 2**64 - 4, DEFAULT, b"12345678")
        refused(WRITE_FAULT, halted.WritePhysical2, RAM_END, DEFAULT, b"1")
    assert seen == []


def test_local_apic_cannot_be_reached(pc, halted):
    with pc.guest.accesses(reads=True) as seen:
        refused(WRITE_FAULT, halted.WritePhysical, pc.map.lapic_physical + 0x80, u32(0))
        refused(WRITE_FAULT, halted.WriteVirtual, pc.map.lapic + 0x80, u32(0))
    assert seen == []


@pytest.mark.parametrize("flags", [DEFAULT, UNCACHED])
@pytest.mark.parametrize("size", [4, 8])
def test_one_access_of_natural_width(pc, halted, flags, size):
    address = pc.guest.bars["edu"] + 0x80
    value = 0x1122334455667788 & ((1 << 8 * size) - 1)
    with pc.guest.accesses(reads=True) as seen:
        assert halted.WritePhysical2(address, flags, value.to_bytes(size, "little")) == size
    assert [(a.kind, a.name, a.address, a.value, a.size) for a in seen] == [
        ("write", "edu-mmio", address, value, size)
    ]
    halted.go()
    assert pc.guest.load(8, pc.map.edu + 0x80) & ((1 << 8 * size) - 1) == value


@pytest.mark.parametrize("size", [1, 2, 4])
def test_widths_of_a_register(pc, halted, size):
    address = pc.map.ioapic_physical + 0x80
    with pc.guest.accesses(reads=True) as seen:
        assert halted.WritePhysical2(address, UNCACHED, b"\x5a" * size) == size
        assert len(halted.ReadPhysical2(address, UNCACHED, size)) == size
    assert [(a.kind, a.address, a.size) for a in seen] == [("write", address, size), ("read", address, size)]


def test_registers_in_order(pc, rpc):
    """Two registers of eight bytes: two accesses, as the guest's own would be."""
    pieces = versions.pieces(pc.guest, "hpet", pc.map.hpet + 0x380, 8)
    rpc.halt()
    data = bytes(range(16))
    with pc.guest.accesses(reads=True) as seen:
        assert rpc.WritePhysical2(pc.map.hpet_physical + 0x380, UNCACHED, data) == 16
    assert [(a.kind, a.address - pc.map.hpet_physical, a.size) for a in seen] == [
        ("write", 0x380 + register + at, size) for register in (0, 8) for at, size in pieces
    ]


@pytest.mark.parametrize("flags", [CACHED, WRITE_COMBINED])
@pytest.mark.parametrize("device", ["hpet", "edu"])
def test_registers_are_not_advertised_so(pc, halted, flags, device):
    """An edu BAR is not prefetchable, an HPET is no BAR."""
    address = pc.map.hpet_physical if device == "hpet" else pc.guest.bars["edu"]
    with pc.guest.accesses(reads=True) as seen:
        message = refused(E_INVALIDARG, halted.WritePhysical2, address, flags, u32(1))
        assert device in message
        refused(E_INVALIDARG, halted.ReadPhysical2, address, flags, 4)
    assert seen == []


@pytest.mark.parametrize("flags", [DEFAULT, UNCACHED, WRITE_COMBINED])
def test_prefetchable_bar(pc, halted, flags):
    data = bytes([flags + 1]) * 5000
    assert halted.WritePhysical2(pc.guest.bars["frame"] + 10, flags, data) == 5000
    assert halted.ReadPhysical2(pc.guest.bars["frame"] + 10, flags, 5000) == data
    halted.go()
    assert pc.guest.read(pc.map.frame + 10, 5000) == data


def test_up_to_the_end_of_ram(pc, halted):
    assert halted.WritePhysical(RAM_END - 4, b"12345678") == 4
    assert halted.ReadPhysical(RAM_END - 4, 100) == b"1234"
    halted.go()
    assert pc.guest.phys(RAM_END - 4, 4) == b"1234"


@pytest.mark.parametrize("flags, written", [(CACHED, 16), (DEFAULT, 32)])
def test_over_two_regions(pc, halted, flags, written):
    """From RAM into the VGA window: only what the flag allows for both goes on."""
    before = pc.guest.physical(0x9FFF0, 16)
    try:
        with pc.guest.accesses() as seen:
            assert halted.WritePhysical2(0xA0000 - 16, flags, b"\x5a" * 32) == written
        assert pc.guest.physical(0x9FFF0, 16) == b"\x5a" * 16
        assert sum(a.size for a in seen) == written - 16
    finally:
        halted.WritePhysical(0x9FFF0, before)


def test_flush_before_a_physical_write(pc, halted):
    """The connection's own dirty bytes are written first, so that the order is the caller's."""
    halted.WriteVirtual(pc.map.a, b"virtual!")
    halted.WritePhysical(pc.map.a_physical + 4, b"phys")
    assert halted.ReadVirtual(pc.map.a, 8) == b"virtphys"
    halted.go()
    assert pc.guest.read(pc.map.a, 8) == b"virtphys"


def test_nobody_reads_the_old_bytes(pc, halted):
    other = pc.connect()
    assert other.ReadVirtual(pc.map.a, 4) == b"\0" * 4
    halted.WritePhysical(pc.map.a_physical, b"new!")
    assert other.ReadVirtual(pc.map.a, 4) == b"new!"
    assert halted.ReadVirtual(pc.map.high, 4) == b"new!"


def test_nothing_asked_nothing_done(pc, halted):
    with pc.guest.accesses(reads=True) as seen:
        for address in (pc.map.a_physical, pc.map.nowhere_physical, pc.map.hpet_physical):
            assert halted.call("WritePhysical", address, b"") == (S_OK, [0])
            assert halted.ReadPhysical(address, 0) == b""
    assert seen == []


def test_bar_that_moved(pc, halted):
    """The map is read anew after the guest ran: a BAR may be somewhere else."""
    old, new = pc.guest.bars["edu"], 0x38000000
    assert halted.ReadPhysical2(old, UNCACHED, 4) == u32(0x010000ED)
    halted.go()
    device = next(
        number
        for number in range(32)
        if int(select(pc.guest, number, 0), 16) == 0x11E81234
    )
    select(pc.guest, device, 0x10)
    pc.guest.ask(f"out 4 0xcfc {new:#x}")
    try:
        halted.halt()
        assert halted.ReadPhysical2(new, UNCACHED, 4) == u32(0x010000ED)
        refused(READ_FAULT, halted.ReadPhysical2, old, DEFAULT, 4)
        halted.go()
    finally:
        halted.go()
        select(pc.guest, device, 0x10)
        pc.guest.ask(f"out 4 0xcfc {old:#x}")


def select(guest, device, register):
    """Point the configuration ports at a register of a device on bus 0; what it holds."""
    guest.ask(f"out 4 0xcf8 {0x80000000 | device << 11 | register:#x}")
    return guest.ask("in 4 0xcfc")


def test_not_while_it_runs(pc, rpc):
    refused(E_UNEXPECTED, rpc.WritePhysical, pc.map.a_physical, b"no")
    refused(E_UNEXPECTED, rpc.ReadPhysical, pc.map.a_physical, 2)
    assert pc.guest.running()
    assert pc.guest.read(pc.map.a, PAGE) == b"\0" * PAGE
