"""The daemon in front of targets, monitors, files and users that do it wrong: a stub and a monitor that follow a
script, a QEMU that is killed, frozen or busy, and what the system refuses. Nobody may be told what is not so, nobody
may be left waiting, and nothing may be left behind."""

import concurrent.futures
import contextlib
import fcntl
import os
import resource
import signal
import socket
import subprocess
import tempfile
import time

import pytest
from harness import processes
from harness.daemon import SANITIZER_OPTIONS, Daemon, cli, program
from harness.guest import Guest, kernel
from harness.monitor import Monitor
from harness.processes import LIMIT, SANITIZER, until
from harness.rpc import (
    BREAK,
    E_FAIL,
    E_NOTIMPL,
    E_UNEXPECTED,
    GO,
    READ_FAULT,
    S_OK,
    WRITE_FAULT,
    CallFailed,
    Rpc,
)
from harness.stub import CLOSE, SILENCE, Stub, packet

# Seconds after which the daemon may call a target lost here, and in which it must leave when asked to.
TIMEOUT, AT_ONCE = 1, 5.0


def refused(hresult, call, *params):
    with pytest.raises(CallFailed) as failure:
        call(*params)
    assert failure.value.hresult == hresult, failure.value
    return failure.value.message


def start(*words, env=None, **options):
    """The daemon run to its end."""
    with tempfile.TemporaryDirectory(prefix="sb-e2e-") as runtime:
        began = time.monotonic()
        done = subprocess.run(
            [program("spacebridged"), *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=LIMIT,
            env={**os.environ, **SANITIZER_OPTIONS, "XDG_RUNTIME_DIR": runtime, **(env or {})},
            check=False,
            **options,
        )
        done.seconds = time.monotonic() - began
        done.left = [name for _, _, names in os.walk(runtime) for name in names]
    assert not SANITIZER.search(done.stderr), done.stderr
    return done


def does_not_start(*words, says, timeout=TIMEOUT):
    """Exit 1, a message that names what it is about, nothing on standard output, no socket left."""
    done = start("--timeout", timeout, *words)
    assert done.returncode == 1, (done.returncode, done.stderr)
    for text in says:
        assert text in done.stderr, done.stderr
    assert not done.stdout and not done.left
    assert done.seconds < timeout + AT_ONCE
    return done


def side_by_side(cases, check):
    """check(*case) of each of {name: case}, at the same time: they wait most of it. All failures are told."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=12) as pool:
        running = {name: pool.submit(check, *case) for name, case in cases.items()}
    failures = {name: one.exception() for name, one in running.items() if one.exception() is not None}
    assert not failures, "\n".join(f"{name}: {error!r}" for name, error in failures.items())


@contextlib.contextmanager
def stubbed(misbehave=lambda request: None, **options):
    """A fake stub of its own, and a daemon in front of it that is soon out of patience."""
    stub = Stub()
    try:
        stub.misbehave = misbehave
        daemon = Daemon(gdb=stub.gdb, **{"options": ["--timeout", TIMEOUT], **options})
        try:
            yield stub, daemon
        finally:
            daemon.stop()
    finally:
        stub.stop()


@pytest.fixture
def stub(cleanup):
    made = Stub()
    cleanup.append(made)
    return made


@pytest.fixture
def monitor(cleanup, directory):
    made = Monitor(directory)
    cleanup.append(made)
    return made


@pytest.fixture
def attached(stub, new_daemon):
    """A daemon on the fake stub, soon out of patience."""
    return new_daemon(gdb=stub.gdb, options=["--timeout", TIMEOUT])


def works_again(rpc, stub):
    """The same connection is served again, once the daemon has attached again."""

    def back():
        try:
            return rpc.GetExecutionStatus()
        except CallFailed as error:
            assert error.hresult == E_UNEXPECTED, error
            return None

    until(back, "the daemon to attach again")
    stub.memory[:8] = b"restored"
    assert rpc.ReadVirtualUncached(stub.base, 8) == b"restored"
    assert rpc.WriteVirtualUncached(stub.base, b"and back") == 8
    assert stub.memory[:8] == b"and back"


def says(payload, reply):
    """A script: that reply to the requests that begin so, the right one to all others."""
    return lambda request: reply if request.startswith(payload) else None


# Stubs that are none, met at the start

FALSE_STUBS = {
    "an error to everything": (lambda request: b"+" + packet("E01"), "E01"),
    "nothing to everything": (lambda request: b"+" + packet(""), "''"),
    "an exit": (lambda request: b"+" + packet("W00"), "ended"),
    "garbage": (lambda request: b"garbage", "garbage"),
    "another protocol": (lambda request: b"HTTP/1.1 400 Bad Request\r\n\r\n", "garbage"),
    "a bad sum for ever": (lambda request: b"+$OK#00", ""),
    "silence": (lambda request: SILENCE, "is another client connected"),
    "an ack and silence": (lambda request: b"+", "timed out"),
    "notifications": (lambda request: b"%Stop:T05#" + b"%02x" % (sum(b"Stop:T05") & 255), "timed out"),
    "output": (lambda request: packet("O4141"), "timed out"),
    "a refusal to listen": (lambda request: b"-", "again"),
    "a close": (lambda request: CLOSE, "closed"),
    "a close in mid-packet": (lambda request: (b"+$Pack", CLOSE), "mid-packet"),
    "a packet that is too long": (lambda request: b"+$" + b"A" * ((1 << 20) + 1) + b"#00", "1048576"),
    "a run that is too long": (lambda request: b"+$0" + b"*~" * 12000 + b"#00", "1048576"),
    "a packet without end": (lambda request: b"+$" + b"A" * (5 << 20), "no answer"),
    "threads without end": (lambda request: b"+" + packet("m1") if b"ThreadInfo" in request else None, "threads"),
    "threads that are none": (says(b"qfThreadInfo", b"+" + packet("mzz")), "threads"),
    "a status that is none": (says(b"?", b"+" + packet("junk")), "junk"),
    "a target that has gone": (says(b"?", b"+" + packet("X0b")), "X0b"),
}


def test_start_on_a_false_stub():
    def check(misbehave, reason):
        stub = Stub()
        stub.misbehave = misbehave
        try:
            does_not_start("--gdb", stub.gdb, says=[stub.gdb, reason])
        finally:
            stub.stop()

    side_by_side(FALSE_STUBS, check)


ODD_ANSWERS = [
    (b"qSupported", "PacketSize=0"),
    (b"qSupported", "PacketSize=ffffffffffffffffff"),
    (b"qSupported", "PacketSize=;;=;QStartNoAckMode+garbage"),
    (b"qSupported", "E01"),
    (b"?", "T"),
    (b"?", "S0"),
    (b"?", "T05thread:ffffffffffffffffffff;swbreak:;;;" + "x" * 4000),
    (b"qfThreadInfo", "E01"),
    (b"vCont?", "vCont;"),
    (b"qqemu", "E01"),
]


def test_stub_that_is_odd_but_usable():
    """It is used as far as it can be, and believed no further."""

    def check(request, reply):
        data = bytes(range(256)) * 20
        with stubbed(says(request, b"+" + packet(reply))) as (stub, daemon), daemon.connect() as rpc:
            assert rpc.WriteVirtualUncached(stub.base, data) == len(data)
            assert rpc.ReadVirtual(stub.base, len(data)) == data == stub.memory[: len(data)]

    side_by_side({f"{request} {reply:.40}": (request, reply) for request, reply in ODD_ANSWERS}, check)


def test_description_without_end():
    """A target.xml that never ends is given up."""

    def script(request):
        if request.startswith(b"qSupported"):
            return b"+" + packet("PacketSize=1000;qXfer:features:read+")
        if request.startswith(b"qXfer"):
            return b"+" + packet("m" + "<architecture>" * 280)
        return None

    with stubbed(script) as (stub, daemon), daemon.connect() as rpc:
        assert rpc.WriteVirtual(stub.base, b"served") == 6
        assert sum(request.startswith(b"qXfer") for request in stub.requests) < 1000


# Monitors that are none

FALSE_MONITORS = {
    "silence": (SILENCE, "is another client connected"),
    "garbage": (b"SSH-2.0-OpenSSH\r\n", "no QMP"),
    "an array": (b"[]\n", "no object"),
    "an answer before its greeting": (b'{"return":{}}\n', "greeting"),
    "a close": (CLOSE, "closed"),
    "a close in mid-message": ((b'{"QMP":', CLOSE), "middle"),
    "a line without end": (b"x" * (17 << 20), "16777216"),
    "a deep line": (b"[" * 100000 + b"\n", ""),
    "many values": (b"[" + b"1," * 1000000 + b"1]\n", "65536"),
    "no text": (b'{"QMP":"\xff\xfe\x00"}\n', ""),
}


@contextlib.contextmanager
def monitored(misbehave=lambda request: None):
    """A fake stub and a fake monitor."""
    with tempfile.TemporaryDirectory(prefix="sb-e2e-") as directory:
        stub, monitor = Stub(), Monitor(directory)
        try:
            monitor.misbehave = misbehave
            yield stub, monitor
        finally:
            monitor.stop()
            stub.stop()


def test_start_on_a_false_monitor():
    def check(what, reason):
        # what is refused for what it is may take its time to arrive: some of it is long
        timeout = TIMEOUT if what is SILENCE else LIMIT / 2
        with monitored(lambda request: what if not request else None) as (stub, monitor):
            does_not_start("--gdb", stub.gdb, "--qmp", monitor.qmp, says=[monitor.qmp, reason], timeout=timeout)
            assert not stub.requests  # the monitor is asked first: a running guest was not disturbed

    side_by_side(FALSE_MONITORS, check)


FAILING_MONITORS = {
    "no negotiation": ("qmp_capabilities", b'{"error":{"class":"GenericError","desc":"no \\u0007 way"},"id":1}\n'),
    "no id": ("qmp_capabilities", b'{"return":{}}\n'),
    "another's id": ("qmp_capabilities", b'{"return":{},"id":99}\n'),
    "an error": ("query-status", b'{"error":{"class":"GenericError","desc":"no way"},"id":2}\n'),
    "a word": ("query-status", b'{"return":"running","id":2}\n'),
    "a number": ("query-status", b'{"return":{"running":1},"id":2}\n'),
    "silence": ("query-status", SILENCE),
    "a close": ("query-status", CLOSE),
}


def test_start_on_a_monitor_that_fails():
    """Whether the guest runs must be known before the stub's connect stops it."""

    def check(command, answer):
        with monitored(lambda request: answer if request.get("execute") == command else None) as (stub, monitor):
            done = does_not_start("--gdb", stub.gdb, "--qmp", monitor.qmp, says=[monitor.qmp])
            assert "\x07" not in done.stderr
            assert not stub.requests

    side_by_side(FAILING_MONITORS, check)


MAD_WORDS = {
    "no JSON": b"no JSON at all\r\n",
    "no event": b'{"event":7}\r\n',
    "an answer to nobody": b'{"return":{},"id":12345}\r\n',
    "a line without end": b"x" * (17 << 20),
}


def test_monitor_that_goes_mad():
    """What it says unasked ends it; the daemon comes back to both, and serves the same client."""

    def check(words):
        with monitored() as (stub, monitor):
            daemon = Daemon(gdb=stub.gdb, qmp=monitor.qmp)
            try:
                with daemon.connect() as rpc:
                    rpc.GetExecutionStatus()
                    greeted = monitor.commands.count("qmp_capabilities")
                    monitor.send(words)
                    until(lambda: monitor.commands.count("qmp_capabilities") > greeted, "the daemon to come back")
                    works_again(rpc, stub)
            finally:
                daemon.stop()

    side_by_side({name: (words,) for name, words in MAD_WORDS.items()}, check)


def test_monitor_that_floods(stub, monitor, new_daemon):
    """Events without end keep nobody from being served."""
    daemon = new_daemon(gdb=stub.gdb, qmp=monitor.qmp, options=["--log-level", "info"])
    with daemon.connect() as rpc:
        for _ in range(20):
            monitor.send(b'{"timestamp":{"seconds":1,"microseconds":1},"event":"RTC_CHANGE","data":{}}\r\n' * 500)
            assert rpc.WriteVirtual(stub.base, b"served") == 6
        assert rpc.FlushCache() == 6
    assert stub.memory[:6] == b"served"


def test_monitor_lost_with_dirty_bytes(stub, monitor, new_daemon):
    """The stub is there still: what can be written is written, not lost with the monitor."""
    daemon = new_daemon(gdb=stub.gdb, qmp=monitor.qmp, options=["--timeout", TIMEOUT])
    with daemon.connect() as rpc:
        rpc.WriteVirtual(stub.base, b"not lost")
        monitor.send(b"}\r\n")
        until(lambda: bytes(stub.memory[:8]) == b"not lost", "the bytes to arrive")
        daemon.child.wait_errors("the target is lost: the QMP monitor is gone")
        works_again(rpc, stub)
        assert not rpc.notifications and rpc.GetCacheStatus()["lost_bytes"] == 0


# A stub that turns bad: nothing is reported that was not so

BAD_WRITE_ANSWERS = {
    "an error": (b"+" + packet("E01"), WRITE_FAULT),
    "nothing": (b"+" + packet(""), E_NOTIMPL),
    "too much": (b"+" + packet("OKOK"), E_UNEXPECTED),
    "too little": (b"+" + packet("O"), E_UNEXPECTED),
    "an exit": (b"+" + packet("W00"), E_UNEXPECTED),
    "garbage": (b"+garbage", E_UNEXPECTED),
    "a wrong sum": (b"+$OK#00", E_UNEXPECTED),
    "a sum that is none": (b"+$OK#zz", E_UNEXPECTED),
    "half a packet": (b"+$O", E_UNEXPECTED),
    "two": (b"+" + packet("OK") + packet("OK"), E_UNEXPECTED),
    "noise": (b"+" + packet("O41") * 600000, E_UNEXPECTED),
    "silence": (SILENCE, E_UNEXPECTED),
    "a close": (CLOSE, E_UNEXPECTED),
    "a close in mid-packet": ((b"+$O", CLOSE), E_UNEXPECTED),
}


def test_write_that_is_answered_badly():
    """At once, or after some good answers: the count is what the stub acknowledged, whatever comes then, and what
    waits for a target that is lost is told as lost."""

    def check(reply, hresult, good):
        left = [good]

        def script(request):
            if not request.startswith(b"M"):
                return None
            left[0] -= 1
            if left[0] >= 0:
                return None
            if isinstance(reply, bytes) and packet("OK") in reply:
                stub._reply(request)  # what is acknowledged is done
            return reply

        with stubbed() as (stub, daemon), daemon.connect() as rpc, daemon.connect() as other:
            other.WriteVirtual(stub.base + 0x2000, b"another's")
            stub.misbehave = script
            try:
                count = rpc.WriteVirtualUncached(stub.base, b"\x5a" * 0x1000)
            except CallFailed as failure:
                assert failure.hresult == hresult, failure
                count = 0
            assert count == len(stub.memory) - len(stub.memory.lstrip(b"\x5a"))
            if hresult == E_UNEXPECTED:
                message = other.wait_notification("FlushFailed")[1]
                assert f"{stub.base + 0x2000:x}" in message and "9 " in message
            stub.misbehave = lambda request: None
            if hresult != E_UNEXPECTED:
                assert other.FlushCache() == 9
            elif reply in (CLOSE, SILENCE):
                works_again(rpc, stub)

    cases = {}
    for name, (reply, hresult) in BAD_WRITE_ANSWERS.items():
        cases[name] = (reply, hresult, 0)
        cases[name + ", later"] = (reply, hresult, 3)
    side_by_side(cases, check)


BAD_READ_ANSWERS = {
    "E01": READ_FAULT,
    "E.no": READ_FAULT,
    "": E_NOTIMPL,
    "1": E_UNEXPECTED,
    "zzzz": E_UNEXPECTED,
    "OK": E_UNEXPECTED,
    "41" * 5: E_UNEXPECTED,
    "41" * 100000: E_UNEXPECTED,
    "T05": E_UNEXPECTED,
}


def test_read_that_is_answered_badly():
    """Four bytes were asked for: nothing is made up."""

    def check(reply, hresult):
        with stubbed(says(b"m", b"+" + packet(reply))) as (stub, daemon), daemon.connect() as rpc:
            refused(hresult, rpc.ReadVirtualUncached, stub.base, 4)
            stub.misbehave = lambda request: None
            if hresult == E_UNEXPECTED:
                works_again(rpc, stub)
            else:
                assert rpc.ReadVirtualUncached(stub.base + 0x1000, 4) == bytes(4)

    side_by_side({reply[:12]: (reply, hresult) for reply, hresult in BAD_READ_ANSWERS.items()}, check)


def test_read_that_is_answered_short(stub, attached):
    """Fewer bytes than asked for, but right ones: the rest is asked for, each byte once."""
    stub.memory[:64] = bytes(range(64))

    def script(request):
        if request.startswith(b"m"):
            address = int(request[1:].split(b",")[0], 16) - stub.base
            return b"+" + packet(stub.memory[address : address + 1].hex())
        return None

    stub.misbehave = script
    with attached.connect() as rpc:
        assert rpc.ReadVirtualUncached(stub.base, 64) == bytes(range(64))


def test_resume_that_is_never_taken(stub, attached):
    """A target lost while it resumes, and lost again while the next resume waits: both callers learn it."""
    with attached.connect() as rpc, attached.connect() as other:
        stub.misbehave = lambda request: SILENCE if request[:1] in b"cv" else None
        rpc_go = rpc.post("SetExecutionStatus", GO)
        with pytest.raises(CallFailed):
            rpc.answer(rpc_go)
        stub.misbehave = lambda request: None
        works_again(rpc, stub)
        reading = [request for request in stub.requests if request.startswith(b"m")]
        stub.misbehave = lambda request: SILENCE
        waiting = other.post("ReadVirtualUncached", stub.base, 4)
        until(lambda: len([r for r in stub.requests if r.startswith(b"m")]) > len(reading), "the read to be sent")
        resume = rpc.post("SetExecutionStatus", GO)
        for connection, call in ((other, waiting), (rpc, resume)):
            with pytest.raises(CallFailed) as failure:
                connection.answer(call)
            assert failure.value.hresult == E_UNEXPECTED


def test_resume_that_is_refused(stub, attached):
    with attached.connect() as rpc:
        stub.misbehave = lambda request: b"+" + packet("E22") if request[:1] in b"cv" else None
        rpc.WriteVirtual(stub.base, b"flushed before")
        with contextlib.suppress(CallFailed):
            rpc.SetExecutionStatus(GO)
        assert stub.memory[:14] == b"flushed before"
        until(lambda: rpc.GetExecutionStatus() == BREAK, "the daemon to see that it is halted")
        works_again(rpc, stub)


def test_target_that_never_halts(stub, attached):
    """The interrupt is not heard: lost after the time-out, and the one who waits is told."""
    with attached.connect() as rpc, attached.connect() as waiting:
        stub.misbehave = lambda request: b"+" if request[:1] in b"c" else None
        rpc.SetExecutionStatus(GO)
        wait = waiting.post("WaitForEvent", 2**32 - 1)
        rpc.SetInterrupt()
        with pytest.raises(CallFailed) as failure:
            waiting.answer(wait)
        assert failure.value.hresult == E_UNEXPECTED
        works_again(rpc, stub)


def test_flush_that_is_refused(stub, attached):
    """The answer to the call that caused it names the first address and the count; what was written is written."""
    with attached.connect() as rpc:
        rpc.WriteVirtual(stub.base + 0x100, b"a" * 0x10)
        rpc.WriteVirtual(stub.base + 0x1100, b"b" * 0x10)
        rpc.WriteVirtual(stub.base + 0x2100, b"c" * 0x10)
        bad = f"M{stub.base + 0x1100:x}".encode()
        stub.misbehave = says(bad, b"+" + packet("E0e"))
        message = refused(E_FAIL, rpc.FlushCache)
        assert f"{stub.base + 0x1100:x}" in message and "16" in message
        stub.misbehave = lambda request: None
        assert stub.memory[0x100:0x110] == b"a" * 0x10 and stub.memory[0x2100:0x2110] == b"c" * 0x10
        assert stub.memory[0x1100:0x1110] == bytes(0x10)
        assert rpc.FlushCache() == 0


def test_client_gone_when_its_flush_is_refused(stub, attached):
    """Nobody is there to be told: the log is."""
    with attached.connect() as rpc:
        rpc.WriteVirtual(stub.base + 0x234, b"sixteen bytes it")
        stub.misbehave = says(b"M", b"+" + packet("E0e"))
    attached.child.wait_errors(rf"16 dirty bytes.*{stub.base + 0x234:x}")


# Endpoints

@pytest.mark.parametrize("words, named", [
    (["--gdb", "unix:{}/nobody"], "nobody"),
    (["--gdb", "unix:{}/file"], "file"),
    (["--gdb", "unix:{}"], "unix:"),
    (["--gdb", "tcp:nowhere.invalid:1"], "nowhere.invalid"),
    (["--gdb", "GDB", "--qmp", "unix:{}/nobody"], "nobody"),
    (["--gdb", "GDB", "--qmp", "GDB"], "GDB"),
    (["--gdb", "GDB", "--listen", "unix:{}/file"], "file"),
    (["--gdb", "GDB", "--listen", "unix:{}/link"], "link"),
    (["--gdb", "GDB", "--listen", "unix:{}"], "unix:"),
    (["--gdb", "GDB", "--listen", "unix:{}/file/sock"], "sock"),
    (["--gdb", "GDB", "--listen", "unix:{}/no/such/sock"], "sock"),
    (["--gdb", "GDB", "--listen", "unix:{}/new", "--listen", "unix:{}/new"], "in use"),
    (["--gdb", "GDB", "--listen", "unix:{}/new", "--listen", "GDB"], "in use"),
    (["--gdb", "GDB", "--listen", "unix:{}/new", "--listen", "tcp:192.0.2.1:0", "--allow-remote"], "192.0.2.1"),
])
def test_wrong_endpoints(stub, directory, words, named):
    precious = os.path.join(directory, "file")
    with open(precious, "w", encoding="ascii") as file:
        file.write("data")
    os.symlink(precious, os.path.join(directory, "link"))
    words = [stub.gdb if word == "GDB" else word.format(directory) for word in words]
    does_not_start(*words, says=[stub.gdb if named == "GDB" else named])
    assert sorted(os.listdir(directory)) == ["file", "link"]
    with open(precious, encoding="ascii") as file:
        assert file.read() == "data"


def test_socket_file_that_is_anothers_by_now(stub, new_daemon, directory):
    """Its file was removed, and another daemon listens at the same path: that one keeps its file."""
    path = os.path.join(directory, "rpc.sock")
    first = new_daemon(gdb=stub.gdb, listen=[f"unix:{path}"])
    os.unlink(path)
    second_stub = Stub()
    try:
        second = new_daemon(gdb=second_stub.gdb, listen=[f"unix:{path}"])
        first.child.send(signal.SIGTERM)
        assert first.child.wait() == 0
        with second.connect() as rpc:
            assert rpc.GetExecutionStatus() == BREAK
        second.stop()
    finally:
        second_stub.stop()
    assert not os.path.exists(path)


def test_runtime_directory_that_cannot_be(stub):
    done = start("--gdb", stub.gdb, "--timeout", TIMEOUT, env={"XDG_RUNTIME_DIR": "/dev/null"})
    assert done.returncode == 1 and "/dev/null" in done.stderr and not done.stdout


def test_busy_stub_and_busy_monitor(new_guest):
    """Each serves one: who comes second is told what may be the matter, the first one works on undisturbed."""
    guest = new_guest("x86_64")
    first = Daemon(guest)
    try:
        with first.connect() as rpc:
            rpc.halt()
            rpc.WriteVirtual(guest.map.a, b"undisturbed")
            does_not_start("--gdb", guest.gdb, says=[guest.gdb, "another client"])
            does_not_start("--gdb", guest.gdb, "--qmp", guest.qmp, says=[guest.qmp, "another client"])
            assert rpc.FlushCache() == 11
            assert not guest.running() and not rpc.notifications
            rpc.go()
            assert guest.read(guest.map.a, 11) == b"undisturbed"
    finally:
        first.stop()
    assert guest.child.running()


# Asked to leave at a bad moment

def leaves(daemon, number=signal.SIGTERM, code=0, within=AT_ONCE):
    began = time.monotonic()
    daemon.child.send(number)
    assert daemon.child.wait() == code, daemon.log[-2000:]
    assert time.monotonic() - began < within, daemon.log[-2000:]
    daemon.check_end(code, code)
    left = [name for _, _, names in os.walk(daemon.directory) for name in names]
    assert left == ["spacebridged.stderr"]


def full_listener(directory):
    """Accepts nobody, and nobody more fits in its queue."""
    listener = socket.socket(socket.AF_INET)
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(4):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(listener.getsockname())
        waiting.append(one)
    assert directory
    return f"tcp:127.0.0.1:{listener.getsockname()[1]}", [listener, *waiting]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_leaves_while_the_stub_is_silent(stub, new_daemon, number):
    stub.misbehave = lambda request: SILENCE
    daemon = new_daemon(gdb=stub.gdb, ready=False, options=["--timeout", 600])
    until(lambda: stub.requests, "the daemon to ask")
    leaves(daemon, number)
    assert not daemon.child.out.data


def test_leaves_while_the_monitor_is_silent(stub, monitor, new_daemon):
    asked = []
    monitor.misbehave = lambda request: asked.append(request) or SILENCE
    daemon = new_daemon(gdb=stub.gdb, qmp=monitor.qmp, ready=False, options=["--timeout", 600])
    until(lambda: asked, "the daemon to connect")
    leaves(daemon)
    monitor.misbehave = lambda request: SILENCE if request.get("execute") == "query-status" else None
    daemon = new_daemon(gdb=stub.gdb, qmp=monitor.qmp, ready=False, options=["--timeout", 600])
    until(lambda: "query-status" in monitor.commands, "the daemon to ask")
    leaves(daemon)


def connects(pid):
    """Is one of its TCP sockets waiting for the other end?"""
    files = f"/proc/{pid}/fd"
    sockets = {os.readlink(os.path.join(files, name)) for name in os.listdir(files)}
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    return any(row[3] == "02" and f"socket:[{row[9]}]" in sockets for row in rows)


@pytest.mark.parametrize("which", ["gdb", "qmp"])
def test_leaves_while_it_connects(stub, new_daemon, directory, which):
    endpoint, sockets = full_listener(directory)
    try:
        ends = {"gdb": stub.gdb, which: endpoint}
        daemon = new_daemon(ready=False, options=["--timeout", 600], **ends)
        until(lambda: connects(daemon.child.pid), "the daemon to connect")
        leaves(daemon)
    finally:
        for one in sockets:
            one.close()


def test_leaves_while_it_tries_to_come_back(stub, new_daemon):
    daemon = new_daemon(gdb=stub.gdb, options=["--timeout", 600])
    stub.misbehave = lambda request: SILENCE
    asked = len(stub.requests)
    stub.drop()
    until(lambda: len(stub.requests) > asked, "the daemon to come back")
    leaves(daemon)


def script(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def test_leaves_while_its_guest_does_not_come_up(new_daemon, directory):
    guest = script(directory, "guest", "exec sleep 600\n")
    daemon = new_daemon(command=[guest], ready=False, options=["--timeout", 600])
    daemon.child.wait_errors("started")
    leaves(daemon)


def test_second_signal(stub, new_daemon):
    """Orderly takes too long for somebody: it leaves at once, and says that it has not flushed."""
    daemon = new_daemon(gdb=stub.gdb, options=["--timeout", 600])
    with daemon.connect() as rpc:
        rpc.WriteVirtual(stub.base, b"never flushed")
        stub.misbehave = lambda request: SILENCE
        asked = len(stub.requests)
        daemon.child.send(signal.SIGTERM)
        until(lambda: len(stub.requests) > asked, "the flush to hang")
        daemon.child.send(signal.SIGTERM)
        assert daemon.child.wait() == 1
        daemon.check_end(1, 1)
        assert "unflushed" in daemon.log
        rpc.wait_closed()


def test_leaving_loses_what_it_must_and_says_so(stub, attached):
    """The target is silent when the daemon is asked to leave: bounded, the loss is logged, the exit code is 1."""
    with attached.connect() as rpc:
        rpc.WriteVirtual(stub.base + 0x40, b"eleven more")
        stub.misbehave = lambda request: SILENCE
        attached.child.send(signal.SIGTERM)
        assert attached.child.wait() == 1, attached.log
        attached.check_end(1, 1)
        assert f"{stub.base + 0x40:x}" in attached.log and "11 dirty bytes" in attached.log


def test_leaving_with_dirty_views(new_guest, new_daemon):
    """Several views, one of them of a client that never reads: all are in the guest afterwards, which runs again."""
    guest = new_guest("x86_64")
    daemon = new_daemon(guest)
    first, second, greedy = daemon.connect(), daemon.connect(), daemon.connect()
    first.halt()
    first.WriteVirtual(guest.map.a, b"first")
    second.WriteVirtual(guest.map.b, b"second")
    greedy.WriteVirtual(guest.map.c, b"greedy")
    for _ in range(40):
        greedy.post("ReadVirtualUncached", guest.map.bulk, 1 << 20)
    daemon.child.send(signal.SIGINT)
    assert daemon.child.wait() == 0, daemon.log[-3000:]
    daemon.check_end(0)
    for connection in (first, second, greedy):
        connection.close()
    assert guest.running()
    for page, data in ((guest.map.a, b"first"), (guest.map.b, b"second"), (guest.map.c, b"greedy")):
        assert guest.read(page, len(data)) == data


# A real QEMU that dies, and one that hangs

def test_qemu_dies_and_comes_back(bridge):
    """Dirty bytes are lost: every caller learns it, the log says which, and the same client is served on by the
    QEMU that takes its place."""
    pc = bridge("x86_64", options=["--timeout", 5])
    rpc, other, clean = pc.connect(), pc.connect(), pc.connect()
    rpc.halt()
    rpc.WriteVirtual(pc.map.a + 0x30, b"thirty-one bytes that are lost!")
    rpc.WriteVirtual(pc.map.b, b"and five more, counted too")
    other.WriteVirtual(pc.map.c + 7, b"other")
    pc.guest.kill()
    for connection, first, count in ((rpc, pc.map.a + 0x30, 57), (other, pc.map.c + 7, 5)):
        hresult, message = connection.wait_notification("FlushFailed")
        assert hresult & 0xFFFFFFFF == E_UNEXPECTED and f"{first:x}" in message and f" {count} " in message, message
        pc.daemon.child.wait_errors(rf" {count} dirty bytes?.*{first:x}")
        assert connection.GetCacheStatus()["lost_bytes"] == count
    for connection in (rpc, other, clean):
        refused(E_UNEXPECTED, connection.WriteVirtual, pc.map.a, b"no")
        refused(E_UNEXPECTED, connection.WaitForEvent, 2**32 - 1)
        refused(E_UNEXPECTED, connection.GetExecutionStatus)
        refused(E_UNEXPECTED, connection.SetExecutionStatus, GO)
        refused(E_UNEXPECTED, connection.SetInterrupt)
    assert not clean.notifications
    pc.guest.launch()

    def back():
        with contextlib.suppress(CallFailed):
            return clean.GetExecutionStatus()

    assert until(back, "the daemon to attach again") == GO
    clean.halt()
    assert rpc.ReadVirtual(pc.map.a + 0x30, 31) == bytes(31)  # neither what was lost nor what was cached
    assert rpc.WriteVirtual(pc.map.a, b"again") == 5
    clean.go()
    assert pc.guest.read(pc.map.a, 5) == b"again"
    for connection in (rpc, other, clean):
        assert not connection.notifications


def test_qemu_dies_under_everything(bridge):
    """One waits for ever, one resumes, one reads in bulk, one uses ports: each gets an answer, and never a wrong one."""
    pc = bridge("x86_64")
    waiting, reading, writing, ports = (pc.connect() for _ in range(4))
    waiting.halt()
    wait = None
    reads = [reading.post("ReadVirtualUncached", pc.map.bulk, 1 << 18) for _ in range(40)]
    writes = [writing.post("WriteVirtualUncached", pc.map.bulk, b"\x11" * (1 << 18)) for _ in range(40)]
    port_calls = [ports.post("ReadIo", 1, 0, 1, 0x70, 1) for _ in range(40)]
    reading.answer(reads[0])
    pc.guest.kill()
    wait = waiting.post("WaitForEvent", 2**32 - 1)
    for connection, calls in ((reading, reads[1:]), (writing, writes), (ports, port_calls), (waiting, [wait])):
        for call in calls:
            try:
                answer = connection.answer(call)
                assert answer.hresult == S_OK
            except CallFailed as failure:
                assert failure.hresult == E_UNEXPECTED, failure
    assert pc.daemon.running()


def test_qemu_hangs(bridge):
    """Stopped by a signal for longer than --timeout: lost, then found again, with the client that was there."""

    def check(halted):
        pc = bridge("x86_64", options=["--timeout", TIMEOUT])
        rpc, other = pc.connect(), pc.connect()
        if halted:
            rpc.halt()
            other.WriteVirtual(pc.map.b + 1, b"lost")
        pc.guest.child.send(signal.SIGSTOP)
        try:
            began = time.monotonic()
            if halted:
                refused(E_UNEXPECTED, rpc.ReadVirtualUncached, pc.map.a, 4)
                assert f"{pc.map.b + 1:x}" in other.wait_notification("FlushFailed")[1]
            else:
                refused(E_UNEXPECTED, rpc.ReadIo, 1, 0, 1, 0x70, 1)
            assert time.monotonic() - began < 2 * TIMEOUT + AT_ONCE
            refused(E_UNEXPECTED, other.GetExecutionStatus)
        finally:
            pc.guest.child.send(signal.SIGCONT)

        def back():
            with contextlib.suppress(CallFailed):
                rpc.GetExecutionStatus()
                return True

        until(back, "the daemon to attach again")
        rpc.halt()
        assert rpc.WriteVirtual(pc.map.a, b"again") == 5
        rpc.go()
        assert pc.guest.read(pc.map.a, 5) == b"again"
        assert pc.guest.read(pc.map.b, 5) == bytes(5)

    def check_sigterm():
        pc = bridge("x86_64", options=["--timeout", TIMEOUT])
        rpc = pc.connect()
        rpc.halt()
        pc.guest.child.send(signal.SIGSTOP)
        try:
            pc.daemon.child.send(signal.SIGTERM)
            began = time.monotonic()
            pc.daemon.child.wait()
            assert time.monotonic() - began < 4 * TIMEOUT + AT_ONCE
            pc.daemon.child.check_sanitizers()
        finally:
            pc.guest.child.send(signal.SIGCONT)

    kernel("x86_64")  # built once, not by two at the same time
    side_by_side({"halted": (check, True), "running": (check, False), "leaving": (check_sigterm,)}, lambda do, *a: do(*a))


# A guest of its own

SHORT_LIVES = {
    "ends well": ("exit 0\n", "exit code 0"),
    "ends badly": ("exit 7\n", "exit code 7"),
    "crashes": ("kill -SEGV $$\n", "signal 11"),
    "says nothing": ("exec sleep 600\n", "opened no sockets"),
    "says nothing and stays": ("trap '' TERM; exec sleep 600\n", "opened no sockets"),
}


def test_guest_that_does_not_come_up():
    def check(text, reason):
        with tempfile.TemporaryDirectory(prefix="sb-e2e-") as directory:
            done = start("--timeout", "0.5", "--", script(directory, "guest", text))
        assert done.returncode == 1 and reason in done.stderr and not done.stdout and not done.left, done.stderr

    side_by_side(SHORT_LIVES, check)


@pytest.mark.parametrize("command, reason", [
    (["/nonexistent/qemu"], "No such file"),
    (["/"], "ermission"),
    (["/dev/null"], "ermission"),
    (["qemu-system-x86_64", "-no-such-option"], "exit code 1"),
    (["qemu-system-x86_64", "-display", "none", "-gdb", "unix:/nonexistent/x,server=on"], "exit code 1"),
])
def test_guest_that_cannot_start(command, reason):
    done = start("--timeout", 5, "--", *command)
    assert done.returncode == 1 and reason in done.stderr and not done.stdout and not done.left, done.stderr


@pytest.fixture
def own(cleanup):
    guest = Guest("x86_64", by_daemon=True)
    cleanup.append(guest)
    daemon = Daemon(command=guest.argv, ready=False)
    cleanup.append(daemon)
    guest.arrived()
    daemon.wait_ready()
    return guest, daemon


def children(daemon):
    with open(f"/proc/{daemon.child.pid}/task/{daemon.child.pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_own_guest_crashes_under_a_client(own, number):
    guest, daemon = own
    with daemon.connect() as rpc, daemon.connect() as waiting:
        rpc.halt()
        rpc.WriteVirtual(guest.map.a + 3, b"lost with it")
        (pid,) = children(daemon)
        os.kill(pid, number)
        assert daemon.child.wait() == 1
        daemon.check_end(1, 1)
        rpc.wait_closed()
        waiting.wait_closed()
    assert f"signal {int(number)}" in daemon.log and f"{guest.map.a + 3:x}" in daemon.log
    assert "12 dirty bytes" in daemon.log


# Options and their file

@pytest.mark.parametrize("content, named", [
    ("gdb = unix:/x\ntiemout = 5\n", ":2:"),
    ("gdb = unix:/x\ntimeout = soon\n", "soon"),
    ("gdb = unix:/x\ntimeout = 0\n", "timeout"),
    ("gdb = unix:/x\ntimeout = inf\n", "timeout"),
    ("gdb = unix:/x\ncache-size = -4096\n", "cache-size"),
    ("gdb = unix:/x\nmax-connections = 99999999999999999999\n", "max-connections"),
    ("gdb = \n", "gdb"),
    ("gdb\n", ":1:"),
    ("[section]\ngdb = unix:/x\n", "section"),
    ("= 5\ngdb = unix:/x\n", ":1:"),
    ("gdb = unix:/x\nlisten = tcp:0.0.0.0:0\n", "0.0.0.0"),
    ("gdb = unix:/" + "x" * 500 + "\n", ":1:"),
    ("gdb = unix:/x\n" + "y" * 100000, ":2:"),
    ("gdb = unix:/x\0y\n", "NUL"),
    ("\xff\xfe\x00g\x00d\x00b\x00", ":1:"),
    ("config = other\n", "config"),
    ("", "no target"),
])
def test_wrong_config(directory, content, named):
    path = os.path.join(directory, "config")
    with open(path, "w", encoding="latin-1") as file:
        file.write(content)
    done = start("--config", path)
    assert done.returncode == 2 and named in done.stderr and not done.stdout and not done.left, done.stderr
    if named != "no target" and named != "0.0.0.0":
        assert path in done.stderr
    assert len(done.stderr) < 2000


@pytest.mark.parametrize("path", ["/nonexistent/config", "/", "/dev/null/config", "/dev/zero", "", "/proc/self/mem"])
def test_config_that_is_no_file(path):
    done = start("--gdb", "unix:/x", "--config", path)
    assert done.returncode == 2 and path in done.stderr and not done.stdout


@pytest.mark.parametrize("words", [
    ["--gdb", ""],
    ["--gdb", "unix:"],
    ["--gdb", "unix:/x", "--gdb", "nonsense"],
    ["--gdb", "tcp::1"],
    ["--gdb", "tcp:[::1:1"],
    ["--gdb", "tcp:host:-1"],
    ["--gdb", "tcp:host:1x"],
    ["--gdb", "tcp:" + "h" * 5000 + ":1"],
    ["--gdb", "unix:/x", "--timeout", "nan"],
    ["--gdb", "unix:/x", "--timeout", "1e308"],
    ["--gdb", "unix:/x", "--pipeline", "0x"],
    ["--gdb", "unix:/x", "--cache-size", "1"],
    ["--gdb", "unix:/x", "--no-such"],
    ["--gdb", "unix:/x", "-z"],
    ["--gdb", "unix:/x", "--"],
    ["--gdb", "unix:/x", "--", "true"],
    ["--"],
    [""],
])
def test_wrong_options(words):
    done = start(*words)
    assert done.returncode == 2 and done.stderr.startswith("spacebridged: ") and not done.stdout and not done.left
    assert len(done.stderr) < 2000


# Full disks, closed files, readers that go

@pytest.fixture
def run(stub, attached):
    def go(*words, **options):
        return cli(*words, connect=attached.rpc, **options)

    stub.memory[:] = bytes(range(256)) * (len(stub.memory) // 256)
    return go


def test_full_disk(run, attached, stub, directory):
    """A disk with room for a part: the command says so and fails; nothing happens to the daemon."""
    assert run("read-virtual", hex(stub.base), 4096, "-o", "/dev/full").returncode == 1
    room = os.path.join(directory, "room")
    os.mkdir(room)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "none", room], capture_output=True, check=False
    ).returncode == 0
    try:
        path = os.path.join(room, "out")
        if mounted:
            done = run("read-virtual", hex(stub.base), 0x4000, "-o", path)
            assert done.returncode == 1 and "No space" in done.stderr and path in done.stderr and not done.stdout
            done = run("--json", "read-virtual", hex(stub.base), 0x4000, "-o", path)
            assert done.returncode == 1 and "No space" in done.stdout + done.stderr
    finally:
        if mounted:
            subprocess.run(["umount", room], check=True)
    path = os.path.join(directory, "limited")
    done = subprocess.run(
        [program("spacebridge"), "--connect", attached.rpc, "read-virtual", hex(stub.base), "0x4000", "-o", path],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **SANITIZER_OPTIONS},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 1 and "too large" in done.stderr and path in done.stderr
    assert run("read-virtual", hex(stub.base), 4).returncode == 0


FAILING_COMMANDS = [
    ["read-virtual", "BASE", "64"],
    ["--json", "read-virtual", "BASE", "64"],
    ["read-virtual", "BASE", "4096", "-o", "-"],
    ["write-virtual", "BASE", "00"],
    ["--json", "status"],
    ["--help"],
    ["--version"],
]


@contextlib.contextmanager
def no_output(where):
    """Arguments of subprocess.run for a standard output on which nothing can be written."""
    if where == "full":
        with open("/dev/full", "wb") as out:
            yield {"stdout": out}
    elif where == "closed":
        yield {"preexec_fn": closing(1)}
    else:
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as out:
            yield {"stdout": out}


def test_standard_output_that_fails(new_daemon, stub):
    """What could not be printed is not passed off as done."""
    attached = new_daemon(gdb=stub.gdb)  # with patience: so many commands at once keep the stub's thread waiting

    def check(words, where):
        words = [hex(stub.base) if word == "BASE" else word for word in words]
        with no_output(where) as out:
            done = subprocess.run(
                [program("spacebridge"), "--connect", attached.rpc, *words],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, **SANITIZER_OPTIONS},
                timeout=LIMIT,
                check=False,
                **out,
            )
        assert done.returncode == 1, done
        assert "standard output" in done.stderr and not SANITIZER.search(done.stderr), done

    places = ("full", "closed", "nobody reads")
    side_by_side({f"{words} {where}": (words, where) for words in FAILING_COMMANDS for where in places}, check)


def closing(*fds):
    def go():
        for fd in fds:
            with contextlib.suppress(OSError):
                os.close(fd)

    return go


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_daemon_without_standard_files(stub, directory, closed):
    """A socket must not take the place of a closed standard file: the log would be written to the target."""
    endpoint = f"unix:{directory}/rpc.sock"
    log = os.path.join(directory, "log")
    with open(log, "wb") as error:
        child = subprocess.Popen(
            [program("spacebridged"), "--gdb", stub.gdb, "--listen", endpoint, "--log-level", "trace"],
            stdout=subprocess.DEVNULL,
            stderr=error,
            env={**os.environ, **SANITIZER_OPTIONS, "XDG_RUNTIME_DIR": directory},
            preexec_fn=closing(*closed),
        )
    try:
        def served():
            with contextlib.suppress(OSError, EOFError):
                with Rpc(endpoint) as rpc:
                    return rpc.WriteVirtual(stub.base, b"served")

        assert until(served, "the daemon to serve") == 6
        for fd in closed:
            assert os.readlink(f"/proc/{child.pid}/fd/{fd}") == "/dev/null"
        until(lambda: stub.memory[:6] == b"served", "the flush")
        assert all(request[:1].isalpha() or request[:1] in b"?" for request in stub.requests), stub.requests
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(LIMIT) == 0
    assert not os.path.exists(f"{directory}/rpc.sock")


def test_log_that_may_not_grow(stub, attached):
    """A full disk, or a limit on the size of files: the log ends there, the daemon does not."""
    size = os.path.getsize(attached.child.error_path)
    resource.prlimit(attached.child.pid, resource.RLIMIT_FSIZE, (size, -1))
    for _ in range(5):
        with attached.connect() as rpc:
            assert rpc.WriteVirtualUncached(stub.base, b"served") == 6
    assert attached.running() and os.path.getsize(attached.child.error_path) == size
    resource.prlimit(attached.child.pid, resource.RLIMIT_FSIZE, (-1, -1))


def test_daemon_whose_output_nobody_reads(stub, directory):
    """Neither a reader of its ready line that goes, nor one of its log that stops reading, is its end."""
    endpoint = f"unix:{directory}/rpc.sock"
    out_reader, out_writer = os.pipe()
    os.close(out_reader)
    log_reader, log_writer = os.pipe()
    fcntl.fcntl(log_writer, fcntl.F_SETPIPE_SZ, 4096)
    child = subprocess.Popen(
        [program("spacebridged"), "--gdb", stub.gdb, "--listen", endpoint, "--log-level", "trace"],
        stdin=subprocess.DEVNULL,
        stdout=out_writer,
        stderr=log_writer,
        env={**os.environ, **SANITIZER_OPTIONS, "XDG_RUNTIME_DIR": directory},
    )
    os.close(out_writer)
    os.close(log_writer)
    try:
        def rounds():
            with contextlib.suppress(OSError):
                with Rpc(endpoint) as rpc:
                    for _ in range(200):
                        assert rpc.WriteVirtualUncached(stub.base, b"served") == 6
                    return True

        assert until(rounds, "the daemon to serve")  # the log's pipe is full by now
        os.close(log_reader)
        log_reader = None
        assert rounds()
    finally:
        if log_reader is not None:
            os.close(log_reader)
        child.send_signal(signal.SIGTERM)
        assert child.wait(LIMIT) == 0
