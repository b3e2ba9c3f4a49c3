"""What docs/protocol.md, docs/gdb.md and spacebridged(8) have their reader do, word for word but for the places of
sockets, and what comes of it."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys

import pytest
from harness.daemon import Daemon
from harness.gdb import Gdb
from harness.guest import TOP
from harness.processes import LIMIT, Child, until
from harness.qmp import Qmp
from harness.rpc import BREAK, GO, address_of, connect
from test_examples import README, blocks, seen
from test_lldb import LLDB


def text_of(*path):
    with open(os.path.join(TOP, *path), encoding="utf-8") as file:
        return file.read()


GDB, PROTOCOL = text_of("docs", "gdb.md"), text_of("docs", "protocol.md")
DAEMON = text_of("docs", "man", "spacebridged.8").partition(".Sh EXAMPLES")[2]
FIRMWARE = 0xFFFFFFF0
JUMP = b"\xea\x5b\xe0\x00\xf0"  # what the firmware begins with


def section(text, title):
    return re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]


def fenced(text, language=""):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def reset(new_daemon, directory):
    """A machine that stands before its first instruction, with a stub on TCP besides."""
    return new_daemon(command=["qemu-system-x86_64", "-M", "pc", "-display", "none"],
                      options=["--attach", "halt", "--stub", f"unix:{directory}/gdb.sock", "--stub", "tcp:127.0.0.1:0"])


def stub_of(daemon, kind):
    (found,) = [endpoint for endpoint in daemon.endpoints["stub"] if endpoint.startswith(kind)]
    return found.partition(":")[2]


# docs/protocol.md


def test_the_first_client(reset):
    """It prints what the comments beside its calls say."""
    (code,) = fenced(PROTOCOL, "python")
    shown = re.findall(r"^print\(sb\.call.*?#\s+(\[.*?\])(?:: .*)?$", code, re.MULTILINE)
    assert len(shown) == 3
    place = '"/run/spacebridge/rpc.sock"'
    assert place in code
    done = subprocess.run([sys.executable, "-c", code.replace(place, repr(address_of(reset.rpc)[1]))],
                          capture_output=True, text=True, check=False, timeout=LIMIT, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and not done.stderr, done.stderr
    hello, *results, refused = done.stdout.splitlines()
    assert hello.startswith("[0, '") and "'architecture': 'i386:x86-64'" in hello
    assert results == shown
    assert refused.startswith("WritePhysical2 at 0x7000: DEBUG_PHYSICAL_UNCACHED does not match pc.ram")
    assert refused.endswith("(0x80070057)")
    assert seen(reset, "x /3xb 0x7000") == [0x90, 0x90, 0xC3]


def pattern_of(line):
    """The bytes of a line like '   cd 70 00    Offset', as a pattern. A str that is cut short ends with an ellipsis;
    its comment then has the text."""
    found = re.match(r" *((?:[0-9a-f]{2} ?)+)(…)? *(.*)", line)
    given = bytes.fromhex(found[1])
    if not found[2]:
        return re.escape(given)
    assert given[0] == 0xD9  # a str of up to 255 bytes
    text, rest = re.search(r'"(.*?)( …)?"', found[3]).groups()
    text = text.encode()
    assert text.startswith(given[2:])
    if rest:
        return re.escape(given[:2] + text) + b".{%d}" % (given[1] - len(text))
    assert given[1] == len(text)
    return re.escape(given[:2] + text)


def test_byte_by_byte(reset):
    """Requests and responses as they are shown, on one connection."""
    messages = []
    for block in fenced(section(PROTOCOL, "Byte by byte")):
        for message in block.split("\n\n"):
            messages.append(b"".join(pattern_of(line) for line in message.splitlines()))
    # WriteVirtual, ReadVirtual and a wrong one, each with its response; then the notification about a bad byte
    assert len(messages) == 7
    requests, answers = messages[0:6:2] + [re.escape(b"\xc1")], messages[1:6:2] + messages[6:]
    with connect(reset.rpc) as link:
        link.settimeout(LIMIT)
        for request, answer in zip(requests, answers):
            link.sendall(re.sub(rb"\\(.)", rb"\1", request, flags=re.DOTALL))
            came = b""
            while not re.fullmatch(answer, came, re.DOTALL):
                piece = link.recv(65536)
                assert piece, (request, answer, came)
                came += piece
        assert link.recv(1) == b""


# docs/gdb.md, the README and spacebridged(8): starting


def attaches():
    """The commands that attach to a guest that runs, wherever they stand."""
    manual = DAEMON.replace("\\e\n", "").replace(".Bd -literal -offset indent\n", "")
    places = {"gdb": section(GDB, "Start"), "daemon": manual, "readme": README}
    for name, text in places.items():
        qemu = re.search(r"^qemu-system-x86_64 (-gdb .*?)\s*(?:…|\.\.\.)$", text, re.MULTILINE)
        bridge = re.search(r"spacebridged (--gdb unix:/tmp/g\.sock [^`\n]*)", text)
        assert bridge and (qemu or name == "readme"), name
        yield name, qemu[1] if qemu else None, bridge[1]


ATTACHES = list(attaches())


@pytest.mark.parametrize("options, words", [one[1:] for one in ATTACHES], ids=[one[0] for one in ATTACHES])
def test_attach_to_one_that_runs(directory, cleanup, new_daemon, options, words):
    """Attaching and leaving do not change whether it runs."""
    def moved(text):
        return text.replace("/tmp/", directory + "/").replace(":1234", ":0")

    options = moved(options or ATTACHES[0][1])
    sockets = [f"{directory}/{name}.sock" for name in "gq"]
    control = socket.socket(socket.AF_UNIX)
    control.bind(f"{directory}/control")
    control.listen(1)
    qemu = Child(["qemu-system-x86_64", "-display", "none", *shlex.split(options), "-chardev",
                  f"socket,id=control,path={directory}/control", "-mon", "chardev=control,mode=control"], directory, "qemu")
    try:
        qmp = Qmp(control)
        until(lambda: all(os.path.exists(path) for path in sockets), "the sockets")
        daemon = new_daemon(options=shlex.split(moved(words)))
        with daemon.connect() as rpc:
            assert rpc.GetExecutionStatus() == GO and qmp.execute("query-status")["running"]
            rpc.halt()
            assert not qmp.execute("query-status")["running"]
            assert rpc.ReadPhysical(FIRMWARE, 5) == JUMP
        daemon.stop()
        until(lambda: qmp.execute("query-status")["running"], "the guest to run again")
        qmp.close()
    finally:
        qemu.end()


def test_a_guest_of_its_own(new_daemon):
    words = shlex.split(re.search(r"^\.Dl spacebridged (.*)$", DAEMON, re.MULTILINE)[1])
    middle = words.index("--")
    daemon = new_daemon(options=words[:middle], command=words[middle + 1 :])
    with daemon.connect() as rpc:
        assert rpc.GetExecutionStatus() == BREAK and rpc.ReadPhysical(FIRMWARE, 5) == JUMP


# docs/gdb.md: debuggers


def moved(command, daemon):
    """A debugger's command with the daemon's own places."""
    port = stub_of(daemon, "tcp:").rpartition(":")[2]
    command = re.sub(r"(?<=\D)1234$", port, command)
    return re.sub(r"/run/(user/1000/)?spacebridge/gdb\.sock", stub_of(daemon, "unix:"), command)


GDB_COMMANDS = re.findall(r"^\(gdb\) (.*)$", GDB, re.MULTILINE)
GDB_COMMANDS += re.findall(r"`gdb -ex '(target remote [^']*)'`", README)


@pytest.mark.skipif(not shutil.which("gdb"), reason="no gdb here")
@pytest.mark.parametrize("command", GDB_COMMANDS)
def test_gdb_comes(reset, command):
    done = subprocess.run(
        ["gdb", "-nx", "-batch", "-ex", moved(command, reset), "-ex", "info threads", "-ex", "monitor info status",
         "-ex", f"x/5xb {FIRMWARE:#x}", "-ex", "detach"],
        capture_output=True, text=True, check=False, timeout=4 * LIMIT, stdin=subprocess.DEVNULL)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and re.search(r"^\* 1 +Thread 1", said, re.MULTILINE), said
    assert re.search(r"^VM status: paused", said, re.MULTILINE), said
    assert re.search(r"0xfffffff0:\s+" + r"\s+".join(f"0x{byte:02x}" for byte in JUMP), said), said


LLDB_COMMANDS = re.findall(r"^\(lldb\) (.*)$", GDB, re.MULTILINE) + re.findall(r"^or `(gdb-remote \d+)`", GDB, re.MULTILINE)


@pytest.mark.skipif(LLDB is None, reason="no lldb here")
@pytest.mark.parametrize("command", LLDB_COMMANDS)
def test_lldb_comes(reset, command):
    ask = re.search(r"`(process plugin packet monitor info status)`", GDB)[1]
    commands = [moved(command, reset), "process status", "memory region 0x7000", ask, "detach"]
    done = subprocess.run(
        [LLDB, "-x", "-b", *(word for line in commands for word in ("-o", line))], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=4 * LIMIT,
        env={**os.environ, "TERM": "dumb"})
    assert "Process 1 stopped" in done.stdout and "Process 1 detached" in done.stdout, done.stdout
    assert "VM status: paused" in done.stdout and "rwx pc.ram" in done.stdout, done.stdout


def test_there_are_commands():
    assert len(GDB_COMMANDS) == 3 and len(LLDB_COMMANDS) == 3


# docs/gdb.md: monitor commands

# What each prints, as a pattern.
MONITOR = {
    "read-io 0x71 1": r"0x[0-5][0-9]\n",  # the seconds of a clock, in decimal digits
    "write-io 0x70 1 0x8f": "",
    "read-physical 0xfed00000 8": r"00000000fed00000: 01 a2 86 80 80 96 98 00\n",  # the HPET says who it is
    "write-physical 0x1000 90 90c3": r"3 of 3 bytes written\n",
    "translate 0xffffffff81000000": r"0xffffffff81000000 -> 0x81000000 nothing *\n",  # without paging, and no RAM there
    "cache": r"policy write-through, 0 of 1024000 bytes, .*\n.*\n",
    "cache policy write-back": "",
    "cache flush": r"0 bytes flushed\n",
    "cache discard": r"0 bytes dropped\n",
    "cache invalidate": "",
    "connections": r"stub#1 \(this one\): .*\n",
}


def monitor_commands():
    rows = re.findall(r"^\| (`.*?) \|", section(GDB, "Monitor commands"), re.MULTILINE)
    return [command.removeprefix("monitor ") for row in rows for command in re.findall("`(.*?)`", row)]


def test_the_monitor_commands(reset):
    client = Gdb(reset.endpoints["stub"][0])
    commands = [command.replace("[TYPE] ", "") for command in monitor_commands()]
    assert commands == list(MONITOR)
    for command in commands:
        text, end = client.monitor(command)
        assert end == "OK" and re.fullmatch(MONITOR[command], text), (command, text, end)
    # the port write has chosen a register of the CMOS that keeps what it is given
    assert client.monitor("o /b 0x71 0x5a") == ("", "OK") and "= 0x5a" in client.monitor("i /b 0x71")[0]
    client.close()
    assert seen(reset, "xp /3xb 0x1000") == [0x90, 0x90, 0xC3]


@pytest.mark.parametrize("kind, address, result", [
    ("default", "0xfed00000", "01 a2 86 80"), ("uncached", "0xfed00000", "01 a2 86 80"), ("cached", "0xfed00000", None),
    ("write-combined", "0xfed00000", None), ("cached", "0xfffffff0", "ea 5b e0 00"), ("uncached", "0xfffffff0", None),
])
def test_the_types_of_a_monitor_command(reset, kind, address, result):
    """Each TYPE that the table names, taken and refused."""
    row = re.search(r"^\| `monitor read-physical \[TYPE\].*$", GDB, re.MULTILINE)[0]
    assert f"`{kind}`" in row
    client = Gdb(reset.endpoints["stub"][0])
    text, _ = client.monitor(f"read-physical {kind} {address} 4")
    client.close()
    if result:
        assert text == f"{int(address, 16):016x}: {result}\n"
    else:
        assert "does not match" in text


# docs/gdb.md: a program under gdbserver


@pytest.mark.skipif(not shutil.which("gdbserver") or not shutil.which("gdb"), reason="no gdbserver or gdb here")
def test_a_program_under_gdbserver(directory, new_daemon):
    (shown,) = fenced(section(GDB, "An ordinary program under gdbserver"), "sh")
    server, bridge = shown.splitlines()
    assert server == "gdbserver 127.0.0.1:2000 ./program &"
    assert bridge == "spacebridged --gdb tcp:127.0.0.1:2000 --stub tcp:127.0.0.1:1234"
    with open(os.path.join(directory, "program.c"), "w", encoding="utf-8") as file:
        file.write("int answer = 41;\nint main(void)\n{\n    answer++;\n    return answer;\n}\n")
    subprocess.run(["gcc", "-g", "-o", "program", "program.c"], check=True, cwd=directory)
    child = Child(shlex.split(server.removesuffix(" &").replace(":2000", ":0")), directory, "gdbserver")
    try:
        port = child.wait_errors(r"Listening on port (\d+)")[1]
        words = shlex.split(bridge.replace(":2000", f":{port}").replace(":1234", ":0"))
        daemon = new_daemon(options=words[1:])
        done = subprocess.run(
            ["gdb", "-nx", "-batch", "-ex", "set sysroot target:", "-ex",
             f"target remote {stub_of(daemon, 'tcp:')}", "-ex", "break main", "-ex", "continue",
             "-ex", "print answer", "-ex", "next", "-ex", "print answer", "-ex", "info proc", "-ex", "continue"],
            capture_output=True, text=True, check=False, timeout=4 * LIMIT, stdin=subprocess.DEVNULL)
        said = done.stdout + done.stderr
        assert "$1 = 41" in said and "$2 = 42" in said, said
        assert f"exe = '{directory}/program'" in said and "exited with code 052" in said, said
        daemon.stop()
    finally:
        child.end()
