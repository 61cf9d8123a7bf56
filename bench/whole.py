"""What concerns a node as a whole: reads, lists, figures of all guests, memory, density."""
import json
import os
import signal
import time

from guests import against, grown
from harness import testbed
from harness.node import FetchLoop, program
from harness.shell import run
from ours import Ours
from probes import Away, Pings
from stats import Row, median, milliseconds, point, rss, timed

FRESH_S = 1.1  # after which the agent's figures are older than it answers with
DENSITY = 500  # guests, of which the promise speaks


# --- Memory -----------------------------------------------------------------------------------


def megabytes(number, what, guests, mine, theirs, limit):
    return Row(number, f"{what}, {guests} guests", f"{mine:.2f} MiB",
               f"{theirs:.2f} MiB" if theirs else "", theirs / mine if theirs else None,
               f"≤ {limit} MiB" if limit else "", mine <= limit if limit else None,
               {"MiB": mine, "lxd MiB": theirs},
               point(what, "MiB", guests, limit, corpus=mine, LXD=theirs))


def memory(this):
    ours, lxd = this.filled(Ours), this.lxd()
    limit = 12 if this.guests <= 10 else 20
    yield megabytes("M1", "corpusd, resident", this.guests, rss([ours.pid()]),
                    rss([lxd.process.pid]) if lxd else None, limit)
    driver = rss([ours.driver_pid()])
    yield Row("", "  its driver's process beside it", f"{driver:.2f} MiB", "", None, "", None,
              {"MiB": driver})
    monitors, theirs = ours.monitors(), lxd.monitors() if lxd else []
    assert len(set(monitors)) == this.guests and len(theirs) == (this.guests if lxd else 0)
    yield megabytes("M2", "each guest beyond its own", this.guests, rss(monitors) / this.guests,
                    rss(theirs) / this.guests if theirs else None, 3.5)


# --- Reads ------------------------------------------------------------------------------------


def load(socket_path, path, connections):
    """bench-http on a core of its own, against one path."""
    text = run("taskset", "-c", "1", program("bench-http"), socket_path, path, 2, connections)
    return json.loads(text)


def reads(this):
    """On one core: the agent is held to it, and the load comes from the other."""
    ours, lxd = this.filled(Ours), this.lxd()
    run("taskset", "-apc", "0", ours.pid())
    try:
        for title, path in (("node", "/v1/node"), ("slots", "/v1/node/slots"),
                            ("one guest", "/v1/guests/full-0")):
            yield from read_rows(this, title, load(ours.node.socket_path, path, 1),
                                 load(ours.node.socket_path, path, 32))
    finally:
        run("taskset", "-apc", f"0-{os.cpu_count() - 1}", ours.pid())
    if lxd:
        mine = [timed(ours.call, "GET", "/v1/guests/full-0") for _ in range(200)]
        theirs = [timed(lxd.call, "GET", "/1.0/instances/full-0") for _ in range(200)]
        yield from against("P4", "  one guest by the same slow client", median(mine),
                           median(theirs), data={"ours": mine, "lxd": theirs})


def read_rows(this, title, one, many):
    yield Row("P4", f"read {title}: p99, one at a time, {this.guests} guests",
              f"{one['p99_us'] / 1000:.2f} ms", "", None, "≤ 1 ms",
              one["p99_us"] <= 1000 and not one["errors"], one,
              None if title == "node" else  # which has nothing that grows
              point(f"read {title}, p99", "ms", this.guests, 1, corpus=one["p99_us"] / 1000))
    yield Row("P4", f"read {title}: requests/s on one core, {this.guests} guests",
              f"{many['rps']:.0f}", "", None, "≥ 20000",
              many["rps"] >= 20000 and not many["errors"], many)


