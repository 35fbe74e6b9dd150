"""Four tasks of one loop whose shares overlap, and a tool: it gets in, and the loop's timer goes on."""

import os
import sys
import threading

folder = sys.argv[1]
with open(os.path.join(folder, "share.example"), encoding="ascii") as example:
    exec(example.read())  # pylint: disable=exec-used

for name in ("lock_shared", "unlock_shared", "unlock_exclusive", "dirty_epoch", "close"):
    getattr(library, "stillpoint_" + name).argtypes = (ctypes.c_void_p,)
library.stillpoint_lock_exclusive.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)

TASKS = 4
path = os.path.join(folder, "share.barrier")
created = ctypes.c_void_p()
checked(library.stillpoint_open(os.fsencode(path), 1, None, ctypes.byref(created)))
barrier = open_barrier(path)
sets = ticks = inside = 0
over = False


async def counted():
    """As the manual has it."""
    async with share(barrier):
        await write()


async def nested():
    """What the manual warns of: the thread's shares nest."""
    checked(library.stillpoint_lock_shared(barrier))
    await write()
    checked(library.stillpoint_unlock_shared(barrier))


async def write():
    global sets, inside
    inside += 1
    # Only one at a time may end: the others are inside meanwhile.
    for _ in range(100):
        await asyncio.sleep(0.002)
        if inside == TASKS or over:
            break
    inside -= 1
    sets += 1


async def tick():
    global ticks
    while not over:
        await asyncio.sleep(0.002)
        ticks += 1


def wait_for(happened):
    for _ in range(20000):
        if happened():
            return
        threading.Event().wait(0.001)
    os._exit(3)


def tool(results, drain, rounds):
    global over
    for _ in range(rounds):
        before = sets
        wait_for(lambda: sets >= before + 5)
        results.append(library.stillpoint_lock_exclusive(barrier, drain, -1))
        if results[-1] == 0:
            written, ticked = sets, ticks
            wait_for(lambda: ticks >= ticked + 10)
            assert sets == written
            checked(library.stillpoint_unlock_exclusive(barrier))
    over = True


async def run(task, drain, rounds):
    global over
    over, results = False, []

    async def again():
        while not over:
            await task()

    thread = threading.Thread(target=tool, args=(results, drain, rounds))
    thread.start()
    await asyncio.gather(tick(), *(again() for _ in range(TASKS)))
    thread.join()
    return results


assert asyncio.run(run(counted, 10000, 3)) == [0, 0, 0]
assert asyncio.run(run(nested, 300, 1)) == [-errno.ETIMEDOUT]
assert library.stillpoint_dirty_epoch(barrier) == 0
library.stillpoint_close(barrier)
library.stillpoint_close(created)
