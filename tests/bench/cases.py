"""The bench's cases: what each measures, against what, and its goal."""

import os
import re
import resource
import statistics
import subprocess
import threading
import time

import place as places
from place import BASE, FAR, LIMIT, MIB, SPAN, bench_program, gdb_dump, gdb_restore, ours, path_of, run, theirs

PORT = 0x80
LINE = 16 * 1024 // 3 * 3  # of a line of qtest: the length that QEMU takes fastest
SMALL = 100_000
DIRECT = 14 * MIB


class Case:
    """ours and theirs measure once, in seconds; each may be for its own amount (bytes, calls).

    at_least   the goal: ours is that many times as fast
    at_most    the goal: ours takes at most that many times as long
    unit       what is printed: MB/s of an amount of bytes, or a time
    """

    def __init__(self, name, text, mine, other, amounts=(1, 1), unit="us", at_least=None, at_most=None, what="theirs"):
        self.name, self.text, self.mine, self.other = name, text, mine, other
        self.amounts, self.unit, self.at_least, self.at_most, self.what = amounts, unit, at_least, at_most, what

    def measure(self, runs):
        mine, other = [], []
        for _ in range(runs):
            mine.append(self.mine() / self.amounts[0])
            other.append(self.other() / self.amounts[1])
        return self.result(statistics.median(mine), statistics.median(other), mine, other)

    def show(self, seconds):
        if self.unit == "MB/s":
            return f"{1e-6 / seconds:.1f} MB/s"
        return f"{seconds * 1e6:.2f} us" if seconds < 0.01 else f"{seconds * 1e3:.1f} ms"

    def result(self, mine, other, all_mine=(), all_other=()):
        if self.at_least is not None:
            ratio, goal = other / mine, f">= {self.at_least:g}"
            reached = ratio >= self.at_least
        else:
            ratio, goal = mine / other, f"<= {self.at_most:g}"
            reached = ratio <= self.at_most
        return {
            "name": self.name,
            "text": self.text,
            "ours": self.show(mine),
            "theirs": self.show(other),
            "against": self.what,
            "ratio": round(ratio, 3),
            "goal": goal,
            "ok": reached,
            "ours_seconds": mine,
            "theirs_seconds": other,
            "ours_runs": list(all_mine),
            "theirs_runs": list(all_other),
        }


class Measured(Case):
    """A case whose measure() is a function of its own: (ours, theirs, shown ours, shown theirs)."""

    def __init__(self, name, text, function, what, at_least=None, at_most=None):
        super().__init__(name, text, None, None, at_least=at_least, at_most=at_most, what=what)
        self.function = function

    def measure(self, runs):
        mine, other, show_mine, show_other = self.function(runs)
        result = self.result(mine, other)
        result.update(ours=show_mine, theirs=show_other)
        return result


def bulk(name, text, mine, other, what, sizes=(8 * MIB, 8 * MIB), **goal):
    return Case(name, text, mine, other, amounts=sizes, unit="MB/s", what=what, **goal)


# Cases that need several figures at once


