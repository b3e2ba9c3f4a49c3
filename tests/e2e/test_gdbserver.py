"""Any RSP target: a Linux process under gdbserver, and a stub that knows little."""

import os
import re
import subprocess

import pytest
from harness import processes
from harness.guest import PAGE
from harness.processes import Child
from harness.rpc import BREAK, E_NOTIMPL, E_UNEXPECTED, GO, READ_FAULT, S_OK, STEP_INTO, WRITE_FAULT
from harness.stub import Stub
from test_virtual import POLICIES, refused

BASE = 0x10000000  # page, hole, page, read-only page

PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
int main(void)
{
    unsigned char *base = mmap((void *)0x10000000, 0x4000, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    unsigned long offset, length;
    munmap(base + 0x1000, 0x1000);
    mprotect(base + 0x3000, 0x1000, PROT_READ);
    puts("* ready");
    fflush(stdout);
    while (scanf("%lx %lu", &offset, &length) == 2) {
        printf("= ");
        while (length-- > 0)
            printf("%02x", base[offset++]);
        puts("");
        fflush(stdout);
    }
    return 0;
}
"""


class Process:
    """A process under gdbserver that prints what it has in its memory."""

    def __init__(self):
        processes.need("gcc", "gdbserver")
        self.directory = processes.directory()
        source, program = os.path.join(self.directory, "p.c"), os.path.join(self.directory, "p")
        with open(source, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        subprocess.run(["gcc", "-O1", "-o", program, source], check=True)
        self.child = Child(
            ["gdbserver", "127.0.0.1:0", program], self.directory, "gdbserver", stdin=subprocess.PIPE
        )
        port = self.child.wait_errors(r"Listening on port (\d+)")[1]
        self.gdb = f"tcp:127.0.0.1:{port}"

    def see(self, offset, length):
        since = self.child.out.mark()
        self.child.process.stdin.write(f"{offset:x} {length}\n".encode())
        return bytes.fromhex(self.child.out.wait_line(r"= ([0-9a-f]*)", since)[1])

    def stop(self):
        try:
            self.child.process.stdin.close()
            self.child.kill()
        finally:
            processes.remove(self.directory)


@pytest.fixture
def process(cleanup):
    made = Process()
    cleanup.append(made)
    return made


@pytest.fixture
def rpc(process, new_daemon):
    daemon = new_daemon(gdb=process.gdb)
    with daemon.connect() as connection:
        assert connection.GetExecutionStatus() == BREAK
        connection.SetExecutionStatus(GO)
        process.child.out.wait_line(r"\* ready")
        connection.halt()
        yield connection


@pytest.mark.parametrize("policy", POLICIES)
def test_virtual_writes(process, rpc, policy):
    """Bytes that need escaping in binary packets, too."""
    rpc.SetCachePolicy(policy)
    data = bytes(range(256)) + b"#$}*+-\x03" * 20
    assert rpc.WriteVirtual(BASE + 100, data) == len(data)
    assert rpc.ReadVirtual(BASE + 100, len(data)) == data
    assert rpc.WriteVirtual(BASE + PAGE - 4, b"12345678") == 4
    refused(WRITE_FAULT, rpc.WriteVirtual, BASE + PAGE, b"hole")
    refused(READ_FAULT, rpc.ReadVirtual, BASE + PAGE + 8, 4)
    assert rpc.ReadVirtual(BASE + PAGE - 4, 100) == b"1234"
    rpc.SetExecutionStatus(GO)
    assert process.see(100, len(data)) == data
    assert process.see(PAGE - 4, 4) == b"1234"


def test_uncached_and_pointers(process, rpc):
    assert rpc.WriteVirtualUncached(BASE + 2 * PAGE, b"uncached") == 8
    assert rpc.WriteVirtualUncached(BASE + 3 * PAGE, b"read-only") == 9
    rpc.WritePointersVirtual(BASE + 2 * PAGE + 16, [0x1122334455667788, 2**64 - 1])
    assert rpc.ReadPointersVirtual(2, BASE + 2 * PAGE + 16) == [0x1122334455667788, 2**64 - 1]
    rpc.SetExecutionStatus(GO)
    assert process.see(2 * PAGE, 8) == b"uncached"
    assert process.see(3 * PAGE, 9) == b"read-only"
    assert process.see(2 * PAGE + 16, 16) == bytes.fromhex("8877665544332211") + b"\xff" * 8


def test_what_it_cannot_do(process, rpc):
    for call, params in [
        ("WritePhysical", (0, b"x")),
        ("WritePhysical2", (0, 0, b"x")),
        ("ReadPhysical", (0, 1)),
        ("ReadPhysical2", (0, 0, 1)),
        ("WriteIo", (1, 0, 1, 0x80, b"x")),
        ("ReadIo", (1, 0, 1, 0x80, 1)),
        ("VirtualToPhysical", (BASE,)),
    ]:
        assert call in refused(E_NOTIMPL, getattr(rpc, call), *params)


def test_step(process, new_daemon):
    """From its first instruction: no system call is in the way."""
    daemon = new_daemon(gdb=process.gdb)
    with daemon.connect() as rpc:
        for _ in range(3):
            rpc.SetExecutionStatus(STEP_INTO)
            assert rpc.call("WaitForEvent", 30000).hresult == S_OK
            assert rpc.GetExecutionStatus() == BREAK
        rpc.SetExecutionStatus(GO)
        process.child.out.wait_line(r"\* ready")


def test_run_control(process, rpc):
    rpc.SetExecutionStatus(GO)
    refused(E_UNEXPECTED, rpc.WriteVirtual, BASE, b"no")
    assert process.see(0, 2) == b"\0\0"
    rpc.halt()
    hello = rpc.Hello("test", 1)[1]
    assert hello["pointer_size"] == 8 and hello["page_size"] == 4096


def test_process_that_ends(process, new_daemon):
    daemon = new_daemon(gdb=process.gdb)
    with daemon.connect() as rpc:
        rpc.SetExecutionStatus(GO)
        process.child.out.wait_line(r"\* ready")
        waiting = rpc.post("WaitForEvent", 2**32 - 1)
        process.child.process.stdin.write(b"end\n")
        try:
            rpc.answer(waiting)
        except Exception as error:  # pylint: disable=broad-except
            assert getattr(error, "hresult", None) == E_UNEXPECTED, error
        refused(E_UNEXPECTED, rpc.ReadVirtualUncached, BASE, 4)
    assert daemon.running()


@pytest.mark.parametrize("binary", [False, True])
def test_stub_that_knows_little(cleanup, new_daemon, binary):
    """One request at a time; X where the stub knows it, M where it does not."""
    stub = Stub(binary=binary)
    cleanup.append(stub)
    daemon = new_daemon(gdb=stub.gdb)
    data = bytes(range(256)) * 24
    with daemon.connect() as rpc:
        assert rpc.WriteVirtual(stub.base, data) == len(data)
        assert rpc.FlushCache() == len(data)
        assert bytes(stub.memory[: len(data)]) == data
        assert rpc.ReadVirtualUncached(stub.base, len(data)) == data
    assert stub.most_in_flight == 1
    writes = [request for request in stub.requests if request[:1] in b"XM"]
    assert all(len(request) <= 0x400 for request in stub.requests)
    data_writes = [request for request in writes if not re.match(rb"X[0-9a-f]+,0:$", request)]
    assert {request[:1] for request in data_writes} == ({b"X"} if binary else {b"M"})


def test_depth_can_be_asked_for(cleanup, new_daemon):
    stub = Stub()
    cleanup.append(stub)
    daemon = new_daemon(gdb=stub.gdb, options=["--pipeline", "8"])
    with daemon.connect() as rpc:
        assert rpc.WriteVirtualUncached(stub.base, b"\x42" * 0x4000) == 0x4000
    assert bytes(stub.memory) == b"\x42" * 0x4000
    assert stub.most_in_flight <= 8
