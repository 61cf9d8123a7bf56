"""Times, medians, memory, and one row of the table."""
import dataclasses
import statistics
import time


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
    """Resident memory of processes together, in MiB (proc(5): VmRSS)."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as file:
            total += next((int(line.split()[1]) for line in file if line.startswith("VmRSS")), 0)
    return total / 1024
