"""Run control, and attaching without anybody noticing."""

import signal
import threading

import pytest
from harness import processes
from harness.rpc import BREAK, E_INVALIDARG, E_UNEXPECTED, GO, S_FALSE, S_OK, STEP_INTO
from test_virtual import refused


def moves(guest):
    """Does the guest's loop turn?"""
    before = guest.physical(guest.map.mailbox_physical + 16, 8)
    try:
        processes.until(
            lambda: guest.physical(guest.map.mailbox_physical + 16, 8) != before, "a turn of the loop", 0.5
        )
    except TimeoutError:
        return False
    return True


def test_halt_and_go(pc, rpc):
    assert rpc.GetExecutionStatus() == GO
    assert moves(pc.guest)
    rpc.SetInterrupt()
    hresult, (text,) = rpc.call("WaitForEvent", 30000)
    assert hresult == S_OK and text
    assert rpc.GetExecutionStatus() == BREAK
    assert not pc.guest.running() and not moves(pc.guest)
    rpc.SetExecutionStatus(GO)
    assert rpc.GetExecutionStatus() == GO
    assert pc.guest.running() and moves(pc.guest)


def test_wait_runs_out(pc, rpc):
    assert rpc.call("WaitForEvent", 50).hresult == S_FALSE
    assert rpc.call("WaitForEvent", 0).hresult == S_FALSE
    assert pc.guest.running()
    rpc.halt()
    assert rpc.call("WaitForEvent", 0).hresult == S_OK


def test_interrupt_overtakes_a_wait(pc, rpc):
    """Pipelined behind a wait without end, SetInterrupt is taken at once."""
    waiting = rpc.post("WaitForEvent", 2**32 - 1)
    interrupt = rpc.post("SetInterrupt")
    assert rpc.answer(interrupt).hresult == S_OK
    assert rpc.answer(waiting).hresult == S_OK
    assert not pc.guest.running()


def test_interrupt_from_another_connection(pc, rpc):
    other = pc.connect()
    waiting = rpc.post("WaitForEvent", 2**32 - 1)
    other.SetInterrupt()
    assert rpc.answer(waiting).hresult == S_OK
    assert other.call("WaitForEvent", 30000).hresult == S_OK
    assert other.GetExecutionStatus() == BREAK
    other.SetExecutionStatus(GO)
    assert rpc.GetExecutionStatus() == GO


def test_step(pc, rpc):
    """One instruction: the loop of a guest that steps does not turn, the instruction pointer does."""

    def pointer():
        registers = pc.guest.qmp_control.human("info registers")
        return registers[registers.index("RIP=") : registers.index("RFL=")]

    pc.guest.ask("spin 1")
    rpc.halt()
    for _ in range(5):
        before = pointer()
        rpc.SetExecutionStatus(STEP_INTO)
        assert rpc.call("WaitForEvent", 30000).hresult == S_OK
        assert rpc.GetExecutionStatus() == BREAK
        assert not pc.guest.running()
        assert pointer() != before, "a step that does not move"
    rpc.go()
    assert moves(pc.guest)


def test_refusals(pc, rpc):
    assert rpc.GetExecutionStatus() == GO
    refused(E_UNEXPECTED, rpc.SetExecutionStatus, STEP_INTO)
    for status in (0, 2, 3, 4, 6, 7, 8, 99):
        refused(E_INVALIDARG, rpc.SetExecutionStatus, status)
    rpc.halt()
    for status in (0, 6, 7, 99):
        refused(E_INVALIDARG, rpc.SetExecutionStatus, status)
    for processor in (2, 3, 2**32 - 1):
        refused(E_INVALIDARG, rpc.SetCurrentProcessor, processor)
    assert rpc.GetCurrentProcessor() == 0
    rpc.SetInterrupt()  # halted already: fine
    assert rpc.GetExecutionStatus() == BREAK


def test_somebody_else_at_the_monitor(pc, rpc):
    """QEMU's own stop and cont are noticed."""
    pc.guest.qmp_control.execute("stop")
    assert rpc.call("WaitForEvent", 30000).hresult == S_OK
    assert rpc.GetExecutionStatus() == BREAK
    assert rpc.WriteVirtual(pc.map.a, b"while stopped") == 13
    rpc.FlushCache()
    pc.guest.qmp_control.execute("cont")
    processes.until(lambda: rpc.GetExecutionStatus() == GO, "the daemon to notice")
    refused(E_UNEXPECTED, rpc.ReadVirtual, pc.map.a, 1)
    assert pc.guest.running()
    assert pc.guest.read(pc.map.a, 13) == b"while stopped"


