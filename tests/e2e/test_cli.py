"""The spacebridge command: what it prints, what it returns, and what the guest sees of it."""

import json
import os
import subprocess

import pytest
from harness import processes
from harness.daemon import SANITIZER_OPTIONS, cli, program
from harness.guest import PAGE, PORT_DEBUGCON


@pytest.fixture
def run(pc):
    def go(*words, **options):
        return cli(*words, connect=pc.daemon.rpc, **options)

    return go


@pytest.fixture
def stopped(pc, run):
    assert run("halt").returncode == 0
    assert not pc.guest.running()
    return run


def ok(done):
    assert done.returncode == 0, (done.args, done.stdout, done.stderr)
    return done.stdout


def parsed(done, code=0):
    assert done.returncode == code, (done.args, done.stdout, done.stderr)
    return json.loads(done.stdout)


def test_run_control(pc, run):
    assert "running" in ok(run("status"))
    ok(run("halt"))
    assert not pc.guest.running()
    assert "halted" in ok(run("status"))
    assert parsed(run("--json", "status"))["state"] == "halted"
    ok(run("wait", "5"))
    ok(run("go"))
    assert pc.guest.running()
    assert parsed(run("--json", "status"))["state"] == "running"


def test_step(pc, run):
    pc.guest.ask("spin 1")
    ok(run("halt"))
    ok(run("step"))
    assert not pc.guest.running()


@pytest.mark.parametrize("words, expected", [
    (["90", "90c3"], "9090c3"),
    (["text:hello"], "68656c6c6f"),
    (["u16:0x1234", "u32:1", "u64:0x1122334455667788"], "34120100000088776655443322 11".replace(" ", "")),
    (["text:a", "ff", "u16:65535"], "61ffffff"),
    (["text:"], ""),
])
def test_write_virtual(pc, stopped, words, expected):
    count = len(expected) // 2
    assert ok(stopped("write-virtual", hex(pc.map.a), *words)).strip() == f"S_OK: {count} of {count} bytes written"
    ok(stopped("go"))
    assert pc.guest.read(pc.map.a, max(count, 1)).hex() == (expected or "00")


def test_write_from_files(pc, stopped, directory):
    data = os.urandom(5000)
    path = os.path.join(directory, "data")
    with open(path, "wb") as file:
        file.write(data)
    ok(stopped("write-virtual", hex(pc.map.bulk), f"@{path}", "ff"))
    ok(cli("write-virtual", "--uncached", hex(pc.map.bulk + 6000), "@-", connect=pc.daemon.rpc, stdin=data, text=False))
    ok(stopped("go"))
    assert pc.guest.read(pc.map.bulk, 5001) == data + b"\xff"
    assert pc.guest.read(pc.map.bulk + 6000, 5000) == data


def test_big_endian_numbers(bridge):
    ppc = bridge("ppc")
    ok(cli("halt", connect=ppc.daemon.rpc))
    ok(cli("write-virtual", hex(ppc.map.ram), "u16:0x1122", "u32:0x33445566", connect=ppc.daemon.rpc))
    ok(cli("go", connect=ppc.daemon.rpc))
    assert ppc.guest.read(ppc.map.ram, 6).hex() == "112233445566"


def test_partly_written(pc, stopped):
    done = stopped("write-virtual", hex(pc.map.hole - 4), "text:12345678")
    assert done.returncode == 3 and done.stdout.strip() == "S_OK: 4 of 8 bytes written"
    answer = parsed(stopped("--json", "write-virtual", hex(pc.map.hole - 4), "text:abcdefgh"), 3)
    assert answer["hresult"] == 0 and answer["bytes_written"] == 4
    done = stopped("read-virtual", hex(pc.map.hole - 4), "8")
    assert done.returncode == 3
    ok(stopped("go"))
    assert pc.guest.read(pc.map.hole - 4, 4) == b"abcd"


