"""Without QMP: did the guest run before the daemon's connect, which halts it? Found out where anything tells, else
said by --found, else refused."""

import re

import pytest
from harness import processes
from harness.rpc import BREAK, GO
from test_run import moves


@pytest.fixture
def attach(new_daemon):
    """A factory of daemons without a monitor that are told nothing but what the options say."""

    def make(guest, *options, ready=True):
        return new_daemon(guest, qmp="", found=False, options=options, ready=ready)

    return make


def state(daemon):
    with daemon.connect() as rpc:
        return rpc.GetExecutionStatus()


def is_refused(daemon):
    """It ends, and says what happened, what to do, and how to do without."""
    assert daemon.child.wait() == 1
    for words in ("may be halted now", "'cont' in its monitor", "--found running or --found halted"):
        assert words in daemon.log
    daemon.stop()


def test_a_running_guest(new_guest, attach):
    guest = new_guest()
    if guest.tells_every_stop():
        daemon = attach(guest)
        assert state(daemon) == GO and moves(guest)
        return
    is_refused(attach(guest, ready=False))
    assert not guest.running()  # as it says
    guest.qmp_control.execute("cont")
    assert moves(guest)


@pytest.mark.parametrize("keep", ["keep", "halt"])
def test_a_running_guest_as_it_was_said(new_guest, attach, keep):
    guest = new_guest()
    daemon = attach(guest, "--found", "running", "--attach", keep)
    assert state(daemon) == (GO if keep == "keep" else BREAK)
    assert guest.running() is (keep == "keep")
    daemon.stop()
    assert guest.running() and moves(guest)


def test_a_halted_guest(new_guest, attach):
    guest = new_guest()
    guest.qmp_control.execute("stop")
    if guest.tells_every_stop():
        assert state(attach(guest)) == BREAK
    else:
        is_refused(attach(guest, ready=False))
    assert not guest.running() and not moves(guest)


def test_a_halted_guest_as_it_was_said(new_guest, attach, directory):
    guest = new_guest()
    guest.qmp_control.execute("stop")
    with open(f"{directory}/config", "w", encoding="utf-8") as file:
        file.write("found = halted\n")
    daemon = attach(guest, "--config", f"{directory}/config")
    assert state(daemon) == BREAK
    with daemon.connect() as rpc:
        rpc.go()
    daemon.stop()
    assert not guest.running()


def test_a_guest_that_never_ran(new_guest, attach):
    guest = new_guest(paused=True)
    assert state(attach(guest)) == BREAK
    assert guest.qmp_control.execute("query-status")["status"] == "prelaunch"


def test_a_guest_that_a_client_left_at_a_breakpoint(new_guest, new_daemon, attach):
    """QEMU keeps breakpoints beyond a connection; the stop is older than the connect, and says so."""
    guest = new_guest()
    first = new_daemon(guest)
    with first.connect() as rpc:
        rpc.halt()
        rpc.SetExecutionStatus(5)  # a step
        processes.until(lambda: rpc.GetExecutionStatus() == BREAK, "the end of the step")
        assert guest.qmp_control.execute("query-status")["status"] == "debug"
        first.child.kill()
    first.stopped = True
    processes.remove(first.directory)
    assert state(attach(guest)) == BREAK


def test_what_is_found_out_counts_more(new_guest, new_daemon):
    guest = new_guest()
    daemon = new_daemon(guest, options=["--found", "halted"])
    with daemon.connect() as rpc:
        processes.until(lambda: rpc.GetExecutionStatus() == GO, "the state")
    assert moves(guest)


def cut(guest):
    """QEMU ends the stub's connection, and serves the next."""
    guest.qmp_control.human("gdbserver none")
    guest.qmp_control.human(f"gdbserver {guest.gdb},server=on,wait=off")


@pytest.mark.parametrize("running", [True, False])
def test_after_a_loss_it_is_the_same_guest(new_guest, attach, running):
    """And goes on as it was left, whatever was said of the first attach."""
    guest = new_guest()
    daemon = attach(guest, "--found", "running")
    if not running:
        with daemon.connect() as rpc:
            rpc.halt()
    cut(guest)
    processes.until(lambda: daemon.log.count("attached to QEMU") == 2, "the second attach")
    with daemon.connect() as rpc:
        processes.until(lambda: rpc.GetExecutionStatus() == (GO if running else BREAK), "the state")
    assert moves(guest) is running
    daemon.stop()
    assert guest.running()  # as it was found first


@pytest.mark.parametrize("said", [False, True])
def test_after_a_loss_it_is_another_guest(new_guest, attach, said):
    """Which runs. What was said of guests holds for it too; else it is halted by one attempt and no more."""
    guest = new_guest(paused=True)
    daemon = attach(guest, *(["--found", "running"] if said else []))
    assert state(daemon) == BREAK
    guest.kill()
    guest.argv.remove("-S")
    guest.boots = False
    guest.launch()
    if said or guest.tells_every_stop():
        processes.until(lambda: daemon.log.count("attached to QEMU") == 2, "the second attach")
        with daemon.connect() as rpc:
            processes.until(lambda: rpc.GetExecutionStatus() == GO, "the state")
        assert guest.running()
        return
    processes.until(lambda: "not trying any more" in daemon.log, "the refusal")
    assert len(re.findall("--found running or --found halted", daemon.log)) == 1
    guest.qmp_control.execute("cont")
    guest.wait_ready()
    assert guest.running() and moves(guest)


@pytest.mark.parametrize("value", ["", "Running", "keep", "running "])
def test_other_words(new_guest, attach, value):
    daemon = attach(new_guest(), "--found", value, ready=False)
    assert daemon.child.wait() == 2
    assert "neither running nor halted" in daemon.log
    daemon.stop(code=2)
