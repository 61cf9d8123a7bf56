"""Times, medians, memory, and one row of the table."""
import contextlib
import dataclasses
import pathlib
import re
import statistics
import time

P3 = 1.1  # times as long as docker or libvirt directly


@dataclasses.dataclass
class Row:
    number: str  # of the promise: P1
    what: str
    ours: str
    peer: str
    ratio: float | None
    target: str
    good: bool | None  # None: nothing was promised
    data: dict  # all that was measured, for the JSON
    growth: dict | None = None  # a point in the drawing of growth, as point() makes it


def point(panel, unit, guests, limit=None, **values):
    """What a row says about growth: the panel that it belongs to, with how many guests, each
    party's value in that unit (None: not measured), and the promise."""
    return {"panel": panel, "unit": unit, "guests": guests, "limit": limit,
            "values": {party: value for party, value in values.items() if value is not None}}


def beside(what, mine, peer, theirs, promised=False):
    """Ours beside what a peer takes for the same."""
    ratio = median(mine) / median(theirs)
    return Row("P3" if promised else "", what, milliseconds(median(mine)),
               milliseconds(median(theirs)), ratio, f"≤ {P3} × as long" if promised else "",
               ratio <= P3 if promised else None, {"corpus": mine, peer: theirs})


def beyond(what, mine, peer, theirs):
    """What of ours is not the time of what it rests on."""
    return Row("", f"  {what}: API without {peer}", milliseconds(median(mine) - median(theirs)),
               f"{milliseconds(median(theirs))} {peer}", None, "", None, {peer: theirs})


def timed(act, *words):
    """Seconds that a call takes."""
    began = time.perf_counter()
    act(*words)
    return time.perf_counter() - began


def median(values):
    return statistics.median(values)


def p99(values):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


def rss(pids):
    """Resident memory of processes together, in MiB (proc(5): VmRSS). One that has ended has
    none."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as file:
            total += next((int(line.split()[1]) for line in file if line.startswith("VmRSS")), 0)
    return total / 1024


def pss(pids):
    """Memory of processes together, each page that several share counted once, in MiB (proc(5):
    smaps_rollup)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as file:
            total += next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
    return total / 1024


def family(pid):
    """A process and those that descend from it."""
    children = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(re.sub(r".*\)", "", path.read_text(), flags=re.DOTALL).split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def held(guests, pid, limit):
    """Memory that a driver's processes hold together."""
    pids = family(pid)
    took, resident = pss(pids), rss(pids)
    yield Row("", f"the driver's processes with {guests} guests, together", f"{took:.2f} MiB", "",
              None, f"≤ {limit} MiB", took <= limit, {"MiB": took})
    yield Row("", "  what they share counted for each", f"{resident:.2f} MiB", "", None, "", None,
              {"MiB": resident})
