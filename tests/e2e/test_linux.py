"""Debian's own kernel, four processors: what a debugger prints in front of the bridge is what it prints in front of
QEMU, line by line, and the bridge's own calls reach the same kernel beside it."""

import difflib
import os
import re
import subprocess
import threading

import pytest
from harness import linux, processes
from harness.daemon import Daemon, cli
from harness.debuggers import wanted
from harness.linux import Linux
from harness.processes import LIMIT
from harness.rpc import BREAK, GO, Rpc
from test_gdb import Gates, printed

NODENAME = 65  # in struct new_utsname, behind the system's name

# What the guest does while a debugger looks on: builtins of its shell, on its first processor.
COMMANDS = ("umask 022", "echo second >/proc/sys/kernel/hostname", "read r </proc/sys/kernel/hostname", "r=$(uname -s)")
# Registers that mean something where a function of the kernel begins, and where it writes the name: what is left in the
# others depends on how long somebody had to wait.
ARGUMENTS = "rip rdi rsi rdx rcx rbx rbp rsp"
REGISTERS = "rip rax rcx rdx rbx rbp rsp"


@pytest.fixture(scope="module")
def booted():
    """The state of a guest that has booted and waits for commands: a file, and where things are in its kernel."""
    trouble = linux.trouble()
    if trouble:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(trouble)
    directory = processes.directory()
    try:
        guest = Linux()
        try:
            guest.save(f"{directory}/state")
        finally:
            guest.stop()
        yield f"{directory}/state", guest.symbols
    finally:
        processes.remove(directory)


@pytest.fixture
def new_linux(booted, cleanup):
    def make():
        guest = Linux(*booted)
        cleanup.append(guest)
        return guest

    return make


def gdb_argv(program, path, symbols):
    name = symbols["init_uts_ns"]
    script = [
        "set pagination off", "set confirm off", "set width 0", f"target remote {path}",
        "info threads", "info registers", "thread 3", "info registers rip rsp cr3", "thread 1",
        f"x/s {name:#x}", f"x/s {name + NODENAME:#x}",
        f"set {{unsigned long}}{name:#x} = 0x0065676469726273", f"x/s {name:#x}",
        f"break *{symbols['__x64_sys_umask']:#x}", "continue", "info registers", "x/4i $pc",
        "stepi", "stepi", "x/i $pc", "info registers", "delete",
        f"hbreak *{symbols['proc_do_uts_string']:#x}", "continue", f"info registers {ARGUMENTS}", "delete",
        f"watch *(unsigned long *){name + NODENAME:#x}", "continue", "x/2i $pc", f"info registers {REGISTERS}",
        "delete", "thread", "detach",
    ]
    return [program, "-nx", "-q", "-batch"] + [word for command in script for word in ("-ex", command)]


def packets_of(path):
    """Where lldb keeps what it sent to that endpoint, and what came."""
    return os.path.join(os.path.dirname(path), "packets.log")


def regions(daemon):
    """The last questions about memory regions, and their answers."""
    with open(packets_of(daemon.endpoints["stub"][0].removeprefix("unix:")), errors="replace") as file:
        lines = file.read().splitlines()
    asked = [i for i, line in enumerate(lines) if "qMemoryRegionInfo" in line]
    return " | ".join(line[line.find("<") :] for i in asked[-8:] for line in lines[i : i + 2])


# lldb tells of stops when it comes to it, among the output of other commands: said in these words they can be left out.
# lldb 19 may still have the frame of before in `thread info`, so it is asked for registers instead.
LLDB_QUIET = [
    'settings set thread-stop-format "LATER\\n"', 'settings set frame-format "LATER\\n"',
    'settings set thread-format "thread #${thread.index}: tid = ${thread.id%tid}{, stop reason = '
    '${thread.stop-reason}}\\n"',
    "settings set stop-disassembly-display never",
    "settings set plugin.process.gdb-remote.packet-timeout 60",  # a busy host is no failure
]


