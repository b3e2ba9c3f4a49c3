"""Processes that a test starts: each is known, watched, and ended by its number."""

import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid

import pytest

# In the environment of everything that is started, so that whatever is left behind is found.
MARK = "SB_E2E_MARK"
RUN = uuid.uuid4().hex
os.environ[MARK] = RUN
# A terminal's hang-up is tested; what nohup ignores, its children would ignore as well.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an event may take before the test fails. Long, because sanitizers on a busy machine are slow.
LIMIT = float(os.environ.get("SB_E2E_LIMIT", "30"))

SANITIZER = re.compile(
    r"ERROR: (Address|Leak)Sanitizer|runtime error:|SUMMARY: \w+Sanitizer|AddressSanitizer:DEADLYSIGNAL"
)

alive = {}  # pid -> Child, of those not yet ended
directories = set()  # of those not yet removed


class Lines:
    """Collects what comes from a file descriptor, in a thread, and lets callers wait for it."""

    def __init__(self, fd, close=None):
        self._fd = fd
        self._close = close
        self._data = bytearray()
        self._news = threading.Condition()
        self.ended = False
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        while True:
            try:
                piece = os.read(self._fd, 65536)
            except OSError:
                piece = b""
            with self._news:
                if piece:
                    self._data += piece
                else:
                    self.ended = True
                self._news.notify_all()
            if not piece:
                return

    @property
    def data(self):
        with self._news:
            return bytes(self._data)

    def mark(self):
        """A place in the stream, for wait(since=...)."""
        with self._news:
            return len(self._data)

    def wait(self, find, since=0, limit=LIMIT, what="output"):
        """Wait until find(bytes since that place) gives something that is not None, and return it."""
        end = time.monotonic() + limit
        with self._news:
            while True:
                found = find(bytes(self._data[since:]))
                if found is not None:
                    return found
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    why = "it ended" if self.ended else f"nothing in {limit:g} s"
                    raise TimeoutError(f"waiting for {what}: {why}; so far: {bytes(self._data[since:])[-2000:]!r}")
                self._news.wait(left)

    def wait_line(self, pattern, since=0, limit=LIMIT):
        """Wait for a whole line that matches the pattern; returns the match."""
        compiled = re.compile(pattern)

        def find(data):
            for line in data.split(b"\n")[:-1]:
                match = compiled.search(line.decode("utf-8", "replace").rstrip("\r"))
                if match:
                    return match
            return None

        return self.wait(find, since, limit, f"a line like {pattern!r}")

    def join(self):
        self._thread.join(LIMIT)
        if self._close:
            self._close()


def need(*programs):
    """Skip the test where one of these programs is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


class Child:
    """One process. Its standard output is collected; its standard error goes to a file."""

    def __init__(self, argv, directory, name, env=None, stdin=subprocess.DEVNULL):
        self.argv = [str(a) for a in argv]
        self.name = name
        self.error_path = os.path.join(directory, f"{name}.stderr")
        environment = dict(os.environ)
        environment.update(env or {})
        with open(self.error_path, "ab") as error:
            self.process = subprocess.Popen(
                self.argv,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=error,
                env=environment,
                cwd=directory,
                bufsize=0,
            )
        self.pid = self.process.pid
        self.out = Lines(self.process.stdout.fileno(), self.process.stdout.close)
        alive[self.pid] = self

    @property
    def errors(self):
        with open(self.error_path, "rb") as file:
            return file.read().decode("utf-8", "replace")

    def running(self):
        return self.process.poll() is None

    def wait(self, limit=LIMIT):
        """Wait for its end; its exit code."""
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} did not end in {limit:g} s; its errors: {self.errors[-2000:]}") from None
        alive.pop(self.pid, None)
        self.out.join()
        return code

    def send(self, number):
        if self.running():
            self.process.send_signal(number)

    def end(self, number=signal.SIGTERM, limit=LIMIT):
        """End it; its exit code. A process that does not end is killed, and that is an error."""
        self.send(number)
        try:
            return self.wait(limit)
        except TimeoutError:
            self.kill()
            raise

    def kill(self):
        self.send(signal.SIGKILL)
        return self.wait()

    def check_sanitizers(self):
        errors = self.errors
        assert not SANITIZER.search(errors), f"{self.name}: a sanitizer reports\n{errors[-8000:]}"

    def wait_errors(self, pattern, since=0, limit=LIMIT):
        """Wait for a line in its standard error (the daemon's log) that matches; returns the match.

        A file has no event to wait for, so it is looked at again until the limit."""
        compiled = re.compile(pattern)
        end = time.monotonic() + limit
        while True:
            ended = not self.running()
            match = compiled.search(self.errors[since:])
            if match:
                return match
            if ended or time.monotonic() > end:
                raise TimeoutError(f"{self.name} never said {pattern!r}: {self.errors[since:][-3000:]}")
            select.select([], [], [], 0.01)


def directory():
    """A directory for sockets and logs; short, because a socket's path must be."""
    path = tempfile.mkdtemp(prefix="sb-e2e-")
    directories.add(path)
    return path


def remove(path):
    directories.discard(path)
    shutil.rmtree(path)


def until(condition, what, limit=LIMIT):
    """Wait for something that sends no event: looked at again until the limit."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waiting for {what}: not in {limit:g} s")
        select.select([], [], [], 0.01)


def children(pid):
    """The children of a process."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def strangers():
    """Processes that came from this run and that nobody knows: {pid: command line}."""
    found = {}
    needle = f"{MARK}={RUN}".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid() or int(entry) in alive:
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                if needle not in file.read().split(b"\0"):
                    continue
            with open(f"/proc/{entry}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
            # a child of one that is known (a guest that a daemon started) is known too
            if state == b"Z" or int(parent) in alive:
                continue
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                found[int(entry)] = file.read().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
    return found