def test_failure(pc, stopped):
    done = stopped("write-virtual", hex(pc.map.hole), "00")
    assert done.returncode == 1 and "ERROR_WRITE_FAULT" in done.stdout + done.stderr
    answer = parsed(stopped("--json", "write-virtual", hex(pc.map.hole), "00"), 1)
    assert answer["hresult"] == 0x8007001D and answer["name"] == "ERROR_WRITE_FAULT"
    assert f"{pc.map.hole:x}" in answer["message"]
    answer = parsed(stopped("--json", "read-virtual", hex(pc.map.hole), "4"), 1)
    assert answer["name"] == "ERROR_READ_FAULT"


def test_read_virtual(pc, run, directory):
    pc.guest.write(pc.map.a, bytes(range(40)))
    ok(run("halt"))
    dump = ok(run("read-virtual", hex(pc.map.a), "40"))
    lines = dump.splitlines()
    assert len(lines) == 3 and "00 01 02 03" in lines[0].replace("  ", " ") and f"{pc.map.a:x}" in lines[0]
    answer = parsed(run("--json", "read-virtual", hex(pc.map.a), "40"))
    assert answer["data"] == bytes(range(40)).hex() and answer["bytes_read"] == 40 and answer["name"] == "S_OK"
    path = os.path.join(directory, "out")
    ok(run("read-virtual", hex(pc.map.a), "40", "-o", path))
    with open(path, "rb") as file:
        assert file.read() == bytes(range(40))
    raw = cli("read-virtual", hex(pc.map.a), "40", "-o", "-", connect=pc.daemon.rpc, text=False)
    assert raw.stdout == bytes(range(40))
    assert ok(run("read-virtual", "--uncached", hex(pc.map.a), "0x28")) == dump


def test_physical(pc, stopped):
    ok(stopped("write-physical", hex(pc.map.a_physical), "text:physical"))
    done = stopped("write-physical", "--type", "write-combined", hex(pc.map.a_physical), "00")
    assert done.returncode == 1 and "E_INVALIDARG" in done.stdout + done.stderr
    ok(stopped("write-physical", "--type", "write-combined", hex(pc.guest.bars["frame"]), "text:pixels"))
    with pc.guest.accesses() as seen:
        ok(stopped("write-physical", "--type", "uncached", hex(pc.guest.bars["edu"] + 4), "u32:5"))
    assert [(a.value, a.size) for a in seen] == [(5, 4)]
    assert parsed(stopped("--json", "read-physical", "--type", "cached", hex(pc.map.a_physical), "8"))["data"] == b"physical".hex()
    ok(stopped("go"))
    assert pc.guest.read(pc.map.a, 8) == b"physical"
    assert pc.guest.read(pc.map.frame, 6) == b"pixels"


def test_pointers(pc, stopped):
    ok(stopped("write-pointers", hex(pc.map.a), "0x1122334455667788", "7"))
    answer = parsed(stopped("--json", "read-pointers", hex(pc.map.a), "2"))
    assert [int(word, 16) for word in answer["pointers"]] == [0x1122334455667788, 7]
    assert all(word.startswith("0x") for word in answer["pointers"])
    assert "1122334455667788" in ok(stopped("read-pointers", hex(pc.map.a), "2"))
    ok(stopped("go"))
    assert pc.guest.ask(f"pointers {pc.map.a:#x} 2") == "0x1122334455667788 0x7"


def test_ports(pc, run):
    since = pc.guest.debugcon.mark()
    ok(run("write-io", "--size", "1", hex(PORT_DEBUGCON), "0x41"))
    ok(run("write-io", "--size", "1", "--interface", "PCIBus", "--bus", "0", hex(PORT_DEBUGCON), "66"))
    ok(run("write-io", "--size", "1", "--interface", "1", hex(PORT_DEBUGCON), "67"))
    pc.guest.debugcon.wait(lambda data: True if data == b"ABC" else None, since)
    ok(run("write-io", "--size", "4", "0xcf8", "0x80000000"))
    assert "12378086" in ok(run("read-io", "--size", "4", "0xcfc"))
    done = run("write-io", "--size", "2", "0xe9", "1")
    assert done.returncode == 1 and "MISALIGNMENT" in done.stdout + done.stderr
    assert pc.guest.running()


