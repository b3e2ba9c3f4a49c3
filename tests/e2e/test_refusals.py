"""Accesses of a width that a device refuses. What was refused is told where this QEMU tells, and a warning comes
where it does not; what devices really got is in QEMU's traces."""

import json
import re

import pytest
from conftest import Shared
from harness import probes
from harness.daemon import cli
from harness.gdb import Gdb
from harness.rpc import READ_FAULT, S_OK, UNCACHED, WRITE_FAULT
from test_virtual import refused

HPET_REGISTER = 0x10  # its configuration: of 4 or 8 bytes
EDU_REGISTER = 0x04  # gives back what was written, inverted: of 4 bytes or more

# How the daemon reaches the guest; whether it runs meanwhile.
REACHED = {
    "halted": ({}, False),
    "halted, no monitor": ({"qmp": False}, False),
    "halted, qtest": ({"options": ["--qtest", "on"]}, False),
    "running, qtest": ({"options": ["--qtest", "on"]}, True),
}
# The device's name, address and register on this guest, by kind of address.
DEVICES = ("hpet", "edu")


class Reached:
    """A guest as REACHED says, a connection to its daemon, and what is told there."""

    def __init__(self, shared, running):
        self.bridge, self.running = shared.get(), running
        self.guest, self.map, self.daemon = self.bridge.guest, self.bridge.map, self.bridge.daemon
        self.rpc = self.bridge.connect()
        self.rpc.halt()
        if running:
            self.rpc.go()

    def tells(self, what):
        """what: a field of probes.Tells. Physical memory is no worse for a virtual address."""
        if self.running:
            return False
        told = probes.tells()
        kind = what.partition("_")[2]
        return getattr(told, what) or getattr(told, f"physical_{kind}")

    def address(self, device, physical):
        if device == "hpet":
            return (self.map.hpet_physical if physical else self.map.hpet) + HPET_REGISTER
        return (self.guest.bars["edu"] if physical else self.map.edu) + EDU_REGISTER

    def warnings(self, method):
        """What was warned of since; all of it for calls of that name, one each."""
        seen = [params for name, params in self.rpc.notifications if name == "Warning"]
        self.rpc.notifications[:] = [n for n in self.rpc.notifications if n[0] != "Warning"]
        assert all(call == method for call, _ in seen), seen
        return [text for _, text in seen]


@pytest.fixture(scope="module", params=REACHED)
def _reached(request):
    options, running = REACHED[request.param]
    shared = Shared(arch="x86_64", **options)
    yield shared, running
    shared.stop()


@pytest.fixture
def reached(_reached):
    made = Reached(*_reached)
    yield made
    made.bridge.disconnect()


