"""gdb itself in front of the bridge: batch scripts whose expectations are values."""

import os
import re
import subprocess
import threading

import pytest
from harness import processes
from harness.gdb import Gdb
from harness.processes import LIMIT

FUNCTIONS = {  # a function of one argument that adds 1 to it
    "x86_64": bytes.fromhex("908d4701c3"),
    "i386": bytes.fromhex("908b44240440c3"),
    "aarch64": bytes.fromhex("1f2003d500040011c0035fd6"),
    "ppc": bytes.fromhex("60000000386300014e800020"),
}
NEXT = {"x86_64": 1, "i386": 1, "aarch64": 4, "ppc": 4}  # length of its first instruction
RESULT = {"x86_64": "$rax & 0xff", "i386": "$eax & 0xff", "aarch64": "$x0 & 0xff", "ppc": "$r3 & 0xff"}
PC = {"x86_64": "$rip", "i386": "$eip", "aarch64": "$pc", "ppc": "$pc"}
PROGRAM = {"x86_64": "gdb", "i386": "gdb", "aarch64": "gdb-multiarch", "ppc": "gdb-multiarch"}
BEFORE = {"ppc": ("set endian big",)}  # which QEMU's description does not say


def target_of(endpoint):
    return endpoint.removeprefix("unix:").removeprefix("tcp:")


def run_gdb(endpoint, commands, program="gdb", before=(), limit=4 * LIMIT):
    """Run a batch of commands on an attached gdb; what it printed."""
    processes.need(program)
    argv = [program, "-nx", "-q", "-batch", "-ex", "set pagination off", "-ex", "set confirm off"]
    for command in before:
        argv += ["-ex", command]
    argv += ["-ex", f"target remote {target_of(endpoint)}"]
    for command in commands:
        argv += ["-ex", command]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit,
        check=False, env={**os.environ, "DEBUGINFOD_URLS": ""},
    )
    return done.stdout.decode("utf-8", "replace")


def printed(output, name):
    """What `echo name=` and the output or print behind it gave."""
    found = re.findall(rf"^{name}=(.*)$", output, re.MULTILINE)
    assert found, f"nothing about {name} in:\n{output}"
    return found[-1]


def show(name, expression):
    return f'printf "{name}=%#lx\\n", (unsigned long)({expression})'


class Gates:
    """Places in a debugger's script where it waits for the test."""

    def __init__(self, directory):
        self.directory = directory

    def path(self, name):
        return os.path.join(self.directory, f"gate-{name}")

    def shell(self, name):
        path = self.path(name)
        return f"touch {path}.here; while [ ! -e {path}.open ]; do sleep 0.02; done"

    def command(self, name):
        return "shell " + self.shell(name)

    def program(self, name):
        """The same as a file: lldb from 19 on runs programs, and no shell."""
        path = self.path(name) + ".sh"
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + self.shell(name) + "\n")
        os.chmod(path, 0o700)
        return path

    def wait(self, name):
        processes.until(lambda: os.path.exists(self.path(name) + ".here"), f"gdb to come to {name}")

    def open(self, name):
        with open(self.path(name) + ".open", "w", encoding="utf-8"):
            pass


class Running:
    """A gdb that runs a script while the test does other things."""

    def __init__(self, *arguments, **options):
        processes.need(options.get("program", arguments[2] if len(arguments) > 2 else "gdb"))
        self.result = None
        self.thread = threading.Thread(target=self.run, args=arguments, kwargs=options)
        self.thread.start()

    def run(self, *arguments, **options):
        self.result = run_gdb(*arguments, **options)

    def output(self):
        self.thread.join()
        assert self.result is not None, "gdb did not end"
        return self.result


