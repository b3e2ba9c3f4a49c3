"""What differs between the QEMUs that the tests run on: one table of probes.

Each is asked of the QEMU at hand, past the bridge: by an access that the guest makes itself, or by a word of QEMU's
monitor. A test that depends on one asks here, and so it holds on every version. The number of a version would decide
only where no probe is possible; there is no such case yet.

    pieces(guest, device, virtual, width)   how a device sees one access of that width
    version(guest)                          the number, for texts that show it
"""


def pieces(guest, device, virtual, width):
    """A store of the running guest's own, as the device sees it: [(offset, size), ...].

    QEMU cuts an access up, or widens it, by what the device says it implements: 8 bytes to the HPET are two of 4, from
    10.0 on they are one of 8; 1 byte to the PL011 is one of 1, later one of 4. Zeros are stored, so it must be a
    register that minds none.
    """
    with guest.accesses(own=True) as seen:
        guest.store(width, virtual, 0)
    found, at = [], 0
    for access in seen:
        if access.name == device and at < width:
            assert (access.address - virtual - at) % 4096 == 0, seen
            found.append((at, access.size))
            at += access.size
    assert at >= width, f"{device} saw nothing of a store at {virtual:#x}: {seen}"
    return found


def version(guest):
    """"7.2.22", as query-version has it."""
    number = guest.qmp_control.execute("query-version")["qemu"]
    return f"{number['major']}.{number['minor']}.{number['micro']}"
