"""A guest under QEMU: the test kernel of tests/guest, or a machine with none (kernel=None)."""

import contextlib
import functools
import itertools
import os
import re
import socket
import subprocess
import zlib
from collections import namedtuple

from . import processes
from .processes import LIMIT, Child, Lines
from .qmp import Qmp

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
PAGE = 4096


class Map:
    """The map of tests/guest/README.md as constants. The names are that page's."""

    def __init__(self, window, ram, rom, nowhere, high, top):
        self.window, self.ram = window, ram
        self.a, self.b, self.hole, self.c = (window + i * PAGE for i in range(4))
        self.read_only, self.per_cpu, self.nowhere, self.flip = (window + i * PAGE for i in range(4, 8))
        self.rom, self.mailbox, self.code = (window + i * PAGE for i in range(8, 11))
        # the same in physical memory
        self.a_physical, self.b_physical, self.c_physical = ram, ram + 0x3000, ram + 0x1000
        self.read_only_physical, self.flip_physical = ram + 0x4000, ram + 0x7000
        self.per_cpu_physical = (ram + 0x5000, ram + 0x6000)
        self.mailbox_physical, self.code_physical = ram + 0x9000, ram + 0xA000
        self.rom_physical, self.nowhere_physical = rom, nowhere
        self.high, self.top, self.top_physical = high, top, ram + 0xB000
        # PC only
        self.bulk, self.bulk_physical, self.bulk_size = 0x40400000, 0x01400000, 0x400000
        self.hpet, self.ioapic, self.lapic, self.edu, self.testdev = (0x50000000 + i * PAGE for i in range(5))
        self.frame, self.frame_size = 0x50100000, 0x10000
        self.hpet_physical, self.ioapic_physical, self.lapic_physical = 0xFED00000, 0xFEC00000, 0xFEE00000
        # aarch64 only
        self.pl011, self.pl011_physical = 0x140000000, 0x09000000
        self.rtc, self.rtc_physical = 0x140001000, 0x09010000


MAPS = {
    "x86_64": Map(0x40000000, 0x01000000, 0xFFFFF000, 0x30000000, 0xFFFF800000000000, 0xFFFFFFFFFFFFF000),
    "i386": Map(0x40000000, 0x01000000, 0xFFFFF000, 0x30000000, 0xC0000000, 0xFFFFF000),
    "aarch64": Map(0x100000000, 0x41000000, 0, 0x0F000000, 0xFFFFFF8000000000, None),
    "ppc": Map(0x01000000, 0x01000000, None, None, None, None),
}
PORT_DEBUGCON, PORT_EXIT = 0xE9, 0xF4

PC = ["-M", "pc", "-smp", "2", "-vga", "std", "-device", "edu", "-device", "pci-testdev,membar=65536"]
MACHINES = {
    "x86_64": ["qemu-system-x86_64"] + PC,
    "i386": ["qemu-system-i386"] + PC,
    "aarch64": ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57"],
    "ppc": ["qemu-system-ppc", "-M", "bamboo"],
}
# Machines for which there is no test kernel.
BARE = {
    "mips": ["qemu-system-mips", "-M", "malta"],
    "mipsel": ["qemu-system-mipsel", "-M", "malta"],
    "mips64": ["qemu-system-mips64", "-M", "malta"],
    "mips64el": ["qemu-system-mips64el", "-M", "malta"],
    "sh4": ["qemu-system-sh4", "-M", "r2d"],
    "sh4eb": ["qemu-system-sh4eb", "-M", "r2d"],
    "xtensa": ["qemu-system-xtensa", "-M", "sim"],
    "xtensaeb": ["qemu-system-xtensaeb", "-M", "sim"],
    "microblaze": ["qemu-system-microblaze", "-M", "petalogix-s3adsp1800"],
    "microblazeel": ["qemu-system-microblazeel", "-M", "petalogix-s3adsp1800"],
    "alpha": ["qemu-system-alpha", "-M", "clipper"],
    "m68k": ["qemu-system-m68k", "-M", "virt"],
    "riscv64": ["qemu-system-riscv64", "-M", "virt", "-smp", "4"],
}

