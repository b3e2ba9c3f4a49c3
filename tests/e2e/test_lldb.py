"""lldb in front of the bridge: batch scripts whose expectations are values."""

import os
import re
import shutil
import subprocess
import threading

import pytest
from harness import processes
from harness.processes import LIMIT
from test_gdb import FUNCTIONS, Gates

LLDB = shutil.which("lldb") or shutil.which("lldb-14")
pytestmark = pytest.mark.skipif(LLDB is None, reason="no lldb here")


def run_lldb(endpoint, commands, limit=4 * LIMIT):
    url = "unix-connect://" + endpoint[5:] if endpoint.startswith("unix:") else "connect://" + endpoint[4:]
    argv = [LLDB, "-x", "-b", "-o", f"process connect {url}"]
    for command in commands:
        argv += ["-o", command]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit,
        check=False, env={**os.environ, "TERM": "dumb"},
    )
    return done.stdout.decode("utf-8", "replace")


def values(output, name):
    return [int(value, 16) for value in re.findall(rf"^\s*{name} = (0x[0-9a-f]+)", output, re.MULTILINE)]


def session(made, gates, name):
    """Attach, registers, memory, a breakpoint, continue, a step, the threads, the map, detach: the ticket of the call
    that ran into the breakpoint, and what lldb printed."""
    guest, data, code = made.guest, made.map.a, made.map.code
    guest.write(code, FUNCTIONS["x86_64"])
    guest.fill(data, 64, 0x33)
    result = []
    script = [
        f"platform shell {gates.program(name)}",
        f"breakpoint set -a {code:#x}", "continue", "register read rip", "thread list",
        "thread step-inst", "register read rip",
        "register write rcx 0x1122334455667788", "register read rcx",
        f"memory read -s 1 -c 4 -f x {data:#x}", f"memory write {data:#x} 0x11 0x22",
        f"memory read -s 1 -c 4 -f x {data:#x}",
        f"memory region {data:#x}", f"memory region {made.map.hole:#x}", f"memory region {made.map.hpet:#x}",
        "process plugin packet monitor info status",
        "breakpoint delete -f", "process status", "detach",
    ]
    lldb = threading.Thread(target=lambda: result.append(run_lldb(made.daemon.endpoints["stub"][0], script)))
    lldb.start()
    try:
        gates.wait(name)
        ticket = guest.post(f"call {code:#x} 41")
    finally:
        gates.open(name)
        lldb.join()
    return ticket, result[0]


def test_a_session(bridge, directory):
    made = bridge("x86_64")
    guest, data, code = made.guest, made.map.a, made.map.code
    gates = Gates(directory)
    ticket, output = session(made, gates, "attached")
    assert values(output, "rip")[:2] == [code, code + 1], output
    assert values(output, "rcx") == [0x1122334455667788], output
    assert "stop reason = breakpoint 1.1" in output
    assert re.search(r"thread #2: tid = 0x0002", output), output
    assert f"{data:#010x}: 0x33 0x33 0x33 0x33" in output, output
    assert f"{data:#010x}: 0x11 0x22 0x33 0x33" in output
    assert re.search(rf"\[0x0*{data:x}-0x0*{made.map.hole:x}\) rwx pc.ram", output), output
    assert re.search(rf"\[0x0*{made.map.hole:x}-0x0*{made.map.c:x}\) ---", output), output
    assert re.search(r"rw- hpet", output), output
    assert "VM status: paused" in output
    assert "Process 1 detached" in output
    processes.until(guest.running, "the guest to run")
    assert int(guest.answer(ticket), 0) == 42
    assert guest.read(data, 4) == bytes.fromhex("11223333")


def test_over_tcp(bridge):
    made = bridge("x86_64", options=["--stub", "tcp:127.0.0.1:0"])
    output = run_lldb(made.daemon.endpoints["stub"][0], [
        "process status", "register read rip", f"memory read -s 1 -c 4 {made.map.hole:#x}"])
    assert "Process 1 stopped" in output and len(values(output, "rip")) == 1, output
    assert f"error: memory read failed for {made.map.hole:#x}" in output
    processes.until(made.guest.running, "the guest to run")


def test_packets_by_hand_change_nothing(bridge):
    """A second qSupported, and other packets that lldb has sent before: it reads memory in the form that was agreed."""
    made = bridge("x86_64")
    made.guest.write(made.map.a, bytes(range(0x41, 0x51)))
    output = run_lldb(made.daemon.endpoints["stub"][0], [
        f"memory read -s 1 -c 4 -f x {made.map.a:#x}",
        "process plugin packet send qSupported:xmlRegisters=i386",
        "process plugin packet send x0,0",
        f"memory write {made.map.a:#x} 0x31",
        f"memory read -s 1 -c 4 -f x {made.map.a:#x}", "detach"])
    assert "0x41 0x42 0x43 0x44" in output, output
    assert "0x31 0x42 0x43 0x44" in output, output
    processes.until(made.guest.running, "the guest to run")


@pytest.mark.parametrize("arch", ["i386", "aarch64"])
def test_other_machines(bridge, arch):
    made = bridge(arch)
    made.guest.fill(made.map.a, 16, 0x44)
    output = run_lldb(made.daemon.endpoints["stub"][0], [
        "register read pc", f"memory read -s 1 -c 4 -f x {made.map.a:#x}", "thread step-inst", "detach"])
    assert "0x44 0x44 0x44 0x44" in output, output
    assert "Process 1 detached" in output
    assert len(values(output, "(?:pc|eip)")) == 1, output
    processes.until(made.guest.running, "the guest to run")
