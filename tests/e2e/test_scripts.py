"""qemu-scripts/start-guest: a guest to play with, and nothing left of it.

qemu-scripts/demo: it fails when a step fails. It is shown programs that lie: they say that something was done and
have not done it, or do what they say they refused.
"""

import os
import re
import signal
import subprocess

import pytest
from harness import processes
from harness.daemon import SANITIZER_OPTIONS, program
from harness.guest import COMPILERS, MACHINES, TOP
from harness.processes import LIMIT, Child
from harness.rpc import BREAK

SCRIPT = os.path.join(TOP, "qemu-scripts", "start-guest")


@pytest.mark.parametrize("arch, page", [("x86_64", 0x40000000), ("aarch64", 0x100000000)])
def test_start_guest(new_daemon, directory, arch, page):
    processes.need(MACHINES[arch][0], *COMPILERS.get(arch, ()))
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


DEMO = os.path.join(TOP, "qemu-scripts", "demo")
END = "That was the main job."
WHOLE = 10 * LIMIT  # for all of it


@pytest.fixture
def demo(directory):
    """demo(LIE): the demo is started with a spacebridge command that does what it is told but for the LIE, a branch of
    a shell's case. The temporary directory is one of its own, and empty in the end."""
    programs, temporary = os.path.join(directory, "programs"), os.path.join(directory, "temporary")
    os.mkdir(programs)
    os.mkdir(temporary)

    def write(name, lines):
        path = os.path.join(programs, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(["#!/bin/bash", *lines, f'exec {program(name)} "$@"', ""]))
        os.chmod(path, 0o755)

    def start(lie="", path="", before=()):
        write("spacebridged", [f"echo $$ >{programs}/daemon"])
        case = [f"real={program('spacebridge')} daemon={programs}/daemon", 'case "$*" in', lie, "esac"]
        write("spacebridge", case if lie else [])
        environment = {"SB_BUILD": programs, "TMPDIR": temporary, **SANITIZER_OPTIONS}
        environment["PATH"] = path + os.pathsep + os.environ["PATH"] if path else os.environ["PATH"]
        started.append(Child([*before, DEMO], directory, "demo", environment))
        return started[-1]

    started = []
    yield start
    for child in started:
        if child.pid in processes.alive:  # the test has failed
            child.end(limit=WHOLE)
    assert os.listdir(temporary) == []


def test_the_demo(demo):
    child = demo()
    code = child.wait(WHOLE)
    said = child.out.data.decode()
    assert code == 0, said + child.errors
    assert END in said and not child.errors


def test_the_demo_shows_warnings(demo):
    """What a QEMU cannot tell is shown, and is no failure."""
    child = demo("write-virtual\\ --uncached*) echo 'spacebridge: warning: who knows' >&2 ;;")
    assert child.wait(WHOLE) == 0, child.errors
    assert re.search(r"^ +warning: who knows$", child.out.data.decode(), re.MULTILINE)


