"""Ports: one access of the size asked for, or a refusal and none."""

import struct

import pytest
from harness.guest import PORT_DEBUGCON
from harness.rpc import (
    ACPIBUS,
    E_INVALIDARG,
    E_NOTIMPL,
    E_UNEXPECTED,
    EISA,
    INTERNAL,
    ISA,
    MISALIGNED,
    PCIBUS,
    PNPBUS,
    PNPISABUS,
)
from test_virtual import refused, u32

CMOS_INDEX, CMOS_DATA = 0x70, 0x71
PCI_INDEX, PCI_DATA = 0xCF8, 0xCFC


def out(rpc, port, data, interface=ISA, bus=0, space=1):
    return rpc.WriteIo(interface, bus, space, port, data)


def inp(rpc, port, size, interface=ISA, bus=0, space=1):
    return rpc.ReadIo(interface, bus, space, port, size)


def wait_debugcon(guest, since, expected):
    guest.debugcon.wait(
        lambda data: True if data == expected else None, since, what=f"{expected!r} on the debug console"
    )


@pytest.mark.parametrize("interface", [INTERNAL, ISA, EISA, PCIBUS, PNPISABUS, PNPBUS, ACPIBUS])
def test_debug_console(pc, halted, interface):
    since = pc.guest.debugcon.mark()
    with pc.guest.accesses(reads=True) as seen:
        assert out(halted, PORT_DEBUGCON, b"S", interface) == 1
    wait_debugcon(pc.guest, since, b"S")
    assert [(a.kind, a.address, a.value, a.size) for a in seen] == [("write", PORT_DEBUGCON, ord("S"), 1)]
    assert inp(halted, PORT_DEBUGCON, 1, interface) == b"\xe9"


@pytest.mark.parametrize("running", [False, True])
def test_cmos(pc, halted, running):
    if running:
        halted.go()
    assert out(halted, CMOS_INDEX, b"\x40") == 1
    assert out(halted, CMOS_DATA, b"\xa5") == 1
    assert out(halted, CMOS_INDEX, b"\x41") == 1
    assert out(halted, CMOS_INDEX, b"\x40") == 1
    assert inp(halted, CMOS_DATA, 1) == b"\xa5"
    assert pc.guest.running() is running
    halted.go()
    pc.guest.ask("out 1 0x70 0x40")
    assert pc.guest.ask("in 1 0x71") == "0xa5"


def test_pci_configuration(pc, halted):
    """The sizes 1, 2 and 4, each as one access."""
    with pc.guest.accesses(reads=True) as seen:
        assert out(halted, PCI_INDEX, u32(0x80000000)) == 4
        assert inp(halted, PCI_DATA, 4) == u32(0x12378086)
        assert inp(halted, PCI_DATA + 2, 2) == b"\x37\x12"
        assert inp(halted, PCI_DATA + 1, 1) == b"\x80"
    assert [(a.kind, a.address, a.size) for a in seen] == [
        ("write", PCI_INDEX, 4),
        ("read", PCI_DATA, 4),
        ("read", PCI_DATA + 2, 2),
        ("read", PCI_DATA + 1, 1),
    ]
    halted.go()
    assert pc.guest.ask("in 4 0xcf8") == "0x80000000"


def test_two_bytes(pc, halted):
    """The VGA's index and data ports (0x1ce, 0x1cf there is not: 0x1d0) are 16 bits wide."""
    assert out(halted, 0x1CE, b"\x01\x00") == 2  # width
    with pc.guest.accesses() as seen:
        assert out(halted, 0x1D0, b"\x80\x02") == 2
    assert [(a.value, a.size) for a in seen] == [(0x280, 2)]
    halted.go()
    assert pc.guest.ask("in 2 0x1d0") == "0x280"


def test_while_it_runs(pc, rpc):
    since = pc.guest.debugcon.mark()
    for letter in b"run":
        assert out(rpc, PORT_DEBUGCON, bytes([letter])) == 1
    wait_debugcon(pc.guest, since, b"run")
    assert pc.guest.running()