@pytest.mark.parametrize("arch", ["x86_64", "i386", "aarch64", "ppc"])
def test_a_session(bridge, directory, arch):
    """Registers, memory, a software and a hardware breakpoint, a watchpoint, a step, continue, detach."""
    made = bridge(arch)
    guest, data = made.guest, made.map.a
    code = made.map.code if arch != "ppc" else 0x0100A000
    guest.write(code, FUNCTIONS[arch])
    guest.fill(data, 64, 0)
    gates = Gates(directory)
    gdb = Running(made.daemon.endpoints["stub"][0], [
        gates.command("attached"),
        f"break *{code:#x}", "continue", show("first", PC[arch]),
        "stepi", show("stepped", PC[arch]),
        f"set var *(int *){data:#x} = 0x12345678",
        "delete",
        f"hbreak *{code + NEXT[arch]:#x}", "continue", show("second", PC[arch]), "delete",
        f"set var *(char *){data + 8:#x} = 0x5a",
        show("changed", f"*(unsigned char *){data + 8:#x}"),
        f"watch *(int *){data + 16:#x}", "continue", "continue", "continue", "continue",
        show("watched", f"*(unsigned int *){data + 16:#x}"),
        "delete", "detach",
    ], PROGRAM[arch], BEFORE.get(arch, ()))
    gates.wait("attached")
    tickets = [guest.post(command) for command in (
        f"call {code:#x} 41", f"call {code:#x} 42", f"write {data + 16:#x} 11223344")]
    gates.open("attached")
    output = gdb.output()
    assert int(printed(output, "first"), 16) == code, output
    assert int(printed(output, "stepped"), 16) == code + NEXT[arch], output
    assert int(printed(output, "second"), 16) == code + NEXT[arch], output
    assert int(printed(output, "changed"), 16) == 0x5A
    assert "Hardware watchpoint" in output and "New value" in output, output
    assert printed(output, "watched") == ("0x11223344" if arch == "ppc" else "0x44332211")
    assert "detached" in output
    answers = [guest.answer(ticket) for ticket in tickets]
    assert [int(answer, 0) for answer in answers[:2]] == [42, 43], answers
    assert guest.read(data, 4) == bytes.fromhex("12345678" if arch == "ppc" else "78563412")


def test_over_tcp_with_processors(bridge):
    made = bridge(options=["--stub", "tcp:127.0.0.1:0"])
    endpoint = made.daemon.endpoints["stub"][0]
    assert endpoint.startswith("tcp:")
    output = run_gdb(endpoint, [
        "info threads", "thread 2", show("two", "$_thread"), "thread 1", show("one", "$_thread"),
        f"set var *(int *){made.map.a:#x} = 7", f"x/4xw {made.map.a:#x}", "disconnect",
    ])
    for number in (1, 2):
        assert re.search(rf"{number}\s+Thread 1\.{number} \(CPU#{number - 1}", output), output
    assert printed(output, "two") == "0x2" and printed(output, "one") == "0x1"
    assert re.search(r"0x40000000:\s+0x00000007", output)
    processes.until(made.guest.running, "the guest to run")


def test_monitor_reconnect_and_errors(pc):
    endpoint = pc.daemon.endpoints["stub"][0]
    for _ in range(2):
        output = run_gdb(endpoint, [
            "monitor info status", "monitor translate 0x40001000", "monitor connections",
            f"x/xw {pc.map.hole:#x}", f"x/2xw {pc.map.b + 0xff8:#x}", f"set var *(int *){pc.map.hole:#x} = 1",
            f"find /b {pc.map.a:#x}, +4096, 0xfe", "maintenance packet qqemu.PhyMemMode",
        ])
        assert "VM status: paused" in output
        assert "-> 0x1003000 RAM" in output
        assert "this one" in output
        assert f"Cannot access memory at address {pc.map.hole:#x}" in output
        assert re.search(r"0x40001ff8:\s+0x00000000\s+0x00000000", output), output
        assert "Pattern not found" in output
        assert 'received: "0"' in output
    processes.until(pc.guest.running, "the guest to run")