WRITES = {
    "WriteVirtual": (False, lambda rpc, at, data: rpc.WriteVirtual(at, data)),
    "WriteVirtualUncached": (False, lambda rpc, at, data: rpc.WriteVirtualUncached(at, data)),
    "FillVirtual": (False, lambda rpc, at, data: rpc.FillVirtual(at, len(data), data)),
    "WritePhysical": (True, lambda rpc, at, data: rpc.WritePhysical(at, data)),
    "WritePhysical2": (True, lambda rpc, at, data: rpc.WritePhysical2(at, UNCACHED, data)),
    "FillPhysical": (True, lambda rpc, at, data: rpc.FillPhysical(at, len(data), data)),
}
READS = {
    "ReadVirtual": (False, lambda rpc, at, size: rpc.ReadVirtual(at, size)),
    "ReadVirtualUncached": (False, lambda rpc, at, size: rpc.ReadVirtualUncached(at, size)),
    "ReadPhysical": (True, lambda rpc, at, size: rpc.ReadPhysical(at, size)),
    "ReadPhysical2": (True, lambda rpc, at, size: rpc.ReadPhysical2(at, UNCACHED, size)),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("method", WRITES)
def test_a_write_that_is_refused(reached, device, method):
    physical, call = WRITES[method]
    at = reached.address(device, physical)
    told = reached.tells("physical_write" if physical else "virtual_write")
    for size in (1, 2):
        data = bytes(range(1, size + 1))
        with reached.guest.accesses(reads=True) as seen:
            if told:
                message = refused(WRITE_FAULT, call, reached.rpc, at, data)
                assert f"{size} byte" in message and device in message
            else:
                assert call(reached.rpc, at, data) == size
        assert seen == [], "the device was reached"
        warned = reached.warnings(method)
        if told:
            assert warned == []
        else:
            assert len(warned) == 1 and device in warned[0] and "cannot tell" in warned[0]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("method", READS)
def test_a_read_that_is_refused(reached, device, method):
    physical, call = READS[method]
    at = reached.address(device, physical)
    told = reached.tells("physical_read" if physical else "virtual_read")
    for size in (1, 2):
        with reached.guest.accesses(reads=True) as seen:
            if told:
                message = refused(READ_FAULT, call, reached.rpc, at, size)
                assert f"{size} byte" in message and device in message
            else:
                assert call(reached.rpc, at, size) == bytes(size)
        assert seen == [], "the device was reached"
        assert len(reached.warnings(method)) == (0 if told else 1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("method", WRITES)
def test_a_write_that_is_taken(reached, device, method):
    """It arrives once, as it was asked for, by whichever way; no other access is made to find out what is told."""
    physical, call = WRITES[method]
    at = reached.address(device, physical)
    data = b"\x00\x00\x00\x00" if device == "hpet" else b"\x12\x34\x56\x78"
    with reached.guest.accesses(reads=True) as seen:
        assert call(reached.rpc, at, data) == 4
    assert [(a.kind, a.address, a.value, a.size) for a in seen] == [
        ("write", reached.address(device, True), int.from_bytes(data, "little"), 4)
    ]
    told = reached.tells("physical_write" if physical else "virtual_write")
    assert len(reached.warnings(method)) == (0 if told else 1)


@pytest.mark.parametrize("method", READS)
def test_a_read_that_is_answered(reached, method):
    physical, call = READS[method]
    at = reached.address("edu", physical) - EDU_REGISTER
    with reached.guest.accesses(reads=True) as seen:
        assert call(reached.rpc, at, 4) == b"\xed\x00\x00\x01"
    assert [(a.kind, a.size) for a in seen] == [("read", 4)]
    told = reached.tells("physical_read" if physical else "virtual_read")
    assert len(reached.warnings(method)) == (0 if told else 1)


@pytest.mark.parametrize("physical", [False, True], ids=["virtual", "physical"])
def test_a_write_that_is_refused_in_its_middle(reached, physical):
    """4 bytes, which the device takes, then 2, which it refuses: the count ends where it did, as far as is told;
    nothing is sent behind what was refused."""
    method = "WritePhysical" if physical else "WriteVirtual"
    at = reached.address("edu", physical)
    told = reached.tells("physical_write" if physical else "virtual_write")
    data = b"\x01\x02\x03\x04\x05\x06"
    with reached.guest.accesses() as seen:
        done = reached.rpc.call(method, at, data)
    assert done == (S_OK, [4 if told else 6])
    assert [(a.value, a.size) for a in seen] == [(0x04030201, 4)]
    assert len(reached.warnings(method)) == (0 if told else 1)


def test_pointers_to_a_device(reached):
    """Whole pointers are taken; those at an odd place are accesses of narrower widths."""
    told = reached.tells("virtual_write")
    at = reached.address("hpet", False)
    assert reached.rpc.call("WritePointersVirtual", at, [0]).hresult == S_OK
    assert len(reached.warnings("WritePointersVirtual")) == (0 if told else 1)
    with reached.guest.accesses() as seen:
        if told:
            assert "0 of 1 pointers" in refused(WRITE_FAULT, reached.rpc.WritePointersVirtual, at + 2, [0])
        else:
            assert reached.rpc.call("WritePointersVirtual", at + 2, [0]).hresult == S_OK
            assert len(reached.warnings("WritePointersVirtual")) == 1
    assert not seen or not told
    read = reached.tells("virtual_read")
    if read:
        refused(READ_FAULT, reached.rpc.ReadPointersVirtual, 1, at + 2)
    else:
        reached.rpc.ReadPointersVirtual(1, at + 2)
    assert len(reached.warnings("ReadPointersVirtual")) == (0 if read else 1)


def test_memory_comes_without_a_warning(reached):
    data = b"no device"
    assert reached.rpc.WriteVirtualUncached(reached.map.a, data) == len(data)
    assert reached.rpc.ReadPhysical(reached.map.a_physical, len(data)) == data
    assert reached.rpc.WritePhysical(reached.map.a_physical, data) == len(data)
    assert not reached.rpc.notifications


def test_the_front_for_debuggers(reached):
    """An error where it is told; else OK, for that is all that can be said."""
    if reached.running:
        pytest.skip("a debugger that attaches halts the guest")
    debugger = Gdb(reached.daemon.endpoints["stub"][0])
    try:
        debugger.ask("?")
        for physical in (False, True):
            assert debugger.ask(f"Qqemu.PhyMemMode:{physical:d}") == "OK"
            kind = "physical" if physical else "virtual"
            for device in DEVICES:
                at = reached.address(device, physical)
                with reached.guest.accesses(reads=True) as seen:
                    wrote = debugger.write(at, b"\x01")
                    read = debugger.ask(f"m{at:x},1")
                assert wrote.startswith("E") == reached.tells(f"{kind}_write"), wrote
                assert read.startswith("E") == reached.tells(f"{kind}_read"), read
                assert seen == []
    finally:
        debugger.close()


def test_the_command(reached):
    """On standard error, and in the object that --json prints."""
    for physical in (False, True):
        kind = "physical" if physical else "virtual"
        at = reached.address("edu", physical)
        told = reached.tells(f"{kind}_write")
        plain = cli(f"write-{kind}", hex(at), "01020304", connect=reached.daemon.rpc)
        assert plain.returncode == 0 and plain.stdout == "S_OK: 4 of 4 bytes written\n"
        assert bool(re.fullmatch(r"spacebridge: warning: .*cannot tell.*\n", plain.stderr)) != told, plain.stderr
        done = cli("--json", f"write-{kind}", hex(at), "01020304", connect=reached.daemon.rpc)
        answer = json.loads(done.stdout)
        assert answer["bytes_written"] == 4 and done.stderr == ""
        assert ("cannot tell" in answer.get("warning", "")) != told
        done = cli("--json", f"read-{kind}", hex(at), "4", connect=reached.daemon.rpc)
        assert ("warning" in json.loads(done.stdout)) != reached.tells(f"{kind}_read")
        done = cli("--json", f"write-{kind}", hex(at), "01", connect=reached.daemon.rpc)
        assert done.returncode == (1 if told else 0)


def test_the_log_says_it_once_for_each_region(bridge):
    """Many calls, one line for the HPET and one for edu; and none where it is told."""
    made = bridge(options=["--qtest", "on"])
    rpc = made.connect()
    rpc.go()
    for _ in range(20):
        rpc.WritePhysical(made.map.hpet_physical + HPET_REGISTER, b"\x00")
        rpc.WritePhysical(made.guest.bars["edu"] + EDU_REGISTER, b"\x00\x00")
    lines = re.findall(r"warning space: (.*cannot tell.*)", made.daemon.log)
    assert len(lines) == 2 and lines[0].startswith("hpet") and "edu" in lines[1]
    assert len([1 for method, _ in rpc.notifications if method == "Warning"]) == 40


def test_paging_that_our_own_walk_does_not_know(bridge):
    """A 32-bit kernel: its page tables are not searched, the rest of the HPET's page is a hole all the same."""
    made = bridge("i386")
    rpc = made.connect()
    rpc.halt()
    told = probes.tells()
    with made.guest.accesses(reads=True) as seen:
        if told.virtual_write or told.physical_write:
            refused(WRITE_FAULT, rpc.WriteVirtual, made.map.hpet + HPET_REGISTER, b"\x00")
        else:
            assert rpc.WriteVirtual(made.map.hpet + HPET_REGISTER, b"\x00") == 1
        refused(READ_FAULT, rpc.ReadVirtual, made.map.hpet + HPET_REGISTER, 1)
    assert seen == []


def test_another_machine(bridge):
    """aarch64, from before its first instruction: addresses are physical ones. The clock takes 4 bytes at a time."""
    made = bridge("aarch64", paused=True)
    rpc = made.connect()
    told = probes.tells()
    at = made.map.rtc_physical
    with made.guest.accesses() as seen:
        assert rpc.WriteVirtual(at + 0x10, b"\0\0\0\0") == 4
    assert [(a.address, a.size) for a in seen] == [(at + 0x10, 4)]
    warned = [n for n in rpc.notifications if n[0] == "Warning"]
    assert len(warned) == (0 if told.virtual_write or told.physical_write else 1)
