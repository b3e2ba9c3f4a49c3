"""Which thread an attach or an interrupt is about: the one that the client has selected, or the first. QEMU names the
processor that it resumed last, from 8.2 on, and from 11 on none in its reply to `?`."""

import contextlib
import re
import shutil
import struct

import pytest
from harness import processes
from harness.gdb import GDB, IDA, Gdb, thread_of
from harness.guest import BARE
from test_gdb import printed, run_gdb, show
from test_lldb import LLDB, run_lldb

SMP = ["-smp", "4"]


@pytest.fixture
def four(bridge):
    return bridge("x86_64", extra=SMP)


@contextlib.contextmanager
def clients(made, *hellos):
    """Clients that each begin so, and a function that has one resume the guest and stop it."""
    made_clients = [Gdb(made.daemon.endpoints["stub"][0], hello=hello) for hello in hellos]

    def stop(client):
        client.go()
        processes.until(made.guest.running, "the guest to run")
        return client.stop()

    try:
        yield (*made_clients, stop)
    finally:
        for client in made_clients:
            client.close()


@pytest.mark.parametrize("hello", [None, IDA])
def test_attach_and_interrupt(four, hello):
    with clients(four, hello) as (client, stop):
        assert client.ask("?") == "T02thread:1;"
        assert client.ask("qC") == "QC1"
        assert stop(client) == "T02thread:1;"
        assert client.ask("Hg3") == "OK"
        assert stop(client) == "T02thread:3;"
        assert client.ask("qC") == "QC3"
        assert client.ask("Hg0") == "OK" and client.ask("Hc2") == "OK"
        assert stop(client) == "T02thread:2;"


def test_gdbs_form_and_two_clients(four):
    with clients(four, GDB, None) as (one, other, stop):
        assert one.ask("Hgp0.0") == "OK"
        assert thread_of(one.ask("?")) == "p1.1"
        assert other.ask("?") == "T02thread:1;"
        assert one.ask("Hgp1.4") == "OK"
        other.send("c")
        assert thread_of(stop(one)) == "p1.4"
        assert other.reply() == "T02thread:1;"
        assert one.ask("qC") == "QCp1.4" and other.ask("qC") == "QC1"


def test_a_step_is_the_processors_own(four):
    """One's step of another processor, while the other has the first selected."""
    with clients(four, None, None) as (one, other, _):
        assert one.ask("?") == other.ask("?") == "T02thread:1;"
        # the test kernel's second processor spins, so that it can be stepped
        one.send("vCont;s:2")
        assert thread_of(one.reply()) == "2"
        assert one.ask("qC") == "QC2"
        assert other.ask("qC") == "QC1"


def test_gdb_begins_with_the_first(four):
    output = run_gdb(
        four.daemon.endpoints["stub"][0],
        [
            'printf "begins=%d\\n", $_thread',
            "thread 3",
            "python import threading, os, signal",
            "python timer = threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)); timer.start()",
            "continue",
            'printf "stops=%d\\n", $_thread',
            "thread 1",
            "stepi",
            'printf "steps=%d\\n", $_thread',
        ],
    )
    assert printed(output, "begins") == "1", output
    assert printed(output, "stops") == "3", output
    assert printed(output, "steps") == "1", output


@pytest.mark.skipif(LLDB is None, reason="no lldb here")
def test_lldb_counts_from_the_first(four):
    output = run_lldb(four.daemon.endpoints["stub"][0], ["thread list", "detach"])
    assert re.search(r"^\* thread #1: tid = 0x0001", output, re.MULTILINE), output
    for number in range(2, 5):
        assert f"thread #{number}: tid = 0x000{number}" in output, output


def test_a_step_on_risc_v(bridge):
    """Where all but one wait for the first: gdb's first stepi used to be the last one's, and never ended."""
    program = BARE["riscv64"][0]
    if shutil.which(program) is None or shutil.which("gdb-multiarch") is None:
        pytest.skip(f"there is no {program}, or no gdb-multiarch")
    made = bridge("riscv64", kernel_image=False, paused=True, extra=["-bios", "none"])
    with made.connect() as rpc:
        # csrr t0, mhartid; bnez t0, 1f; 0: nop; j 0b; 1: wfi; j 1b
        code = (0xF14022F3, 0x00029663, 0x00000013, 0xFFDFF06F, 0x10500073, 0xFFDFF06F)
        rpc.WritePhysical(0x80000000, struct.pack("<6I", *code))
        rpc.go()
    processes.until(made.guest.running, "the guest to run")
    output = run_gdb(
        made.daemon.endpoints["stub"][0],
        [
            'printf "begins=%d\n", $_thread',
            show("first", "$pc"),
            "stepi",
            show("second", "$pc"),
            'printf "steps=%d\n", $_thread',
        ],
        program="gdb-multiarch",
    )
    assert printed(output, "begins") == printed(output, "steps") == "1", output
    assert {printed(output, "first"), printed(output, "second")} == {"0x80000008", "0x8000000c"}, output
