"""Views: each connection's own picture of memory, and when it becomes everybody's."""

import contextlib
import random

import pytest
from harness import processes
from harness.gdb import GDB, Gdb
from harness.guest import PAGE
from harness.rpc import BREAK, E_FAIL, E_INVALIDARG, E_UNEXPECTED, GO, STEP_INTO, WRITE_FAULT, CallFailed
from test_virtual import POLICIES, refused

CACHE_SIZE = 1024000


def in_memory(pc, physical, data):
    return pc.guest.physical(physical, len(data)) == data


def test_two_connections_two_views(pc, halted):
    other = pc.connect()
    halted.WriteVirtual(pc.map.a, b"mine")
    other.WriteVirtual(pc.map.a + 2, b"yours")
    assert halted.ReadVirtual(pc.map.a, 8) == b"mine\0\0\0\0"
    assert other.ReadVirtual(pc.map.a, 8) == b"\0\0yours\0"
    assert in_memory(pc, pc.map.a_physical, b"\0" * 8)
    halted.FlushCache()
    assert other.ReadVirtual(pc.map.a, 8) == b"miyours\0"
    other.FlushCache()
    assert halted.ReadVirtual(pc.map.a, 8) == b"miyours\0"
    halted.go()
    assert pc.guest.read(pc.map.a, 8) == b"miyours\0"


def test_commit_and_roll_back(pc, halted):
    halted.WriteVirtual(pc.map.a, b"kept")
    assert halted.FlushCache() == 4
    halted.WriteVirtual(pc.map.a, b"dropped")
    assert halted.ReadVirtual(pc.map.a, 7) == b"dropped"
    assert halted.DiscardCache() == 7
    assert halted.ReadVirtual(pc.map.a, 7) == b"kept\0\0\0"
    assert halted.FlushCache() == 0
    halted.go()
    assert pc.guest.read(pc.map.a, 7) == b"kept\0\0\0"


def test_exactly_those_bytes(pc, halted):
    """A flush writes no byte that was not written: neighbours may have been changed by others."""
    other = pc.connect()
    for offset in range(0, 64, 2):
        halted.WriteVirtual(pc.map.a + offset, b"M")
    other.WriteVirtualUncached(pc.map.a, b"o" * 64)
    assert halted.FlushCache() == 32
    halted.go()
    assert pc.guest.read(pc.map.a, 66) == b"Mo" * 32 + b"\0\0"


def test_last_write_wins(pc, halted):
    halted.WriteVirtual(pc.map.a, b"aaaaaaaa")
    halted.WriteVirtual(pc.map.a + 2, b"bbbb")
    halted.WriteVirtual(pc.map.a + 3, b"cc")
    assert halted.ReadVirtual(pc.map.a, 8) == b"aabccbaa"
    assert halted.FlushCache() == 8
    assert in_memory(pc, pc.map.a_physical, b"aabccbaa")


def go(rpc, pc):
    rpc.SetExecutionStatus(1)


def step(rpc, pc):
    rpc.SetExecutionStatus(STEP_INTO)
    rpc.call("WaitForEvent", 30000)


@pytest.mark.parametrize("event", [
    lambda rpc, pc: rpc.FlushCache(),
    lambda rpc, pc: rpc.WritePhysical(pc.map.c_physical, b"x"),
    lambda rpc, pc: rpc.WriteIo(1, 0, 1, 0x80, b"x"),
    lambda rpc, pc: rpc.VirtualToPhysical(pc.map.c),
    lambda rpc, pc: rpc.SetCurrentProcessor(1),
    lambda rpc, pc: rpc.SetCachePolicy("write-through"),
    go,
], ids=["FlushCache", "WritePhysical", "WriteIo", "VirtualToPhysical", "SetCurrentProcessor", "SetCachePolicy", "go"])
def test_flushed_before(pc, halted, event):
    halted.WriteVirtual(pc.map.a, b"dirty")
    assert in_memory(pc, pc.map.a_physical, b"\0" * 5)
    event(halted, pc)
    assert in_memory(pc, pc.map.a_physical, b"dirty")
    halted.go()
    assert pc.guest.read(pc.map.a, 5) == b"dirty"


def test_flushed_before_a_step(pc, rpc):
    pc.guest.ask("spin 1")
    rpc.halt()
    rpc.WriteVirtual(pc.map.a, b"dirty")
    step(rpc, pc)
    assert not pc.guest.running()
    assert in_memory(pc, pc.map.a_physical, b"dirty")


