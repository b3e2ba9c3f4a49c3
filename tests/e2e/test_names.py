"""A target by its host name, when the name servers are silent: nobody waits for them but the attempt itself."""

import os
import subprocess

import pytest

from harness.processes import until
from harness.rpc import CallFailed, E_UNEXPECTED


@pytest.fixture
def names(directory):
    """The environment of a daemon whose name servers fall silent on names.stop() and speak again on names.go()."""

    class Names:
        library, path = os.path.join(directory, "slow_names.so"), os.path.join(directory, "servers")
        environment = {
            "LD_PRELOAD": library,
            "SLOW_NAMES": path,
            "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=1:exitcode=99",
        }

        def stop(self):
            os.mkfifo(self.path)

        def asked(self):
            return os.path.exists(self.path + ".asked")

        def go(self):
            os.rename(self.path, self.path + ".gone")  # later questions find no FIFO
            while True:
                try:
                    os.close(os.open(self.path + ".gone", os.O_WRONLY | os.O_NONBLOCK))
                except OSError:
                    return  # nobody waits any more

    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "harness", "slow_names.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", Names.library, source, "-ldl"], check=True)
    return Names()


def by_name(endpoint):
    return endpoint.replace("127.0.0.1", "guest.test")


def test_clients_are_served_while_a_name_is_asked_for(new_guest, new_daemon, names):
    guest = new_guest("x86_64", tcp=True)
    daemon = new_daemon(gdb=by_name(guest.gdb), qmp=by_name(guest.qmp), env=names.environment)
    with daemon.connect() as rpc:
        assert rpc.GetNumberProcessors() == 2
        names.stop()
        guest.kill()
        until(names.asked, "the daemon to ask for the name again")
        # the question waits, and the daemon does not
        with pytest.raises(CallFailed) as refused:
            rpc.ReadVirtual(guest.map.a, 4)
        assert refused.value.hresult == E_UNEXPECTED
        with daemon.connect() as other:
            other.Hello("another", 1)
        guest.launch()
        names.go()
        until(lambda: "attached" in daemon.log.split("lost")[-1], "the daemon to attach again")
        assert rpc.GetNumberProcessors() == 2


def test_the_end_does_not_wait_for_a_name(new_guest, new_daemon, names):
    guest = new_guest("x86_64", tcp=True)
    daemon = new_daemon(gdb=by_name(guest.gdb), qmp=by_name(guest.qmp), env=names.environment)
    names.stop()
    guest.kill()
    until(names.asked, "the daemon to ask for the name again")
    daemon.stop()
    names.go()
