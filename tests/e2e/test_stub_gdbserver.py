"""In front of a gdbserver the bridge is transparent: gdb sees an ordinary Linux program through it as it sees it
directly."""

import os
import re
import subprocess

import pytest
from harness import processes
from harness.gdb import Gdb
from harness.processes import Child
from test_gdb import run_gdb

PROGRAM = r"""
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
volatile int counter;
volatile long cell = 0x1122334455667788;
static void handler(int number) { (void)number; counter += 100; }
static void *worker(void *argument)
{
    for (int i = 0; i < 5; i++)
        counter++;
    return argument;
}
int add(int a, int b) { counter++; return a + b; }
int main(void)
{
    pthread_t thread;
    int sum = 0;
    signal(SIGUSR1, handler);
    pthread_create(&thread, NULL, worker, NULL);
    pthread_join(thread, NULL);
    for (int i = 0; i < 3; i++)
        sum = add(sum, i);
    raise(SIGUSR1);
    printf("sum %d counter %d\n", sum, counter);
    return 7;
}
"""

SCRIPT = [
    "set sysroot target:", "break add", "continue", "bt", "info threads", "print counter", "x/2xw &cell",
    "set var cell=5", "print cell", "info auxv", "info sharedlibrary", "info inferiors", "info proc", "watch counter",
    "continue", "continue", "delete", "break worker", "continue", "handle SIGUSR1 nostop print pass", "continue",
]
THREADS = ["break worker", "continue", "info threads", "next", "print counter", "finish", "delete", "continue", "continue"]


@pytest.fixture(scope="module")
def program():
    processes.need("gcc", "gdbserver")
    directory = processes.directory()
    source, path = os.path.join(directory, "p.c"), os.path.join(directory, "program")
    with open(source, "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    subprocess.run(["gcc", "-g", "-O0", "-pthread", "-o", path, source], check=True)
    yield path
    processes.remove(directory)


class Server:
    def __init__(self, program):
        self.directory = processes.directory()
        self.child = Child(["gdbserver", "--once", "127.0.0.1:0", program], self.directory, "gdbserver")
        self.port = self.child.wait_errors(r"Listening on port (\d+)")[1]

    def stop(self):
        if self.child.pid in processes.alive:
            self.child.end()
        processes.remove(self.directory)


def steady(output):
    """What must be the same from run to run: not process ids, not addresses of libraries, nor their loading."""
    lines = []
    for line in output.splitlines():
        if re.match(r"Reading |warning: |Remote debugging|Process |exe = |cwd = |cmdline = ", line):
            continue
        line = re.sub(r"0x[0-9a-f]{6,}", "ADDRESS", line)
        line = re.sub(r"\b\d{2,}\.\d{2,}\b", "THREAD", line)
        line = re.sub(r"process \d+", "process N", line)
        line = re.sub(r"\(remote [^)]*\)|expected=\d+", "", line)
        line = re.sub(r'^(\*?\s*\d+\s+Thread THREAD "\w+").*', r"\1", line)  # where others are is by chance
        lines.append(re.sub(r"\s+", " ", line).strip())
    return [line for line in lines if line]


@pytest.mark.parametrize("script", [SCRIPT, THREADS], ids=["session", "threads"])
def test_it_is_transparent(program, new_daemon, cleanup, script):
    outputs, ends = [], []
    for through in (False, True):
        server = Server(program)
        cleanup.append(server)
        endpoint = f"tcp:127.0.0.1:{server.port}"
        if through:
            endpoint = new_daemon(gdb=endpoint).endpoints["stub"][0]
        outputs.append(run_gdb(endpoint, ["set debuginfod enabled off", f"file {program}", *script]))
        ends.append(server.child.out.data.decode() + server.child.errors)
    assert steady(outputs[0]) == steady(outputs[1])
    assert "exited with code 07" in outputs[1], outputs[1]
    assert "sum 3 counter 108" in ends[1] and "Child exited with status 7" in ends[1]


def test_packets_pass_through(program, new_daemon, cleanup):
    server = Server(program)
    cleanup.append(server)
    client = Gdb(new_daemon(gdb=f"tcp:127.0.0.1:{server.port}").endpoints["stub"][0])
    stop = client.ask("?")
    process = re.search(r"thread:p([0-9a-f]+)\.\1;", stop)
    assert process, stop
    assert "qXfer:auxv:read+" in client.features and "swbreak+" in client.features
    assert "ConditionalBreakpoints" not in client.features and "QNonStop" not in client.features
    client.send("qXfer:auxv:read::0,1000")
    assert client.packet()[:1] == b"l"
    name = program.encode().hex()
    assert client.ask("vFile:setfs:0") == "F0"
    opened = re.fullmatch(r"F([0-9a-f]+)", client.ask(f"vFile:open:{name},0,0"))
    client.send(f"vFile:pread:{opened[1]},200,0")
    reply = client.packet()
    assert reply.startswith(b"F200;\x7fELF")
    with open(program, "rb") as file:
        assert reply[5:] == file.read(0x200)
    assert client.ask(f"vFile:close:{opened[1]}") == "F0"
    assert re.search(r'name="program"', client.document("threads:read:"))
    assert client.ask("qqemu.PhyMemMode") == ""
    for request in ("k", "vKill;" + process[1]):  # what may not be
        assert server.child.running(), request
    assert client.ask("vKill;" + process[1]).startswith("E")
    client.send("c")
    stop = client.reply()
    assert stop.startswith("T1e"), stop  # SIGUSR1, in gdb's numbers
    client.send(f"vCont;C1e:p{process[1]}.{process[1]};c")
    assert client.reply() == f"W07;process:{process[1]}"
    client.close()


def test_two_clients_share_a_process(program, new_daemon, cleanup):
    server = Server(program)
    cleanup.append(server)
    endpoint = new_daemon(gdb=f"tcp:127.0.0.1:{server.port}").endpoints["stub"][0]
    one, other = Gdb(endpoint), Gdb(endpoint, "qSupported")
    one.ask("?")
    other.ask("?")
    symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    offset = int(re.search(r"([0-9a-f]+) T add", symbols)[1], 16)
    one.send("qXfer:auxv:read::0,1000")
    auxv = one.packet()[1:]
    pairs = {int.from_bytes(auxv[i : i + 8], "little"): int.from_bytes(auxv[i + 8 : i + 16], "little")
             for i in range(0, len(auxv), 16)}
    base = pairs[3] - 0x40  # AT_PHDR: the program headers are right behind the ELF header
    assert one.read(base, 4) == b"\x7fELF"
    point = base + offset
    assert one.ask(f"Z0,{point:x},1") == "OK" and other.ask(f"Z0,{point:x},1") == "OK"
    assert one.ask(f"z0,{point:x},1") == "OK"
    one.go()
    other.send("c")
    # gdbserver says that it was a breakpoint; whose it is decides who may hear it, for gdb goes on from one that it
    # does not know
    stop = one.reply()
    assert stop.startswith("T05") and "swbreak" not in stop
    assert other.reply().startswith("T05")
    assert one.ask(f"Z0,{point:x},1") == "OK" and "swbreak" in one.ask("?")
    assert one.ask(f"z0,{point:x},1") == "OK"
    assert other.ask(f"z0,{point:x},1") == "OK"
    one.go()
    assert one.reply().startswith("T1e") and other.ask("?").startswith("T1e")
    assert one.ask("C1e").startswith("W07")
    assert other.closed()
    one.close()
    other.close()
