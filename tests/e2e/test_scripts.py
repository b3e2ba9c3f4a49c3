"""qemu-scripts/start-guest: a guest to play with, and nothing left of it."""

import os
import signal
import subprocess

import pytest
from harness import processes
from harness.guest import TOP
from harness.processes import Child
from harness.rpc import BREAK

SCRIPT = os.path.join(TOP, "qemu-scripts", "start-guest")


@pytest.mark.parametrize("arch, page", [("x86_64", 0x40000000), ("aarch64", 0x100000000)])
def test_start_guest(new_daemon, directory, arch, page):
    sockets = os.path.join(directory, "sockets")
    child = Child([SCRIPT, arch, sockets], directory, "start-guest", {"TMPDIR": directory}, subprocess.PIPE)
    try:
        line = child.out.wait_line(r"spacebridged --gdb (\S+) --qmp (\S+)")
        assert line[1] == f"unix:{sockets}/gdb.sock" and line[2] == f"unix:{sockets}/qmp.sock"
        child.out.wait_line(rf"\* ready {arch} ")
        daemon = new_daemon(gdb=line[1], qmp=line[2])
        with daemon.connect() as rpc:
            rpc.halt()
            assert rpc.GetExecutionStatus() == BREAK
            assert rpc.WriteVirtual(page, b"played") == 6
            rpc.go()
            child.process.stdin.write(f"1 read {page:#x} 6\n".encode())
            child.out.wait_line(rf"1 ok {b'played'.hex()}$")
        daemon.stop()
    finally:
        # a terminal's Ctrl-C goes to QEMU, too
        child.send(signal.SIGINT)
        child.process.stdin.close()
        for pid in processes.children(child.pid):
            os.kill(pid, signal.SIGINT)
        child.wait()
    assert os.listdir(sockets) == []
    assert sorted(os.listdir(directory)) == ["sockets", "start-guest.stderr"]


@pytest.mark.parametrize("words", [["mips"], ["--nonsense"]])
def test_start_guest_that_there_is_not(directory, words):
    done = subprocess.run([SCRIPT, *words], capture_output=True, text=True, check=False, cwd=directory)
    assert done.returncode == 2 and words[0] in done.stderr and not done.stdout
