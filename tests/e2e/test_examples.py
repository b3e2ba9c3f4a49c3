"""The examples of the README, of libspacebridge(3) and of spacebridge(1), word for word."""

import json
import os
import re
import shlex
import shutil
import subprocess

import pytest
from harness import processes
from harness.daemon import SANITIZER_OPTIONS, Daemon
from harness.gdb import Gdb
from harness.guest import TOP
from harness.processes import SANITIZER
from test_library import find, installed, sanitized  # noqa: F401

with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
    README = file.read()
with open(os.path.join(TOP, "docs", "man", "libspacebridge.3"), encoding="utf-8") as file:
    MANUAL = file.read()
with open(os.path.join(TOP, "docs", "man", "spacebridge.1"), encoding="utf-8") as file:
    COMMANDS = file.read().partition(".Sh EXAMPLES")[2]
with open(os.path.join(TOP, "include", "spacebridge", "spacebridge.h"), encoding="utf-8") as file:
    HEADER = file.read()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def readme_daemon():
    """The guest and the daemon that the README has its reader start."""
    command = next(block for block in blocks("sh") if block.startswith("spacebridged "))
    words = shlex.split(command)
    middle = words.index("--")
    daemon = Daemon(command=words[middle + 1 :], options=words[1:middle], listen=None)
    yield daemon
    daemon.stop()


def run(daemon, command, installed):  # noqa: F811
    library = os.path.dirname(find(installed, "libspacebridge.so"))
    path = os.path.dirname(find(installed, "spacebridge")) + os.pathsep + os.environ["PATH"]
    environment = {**os.environ, **SANITIZER_OPTIONS, "SPACEBRIDGE": daemon.rpc, "PATH": path}
    environment["LD_LIBRARY_PATH"] = library
    environment["PKG_CONFIG_PATH"] = os.path.dirname(find(installed, "spacebridge.pc"))
    environment["PKG_CONFIG_SYSROOT_DIR"] = installed
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        timeout=processes.LIMIT, env=environment, cwd=daemon.directory,
    )
    assert not SANITIZER.search(done.stderr), done.stderr
    return done


def seen(daemon, command):
    """What QEMU's own monitor has there: the values that x or xp prints."""
    client = Gdb(daemon.endpoints["stub"][0])
    text, end = client.monitor(command)
    client.close()
    assert end == "OK", text
    return [int(value, 16) for line in text.splitlines() for value in line.partition(":")[2].split()]


def refusals(done):
    """What was said on standard error, but for warnings."""
    return [line for line in done.stderr.splitlines() if not line.startswith("spacebridge: warning: ")]


def block(word):
    """The README's commands in whose block that stands."""
    (found,) = [text for text in blocks("sh") if text.startswith("spacebridge ") and word in text]
    return found


def dump(address, digits, text):
    """As the command prints it: one line of a hex dump."""
    return f"{address:016x}  {digits:<49s} |{text}|"


@pytest.fixture
def one(readme_daemon, installed):  # noqa: F811
    return lambda command: run(readme_daemon, command, installed)


def test_the_readmes_memory(readme_daemon, one):
    done = one(block("text:hello"))
    assert done.returncode == 0 and refusals(done) == []
    written, shown = done.stdout.splitlines()
    assert written == "S_OK: 11 of 11 bytes written"
    assert shown == dump(0x7000, "90 90 68 65 6c 6c 6f ef  be ad de 00 00 00 00 00", "..hello.........")
    assert bytes(seen(readme_daemon, "x /11xb 0x7000")) == b"\x90\x90hello\xef\xbe\xad\xde"


def test_the_readmes_device(readme_daemon, one):
    done = one(block("0xfed000f0"))
    assert done.returncode == 0 and refusals(done) == []
    assert done.stdout.splitlines() == [
        "S_OK: 8 of 8 bytes written", dump(0xFED000F0, "88 77 66 55 44 33 22 11", ".wfUD3\".")
    ]
    assert seen(readme_daemon, "xp /2xw 0xfed000f0") == [0x55667788, 0x11223344]


def test_the_readmes_frame_buffer(readme_daemon, one):
    done = one(block("write-combined"))
    assert done.returncode == 1
    running, pixel, halted, written = done.stdout.splitlines()
    assert running == "S_OK: running" and halted.startswith("S_OK: halted")
    assert pixel.startswith("00000000fd000000  ") and written == "S_OK: 4 of 4 bytes written"
    (reason,) = refusals(done)
    assert re.match(r"spacebridge: E_INVALIDARG \(0x80070057\): .* 0xfd000000: DEBUG_PHYSICAL_CACHED does not match vga", reason)
    assert seen(readme_daemon, "xp /4xb 0xfd000000") == [0, 0xFF, 0, 0xFF]


def test_the_readmes_ports(readme_daemon, one):
    done = one(block("0xe9"))
    assert done.returncode == 0 and refusals(done) == []
    *written, second = done.stdout.splitlines()
    assert written == ["S_OK: 1 of 1 bytes written"] * 2
    # the seconds of a clock, in decimal digits
    assert re.fullmatch("0x[0-5][0-9]", second)
    with open(os.path.join(readme_daemon.directory, "debugcon.txt"), "rb") as console:
        assert console.read() == b"!"