def lldb_argv(program, path, symbols):
    name = symbols["init_uts_ns"]
    script = LLDB_QUIET + [
        f"log enable -f {packets_of(path)} gdb-remote packets",
        f"process connect unix-connect://{path}", "thread list", "register read",
        "thread select 3", "register read rip rsp", "thread select 1", f"memory read -s 1 -c 80 -f x {name:#x}",
        f"memory write {name:#x} 0x73 0x62 0x72 0x69 0x64 0x67 0x65 0", f"memory read -s 1 -c 16 -f x {name:#x}",
        f"breakpoint set -a {symbols['__x64_sys_umask']:#x}", "continue", "thread info", "register read",
        "disassemble -s $pc -c 4", "thread step-inst", "thread step-inst", "thread info", "register read",
        "breakpoint delete -f",
        f"breakpoint set -H -a {symbols['proc_do_uts_string']:#x}", "continue", "thread info",
        f"register read {ARGUMENTS}",
        "breakpoint delete -f",
        f"watchpoint set expression -w write -s 8 -- {name + NODENAME:#x}", "continue", "thread info",
        f"register read {REGISTERS}", "watchpoint delete -f", "thread info", "detach",
    ]
    return [program, "-x", "-b"] + [word for command in script for word in ("-o", command)]


# gdb 13 in front of QEMU 11, which answers `?` without a thread. The bridge names one.
ONLY_DIRECT = ("warning: multi-threaded target stopped without sending a thread-id, using first non-exited thread",)
# What lldb now and then says at `watchpoint set` through the bridge, which alone offers qMemoryRegionInfo: one of the
# regions that it looks for a free place in was refused. Seen in 2 of some 20 sessions on a machine with a load of 15, and
# in none of 40 since; so what was asked and answered is shown with it.
KNOWN = "GetMemoryRegionInfo() succeeded, then failed"
LATER = re.compile(r"Process 1 (stopped|resuming)$|\*?\s*LATER$|$")


def session(guest, argv_of, program, endpoint):
    """Run a debugger's script; the lines that it printed, and what the guest answered to its commands."""
    path = endpoint.removeprefix("unix:")
    tickets = [guest.post(command) for command in COMMANDS]
    done = subprocess.run(
        argv_of(program, path, guest.symbols), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=8 * LIMIT, check=False, text=True, errors="replace",
        env={**os.environ, "DEBUGINFOD_URLS": "", "TERM": "dumb"},
    )
    lines = done.stdout.replace(path, "ENDPOINT").replace(packets_of(path), "PACKETS").splitlines()
    if argv_of is lldb_argv:
        lines = [line for line in lines if not LATER.match(line)]
    return lines, [guest.answer(ticket) for ticket in tickets]


def directly(new_linux, argv_of, program):
    guest = new_linux()
    lines, answers = session(guest, argv_of, program, guest.gdb)
    assert answers == ["", "", "second", "sbridge"], "\n".join(lines)
    guest.stop()
    return [line for line in lines if line not in ONLY_DIRECT]


def same_through_the_bridge(new_linux, cleanup, argv_of, program):
    """The same session on QEMU itself and through the bridge, from the same state on; what was printed.

    In front of QEMU itself a step is now and then answered without having been made, which the bridge sees and mends:
    where the two differ QEMU is asked again, at most twice. What the bridge printed stays."""
    direct = directly(new_linux, argv_of, program)
    guest = new_linux()
    daemon = Daemon(guest)
    cleanup.append(daemon)
    bridged, answers = session(guest, argv_of, program, daemon.endpoints["stub"][0])
    for _ in range(2):
        if direct != bridged:
            direct = directly(new_linux, argv_of, program)
    differences = list(difflib.unified_diff(direct, bridged, "on QEMU", "through the bridge", lineterm="", n=2))
    if differences and any(KNOWN in line for line in bridged):
        print(daemon.log[-20000:])
        pytest.xfail(f"an open fault: lldb says '{KNOWN}' through the bridge alone: {regions(daemon)}")
    assert not differences, "\n".join(differences)
    assert answers == ["", "", "second", "sbridge"], "\n".join(bridged)
    assert guest.running()
    return "\n".join(bridged)