def test_ctrl_c(pc):
    """gdb sends 0x03 while it waits; here by its own `interrupt` from a timer."""
    output = run_gdb(pc.daemon.endpoints["stub"][0], [
        "python import threading, os, signal, time",
        "python threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()",
        "continue",
        show("alive", "1"),
        "info registers rip",
    ])
    assert "received signal SIGINT" in output, output
    assert printed(output, "alive") == "0x1"
    processes.until(pc.guest.running, "the guest to run")


def test_two_gdbs_and_a_caller(pc, rpc, directory):
    """Two gdbs wait; one has a breakpoint, both see the stop. A caller's cached bytes reach the guest first."""
    guest, endpoint, code = pc.guest, pc.daemon.endpoints["stub"][0], pc.map.code
    guest.write(code, FUNCTIONS["x86_64"])
    watcher = Gdb(endpoint)
    watcher.ask("?")
    gates = Gates(directory)
    gdbs = [
        Running(endpoint, [
            gates.command(f"attached{i}"), *([f"break *{code:#x}"] if i == 0 else []), "continue",
            show("where", "$rip"), show("seen", f"*(unsigned int *){pc.map.a:#x}"),
            gates.command(f"stopped{i}"), "delete", "detach",
        ])
        for i in range(2)
    ]
    try:
        for i in range(2):
            gates.wait(f"attached{i}")
        rpc.WriteVirtual(pc.map.a, bytes.fromhex("efbeadde"))
        for i in range(2):
            gates.open(f"attached{i}")
            processes.until(
                lambda count=i + 1: watcher.monitor("connections")[0].count("waits for a stop") == count,
                "a gdb to continue",
            )
        assert guest.running() and guest.read(pc.map.a, 4) == bytes.fromhex("efbeadde")
        ticket = guest.post(f"call {code:#x} 41")
        for i in range(2):
            gates.wait(f"stopped{i}")
    finally:
        for i in range(2):
            gates.open(f"attached{i}")
            gates.open(f"stopped{i}")
        outputs = [gdb.output() for gdb in gdbs]
        watcher.close()
    for output in outputs:
        assert int(printed(output, "where"), 16) == code, output
        assert printed(output, "seen") == "0xdeadbeef", output
    assert "hit Breakpoint 1, " in outputs[0], outputs[0]
    assert "SIGTRAP" in outputs[1], outputs[1]
    assert int(guest.answer(ticket), 0) == 42


def test_after_a_gdb_on_qemu_itself(new_guest, new_daemon):
    """QEMU remembers what a client could do, and names processes to the next one too."""
    guest = new_guest()
    assert "detached" in run_gdb(guest.gdb, ["detach"])
    daemon = new_daemon(guest)
    assert guest.running()
    output = run_gdb(daemon.endpoints["stub"][0], [
        "info threads", "thread 2", "stepi", show("one", "1"), f"x/xw {guest.map.a:#x}", "detach"])
    assert "Thread 1.2 (CPU#1" in output and printed(output, "one") == "0x1", output
    rpc = daemon.connect()
    rpc.SetCurrentProcessor(1)
    rpc.halt()
    assert rpc.ReadVirtual(guest.map.a, 4) == bytes(4)
    rpc.go()
    rpc.close()


def test_packets_by_hand_change_nothing(bridge):
    """A second qSupported, and lldb's probe: gdb reads memory in the form that was agreed."""
    made = bridge("x86_64")
    data = made.map.a
    made.guest.write(data, bytes(range(0x41, 0x51)))
    output = run_gdb(made.daemon.endpoints["stub"][0], [
        f"x/4xb {data:#x}", "maint packet qSupported:xmlRegisters=i386", "maint packet x0,0",
        f"set var *(char *){data:#x} = 0x31", f"x/4xb {data:#x}", "info threads"])
    assert "0x41\t0x42\t0x43\t0x44" in output, output
    assert "0x31\t0x42\t0x43\t0x44" in output, output
    assert "Thread 1.2" in output, output