def test_reset_while_halted(pc, rpc):
    """What was read before a reset is not read after it."""
    rpc.halt()
    rpc.WriteVirtualUncached(0x600, b"\x5a" * 4)
    since = pc.guest.serial.mark()
    pc.guest.qmp_control.execute("system_reset")
    rpc.go()
    pc.guest.wait_ready(since)
    rpc.halt()
    rpc.WriteVirtual(pc.map.a, b"after")
    rpc.go()
    assert pc.guest.read(pc.map.a, 5) == b"after"


@pytest.mark.parametrize("qmp", [True, False])
@pytest.mark.parametrize("running", [True, False])
def test_attach_and_leave_keep_the_state(new_guest, new_daemon, running, qmp):
    guest = new_guest("x86_64")
    if not running:
        guest.qmp_control.execute("stop")
    daemon = new_daemon(guest, qmp=None if qmp else "")
    with daemon.connect() as rpc:
        if qmp or not running:
            processes.until(lambda: rpc.GetExecutionStatus() == (GO if running else BREAK), "the state")
        else:
            assert rpc.GetExecutionStatus() == GO
    processes.until(lambda: guest.running() is running, "the state as it was")
    assert moves(guest) is running
    daemon.child.send(signal.SIGTERM)
    assert daemon.child.wait() == 0
    assert guest.running() is running and moves(guest) is running


@pytest.mark.parametrize("found_running", [True, False])
def test_leaving_gives_back_the_state_it_found(new_guest, new_daemon, found_running):
    """Though a client has changed it meanwhile."""
    guest = new_guest("x86_64")
    if not found_running:
        guest.qmp_control.execute("stop")
    daemon = new_daemon(guest)
    with daemon.connect() as rpc:
        if found_running:
            rpc.halt()
        else:
            rpc.go()
        assert guest.running() is not found_running
    daemon.child.send(signal.SIGINT)
    assert daemon.child.wait() == 0
    assert guest.running() is found_running and moves(guest) is found_running


def test_attach_halt(new_guest, new_daemon):
    guest = new_guest("x86_64")
    daemon = new_daemon(guest, options=["--attach", "halt"])
    with daemon.connect() as rpc:
        assert rpc.GetExecutionStatus() == BREAK
        assert not guest.running()
        assert rpc.WriteVirtual(guest.map.a, b"halted") == 6
    daemon.stop()
    assert guest.running()
    assert guest.read(guest.map.a, 6) == b"halted"


def test_halted_guest_is_left_clean(new_guest, new_daemon):
    """A second daemon finds what the first left: no PhyMemMode, no breakpoint, the same state."""
    guest = new_guest("x86_64")
    for _ in range(2):
        daemon = new_daemon(guest)
        with daemon.connect() as rpc:
            rpc.halt()
            rpc.WritePhysical(guest.map.b_physical, b"p")
            assert rpc.WriteVirtual(guest.map.b, b"virtual") == 7
        daemon.stop()
        assert guest.read(guest.map.b, 7) == b"virtual"


def test_many_at_once(pc, halted):
    """Twenty connections, each with its own bytes, side by side."""
    failures = []

    def work(number):
        try:
            with pc.daemon.connect() as rpc:
                address = pc.map.bulk + number * 5000
                data = bytes([number + 1]) * 5000
                for _ in range(5):
                    assert rpc.WriteVirtual(address, data) == 5000
                    rpc.FlushCache()
                    assert rpc.ReadVirtualUncached(address, 5000) == data
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    halted.go()
    assert pc.guest.holds(pc.map.bulk, b"".join(bytes([n + 1]) * 5000 for n in range(20)))


def test_answers_come_in_order(pc, halted):
    ids = []
    for number in range(200):
        ids.append(halted.post("WriteVirtual", pc.map.a + number, bytes([number])))
        ids.append(halted.post("ReadVirtual", pc.map.a, number + 1))
    for number in range(200):
        assert halted.answer(ids[2 * number]) == (S_OK, [1])
        assert halted.answer(ids[2 * number + 1]).outs == [bytes(range(number + 1))]
    assert [i for i in halted.order if i in set(ids)] == ids


@pytest.mark.parametrize("qmp", [True, False])
def test_over_tcp(bridge, qmp):
    pc = bridge("x86_64", tcp=True, qmp=qmp, listen=["tcp:127.0.0.1:0"])
    assert pc.daemon.rpc.startswith("tcp:127.0.0.1:") and not pc.daemon.rpc.endswith(":0")
    rpc = pc.connect()
    rpc.halt()
    assert rpc.WriteVirtual(pc.map.b - 3, b"by TCP") == 6
    rpc.go()
    assert pc.guest.read(pc.map.b - 3, 6) == b"by TCP"
