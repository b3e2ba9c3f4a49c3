"""The daemon itself: options, endpoints, guests of its own, its end."""

import os
import re
import signal
import socket
import subprocess

import pytest
from harness import processes, versions
from harness.daemon import Daemon, SANITIZER_OPTIONS, program
from harness.guest import TOP, Guest
from harness.processes import LIMIT, SANITIZER
from harness.rpc import BREAK, GO, Rpc, S_OK, address_of, connect
from harness.stub import Stub


def run(*words, directory, env=None):
    """The daemon with options that end it by themselves."""
    done = subprocess.run(
        [program("spacebridged"), *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env={**os.environ, **SANITIZER_OPTIONS, "XDG_RUNTIME_DIR": directory, **(env or {})},
        check=False,
    )
    assert not SANITIZER.search(done.stderr), done.stderr
    return done


@pytest.fixture
def stub(cleanup):
    """It outlives the daemon, which writes to it what is dirty when it ends."""
    made = Stub()
    cleanup.append(made)
    return made


def test_help_and_version(directory):
    done = run("--help", directory=directory)
    assert done.returncode == 0 and not done.stderr
    for option in ("--gdb", "--qmp", "--listen", "--stub", "--attach", "--cache", "--cache-size", "--timeout",
                   "--pipeline", "--busy-poll", "--max-connections", "--log-level", "--log-format", "--config", "--allow-remote"):
        assert option in done.stdout
    with open(os.path.join(TOP, "docs", "man", "spacebridged.8"), encoding="utf-8") as file:
        manual = file.read()
    for option in re.findall(r"^  --([a-z-]+)", done.stdout, re.MULTILINE):
        assert re.search(rf"^\.It Fl -{option}\b", manual, re.MULTILINE), f"the manual says nothing of --{option}"
    done = run("--version", directory=directory)
    assert done.returncode == 0 and re.search(r"spacebridged.* \d+\.\d+", done.stdout)


@pytest.mark.parametrize("words", [
    [],
    ["--nonsense"],
    ["--gdb"],
    ["--gdb", "nonsense"],
    ["--gdb", "tcp:127.0.0.1"],
    ["--gdb", "tcp:127.0.0.1:99999"],
    ["--gdb", "unix:"],
    ["--gdb", "unix:/x", "--cache", "sideways"],
    ["--gdb", "unix:/x", "--cache-size", "-1"],
    ["--gdb", "unix:/x", "--timeout", "soon"],
    ["--gdb", "unix:/x", "--pipeline", "0"],
    ["--gdb", "unix:/x", "--busy-poll", "10001"],
    ["--gdb", "unix:/x", "--busy-poll", "-1"],
    ["--gdb", "unix:/x", "--max-connections", "0"],
    ["--gdb", "unix:/x", "--attach", "maybe"],
    ["--gdb", "unix:/x", "--log-level", "loud"],
    ["--gdb", "unix:/x", "--log-format", "xml"],
    ["--gdb", "unix:/x", "--config", "/nonexistent/file"],
    ["--gdb", "unix:/x", "operand"],
    ["--gdb", "unix:/x", "--listen", "tcp:0.0.0.0:0"],
    ["--gdb", "unix:/x", "--listen", "tcp:[::]:0"],
    ["--gdb", "unix:/" + "x" * 200],
])
def test_wrong_usage(directory, words):
    done = run(*words, directory=directory)
    assert done.returncode == 2, done.stderr
    assert "spacebridged" in done.stderr and not done.stdout
    assert not os.path.exists(os.path.join(directory, "spacebridge", "rpc.sock"))


@pytest.mark.parametrize("endpoint", ["unix:{}/nobody.sock", "tcp:127.0.0.1:{}"])
def test_unreachable_target(directory, endpoint):
    with socket.socket() as taken:  # bound, but not listening: refused
        taken.bind(("127.0.0.1", 0))
        where = endpoint.format(directory if "unix" in endpoint else taken.getsockname()[1])
        done = run("--gdb", where, "--timeout", "2", directory=directory)
    assert done.returncode == 1
    assert where in done.stderr
    assert not done.stdout
    assert os.listdir(os.path.join(directory, "spacebridge")) == []


def test_default_endpoint_and_its_permissions(new_daemon, stub):
    daemon = new_daemon(gdb=stub.gdb)
    path = os.path.join(daemon.directory, "spacebridge", "rpc.sock")
    assert daemon.rpc == f"unix:{path}"
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    with daemon.connect() as rpc:
        assert rpc.Hello("test", 1)[1]["page_size"] == 4096


def test_busy_endpoint(new_daemon, stub, directory):
    first = new_daemon(gdb=stub.gdb)
    for endpoint in (first.rpc, None):
        if endpoint is None:
            taken = socket.socket()
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            endpoint = f"tcp:127.0.0.1:{taken.getsockname()[1]}"
        done = run("--gdb", stub.gdb, "--listen", endpoint, directory=directory)
        assert done.returncode == 1 and endpoint in done.stderr
    taken.close()
    with first.connect() as rpc:  # undisturbed
        rpc.GetExecutionStatus()


def test_stale_socket_is_replaced(new_daemon, stub, directory):
    path = os.path.join(directory, "stale.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    daemon = new_daemon(gdb=stub.gdb, listen=[f"unix:{path}"])
    with daemon.connect() as rpc:
        rpc.GetExecutionStatus()


def test_a_file_is_not_replaced(stub, directory):
    path = os.path.join(directory, "precious")
    with open(path, "w", encoding="utf-8") as file:
        file.write("data")
    done = run("--gdb", stub.gdb, "--listen", f"unix:{path}", directory=directory)
    assert done.returncode == 1
    with open(path, encoding="utf-8") as file:
        assert file.read() == "data"


def test_many_endpoints(new_daemon, stub, directory):
    listen = [f"unix:{directory}/a.sock", f"unix:{directory}/b.sock", "tcp:127.0.0.1:0", "tcp:[::1]:0"]
    daemon = new_daemon(gdb=stub.gdb, listen=listen)
    served = daemon.endpoints["rpc"]
    assert served[:2] == listen[:2] and len(served) == 4
    assert served[3].startswith("tcp:[::1]:") and not served[3].endswith(":0")
    for endpoint in served:
        with Rpc(endpoint) as rpc:
            assert rpc.WriteVirtual(stub.base, b"all") == 3


def test_allow_remote(new_daemon, stub):
    daemon = new_daemon(gdb=stub.gdb, listen=["tcp:0.0.0.0:0"], options=["--allow-remote"])
    port = address_of(daemon.rpc)[1][1]
    with Rpc(f"tcp:127.0.0.1:{port}") as rpc:
        rpc.GetExecutionStatus()


def test_max_connections(new_daemon, stub):
    """One too many is turned away; when one goes, there is room again."""
    daemon = new_daemon(gdb=stub.gdb, options=["--max-connections", "2"])
    first, second = daemon.connect(), daemon.connect()
    first.GetExecutionStatus()
    second.GetExecutionStatus()
    third = daemon.connect()
    try:
        third.socket.settimeout(1)
        turned_away = third.socket.recv(1) == b"" or True
    except (socket.timeout, OSError):
        turned_away = False
    third.close()
    second.close()

    def room():
        try:
            with daemon.connect() as rpc:
                return rpc.GetExecutionStatus()
        except (EOFError, OSError, KeyError):
            return None

    processes.until(room, "room for another connection")
    assert first.GetExecutionStatus() == BREAK
    first.close()
    assert turned_away or "connection" in daemon.log


def test_config_file(new_daemon, stub, directory):
    config = os.path.join(directory, "config")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"# a comment\ngdb = {stub.gdb}\ncache = off\nlisten = unix:{directory}/c.sock\ncache-size = 8192\n")
    daemon = new_daemon(options=["--config", config])
    assert daemon.rpc == f"unix:{directory}/c.sock"
    with daemon.connect() as rpc:
        assert rpc.GetCacheStatus()["policy"] == "off"
    daemon.stop()
    # the command line wins
    daemon = new_daemon(options=["--config", config, "--cache", "write-through"])
    with daemon.connect() as rpc:
        assert rpc.GetCacheStatus()["policy"] == "write-through"


@pytest.mark.parametrize("text, named", [
    ("gdb = unix:/x\ncahce = off\n", "cahce"),
    ("gdb = unix:/x\ncache = sideways\n", "sideways"),
    ("gdb unix:/x\n", "1"),
    ("gdb = unix:/x\ntimeout =\n", "timeout"),
])
def test_wrong_config_file(directory, text, named):
    config = os.path.join(directory, "config")
    with open(config, "w", encoding="utf-8") as file:
        file.write(text)
    done = run("--config", config, directory=directory)
    assert done.returncode == 2
    assert named in done.stderr and config in done.stderr


def test_log_as_json(new_daemon, stub):
    import json

    daemon = new_daemon(gdb=stub.gdb, options=["--log-format", "json"])
    with daemon.connect() as rpc:
        rpc.GetExecutionStatus()
    daemon.child.send(signal.SIGTERM)
    assert daemon.child.wait() == 0
    lines = [line for line in daemon.log.splitlines() if not line.startswith("==")]  # a sanitizer's own
    assert lines and all(isinstance(json.loads(line), dict) for line in lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ends_in_order(new_guest, new_daemon, number):
    """With connections open, one of them waiting, and dirty bytes in a view."""
    guest = new_guest("x86_64")
    daemon = new_daemon(guest)
    waiting, idle, dirty = daemon.connect(), daemon.connect(), daemon.connect()
    dirty.halt()
    dirty.WriteVirtual(guest.map.a, b"flushed at the end")
    waiting.post("GetExecutionStatus")
    daemon.stop(number)
    for connection in (waiting, idle, dirty):
        connection.wait_closed()
        connection.close()
    assert guest.running()
    assert guest.read(guest.map.a, 18) == b"flushed at the end"


def test_ends_while_one_waits_for_ever(new_guest, new_daemon):
    guest = new_guest("x86_64")
    daemon = new_daemon(guest)
    with daemon.connect() as rpc:
        rpc.post("WaitForEvent", 2**32 - 1)
        rpc.GetExecutionStatus  # the wait is under way when the next connection has its answer
        with daemon.connect() as other:
            other.GetExecutionStatus()
        daemon.stop()
        rpc.wait_closed()
    assert guest.running()


# a guest of its own


@pytest.fixture
def own(cleanup):
    def make(options=(), **guest_options):
        guest = Guest("x86_64", by_daemon=True, **guest_options)
        cleanup.append(guest)
        daemon = Daemon(command=guest.argv, options=options, ready=False)
        cleanup.append(daemon)
        guest.arrived()
        daemon.wait_ready()
        return guest, daemon

    return make


def child_of(daemon):
    return processes.children(daemon.child.pid)


def gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def test_starts_a_guest(own):
    guest, daemon = own()
    (pid,) = child_of(daemon)
    sockets = [word for word in open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0") if b"unix:" in word]
    directory = os.path.dirname(sockets[0].split(b":")[1].split(b",")[0])
    assert os.stat(directory).st_mode & 0o777 == 0o700
    assert guest.running()
    with daemon.connect() as rpc:
        rpc.halt()
        rpc.WriteVirtual(guest.map.a, b"my own guest")
        rpc.WriteIo(1, 0, 1, 0xE9, b"!")
        rpc.go()
        assert guest.read(guest.map.a, 12) == b"my own guest"
        guest.debugcon.wait(lambda data: True if data == b"!" else None)
    daemon.stop()
    assert gone(pid), "the guest outlives its daemon"
    assert not os.path.exists(directory)


def test_guest_starts_halted(own):
    guest, daemon = own(options=["--attach", "halt"], kernel_image=False)
    with daemon.connect() as rpc:
        assert rpc.GetExecutionStatus() == BREAK
        assert not guest.running()
        assert rpc.WritePhysical(0x1000, b"before its first instruction") == 28


@pytest.mark.parametrize("code, expected", [(0, 1), (21, 1)])
def test_guest_ends(own, code, expected):
    """isa-debug-exit gives QEMU an odd exit code: never 0."""
    guest, daemon = own()
    guest.ask(f"exit {code}")
    assert daemon.child.wait() == expected
    daemon.check_end(expected, expected)
    assert str(2 * code + 1) in daemon.log


def test_guest_ends_well(own):
    guest, daemon = own()
    guest.qmp_control.execute("quit")
    assert daemon.child.wait() == 0
    daemon.check_end(0)


def test_guest_is_killed(own):
    guest, daemon = own()
    with daemon.connect() as rpc:
        rpc.halt()
        rpc.WriteVirtual(guest.map.a, b"lost")
        (pid,) = child_of(daemon)
        os.kill(pid, signal.SIGKILL)
        code = daemon.child.wait()
        assert code == 1
        daemon.check_end(code, 1)
        rpc.wait_closed()
    assert "signal 9" in daemon.log.lower() or "killed" in daemon.log.lower()


def test_guest_ends_when_the_daemon_is_killed(own):
    _, daemon = own()
    (pid,) = child_of(daemon)
    daemon.child.kill()
    processes.until(lambda: gone(pid), "the guest to end")
    left = [name for name in os.listdir("/tmp") if name.startswith("spacebridge-")]
    for name in left:  # nobody was there to remove it
        path = os.path.join("/tmp", name)
        if os.path.isdir(path) and os.stat(path).st_uid == os.getuid():
            processes.remove(path)


@pytest.mark.parametrize("command", [["/nonexistent/qemu"], ["false"], ["qemu-system-x86_64", "-no-such-option"]])
def test_guest_that_does_not_start(directory, command):
    done = run("--timeout", "5", "--", *command, directory=directory)
    assert done.returncode == 1
    assert "guest" in done.stderr and not done.stdout
    assert os.listdir(os.path.join(directory, "spacebridge")) == []


def test_ready_means_ready(new_guest, new_daemon):
    guest = new_guest("x86_64")
    daemon = new_daemon(guest)
    with connect(daemon.rpc):
        pass
    with daemon.connect() as rpc:
        version, hello = rpc.Hello("test", 1)
        assert re.match(r"\d+\.\d+", version)
        assert hello["architecture"] == "i386:x86-64" and hello["processors"] == 2
        assert hello["pointer_size"] == 8 and hello["big_endian"] is False
        assert f"QEMU {versions.version(guest)} " in hello["upstream"]
        assert rpc.call("GetExecutionStatus") == (S_OK, [GO])


def test_sd_notify(new_guest, new_daemon, directory):
    """systemd is told when it is ready and when it stops."""
    guest = new_guest("x86_64")
    path = os.path.join(directory, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(LIMIT)
        daemon = new_daemon(guest, env={"NOTIFY_SOCKET": path})
        if b"libsystemd" not in open(f"/proc/{daemon.child.pid}/maps", "rb").read():
            pytest.skip("built without libsystemd")
        assert b"READY=1" in notify.recv(4096)
        daemon.stop()
        assert b"STOPPING=1" in notify.recv(4096)