def test_a_register_write_finds_everything_written_and_leaves_nothing_stale(pc, halted):
    """CR3 by the GDB front: dirty bytes go where the old tables say, clean ones are read by the new ones."""
    cr3, page, physical = 29, pc.map.per_cpu, pc.map.per_cpu_physical
    other, gdb = pc.connect(), Gdb(pc.daemon.endpoints["stub"][0], GDB)
    try:
        gdb.ask("?")
        assert gdb.ask("Hg2") == "OK"
        theirs = gdb.register(cr3)
        assert gdb.ask("Hg1") == "OK"
        ours = gdb.register(cr3)
        assert ours != theirs
        halted.WritePhysical(physical[1], b"theirs")
        assert other.ReadVirtual(page, 6) == bytes(6)
        halted.WriteVirtual(page, b"ours")
        assert in_memory(pc, physical[0], bytes(4))
        assert gdb.ask(f"P{cr3:x}=" + theirs.to_bytes(8, "little").hex()) == "OK"
        assert in_memory(pc, physical[0], b"ours") and in_memory(pc, physical[1], b"theirs")
        assert other.ReadVirtual(page, 6) == halted.ReadVirtual(page, 6) == b"theirs"
        assert gdb.ask(f"P{cr3:x}=" + ours.to_bytes(8, "little").hex()) == "OK"
        assert other.ReadVirtual(page, 6) == halted.ReadVirtual(page, 6) == b"ours\0\0"
    finally:
        gdb.close()


@pytest.mark.parametrize("connections", [1, 3])
def test_flushed_before_anybody_resumes(pc, halted, connections):
    """The guest's own code sees every connection's bytes, whoever lets it run."""
    others = [pc.connect() for _ in range(connections)]
    for number, other in enumerate(others):
        other.WriteVirtual(pc.map.a + number, bytes([0x61 + number]))
    ticket = pc.guest.post(f"read {pc.map.a:#x} 4")
    halted.go()
    assert bytes.fromhex(pc.guest.answer(ticket)) == b"abc"[:connections].ljust(4, b"\0")


def test_nothing_is_left_behind_by_a_resume_that_waits(pc, halted):
    """A write that comes between a resume and its turn in the queue is in memory first, or refused."""
    reader, resumer = pc.connect(), pc.connect()
    written = b""
    halted.WriteVirtual(pc.map.a, bytes(256))
    halted.FlushCache()
    reads = [reader.post("ReadVirtualUncached", pc.map.bulk, 0x200000) for _ in range(3)]
    assert halted.GetExecutionStatus() == BREAK  # the reads have begun
    go = resumer.post("SetExecutionStatus", GO)
    with pytest.raises(CallFailed) as refused:
        while len(written) < 256:
            halted.WriteVirtual(pc.map.a + len(written), b"w")
            written += b"w"
    assert refused.value.hresult == E_UNEXPECTED
    resumer.answer(go)
    assert halted.GetCacheStatus()["dirty_bytes"] == 0
    assert pc.guest.read(pc.map.a, 256) == written.ljust(256, b"\0")
    for read in reads:
        with contextlib.suppress(CallFailed):
            reader.answer(read)


def test_guest_reacts_to_the_mailbox(pc, halted):
    """No command at all: the guest's loop finds the bytes by itself."""
    since = pc.guest.serial.mark()
    halted.WriteVirtual(pc.map.a, b"you have mail")
    halted.WriteVirtual(pc.map.mailbox + 4, (13).to_bytes(4, "little") + pc.map.a.to_bytes(8, "little"))
    number = random.randrange(1, 2**31)
    halted.WriteVirtual(pc.map.mailbox, number.to_bytes(4, "little"))
    halted.go()
    assert pc.guest.serial.wait_line(rf"\* mailbox {number} \S+ (.*)", since)[1] == b"you have mail".hex()


def test_uncached_twin_leaves_the_view(pc, halted):
    """Documented: lines are neither filled nor dropped, so a later cached read may see the older byte."""
    halted.WriteVirtualUncached(pc.map.a, b"old")
    assert halted.ReadVirtual(pc.map.a, 3) == b"old"
    halted.WriteVirtualUncached(pc.map.a, b"new")
    assert halted.ReadVirtual(pc.map.a, 3) == b"old"
    assert halted.ReadVirtualUncached(pc.map.a, 3) == b"new"
    halted.InvalidateCache()
    assert halted.ReadVirtual(pc.map.a, 3) == b"new"


