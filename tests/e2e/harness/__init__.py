"""What the end-to-end tests are made of: processes, a guest under QEMU, the daemon, and clients of it.

Nothing here waits for a fixed time: every wait is for an event, with a limit after which the test fails.
"""
