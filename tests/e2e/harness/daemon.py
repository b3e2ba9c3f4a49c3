"""spacebridged and the spacebridge command, as the build directory has them."""

import os
import signal
import subprocess

from . import processes
from .processes import LIMIT, Child, SANITIZER
from .rpc import Rpc, address_of

BUILD = os.environ.get("SB_BUILD", os.getcwd())


def program(name):
    """$SPACEBRIDGED or $SPACEBRIDGE_CLI, or what was built."""
    variable = {"spacebridged": "SPACEBRIDGED", "spacebridge": "SPACEBRIDGE_CLI"}[name]
    path = os.environ.get(variable) or os.path.join(os.path.abspath(BUILD), name)
    assert os.path.exists(path), f"{path} is missing: set SB_BUILD to the build directory"
    return path


SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:abort_on_error=0:" + os.environ.get("ASAN_OPTIONS", ""),
    "UBSAN_OPTIONS": "print_stacktrace=1:" + os.environ.get("UBSAN_OPTIONS", ""),
}


class Daemon:
    """A running spacebridged.

    guest      what to attach to; or give gdb=ENDPOINT, qmp=ENDPOINT; or command=[...], a guest for it to start
    qmp        False: without the monitor
    listen     endpoints for calls; None: the default one, in a runtime directory of its own
    options    more options
    ready      False: return at once, do not wait for its ready line
    found      False: without the monitor it is not told whether the guest runs, where nothing else tells

    .rpc is the endpoint for calls; .directory the runtime directory, which is also where its log is.
    """

    def __init__(
        self,
        guest=None,
        gdb=None,
        qmp=None,
        command=None,
        listen=None,
        options=(),
        env=None,
        ready=True,
        found=True,
    ):
        argv = [program("spacebridged")]
        self.stopped = False
        self.directory = processes.directory()
        environment = {"XDG_RUNTIME_DIR": self.directory, **SANITIZER_OPTIONS, **(env or {})}
        if guest is not None:
            gdb = gdb or guest.gdb
            qmp = guest.qmp if qmp is None else qmp
        if gdb:
            argv += ["--gdb", gdb]
        if qmp:
            argv += ["--qmp", qmp]
        elif guest is not None and found and not guest.tells_every_stop():
            argv += ["--found", "running" if guest.running() else "halted"]
        for endpoint in listen or ():
            argv += ["--listen", endpoint]
        argv += ["--log-level", "debug"]
        argv += [str(option) for option in options]
        if command:
            argv += ["--"] + [str(word) for word in command]
        self.child = Child(argv, self.directory, "spacebridged", environment)
        self.endpoints = {"rpc": [], "stub": []}
        if ready:
            try:
                self.wait_ready()
            except BaseException:
                self.stopped = True
                self.child.kill()
                processes.remove(self.directory)
                raise

    def wait_ready(self, limit=LIMIT):
        try:
            line = self.child.out.wait_line(r"^ready( .*)?$", limit=limit)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.log[-4000:]}") from None
        for word in (line[1] or "").split():
            kind, _, endpoint = word.partition("=")
            self.endpoints.setdefault(kind, []).append(endpoint)

    @property
    def rpc(self):
        return self.endpoints["rpc"][0]

    @property
    def log(self):
        return self.child.errors

    def connect(self):
        return Rpc(self.rpc)

    def running(self):
        return self.child.running()

    def stop(self, number=signal.SIGTERM, code=0):
        """Ask it to end, check that it does in order, and leave nothing behind. Once more does no harm."""
        if self.stopped:
            return
        self.stopped = True
        try:
            if self.child.pid in processes.alive:
                got = self.child.end(number)
                self.check_end(got, code)
        finally:
            processes.remove(self.directory)

    def check_end(self, got, code=0):
        """After its end: the exit code, no sanitizer report, no socket left."""
        self.child.check_sanitizers()
        assert got == code, f"spacebridged ended with {got}, not {code}:\n{self.log[-4000:]}"
        for kind in self.endpoints.values():
            for endpoint in kind:
                if endpoint.startswith("unix:"):
                    path = address_of(endpoint)[1]
                    assert not os.path.exists(path), f"spacebridged left {path}"


def cli(*words, connect=None, stdin=None, env=None, cwd=None, limit=LIMIT, text=True):
    """Run the spacebridge command to its end: .returncode .stdout .stderr."""
    argv = [program("spacebridge")]
    if connect is not None:
        argv += ["--connect", connect]
    argv += [str(word) for word in words]
    environment = {**os.environ, **SANITIZER_OPTIONS, **(env or {})}
    done = subprocess.run(
        argv,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        env=environment,
        cwd=cwd,
        timeout=limit,
        text=text,
        check=False,
    )
    errors = done.stderr if text else done.stderr.decode("utf-8", "replace")
    assert not SANITIZER.search(errors), f"{argv}: a sanitizer reports\n{errors}"
    return done
