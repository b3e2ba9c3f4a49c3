"""Which way round a machine keeps its numbers is asked, for names do not tell it: QEMU 11 calls mipsel "mips"."""

import shutil
import struct

import pytest
from harness.daemon import cli
from harness.guest import BARE
from harness.rpc import E_NOTIMPL
from harness.stub import Stub, packet
from test_virtual import refused

# a virtual address in RAM, and where that is
RAM = {
    "mips": (0x80001000, 0x1000),
    "mipsel": (0x80001000, 0x1000),
    "mips64": (0xFFFFFFFF80001000, 0x1000),
    "mips64el": (0xFFFFFFFF80001000, 0x1000),
    "sh4": (0x8C001000, 0x0C001000),
    "sh4eb": (0x8C001000, 0x0C001000),
    "microblaze": (0x90001000, 0x90001000),
    "microblazeel": (0x90001000, 0x90001000),
}
BIG = {"mips", "mips64", "sh4eb", "xtensaeb", "microblaze", "m68k"}
POINTERS = [0x11223344, 0x1020304]


@pytest.fixture
def bare(new_guest):
    """A factory of machines that have not run yet."""

    def make(arch, extra=()):
        program = BARE[arch][0]
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}")
        return new_guest(arch, kernel_image=False, paused=True, extra=extra)

    return make


def names_itself(guest):
    """QEMU tells its program's name by the stub from 10.1 on."""
    version = guest.qmp_control.execute("query-version")["qemu"]
    return (version["major"], version["minor"]) >= (10, 1)


def check_pointers(guest, daemon, big):
    virtual, physical = RAM[guest.arch]
    with daemon.connect() as rpc:
        hello = rpc.Hello("test", 1)[1]
        assert hello["big_endian"] is big
        size = 8 if "64" in guest.arch else 4
        assert hello["pointer_size"] == size
        rpc.WritePointersVirtual(virtual, POINTERS)
        rpc.FlushCache()
        layout = (">" if big else "<") + ("2Q" if size == 8 else "2I")
        assert guest.physical(physical, 2 * size) == struct.pack(layout, *POINTERS)
        assert rpc.ReadPointersVirtual(2, virtual) == POINTERS
    done = cli("write-virtual", hex(virtual), "u16:0x1234", connect=daemon.rpc)
    assert done.returncode == 0, done.stderr
    assert guest.physical(physical, 2) == (b"\x12\x34" if big else b"\x34\x12")


@pytest.mark.parametrize("arch", sorted(RAM))
def test_pointers(bare, new_daemon, arch):
    guest = bare(arch)
    check_pointers(guest, new_daemon(guest), arch in BIG)


@pytest.mark.parametrize("arch", ["mips", "mipsel", "mips64el", "sh4eb"])
def test_pointers_without_qmp(bare, new_daemon, arch):
    """The stub names QEMU's program from 10.1 on; before, nothing tells even what machine it is."""
    guest = bare(arch)
    daemon = new_daemon(guest, qmp="")
    if names_itself(guest):
        check_pointers(guest, daemon, arch in BIG)
        return
    virtual, physical = RAM[arch]
    with daemon.connect() as rpc:
        assert rpc.Hello("test", 1)[1]["big_endian"] is None
        message = refused(E_NOTIMPL, rpc.WritePointersVirtual, virtual, POINTERS)
        assert "byte order" in message
        refused(E_NOTIMPL, rpc.ReadPointersVirtual, 1, virtual)
    done = cli("write-virtual", hex(virtual), "41", "u16:0x1234", connect=daemon.rpc)
    assert done.returncode == 1 and "byte order" in done.stderr
    assert "unknown byte order" in cli("status", connect=daemon.rpc).stdout
    assert "big_endian" not in cli("--json", "status", connect=daemon.rpc).stdout
    assert guest.physical(physical, 8) == bytes(8)
    assert cli("write-virtual", hex(virtual), "41", "text:bc", connect=daemon.rpc).returncode == 0
    assert guest.physical(physical, 3) == b"Abc"


@pytest.mark.parametrize("arch", ["xtensa", "xtensaeb", "alpha", "m68k"])
def test_hello(bare, new_daemon, arch):
    """Also where the stub's description names no architecture, or there is none."""
    with new_daemon(bare(arch)).connect() as rpc:
        hello = rpc.Hello("test", 1)[1]
        assert hello["big_endian"] is (arch in BIG) and hello["architecture"] == arch


def test_a_machine_that_was_told_the_other_order(bare, new_daemon, new_guest):
    """qtest and the program's name then say the wrong one: only the processor knows."""
    plain = bare("microblaze")
    if "not found" in plain.qmp_control.human("qom-get /machine endianness"):
        pytest.skip("this QEMU cannot be told an order")
    guest = new_guest("microblaze", kernel_image=False, paused=True, extra=["-machine", "endianness=little"])
    check_pointers(guest, new_daemon(guest, options=["--qtest", "on"]), False)
    alone = new_guest("microblaze", kernel_image=False, paused=True, extra=["-machine", "endianness=little"])
    daemon = new_daemon(alone, qmp="", options=["--qtest", "on"])
    with daemon.connect() as rpc:
        assert rpc.Hello("test", 1)[1]["big_endian"] is None
        refused(E_NOTIMPL, rpc.WritePointersVirtual, RAM["microblaze"][0], POINTERS)


@pytest.mark.parametrize(
    "vector, big",
    [(b"\x21\0\0\0\0\0\0\0\0\x70", False), (b"\0\0\0\0\0\0\0\x21\0\0", True), (b"", None)],
    ids=["little", "big", "untold"],
)
def test_a_process(cleanup, new_daemon, vector, big):
    """Of a kind that comes in both orders, behind a stub that is no QEMU's: its auxiliary vector tells."""
    replies = {
        b"qSupported": b"PacketSize=1000;qXfer:features:read+;qXfer:auxv:read+",
        b"qXfer:features:read:target.xml": b"l<target><architecture>powerpc:common64</architecture></target>",
        b"qXfer:auxv:read": b"m" + vector,
    }
    stub = Stub()
    cleanup.append(stub)
    stub.misbehave = lambda payload: next(
        (b"+" + packet(reply) for start, reply in replies.items() if payload.startswith(start)), None
    )
    with new_daemon(gdb=stub.gdb).connect() as rpc:
        assert rpc.Hello("test", 1)[1]["big_endian"] is big