def idle_cost(runs):
    """Resident memory of 1,000 idle connections, and the processor's time that they cost."""
    del runs
    made = places.place.daemon("plain")
    count = 1000

    def resident():
        with open(f"/proc/{made.child.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) * 1024

    def cpu():
        with open(f"/proc/{made.child.pid}/stat", encoding="ascii") as file:
            words = file.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    before = resident()
    child = subprocess.Popen(
        [bench_program("ours"), made.rpc, "idle", str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if child.stdout.readline() != "there\n":
            raise RuntimeError("1,000 connections could not be made")
        each = (resident() - before) / count
        spent, wall = cpu(), 5.0
        time.sleep(wall)
        spent = cpu() - spent
    finally:
        child.stdin.close()
        child.wait(LIMIT)
    text = f"{each / 1024:.1f} KiB each, {spent * 1000:.0f} ms cpu in {wall:.0f} s"
    if spent > 0.02:
        text += " (MEASURABLE)"
    return each + (1e9 if spent > 0.02 else 0), 65536, text, "64 KiB"


def latency_under_load(runs):
    """99th percentile of a small call while another connection streams 1 GiB."""
    made = places.place.daemon("plain")
    quiet = [ours("latencies", BASE, 2000)[0] for _ in range(runs)]
    median = statistics.median(quiet)
    worst = []
    stop = threading.Event()

    def load():
        # 1 GiB in all, in writes of 8 MiB
        while not stop.is_set():
            run([bench_program("ours"), made.rpc, "stream", str(BASE), str(8 * MIB), str(128 * MIB)])

    thread = threading.Thread(target=load)
    thread.start()
    try:
        worst = [ours("latencies", BASE + SPAN - 4096, 1000)[1] for _ in range(runs)]
    finally:
        stop.set()
        thread.join()
    limit = max(0.002, 40 * median)
    p99 = statistics.median(worst)
    return p99, limit, f"p99 {p99 * 1e3:.2f} ms", f"{limit * 1e3:.2f} ms"


def linear(name, text, measure, factor):
    """ours: the time of factor times the work; theirs: factor times the time of the work."""

    def function(runs):
        one = statistics.median([measure(1) for _ in range(runs)])
        many = statistics.median([measure(factor) for _ in range(max(1, min(runs, 3)))])
        return many, one * factor, f"{many * 1e3:.1f} ms", f"{factor} x {one * 1e3:.2f} ms"

    return Measured(name, text, function, f"{factor} times one", at_most=1.5)


def qmp_ports(count):
    return theirs("qmp-ports", PORT, count, socket=path_of(places.place.raw().qmp))


def busy(connections):
    return ours("busy", BASE, SPAN, 20000, connections, went=("rsp", "bytes_written", 4 * 20000))


def lines_dirty(count):
    """A flush of 20 times count dirty lines."""
    return ours("dirty-pages", BASE, 20 * count, went=("rsp", "bytes_written", 8 * 20 * count))


def rsp_write(size=8 * MIB, noise=True):
    return ours("write-virtual", BASE, size, int(noise), kind="bare", went=("rsp", "bytes_written", size))


def rsp_read():
    return ours("read-virtual", BASE, 8 * MIB, kind="bare", went=("rsp", "bytes_read", 8 * MIB))


def qtest_bulk(case, address, size, *more):
    return ours(case, address, size, *more, kind="qtest", went=("qtest", "bytes_written", size))


def direct_read(space):
    return ours(f"read-{space}", BASE, DIRECT, kind="direct", went=("direct-ram", "bytes_read", DIRECT))


def direct_write(space, kind="direct"):
    return ours(f"write-{space}", BASE, DIRECT, 1, kind=kind, went=("direct-ram", "bytes_written", DIRECT))


def gigabyte():
    return DIRECT / 1e9


def scattered(kind="plain"):
    """Where two of them meet before they are flushed, one goes: hence not quite all."""
    way = "qtest" if kind == "qtest" else "rsp"
    return ours("queued-writes", BASE, SPAN, SMALL, 0, kind=kind, went=(way, "bytes_written", SMALL * 4 * 0.97))


def contiguous(count):
    return ours("queued-writes", BASE, SPAN, count, 1, went=("rsp", "bytes_written", 4 * count))


def singles(contiguous_ones):
    return theirs("singles", BASE, SPAN, SMALL // 5, contiguous_ones, 4)


# The size of the memory map


def regions(kind):
    """How many regions the memory map of that guest has: QEMU's own count."""
    places.place.daemon(kind)
    guest = places.place.guest(f"for {kind}")
    text = guest.qmp_control.execute("human-monitor-command", command_line="info mtree -f")
    view = next(part for part in text.split("FlatView #") if ' AS "memory"' in part)
    return len(re.findall(r"\(prio ", view))


def map_read(kind, again):
    """A small physical read; again: when a port write has made the map uncertain, so that it is read again first."""
    count = 20 if again else 2000
    went = ("rsp", "bytes_read", 8 * (count + 1))
    return ours("map-reads", FAR, count, PORT if again else 0, kind=kind, went=went)


def map_case(kind, again):
    """ours: with many regions. theirs: with the few of a plain guest, times how many more there are when the map is
    read, and as it is when that is known."""

    def function(runs):
        factor = regions(kind) / regions("plain") if again else 1
        pairs = [(map_read(kind, again), map_read("plain", again)) for _ in range(runs)]
        many, few = (statistics.median(figures) for figures in zip(*pairs))
        times = f"{factor:.0f} x " if again else ""
        return many, factor * few, f"{many * 1e6:.0f} us", f"{times}{few * 1e6:.0f} us"

    more = kind.removeprefix("map")
    if again:
        text, what = f"the memory map read again, {more} times the regions", "as many times the plain guest's"
    else:
        text, what = f"a small physical read, {more} times the regions", "in a plain guest"
    return Measured(f"map-{'again' if again else 'known'}-{more}", text, function, what, at_most=1.5)


def qmp_map():
    return theirs("qmp-map", 20, socket=path_of(places.place.guest("raw map100", places.KINDS["map100"]["extra"]).qmp))


CASES = [
    # RSP
    bulk(
        "rsp-write-ceiling",
        "bulk virtual write by the stub alone",
        rsp_write,
        lambda: theirs("blast-write", BASE, 8 * MIB, 1),
        "C blaster of ready M packets",
        at_least=0.95,
    ),
    bulk(
        "rsp-write-gdb",
        "the same",
        rsp_write,
        gdb_restore,
        "gdb restore",
        at_least=2.2,
    ),
    bulk(
        "rsp-write-zeros",
        "bulk virtual write of zeros",
        lambda: rsp_write(noise=False),
        rsp_write,
        "ours of noise",
        at_least=1.7,
    ),
    bulk(
        "rsp-read-ceiling",
        "bulk virtual read by the stub alone",
        rsp_read,
        lambda: theirs("blast-read", BASE, 8 * MIB),
        "C blaster of m packets",
        at_least=0.9,
    ),
    bulk(
        "rsp-read-gdb",
        "the same",
        rsp_read,
        gdb_dump,
        "gdb dump",
        at_least=9,
    ),
    # qtest
    bulk(
        "qtest-write",
        "bulk physical write by qtest",
        lambda: qtest_bulk("write-physical", FAR, 32 * MIB, 1),
        gdb_restore,
        "gdb restore",
        sizes=(32 * MIB, 8 * MIB),
        at_least=8,
    ),
    bulk(
        "qtest-write-ceiling",
        "the same",
        lambda: qtest_bulk("write-physical", FAR, 32 * MIB, 1),
        lambda: theirs("qtest-write", FAR, 32 * MIB, LINE, socket=places.place.qtest_socket()),
        "C blaster of ready b64write lines",
        sizes=(32 * MIB, 32 * MIB),
        at_least=0.85,
    ),
    bulk(
        "qtest-write-virtual",
        "bulk virtual write by qtest",
        lambda: qtest_bulk("write-virtual", BASE, 8 * MIB, 1),
        gdb_restore,
        "gdb restore",
        at_least=8,
    ),
    bulk(
        "qtest-fill-virtual",
        "FillVirtual",
        lambda: qtest_bulk("fill-virtual", BASE, 8 * MIB),
        gdb_restore,
        "gdb restore",
        at_least=25,
    ),
    bulk(
        "qtest-fill-physical",
        "FillPhysical",
        lambda: qtest_bulk("fill-physical", FAR, 64 * MIB),
        gdb_restore,
        "gdb restore",
        sizes=(64 * MIB, 8 * MIB),
        at_least=25,
    ),
    Case(
        "qtest-io-stream",
        "10,000 queued WriteIo",
        lambda: ours("io-queued", PORT, 10000, kind="qtest", went=("qtest", "calls", 10000)),
        lambda: qmp_ports(2000),
        amounts=(10000, 2000),
        what="QMP human-monitor-command",
        at_least=100,
    ),
    Case(
        "qtest-io-single",
        "one WriteIo",
        lambda: ours("io-single", PORT, 2000, kind="qtest", went=("qtest", "calls", 2000)),
        lambda: qmp_ports(1000),
        amounts=(1, 1000),
        what="QMP human-monitor-command",
        at_most=0.3,
    ),
    # direct RAM
    *[
        case
        for space in ("physical", "virtual")
        for case in (
            bulk(
                f"direct-write-{space}",
                f"bulk {space} write by direct RAM",
                lambda space=space: direct_write(space),
                gdb_restore,
                "gdb restore",
                sizes=(DIRECT, 8 * MIB),
                at_least=70,
            ),
            bulk(
                f"direct-write-{space}-rate",
                "the same",
                lambda space=space: direct_write(space),
                gigabyte,
                "1 GB/s",
                sizes=(DIRECT, DIRECT),
                at_least=1,
            ),
            bulk(
                f"direct-read-{space}",
                f"bulk {space} read by direct RAM",
                lambda space=space: direct_read(space),
                gdb_dump,
                "gdb dump",
                sizes=(DIRECT, 8 * MIB),
                at_least=70,
            ),
            bulk(
                f"direct-read-{space}-rate",
                "the same",
                lambda space=space: direct_read(space),
                gigabyte,
                "1 GB/s",
                sizes=(DIRECT, DIRECT),
                at_least=1,
            ),
        )
    ],
    bulk(
        "direct-write-kvm",
        "bulk physical write by direct RAM under KVM",
        lambda: direct_write("physical", "kvm"),
        lambda: gdb_restore(accel="kvm"),
        "gdb restore",
        sizes=(DIRECT, 8 * MIB),
        at_least=70,
    ),
    bulk(
        "direct-read-memcpy",
        "64 MiB physical read by direct RAM",
        lambda: ours("read-physical", FAR, 64 * MIB, kind="direct", went=("direct-ram", "bytes_read", 64 * MIB)),
        lambda: theirs("memcpy", 64 * MIB, 5, socket="-"),
        "memcpy",
        sizes=(64 * MIB, 64 * MIB),
        at_least=0.1,
    ),
    # pmemsave
    bulk(
        "file-read-physical",
        "64 MiB physical read through a private file",
        lambda: ours("read-physical", FAR, 64 * MIB, went=("memory-file", "bytes_read", 64 * MIB)),
        lambda: 64 * MIB / 500e6,
        "500 MB/s",
        sizes=(64 * MIB, 64 * MIB),
        at_least=1,
    ),
    # the view
    Case(
        "view-scattered",
        "100,000 scattered 4-byte WriteVirtual, FlushCache",
        scattered,
        lambda: singles(0),
        amounts=(SMALL, SMALL // 5),
        what="single M round trips",
        at_least=12,
    ),
    Case(
        "view-scattered-ceiling",
        "the same",
        scattered,
        lambda: theirs("blast-scattered", BASE, SPAN, SMALL, 4),
        amounts=(SMALL, SMALL),
        what="C blaster of the same M packets",
        at_least=0.5,
    ),
    Case(
        "view-scattered-qtest",
        "the same by qtest",
        lambda: scattered("qtest"),
        lambda: singles(0),
        amounts=(SMALL, SMALL // 5),
        what="single M round trips",
        at_least=12,
    ),
    Case(
        "view-contiguous",
        "100,000 contiguous ones, FlushCache",
        lambda: contiguous(SMALL),
        lambda: singles(1),
        amounts=(SMALL, SMALL // 5),
        what="single M round trips",
        at_least=30,
    ),
    Case(
        "view-round-trip",
        "a cached call",
        lambda: ours("trips-cached", BASE, 20000, went=("rsp", "calls", 0)),
        lambda: theirs("ping-pong", 20000, 40, 17, socket="-"),
        what="ping-pong of the same bytes",
        at_most=1.5,
    ),
    Case(
        "uncached-round-trip",
        "8-byte WriteVirtualUncached",
        lambda: ours("trips-uncached", BASE, 5000, went=("rsp", "bytes_written", 8 * 5100)),
        lambda: theirs("singles", BASE, 8, 5000, 1, 8),
        amounts=(1, 5000),
        what="the stub's own",
        at_most=1.5,
    ),
    bulk(
        "view-read-ahead",
        "sequential cached reads of 256 bytes",
        lambda: ours("read-sequential", BASE, 8 * MIB, 256),
        lambda: theirs("single-reads", BASE, 2 * MIB, 256),
        "single m round trips of 256 bytes",
        sizes=(8 * MIB, 2 * MIB),
        at_least=1.5,
    ),
    # many at once
    Measured("many-idle", "an idle connection of 1,000", idle_cost, "bytes", at_most=1),
    Case(
        "many-busy",
        "100 busy connections together",
        lambda: busy(100),
        lambda: busy(1),
        what="one",
        at_least=0.9,
    ),
    Measured("many-latency", "a small call while another streams", latency_under_load, "limit", at_most=1),
    linear(
        "linear-bytes",
        "100 times the bytes",
        lambda n: rsp_write(128 * 1024 * n),
        100,
    ),
    linear("linear-dirty-lines", "10 times the dirty lines", lines_dirty, 10),
    linear("linear-calls", "100 times the calls", lambda n: contiguous(2000 * n), 100),
    map_case("map10", True),
    map_case("map100", True),
    Case(
        "map-again-ceiling",
        "the memory map read again, 100 times the regions",
        lambda: map_read("map100", True),
        qmp_map,
        what="QMP, the text alone",
        unit="us",
        at_most=2,
    ),
    map_case("map10", False),
    map_case("map100", False),
]