def test_uncached_twin_leaves_dirty_bytes(pc, halted):
    halted.WriteVirtual(pc.map.a, b"dirty")
    halted.WriteVirtualUncached(pc.map.a, b"clean")
    assert halted.ReadVirtualUncached(pc.map.a, 5) == b"clean"
    assert halted.ReadVirtual(pc.map.a, 5) == b"dirty"
    assert halted.GetCacheStatus()["dirty_bytes"] == 5
    halted.InvalidateCache()
    assert halted.GetCacheStatus()["dirty_bytes"] == 5
    assert halted.FlushCache() == 5
    halted.go()
    assert pc.guest.read(pc.map.a, 5) == b"dirty"


@pytest.mark.parametrize("call", ["WriteVirtualUncached", "WritePhysical", "FlushCache"])
def test_no_stale_reads_of_what_others_wrote(pc, halted, call):
    other = pc.connect()
    assert other.ReadVirtual(pc.map.a, 4) == b"\0" * 4
    assert other.ReadVirtual(pc.map.high, 4) == b"\0" * 4  # the same memory by another name
    if call == "FlushCache":
        halted.WriteVirtual(pc.map.a, b"new!")
        halted.FlushCache()
    else:
        getattr(halted, call)(pc.map.a_physical if call == "WritePhysical" else pc.map.a, b"new!")
    assert other.ReadVirtual(pc.map.a, 4) == b"new!"
    assert other.ReadVirtual(pc.map.high, 4) == b"new!"


def test_clean_lines_go_when_it_runs(pc, halted):
    assert halted.ReadVirtual(pc.map.a, 4) == b"\0" * 4
    halted.go()
    pc.guest.write(pc.map.a, b"ran!")
    halted.halt()
    assert halted.ReadVirtual(pc.map.a, 4) == b"ran!"


def test_eviction(pc, halted):
    """A view over its size writes back, and loses nothing."""
    data = random.Random(3).randbytes(2 * CACHE_SIZE)
    for start in range(0, len(data), 100000):
        piece = data[start : start + 100000]
        assert halted.WriteVirtual(pc.map.bulk + start, piece) == len(piece)
        assert halted.GetCacheStatus()["used"] <= CACHE_SIZE
    status = halted.GetCacheStatus()
    assert status["size"] == CACHE_SIZE and status["evictions"] > 0
    assert status["dirty_bytes"] + status["flushed_bytes"] == len(data)
    assert halted.ReadVirtual(pc.map.bulk, len(data)) == data
    assert halted.FlushCache() <= CACHE_SIZE
    halted.go()
    assert pc.guest.holds(pc.map.bulk, data)


def test_one_write_greater_than_the_view(pc, halted):
    data = random.Random(4).randbytes(3 * CACHE_SIZE)
    assert halted.WriteVirtual(pc.map.bulk, data) == len(data)
    assert halted.GetCacheStatus()["used"] <= CACHE_SIZE
    halted.go()
    assert pc.guest.holds(pc.map.bulk, data)


@pytest.mark.parametrize("options, size", [((), CACHE_SIZE), (("--cache-size", "8192"), 8192)])
def test_status(bridge, options, size):
    pc = bridge("x86_64", options=options)
    rpc = pc.connect()
    rpc.halt()
    status = rpc.GetCacheStatus()
    assert status["policy"] == "write-back" and status["size"] == size and status["used"] == 0
    rpc.WriteVirtual(pc.map.b - 10, b"0123456789ABCDEF")
    status = rpc.GetCacheStatus()
    assert status["dirty_bytes"] == 16 and status["dirty_lines"] == 2 and status["lines"] == 2
    assert status["used"] == 2 * PAGE and status["valid_bytes"] >= 16
    rpc.ReadVirtual(pc.map.b, 4)
    hits = rpc.GetCacheStatus()["hits"]
    rpc.ReadVirtual(pc.map.b, 4)
    assert rpc.GetCacheStatus()["hits"] > hits
    rpc.FlushCache()
    status = rpc.GetCacheStatus()
    assert status["dirty_bytes"] == 0 and status["flushed_bytes"] == 16 and status["lost_bytes"] == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_policy_of_a_new_view(bridge, policy):
    pc = bridge("x86_64", options=("--cache", policy))
    rpc = pc.connect()
    assert rpc.GetCacheStatus()["policy"] == policy
    rpc.halt()
    rpc.WriteVirtual(pc.map.a, b"?")
    assert in_memory(pc, pc.map.a_physical, b"?") is (policy != "write-back")
    refused(E_INVALIDARG, rpc.SetCachePolicy, "write-sideways")
    assert rpc.GetCacheStatus()["policy"] == policy


