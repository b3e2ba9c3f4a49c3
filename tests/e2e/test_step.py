"""Every step moves. QEMU itself now and then answers one without having made it; the bridge makes it again."""

import pytest
from harness import processes
from harness.gdb import Gdb
from harness.rpc import BREAK, S_OK, STEP_INTO

STEPS = 300
RAX, RCX, RDI, RIP, EFLAGS = 0, 2, 5, 16, 17


@pytest.fixture
def stub(pc):
    """A factory of clients of pc's daemon that have attached."""
    clients = []

    def make():
        client = Gdb(pc.daemon.endpoints["stub"][0])
        clients.append(client)
        client.ask("?")
        return client

    yield make
    for client in clients:
        client.close()
    processes.until(pc.guest.running, "the guest to run again")


def registers_of(client, thread):
    assert client.ask(f"Hg{thread}") == "OK"
    text = client.ask("g")
    assert len(text) == 1216
    return text


def set_register(client, number, value):
    assert client.ask(f"P{number:x}={value.to_bytes(8, 'little').hex()}") == "OK"


def at_code(pc, client, code):
    """Halted with processor 1 about to run that code in page C."""
    assert client.ask("Hgp1.1") == "OK"
    assert client.write(pc.map.code, code) == "OK"
    saved = registers_of(client, "p1.1")
    set_register(client, RIP, pc.map.code)
    return saved


@pytest.mark.parametrize("how", ["vCont;s:p1.1", "vCont;s:p1.1;c:p1.-1", "s", "vCont;s:p1.2"])
def test_every_step_of_a_debugger_moves(pc, stub, how):
    pc.guest.ask("spin 1")
    one = stub()
    thread = "p1.2" if how.endswith("2") else "p1.1"
    assert one.ask(f"Hc{thread}") == "OK"
    before = registers_of(one, thread)
    for step in range(STEPS):
        stop = one.ask(how)
        assert stop.startswith("T05") and f"thread:{thread};" in stop
        after = registers_of(one, thread)
        assert after != before, f"step {step} did not move"
        before = after
        assert one.ask(f"Hc{thread}") == "OK"


def test_every_step_of_a_call_moves(pc, rpc, stub):
    pc.guest.ask("spin 1")
    watcher = stub()
    before = registers_of(watcher, "p1.1")
    for step in range(STEPS):
        rpc.SetExecutionStatus(STEP_INTO)
        assert rpc.call("WaitForEvent", 30000).hresult == S_OK
        assert rpc.GetExecutionStatus() == BREAK
        after = registers_of(watcher, "p1.1")
        assert after != before, f"step {step} did not move"
        before = after
    rpc.go()


def test_an_instruction_that_repeats_itself_is_stepped_once(pc, stub):
    """rep stosb keeps the program counter, but what it counts with moves: by one for each step."""
    one = stub()
    saved = at_code(pc, one, bytes.fromhex("f3aa"))
    set_register(one, RCX, 1000)
    set_register(one, RDI, pc.map.a)
    for left in range(999, 999 - STEPS, -1):
        assert one.ask("vCont;s:p1.1").startswith("T05")
        assert (one.register(RIP), one.register(RCX)) == (pc.map.code, left)
    assert one.ask("Hgp1.1") == "OK" and one.ask("G" + saved) == "OK"


def test_a_jump_to_itself_is_told(pc, stub):
    """It moves nothing, and each step of it comes to an end all the same."""
    one = stub()
    saved = at_code(pc, one, bytes.fromhex("ebfe"))
    before = registers_of(one, "p1.1")
    log = len(pc.daemon.log)
    for _ in range(5):
        assert one.ask("vCont;s:p1.1").startswith("T05")
        assert registers_of(one, "p1.1") == before
        assert not pc.guest.running()
    assert pc.daemon.log[log:].count("and not made: again") == 15
    assert one.ask("Hgp1.1") == "OK" and one.ask("G" + saved) == "OK"


def test_a_watchpoint_ends_a_step_as_itself(pc, stub):
    """A stop that says more than that a step has ended is told as it came."""
    one = stub()
    saved = at_code(pc, one, bytes.fromhex("8807ebfc"))  # mov [rdi], al; jmp back
    set_register(one, RDI, pc.map.a)
    assert one.ask(f"Z2,{pc.map.a:x},1") == "OK"
    stop = one.ask("vCont;s:p1.1")
    assert stop.startswith("T05") and "watch:" in stop
    assert one.ask(f"z2,{pc.map.a:x},1") == "OK"
    assert one.ask("vCont;s:p1.1").startswith("T05")  # QEMU has this stop left
    assert one.ask("Hgp1.1") == "OK" and one.ask("G" + saved) == "OK"


def test_an_interrupted_step_is_told(pc, stub):
    """A processor that rests is not stepped before something wakes it; whoever interrupts hears of it once."""
    one = stub()
    saved = at_code(pc, one, bytes.fromhex("faf4ebfd"))  # cli; hlt; jmp back
    assert one.ask("vCont;s:p1.1").startswith("T05")
    one.send("vCont;s:p1.1")
    processes.until(pc.guest.running, "the guest to run")
    stop = one.stop()
    assert stop.startswith("T02") and not pc.guest.running()
    assert one.quiet(0.1)
    assert one.ask("Hgp1.1") == "OK" and one.ask("G" + saved) == "OK"
    assert one.register(RIP) == int.from_bytes(bytes.fromhex(saved[256:272]), "little")


def test_two_step_over_each_others_breakpoints(pc, stub):
    """Each stop is a new one: from the breakpoint of the other the bridge steps, and never stays."""
    pc.guest.ask("spin 1")
    pc.guest.write(pc.map.code, bytes.fromhex("90908d4701c3"))  # nop; nop; lea eax, [rdi + 1]; ret
    first, second = stub(), stub()
    for client, point in ((first, pc.map.code), (second, pc.map.code + 1)):
        assert client.ask(f"Z0,{point:x},1") == "OK"
    for number in range(20):
        ticket = pc.guest.post(f"call {pc.map.code:#x} {number}")
        second.send("c")
        assert second.reply().startswith("T05") and second.register(RIP) == pc.map.code
        second.send("c")
        assert second.reply().startswith("T05") and second.register(RIP) == pc.map.code + 1
        first.send("c")
        assert int(pc.guest.answer(ticket), 0) == number + 1
        assert first.stop().startswith("T02")
    for client, point in ((first, pc.map.code), (second, pc.map.code + 1)):
        assert client.ask(f"z0,{point:x},1") == "OK"
