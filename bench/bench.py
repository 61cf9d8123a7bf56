"""./dev bench [NAME…] [--rounds N] [--guests N] [--write]

Measures what docs promise in numbers, side by side in one run with lxc-start on a btrfs clone and
with LXD: rounds alternate, so that all see the same machine. Prints one table and writes
build/bench/NAME.json; --write makes docs/figures.md of the newest of each."""
import argparse
import contextlib
import json
import os
import pathlib
import signal
import sys
import time

import figures
import leftovers
from harness.node import BUILD, program
from harness.shell import run
from harness.testbed import Testbed
from lxc import Lxc
from lxd import Lxd
from ours import Ours
from stats import Row, milliseconds, p99, median, rss, timed

OUT = BUILD.parent / "bench"
GB = 10**9


class Run:
    """One run: its options, and the parties, each in a testbed of its own, made when first asked
    for."""

    def __init__(self, options, stack):
        self.rounds, self.guests, self._stack = options.rounds, options.guests, stack
        self._made = {}

    def party(self, kind):
        if kind not in self._made:
            bed = self._stack.enter_context(Testbed())
            made = Ours(bed) if kind is Ours else kind(bed, btrfs(bed))
            self._stack.callback(made.close)
            self._made[kind] = made
        return self._made[kind]

    def fill(self, kind, count):
        """Brings a party to that many running guests."""
        party = self.party(kind)
        filled = getattr(party, "filled", 0)
        for number in range(filled, count):
            party.create(f"full-{number}")
        party.filled = max(filled, count)
        return party


def btrfs(bed):
    """A btrfs of a peer's own on a loop file."""
    pool, file = bed.dir / "pool", bed.dir / "pool.img"
    pool.mkdir()
    run("truncate", "--size", "64G", file)
    run("mkfs.btrfs", "--quiet", file)
    run(*bed.inside("node"), "mount", "-o", "loop", file, pool)
    return pool


def lives(this):
    """Create and destroy, alternating between the parties."""
    times = {kind: ([], []) for kind in (Ours, Lxc, Lxd)}
    for kind in times:
        this.party(kind)
    for number in range(this.rounds + 1):
        for kind, (created, destroyed) in times.items():
            party, name = this.party(kind), f"round-{number}"
            created.append(timed(party.create, name))
            destroyed.append(timed(party.destroy, name))
    return {kind: (created[1:], destroyed[1:]) for kind, (created, destroyed) in times.items()}


_lives = {}


def life_rows(this, index, number, what, limit_ms, lxd_ratio, lxc_ratio):
    if not _lives:
        _lives.update(lives(this))
    ours, lxc, lxd = (_lives[kind][index] for kind in (Ours, Lxc, Lxd))
    mine = median(ours)
    yield Row(number, f"{what}, p50", milliseconds(mine), "", None, f"≤ {limit_ms} ms",
              mine * 1000 <= limit_ms, {"p50": mine, "p99": p99(ours), "all": ours})
    ratio = median(lxd) / mine
    yield Row(number, "  against LXD", milliseconds(mine), milliseconds(median(lxd)), ratio,
              f"≥ {lxd_ratio} × faster", ratio >= lxd_ratio, {"lxd": lxd})
    ratio = mine / median(lxc)
    good = ratio <= lxc_ratio if lxc_ratio else None
    yield Row(number, "  against lxc-start on a clone", milliseconds(mine),
              milliseconds(median(lxc)), ratio, f"≤ {lxc_ratio} × as long" if lxc_ratio else "",
              good, {"lxc": lxc})


def create(this):
    yield from life_rows(this, 0, "P1", "create to running", 45, 6, 1.5)


def destroy(this):
    yield from life_rows(this, 1, "P2", "destroy a running guest", 40, 10, None)


def load(socket_path, path, connections):
    """bench-http on a core of its own, against one path."""
    text = run("taskset", "-c", "1", program("bench-http"), socket_path, path, 3, connections)
    return json.loads(text)