def list_guests(this):
    """The answers as they come: what the client makes of them is its own."""
    ours, lxd = this.filled(Ours), this.lxd()
    assert len(ours.list()) == this.guests and (not lxd or len(lxd.list()) == this.guests)
    mine = [timed(ours.list_text) for _ in range(50)]
    theirs = [timed(lxd.list_text) for _ in range(5)] if lxd else None
    lxd_s = median(theirs) if theirs else None
    yield grown("P5", "list with state, addresses, ports", this.guests, mine, 5, LXD=lxd_s)
    yield from against("P5", "  against LXD", median(mine), lxd_s, data={"lxd": theirs})
    driver = ours.driver_pid()
    os.kill(driver, signal.SIGSTOP)
    try:
        stopped = [timed(ours.list_text) for _ in range(50)]
    finally:
        os.kill(driver, signal.SIGCONT)
    yield Row("P5", "  while the driver is stopped", milliseconds(median(stopped)), "", None,
              "≤ 5 ms", median(stopped) <= 0.005, {"ours": stopped})


# --- Figures of all guests --------------------------------------------------------------------


def afresh(act):
    """Each time after what is known has grown old."""
    took = []
    for _ in range(5):
        time.sleep(FRESH_S)
        took.append(timed(act))
    return took


def stats(this):
    """LXD has no figures without the rest of its list."""
    ours, lxd = this.filled(Ours), this.lxd()
    fresh = afresh(ours.stats_text)
    known = [guest for guest in ours.stats() if guest["memory"]["used"]]
    assert len(known) == this.guests, f"figures of {len(known)} guests"
    lxd_s = median([timed(lxd.list_text) for _ in range(5)]) if lxd else None
    yield grown("", "figures of all guests", this.guests, fresh, LXD=lxd_s)
    yield from against("", "  against LXD's list with state", median(fresh), lxd_s)
    known = [timed(ours.stats_text) for _ in range(20)]
    yield Row("", "  asked again within a second", milliseconds(median(known)), "", None, "", None,
              {"s": known})


def metrics(this):
    """LXD keeps its answer for some seconds; the first one counts."""
    ours, lxd = this.filled(Ours), this.lxd()
    assert b'corpus_guest_memory_bytes{guest="full-0"' in ours.metrics()
    mine, lxd_s = [timed(ours.metrics) for _ in range(20)], timed(lxd.metrics) if lxd else None
    yield grown("", "/metrics", this.guests, mine, LXD=lxd_s, data={"bytes": len(ours.metrics())})
    yield from against("", "  against LXD's, asked once", median(mine), lxd_s)


# --- Density ----------------------------------------------------------------------------------


def density(this):
    """Filling, and a restart of the agent that somebody who uses a guest must not notice."""
    ours = this.filled(Ours)
    promised = this.guests >= DENSITY
    took = ours.filling_s
    yield Row("D1", f"{this.guests} guests created, 8 side by side", f"{took:.1f} s", "", None,
              "≤ 60 s" if promised else "", took <= 60 if promised else None, {"s": took})
    ours.publish(46000, "full-0")
    away, pings, fetches = restarted(ours)
    yield Row("D1", f"API away while the agent is restarted, {this.guests} guests",
              milliseconds(away.longest_s), "", None, "≤ 300 ms", away.longest_s <= 0.3,
              {"s": away.longest_s})
    yield Row("D1", f"  packets lost of {pings.sent} to a guest", str(pings.lost), "", None, "0",
              pings.sent > 0 and not pings.lost, {"sent": pings.sent, "lost": pings.lost})
    yield Row("D1", f"  connections failed of {fetches.done} through its port",
              str(len(fetches.failures)), "", None, "0",
              fetches.done > 0 and not fetches.failures, {"failures": fetches.failures})


def restarted(ours):
    address = ours.call("GET", "/v1/guests/full-0")["addresses"][0]
    bed = ours.node.bed
    watchers = (Away(ours.node.socket_path), Pings(bed.name(testbed.NODE), address),
                FetchLoop(ours.node, 46000))
    for watcher in watchers:
        watcher.start()
    time.sleep(0.5)
    ours.node.restart()
    time.sleep(0.5)
    for watcher in watchers:
        watcher.stop()
    return watchers
