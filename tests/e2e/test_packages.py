"""qemu-scripts/install-packages, with a package system that is made up: what is installed, what apt has, and who asks."""

import os
import subprocess

import pytest
from harness.guest import TOP

SCRIPT = os.path.join(TOP, "qemu-scripts", "install-packages")
FAKES = {
    "dpkg-query": 'for last; do :; done; grep -qx "$last" "$WORLD/installed" && printf installed',
    "apt-cache": 'grep -qx "$2" "$WORLD/known" 2>/dev/null && printf "%s:\\n  Candidate: 1.0\\n" "$2" || printf "%s:\\n  Candidate: (none)\\n" "$2"',
    "id": 'cat "$WORLD/uid"',
    "apt-get": """echo "$*" >>"$WORLD/asked"
case "$1" in
update) [ ! -e "$WORLD/after" ] || cp "$WORLD/after" "$WORLD/known" ;;
install) shift; for word; do case "$word" in -*) ;; *) grep -qx "$word" "$WORLD/known" || exit 100; echo "$word" >>"$WORLD/installed" ;; esac; done ;;
esac""",
}
BUILD = (
    "autoconf automake libtool pkg-config make gcc libc6-dev libev-dev libjansson-dev libexpat1-dev uthash-dev "
    "libinih-dev libsystemd-dev"
).split()


class World:
    """A system: installed and known (to apt) are lists of packages; after: known after apt-get update."""

    def __init__(self, directory, uid=0, installed=(), known=(), after=None):
        self.directory = directory
        for name, body in FAKES.items():
            path = os.path.join(directory, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"#!/bin/sh\n{body}\n")
            os.chmod(path, 0o755)
        files = {"installed": installed, "known": known, "asked": (), "uid": (str(uid),)}
        if after is not None:
            files["after"] = after
        for name, lines in files.items():
            with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                file.writelines(line + "\n" for line in lines)

    def lines(self, name):
        with open(os.path.join(self.directory, name), encoding="utf-8") as file:
            return file.read().splitlines()

    def run(self, what="build"):
        env = os.environ | {"PATH": self.directory + ":" + os.environ["PATH"], "WORLD": self.directory}
        done = subprocess.run([SCRIPT, what], env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def all_but_msgpack(tmp_path_factory):
    """What the tests cannot do without, the first of several; but msgpack, which goes by two names."""
    said = World(str(tmp_path_factory.mktemp("packages")), uid=1000).run("test")[1]
    wanted = said.splitlines()[0].partition("no package for:")[2].split()
    assert wanted[: len(BUILD)] == BUILD and "libmsgpack-c-dev|libmsgpack-dev" in wanted
    return [entry.partition("|")[0] for entry in wanted if "msgpack-c" not in entry]


@pytest.mark.parametrize("msgpack", ["libmsgpack-c-dev", "libmsgpack-dev"])
def test_takes_what_the_release_has(directory, all_but_msgpack, msgpack):
    world = World(directory, installed=all_but_msgpack, known=[msgpack])
    assert world.run("test")[0] == 0
    assert world.lines("installed")[-1] == msgpack
    assert world.lines("asked") == ["update", f"install -y --no-install-recommends {msgpack}"]
    assert world.run("test") == (0, "")  # nothing is left to do
    assert len(world.lines("asked")) == 2


def test_takes_the_first_of_several(directory, all_but_msgpack):
    world = World(directory, installed=all_but_msgpack, known=["libmsgpack-dev", "libmsgpack-c-dev"])
    assert world.run("test")[0] == 0
    assert world.lines("installed")[len(all_but_msgpack) :] == ["libmsgpack-c-dev"]


def test_one_of_several_is_enough(directory, all_but_msgpack):
    world = World(directory, installed=all_but_msgpack + ["libmsgpack-dev"], known=["libmsgpack-c-dev"])
    assert world.run("test") == (0, "") and not world.lines("asked")


def test_building_needs_no_msgpack(directory):
    assert World(directory, installed=BUILD).run("build") == (0, "")


def test_lists_that_are_not_there_yet(directory):
    world = World(directory, installed=BUILD[:-1], known=[], after=BUILD[-1:])
    assert world.run()[0] == 0
    assert world.lines("installed")[-1] == BUILD[-1]


def test_tells_who_is_not_root_what_root_is_to_run(directory):
    world = World(directory, uid=1000, installed=BUILD[2:], known=["autoconf", "automake"])
    status, said = world.run()
    assert status == 1 and not world.lines("asked")
    command = said.splitlines()[-1].partition("as root run: ")[2]
    done = subprocess.run(
        ["sh", "-c", command],
        env=os.environ | {"PATH": directory + ":" + os.environ["PATH"], "WORLD": directory},
        check=False,
    )
    assert done.returncode == 0
    assert world.run() == (0, "")


def test_who_is_not_root_may_have_no_lists(directory, all_but_msgpack):
    world = World(directory, uid=1000, installed=all_but_msgpack)
    status, said = world.run("test")
    assert status == 1 and "libmsgpack-c-dev|libmsgpack-dev" in said
    assert "as root run: apt-get update" in said and "apt-get install" not in said


def test_what_nobody_has_is_an_error(directory, all_but_msgpack):
    world = World(directory, installed=all_but_msgpack, known=["something"])
    status, said = world.run("test")
    assert status == 1 and "libmsgpack-c-dev|libmsgpack-dev" in said
    assert world.lines("asked") == ["update"]


def test_what_some_tests_want_may_be_absent(directory):
    """It is said, and is no error: those tests are skipped."""
    world = World(directory, known=[])
    wanted = world.run("test")[1].rpartition("no package for:")[2].split()
    first = [entry.partition("|")[0] for entry in wanted]
    assert "gdb" in first and "lldb-14" not in first
    world = World(directory, known=first)
    status, said = world.run("test")
    assert status == 0 and "lldb-14|lldb" in said and "left out" in said
    assert world.run("test")[0] == 0


def test_apt_that_fails(directory):
    world = World(directory, installed=BUILD[:-1], known=BUILD[-1:])
    with open(os.path.join(directory, "apt-get"), "a", encoding="utf-8") as file:
        file.write('\n[ "$1" = update ] || { echo "E: no space" && exit 100; }\n')
    status, said = world.run()
    assert status == 1 and "E: no space" in said