def test_translate(pc, stopped):
    assert f"{pc.map.b_physical + 5:x}" in ok(stopped("translate", hex(pc.map.b + 5)))
    done = stopped("translate", hex(pc.map.hole))
    assert done.returncode == 1 and "NO_PAGEFILE" in done.stdout + done.stderr


def test_processor(pc, stopped):
    for cpu in (0, 1):
        ok(stopped("--cpu", cpu, "write-virtual", hex(pc.map.per_cpu), f"u32:{cpu + 1}"))
    assert stopped("--cpu", 2, "read-virtual", hex(pc.map.per_cpu), "4").returncode == 1
    ok(stopped("go"))
    assert pc.guest.load(4, pc.map.per_cpu, cpu=0) == 1
    assert pc.guest.load(4, pc.map.per_cpu, cpu=1) == 2


def test_transports(pc, stopped):
    """Each way's own line; what a run moves shows in what the next one counts."""
    def ways():
        return parsed(stopped("--json", "transports"))["transports"]

    before = ways()
    assert list(before) == list(pc.connect().GetTransportStatus())
    assert before["rsp"]["open"] is True and before["rsp"]["note"] == ""
    assert before["direct-ram"]["open"] is False and before["direct-ram"]["note"]
    ok(stopped("write-virtual", "--uncached", hex(pc.map.a), "text:counted"))
    after = ways()
    assert after["rsp"]["bytes_written"] == before["rsp"]["bytes_written"] + len("counted")
    assert after["rsp"]["calls"] > before["rsp"]["calls"]
    lines = ok(stopped("transports")).splitlines()
    assert len(lines) == len(after)
    assert lines[0].startswith("rsp open: ") and lines[0].endswith(" bytes written")
    closed = next(line for line in lines if line.startswith("direct-ram "))
    assert closed == f"direct-ram closed: 0 calls, 0 bytes read, 0 bytes written: {after['direct-ram']['note']}"
    ok(stopped("go"))
    ok(stopped("transports"))  # no question to the target: it need not be halted
    assert pc.guest.running()


def test_flush(pc, stopped):
    ok(stopped("flush"))


def test_while_it_runs(pc, run):
    done = run("write-virtual", hex(pc.map.a), "00")
    assert done.returncode == 1 and "E_UNEXPECTED" in done.stdout + done.stderr and "running" in done.stdout + done.stderr
    assert pc.guest.running()


@pytest.mark.parametrize("words", [
    [],
    ["nonsense"],
    ["write-virtual"],
    ["write-virtual", "0x1000"],
    ["write-virtual", "hello", "00"],
    ["write-virtual", "0x1000", "0"],
    ["write-virtual", "0x1000", "xyz"],
    ["write-virtual", "0x1000", "u16:65536"],
    ["write-virtual", "0x1000", "u32:-1"],
    ["write-virtual", "0x10000000000000000", "00"],
    ["write-virtual", "-1", "00"],
    ["read-virtual", "0x1000"],
    ["read-virtual", "0x1000", "many"],
    ["read-virtual", "0x1000", "-5"],
    ["write-physical", "--type", "odd", "0x1000", "00"],
    ["write-io", "0x80", "1"],
    ["write-io", "--size", "3", "0x80", "1"],
    ["write-io", "--size", "1", "0x80", "256"],
    ["write-io", "--size", "1", "--interface", "none", "0x80", "1"],
    ["--cpu", "x", "status"],
    ["status", "more"],
    ["--unknown", "status"],
])
def test_wrong_usage(pc, run, words):
    done = run(*words)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "spacebridge" in done.stderr and not done.stdout


def test_no_connection(directory):
    for endpoint in (f"unix:{directory}/nobody.sock", "tcp:127.0.0.1:1"):
        done = cli("status", connect=endpoint)
        assert done.returncode == 4 and endpoint in done.stderr
    done = cli("status", env={"SPACEBRIDGE": f"unix:{directory}/other.sock"})
    assert done.returncode == 4 and "other.sock" in done.stderr