def the_firmware_runs(one):
    """Until the frame buffer has its address, as the README has it."""
    assert one("".join(line + "\n" for line in block("write-combined").splitlines()[:3])).returncode == 0


@pytest.mark.parametrize("example", re.findall(r"^\.Bd .*\n((?:.*\n)*?)\.Ed", COMMANDS, re.MULTILINE),
                         ids=lambda example: re.search(r"spacebridge (?:--\S+ )?(\S+)", example)[1])
def test_the_commands_of_the_manual(readme_daemon, one, example):
    """Each command of an example does its work; where its output is shown, that is what it prints."""
    if "jq" in example and not shutil.which("jq"):
        pytest.skip("jq is not installed")
    image = os.urandom(5000)
    with open(os.path.join(readme_daemon.directory, "kernel.bin"), "wb") as file:
        file.write(image)
    if "write-combined" in example:
        the_firmware_runs(one)
    for command, shown in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", example, re.MULTILINE):
        done = one(command)
        assert done.returncode == 0 and refusals(done) == [], (command, done.stdout, done.stderr)
        assert not shown or done.stdout == shown, (command, done.stdout)
        if not shown:
            RESULTS[shlex.split(command)[1 if "--json" not in command else 2]](readme_daemon, done, image)


def image_is_there(daemon, done, image):
    assert done.stdout == "S_OK: 5000 of 5000 bytes written\n"
    assert bytes(seen(daemon, "xp /5000xb 0x1000000")) == image


def screen_is_saved(daemon, done, image):
    del done, image
    with open(os.path.join(daemon.directory, "screen.raw"), "rb") as file:
        screen = file.read()
    assert len(screen) == 0x300000
    assert list(screen[:64]) == seen(daemon, "xp /64xb 0xfd000000")


def port_is_written(daemon, done, image):
    del daemon, image
    assert done.stdout == "S_OK: 1 of 1 bytes written\n"


def ways_are_counted(daemon, done, image):
    del daemon, image
    assert set(json.loads(done.stdout)) == {"rsp", "monitor", "qtest", "memory-file", "direct-ram"}


# What a command must have done whose output the manual does not show.
RESULTS = {
    "write-physical": image_is_there,
    "read-physical": screen_is_saved,
    "write-io": port_is_written,
    "transports": ways_are_counted,
}


MANUAL_PROGRAM = re.search(r"^\.Sh EXAMPLES\n\.Bd -literal\n(.*?)^\.Ed", MANUAL, re.MULTILINE | re.DOTALL)[1]


@pytest.mark.parametrize("source, said, wrote", [
    (blocks("c")[0], "0x00000000: 5 of 5 bytes\n", b"hello"),
    (MANUAL_PROGRAM.replace("\\e", "\\"), "3 bytes written\n", b"\x90\x90\xc3"),
], ids=["readme", "manual"])
def test_the_examples_in_c(readme_daemon, installed, source, said, wrote):  # noqa: F811
    build = next(block for block in blocks("sh") if block.startswith("cc "))
    flags = " ".join(["-Wall -Wextra -Werror -o example", *sanitized(find(installed, "libspacebridge.so"))])
    with open(os.path.join(readme_daemon.directory, "example.c"), "w", encoding="utf-8") as file:
        file.write(source)
    done = run(readme_daemon, f"{build.strip()} {flags} && ./example", installed)
    assert done.returncode == 0 and done.stdout == said, done.stdout + done.stderr
    assert bytes(seen(readme_daemon, f"x /{len(wrote)}xb 0x7000")) == wrote


def header_examples():
    """Statements, as they stand in the header's comments."""
    comments = re.findall(r"^/\* An example:\n(.*?)^ \*/$", HEADER, re.MULTILINE | re.DOTALL)
    return [re.sub(r"^ \*(?:     |$)", "", comment, flags=re.MULTILINE) for comment in comments]


HEADER_PROGRAM = """#include <spacebridge/spacebridge.h>
#include <stdio.h>

static void queue(spacebridge_t *sb)
{
%s
}

int main(void)
{
%s
queue(sb);
printf("%%s%%zu\\n", spacebridge_last_message(sb), written);
%s
return 0;
}
"""


def test_the_examples_of_the_header(readme_daemon, installed):  # noqa: F811
    """They compile, and do what they say."""
    first, queue = header_examples()
    first, close, _ = first.partition("spacebridge_close(sb);")
    build = next(block for block in blocks("sh") if block.startswith("cc "))
    flags = " ".join(["-Wall -Wextra -Werror -o example", *sanitized(find(installed, "libspacebridge.so"))])
    with open(os.path.join(readme_daemon.directory, "example.c"), "w", encoding="utf-8") as file:
        file.write(HEADER_PROGRAM % (queue, first, close))
    done = run(readme_daemon, f"{build.strip()} {flags} && ./example", installed)
    assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")


def test_the_layout_of_the_headers_examples():
    """One statement a line, as somebody wrote it: a tool that fills comments has not been at them."""
    for example in header_examples():
        for line in example.splitlines():
            assert re.search(r"(^|[;{}*/]|\))$", line), line
            assert line.count(";") <= (2 if line.lstrip().startswith("for ") else 1), line
