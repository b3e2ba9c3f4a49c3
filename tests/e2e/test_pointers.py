"""Pointers: the target's size and byte order, as the guest itself loads them."""

from harness.guest import PAGE
from harness.rpc import E_UNEXPECTED, READ_FAULT, WRITE_FAULT
from test_virtual import refused

SIGN = 0xFFFFFFFF00000000


def seen(guest, address, count):
    """What the guest's own loads of pointers give."""
    return [int(word, 16) for word in guest.ask(f"pointers {address:#x} {count}").split()]


def test_sixty_four_bits(pc, halted):
    pointers = [0x1122334455667788, 0, 2**64 - 1, 0xFFFF800000000000]
    assert halted.Hello("test", 1)[1]["pointer_size"] == 8
    assert halted.WritePointersVirtual(pc.map.b - 12, pointers) is None  # one across the page boundary
    assert halted.ReadPointersVirtual(4, pc.map.b - 12) == pointers
    halted.go()
    assert seen(pc.guest, pc.map.b - 12, 4) == pointers


def test_all_or_an_error(pc, halted):
    message = refused(WRITE_FAULT, halted.WritePointersVirtual, pc.map.hole - 16, [1, 2, 3, 4])
    assert "WritePointersVirtual" in message and "2" in message and f"{pc.map.hole:x}" in message
    refused(READ_FAULT, halted.ReadPointersVirtual, 3, pc.map.hole - 16)
    refused(WRITE_FAULT, halted.WritePointersVirtual, pc.map.hole, [1])
    halted.WritePointersVirtual(pc.map.c, [])
    assert halted.ReadPointersVirtual(0, pc.map.hole) == []
    halted.go()
    assert seen(pc.guest, pc.map.hole - 16, 2) == [1, 2]
    assert pc.guest.read(pc.map.c, 32) == b"\0" * 32


def test_half_a_pointer_before_the_hole(pc, halted):
    refused(WRITE_FAULT, halted.WritePointersVirtual, pc.map.hole - 12, [2**64 - 1, 2**64 - 1])
    halted.go()
    assert seen(pc.guest, pc.map.hole - 12, 1) == [2**64 - 1]


def test_not_while_it_runs(pc, rpc):
    refused(E_UNEXPECTED, rpc.WritePointersVirtual, pc.map.a, [1])
    refused(E_UNEXPECTED, rpc.ReadPointersVirtual, 1, pc.map.a)
    assert pc.guest.running()


def test_many(pc, halted):
    pointers = [i << 32 | (~i & 0xFFFFFFFF) for i in range(20000)]
    halted.WritePointersVirtual(pc.map.bulk, pointers)
    assert halted.ReadPointersVirtual(20000, pc.map.bulk) == pointers
    halted.go()
    assert pc.guest.holds(pc.map.bulk, b"".join(p.to_bytes(8, "little") for p in pointers))


def test_thirty_two_bits(bridge):
    pc = bridge("i386")
    rpc = pc.connect()
    rpc.halt()
    pointers = [0x11223344, 0x80000000, 0x1_2345_6789, SIGN | 0x90000000]
    assert rpc.Hello("test", 1)[1]["pointer_size"] == 4
    rpc.WritePointersVirtual(pc.map.b - 6, pointers)
    assert rpc.ReadPointersVirtual(4, pc.map.b - 6) == [0x11223344, SIGN | 0x80000000, 0x23456789, SIGN | 0x90000000]
    rpc.go()
    assert seen(pc.guest, pc.map.b - 6, 4) == [0x11223344, 0x80000000, 0x23456789, 0x90000000]
    assert pc.guest.read(pc.map.b + 10, 8) == b"\0" * 8
    # the other calls on this machine, while it is there
    rpc.halt()
    assert rpc.WriteVirtual(pc.map.hole - 3, b"12345") == 3
    assert rpc.WriteVirtual(pc.map.high + 0x4000, b"high") == 4
    assert rpc.VirtualToPhysical(pc.map.bulk + 0x123456) == pc.map.bulk_physical + 0x123456
    rpc.SetCurrentProcessor(1)
    assert rpc.WriteVirtual(pc.map.per_cpu, b"one") == 3
    rpc.go()
    assert pc.guest.read(pc.map.hole - 3, 3) == b"123"
    assert pc.guest.read(pc.map.read_only, 4) == b"high"
    assert pc.guest.phys(pc.map.per_cpu_physical[1], 3) == b"one"
    assert pc.guest.read(pc.map.per_cpu, 3) == b"\0\0\0"


def test_before_long_mode(bridge):
    """A 64-bit processor at reset: pointers are 4 bytes until EFER.LMA is set, then 8."""
    pc = bridge("x86_64", paused=True)
    rpc = pc.connect()
    assert not pc.guest.running()
    rpc.WritePointersVirtual(0x01000000, [0x1122334455667788, 0x99AABBCCDDEEFF00])
    assert rpc.ReadPointersVirtual(2, 0x01000000) == [0x55667788, SIGN | 0xDDEEFF00]
    rpc.FlushCache()
    assert pc.guest.physical(0x01000000, 16) == bytes.fromhex("8877665500ffeedd") + b"\0" * 8
    rpc.go()
    pc.guest.wait_ready()
    rpc.halt()
    rpc.WritePointersVirtual(pc.map.a, [0x1122334455667788])
    rpc.go()
    assert seen(pc.guest, pc.map.a, 1) == [0x1122334455667788]


def test_big_endian(bridge):
    ppc = bridge("ppc")
    rpc = ppc.connect()
    rpc.halt()
    hello = rpc.Hello("test", 1)[1]
    assert hello["big_endian"] is True and hello["pointer_size"] == 4
    pointers = [0x11223344, 0x80000000, 0x1_2345_6789]
    rpc.WritePointersVirtual(ppc.map.ram + PAGE - 6, pointers)
    assert rpc.ReadPointersVirtual(3, ppc.map.ram + PAGE - 6) == [0x11223344, SIGN | 0x80000000, 0x23456789]
    rpc.go()
    assert seen(ppc.guest, ppc.map.ram + PAGE - 6, 3) == [0x11223344, 0x80000000, 0x23456789]
    assert ppc.guest.read(ppc.map.ram + PAGE - 6, 4) == bytes.fromhex("11223344")
    rpc.halt()
    assert rpc.WritePhysical(ppc.map.ram, b"phys") == 4
    rpc.go()
    assert ppc.guest.read(ppc.map.ram, 4) == b"phys"


def test_arm(bridge):
    arm = bridge("aarch64")
    rpc = arm.connect()
    rpc.halt()
    assert rpc.Hello("test", 1)[1]["big_endian"] is False
    rpc.WritePointersVirtual(arm.map.a, [0x1122334455667788, 2**64 - 1])
    rpc.go()
    assert seen(arm.guest, arm.map.a, 2) == [0x1122334455667788, 2**64 - 1]
