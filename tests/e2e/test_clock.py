"""Deadlines, when the time of day is set while somebody waits."""

import os
import subprocess

import pytest

from harness.rpc import GO, S_FALSE, S_OK


@pytest.fixture
def clock(directory):
    """The environment of a daemon whose time of day is set by clock(seconds)."""
    library, offset = os.path.join(directory, "set_clock.so"), os.path.join(directory, "offset")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "harness", "set_clock.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, source], check=True)

    def set_to(seconds):
        with open(offset + ".new", "w", encoding="ascii") as file:
            file.write(str(seconds))
        os.rename(offset + ".new", offset)

    set_to(0)
    set_to.environment = {"LD_PRELOAD": library, "SET_CLOCK": offset}
    set_to.environment["ASAN_OPTIONS"] = "verify_asan_link_order=0:detect_leaks=1:exitcode=99"
    return set_to


def test_a_clock_set_back_makes_no_wait_longer(bridge, clock):
    made = bridge("x86_64", env=clock.environment)
    waiting, other = made.connect(), made.connect()
    wait = waiting.post("WaitForEvent", 2000)
    assert other.GetExecutionStatus() == GO
    clock(-3600)
    assert other.GetExecutionStatus() == GO
    assert waiting.answer(wait).hresult == S_FALSE
    # a deadline that is set anew counts from here
    assert waiting.call("WaitForEvent", 100).hresult == S_FALSE


def test_a_clock_set_forward_ends_no_wait(bridge, clock):
    made = bridge("x86_64", env=clock.environment)
    waiting, other = made.connect(), made.connect()
    wait = waiting.post("WaitForEvent", 600_000)
    assert other.GetExecutionStatus() == GO
    clock(3600)
    assert other.GetExecutionStatus() == GO
    assert other.call("WaitForEvent", 100).hresult == S_FALSE
    other.SetInterrupt()
    assert waiting.answer(wait).hresult == S_OK


def test_the_end_is_not_put_off(bridge, clock):
    """A daemon that is told to end does so though the clock jumps."""
    made = bridge("x86_64", env=clock.environment)
    waiting = made.connect()
    waiting.post("WaitForEvent", 2**32 - 1)
    clock(-7200)
    made.daemon.stop()
