"""Notifications of state changes, on request, whoever causes them."""

from harness.gdb import Gdb
from harness.rpc import BREAK, E_INVALIDARG, GO, S_OK
from test_virtual import refused

DEBUGGEE, ENGINE = 0x400, 0x800
EXECUTION_STATUS = 0x10
LOST = 7


def told(connection, method):
    """The next notification of that name."""
    return connection.wait_notification(method)


def test_engine_state(pc, rpc):
    other = pc.connect()
    assert rpc.call("SetEventCallbacks", ENGINE).hresult == S_OK
    other.halt()
    flags, status, text = told(rpc, "ChangeEngineState")
    assert (flags, status) == (EXECUTION_STATUS, BREAK) and text
    debugger = Gdb(pc.daemon.endpoints["stub"][0])
    debugger.ask("?")
    debugger.go()
    assert told(rpc, "ChangeEngineState")[:2] == [EXECUTION_STATUS, GO]
    debugger.stop()
    assert told(rpc, "ChangeEngineState")[:2] == [EXECUTION_STATUS, BREAK]
    debugger.close()
    other.go()
    assert told(rpc, "ChangeEngineState")[:2] == [EXECUTION_STATUS, GO]
    assert rpc.call("SetEventCallbacks", 0).hresult == S_OK
    other.halt()
    assert rpc.GetExecutionStatus() == BREAK
    assert not rpc.notifications


def test_debuggee_state(pc, rpc):
    assert rpc.call("SetEventCallbacks", DEBUGGEE).hresult == S_OK
    rpc.halt()
    assert told(rpc, "ChangeDebuggeeState")[:2] == [0xFFFFFFFF, 0]


def test_other_bits(rpc):
    for mask in (1, 0x200, 0x1000, ENGINE | 1):
        assert "0x400" in refused(E_INVALIDARG, rpc.SetEventCallbacks, mask)
    assert rpc.call("SetEventCallbacks", ENGINE | DEBUGGEE).hresult == S_OK


def test_client_of_the_first_version(pc, rpc):
    """Its bits meant other events: it is served, gets none, and is told so in words."""
    assert rpc.call("SetEventCallbacks", ENGINE).hresult == S_OK
    assert rpc.call("Hello", "of old", 1).hresult == S_OK
    (method, (call, text)), = rpc.notifications
    assert (method, call) == ("Warning", "Hello") and "SetEventCallbacks" in text and "version 2" in text
    rpc.notifications.clear()
    for mask in (0x200, 0x400, 0x800):
        assert "version 2" in refused(E_INVALIDARG, rpc.SetEventCallbacks, mask)
    assert rpc.call("SetEventCallbacks", 0).hresult == S_OK
    rpc.halt()
    assert len(rpc.ReadVirtual(pc.map.a, 16)) == 16 and not rpc.notifications
    assert rpc.call("Hello", "anew", 2).hresult == S_OK
    assert rpc.call("SetEventCallbacks", ENGINE).hresult == S_OK
    rpc.go()
    assert told(rpc, "ChangeEngineState")[:2] == [EXECUTION_STATUS, GO]


def test_versions_that_are_not_spoken(rpc):
    for version in (0, 3, 2**64 - 1):
        assert f"version {version} " in refused(E_INVALIDARG, rpc.Hello, "x", version)
    assert rpc.call("Hello", "x", 2).hresult == S_OK and not rpc.notifications


def test_lost(bridge):
    made = bridge()
    rpc = made.connect()
    assert rpc.call("SetEventCallbacks", ENGINE).hresult == S_OK
    made.guest.kill()
    assert told(rpc, "ChangeEngineState")[:2] == [EXECUTION_STATUS, LOST]
