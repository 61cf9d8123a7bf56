"""One run: its options, and the parties, each in a testbed of its own, made when first asked for and
filled with guests that stay."""
import concurrent.futures
import contextlib
import time

from docker import Docker
from harness.shell import run
from harness.testbed import Testbed
from lxd import Lxd
from ours import Ours
from virsh import Virsh

SIDE_BY_SIDE = 8  # creations at a time while filling: `parallel` of a driver


class Run:
    def __init__(self, options, stack):
        self.rounds, self.peer_guests = options.rounds, options.peer_guests
        self.sizes, self.guests = options.guests, 0
        self._stack, self._made = stack, {}

    def party(self, kind):
        if kind not in self._made:
            stack = self._stack.enter_context(contextlib.ExitStack())
            bed = stack.enter_context(Testbed())
            made = Ours(bed) if kind is Ours else kind(bed, btrfs(bed))
            stack.callback(made.close)
            made.filled, made.filling_s, made.leave = 0, 0.0, stack.close
            self._made[kind] = made
        return self._made[kind]

    def machines(self):
        """corpus with virtual machines, and the same made with virsh beside them."""
        if Virsh not in self._made:
            stack = self._stack.enter_context(contextlib.ExitStack())
            ours = Ours(stack.enter_context(Testbed()), ("kvm",))
            stack.callback(ours.close)
            ours.machine("model")
            hand = Virsh(ours, "model")
            stack.callback(hand.close)
            self._made[Virsh] = ours, hand
        return self._made[Virsh]

    def containers(self):
        """corpus with containers of a dockerd, and Docker's own command beside it."""
        if Docker not in self._made:
            stack = self._stack.enter_context(contextlib.ExitStack())
            ours = Ours(stack.enter_context(Testbed()), ("docker",), docker={"bridge": True})
            stack.callback(ours.close)
            self._made[Docker] = ours, Docker(ours.node)
        return self._made[Docker]

    def grow_to(self, guests):
        """From now on a filled party has that many. LXD leaves when it will not be asked again:
        its guests' share of the machine is free, then."""
        self.guests = guests
        if guests > self.peer_guests and Lxd in self._made:
            self._made.pop(Lxd).leave()

    def filled(self, kind, guests=None):
        """A party with so many running guests, full-0 and so on; else with as many as it is the
        turn of."""
        party, guests = self.party(kind), guests or self.guests
        if party.filled < guests:
            began = time.perf_counter()
            names = [f"full-{number}" for number in range(party.filled, guests)]
            with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
                list(pool.map(party.create, names))
            party.filling_s += time.perf_counter() - began
            party.filled = guests
        return party

    def lxd(self):
        """LXD with as many guests, or None when it is not asked with so many."""
        return self.filled(Lxd) if self.guests <= self.peer_guests else None


def btrfs(bed):
    """A btrfs of a peer's own on a loop file."""
    pool, file = bed.dir / "pool", bed.dir / "pool.img"
    pool.mkdir()
    run("truncate", "--size", "64G", file)
    run("mkfs.btrfs", "--quiet", file)
    run(*bed.inside("node"), "mount", "-o", "loop", file, pool)
    return pool