@pytest.mark.parametrize("port, size, interface, bus, space, hresult", [
    (PORT_DEBUGCON, 1, ISA, 0, 0, E_INVALIDARG),
    (PORT_DEBUGCON, 1, ISA, 0, 2, E_INVALIDARG),
    (PORT_DEBUGCON, 3, ISA, 0, 1, E_INVALIDARG),
    (PORT_DEBUGCON, 8, ISA, 0, 1, E_INVALIDARG),
    (PORT_DEBUGCON, 2, ISA, 0, 1, MISALIGNED),
    (PORT_DEBUGCON + 1, 4, ISA, 0, 1, MISALIGNED),
    (0x10000, 1, ISA, 0, 1, E_INVALIDARG),
    (0x10000 + PORT_DEBUGCON, 1, ISA, 0, 1, E_INVALIDARG),
    (2**32 + PORT_DEBUGCON, 1, ISA, 0, 1, E_INVALIDARG),
    (2**64 - 1, 1, ISA, 0, 1, E_INVALIDARG),
    (PORT_DEBUGCON, 1, -1, 0, 1, E_INVALIDARG),
    (PORT_DEBUGCON, 1, -2, 0, 1, E_INVALIDARG),
    (PORT_DEBUGCON, 1, 3, 0, 1, E_INVALIDARG),
    (PORT_DEBUGCON, 1, 16, 0, 1, E_INVALIDARG),
    (PORT_DEBUGCON, 1, 18, 0, 1, E_INVALIDARG),
    (PORT_DEBUGCON, 1, 2**31 - 1, 0, 1, E_INVALIDARG),
    (PORT_DEBUGCON, 1, ISA, 1, 1, E_INVALIDARG),
    (PORT_DEBUGCON, 1, PCIBUS, 7, 1, E_INVALIDARG),
    (PORT_DEBUGCON, 1, PCIBUS, 2**32 - 1, 1, E_INVALIDARG),
])
def test_refusals(pc, halted, port, size, interface, bus, space, hresult):
    with pc.guest.accesses(reads=True) as seen:
        message = refused(hresult, halted.WriteIo, interface, bus, space, port, b"!" * size)
        assert "WriteIo" in message
        message = refused(hresult, halted.ReadIo, interface, bus, space, port, size)
        assert "ReadIo" in message
    assert seen == []


def test_last_port(pc, halted):
    with pc.guest.accesses() as seen:
        assert out(halted, 0xFFFF, b"\x01") == 1
        assert out(halted, 0xFFFC, u32(1)) == 4
    assert [(a.address, a.size) for a in seen if a.name != "io"] in ([], [(0xFFFF, 1), (0xFFFC, 4)])


def test_values_are_not_cut(pc, halted):
    assert out(halted, PCI_INDEX, u32(0x8000FFFC)) == 4
    assert inp(halted, PCI_INDEX, 4) == u32(0x8000FFFC)
    assert out(halted, PCI_INDEX, u32(0x80000000)) == 4


def test_flush_before_a_port_write(pc, halted):
    halted.WriteVirtual(pc.map.a, b"first")
    out(halted, PORT_DEBUGCON, b"x")
    assert pc.guest.physical(pc.map.a_physical, 5) == b"first"


def test_without_qmp(bridge):
    """The monitor is reached through the stub: only while the target is halted."""
    pc = bridge("x86_64", qmp=False)
    rpc = pc.connect()
    refused(E_UNEXPECTED, out, rpc, PORT_DEBUGCON, b"r")
    assert pc.guest.running()
    rpc.halt()
    since = pc.guest.debugcon.mark()
    with pc.guest.accesses(reads=True) as seen:
        assert out(rpc, PORT_DEBUGCON, b"H") == 1
        assert inp(rpc, PORT_DEBUGCON, 1) == b"\xe9"
    assert [(a.kind, a.address, a.size) for a in seen] == [
        ("write", PORT_DEBUGCON, 1),
        ("read", PORT_DEBUGCON, 1),
    ]
    wait_debugcon(pc.guest, since, b"H")
    rpc.WritePhysical(pc.map.a_physical, b"and the map, too")
    rpc.go()
    assert pc.guest.read(pc.map.a, 16) == b"and the map, too"


def test_arm_has_no_ports(bridge):
    arm = bridge("aarch64")
    rpc = arm.connect()
    rpc.halt()
    assert "WriteIo" in refused(E_NOTIMPL, out, rpc, 0x80, b"x")
    refused(E_NOTIMPL, inp, rpc, 0x80, 1)


def test_memory_that_a_device_changed_is_read_anew(pc, halted):
    """fw_cfg copies its signature into memory when the address of a request is written to its port."""
    others = [halted, pc.connect()]
    where = pc.map
    request = struct.pack(">IIQ", 0 << 16 | 8 | 2, 4, where.b_physical)  # select item 0, read 4 bytes
    halted.WritePhysical(where.c_physical, request)
    for one in others:
        assert one.ReadVirtual(where.b, 4) == bytes(4)
    halted.WriteIo(ISA, 0, 1, 0x514, bytes(4))
    halted.WriteIo(ISA, 0, 1, 0x518, struct.pack(">I", where.c_physical))
    assert pc.guest.physical(where.b_physical, 4) == b"QEMU"
    for one in others:
        assert one.ReadVirtual(where.b, 4) == b"QEMU"
