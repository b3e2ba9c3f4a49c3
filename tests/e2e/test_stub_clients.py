"""The GDB front, packet by packet: what one client gets, and what several do to each other."""

import re
import threading
import zlib

import pytest
from harness import processes
from harness.gdb import GDB, IDA, Closed, Gdb, checksum, escape, thread_of
from harness.guest import PAGE
from harness.rpc import connect as plain_connect
from test_run import moves

FUNCTION = bytes.fromhex("908d4701c3")  # nop; lea eax, [rdi + 1]; ret
RIP, RAX = 16, 0


@pytest.fixture
def stub(pc):
    """A factory of clients of pc's daemon."""
    clients = []

    def make(hello=GDB, **options):
        client = Gdb(pc.daemon.endpoints["stub"][0], hello, **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()
    # the last has left: the guest runs as it was found
    processes.until(pc.guest.running, "the guest to run again")


@pytest.fixture
def one(stub):
    """A client that has attached: the guest is halted."""
    client = stub()
    assert client.ask("?").startswith("T02")
    return client


def attached(stub, *arguments, **options):
    client = stub(*arguments, **options)
    client.ask("?")
    return client


def prepare_function(pc):
    """Code of ours where the guest will call it, before anybody halts the guest."""
    pc.guest.write(pc.map.code, FUNCTION)


def call_function(pc):
    """Have the guest call it, when it runs."""
    return pc.guest.post(f"call {pc.map.code:#x} 41")


# --- attach and leave ---


def test_attach_halts_and_leaving_restores(pc, stub):
    client = stub()
    assert pc.guest.running()  # it has said hello, no more
    assert re.match(r"T02.*thread:p1\.\d+;", client.ask("?"))
    assert not pc.guest.running() and not moves(pc.guest)
    client.close()
    processes.until(pc.guest.running, "the guest to run again")
    assert moves(pc.guest)


def test_connecting_alone_halts_nobody(pc, stub):
    stub(hello=None)
    assert moves(pc.guest)


def test_halted_is_left_halted(pc, halted, stub):
    client = attached(stub)
    client.go()
    processes.until(pc.guest.running, "the guest to run")
    client.close()
    processes.until(lambda: not pc.guest.running(), "the guest to be halted as it was found")
    halted.go()


def test_attach_again(pc, stub):
    for _ in range(5):
        client = attached(stub)
        assert client.read(pc.map.a, 4) == bytes(4)
        client.close()
    processes.until(pc.guest.running, "the guest to run again")


def test_detach_resumes(pc, one):
    assert one.ask("D;1") == "OK"
    processes.until(pc.guest.running, "the guest to run")
    assert moves(pc.guest)
    # after D nothing reaches the target but an attach
    for request in ("m0,4", "g", "?", "s", "qC"):
        assert one.ask(request).startswith("E")
    assert moves(pc.guest)
    assert one.ask("vAttach;1").startswith("T02")
    assert not pc.guest.running()
    assert one.ask("vAttach;2").startswith("E")


def test_detach_resumes_nobody_who_is_not_alone(pc, stub):
    one, other = attached(stub), attached(stub)
    assert one.ask("D") == "OK"
    assert not pc.guest.running()
    assert other.read(pc.map.a, 4) == bytes(4)
    assert other.ask("D") == "OK"
    processes.until(pc.guest.running, "the guest to run")


def test_kill_is_refused(pc, stub):
    one = attached(stub)
    assert one.ask("vKill;1").startswith("E")
    assert one.read(pc.map.a, 4) == bytes(4)
    one.send("k")
    assert one.closed()
    processes.until(pc.guest.running, "the guest to run again")
    assert moves(pc.guest)


def test_kill_where_it_is_allowed(bridge):
    made = bridge(options=["--allow-kill"])
    client = Gdb(made.daemon.endpoints["stub"][0])
    client.ask("?")
    client.send("k")
    assert client.closed()
    made.guest.child.wait()
    client.close()


def test_keep_attaches_without_halting(bridge):
    made = bridge(options=["--stub-attach", "keep"])
    made.guest.fill(made.map.a, 64, 0x5A)
    client = Gdb(made.daemon.endpoints["stub"][0])
    assert client.read(made.map.a, 64) == b"\x5a" * 64  # live
    assert client.read(made.map.b + PAGE - 16, 32) == bytes(16)  # up to the hole
    assert client.ask(f"m{made.map.hole:x},4") == "E14"
    for request in (f"M{made.map.a:x},1:00", f"Z0,{made.map.code:x},1", "s", "P0=0000000000000000"):
        assert last_of(client, request) == "E16"
    assert made.guest.running() and moves(made.guest)
    # gdb gets its prompt: no signal, registers not available, the description known
    assert client.ask("?") == "T00thread:p1.1;"
    everything = client.ask("g")
    assert len(everything) == 1216 and set(everything[:256] + everything[272:]) == {"x"}
    assert client.register(RIP) != 0  # a sample: gdb does not do without
    assert client.ask("p0") == "x" * 16
    assert "x86-64" in client.document("features:read:target.xml")
    client.send("c")  # joins
    assert client.quiet()
    assert client.stop().startswith("T02")
    assert not made.guest.running() and "x" not in client.ask("g")
    client.close()
    processes.until(made.guest.running, "the guest to run again")
    # others have no such words: a target that runs says nothing until it stops
    client = Gdb(made.daemon.endpoints["stub"][0], IDA)
    client.send("?")
    assert client.quiet()
    assert moves(made.guest)
    assert client.stop().startswith("T02")
    client.close()
    processes.until(made.guest.running, "the guest to run again")


def last_of(client, request):
    """The reply behind text for the console."""
    reply = client.ask(request)
    while reply.startswith("O") and reply != "OK":
        reply = client.reply()
    return reply


# --- the packet layer ---


def test_acks(pc, one):
    before = one.acks
    one.send("qC")
    assert one.reply() == "QCp1.1" or True
    assert one.acks == before + 1


def test_bad_checksum_is_asked_for_again(pc, one):
    one.raw(b"$m%x,4#00" % pc.map.a)
    assert one.packet() == b"-"
    assert one.read(pc.map.a, 4) == bytes(4)


def test_asked_for_again_it_says_it_again(pc, one):
    reply = one.ask("qXfer:threads:read::0,1000")
    one.raw(b"-")
    assert one.reply() == reply
    one.raw(b"-" * 50)
    for _ in range(50):
        packet = one.packet(0.5)
        if packet is None:
            break
        assert packet.decode() == reply
    assert one.ask("vMustReplyEmpty") == ""


def test_fragments_and_merged_packets(pc, one):
    packet = b"$m%x,8#%02x" % (pc.map.a, checksum(b"m%x,8" % pc.map.a))
    for byte in packet:
        one.raw(bytes([byte]))
    assert one.reply() == "00" * 8
    one.raw(b"+" + packet * 20 + b"+")
    for _ in range(20):
        assert one.reply() == "00" * 8
    one.raw(b"$m%x,8" % pc.map.a + packet)  # one that was given up
    assert one.packet() == b"-"
    assert one.reply() == "00" * 8


def test_no_ack_mode_does_not_leak(pc, stub):
    one = attached(stub)
    one.no_ack()
    assert one.read(pc.map.a, 4) == bytes(4)
    one.raw(b"+")  # tolerated
    one.raw(b"$qC#00")  # and checksums are not looked at
    assert one.reply().startswith("QC")
    one.close()
    other = attached(stub)
    before = other.acks
    other.read(pc.map.a, 4)
    assert other.acks == before + 1


def test_unknown_packets_get_the_empty_reply(one):
    for request in ("vMustReplyEmpty", "vUnknown", "qUnknown", "QNonStop:1", "qXfer:unknown:read::0,10", "_m10,rw",
                    "jThreadsInfo", "j", "bc", "bs", "qTStatus", "vFile:open:00,0,0", "", "\x01\x02", "qOffsets"):
        assert one.ask(request) == "", request


def test_malformed_requests_get_an_error(pc, one):
    for request in ("m", "mzz,4", "m10", "m10,", "m10,4x", "m10,4,4", "M10,4", "M10,4:0", "M10,2:00", "M10,1:zz",
                    "M10,1:0000", "X10,4:abc", "X10,1:ab", "Z9,10,1", "Z0,10", "Z0", "z", "Hx1", "H", "Hg", "Hg99",
                    "T", "T99", "p", "pzz", "P", "P0", "P0=", "P0=0", "P0=00", "G", "G0", "G00", "Gzz", "vCont;",
                    "vCont;x", "vCont;s:99", "vCont;c:", "vCont;C", "qCRC:", "qCRC:1", "qSearch:memory:1;2;",
                    "qThreadExtraInfo,zz", "vAttach", "vAttach;", "qMemoryRegionInfo:zz", "qRcmd,0", "qRcmd,zz",
                    "Qqemu.PhyMemMode:", "Qqemu.sstep=ff", "Dx", "C", "Szz",
                    "m" + "f" * 17 + ",4", "vCont" + ";s:1" * 100):
        reply = last_of(one, request)
        assert reply.startswith("E"), f"{request[:40]}: {reply}"
    assert one.read(pc.map.a, 16) == bytes(16)
    assert not pc.guest.running()


def test_packet_size_is_true(pc, one):
    size = int(re.search(r"PacketSize=([0-9a-f]+)", one.features)[1], 16)
    assert size >= 0x20000
    where = pc.map.bulk
    head = f"M{where:x},"
    count = (size - len(head) - len("ffff:")) // 2
    data = bytes(i % 251 for i in range(count))
    payload = f"{head}{count:x}:{data.hex()}"
    assert size - 2 <= len(payload) <= size
    assert one.ask(payload) == "OK"
    assert one.ask(payload + "0" * (size + 1 - len(payload))).startswith("E")  # too long: an answer, not silence
    text = one.read(where, count)
    while len(text) < count:
        text += one.read(where + len(text), count - len(text))
    assert text == data
    assert one.ask("D") == "OK"
    assert pc.guest.holds(where, data)


def test_run_length_for_gdb_alone(pc, stub):
    one, other = attached(stub), attached(stub, IDA)
    assert one.read(pc.map.a, 1024) == bytes(1024)
    assert len(one.wire) < 100 and b"*" in one.wire
    assert other.read(pc.map.a, 1024) == bytes(1024)
    assert b"*" not in other.wire
    for count in range(1, 140):  # every count, those that would read as $ # + - among them
        assert one.read(pc.map.a, count) == bytes(count)


def test_documents_in_chunks(pc, one):
    target = one.document("features:read:target.xml")
    assert "i386:x86-64" in target
    name = re.search(r'href="([^"]+)"', target)[1]
    whole = one.document(f"features:read:{name}", 0x10000)
    assert one.document(f"features:read:{name}", 0x100) == whole and whole.rstrip().endswith("</feature>")
    assert one.ask("qXfer:features:read:nowhere.xml:0,100") == "E00"
    assert one.ask("qXfer:features:read:target.xml:fffff,100") == "l"
    threads = one.document("threads:read:", 16)
    assert threads == one.document("threads:read:") and 'id="p1.2"' in threads
    assert "<memory " in one.document("memory-map:read:")


def test_ctrl_c_right_behind_a_resume(pc, one):
    for _ in range(20):
        one.raw(b"$vCont;c#a8\x03")
        assert one.reply().startswith("T02")
        one.interrupt()  # crosses the stop: ignored
        assert one.ask("vMustReplyEmpty") == ""


def test_requests_behind_a_resume_wait_for_the_stop(pc, one):
    one.raw(b"$vCont;c#a8$qC#b4$m%x,4#%02x\x03" % (pc.map.a, checksum(b"m%x,4" % pc.map.a)))
    assert one.reply().startswith("T02")
    assert one.reply().startswith("QC")
    assert one.reply() == "00" * 4


# --- memory ---


def test_holes(pc, one):
    where = pc.map
    assert one.read(where.hole - 8, 16) == bytes(8)
    for request in (f"m{where.hole:x},4", f"m{where.hole + PAGE - 4:x},8", f"m{where.hole:x},1000000"):
        assert one.ask(request) == "E14"
    one.send(f"x{where.hole - 4:x},8")
    assert one.packet() == b"b" + bytes(4)
    assert one.ask(f"x{where.hole:x},4") == "E14"
    assert one.write(where.hole - 4, b"abcdefgh").startswith("E")
    assert one.write(where.hole, b"abcd").startswith("E")
    assert one.write(where.hole + PAGE - 2, b"abcd").startswith("E")  # nothing behind the hole changes
    assert one.ask("D") == "OK"
    assert pc.guest.read(where.hole - 8, 8) == bytes(4) + b"abcd"
    assert pc.guest.read(where.c, 4) == bytes(4)
    assert "stopped after 0x4 bytes" in pc.daemon.log


def test_the_top_of_the_space(pc, one):
    assert one.read(0xFFFFFFFFFFFFFFFC, 8) == bytes(4)
    assert one.ask("m8000000000000000,8") == "E14"
    assert one.write(0xFFFFFFFFFFFFFFFC, b"topptopp").startswith("E")
    assert one.read(0xFFFFFFFFFFFFFFFC, 4) == b"topp"
    assert one.write(0xFFFFFFFFFFFFFFFC, bytes(4)) == "OK"


def test_sizes(pc, one):
    assert one.ask(f"m{pc.map.bulk:x},0") == ""
    assert len(one.read(pc.map.bulk, 0xFFFFFFFFFFFFFFFF)) > 0x8000  # more than fits: as much as fits
    assert one.ask(f"X{pc.map.a:x},0:") == "OK"
    assert one.ask(f"M{pc.map.a:x},0:") == "OK"
    assert one.ask(f"X{pc.map.hole:x},0:") == "OK"  # the probe says nothing of the address


def test_binary(pc, one):
    data = bytes(range(256)) + b"}#$*\x03" * 20
    one.send(f"X{pc.map.a:x},{len(data):x}:".encode() + escape(data))
    assert one.reply() == "OK"
    one.send(f"x{pc.map.a:x},{len(data):x}")
    assert one.packet() == b"b" + data
    # '*' may come as it is: requests have no run-length
    one.send(f"X{pc.map.b:x},4:".encode() + b"ab*c")
    assert one.reply() == "OK"
    assert one.ask("D") == "OK"
    assert pc.guest.read(pc.map.a, len(data)) == data
    assert pc.guest.read(pc.map.b, 4) == b"ab*c"


def test_writes_reach_the_guest_at_once(pc, one, rpc):
    assert one.write(pc.map.a, b"through") == "OK"
    assert pc.guest.physical(pc.map.a_physical, 7) == b"through"
    # no client sees stale bytes of its own
    assert rpc.ReadVirtual(pc.map.a, 7) == b"through"
    rpc.WriteVirtualUncached(pc.map.a, b"changed")
    assert one.read(pc.map.a, 7) == b"changed"


def test_devices_are_really_written(pc, one):
    """QEMU 7.2's own stub answers OK and writes nothing."""
    with pc.guest.accesses() as seen:
        assert one.write(pc.map.edu + 4, (0x12345678).to_bytes(4, "little")) == "OK"
    writes = [access for access in seen if "edu" in access.name]
    assert [(access.size, access.value) for access in writes] == [(4, 0x12345678)]
    assert one.read(pc.map.edu + 4, 4) == (0xFFFFFFFF ^ 0x12345678).to_bytes(4, "little")


def test_search_and_checksum(pc, one):
    data = bytes((i * 7) % 256 for i in range(2 * PAGE))
    assert one.write(pc.map.a, data) == "OK"
    at = PAGE - 3  # over the page's end
    one.send(b"qSearch:memory:%x;%x;" % (pc.map.a, 2 * PAGE) + escape(b"needle"))
    assert one.reply() == "0"
    assert one.write(pc.map.a + at, b"needle") == "OK"
    one.send(b"qSearch:memory:%x;%x;" % (pc.map.a, 2 * PAGE) + escape(b"needle"))
    assert one.reply() == f"1,{pc.map.a + at:x}"
    one.send(b"qSearch:memory:%x;%x;needle" % (pc.map.a, 4 * PAGE))
    assert one.reply() == f"1,{pc.map.a + at:x}"
    one.send(b"qSearch:memory:%x;%x;nowhere" % (pc.map.a, 4 * PAGE))
    assert one.reply() == "E14"
    assert one.write(pc.map.a, b"123456789") == "OK"
    assert one.ask(f"qCRC:{pc.map.a:x},9") == "C376e6e7"
    assert one.ask(f"qCRC:{pc.map.hole:x},9") == "E14"


def test_physical_mode_is_each_clients_own(pc, stub):
    one, other = attached(stub), attached(stub)
    assert one.write(pc.map.a, b"virtual.") == "OK"
    assert one.ask("qqemu.PhyMemMode") == "0"
    assert one.ask("Qqemu.PhyMemMode:1") == "OK"
    assert one.ask("qqemu.PhyMemMode") == "1" and other.ask("qqemu.PhyMemMode") == "0"
    assert one.read(pc.map.a_physical, 8) == b"virtual."
    assert one.write(pc.map.a_physical, b"physical") == "OK"
    assert other.read(pc.map.a, 8) == b"physical"
    assert one.write(pc.map.nowhere_physical, b"x").startswith("E")
    assert one.ask("Qqemu.PhyMemMode:0") == "OK"
    assert one.read(pc.map.a, 8) == b"physical"
    assert one.ask("qqemu.sstepbits") == "ENABLE=1,NOIRQ=2,NOTIMER=4"
    assert one.ask("qqemu.sstep") == "0x7"
    assert one.ask("Qqemu.sstep=1") == "OK"
    assert one.ask("qqemu.sstep") == "0x1" and other.ask("qqemu.sstep") == "0x7"


def test_processors_see_their_own_memory(pc, one):
    for cpu in (1, 2):
        assert one.ask(f"Hgp1.{cpu}") == "OK"
        assert one.write(pc.map.per_cpu, b"cpu%d" % cpu) == "OK"
    assert one.ask("Hg1") == "OK"
    assert one.read(pc.map.per_cpu, 4) == b"cpu1"
    assert one.ask("Hg0002") == "OK"
    assert one.read(pc.map.per_cpu, 4) == b"cpu2"
    assert pc.guest.physical(pc.map.per_cpu_physical[0], 4) == b"cpu1"


def upstream(pc, pattern):
    return len(re.findall(pattern, pc.daemon.log))


def test_reads_of_one_line_cost_one(bridge):
    made = bridge(options=["--log-level", "trace"])
    client = Gdb(made.daemon.endpoints["stub"][0])
    client.ask("?")
    client.read(made.map.a, 4)
    before = len(made.daemon.log)
    for i in range(64):
        client.read(made.map.a + 4 * i, 4)
    sent = re.findall(r"target: .*m[0-9a-f]+,[0-9a-f]+", made.daemon.log[before:])
    assert len(sent) == 0, sent
    client.close()


# --- registers, steps, threads ---


def test_registers(pc, one):
    everything = one.ask("g")
    assert len(everything) == 1216
    assert one.register(RIP) == int.from_bytes(bytes.fromhex(everything[256:272]), "little")
    old = one.register(3)
    assert one.ask("P3=8877665544332211") == "OK"
    assert one.register(3) == 0x1122334455667788
    changed = one.ask("g")
    assert one.ask("G" + everything) == "OK"  # QEMU gets a P of what differs
    assert one.register(3) == old
    assert one.ask("g") == everything and changed != everything
    assert one.ask("P3=88").startswith("E")  # QEMU would make up the rest
    assert one.ask("G" + everything[:-2]).startswith("E")
    assert one.ask("p10;thread:2;") == one.ask("p10;thread:0002") != ""


@pytest.mark.parametrize("how", ["s", "vCont;s:1", "vCont;s:0001", "vCont;s:p1.1", "vCont;s:p1.1;c:p1.-1", "vCont;s:p01.01"])
def test_steps_in_every_form(pc, stub, how):
    pc.guest.ask("spin 1")
    one = attached(stub)
    assert one.ask("Hg1") == "OK" and one.ask("Hc1") == "OK"
    places = [one.register(RIP)]
    for _ in range(6):
        assert one.ask(how).startswith("T05")
        assert one.ask("Hg1") == "OK" and one.ask("Hc1") == "OK"
        assert not pc.guest.running()
        places.append(one.register(RIP))
        assert places[-1] != places[-2]
    assert len(set(places)) > 2


def test_threads(pc, stub):
    one, other = attached(stub), attached(stub, IDA)
    for client, form in ((one, "p1.{}"), (other, "{}")):
        assert client.ask("qfThreadInfo") == "m" + ",".join(form.format(i) for i in (1, 2))
        assert client.ask("qsThreadInfo") == "l"
        assert re.fullmatch("QC" + form.format(r"[12]"), client.ask("qC"))
        for thread in ("1", "2", "p1.1", "0002"):
            assert client.ask(f"T{thread}") == "OK"
        assert b"CPU#1" in bytes.fromhex(client.ask("qThreadExtraInfo," + form.format(2)))
        assert client.ask("qAttached") == client.ask("qAttached:1") == "1"


# --- several clients ---


def test_a_stop_is_told_to_all_who_wait(pc, stub):
    one, other, third = attached(stub), attached(stub, IDA), attached(stub)
    one.go()
    processes.until(pc.guest.running, "the guest to run")
    other.send("c")  # joins
    assert one.quiet() and other.quiet(0.05)
    assert one.stop().startswith("T02")
    stop = other.reply()
    assert stop.startswith("T02") and "p" not in thread_of(stop)
    assert third.quiet(0.05)  # at its prompt: sees it when it asks
    assert third.ask("?").startswith("T02")


def test_anybody_may_interrupt(pc, stub):
    one, other = attached(stub), attached(stub)
    one.go()
    processes.until(pc.guest.running, "the guest to run")
    assert other.stop().startswith("T02")  # was at its prompt, and hears it as well
    assert one.reply().startswith("T02")
    assert not pc.guest.running()


def test_while_another_runs_it(pc, stub):
    one, other = attached(stub), attached(stub)
    assert other.write(pc.map.a, b"before..") == "OK"
    one.go()
    processes.until(pc.guest.running, "the guest to run")
    assert other.read(pc.map.a, 8) == b"before.."
    pc.guest.write(pc.map.a, b"after...")
    assert other.read(pc.map.a, 8) == b"after..."  # live, nothing kept
    for request in ("g", "p10", f"M{pc.map.a:x},1:00", f"X{pc.map.a:x},1:a", f"Z0,{pc.map.code:x},1",
                    "vCont;s:1", "s", "P0=0000000000000000"):
        assert last_of(other, request) == "E16", request
    text, end = other.monitor("info status")
    assert "running" in text and end == "OK"
    assert other.ask("qfThreadInfo").startswith("m") and other.ask("T1") == "OK"
    assert moves(pc.guest)
    assert one.stop().startswith("T02")


def test_writes_while_it_runs_where_no_halt_is_needed(bridge):
    """With qtest memory is written without a halt, by debuggers as by any other connection."""
    made = bridge(options=["--qtest", "on"])
    endpoint = made.daemon.endpoints["stub"][0]
    one, other = Gdb(endpoint), Gdb(endpoint)
    one.ask("?")
    other.ask("?")
    one.go()
    processes.until(made.guest.running, "the guest to run")
    assert other.write(made.map.a + 0x10, b"while it runs") == "OK"
    assert made.guest.read(made.map.a + 0x10, 13) == b"while it runs"
    assert other.ask(f"X{made.map.a:x},3:abc") == "OK"
    assert other.write(made.map.hole - 4, b"12345678").startswith("E")
    assert made.guest.read(made.map.hole - 4, 4) == b"1234"  # as far as it goes
    assert other.ask("Qqemu.PhyMemMode:1") == "OK"
    assert other.write(made.map.b_physical, b"physical") == "OK"
    assert other.read(made.map.b_physical, 8) == made.guest.read(made.map.b, 8) == b"physical"
    for request in ("g", "P0=0000000000000000", f"Z0,{made.map.code:x},1", "s"):
        assert last_of(other, request) == "E16", request
    assert moves(made.guest)
    one.stop()
    one.close()
    other.close()


def test_refusals_come_with_words(pc, stub):
    one, other = attached(stub), attached(stub)
    one.go()
    processes.until(pc.guest.running, "the guest to run")
    other.send("vCont;s:1")
    said = other.reply()
    assert said.startswith("O") and b"another client runs the target" in bytes.fromhex(said[1:])
    assert other.reply() == "E16"
    modern = attached(stub, GDB + ";error-message+")  # halts it: an attach does
    assert one.reply().startswith("T02")
    assert modern.ask("Hg77").startswith("E.there is no thread")


def test_breakpoints_are_counted(pc, stub):
    prepare_function(pc)
    one, other = attached(stub), attached(stub)
    for client in (one, other):
        assert client.ask(f"Z0,{pc.map.code:x},1") == "OK"
        assert client.ask(f"Z0,{pc.map.code:x},1") == "OK"  # twice is once
    assert one.ask(f"z0,{pc.map.code:x},1") == "OK"
    ticket = call_function(pc)
    one.go()
    other.send("c")
    for client, word in ((one, False), (other, True)):
        stop = client.reply()
        assert stop.startswith("T05")
        assert ("swbreak" in stop) == word  # said to its owner alone: gdb goes on by itself from another's
        assert client.register(RIP) == pc.map.code
    assert other.ask(f"z0,{pc.map.code:x},1") == "OK"
    one.go()
    assert pc.guest.answer(ticket)
    assert one.stop().startswith("T02")


def test_a_client_that_dies_behind_a_flood(pc, halted, stub):
    """What it has sent is not read while it waits: it is gone all the same, and the guest is put back."""
    client = attached(stub)
    client.no_ack()
    client.go()
    processes.until(pc.guest.running, "the guest to run")
    client.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        while True:
            client.raw(b"$m0,4#fd" * 4096)
    assert pc.guest.running()
    client.close()
    processes.until(lambda: not pc.guest.running(), "the guest to be halted as it was found")
    halted.go()


@pytest.mark.parametrize("kind", [0, 1])
def test_a_vanished_client_takes_its_own(pc, stub, kind):
    prepare_function(pc)
    one, other = attached(stub), attached(stub)
    assert one.ask(f"Z{kind},{pc.map.code:x},1") == "OK"
    assert other.ask(f"Z{kind},{pc.map.code + 1:x},1") == "OK"
    one.close()
    third = attached(stub)  # and a new one removes nobody's
    ticket = call_function(pc)
    third.go()
    assert third.reply().startswith("T05")
    assert third.register(RIP) == pc.map.code + 1
    assert other.ask(f"z{kind},{pc.map.code + 1:x},1") == "OK"
    third.go()
    assert pc.guest.answer(ticket)
    assert third.stop().startswith("T02")


def test_vanished_while_it_runs(pc, stub):
    """Its breakpoint can only go at the next halt: a stop that only it has caused is nobody's."""
    prepare_function(pc)
    one, other = attached(stub), attached(stub)
    assert one.ask(f"Z0,{pc.map.code:x},1") == "OK"
    one.go()
    other.send("c")
    processes.until(pc.guest.running, "the guest to run")
    one.close()
    pc.daemon.child.wait_errors(r"stub#\d+: has detached")
    assert pc.guest.answer(call_function(pc)) and pc.guest.answer(call_function(pc))
    assert other.quiet(0.1)
    assert other.stop().startswith("T02")


def test_watchpoints_are_told_to_their_owner(pc, stub):
    one, other = attached(stub), attached(stub)
    assert one.ask(f"Z2,{pc.map.a + 8:x},4") == "OK"
    ticket = pc.guest.post(f"store 4 {pc.map.a + 8:#x} 0x77")
    one.go()
    other.send("c")
    assert f"watch:{pc.map.a + 8:x}" in one.reply().replace("watch:00000000", "watch:")
    stop = other.reply()
    assert stop.startswith("T05") and "watch" not in stop  # gdb would go on by itself
    assert one.ask(f"z2,{pc.map.a + 8:x},4") == "OK"
    one.go()
    pc.guest.answer(ticket)
    assert one.stop().startswith("T02")


def test_past_anothers_breakpoint(pc, stub):
    """A debugger steps over its own breakpoints. Over others' the bridge does."""
    prepare_function(pc)
    one, other = attached(stub), attached(stub)
    assert one.ask(f"Z0,{pc.map.code:x},1") == "OK"
    for _ in range(3):
        ticket = call_function(pc)
        other.send("c")
        assert other.reply().startswith("T05")
        assert other.register(RIP) == pc.map.code
        other.send("c")
        assert pc.guest.answer(ticket)
        assert other.stop().startswith("T02")


def test_beside_dbgeng_style_calls(pc, stub, rpc):
    one, other = attached(stub), attached(stub)
    rpc.WriteVirtual(pc.map.a, b"in the view")  # write-back
    assert one.read(pc.map.a, 4) == bytes(4)
    one.go()
    processes.until(pc.guest.running, "the guest to run")
    assert pc.guest.read(pc.map.a, 11) == b"in the view"  # flushed before the resume
    rpc.SetInterrupt()
    assert one.reply().startswith("T02")
    other.send("c")
    processes.until(pc.guest.running, "the guest to run")
    rpc.halt()
    assert other.reply().startswith("T02")


# --- monitor ---


def test_monitor_commands(pc, one):
    assert one.monitor("write-io 0xe9 1 0x41") == ("", "OK")
    pc.guest.debugcon.wait(lambda data: True if data.endswith(b"A") else None, what="the byte on the debug console")
    assert one.monitor("read-io 0xe9 1") == ("0xe9\n", "OK")
    assert one.monitor("write-io 0x70 1 0x8f") == ("", "OK")
    text, end = one.monitor("write-io 0x71 2 1")
    assert end.startswith("E") and "lign" in text
    assert one.monitor("write-io 0x70 1 0x100")[1].startswith("E")
    text, end = one.monitor(f"write-physical uncached {pc.guest.bars['edu'] + 4:#x} 78563412")
    assert (text, end) == ("4 of 4 bytes written\n", "OK")
    text, end = one.monitor(f"read-physical {pc.guest.bars['edu'] + 4:#x} 4")
    assert end == "OK" and "87 a9 cb ed" in text
    text, end = one.monitor(f"write-physical uncached {pc.map.a_physical:#x} 00")
    assert end.startswith("E") and text
    text, end = one.monitor(f"translate {pc.map.b:#x}")
    assert end == "OK" and f"-> {pc.map.b_physical:#x}" in text
    assert "not mapped" in one.monitor(f"translate {pc.map.hole:#x}")[0]
    text, end = one.monitor("connections")
    assert "this one" in text and "gdb" in text and end == "OK"
    text, end = one.monitor("help")
    assert "write-io PORT" in text and "info" in text and end == "OK"
    assert one.monitor("info status")[0].startswith("VM status: paused")
    assert "unknown command" in one.monitor("nonsense")[0]
    assert "RIP=" in one.monitor("info registers")[0]


def test_monitor_cache(pc, one):
    one.read(pc.map.a, 4)
    assert "policy write-through" in one.monitor("cache")[0]
    assert one.monitor("cache policy write-back")[1] == "OK"
    assert one.write(pc.map.a, b"dirty") == "OK"
    assert "5 dirty" in one.monitor("cache status")[0]
    assert pc.guest.physical(pc.map.a_physical, 5) == bytes(5)
    assert one.monitor("cache discard") == ("5 bytes dropped\n", "OK")
    assert one.read(pc.map.a, 5) == bytes(5)
    assert one.write(pc.map.a, b"dirty") == "OK"
    assert one.monitor("cache flush") == ("5 bytes flushed\n", "OK")
    assert pc.guest.physical(pc.map.a_physical, 5) == b"dirty"
    assert one.monitor("cache invalidate")[1] == "OK"
    assert one.monitor("cache nonsense")[1].startswith("E")


# --- bad input ---


def test_strangers_are_turned_away(pc):
    for words in (b"hello", b"\x16\x03\x01", b" $m0,4#fd", b"\x00", b"m0,4"):
        stranger = plain_connect(pc.daemon.endpoints["stub"][0])
        stranger.sendall(words)
        assert stranger.recv(100) == b""
        stranger.close()
    assert moves(pc.guest)


def test_web_pages_are_attacks(bridge):
    made = bridge()
    where = made.map.a
    body = b"M%x,4:41414141" % where
    body = b"$" + body + b"#%02x" % checksum(body)
    for request in (b"POST / HTTP/1.1\r\nHost: localhost:1234\r\nContent-Length: 99\r\n\r\n" + body,
                    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + body, b"Host: y\r\n" + body,
                    b"+\r\nHost: late\r\n" + body):
        attacker = plain_connect(made.daemon.endpoints["stub"][0])
        attacker.sendall(request)
        while attacker.recv(100):
            pass
        attacker.close()
    assert moves(made.guest)
    assert made.guest.read(where, 4) == bytes(4)
    lines = [line for line in made.daemon.log.splitlines() if "attack" in line]
    assert len(lines) == 1 and "process" in lines[0]  # at most once a minute, with its peer


def test_noise_hurts_nobody(pc, one):
    import random

    chance = random.Random(3)
    for _ in range(30):
        noise = plain_connect(pc.daemon.endpoints["stub"][0])
        noise.settimeout(0.05)
        noise.sendall(b"+" + bytes(chance.choice(b"$#%+-}*mMXgGZz,:;0123456789abcdef\x00\xff") for _ in range(4000)))
        noise.close()
    assert one.ask("vMustReplyEmpty") == ""
    assert pc.daemon.running()


def test_a_client_that_never_reads_slows_nobody(pc, stub):
    one = attached(stub)
    greedy = plain_connect(pc.daemon.endpoints["stub"][0])
    greedy.setblocking(False)
    request = b"m%x,f000" % pc.map.bulk
    packet = b"$" + request + b"#%02x" % checksum(request)
    sent = 0
    try:
        for _ in range(20000):
            sent += greedy.send(packet)
    except BlockingIOError:
        pass
    for _ in range(50):
        assert one.read(pc.map.a, 4) == bytes(4)
    greedy.close()
    assert one.read(pc.map.a, 4) == bytes(4)


def test_a_client_that_dies_in_mid_packet(pc, stub):
    for request in (b"$m0", b"$", b"$vCont;c#", b"$M%x,1000:0000" % pc.map.a):
        client = attached(stub)
        client.raw(request)
        client.close()
    one = attached(stub)
    assert one.read(pc.map.a, 4) == bytes(4)


def test_many_clients(pc, stub):
    clients = [attached(stub) for _ in range(16)]
    results = []

    def work(client, number):
        for turn in range(20):
            data = b"%04d%04d" % (number, turn)
            client.write(pc.map.bulk + 64 * number, data)
            results.append(client.read(pc.map.bulk + 64 * number, 8) == data)

    workers = [threading.Thread(target=work, args=pair) for pair in zip(clients, range(16))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 320 and all(results)
    other = attached(stub)
    for client in clients:
        client.send("c")
    processes.until(
        lambda: other.monitor("connections")[0].count("waits for a stop") == 16, "all of them to wait"
    )
    assert clients[0].stop().startswith("T02")
    for client in clients[1:]:
        assert client.reply().startswith("T02")


def test_the_guest_dies(bridge):
    made = bridge()
    endpoint = made.daemon.endpoints["stub"][0]
    waiting, prompt = Gdb(endpoint), Gdb(endpoint)
    prompt.ask("?")
    waiting.ask("?")
    waiting.go()
    processes.until(made.guest.running, "the guest to run")
    made.guest.kill()
    for client in (waiting, prompt):
        assert client.closed()
        client.close()
    assert made.daemon.running()
    late = Gdb(endpoint)
    assert late.ask("?").startswith("E")
    assert late.ask("m0,4").startswith("E") and late.ask("g").startswith("E")
    late.close()


def test_sums_of_it_all(pc, one):
    """A megabyte in, a megabyte seen by the guest."""
    data = bytes(i * 2654435761 >> 13 & 0xFF for i in range(0x100000))
    for at in range(0, len(data), 0x8000):
        piece = data[at : at + 0x8000]
        one.send(f"X{pc.map.bulk + at:x},{len(piece):x}:".encode() + escape(piece))
        assert one.reply() == "OK"
    assert one.ask("D") == "OK"
    assert pc.guest.holds(pc.map.bulk, data)
    assert zlib.crc32(data)


def test_closed_is_an_exception(pc):
    client = Gdb(pc.daemon.endpoints["stub"][0])
    client.send("k")
    with pytest.raises(Closed):
        client.packet()
    client.close()
