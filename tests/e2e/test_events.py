"""Notifications of state changes, on request, whoever causes them."""

from harness.gdb import Gdb
from harness.rpc import BREAK, E_INVALIDARG, GO, S_OK
from test_virtual import refused

DEBUGGEE, ENGINE = 0x200, 0x400
LOST = 7


def told(connection, method):
    """The next notification of that name."""
    return connection.wait_notification(method)


def test_engine_state(pc, rpc):
    other = pc.connect()
    assert rpc.call("SetEventCallbacks", ENGINE).hresult == S_OK
    other.halt()
    flags, status, text = told(rpc, "ChangeEngineState")
    assert (flags, status) == (2, BREAK) and text
    debugger = Gdb(pc.daemon.endpoints["stub"][0])
    debugger.ask("?")
    debugger.go()
    assert told(rpc, "ChangeEngineState")[:2] == [2, GO]
    debugger.stop()
    assert told(rpc, "ChangeEngineState")[:2] == [2, BREAK]
    debugger.close()
    other.go()
    assert told(rpc, "ChangeEngineState")[:2] == [2, GO]
    assert rpc.call("SetEventCallbacks", 0).hresult == S_OK
    other.halt()
    assert rpc.GetExecutionStatus() == BREAK
    assert not rpc.notifications


def test_debuggee_state(pc, rpc):
    assert rpc.call("SetEventCallbacks", DEBUGGEE).hresult == S_OK
    rpc.halt()
    assert told(rpc, "ChangeDebuggeeState")[:2] == [0xFFFFFFFF, 0]


def test_other_bits(rpc):
    assert "0x200" in refused(E_INVALIDARG, rpc.SetEventCallbacks, 1)
    assert rpc.call("SetEventCallbacks", ENGINE | DEBUGGEE).hresult == S_OK


def test_lost(bridge):
    made = bridge()
    rpc = made.connect()
    assert rpc.call("SetEventCallbacks", ENGINE).hresult == S_OK
    made.guest.kill()
    assert told(rpc, "ChangeEngineState")[:2] == [2, LOST]