# What builds the kernels of other processors than a PC's.
COMPILERS = {"aarch64": ("aarch64-linux-gnu-gcc",), "ppc": ("powerpc-linux-gnu-gcc",)}

_kernels = {}
_kernel_directory = None


def kernel(arch):
    """The test kernel of that architecture, built when first asked for."""
    global _kernel_directory
    if arch not in _kernels:
        processes.need(*COMPILERS.get(arch, ("gcc", "objcopy")))
        if _kernel_directory is None:
            _kernel_directory = processes.directory()
        done = subprocess.run(
            [os.path.join(TOP, "tests/guest/build"), _kernel_directory, arch],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"the {arch} guest does not build:\n{done.stderr}"
        _kernels[arch] = os.path.join(_kernel_directory, arch)
    return _kernels[arch]


def forget_kernels():
    global _kernel_directory
    if _kernel_directory is not None:
        processes.remove(_kernel_directory)
        _kernel_directory = None
        _kernels.clear()


@functools.lru_cache(None)
def kvm_trouble():
    """Why guests cannot run under KVM here; "" where they can: the test kernel boots in one."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "there is no /dev/kvm that we may use"
    try:
        Guest("x86_64", accel="kvm").stop()
    except (TimeoutError, OSError, AssertionError) as error:
        return f"the test kernel does not boot under KVM: {str(error)[:200]}"
    return ""


class GuestFault(Exception):
    """The guest's own access faulted."""


# One access of a device's registers as QEMU saw it. cpu is -1 when no processor made it.
Access = namedtuple("Access", "kind cpu address value size name")
_ACCESS = re.compile(
    r"memory_region_ops_(read|write) cpu (-?\d+) mr \S+ addr 0x([0-9a-f]+) value 0x([0-9a-f]+) size (\d+) name '([^']*)'"
)


class Guest:
    """QEMU with a guest in it.

    arch          x86_64, i386, aarch64 or ppc; without a kernel those of BARE, too
    kernel_image  False: nothing is booted
    paused        start halted, before the first instruction (-S)
    tcp           the GDB stub and the monitor listen on TCP ports of the loopback instead of unix sockets
    accel         "tcg", or "kvm" where kvm_trouble() says nothing
    extra         more QEMU options
    by_daemon     the daemon is to start it: give it .argv as its command, then call .arrived()

    endpoints for the daemon: .gdb and .qmp; sockets live in .directory.
    """

    def __init__(
        self, arch="x86_64", kernel_image=True, paused=False, tcp=False, extra=(), by_daemon=False, accel="tcg"
    ):
        self.machine = list(MACHINES.get(arch) or BARE[arch])
        processes.need(self.machine[0])
        self.arch = arch
        self.map = MAPS.get(arch)
        image = kernel(arch) if kernel_image else None
        self.directory = processes.directory()
        self.bars = {}
        self.boots = kernel_image and not paused
        self.child = None
        self._ids = itertools.count(1)
        self._sockets = []
        self._listeners = {}
        self.qmp_control = None
        self.trace_path = os.path.join(self.directory, "trace.log")
        argv = self.machine + ["-accel", accel, "-m", "64", "-nodefaults", "-no-user-config", "-display", "none"]
        argv += ["-trace", f"file={self.trace_path}"]
        argv += ["-chardev", f"socket,id=serial,path={self.directory}/serial", "-serial", "chardev:serial"]
        argv += ["-chardev", f"socket,id=control,path={self.directory}/control", "-mon", "chardev=control,mode=control"]
        if self.is_pc:
            argv += ["-chardev", f"socket,id=debugcon,path={self.directory}/debugcon"]
            argv += ["-device", f"isa-debugcon,iobase={PORT_DEBUGCON:#x},chardev=debugcon"]
            argv += ["-device", f"isa-debug-exit,iobase={PORT_EXIT:#x},iosize=4"]
        if image:
            argv += ["-kernel", image]
        if paused:
            argv += ["-S"]
        self.argv = argv + list(extra)
        if by_daemon:
            self._listen()
            return
        gdb, qmp = self._upstream(tcp)
        self.argv += ["-gdb", gdb, "-qmp", qmp]
        try:
            self.launch()
        except BaseException:
            self.stop()
            raise

    def launch(self):
        """Start QEMU, at first or again after its end."""
        self._close()
        self._listen()
        self.child = Child(self.argv, self.directory, "qemu")
        self.arrived()

    def arrived(self):
        """QEMU has been started: wait until it is up."""
        self._serial_socket, self.serial = self._accept("serial")
        if self.is_pc:
            _, self.debugcon = self._accept("debugcon")
        self.qmp_control = Qmp(self._listeners.pop("control"))
        if self.boots:
            self.wait_ready()

    def _upstream(self, tcp):
        if not tcp:
            self.gdb = f"unix:{self.directory}/gdb.sock"
            self.qmp = f"unix:{self.directory}/qmp.sock"
            return self.gdb + ",server=on,wait=off", self.qmp + ",server=on,wait=off"
        ports = []
        for _ in range(2):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ports.append(probe.getsockname()[1])
        self.gdb, self.qmp = (f"tcp:127.0.0.1:{port}" for port in ports)
        return self.gdb + ",server=on,wait=off", self.qmp + ",server=on,wait=off"

    @property
    def is_pc(self):
        return self.arch in ("x86_64", "i386")

    def _listen(self):
        """QEMU connects to us, so that nothing it says is lost."""
        for name in ("serial", "control") + (("debugcon",) if self.is_pc else ()):
            path = os.path.join(self.directory, name)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            self._listeners[name] = socket.socket(socket.AF_UNIX)
            self._listeners[name].bind(path)
            self._listeners[name].listen(1)
            self._listeners[name].settimeout(LIMIT)

    def _accept(self, name):
        listener = self._listeners.pop(name)
        try:
            connection, _ = listener.accept()
        except socket.timeout:
            errors = self.child.errors if self.child else "see the daemon's log"
            raise TimeoutError(f"QEMU did not start: {errors}") from None
        finally:
            listener.close()
        self._sockets.append(connection)
        return connection, Lines(connection.fileno())

    def _close(self):
        if self.qmp_control is not None:
            self.qmp_control.close()
            self.qmp_control = None
        for connection in self._sockets + list(self._listeners.values()):
            connection.close()
        self._sockets.clear()
        self._listeners.clear()

    # what the guest says

    def wait_ready(self, since=0):
        """Wait until the kernel is up, after a start or a reset."""
        self.serial.wait_line(rf"\* ready {self.arch} ", since)
        bars = re.findall(rb"\* bars edu=(\S+) testdev=(\S+) frame=(\S+)", self.serial.data)
        if bars:
            self.bars = dict(zip(("edu", "testdev", "frame"), (int(x, 16) for x in bars[-1])))

    def ask(self, command, limit=LIMIT):
        """Have the running guest carry out a command of tests/guest/README.md; the result's text."""
        return self.answer(self.post(command), limit)

    def post(self, command):
        """The same for a guest that may be halted: it answers when it runs again. Returns a ticket."""
        number = f"q{next(self._ids)}"
        since = self.serial.mark()
        self._serial_socket.sendall(f"{number} {command}\n".encode())
        return number, since, command

    def answer(self, ticket, limit=LIMIT):
        number, since, command = ticket
        answer = self.serial.wait_line(rf"{number} (ok|fault|bad) ?(.*)", since, limit)
        if answer[1] == "fault":
            raise GuestFault(command)
        assert answer[1] == "ok", f"the guest does not know {command!r}"
        return answer[2]

    def read(self, address, length):
        """The bytes that the guest loads there."""
        data = b""
        while length > 0:
            piece = min(length, PAGE)
            data += bytes.fromhex(self.ask(f"read {address:#x} {piece}"))
            address, length = address + piece, length - piece
        return data

    def phys(self, address, length):
        """The bytes that the guest loads from physical memory, through a page that it maps there."""
        return bytes.fromhex(self.ask(f"phys {address:#x} {length}"))

    def write(self, address, data):
        self.ask(f"write {address:#x} {bytes(data).hex()}")

    def load(self, width, address, cpu=0):
        return int(self.ask(f"cpu {cpu} load {width} {address:#x}"), 16)

    def store(self, width, address, value, cpu=0):
        self.ask(f"cpu {cpu} store {width} {address:#x} {value:#x}")

    def fill(self, address, length, byte=0):
        self.ask(f"fill {address:#x} {length} {byte}")

    def holds(self, address, data):
        """Does the guest see exactly these bytes? For many, by checksum."""
        return int(self.ask(f"sum {address:#x} {len(data)}"), 16) == zlib.crc32(data)

    def beat(self, cpu=0):
        return int(self.ask(f"beat {cpu}"), 16)

    # what QEMU says

    def running(self):
        return self.qmp_control.execute("query-status")["running"]

    def tells_every_stop(self):
        """Does its stub tell of the stop that connecting causes? From 8.1 on it does not."""
        version = self.qmp_control.execute("query-version")["qemu"]
        return (version["major"], version["minor"]) < (8, 1)

    def physical(self, address, length):
        """Physical memory as QEMU itself has it, running or not. Not for device registers."""
        path = os.path.join(self.directory, "pmemsave")
        self.qmp_control.execute("pmemsave", val=address, size=length, filename=path)
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
        return data

    def page_entry(self, address, cpu=0):
        """The physical address of the page table entry of a 4 KiB page (PC)."""
        registers = self.qmp_control.execute(
            "human-monitor-command", command_line="info registers", cpu_index=cpu
        )
        table = int(re.search(r"CR3=([0-9a-f]+)", registers)[1], 16)
        levels, bits, width = (4, 9, 8) if self.arch == "x86_64" else (2, 10, 4)
        for level in reversed(range(levels)):
            entry = (table & ~0xFFF) + (address >> (12 + level * bits) & ((1 << bits) - 1)) * width
            table = int.from_bytes(self.physical(entry, width), "little")
        return entry

    @contextlib.contextmanager
    def accesses(self, reads=False, own=False):
        """with guest.accesses() as seen: ...  Afterwards `seen` lists what devices were written (with
        reads=True read, too) meanwhile, port writes included, except by the guest's own processors; with own=True
        by those alone."""
        events = ["memory_region_ops_write"] + (["memory_region_ops_read"] if reads else [])
        seen = []
        start = os.path.getsize(self.trace_path) if os.path.exists(self.trace_path) else 0
        for event in events:
            self.qmp_control.execute("trace-event-set-state", name=event, enable=True)
        try:
            yield seen
        finally:
            for event in events:
                self.qmp_control.execute("trace-event-set-state", name=event, enable=False)
        with open(self.trace_path, encoding="utf-8", errors="replace") as file:
            file.seek(start)
            for kind, cpu, address, value, size, name in _ACCESS.findall(file.read()):
                access = Access(kind, int(cpu), int(address, 16), int(value, 16), int(size), name)
                if (access.cpu >= 0) == own:
                    seen.append(access)

    # its end

    def kill(self):
        """As if QEMU had crashed."""
        return self.child.kill()

    def stop(self):
        """End QEMU if it has not ended, and leave nothing behind."""
        try:
            if self.child is not None and self.child.pid in processes.alive:
                self.child.end()
        finally:
            self._close()
            processes.remove(self.directory)
