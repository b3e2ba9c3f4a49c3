"""A monitor in between garbles what QEMU prints of its memory map: RAM still works, devices stay devices."""

import re

import pytest
from harness.daemon import Daemon
from harness.guest import PAGE, Guest
from harness.rpc import CACHED, DEFAULT, READ_FAULT, WRITE_FAULT, Rpc
from harness.tap import Tap
from harness.versions import version
from test_virtual import refused, u32

MTREE, PCI = "info mtree -f", "info pci"


def garbler(command, change):
    return lambda asked, text: change(text) if asked == command else text


def sub(pattern, put):
    """Change what matches in every line of the view "memory" alone."""

    def change(text):
        head, start, view = text.partition('AS "memory"')
        view, end, rest = view.partition("\r\n\r\n")
        changed = re.sub(pattern, put, view)
        assert changed != view, f"nothing is {pattern!r} in {view}"
        return head + start + changed + end + rest

    return change


# What is done to a text, and whether the range of the guest's RAM, and of the HPET, can still be told.
RAM_LINE = r"(0000000000100000-\S+ \(prio 0, )ram(\): pc\.ram)"
GARBLED = {
    "kind of RAM": (MTREE, sub(RAM_LINE, r"\1wax\2")),
    "priority of RAM": (MTREE, sub(r"(0000000000100000-\S+ \(prio )0", r"\1x")),
    "RAM over the hole behind it": (MTREE, sub(r"0000000000100000-0000000003ffffff", r"0000000000100000-000000003fffffff")),
    "RAM over all devices": (MTREE, sub(r"0000000000100000-0000000003ffffff", r"0000000000100000-ffffffffffffffff")),
    "kind of the HPET": (MTREE, sub(r"i/o\): hpet", r"x/o): hpet")),
    "HPET as RAM": (MTREE, sub(r"i/o\): hpet", r"ram): hpet")),
    "HPET's range": (MTREE, sub(r"00000000fed00000-00000000fed003ff", r"00000000fed0000?-00000000fed003ff")),
    "HPET's line is lost in another": (MTREE, sub(r"\r\n  00000000fed00000-(\S+) \(prio 0, i/o\): hpet", r"\1")),
    "HPET's line is missing": (MTREE, sub(r"\r\n  00000000fed00000-[^\r]*", r"")),
    "RAM's line is missing": (MTREE, sub(r"\r\n  0000000000100000-[^\r]*", r"")),
    "name of the address space": (MTREE, lambda text: text.replace('AS "memory"', 'AS "memorx"')),
    "the address space twice": (MTREE, lambda text: text.replace("\r\n\r\n", '\r\n\r\nFlatView #9\r\n AS "memory", root: system\r\n\r\n', 1)),
    "a line of another version": (MTREE, sub(r"(\r\n  0000000000100000)", r"\r\n  Dispatch: 12\1")),
    "cut short": (MTREE, lambda text: text[: text.index('AS "memory"') + 900]),
    "no such command": (MTREE, lambda text: "unknown command: 'info mtree -f'\r\n"),
    "nothing": (MTREE, lambda text: ""),
    "BAR without a range": (PCI, lambda text: text.replace("BAR0: 32 bit", "BAR0: some", 1).replace("0xfd000000", "0xfd00000?")),
    "BARs of another form": (PCI, lambda text: re.sub(r"BAR\d: (.*) at", r"Region \1 from", text)),
    "PCI cut short": (PCI, lambda text: text[: len(text) // 2]),
}


@pytest.fixture(scope="module", name="guest")
def _guest():
    guest = Guest("x86_64")
    yield guest
    guest.stop()


@pytest.fixture(name="garbled", params=[True, False], ids=["qmp", "no-qmp"])
def _garbled(request, guest, cleanup):
    where = guest.map
    for page in (where.a, where.b, where.c):
        guest.ask(f"fill {page:#x} {PAGE} 0")

    def make(command, change):
        tap = Tap(guest.gdb, garbler(command, change))
        cleanup.append(tap)
        options = ["--attach", "halt"] if not request.param else []
        daemon = Daemon(guest, gdb=tap.gdb, qmp=None if request.param else "", options=options)
        cleanup.append(daemon)
        rpc = Rpc(daemon.rpc)
        cleanup.append(closing(rpc))
        if guest.running():
            rpc.halt()
        return daemon, rpc, tap

    yield make
    cleanup_now(cleanup)
    guest.qmp_control.execute("cont")


def cleanup_now(things):
    while things:
        things.pop().stop()


class closing:
    """A connection among the things to stop."""

    def __init__(self, rpc):
        self.stop = rpc.close


@pytest.mark.parametrize("what", GARBLED)
def test_all_calls(guest, garbled, what):
    command, change = GARBLED[what]
    daemon, rpc, tap = garbled(command, change)
    where = guest.map
    # RAM, by every call, over page boundaries and in bulk
    data, bulk = bytes(range(1, 201)), bytes(range(256)) * 40
    assert rpc.WriteVirtual(where.b - 100, data) == 200
    assert rpc.ReadVirtual(where.b - 100, 200) == data
    assert rpc.FlushCache() in (0, 200)
    assert rpc.WriteVirtualUncached(where.bulk + 5, bulk) == len(bulk)
    assert rpc.ReadVirtualUncached(where.bulk + 5, len(bulk)) == bulk
    for flags in (DEFAULT, CACHED):
        assert rpc.WritePhysical2(where.c_physical + 3, flags, data) == 200
        assert rpc.ReadPhysical2(where.c_physical + 3, flags, 200) == data
    # ROM: by virtual address alone, and never counted falsely
    before = guest.physical(where.rom_physical + 0x800, 4)
    refused(WRITE_FAULT, rpc.WritePhysical, where.rom_physical + 0x800, b"rom?")
    refused(WRITE_FAULT, rpc.WritePhysical, where.rom_physical + 0x800, before[:2] + b"??")
    assert guest.physical(where.rom_physical + 0x800, 4) == before
    assert rpc.WriteVirtual(where.rom + 0x800, b"rom!") == 4
    rpc.FlushCache()
    assert guest.physical(where.rom_physical + 0x800, 4) == b"rom!"
    # holes
    refused(WRITE_FAULT, rpc.WritePhysical, where.nowhere_physical, b"lost?")
    refused(READ_FAULT, rpc.ReadVirtualUncached, where.nowhere, 4)
    refused(WRITE_FAULT, rpc.WriteVirtualUncached, where.nowhere + 8, b"lost?")
    # a device: each access is made, once, as wide as asked, and nothing is kept
    with guest.accesses(reads=True) as seen:
        assert rpc.WriteVirtual(where.hpet + 0x10, u32(0)) == 4
        assert len(rpc.ReadVirtual(where.hpet, 4)) == 4
        assert len(rpc.ReadVirtual(where.hpet, 4)) == 4
        assert rpc.WritePhysical(where.hpet_physical + 0x10, u32(0)) == 4
    offsets = [(access.kind, access.address % PAGE, access.size) for access in seen]
    assert offsets == [("write", 0x10, 4), ("read", 0, 4), ("read", 0, 4), ("write", 0x10, 4)]
    assert command in tap.commands or command == PCI  # QMP has query-pci
    rpc.go()
    assert guest.read(where.b - 100, 200) == data
    assert guest.read(where.bulk + 5, len(bulk)) == bulk
    assert guest.read(where.c + 3, 200) == data
    assert "reports" not in daemon.log


def test_an_unknown_range_is_not_cached(guest, garbled):
    """What the guest's RAM holds is asked anew each time, and it is told once why."""
    daemon, rpc, _ = garbled(*GARBLED["kind of RAM"])
    for value in (b"once", b"more"):
        assert rpc.WriteVirtual(guest.map.a, value) == 4
        assert guest.physical(guest.map.a_physical, 4) == value
        assert rpc.ReadVirtual(guest.map.a, 4) == value
        rpc.go()
        rpc.halt()
    told = [line for line in daemon.log.splitlines() if "is not understood" in line]
    assert len(told) == 1 and "wax" in told[0]


def test_memory_that_is_none_is_told(guest, garbled):
    daemon, rpc, _ = garbled(*GARBLED["HPET as RAM"])
    assert rpc.ReadPhysical(guest.map.a_physical, 1) is not None
    assert [line for line in daemon.log.splitlines() if "calls 0xfed00000-0xfed003ff RAM" in line]


def test_a_whole_map_is_believed(guest, garbled):
    daemon, rpc, _ = garbled(MTREE, lambda text: text)
    rpc.WriteVirtual(guest.map.a, b"kept")
    assert guest.physical(guest.map.a_physical, 4) != b"kept"
    rpc.FlushCache()
    assert guest.physical(guest.map.a_physical, 4) == b"kept"
    assert not re.search("not understood|not believed|unknown|and it is not", daemon.log)


FACTS = ("info version", "info status", "info kvm", "info chardev")


def test_facts_that_qmp_has_are_asked_there(guest, cleanup, tmp_path):
    """A monitor that prints nonsense changes nothing of what QMP tells."""
    tap = Tap(guest.gdb, lambda asked, text: "nonsense\r\n" if asked in FACTS else text)
    cleanup.append(tap)
    options = ["--direct-ram", "auto", "--qtest", "on"]
    for _ in range(2):  # the second finds the first one's qtest
        daemon = Daemon(guest, gdb=tap.gdb, options=options, env={"XDG_RUNTIME_DIR": str(tmp_path)})
        cleanup.append(daemon)
        with Rpc(daemon.rpc) as rpc:
            ways = rpc.GetTransportStatus()
            assert ways["qtest"]["open"] and not ways["direct-ram"]["open"]  # the process at the other end is no QEMU
            assert f"QEMU {version(guest)}" in rpc.Hello("test", 2)[1]["upstream"]
        daemon.stop()
    assert not set(FACTS) & set(tap.commands)
