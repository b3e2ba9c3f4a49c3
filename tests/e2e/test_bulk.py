"""Large writes, which are carried out while they still arrive and mean what one that is there as a whole means; and
large reads, which come through two files in turns."""

import os
import signal

import pytest
from harness.processes import until
from harness.rpc import E_INVALIDARG, S_OK, WRITE_FAULT, CallFailed

MIB = 1 << 20
RAM_END = 64 * MIB
PLACE = 40 * MIB  # physical, used by nobody
VIRTUAL = 0x1010000  # mapped as it is, used by nobody


@pytest.fixture(autouse=True)
def clean(request):
    """The tests' places are zero."""
    if "halted" in request.fixturenames:
        rpc = request.getfixturevalue("halted")
        rpc.FillPhysical(PLACE - 4096, RAM_END - PLACE + 4096, b"\0")
        rpc.FillPhysical(VIRTUAL, 6 * MIB, b"\0")


def in_two(rpc, method, *arguments, first=3 * MIB):
    """A request whose last argument is bytes: its id, the frame up to so many of them, the rest of it."""
    msgid, frame = rpc.frame(method, *arguments)
    cut = len(frame) - len(arguments[-1]) + first
    return msgid, frame[:cut], frame[cut:]


def await_bytes(other, address, data):
    """Until another connection sees them in the target."""
    until(lambda: other.ReadPhysical(address, len(data)) == data, "the bytes in the target")


@pytest.mark.parametrize(
    "method, where, flags",
    [
        ("WritePhysical", PLACE, ()),
        ("WritePhysical2", PLACE + 123, (0,)),
        ("WriteVirtualUncached", VIRTUAL + 4095, ()),
    ],
)
def test_it_begins_before_it_is_there(pc, halted, method, where, flags):
    data = os.urandom(5 * MIB + 17)
    msgid, begin, rest = in_two(halted, method, where, *flags, data)
    other = pc.connect()
    halted.socket.sendall(begin)
    await_bytes(other, where, data[: 2 * MIB])  # all but the last, incomplete piece
    assert other.ReadPhysical(where + 4 * MIB, 16) != data[4 * MIB : 4 * MIB + 16]
    halted.socket.sendall(rest)
    assert halted.answer(msgid) == (S_OK, [len(data)])
    assert other.ReadPhysical(where, len(data)) == data
    assert other.ReadPhysical(where - 1, 1) == b"\0" and other.ReadPhysical(where + len(data), 1) == b"\0"


def test_what_follows_is_carried_out_behind_it(halted):
    data = [os.urandom(3 * MIB), os.urandom(4 * MIB)]
    first = halted.post("WritePhysical", PLACE, data[0])
    second = halted.post("ReadPhysical", PLACE + 3 * MIB - 8, 8)
    third = halted.post("WritePhysical", PLACE + 3 * MIB - 8, data[1])
    interrupt = halted.post("SetInterrupt")
    fourth = halted.post("ReadPhysical", PLACE, 7 * MIB - 8)
    assert halted.answer(fourth) == (S_OK, [data[0][:-8] + data[1]])
    assert halted.answer(first) == (S_OK, [3 * MIB])
    assert halted.answer(second) == (S_OK, [data[0][-8:]])
    assert halted.answer(third) == (S_OK, [4 * MIB])
    assert halted.answer(interrupt).hresult == S_OK
    assert [i for i in halted.order if i >= first and i != interrupt] == [first, second, third, fourth]


def test_the_end_of_ram_is_counted(pc, halted):
    data = os.urandom(6 * MIB)
    where = RAM_END - 3 * MIB - 100
    assert halted.WritePhysical(where, data) == 3 * MIB + 100
    assert pc.connect().ReadPhysical(where, 3 * MIB + 100) == data[: 3 * MIB + 100]
    assert halted.ReadPhysical(PLACE, 4) == bytes(4)  # and the connection goes on