def test_write_through_counts_what_the_target_took(pc, halted):
    halted.SetCachePolicy("write-through")
    assert halted.ReadVirtual(pc.map.hole - 8, 8) == b"\0" * 8
    assert halted.WriteVirtual(pc.map.hole - 4, b"12345678") == 4
    assert halted.ReadVirtual(pc.map.hole - 8, 100) == b"\0\0\0\x001234"
    assert halted.GetCacheStatus()["dirty_bytes"] == 0


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_that_goes_with_dirty_bytes(pc, halted, how):
    """Its bytes were accepted: they are written, orderly end or not."""
    other = pc.connect()
    other.WriteVirtual(pc.map.a, b"last words")
    if how == "reset":  # gone with an answer still under way
        other.post("ReadVirtual", pc.map.bulk, 1 << 20)
    other.close()
    processes.until(lambda: in_memory(pc, pc.map.a_physical, b"last words"), "the bytes of a client that has gone")
    halted.go()
    assert pc.guest.read(pc.map.a, 10) == b"last words"


def unmap(pc, rpc, page):
    """Take a page away as a debugger can: in the page tables, with the guest halted."""
    rpc.WritePhysical(pc.guest.page_entry(page), b"\0" * 8)


def test_flush_that_meets_a_hole(pc, halted):
    """A hole in the middle: what lies around it is written, what lies in it is counted as lost, once."""
    pc_map = pc.map
    other = pc.connect()
    halted.WriteVirtual(pc_map.b + 7, b"before")
    halted.WriteVirtual(pc_map.flip + 7, b"in the hole")
    halted.WriteVirtual(pc_map.code + 7, b"behind")
    unmap(pc, other, pc_map.flip)
    message = refused(E_FAIL, halted.FlushCache)
    assert f"{pc_map.flip + 7:x}" in message and "11" in message
    status = halted.GetCacheStatus()
    assert status["lost_bytes"] == 11 and status["dirty_bytes"] == 0 and status["flushed_bytes"] == 12
    assert halted.FlushCache() == 0
    refused(WRITE_FAULT, halted.WriteVirtual, pc_map.flip, b"x")
    halted.go()
    assert pc.guest.read(pc_map.b + 7, 6) == b"before"
    assert pc.guest.read(pc_map.code + 7, 6) == b"behind"
    assert pc.guest.phys(pc_map.flip_physical, PAGE) == b"\0" * PAGE


def test_flush_that_fails_at_the_end(pc, halted):
    """Where no call is there to say so, the log does."""
    other = pc.connect()
    other.WriteVirtual(pc.map.flip + 3, b"lost")
    unmap(pc, halted, pc.map.flip)
    since = len(pc.daemon.log)
    other.close()
    pc.daemon.child.wait_errors(rf"(?i){pc.map.flip + 3:x}", since)


def test_flush_that_fails_by_anothers_resume(pc, halted):
    """The one whose bytes are lost is told, though it called nothing; the one that resumes is told, too, and
    decides."""
    other = pc.connect()
    other.WriteVirtual(pc.map.flip + 3, b"lost")
    unmap(pc, halted, pc.map.flip)
    since = len(pc.daemon.log)
    assert f"{pc.map.flip + 3:x}" in refused(E_FAIL, halted.SetExecutionStatus, 1)
    assert not pc.guest.running()
    hresult, message = other.wait_notification("FlushFailed")
    assert hresult & 0xFFFFFFFF == E_FAIL
    assert f"{pc.map.flip + 3:x}" in message and "4" in message
    pc.daemon.child.wait_errors(rf"{pc.map.flip + 3:x}", since)
    halted.SetExecutionStatus(1)
    assert pc.guest.running()


def test_flush_on_the_daemons_end(new_guest, new_daemon):
    guest = new_guest("x86_64")
    daemon = new_daemon(guest)
    rpc = daemon.connect()
    rpc.halt()
    rpc.WriteVirtual(guest.map.a, b"end")
    daemon.child.send(15)
    assert daemon.child.wait() == 0
    rpc.close()
    assert guest.physical(guest.map.a_physical, 3) == b"end"


def test_device_pages_are_never_kept(pc, halted):
    """Every read is the device's own answer."""
    with pc.guest.accesses(reads=True) as seen:
        for _ in range(3):
            halted.ReadVirtual(pc.map.edu + 4, 4)
    assert len(seen) == 3
    status = halted.GetCacheStatus()
    assert status["lines"] == 0 and status["valid_bytes"] == 0
