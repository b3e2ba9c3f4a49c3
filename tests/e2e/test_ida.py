"""A scripted client that plays IDA: its packets in its order (docs of stubs written for it, published traces).
There is no IDA here; what it expects is checked instead."""

import re
import xml.etree.ElementTree as tree

import pytest
from harness import processes
from harness.gdb import IDA, Gdb, thread_of
from harness.guest import PAGE
from test_gdb import FUNCTIONS

RIP = 16


class Ida(Gdb):
    """hello: what its version sends first."""

    def __init__(self, endpoint, hello=IDA):
        super().__init__(endpoint, None)
        self.raw(b"++")  # a leading ack, sometimes two
        self.features = self.ask(hello)
        if "QStartNoAckMode+" in self.features:
            # strictly: OK, the client's ack, then silence from both
            self.send("QStartNoAckMode")
            assert self.reply() == "OK"
            assert self.packet(0.05) is None
            self.ack = False

    def begin(self):
        self.ask("QDisableRandomization:1")
        self.ask("!")
        assert self.ask("Hg0") == "OK"
        names = re.findall(r'href="([^"]+)"', self.document("features:read:target.xml", 0xFFF))
        self.registers = []
        for name in names:
            for register in tree.fromstring(self.document(f"features:read:{name}", 0xFFF)).iter("reg"):
                self.registers.append((register.get("name"), register.get("type")))
        self.first_stop = self.ask("?")
        self.current = self.ask("qC")
        assert self.ask("qAttached") == "1"
        threads = self.ask("qfThreadInfo")
        assert self.ask("qsThreadInfo") == "l"
        self.threads = threads[1:].split(",")
        for thread in self.threads:
            assert re.fullmatch("([0-9a-f]{2})+", self.ask(f"qThreadExtraInfo,{thread}"))
        assert "<thread id=" in self.document("threads:read:", 0xFFF)
        return self.ask("g")


@pytest.fixture
def ida(pc):
    client = Ida(pc.daemon.endpoints["stub"][0])
    yield client
    client.close()
    processes.until(pc.guest.running, "the guest to run again")


def test_the_beginning(pc, ida):
    everything = ida.begin()
    assert "multiprocess" not in ida.features
    assert ida.first_stop.startswith("T02") and thread_of(ida.first_stop) == "1"
    assert ida.current == "QC1" and ida.threads == ["1", "2"]
    # the first register of type code_ptr is the program counter
    pointers = [number for number, (_, kind) in enumerate(ida.registers) if kind == "code_ptr"]
    assert pointers[0] == RIP and ida.registers[RIP][0] == "rip"
    assert ida.register(RIP) == int.from_bytes(bytes.fromhex(everything[2 * 128 : 2 * 136]), "little")
    # it asks for as much as one g reply holds
    assert len(ida.read(pc.map.a, len(everything) // 2)) == len(everything) // 2


@pytest.mark.parametrize("hello", ["qSupported", IDA])
def test_every_version_says_hello(pc, hello):
    client = Ida(pc.daemon.endpoints["stub"][0], hello)
    assert client.begin()
    client.close()


def test_it_takes_all_memory_for_readable(pc, ida):
    ida.begin()
    for address in (0xDEAD000000000000, pc.map.hole, 0xFFFFFFFFFFFFF000 - 8):
        assert ida.ask(f"m{address:x},8", limit=2).startswith("E"), hex(address)
    assert ida.read(pc.map.hole - 4, 8) == bytes(4)
    for page in range(64):  # a view of memory that is scrolled
        ida.ask(f"m{0x30000000 + page * PAGE:x},200", limit=2)


def test_a_breakpoint_step_over_continue(pc, ida):
    """On continue from a breakpoint it removes it, steps, and puts it back when the step is answered."""
    pc.guest.ask("spin 1")
    pc.guest.write(pc.map.code, FUNCTIONS["x86_64"])
    ida.begin()
    point = f"0,{pc.map.code:x},1"
    assert ida.ask("Z" + point) == "OK"
    assert ida.ask("vCont?") == "vCont;c;C;s;S"
    for argument in (41, 42, 43):
        ticket = pc.guest.post(f"call {pc.map.code:#x} {argument}")
        ida.send("vCont;c")
        stop = ida.reply()
        assert stop.startswith("T05") and thread_of(stop) == "1"
        assert ida.ask("Hg1") == "OK"
        assert ida.register(RIP) == pc.map.code
        assert ida.ask("z" + point) == "OK"
        assert ida.ask("Hc1") == "OK"
        stop = ida.ask("vCont;s:1")
        assert stop.startswith("T05") and thread_of(stop) == "1"
        assert ida.ask("Z" + point) == "OK"
        assert ida.register(RIP) == pc.map.code + 1
        ida.send("c")
        assert ida.quiet(0.05)
        assert int(pc.guest.answer(ticket), 0) == argument + 1
        assert thread_of(ida.stop()) == "1"
    assert ida.ask("z" + point) == "OK"
    for kind in (1, 2, 3, 4):
        assert ida.ask(f"Z{kind},{pc.map.a:x},4") == "OK"
        assert ida.ask(f"z{kind},{pc.map.a:x},4") == "OK"


def test_it_writes(pc, ida):
    everything = ida.begin()
    changed = everything[: 2 * 8] + "efbeadde00000000" + everything[2 * 16 :]
    assert ida.ask("G" + changed) == "OK"
    assert ida.register(1) == 0xDEADBEEF
    assert ida.ask("P1=" + everything[2 * 8 : 2 * 16]) == "OK"
    assert ida.ask("g") == everything
    assert ida.ask(f"M{pc.map.a:x},4:01020304") == "OK"
    assert ida.monitor("info status") == ("VM status: paused\r\n", "OK")
    assert ida.ask("D") == "OK"
    assert pc.guest.read(pc.map.a, 4) == bytes((1, 2, 3, 4))


def test_attach_to_a_process(pc, ida):
    ida.begin()
    assert thread_of(ida.ask("vAttach;1")) == "1"
    assert ida.ask("vAttach;539").startswith("E")


def test_closing_it_kills_nothing(pc, ida):
    ida.begin()
    ida.send("k")
    assert ida.closed()
    processes.until(pc.guest.running, "the guest to run again")
