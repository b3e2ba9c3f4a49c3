"""The examples of the README, of libspacebridge(3) and of spacebridge(1), word for word."""

import os
import re
import shlex
import shutil
import subprocess

import pytest
from harness import processes
from harness.daemon import SANITIZER_OPTIONS, Daemon
from harness.guest import TOP
from harness.processes import SANITIZER, until
from test_library import find, installed, sanitized  # noqa: F401

with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
    README = file.read()
with open(os.path.join(TOP, "docs", "man", "libspacebridge.3"), encoding="utf-8") as file:
    MANUAL = file.read()
with open(os.path.join(TOP, "docs", "man", "spacebridge.1"), encoding="utf-8") as file:
    COMMANDS = file.read().partition(".Sh EXAMPLES")[2]


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


def test_the_readmes_commands(readme_daemon, installed):  # noqa: F811
    def one(command):
        return run(readme_daemon, command, installed)

    memory, device, physical, ports = [block for block in blocks("sh") if block.startswith("spacebridge ")]
    done = one(memory)
    assert done.returncode == 0 and "S_OK: 11 of 11 bytes written" in done.stdout
    assert "90 90 68 65 6c 6c 6f ef  be ad de" in done.stdout
    done = one(device)
    assert done.returncode == 0 and "88 77 66 55 44 33 22 11" in done.stdout
    go, *writes = physical.splitlines()
    assert go == "spacebridge go; sleep 3; spacebridge halt"

    def firmware_was_there():
        return one(f"spacebridge go; spacebridge halt; {writes[0]}").returncode == 0

    until(firmware_was_there, "the frame buffer to have its address")
    done = one(writes[1])
    assert done.returncode == 1 and "E_INVALIDARG" in done.stderr
    done = one(ports)
    assert done.returncode == 0
    with open(os.path.join(readme_daemon.directory, "debugcon.txt"), "rb") as console:
        assert console.read().endswith(b"!")


@pytest.mark.parametrize("example", re.findall(r"^\.Bd .*\n((?:.*\n)*?)\.Ed", COMMANDS, re.MULTILINE),
                         ids=lambda example: re.search(r"spacebridge (?:--\S+ )?(\S+)", example)[1])
def test_the_commands_of_the_manual(readme_daemon, installed, example):  # noqa: F811
    """Each command of an example does its work; where its output is shown, that is what it prints."""
    if "jq" in example and not shutil.which("jq"):
        pytest.skip("jq is not installed")
    with open(os.path.join(readme_daemon.directory, "kernel.bin"), "wb") as file:
        file.write(os.urandom(5000))
    for command, shown in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", example, re.MULTILINE):
        if "write-combined" in command:
            continue  # until the firmware has run there is no frame buffer
        done = run(readme_daemon, command, installed)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert not shown or done.stdout == shown, (command, done.stdout)


MANUAL_PROGRAM = re.search(r"^\.Sh EXAMPLES\n\.Bd -literal\n(.*?)^\.Ed", MANUAL, re.MULTILINE | re.DOTALL)[1]


@pytest.mark.parametrize("source, said", [
    (blocks("c")[0], "0x00000000: 5 of 5 bytes\n"),
    (MANUAL_PROGRAM.replace("\\e", "\\"), "3 bytes written\n"),
], ids=["readme", "manual"])
def test_the_examples_in_c(readme_daemon, installed, source, said):  # noqa: F811
    build = next(block for block in blocks("sh") if block.startswith("cc "))
    flags = " ".join(["-Wall -Wextra -Werror -o example", *sanitized(find(installed, "libspacebridge.so"))])
    with open(os.path.join(readme_daemon.directory, "example.c"), "w", encoding="utf-8") as file:
        file.write(source)
    done = run(readme_daemon, f"{build.strip()} {flags} && ./example", installed)
    assert done.returncode == 0 and done.stdout == said, done.stdout + done.stderr


