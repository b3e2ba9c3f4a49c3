"""The debuggers that are here: the system's, and newer ones from the folders that SB_DEBUGGERS names (as PATH does)."""

import os
import shutil

import pytest

SYSTEM = {"gdb": ("gdb",), "lldb": ("lldb-14", "lldb")}


def find(kind, newer=False):
    """The program, by its path; None where there is none."""
    if not newer:
        return next(filter(None, map(shutil.which, SYSTEM[kind])), None)
    return shutil.which(kind, path=os.environ.get("SB_DEBUGGERS", ""))


def wanted(kind, newer=False):
    """The same, for a test that is skipped without it."""
    path = find(kind, newer)
    if path is None:
        pytest.skip(f"no folder of SB_DEBUGGERS has {kind}" if newer else f"no {kind} here")
    return path
