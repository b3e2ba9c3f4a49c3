"""Everybody at once resumes, steps, halts and resets: what the bridge says of the target is what QEMU says.

The walk of a seed is the same in each run as far as what is asked for goes; what comes of it is up to the clock.
SB_RUN_STATE_ROUNDS: rounds of each walk (12)."""

import os
import random
import struct

import pytest
from harness import processes
from harness.gdb import Closed, Gdb
from harness.rpc import BREAK, GO, STEP_INTO, CallFailed

ROUNDS = int(os.environ.get("SB_RUN_STATE_ROUNDS", "12"))
ACTIONS_MOST = 5


class Debugger:
    """A gdb that takes what comes: it resumes or steps when it waits for nothing, else it interrupts. One whose
    connection ended with the target's (a resume by another may swallow a request) does nothing until it is revived."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.gdb = None
        self.revive()

    def revive(self):
        if self.gdb is not None:
            return
        try:
            self.gdb, self.waits = Gdb(self.endpoint), False
            self.gdb.ask("?")
        except (Closed, OSError):  # lost once more
            self.close()

    def close(self):
        if self.gdb is not None:
            self.gdb.close()
            self.gdb = None

    def take(self):
        """Whatever has come by now. Any reply but console output ends the wait."""
        try:
            while self.gdb is not None and (packet := self.gdb.packet(0.01)) is not None:
                if not packet.startswith(b"O"):
                    self.waits = False
        except (Closed, OSError):
            self.close()

    def act(self, draw):
        self.take()
        request = draw.choice(["vCont;c", "vCont;s:1", "vCont;s:1", "c"])
        try:
            if self.gdb is not None and self.waits:
                self.gdb.interrupt()
            elif self.gdb is not None:
                self.gdb.send(request)
                self.waits = True
        except OSError:
            self.close()


def caller(rpc, draw):
    """One call that changes the state, or is refused for the state it finds."""
    try:
        choice = draw.randrange(3)
        if choice == 0:
            rpc.SetInterrupt()
        else:
            rpc.SetExecutionStatus(GO if choice == 1 else STEP_INTO)
    except CallFailed:
        pass


def monitor(qmp, draw):
    qmp.execute(draw.choice(["stop", "stop", "cont", "cont", "cont", "system_reset"]))


def agree(pc, rpc):
    """Do both say the same? None that changes while it is asked."""
    before = pc.guest.running()
    try:
        told = rpc.GetExecutionStatus()
    except CallFailed:
        return False  # lost, and attached to again soon
    return told == (GO if before else BREAK) and pc.guest.running() is before


@pytest.mark.parametrize("seed", range(1, 5))
def test_random_walk(bridge, seed):
    pc = bridge("x86_64")
    draw = random.Random(seed)
    first, second = pc.connect(), pc.connect()
    debugger = Debugger(pc.daemon.endpoints["stub"][0])
    actors = [
        lambda: caller(first, draw),
        lambda: caller(second, draw),
        lambda: debugger.act(draw),
        lambda: monitor(pc.guest.qmp_control, draw),
    ]
    for number in range(ROUNDS):
        for _ in range(draw.randint(1, ACTIONS_MOST)):
            draw.choice(actors)()
        processes.until(lambda: agree(pc, first), f"one truth, seed {seed}, round {number}")
        debugger.take()
        debugger.revive()
    debugger.close()
    assert "error target: run state" not in pc.daemon.log, "a move that is not allowed"


@pytest.mark.parametrize("seed", range(11, 13))
def test_random_walk_without_a_debugger(bridge, seed):
    """Two callers and the monitor: a debugger's leaving and its waits are out of the way."""
    pc = bridge("x86_64")  # its own: a guest that was reset listens to nobody while it boots
    draw = random.Random(seed)
    first, second = pc.connect(), pc.connect()
    for number in range(ROUNDS):
        for _ in range(draw.randint(1, ACTIONS_MOST)):
            draw.choice(
                [lambda: caller(first, draw), lambda: caller(second, draw), lambda: monitor(pc.guest.qmp_control, draw)]
            )()
        processes.until(lambda: agree(pc, second), f"one truth, seed {seed}, round {number}")


@pytest.mark.parametrize("halted_again", ("resume", "step"))
def test_shut_down(bridge, halted_again):
    """A guest that has shut itself down (-no-shutdown) is asleep, and halted for everybody. QEMU swallows a resume
    without a word; a reset wakes it."""
    pc = bridge("x86_64", extra=("-no-shutdown",), options=("--log-level", "trace"))
    rpc = pc.connect()
    rpc.WriteIo(1, 0, 1, 0x604, struct.pack("<H", 0x2000))  # PM1a_CNT: SLP_EN, S5
    processes.until(lambda: pc.guest.qmp_control.execute("query-status")["status"] == "shutdown", "S5")
    processes.until(lambda: "seen to be asleep" in pc.daemon.log, "told apart from any other halt")
    assert rpc.GetExecutionStatus() == BREAK
    rpc.SetExecutionStatus(GO if halted_again == "resume" else STEP_INTO)
    assert "shutdown" in rpc.WaitForEvent(round(processes.LIMIT * 1000))
    assert rpc.GetExecutionStatus() == BREAK and not pc.guest.running()
    pc.guest.qmp_control.execute("system_reset")
    processes.until(lambda: "no longer asleep" in pc.daemon.log, "woken")
    rpc.SetExecutionStatus(GO)
    processes.until(pc.guest.running, "it runs again")
    assert rpc.GetExecutionStatus() == GO
    assert "error target: run state" not in pc.daemon.log
