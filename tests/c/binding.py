"""Binds the library without its header, as other languages do: opens, shares, excludes."""

import ctypes
import errno
import fcntl
import os
import sys
import threading

folder = sys.argv[1]
path = os.path.join(folder, "binding.barrier").encode()
library = ctypes.CDLL("libstillpoint.so.0")
library.stillpoint_open.argtypes = [
    ctypes.c_char_p, ctypes.c_uint, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
for name in ("close", "join", "lock_shared", "trylock_shared", "unlock_shared", "depth",
             "should_yield", "unlock_exclusive", "dirty_epoch"):
    getattr(library, "stillpoint_" + name).argtypes = [ctypes.c_void_p]
library.stillpoint_timedlock_shared.argtypes = [ctypes.c_void_p, ctypes.c_int]
library.stillpoint_lock_exclusive.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
library.stillpoint_flock.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
library.stillpoint_close_fd.argtypes = [ctypes.c_void_p, ctypes.c_int]
library.stillpoint_dirty_epoch.restype = ctypes.c_uint32
library.stillpoint_strerror.restype = ctypes.c_char_p

CREATE = 1


def expect(got, wanted):
    """Compares, and says what a wrong answer means."""
    assert got == wanted, (got, wanted, library.stillpoint_strerror(got))


handle = ctypes.c_void_p()
expect(library.stillpoint_open(path, 0, None, ctypes.byref(handle)), -errno.ENOENT)
assert handle.value is None
expect(library.stillpoint_open(path, CREATE, b"python", ctypes.byref(handle)), 0)

expect(library.stillpoint_lock_shared(handle), 0)
expect(library.stillpoint_trylock_shared(handle), 0)
expect(library.stillpoint_depth(handle), 2)
expect(library.stillpoint_lock_exclusive(handle, 100, -1), -errno.EDEADLK)
expect(library.stillpoint_unlock_shared(handle), 0)
expect(library.stillpoint_unlock_shared(handle), 0)
expect(library.stillpoint_unlock_shared(handle), -errno.EPERM)

expect(library.stillpoint_lock_exclusive(handle, 1000, -1), 0)
answers = []
writer = threading.Thread(
    target=lambda: answers.append(library.stillpoint_timedlock_shared(handle, 20)))
writer.start()
writer.join()
expect(answers[0], -errno.ETIMEDOUT)
expect(library.stillpoint_unlock_exclusive(handle), 0)

with open(os.path.join(folder, "mailbox"), "w", encoding="ascii") as mailbox:
    expect(library.stillpoint_flock(handle, mailbox.fileno(), fcntl.LOCK_EX), 0)
    expect(library.stillpoint_depth(handle), 1)
    expect(library.stillpoint_flock(handle, mailbox.fileno(), fcntl.LOCK_UN), 0)

child = os.fork()
if child == 0:
    entered = library.stillpoint_lock_shared(handle)
    os._exit(entered != 0 or library.stillpoint_unlock_shared(handle) != 0)
expect(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)

expect(library.stillpoint_dirty_epoch(handle), 0)
expect(library.stillpoint_strerror(-errno.EDEADLK), b"this thread would wait for itself")
library.stillpoint_close(handle)
expect(library.stillpoint_lock_shared(handle), -errno.EBADF)
