"""End-to-end tests: real QEMU, the real daemon, and the test guest of tests/guest, which says what it sees.

    SB_BUILD=build /usr/bin/python3 -m pytest tests/e2e            all
    SB_BUILD=build /usr/bin/python3 -m pytest tests/e2e -k hpet    some

SB_BUILD is the build directory (default: here); SPACEBRIDGED and SPACEBRIDGE_CLI name other programs;
SB_E2E_LIMIT is how many seconds an event may take (30). QEMU is found through PATH; SB_DEBUGGERS names folders with
newer debuggers, SB_LINUX_STORE the one where Debian's kernel is kept for test_linux.py (build-linux).

What a test asks for (fixtures):

    pc         a Bridge: a 64-bit PC guest and a daemon attached to both its sockets, shared by the tests of a
               module. When the test begins the guest runs, pages A, B, C, … hold zeros, nobody else
               is connected. A test may halt it and leave it so; it must not end it.
    rpc        one connection to pc's daemon
    halted     the same, with the guest halted already
    bridge     a factory: bridge("aarch64", paused=True, options=["--cache", "off"]) is a fresh Bridge for this
               test alone, which may do to it what it likes
    new_guest, new_daemon
               factories of the two halves
    directory  an empty directory of its own

What else there is: harness.daemon.cli runs the spacebridge command; harness.stub.Stub is an RSP stub that is no QEMU
and misbehaves on demand; harness.rpc.connect gives a bare socket for what no client would send;
harness.versions asks the QEMU at hand what differs between versions;
guest.accesses() lists the device accesses that QEMU saw; guest.physical() is memory as QEMU has it.

A Bridge has .guest (harness.guest.Guest), .daemon (harness.daemon.Daemon), .map (addresses) and .connect().

After each test nothing may remain that it did not find: processes are looked for, and the daemon's standard error
is searched for sanitizer reports; when a test fails, the ends of all logs are shown.
"""

import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import processes  # noqa: E402
from harness.daemon import Daemon  # noqa: E402
from harness.guest import PAGE, Guest, forget_kernels  # noqa: E402
from harness.rpc import Rpc  # noqa: E402


# Who is started in the background by a shell ignores Ctrl-C, and so would all whom we start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Bridge:
    """A guest, a daemon attached to it, and the connections that tests opened."""

    def __init__(self, arch="x86_64", qmp=True, options=(), listen=None, env=None, **guest_options):
        self.guest = Guest(arch, **guest_options)
        try:
            self.daemon = Daemon(self.guest, qmp=None if qmp else "", options=options, listen=listen, env=env)
        except BaseException:
            self.guest.stop()
            raise
        self.connections = []

    @property
    def map(self):
        return self.guest.map

    def connect(self):
        connection = Rpc(self.daemon.rpc)
        self.connections.append(connection)
        return connection

    def disconnect(self):
        """Close the tests' connections."""
        for connection in self.connections:
            connection.close()
        self.connections.clear()

    def healthy(self):
        return self.guest.child.running() and self.daemon.running()

    def stop(self):
        self.disconnect()
        try:
            self.daemon.stop()
        finally:
            self.guest.stop()


def make_clean(shared):
    """The state in which a shared bridge is handed to a test."""
    control = shared.connect()
    control.go()
    shared.disconnect()
    guest, where = shared.guest, shared.guest.map
    pages = (where.a, where.b, where.c, where.flip, where.code, where.read_only_physical, *where.per_cpu_physical)
    commands = ["spin 0"]
    commands += [f"map {where.flip:#x} {where.flip_physical:#x} rw", f"map {where.rom:#x} {where.rom_physical:#x} rw"]
    commands += [f"fill {page:#x} {PAGE} 0" for page in pages]
    for ticket in [guest.post(command) for command in commands]:
        guest.answer(ticket)


class Shared:
    """The bridge of a module; a fresh one when a test has broken it."""

    def __init__(self, **options):
        self.options = options
        self.bridge = None

    def get(self):
        if self.bridge is not None and not self.bridge.healthy():
            self.stop(broken=True)
        if self.bridge is None:
            self.bridge = Bridge(**self.options)
        try:
            make_clean(self.bridge)
        except Exception:
            self.stop(broken=True)
            raise
        return self.bridge

    def stop(self, broken=False):
        if self.bridge is None:
            return
        bridge, self.bridge = self.bridge, None
        try:
            bridge.stop()
        except Exception:
            if not broken:  # the test that broke it has failed already
                raise


@pytest.fixture(autouse=True)
def nothing_remains():
    yield
    left = processes.strangers()
    assert not left, f"left behind: {left}"
    for child in list(processes.alive.values()):
        child.check_sanitizers()


@pytest.fixture(scope="session", autouse=True)
def session_end():
    yield
    forget_kernels()
    forgotten = [child.name for child in processes.alive.values()]
    for child in list(processes.alive.values()):
        child.kill()
    left = list(processes.directories)
    for path in left:
        processes.remove(path)
    assert not forgotten and not left, f"nobody ended {forgotten}, nobody removed {left}"


@pytest.fixture(scope="module")
def _pc():
    shared = Shared(arch="x86_64")
    yield shared
    shared.stop()


@pytest.fixture
def pc(_pc):
    bridge = _pc.get()
    yield bridge
    bridge.disconnect()


@pytest.fixture
def rpc(pc):
    return pc.connect()


@pytest.fixture
def halted(rpc):
    rpc.halt()
    return rpc


@pytest.fixture
def cleanup():
    """A list of things with stop(), stopped in reverse order; every one, even when one fails."""
    things = []
    yield things
    failure = None
    for thing in reversed(things):
        try:
            thing.stop()
        except Exception as error:  # pylint: disable=broad-except
            failure = failure or error
    if failure is not None:
        raise failure


@pytest.fixture
def bridge(cleanup):
    def make(arch="x86_64", **options):
        made = Bridge(arch, **options)
        cleanup.append(made)
        return made

    return make


@pytest.fixture
def new_guest(cleanup):
    def make(arch="x86_64", **options):
        made = Guest(arch, **options)
        cleanup.append(made)
        return made

    return make


@pytest.fixture
def new_daemon(cleanup):
    def make(guest=None, **options):
        made = Daemon(guest, **options)
        cleanup.append(made)
        return made

    return make


@pytest.fixture
def directory():
    path = processes.directory()
    yield path
    processes.remove(path)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for child in list(processes.alive.values()):
            try:
                report.sections.append((f"{child.name} ({child.pid})", child.errors[-4000:]))
            except OSError:
                pass
