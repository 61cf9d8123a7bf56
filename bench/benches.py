"""The benches by name: what each measures, and with how many guests."""
import dataclasses
import typing

import containers
import guests
import machines
import whole


@dataclasses.dataclass
class Bench:
    measure: typing.Callable  # of a Run: yields rows
    turns: str = "each"  # with each number of guests; or only with the first, or the last

    def wanted(self, size, sizes):
        return {"each": True, "first": size == sizes[0], "last": size == sizes[-1]}[self.turns]


BENCHES = {
    # First, as long as the agent has done nothing else with so many.
    "memory": Bench(whole.memory),
    "create": Bench(guests.create),
    "destroy": Bench(guests.destroy),
    "exec": Bench(guests.command),
    "snapshot": Bench(guests.snapshot),
    "reads": Bench(whole.reads),
    "list": Bench(whole.list_guests),
    "stats": Bench(whole.stats),
    "metrics": Bench(whole.metrics),
    "ports": Bench(guests.ports, "first"),
    "storage": Bench(guests.storage, "first"),
    "machines": Bench(machines.machines, "first"),
    "containers": Bench(containers.containers, "first"),
    "density": Bench(whole.density, "last"),
}