@pytest.mark.parametrize("newer", [False, True], ids=["system", "newer"])
def test_gdb(new_linux, cleanup, booted, newer):
    program = wanted("gdb", newer)
    output = same_through_the_bridge(new_linux, cleanup, gdb_argv, program)
    name, umask = (booted[1][symbol] for symbol in ("init_uts_ns", "__x64_sys_umask"))
    assert re.search(r"Thread 1\.4 \(CPU#3", output), output
    assert re.search(rf'^{name:#x}:\s"Linux"$', output, re.MULTILINE), output
    assert re.search(rf'^{name:#x}:\s"sbridge"$', output, re.MULTILINE), output
    assert f"Thread 1 hit Breakpoint 1, {umask:#x} in" in output, output
    assert f"Thread 1 hit Breakpoint 2, {booted[1]['proc_do_uts_string']:#x} in" in output, output
    assert "hit Hardware watchpoint 3" in output, output
    assert f"New value = {int.from_bytes(b'second', 'little')}" in output, output
    assert "[Inferior 1 (process 1) detached]" in output, output


@pytest.mark.parametrize("newer", [False, True], ids=["system", "newer"])
def test_lldb(new_linux, cleanup, booted, newer):
    program = wanted("lldb", newer)
    output = same_through_the_bridge(new_linux, cleanup, lldb_argv, program)
    name, umask = (booted[1][symbol] for symbol in ("init_uts_ns", "__x64_sys_umask"))
    assert re.search(r"thread #4: tid = 0x0004", output), output
    assert f"{name:#x}: 0x4c 0x69 0x6e 0x75 0x78 0x00" in output, output
    assert f"{name:#x}: 0x73 0x62 0x72 0x69 0x64 0x67 0x65 0x00" in output, output
    assert re.search(rf"stop reason = breakpoint 1\.1.*?\n +rip = {umask:#x}\n", output, re.DOTALL), output
    assert "stop reason = instruction step into" in output, output
    writes = booted[1]["proc_do_uts_string"]
    assert re.search(rf"stop reason = breakpoint 2\.1.*?\n +rip = {writes:#x}\n", output, re.DOTALL), output
    assert "stop reason = watchpoint 1" in output, output
    assert "Process 1 detached" in output, output


@pytest.mark.parametrize("newer", [False, True], ids=["system", "newer"])
def test_calls_beside_a_gdb(new_linux, cleanup, directory, newer):
    """While a gdb holds the kernel halted, the bridge's own calls read and write it: gdb and the guest see it."""
    program = wanted("gdb", newer)
    guest = new_linux()
    name = guest.symbols["init_uts_ns"]
    guest.qmp_control.execute("cont")
    assert guest.ask("r=$(uname -sn)") == "Linux (none)"
    daemon = Daemon(guest)
    cleanup.append(daemon)
    gates = Gates(directory)
    script = [
        "set pagination off", f"target remote {daemon.endpoints['stub'][0].removeprefix('unix:')}",
        gates.command("attached"), f'printf "seen=%s\\n", (char *){name:#x}',
        f"set {{unsigned long}}{name + NODENAME:#x} = {int.from_bytes(b'by gdb', 'little'):#x}",
        gates.command("written"), "detach",
    ]
    result = []

    def run():
        result.append(subprocess.run(
            [program, "-nx", "-q", "-batch"] + [word for command in script for word in ("-ex", command)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=8 * LIMIT, check=False,
            env={**os.environ, "DEBUGINFOD_URLS": ""}))

    gdb = threading.Thread(target=run)
    gdb.start()
    try:
        gates.wait("attached")
        assert not guest.running()
        done = cli("write-virtual", hex(name), "text:by a call", "00", connect=daemon.rpc)
        assert (done.returncode, done.stdout) == (0, "S_OK: 10 of 10 bytes written\n"), done
        gates.open("attached")
        gates.wait("written")
        done = cli("read-virtual", hex(name + NODENAME), "6", connect=daemon.rpc)
        assert done.returncode == 0 and "|by gdb|" in done.stdout, done
        with Rpc(daemon.rpc) as rpc:
            assert rpc.GetExecutionStatus() == BREAK
            for processor in range(4):  # the kernel is the same for all of them
                rpc.SetCurrentProcessor(processor)
                assert rpc.ReadVirtual(name, 10) == b"by a call\0"
    finally:
        gates.open("attached")
        gates.open("written")
        gdb.join()
    assert printed(result[0].stdout, "seen") == "by a call", result[0]
    assert guest.ask("r=$(uname -sn)") == "by a call by gdb"
    with Rpc(daemon.rpc) as rpc:
        assert rpc.GetExecutionStatus() == GO
