"""./dev bench [NAME…] [--guests N,N…] [--peer-guests N] [--rounds N] [--write]

Measures what docs promise in numbers, side by side in one run with lxc-start on a btrfs clone,
LXD, virsh and docker: rounds alternate, so that all see the same machine. What grows with the number of guests
is measured with few, some and many. Prints one table and writes build/bench/NAME.json; --write
makes docs/figures.md of the newest of each, and the drawing in it; what was not measured here stays
in the page as it is."""
import argparse
import contextlib
import json
import pathlib
import sys
import time

import figures
import leftovers
from benches import BENCHES
from run import Run
from harness.node import BUILD
from stats import Row

OUT = BUILD.parent / "bench"


def attempt(name, this):
    """The rows of one bench; one that fails is a row, too."""
    print(f"  … {name}, {this.guests} guests", file=sys.stderr)
    rows = []
    try:
        for row in BENCHES[name].measure(this):
            rows.append(row)
    except (RuntimeError, OSError, ValueError, KeyError, AssertionError) as failure:
        rows.append(Row("", f"{name}, {this.guests} guests", "failed", "", None,
                        " ".join(repr(failure).split())[:60], False, {"failure": str(failure)}))
    return rows


def measure(options):
    """Rows by the name of their bench. The number of guests only grows: each is made once."""
    rows = {name: [] for name in options.names or BENCHES}
    with contextlib.ExitStack() as stack:
        this = Run(options, stack)
        for guests in options.guests:
            this.grow_to(guests)
            for name in rows:
                if BENCHES[name].wanted(guests, options.guests):
                    rows[name] += attempt(name, this)
    return rows


def sizes(text):
    found = sorted({int(word) for word in text.split(",")})
    if found[0] < 2:
        raise ValueError
    return found


def parse():
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(BENCHES))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--guests", type=sizes, default=[10, 100, 500], metavar="N,N…",
                        help="with how many guests, at least 2 (default: 10,100,500)")
    parser.add_argument("--peer-guests", type=int, default=100, metavar="N",
                        help="with how many LXD is asked at most (default: 100)")
    parser.add_argument("--write", action="store_true", help="make docs/figures.md and its drawing")
    options = parser.parse_args()
    for name in options.names:
        if name not in BENCHES:
            parser.error(f"no such bench: {name} (there are {' '.join(BENCHES)})")
    return options


def keep(rows):
    """Each bench's rows, until it is run again."""
    OUT.mkdir(parents=True, exist_ok=True)
    for name, found in rows.items():
        data = {"time": time.time(), "machine": figures.machine(),
                "rows": [row.__dict__ for row in found]}
        (OUT / f"{name}.json").write_text(json.dumps(data, indent=1))


def main():
    options = parse()
    before, began = leftovers.snapshot(), time.monotonic()
    rows = measure(options)
    keep(rows)
    every = [row for found in rows.values() for row in found]
    print(figures.table([row.__dict__ for row in every]))
    if options.write and not figures.write(OUT, BENCHES, pathlib.Path("docs")):
        print(f"the drawing is as it was: what else is in it is not in {OUT}")
    left = leftovers.settled(before)
    for line in left:
        print(f"left behind: {line}")
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if left or any(row.good is False for row in every) else 0


if __name__ == "__main__":
    sys.exit(main())