def reads(this):
    """On one core: the agent is held to it, and the load comes from the other."""
    ours, lxd = this.fill(Ours, this.guests), this.fill(Lxd, this.guests)
    run("taskset", "-apc", "0", ours.pid())
    for title, path in (("node", "/v1/node"), ("slots", "/v1/node/slots"),
                        ("one guest", "/v1/guests/full-0")):
        one, many = load(ours.node.socket_path, path, 1), load(ours.node.socket_path, path, 32)
        yield Row("P4", f"read {title}: p99, one at a time", f"{one['p99_us'] / 1000:.2f} ms", "",
                  None, "≤ 1 ms", one["p99_us"] <= 1000 and not one["errors"], one)
        yield Row("P4", f"read {title}: requests/s on one core", f"{many['rps']:.0f}", "", None,
                  "≥ 20000", many["rps"] >= 20000 and not many["errors"], many)
    run("taskset", "-apc", f"0-{os.cpu_count() - 1}", ours.pid())
    mine = [timed(ours.call, "GET", "/v1/guests/full-0") for _ in range(200)]
    theirs = [timed(lxd.call, "GET", "/1.0/instances/full-0") for _ in range(200)]
    yield Row("P4", "  one guest by the same slow client, p50", milliseconds(median(mine)),
              milliseconds(median(theirs)), median(theirs) / median(mine), "", None,
              {"ours": mine, "lxd": theirs})


def list_guests(this):
    ours, lxd = this.fill(Ours, this.guests), this.fill(Lxd, this.guests)
    mine = [timed(ours.list) for _ in range(50)]
    theirs = [timed(lxd.list) for _ in range(5)]
    assert len(ours.list()) == len(lxd.list()) == this.guests
    yield Row("P5", f"list of {this.guests} with state, addresses, ports", milliseconds(median(mine)),
              milliseconds(median(theirs)), median(theirs) / median(mine), "≤ 5 ms",
              median(mine) <= 0.005, {"ours": mine, "lxd": theirs})
    driver = ours.node.driver_pid("lxc")
    os.kill(driver, signal.SIGSTOP)
    try:
        stopped = [timed(ours.list) for _ in range(50)]
    finally:
        os.kill(driver, signal.SIGCONT)
    yield Row("P5", "  while the driver is stopped", milliseconds(median(stopped)), "", None,
              "≤ 5 ms", median(stopped) <= 0.005, {"ours": stopped})


def ports(this):
    ours, lxd = this.fill(Ours, 2), this.fill(Lxd, 2)
    took = {"publish": [], "switch": [], "unpublish": [], "lxd": []}
    for number in range(50):
        port = 47000 + number
        took["publish"].append(timed(ours.publish, port, "full-0"))
        took["switch"].append(timed(ours.switch, port, "full-1"))
        took["lxd"].append(timed(lxd.publish, port, "full-0"))
    for number in range(50):
        took["unpublish"].append(timed(ours.unpublish, 47000 + number, "full-1"))
    for action in ("publish", "switch", "unpublish"):
        mine, theirs = median(took[action]), median(took["lxd"])
        yield Row("P6", f"{action} by the API, written down, p50", milliseconds(mine),
                  milliseconds(theirs) if action == "publish" else "",
                  theirs / mine if action == "publish" else None, "", None, {"s": took[action]})
    yield from wiring_rows(json.loads(run(program("bench-net-ports"))))


def wiring_rows(measured):
    """The wiring alone, TCP, in a network namespace of its own."""
    present = {row["ports"]: row for row in measured["microseconds"] if row["proto"] == "tcp"}
    for action in ("publish", "switch", "unpublish"):
        figure, few = present[10000][action], present[10][action]["p50"]
        yield Row("P6", f"{action}: wiring with 10,000 present, p99", f"{figure['p99'] / 1000:.2f} ms",
                  "", None, "≤ 2 ms", figure["p99"] <= 2000, {"us": figure})
        many = present[32000][action]["p50"]
        yield Row("P6", "  with 32,000 against 10, p50", f"{many / 1000:.3f} ms",
                  f"{few / 1000:.3f} ms", many / few, "≤ 1.5 × as long", many <= 1.5 * few,
                  {"us": present[32000][action]})
    cut = present[10000]["unpublish_and_cut"]
    yield Row("P6", "unpublish and cut its connections, p50 (a walk of the kernel's whole table)",
              f"{cut['p50'] / 1000:.2f} ms", "", None, "", None, {"us": cut})


