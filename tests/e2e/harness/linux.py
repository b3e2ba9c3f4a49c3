"""A guest with Debian's own kernel: four processors, an initramfs of busybox, and a state in which it waits for commands.

Booting takes some seconds under emulation, so it is booted once, and every guest begins with the memory and
processors of that one, as they were then."""

import contextlib
import functools
import os
import re
import socket
import subprocess

from . import processes
from .guest import TOP
from .processes import LIMIT, Child, Lines
from .qmp import Qmp

STORE = os.environ.get("SB_LINUX_STORE") or os.path.join(TOP, "build-linux")
MACHINE = ["qemu-system-x86_64", "-M", "pc", "-smp", "4", "-m", "256", "-accel", "tcg"]
COMMAND_LINE = " ".join((
    "console=ttyS0 loglevel=0 panic=-1",  # no output but ours
    "nokaslr norandmaps randomize_kstack_offset=off",  # the same addresses each time
    "no_timer_check nowatchdog rcupdate.rcu_cpu_stall_suppress=1",  # a busy host keeps it waiting
    "maxcpus=1 mitigations=off cryptomgr.notests lsm=capability",  # done sooner
))


@functools.lru_cache(None)
def trouble():
    """Why there is no such guest here; "" where there is one."""
    made = subprocess.run(
        [os.path.join(TOP, "tests/guest/linux/build"), STORE], capture_output=True, text=True, check=False)
    return "" if made.returncode == 0 else made.stderr.strip()


class Linux:
    """QEMU with that guest, running, or with state=FILE halted as save() found it.

    ask() has the guest run a command and gives what it printed; post() and answer() do it in two steps, so that it may
    be halted in between. symbols are addresses in its kernel. endpoints for the daemon: .gdb and .qmp."""

    def __init__(self, state=None, symbols=None):
        assert not trouble(), trouble()
        self.directory = processes.directory()
        self.gdb, self.qmp = f"unix:{self.directory}/gdb.sock", f"unix:{self.directory}/qmp.sock"
        self.symbols = symbols or {}
        self.child = self.qmp_control = None
        self.stopped = False
        self._count = 0
        self._sockets = []
        try:
            self._start(state)
        except BaseException:
            self.stop()
            raise

    def _start(self, state):
        listeners = {name: self._listen(name) for name in ("serial", "control")}
        argv = MACHINE + ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
        argv += ["-kernel", f"{STORE}/bzImage", "-initrd", f"{STORE}/initramfs", "-append", COMMAND_LINE]
        argv += ["-chardev", f"socket,id=serial,path={self.directory}/serial", "-serial", "chardev:serial"]
        argv += ["-chardev", f"socket,id=control,path={self.directory}/control", "-mon", "chardev=control,mode=control"]
        argv += ["-gdb", self.gdb + ",server=on,wait=off", "-qmp", self.qmp + ",server=on,wait=off"]
        if state:
            argv += ["-S", "-incoming", f"exec:cat {state}"]
        self.child = Child(argv, self.directory, "qemu-linux")
        self._serial, _ = listeners["serial"].accept()
        listeners["serial"].close()
        self._sockets.append(self._serial)
        self.serial = Lines(self._serial.fileno())
        self.qmp_control = Qmp(listeners["control"])
        if state:
            processes.until(lambda: self.status() == "paused", "the state to be there")
        else:
            self.serial.wait_line(r"\* ready linux \S+ cpus=4", limit=10 * LIMIT)
            found = re.findall(rb"\* symbol (\S+) ([0-9a-f]+)", self.serial.data)
            self.symbols = {name.decode(): int(address, 16) for name, address in found}

    def _listen(self, name):
        listener = socket.socket(socket.AF_UNIX)
        self._sockets.append(listener)
        listener.bind(os.path.join(self.directory, name))
        listener.listen(1)
        listener.settimeout(LIMIT)
        return listener

    def status(self):
        return self.qmp_control.execute("query-status")["status"]

    def running(self):
        return self.qmp_control.execute("query-status")["running"]

    def save(self, path):
        """Halt it, and keep its state in a file."""
        self.qmp_control.execute("stop")
        self.qmp_control.execute("migrate", uri=f"exec:cat > {path}")

        def over():
            status = self.qmp_control.execute("query-migrate").get("status")
            assert status not in ("failed", "cancelled"), status
            return status == "completed"

        processes.until(over, "the state to be kept", 4 * LIMIT)

    def post(self, command):
        self._count += 1
        since = self.serial.mark()
        self._serial.sendall(f"q{self._count} {command}\n".encode())
        return self._count, since

    def answer(self, ticket, limit=4 * LIMIT):
        number, since = ticket
        return self.serial.wait_line(rf"^q{number} ok (.*)$", since, limit)[1]

    def ask(self, command):
        return self.answer(self.post(command))

    def stop(self):
        """End it if it has not ended, and leave nothing behind. Once more does no harm."""
        if self.stopped:
            return
        self.stopped = True
        try:
            if self.child is not None and self.child.pid in processes.alive:
                self.child.end()
        finally:
            if self.qmp_control is not None:
                self.qmp_control.close()
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.close()
            processes.remove(self.directory)