def test_default_endpoints(pc):
    assert cli("status", env={"SPACEBRIDGE": pc.daemon.rpc}).returncode == 0
    environment = {"XDG_RUNTIME_DIR": pc.daemon.directory}
    os.environ.pop("SPACEBRIDGE", None)
    assert cli("status", env=environment).returncode == 0


def test_help_and_version():
    done = cli("--help")
    assert done.returncode == 0 and "write-virtual" in done.stdout
    assert cli("--version").stdout.startswith("spacebridge ")


def test_disk_full(pc, stopped):
    """What was read and could not be kept is a failure, and says so."""
    done = stopped("read-virtual", hex(pc.map.bulk), str(1 << 20), "-o", "/dev/full")
    assert done.returncode == 1 and "/dev/full" in done.stderr
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [program("spacebridge"), "--connect", pc.daemon.rpc, "read-virtual", hex(pc.map.a), "16"],
            stdout=full, stderr=subprocess.PIPE, env={**os.environ, **SANITIZER_OPTIONS}, check=False,
        )
    assert done.returncode == 1 and done.stderr


def test_input_file_that_is_not_there(pc, stopped):
    done = stopped("write-virtual", hex(pc.map.a), "@/nonexistent")
    assert done.returncode == 1 and "/nonexistent" in done.stderr
    assert pc.guest.physical(pc.map.a_physical, 1) == b"\0"


def test_output_file_that_cannot_be(pc, stopped, directory):
    done = stopped("read-virtual", hex(pc.map.a), "16", "-o", os.path.join(directory, "no", "such"))
    assert done.returncode in (1, 2) and "such" in done.stderr


def test_several_megabytes(pc, stopped, directory):
    data = os.urandom(3 << 20)
    path = os.path.join(directory, "big")
    with open(path, "wb") as file:
        file.write(data)
    done = stopped("write-virtual", hex(pc.map.bulk), f"@{path}")
    assert ok(done).strip() == f"S_OK: {len(data)} of {len(data)} bytes written"
    assert not done.stderr  # no terminal, no progress
    ok(stopped("read-virtual", hex(pc.map.bulk), len(data), "-o", path + ".back"))
    with open(path + ".back", "rb") as file:
        assert file.read() == data
    ok(stopped("go"))
    assert pc.guest.holds(pc.map.bulk, data)


def test_progress_on_a_terminal(pc, stopped, directory):
    """A write of over 1 MiB tells somebody who watches how far it is."""
    import pty

    path = os.path.join(directory, "big")
    with open(path, "wb") as file:
        file.write(bytes(2 << 20))
    master, slave = pty.openpty()
    watched = processes.Lines(master)
    child = subprocess.Popen(
        [program("spacebridge"), "--connect", pc.daemon.rpc, "write-virtual", hex(pc.map.bulk), f"@{path}"],
        stdin=slave, stdout=subprocess.PIPE, stderr=slave, env={**os.environ, **SANITIZER_OPTIONS},
    )
    os.close(slave)
    out, _ = child.communicate(timeout=processes.LIMIT)
    watched.join()
    os.close(master)
    assert child.returncode == 0 and b"S_OK" in out
    assert b"%" in watched.data or b"MiB" in watched.data


def has_socket(pid):
    """A descriptor that is closed between the two looks is none."""
    try:
        return any(
            os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket") for fd in os.listdir(f"/proc/{pid}/fd")
        )
    except FileNotFoundError:
        return False


def test_daemon_that_is_killed(bridge):
    """The command learns that its daemon is gone, and does not hang."""
    pc = bridge("x86_64")
    ok(cli("halt", connect=pc.daemon.rpc))
    ok(cli("go", connect=pc.daemon.rpc))
    waiting = subprocess.Popen(
        [program("spacebridge"), "--connect", pc.daemon.rpc, "wait", "60"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **SANITIZER_OPTIONS},
    )
    processes.until(lambda: has_socket(waiting.pid), "the command to connect")
    pc.daemon.child.kill()
    out, err = waiting.communicate(timeout=processes.LIMIT)
    assert waiting.returncode in (1, 4), (out, err)
    assert err
    assert PAGE