# name, what the lying command does, at which step the demo must fail, what it must say of that
LIES = [
    ("does-not-run", "status*) exit 1 ;;", "0.", "got        (exit code 1)"),
    ("write-lost", "write-virtual*Hello*) echo 'S_OK: 12 of 12 bytes written'; exit ;;", "1. WriteVirtual",
     "got       ok 000000000000000000000000"),
    ("second-page-lost", """write-virtual*Hello*) $real write-virtual 0x40000ff8 text:Hello,gu >/dev/null
        echo 'S_OK: 12 of 12 bytes written'; exit ;;""", "1. WriteVirtual", "got       ok 48656c6c6f2c677500000000"),
    ("count-of-all", "write-virtual*0123456789abcdef) echo 'S_OK: 16 of 16 bytes written'; exit ;;", "1b. WriteVirtual",
     "got       S_OK: 16 of 16 bytes written (exit code 0)"),
    ("exit-code", 'write-virtual*0123456789abcdef) $real "$@"; exit 0 ;;', "1b. WriteVirtual",
     "got       S_OK: 8 of 16 bytes written WriteVirtual at 0x40002000: page not mapped (0 of 8 bytes written) (exit code 0)"),
    ("prefix-lost", """write-virtual*0123456789abcdef) $real "$@"; code=$?
        $real write-virtual 0x40001ff8 u64:0 >/dev/null; exit $code ;;""", "1b. WriteVirtual",
     "got       ok 0000000000000000"),
    ("device-write-lost", "write-virtual\\ --uncached*) echo 'S_OK: 8 of 8 bytes written'; exit ;;",
     "2. WriteVirtualUncached", "expected  ok 0x1122334455667788"),
    ("pixels-lost", "*write-combined*) echo 'S_OK: 8 of 8 bytes written'; exit ;;", "3. WritePhysical2",
     "expected  ok 0xff00ff00ff00ff00"),
    ("type-not-checked", "*--type\\ cached*) exec $real write-physical $4 $5 ;;", "3. WritePhysical2",
     "got       S_OK: 4 of 4 bytes written (exit code 0)"),
    ("refused-for-another-reason", """*--type\\ cached*)
        echo 'spacebridge: E_INVALIDARG (0x80070057): WritePhysical2: Flags is 9' >&2; exit 1 ;;""",
     "3. WritePhysical2", "got       E_INVALIDARG (0x80070057): WritePhysical2: Flags is 9 (exit code 1)"),
    ("refused-and-done", """*--type\\ cached*) $real "$@"; code=$?
        $real write-physical $4 $5 >/dev/null; exit $code ;;""", "3. WritePhysical2",
     "got       ok 0xff00ff0011111111"),
    ("rom-written", "*0xfffffff0*) echo 'S_OK: 1 of 1 bytes written'; exit ;;", "3. WritePhysical2",
     "got       S_OK: 1 of 1 bytes written (exit code 0)"),
    ("pointers-lost", "write-pointers*) echo 'S_OK: 2 of 2 pointers written'; exit ;;", "4. WritePointersVirtual",
     "got       ok 0x0 0x0"),
    ("port-write-lost", "*0xe9\\ 0x4b) echo 'S_OK: 1 of 1 bytes written'; exit ;;", "5. WriteIo", "got       4f0a"),
    ("port-write-twice", '*0xe9\\ 0x4b) $real "$@" >/dev/null ;;', "5. WriteIo", "got       4f4b4b0a"),
    ("clock-write-lost", "*0x71\\ 0x5a) echo 'S_OK: 1 of 1 bytes written'; exit ;;", "5. WriteIo",
     "expected  ok 0x5a"),
    ("daemon-ends", 'go) kill "$(cat $daemon)"; echo "S_OK: running"; exit ;;', "1. WriteVirtual",
     "got       nothing: the daemon has ended"),
]


@pytest.mark.parametrize("lie, step, said", [lie[1:] for lie in LIES], ids=[lie[0] for lie in LIES])
def test_the_demo_fails(demo, lie, step, said):
    child = demo(lie)
    code = child.wait(WHOLE)
    assert code == 1, child.out.data.decode()
    assert re.search(rf"^The demo failed at step {re.escape(step)}", child.errors, re.MULTILINE), child.errors
    assert re.search(rf"^ +{re.escape(said)}", child.errors, re.MULTILINE), child.errors
    assert END not in child.out.data.decode()


def test_the_demo_without_a_guest(demo, directory):
    """QEMU does not start: that is said, and it is no success."""
    qemu = os.path.join(directory, "qemu-system-x86_64")
    with open(qemu, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\nexit 1\n")
    os.chmod(qemu, 0o755)
    child = demo(path=directory)
    assert child.wait(WHOLE) == 1
    assert "The demo failed at the start" in child.errors and "the daemon has ended" in child.errors


@pytest.mark.parametrize("moment, number", [(r"0\.", signal.SIGHUP), (r"1b\.", signal.SIGINT), (r"5\.", signal.SIGTERM)],
                         ids=["at-first", "halted", "at-last"])
def test_the_demo_called_off(demo, moment, number):
    """Nothing is left of it, wherever it was."""
    child = demo()
    child.out.wait_line(moment, limit=WHOLE)
    child.send(number)
    assert child.wait(WHOLE) == 128 + number
    assert END not in child.out.data.decode() and "failed" not in child.errors


def test_the_demo_and_a_terminal(demo):
    """Ctrl-C at a terminal goes to all that was started."""
    child = demo(before=["setsid"])
    child.out.wait_line(r"3\.", limit=WHOLE)
    os.killpg(child.pid, signal.SIGINT)
    assert child.wait(WHOLE) == 128 + signal.SIGINT
    assert END not in child.out.data.decode() and "failed" not in child.errors
