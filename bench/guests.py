"""What is done to one guest: create, destroy, run a command, snapshot and restore, ports, storage;
while as many others run as it is the turn of."""
import json

from harness.node import program
from harness.shell import run
from lxc import Lxc
from lxd import Lxd
from ours import Ours
from stats import Row, median, milliseconds, p99, point, timed

GB = 10**9
FILL_MB = 1000  # what the guest holds that is snapshotted


def against(number, what, mine, theirs, target="", good=None, data=None):
    """A row of a comparison, when the peer was asked: how many times as long it takes."""
    if theirs is not None:
        yield Row(number, what, milliseconds(mine), milliseconds(theirs), theirs / mine, target,
                  good, data or {})


def grown(number, what, guests, values, limit_ms=None, data=None, **peers):
    """Ours, as a row and as a point of the drawing. Values are seconds; peers by their names."""
    mine = median(values)
    in_ms = {title: value * 1000 for title, value in peers.items() if value is not None}
    return Row(number, f"{what}, {guests} guests", milliseconds(mine), "", None,
               f"≤ {limit_ms} ms" if limit_ms else "", mine * 1000 <= limit_ms if limit_ms else None,
               {"p50": mine, "p99": p99(values), "all": values, **(data or {})},
               point(what, "ms", guests, limit_ms, corpus=mine * 1000, **in_ms))


# --- Create and destroy -----------------------------------------------------------------------

_lives = {}


def lives(this):
    """Creates and destroys by turns; once for each number of guests: (created, destroyed) by
    party."""
    if this.guests not in _lives:
        parties = [this.filled(Ours), this.party(Lxc), this.lxd()]
        _lives[this.guests] = live(this, [party for party in parties if party])
    return _lives[this.guests]


def live(this, parties):
    times = {type(party): ([], []) for party in parties}
    for number in range(this.rounds + 1):
        for party in parties:
            created, destroyed = times[type(party)]
            created.append(timed(party.create, f"round-{number}"))
            destroyed.append(timed(party.destroy, f"round-{number}"))
    return {kind: (created[1:], destroyed[1:]) for kind, (created, destroyed) in times.items()}


def life_rows(this, index, number, what, limit_ms, lxd_ratio, lxc_ratio):
    took = {kind: both[index] for kind, both in lives(this).items()}
    mine, lxc = median(took[Ours]), median(took[Lxc])
    lxd = median(took[Lxd]) if Lxd in took else None
    yield grown(number, what, this.guests, took[Ours], limit_ms, LXD=lxd, lxc=lxc)
    if lxd is not None:
        yield from against(number, "  against LXD", mine, lxd, f"≥ {lxd_ratio} × faster",
                           lxd / mine >= lxd_ratio, {"lxd": took[Lxd]})
    yield Row(number, "  against lxc-start on a clone", milliseconds(mine), milliseconds(lxc),
              mine / lxc, f"≤ {lxc_ratio} × as long" if lxc_ratio else "",
              mine / lxc <= lxc_ratio if lxc_ratio else None, {"lxc": took[Lxc]})


def create(this):
    yield from life_rows(this, 0, "P1", "create to running", 45, 6, 1.5)


def destroy(this):
    yield from life_rows(this, 1, "P2", "destroy a running guest", 40, 10, None)


# --- A command --------------------------------------------------------------------------------


def command(this):
    """`true` in a guest, from the request to its exit status."""
    ours, lxc, lxd = this.filled(Ours), this.party(Lxc), this.lxd()
    lxc.stays("full-0")
    ways = {"api": ours.exec, "command": ours.exec_command, "lxc-attach": lxc.exec}
    if lxd:
        ways.update({"LXD api": lxd.exec, "LXD command": lxd.exec_command})
    took = {way: [] for way in ways}
    for _ in range(this.rounds + 1):
        for way, act in ways.items():
            took[way].append(timed(act, "full-0"))
    middle = {way: median(values[1:]) for way, values in took.items()}
    yield grown("", "exec true", this.guests, took["api"][1:], LXD=middle.get("LXD api"),
                lxc=middle["lxc-attach"])
    yield from against("", "  against LXD's API", middle["api"], middle.get("LXD api"))
    yield from against("", "  against lxc-attach", middle["api"], middle["lxc-attach"], data=took)
    yield from against("", "  corpus exec against lxc exec", middle["command"],
                       middle.get("LXD command"))


# --- Snapshots --------------------------------------------------------------------------------


def snapshot(this):
    """Of a running guest of 1 GB, which runs again after each restore."""
    parties = [party for party in (this.filled(Ours), this.lxd()) if party]
    for party in parties:
        if not getattr(party, "fat", False):
            party.fill_storage("full-0", FILL_MB)
            party.fat = True
    took = {party.title: {"snapshot": [], "restore": []} for party in parties}
    for number in range(max(this.rounds // 2, 1)):
        for party in parties:
            mine = took[party.title]
            mine["snapshot"].append(timed(party.snapshot, "full-0", f"s{number}"))
            mine["restore"].append(timed(party.restore, "full-0", f"s{number}"))
            party.delete_snapshot("full-0", f"s{number}")
    theirs = took.get(Lxd.title, {})
    for what, limit_ms in (("snapshot", 10), ("restore", 100)):
        values = took[Ours.title][what]
        lxd = median(theirs[what]) if theirs else None
        yield grown("P10", f"{what} of 1 GB", this.guests, values, limit_ms, LXD=lxd)
        yield from against("P10", "  against LXD", median(values), lxd, data=theirs)


# --- Ports and storage ------------------------------------------------------------------------


def ports(this):
    ours, lxd = this.filled(Ours), this.filled(Lxd, 2)
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
    ours, lxc, lxd = this.filled(Ours), this.party(Lxc), this.filled(Lxd, 2)
    lxc.stays("full-0")
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
