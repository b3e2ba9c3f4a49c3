"""libspacebridge as its users have it: installed, found by pkg-config, in C and in C++."""

import os
import subprocess

import pytest
from harness import processes
from harness.daemon import BUILD, SANITIZER_OPTIONS
from harness.processes import SANITIZER

# Every function once, on the map of tests/guest/README.md. Prints what it got; a test asks the guest for the rest.
PROGRAM = r"""
#include <spacebridge/spacebridge.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static spacebridge_t *sb;

static void want(const char *what, HRESULT hr, HRESULT expected)
{
    if (hr != expected) {
        printf("%s: 0x%08x, not 0x%08x: %s\n", what, (unsigned)hr, (unsigned)expected,
               spacebridge_last_message(sb));
        exit(1);
    }
}
#define OK(call) want(#call, call, S_OK)
#define IS(condition) \
    do { \
        if (!(condition)) { \
            printf("not so: %s (%s)\n", #condition, spacebridge_last_message(sb)); \
            exit(1); \
        } \
    } while (0)

int main(int argc, char **argv)
{
    const uint64_t a = 0x40000000, hole = 0x40002000, a_physical = 0x01000000;
    char error[200], text[200], back[16];
    uint64_t pointers[2] = {UINT64_C(0x1122334455667788), 7}, number = 0;
    uint32_t status = 0, transferred = 0;
    size_t done = 99;
    struct spacebridge_hello hello;
    struct spacebridge_cache_status cache;
    struct spacebridge_transport ways[16];
    size_t count = 0;

    if (argc != 2)
        return 2;
    IS(spacebridge_open("unix:/nonexistent/socket", 1, error, sizeof error) == NULL && *error != '\0');
    sb = spacebridge_open(argv[1], 10, error, sizeof error);
    if (!sb) {
        puts(error);
        return 1;
    }
    OK(spacebridge_get_hello(sb, &hello));
    IS(hello.pointer_size == 8 && hello.processors == 2 && !hello.big_endian && hello.page_size == 4096);
    OK(spacebridge_get_execution_status(sb, &status));
    IS(status == DEBUG_STATUS_GO);
    want("running", spacebridge_write_virtual(sb, a, "no", 2, NULL), E_UNEXPECTED);
    IS(*spacebridge_last_message(sb) != '\0');
    want("wait", spacebridge_wait_for_event(sb, 10, text, sizeof text), S_FALSE);
    OK(spacebridge_set_interrupt(sb));
    OK(spacebridge_wait_for_event(sb, 30000, text, sizeof text));
    OK(spacebridge_wait_for_event(sb, 0, NULL, 0));

    OK(spacebridge_write_virtual(sb, a, "virtual", 7, &done));
    IS(done == 7);
    OK(spacebridge_read_virtual(sb, a, back, 7, NULL));
    IS(memcmp(back, "virtual", 7) == 0);
    OK(spacebridge_read_virtual_uncached(sb, a, back, 7, &done));
    IS(done == 7 && memcmp(back, "\0\0\0\0\0\0\0", 7) == 0);
    OK(spacebridge_get_cache_status(sb, &cache));
    IS(cache.dirty_bytes == 7 && strcmp(cache.policy, "write-back") == 0);
    OK(spacebridge_discard_cache(sb, &number));
    IS(number == 7);
    OK(spacebridge_write_virtual(sb, a, "VIRTUAL", 7, NULL));
    OK(spacebridge_flush_cache(sb, &number));
    IS(number == 7);
    OK(spacebridge_invalidate_cache(sb));
    OK(spacebridge_write_virtual_uncached(sb, a + 8, "uncached", 8, &done));
    IS(done == 8);
    OK(spacebridge_write_virtual(sb, hole - 3, "123456", 6, &done));
    IS(done == 3);
    done = 99;
    want("hole", spacebridge_write_virtual(sb, hole, "x", 1, &done), SB_ERROR_WRITE_FAULT);
    IS(done == 0 && strstr(spacebridge_last_message(sb), "40002000"));
    IS(strcmp(spacebridge_hresult_name(SB_ERROR_WRITE_FAULT), "ERROR_WRITE_FAULT") == 0);
    want("hole", spacebridge_read_virtual(sb, hole, back, 1, NULL), SB_ERROR_READ_FAULT);

    OK(spacebridge_write_physical(sb, a_physical + 16, "physical", 8, NULL));
    OK(spacebridge_write_physical2(sb, a_physical + 24, DEBUG_PHYSICAL_CACHED, "physical", 8, &done));
    IS(done == 8);
    want("flags", spacebridge_write_physical2(sb, a_physical, DEBUG_PHYSICAL_UNCACHED, "x", 1, &done), E_INVALIDARG);
    OK(spacebridge_read_physical(sb, a_physical + 16, back, 16, &done));
    IS(done == 16 && memcmp(back, "physicalphysical", 16) == 0);
    OK(spacebridge_read_physical2(sb, a_physical + 16, DEBUG_PHYSICAL_DEFAULT, back, 16, NULL));

    OK(spacebridge_fill_virtual(sb, a + 48, 7, "fill", 4, &transferred));
    IS(transferred == 7);
    OK(spacebridge_fill_physical(sb, a_physical + 56, 8, "FILL", 4, &transferred));
    IS(transferred == 8);
    want("empty", spacebridge_fill_physical(sb, a_physical, 8, "", 0, NULL), E_INVALIDARG);
    want("hole", spacebridge_fill_virtual(sb, hole, 8, "x", 1, &transferred), SB_ERROR_WRITE_FAULT);
    IS(transferred == 0);

    OK(spacebridge_get_transport_status(sb, ways, sizeof ways / sizeof ways[0], &count));
    IS(count >= 5 && strcmp(ways[0].name, "rsp") == 0 && ways[0].open == 1 && *ways[0].note == '\0');
    number = ways[0].bytes_written;
    OK(spacebridge_write_virtual_uncached(sb, a + 64, "counted", 7, NULL));
    OK(spacebridge_get_transport_status(sb, ways, 1, &count));
    IS(count == 1 && ways[0].bytes_written == number + 7);

    OK(spacebridge_write_pointers_virtual(sb, 2, a + 32, pointers));
    pointers[0] = pointers[1] = 0;
    OK(spacebridge_read_pointers_virtual(sb, 2, a + 32, pointers));
    IS(pointers[0] == UINT64_C(0x1122334455667788) && pointers[1] == 7);

    OK(spacebridge_write_io(sb, SB_INTERFACE_ISA, 0, 1, 0xe9, "!", 1, &transferred));
    IS(transferred == 1);
    OK(spacebridge_read_io(sb, SB_INTERFACE_ISA, 0, 1, 0xe9, back, 1, NULL));
    IS((unsigned char)back[0] == 0xe9);
    want("align", spacebridge_write_io(sb, SB_INTERFACE_ISA, 0, 1, 0xe9, "!!", 2, NULL),
         SB_STATUS_DATATYPE_MISALIGNMENT);

    OK(spacebridge_virtual_to_physical(sb, a + 5, &number));
    IS(number == a_physical + 5);
    want("hole", spacebridge_virtual_to_physical(sb, hole, &number), SB_STATUS_NO_PAGEFILE);
    OK(spacebridge_get_number_processors(sb, &status));
    IS(status == 2);
    OK(spacebridge_set_current_processor(sb, 1));
    OK(spacebridge_get_current_processor(sb, &status));
    IS(status == 1);
    want("processor", spacebridge_set_current_processor(sb, 2), E_INVALIDARG);
    OK(spacebridge_set_cache_policy(sb, "off"));
    want("policy", spacebridge_set_cache_policy(sb, "on"), E_INVALIDARG);
    IS(!spacebridge_is_lost(sb));
    OK(spacebridge_set_execution_status(sb, DEBUG_STATUS_GO));
    spacebridge_close(sb);
    spacebridge_close(NULL);
    puts("all done");
    return 0;
}
"""


