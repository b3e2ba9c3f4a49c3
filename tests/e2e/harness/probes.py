"""What the QEMU at hand does where versions differ, asked of it (and never of its version): a table of probes, so
that a test holds on all of them."""

import collections
import functools
import os

from . import processes
from .gdb import Gdb
from .processes import Child, until

# The HPET takes accesses of 4 and 8 bytes, and no others.
_REGISTER = 0xFED00010

Tells = collections.namedtuple("Tells", "virtual_read virtual_write physical_read physical_write")


@functools.lru_cache(None)
def tells():
    """Does the stub answer with an error what a device refuses? Of a machine of its own, halted before its first
    instruction, where virtual addresses are physical ones."""
    directory = processes.directory()
    path = os.path.join(directory, "gdb")
    argv = ["qemu-system-x86_64", "-M", "pc", "-S", "-nodefaults", "-no-user-config", "-display", "none"]
    child = Child(argv + ["-gdb", f"unix:{path},server=on,wait=off"], directory, "qemu that is asked")
    try:
        until(lambda: os.path.exists(path), "the stub to listen")
        stub = Gdb(f"unix:{path}")
        try:
            answers = []
            for physical in (0, 1):
                assert stub.ask(f"Qqemu.PhyMemMode:{physical}") == "OK"
                answers += [stub.ask(f"m{_REGISTER:x},1"), stub.ask(f"M{_REGISTER:x},1:00")]
        finally:
            stub.close()
    finally:
        child.kill()
        processes.remove(directory)
    assert {answer for answer in answers} <= {"00", "OK", "E14"}, answers
    return Tells(*(answer == "E14" for answer in answers))