def storage(this):
    ours, lxc, lxd = this.fill(Ours, 1), this.fill(Lxc, 1), this.fill(Lxd, 1)
    times = {kind: [] for kind in (Ours, Lxc, Lxd)}
    for number in range(this.rounds * 2):
        size = (6 + number % 2) * GB
        for party in (ours, lxc, lxd):
            times[type(party)].append(timed(party.resize, "full-0", size))
    mine = median(times[Ours])
    yield Row("P9", "enlarge or trim, p50", milliseconds(mine), milliseconds(median(times[Lxd])),
              median(times[Lxd]) / mine, "≤ 10 ms", mine <= 0.010,
              {kind.title: values for kind, values in times.items()})
    yield Row("P9", "  against btrfs qgroup limit", milliseconds(mine),
              milliseconds(median(times[Lxc])), mine / median(times[Lxc]), "", None, {})


def memory(this):
    lxd = this.fill(Lxd, this.guests)
    bed = this._stack.enter_context(Testbed())
    fresh = Ours(bed)
    this._stack.callback(fresh.close)
    for count, limit in ((10, 12), (this.guests, 20)):
        for number in range(getattr(fresh, "filled", 0), count):
            fresh.create(f"full-{number}")
        fresh.filled = count
        mine = rss([fresh.pid()])
        theirs = rss([lxd.process.pid]) if count == this.guests else None
        yield Row("M1", f"corpusd with {count} guests (resident)", f"{mine:.1f} MiB",
                  f"{theirs:.1f} MiB" if theirs else "", theirs / mine if theirs else None,
                  f"≤ {limit} MiB", mine <= limit, {"MiB": mine, "lxd MiB": theirs})
    each = rss(fresh.monitors()) / this.guests
    theirs = rss(lxd.monitors()) / this.guests
    yield Row("M2", "each running guest beyond its own", f"{each:.2f} MiB", f"{theirs:.2f} MiB",
              theirs / each, "≤ 3.5 MiB", each <= 3.5, {"MiB": each, "lxd MiB": theirs})


BENCHES = {"create": create, "destroy": destroy, "reads": reads, "list": list_guests,
           "ports": ports, "storage": storage, "memory": memory}


def measure(options):
    """Yields (name, rows) of each bench asked for."""
    with contextlib.ExitStack() as stack:
        this = Run(options, stack)
        for name in options.names or BENCHES:
            print(f"  … {name}", file=sys.stderr)
            try:
                yield name, list(BENCHES[name](this))
            except (RuntimeError, OSError, ValueError, KeyError, AssertionError) as failure:
                yield name, [Row("", name, "failed", "", None, str(failure)[:60], False, {})]


def main():
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(BENCHES))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--guests", type=int, default=100)
    parser.add_argument("--write", action="store_true", help="make docs/figures.md")
    options = parser.parse_args()
    for name in options.names:
        if name not in BENCHES:
            parser.error(f"no such bench: {name} (there are {' '.join(BENCHES)})")
    before, rows = leftovers.snapshot(), []
    OUT.mkdir(parents=True, exist_ok=True)
    for name, found in measure(options):
        rows += found
        data = {"time": time.time(), "machine": figures.machine(),
                "rows": [row.__dict__ for row in found]}
        (OUT / f"{name}.json").write_text(json.dumps(data, indent=1))
    print(figures.table(rows))
    if options.write:
        figures.write(OUT, BENCHES, pathlib.Path("docs/figures.md"))
    left = leftovers.settled(before)
    for line in left:
        print(f"left behind: {line}")
    return 1 if left or any(row.good is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