@pytest.fixture(scope="module")
def installed():
    root = processes.directory()
    if not os.path.exists(os.path.join(BUILD, "Makefile")):
        processes.remove(root)
        pytest.skip("SB_BUILD is no build directory")
    done = subprocess.run(
        # what is built is what is tested: nothing of the build system itself is made anew here
        ["make", "-C", BUILD, "install", f"DESTDIR={root}", "ACLOCAL=:", "AUTOCONF=:", "AUTOHEADER=:", "AUTOMAKE=:"],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    yield root
    processes.remove(root)


def find(root, name):
    for directory, _, files in os.walk(root):
        if name in files:
            return os.path.join(directory, name)
    raise AssertionError(f"{name} is not installed")


def sanitized(library):
    symbols = subprocess.run(["nm", "-D", library], capture_output=True, text=True, check=True).stdout
    return ["-fsanitize=address,undefined"] if "__asan_init" in symbols else []


@pytest.mark.parametrize("compiler, flags", [
    ("gcc", ["-std=c99", "-pedantic"]),
    ("g++", ["-x", "c++", "-std=c++11"]),
])
def test_every_function(pc, installed, directory, compiler, flags):
    pkgconfig = os.path.dirname(find(installed, "spacebridge.pc"))
    library = find(installed, "libspacebridge.so")
    found = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "spacebridge"],
        capture_output=True, text=True, check=True,
        env={**os.environ, "PKG_CONFIG_PATH": pkgconfig, "PKG_CONFIG_SYSROOT_DIR": installed},
    ).stdout.split()
    source, program = os.path.join(directory, "p.c"), os.path.join(directory, "p")
    with open(source, "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    done = subprocess.run(
        [compiler, *flags, "-Wall", "-Wextra", "-Werror", *sanitized(library), source, "-x", "none", "-o", program, *found],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    since = pc.guest.debugcon.mark()
    done = subprocess.run(
        [program, pc.daemon.rpc], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        timeout=processes.LIMIT,
        env={**os.environ, **SANITIZER_OPTIONS, "LD_LIBRARY_PATH": os.path.dirname(library)},
    )
    assert done.returncode == 0 and done.stdout == "all done\n", done.stdout + done.stderr
    assert not SANITIZER.search(done.stderr), done.stderr
    assert pc.guest.running()
    assert pc.guest.read(pc.map.a, 32) == b"VIRTUAL\0uncachedphysicalphysical"
    assert pc.guest.read(pc.map.a + 48, 24) == b"fillfil\0FILLFILLcounted\0"
    assert pc.guest.read(pc.map.hole - 3, 3) == b"123"
    assert pc.guest.ask(f"pointers {pc.map.a + 32:#x} 2") == "0x1122334455667788 0x7"
    pc.guest.debugcon.wait(lambda data: True if data == b"!" else None, since)


def test_what_is_installed(installed):
    for name in ("spacebridged", "spacebridge", "spacebridge.h", "hresult.h", "libspacebridge.so", "spacebridge.pc"):
        find(installed, name)


def test_only_its_own_names_are_exported(installed):
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", find(installed, "libspacebridge.so")],
        capture_output=True, text=True, check=True,
    ).stdout
    names = [line.split()[-1] for line in symbols.splitlines()]
    foreign = [name for name in names if not name.startswith(("spacebridge_", "_", "__"))]
    assert not foreign and any(name == "spacebridge_write_virtual" for name in names)
