"""Where the bench measures: its guests, its daemons, the programs of both sides."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from harness import daemon as harness_daemon  # noqa: E402
from harness.daemon import Daemon, program  # noqa: E402
from harness.guest import Guest, forget_kernels, kvm_trouble  # noqa: E402

MIB = 1 << 20
LIMIT = 600
# The guest's free RAM, mapped as it is; beyond 32 MiB physical memory only.
BASE, SPAN = 0x1010000, 15 * MIB
FAR = 64 * MIB
MEMORY = 512  # MiB


class Skip(Exception):
    """This build or machine does not have what the case is about."""


def controllers(count):
    """USB controllers behind a bridge, each with a region of its own for each port: some 36 regions in one BAR. The
    firmware gives them addresses."""
    options = ["-device", "pci-bridge,id=more,chassis_nr=1"]
    for i in range(count):
        options += ["-device", f"qemu-xhci,p2=15,p3=15,bus=more,addr={1 + i // 8:#x}.{i % 8},multifunction=on"]
    return options


# Which ways a daemon may go, and how its guest differs.
KINDS = {
    "plain": {},
    "bare": {"qmp": ""},  # nothing but the stub
    "qtest": {"qtest": True},
    "direct": {"qtest": True, "direct": True},  # direct RAM needs qtest for writing
    "kvm": {"direct": True, "accel": "kvm"},
    "map10": {"extra": controllers(6)},
    "map100": {"extra": controllers(63)},
}


class Place:
    """Guests and daemons, started when first asked for. There is one at a time: what is measured is measured there."""

    def __init__(self):
        global place
        place = self
        self.stack = contextlib.ExitStack()
        self.made = {}
        self.help = subprocess.run(
            [program("spacebridged"), "--help"], capture_output=True, text=True, check=True
        ).stdout

    def close(self):
        self.stack.close()
        forget_kernels()

    def has(self, option):
        return re.search(rf"^\s+{option}\b", self.help, re.M) is not None

    def guest(self, name, extra=(), accel="tcg"):
        if name not in self.made:
            if accel == "kvm" and kvm_trouble():
                raise Skip(kvm_trouble())
            guest = Guest("x86_64", accel=accel, extra=["-m", str(MEMORY), *extra])
            self.stack.callback(guest.stop)
            guest.qmp_control.execute("stop")  # or its stop would be told in the midst of the first replies
            self.made[name] = guest
        return self.made[name]

    def raw(self, accel="tcg"):
        """A guest whose sockets nobody holds. Whoever joins its stub halts it."""
        return self.guest("raw" if accel == "tcg" else "raw " + accel, accel=accel)

    def qtest_socket(self):
        """Of a guest whose qtest nobody holds."""
        name = "raw qtest"
        if name not in self.made:
            path = os.path.join(tempfile.mkdtemp(prefix="spacebridge-bench-"), "qtest.sock")
            self.stack.callback(os.rmdir, os.path.dirname(path))
            self.stack.callback(lambda: os.path.exists(path) and os.unlink(path))
            self.guest(name, extra=["-qtest", f"unix:{path},server=on,wait=off", "-qtest-log", "none"])
            self.made[name + " socket"] = path
        return self.made[name + " socket"]

    def daemon(self, kind="plain"):
        key = ("daemon", kind)
        if key in self.made:
            return self.made[key]
        settings = KINDS[kind]
        options = ["--attach", "halt", "--log-level", "warning"]
        for option, wanted in (("--qtest", "qtest"), ("--direct-ram", "direct")):
            if self.has(option):
                options += [option, "on" if settings.get(wanted) else "off"]
            elif settings.get(wanted):
                raise Skip(f"this build has no {option}")
        guest = self.guest(f"for {kind}", settings.get("extra", ()), settings.get("accel", "tcg"))
        made = Daemon(guest, qmp=settings.get("qmp"), options=options)
        self.stack.callback(made.stop)
        self.made[key] = made
        return made


place = None


def run(argv):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def bench_program(name):
    path = os.path.join(os.path.abspath(harness_daemon.BUILD), "tests", "bench", name)
    assert os.path.exists(path), f"{path} is missing: make bench builds it"
    return path


def figures(text):
    values = [float(word) for word in text.split()]
    return values[0] if len(values) == 1 else values


def transports(daemon):
    return json.loads(run([program("spacebridge"), "--connect", daemon.rpc, "--json", "transports"]))["transports"]


def check_ways(before, after, way, what, amount):
    """That much, but for an odd page, went by that way, and next to nothing by any other: or the figure is of something
    else."""
    moved = {name: after[name][what] - before[name][what] for name in after}
    if moved[way] < amount * 0.99 or sum(moved.values()) > amount * 1.05 + 8:
        raise RuntimeError(f"{what.replace('_', ' ')} by {way} were to be {amount}, and by no other way: {moved}")


def ours(case, *numbers, kind="plain", went=None):
    """A measurement by the library. went: (way, "bytes_read", "bytes_written" or "calls", how many) by GetTransportStatus,
    of the run as a whole; anything else is a failure."""
    daemon = place.daemon(kind)
    before = transports(daemon) if went else None
    taken = figures(run([bench_program("ours"), daemon.rpc, case, *map(str, numbers)]))
    if went:
        check_ways(before, transports(daemon), *went)
    return taken


def path_of(endpoint):
    return endpoint.partition(":")[2]


def theirs(case, *numbers, socket=None):
    return figures(run([bench_program("theirs"), case, socket or path_of(place.raw().gdb), *map(str, numbers)]))


def gdb(command, size, accel="tcg"):
    """Seconds that a command of gdb takes. {file}: a file of size bytes of noise."""
    with tempfile.NamedTemporaryFile(prefix="spacebridge-bench-") as file:
        file.write(os.urandom(size))
        file.flush()
        text = command.format(file=file.name)
        script = (
            "import time\n"
            f"start = time.monotonic()\ngdb.execute({text!r}, to_string=True)\n"
            "print('seconds', time.monotonic() - start)\n"
        )
        with tempfile.NamedTemporaryFile("w", suffix=".py", prefix="spacebridge-bench-") as code:
            code.write(script)
            code.flush()
            path = path_of(place.raw(accel).gdb)
            out = run(
                ["gdb", "-nx", "-batch", "-ex", "set architecture i386:x86-64", "-ex", f"target remote {path}"]
                + ["-ex", f"source {code.name}"]
            )
    found = re.search(r"^seconds (\S+)$", out, re.M)
    if not found:
        raise RuntimeError(f"gdb: {out}")
    return float(found[1])


def gdb_restore(size=8 * MIB, accel="tcg"):
    return gdb(f"restore {{file}} binary {BASE:#x}", size, accel)


def gdb_dump(size=8 * MIB):
    return gdb(f"dump binary memory {{file}} {BASE:#x} {BASE + size:#x}", size)