def test_nothing_of_it_can_be_written(pc, halted):
    for address in (pc.map.nowhere_physical, RAM_END):
        with pytest.raises(CallFailed) as failed:
            halted.WritePhysical(address, bytes(3 * MIB))
        assert failed.value.hresult == WRITE_FAULT
        assert "WritePhysical" in failed.value.message and f"{address:x}" in failed.value.message
    with pytest.raises(CallFailed) as failed:
        halted.WritePhysical2(PLACE, 9, b"\1" * (3 * MIB))
    assert failed.value.hresult == E_INVALIDARG
    assert halted.ReadPhysical(PLACE, 4) == bytes(4)


def test_bad_arguments_are_refused_whole(halted):
    for arguments in (("no address", b"\1" * (3 * MIB)), (PLACE, 0, b"\1" * (3 * MIB)), (-1, b"\1" * (3 * MIB))):
        with pytest.raises(CallFailed) as failed:
            halted.WritePhysical(*arguments)
        assert failed.value.hresult == E_INVALIDARG
    assert halted.ReadPhysical(PLACE, 3 * MIB) == bytes(3 * MIB)


def test_a_peer_that_leaves_in_the_middle(pc, halted):
    data = os.urandom(6 * MIB)
    leaver = pc.connect()
    leaver.socket.sendall(in_two(leaver, "WritePhysical", PLACE, data)[1])
    await_bytes(halted, PLACE, data[: 2 * MIB])
    leaver.socket.close()
    assert halted.ReadPhysical(PLACE + 3 * MIB, 3 * MIB) == bytes(3 * MIB)
    assert halted.WritePhysical(PLACE, bytes(6 * MIB)) == 6 * MIB


def test_a_daemon_that_leaves_in_the_middle(new_guest, new_daemon):
    data = os.urandom(6 * MIB)
    guest = new_guest()
    daemon = new_daemon(guest, options=["--attach", "halt"])
    rpc, other = daemon.connect(), daemon.connect()
    msgid, begin, _ = in_two(rpc, "WritePhysical", PLACE, data)
    rpc.socket.sendall(begin)
    await_bytes(other, PLACE, data[: 2 * MIB])
    daemon.child.send(signal.SIGTERM)
    hresult, (count,) = rpc.answer(msgid)
    assert hresult == S_OK and 2 * MIB <= count <= 3 * MIB
    assert daemon.child.wait() == 0
    assert guest.physical(PLACE, count) == data[:count]


def test_reads_of_several_pieces_by_two_at_once(pc, halted):
    """More than a file of pmemsave's takes, from odd places, in the right order."""
    data = os.urandom(9 * MIB + 77)
    assert halted.WritePhysical(PLACE, data) == len(data)
    before = halted.GetTransportStatus()["memory-file"]["bytes_read"]
    other = pc.connect()
    first = halted.post("ReadPhysical", PLACE + 5, len(data) - 5)
    second = other.post("ReadPhysical", PLACE, 7 * MIB + 1)
    assert halted.answer(first) == (S_OK, [data[5:]])
    assert other.answer(second) == (S_OK, [data[: 7 * MIB + 1]])
    taken = halted.GetTransportStatus()["memory-file"]["bytes_read"] - before
    assert taken >= 16 * MIB - 4096  # a short rest goes by the stub


def test_no_file_for_a_target_that_may_be_elsewhere(new_guest, new_daemon):
    """Behind a TCP socket our file's name may be another's: QEMU must not be told to write there."""
    guest = new_guest(tcp=True)
    daemon = new_daemon(guest, options=["--attach", "halt"])
    rpc = daemon.connect()
    data = os.urandom(MIB)
    assert rpc.WritePhysical(PLACE, data) == len(data)
    assert rpc.ReadPhysical(PLACE, len(data)) == data
    way = rpc.GetTransportStatus()["memory-file"]
    assert not way["open"] and way["calls"] == 0 and "unix socket" in way["note"]
