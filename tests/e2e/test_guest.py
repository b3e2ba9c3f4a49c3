"""The test guests keep what tests/guest/README.md promises, as QEMU itself sees it: no daemon takes part."""

import re

import pytest
from harness.guest import PAGE, GuestFault

TEXT = b"seen by the guest"


def physical_of(guest, address):
    answer = guest.qmp_control.human(f"gva2gpa {address:#x}")
    found = re.match(r"gpa: (0x[0-9a-f]+|0$)", answer.strip())
    return int(found[1], 16) if found else None


@pytest.fixture(scope="module", params=["x86_64", "i386", "aarch64"])
def guest(request):
    from harness.guest import Guest

    made = Guest(request.param)
    yield made
    made.stop()


def test_map_is_as_written(guest):
    where = guest.map
    assert physical_of(guest, where.a) == where.a_physical
    assert physical_of(guest, where.b) == where.b_physical
    assert physical_of(guest, where.hole) is None
    assert physical_of(guest, where.c) == where.c_physical
    assert physical_of(guest, where.nowhere) == where.nowhere_physical
    assert physical_of(guest, where.rom) == where.rom_physical
    assert physical_of(guest, where.high + 0x123) == where.ram + 0x123
    if guest.is_pc:
        assert physical_of(guest, where.hpet) == where.hpet_physical
        assert physical_of(guest, where.bulk + 0x12345) == where.bulk_physical + 0x12345
        assert physical_of(guest, where.top) == where.top_physical
    else:
        assert physical_of(guest, where.pl011) == where.pl011_physical


def test_guest_reads_and_writes(guest):
    where = guest.map
    guest.fill(where.a, 2 * PAGE)
    guest.write(where.b - 4, TEXT)
    assert guest.read(where.b - 4, len(TEXT)) == TEXT
    assert guest.physical(where.b_physical, len(TEXT) - 4) == TEXT[4:]
    assert guest.phys(where.b_physical, len(TEXT) - 4) == TEXT[4:]
    assert guest.read(where.high + 0x3000, 13) == TEXT[4:]
    assert guest.holds(where.b, TEXT[4:])
    assert not guest.holds(where.b, TEXT[5:])


def test_guest_faults_where_it_must(guest):
    where = guest.map
    with pytest.raises(GuestFault):
        guest.read(where.hole, 1)
    with pytest.raises(GuestFault):
        guest.store(4, where.read_only, 1)
    guest.store(4, where.a, 1)  # and goes on


def test_pages_come_and_go(guest):
    where = guest.map
    for cpu in range(2 if guest.is_pc else 1):
        guest.ask(f"unmap {where.flip:#x}")
        assert physical_of(guest, where.flip) is None
        with pytest.raises(GuestFault):
            guest.load(4, where.flip, cpu)
        guest.store(4, where.a, 0x1234)
        guest.ask(f"map {where.flip:#x} {where.a_physical:#x} rw")
        assert guest.load(4, where.flip, cpu) == 0x1234
        guest.ask(f"map {where.flip:#x} {where.flip_physical:#x} rw")


def test_loops_turn(guest):
    for cpu in range(2 if guest.is_pc else 1):
        before = guest.beat(cpu)
        guest.ask("spin 1")
        guest.ask(f"cpu {cpu} beat {cpu}")
        guest.ask("spin 0")
        assert guest.beat(cpu) > before


@pytest.mark.parametrize("arch", ["x86_64", "i386"])
def test_two_address_spaces_ports_and_exit(new_guest, arch):
    guest = new_guest(arch)
    where = guest.map
    guest.store(4, where.per_cpu, 0x11111111, cpu=0)
    guest.store(4, where.per_cpu, 0x22222222, cpu=1)
    assert guest.load(4, where.per_cpu, cpu=0) == 0x11111111
    assert guest.load(4, where.per_cpu, cpu=1) == 0x22222222
    assert guest.physical(where.per_cpu_physical[1], 4) == b"\x22" * 4
    guest.ask("out 1 0xe9 0x41")
    guest.debugcon.wait(lambda data: data == b"A" or None, what="A on the debug console")
    assert int(guest.ask(f"load 4 {where.edu:#x}"), 16) == 0x010000ED
    assert guest.load(4, where.hpet) >> 16 == 0x8086
    guest.write(where.code, bytes.fromhex("b82a000000c3"))  # mov eax, 42; ret
    assert int(guest.ask(f"call {where.code:#x} 0"), 16) == 42
    guest.ask("exit 21")
    assert guest.child.wait() == 43


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_reset_starts_anew(new_guest, arch):
    guest = new_guest(arch)
    since = guest.serial.mark()
    guest.ask("reset")
    guest.wait_ready(since)
    guest.ask("beat 0")


def test_ppc_is_big_endian(new_guest):
    guest = new_guest("ppc")
    guest.write(guest.map.ram, bytes(range(1, 9)))
    assert guest.ask(f"pointers {guest.map.ram:#x} 2") == "0x1020304 0x5060708"
    assert guest.physical(guest.map.ram, 8) == bytes(range(1, 9))


def test_paused_before_its_first_instruction(new_guest):
    guest = new_guest("x86_64", paused=True)
    assert not guest.running()
    assert guest.serial.data == b""
    guest.qmp_control.execute("cont")
    guest.wait_ready()


def test_accesses_are_seen(new_guest):
    guest = new_guest("x86_64")
    with guest.accesses(reads=True) as seen:
        guest.qmp_control.human("o /b 0xe9 0x42")
        guest.qmp_control.human("xp /1xw 0xfed00000")
    assert ("write", 0xE9, 0x42, 1) in [(a.kind, a.address, a.value, a.size) for a in seen]
    assert ("read", 0xFED00000, 4) in [(a.kind, a.address, a.size) for a in seen]


def test_mailbox_is_watched(new_guest):
    guest = new_guest("x86_64")
    where = guest.map
    guest.write(where.a, TEXT)
    box = len(TEXT).to_bytes(4, "little") + where.a.to_bytes(8, "little")
    guest.write(where.mailbox + 4, box)
    guest.store(4, where.mailbox, 7)
    assert guest.serial.wait_line(r"\* mailbox 7 \S+ (.*)")[1] == TEXT.hex()
