"""Virtual machines: what they cost through the API, beside virsh doing the same, and beside what of it
libvirt alone takes. Machines are ended as soon as they run where their booting would be in the way of
the next one's."""
from harness.shell import wait_for
from stats import beside, beyond, held, timed

DEFINED, DRIVER_MIB = 50, 16


def rounds(this):
    return max(this.rounds // 2, 2)


# --- Life ---------------------------------------------------------------------------------------


def live(this):
    """Creates and kills by turns; starts and kills again, with libvirt alone beside it."""
    ours, hand = this.machines()
    ours.act("model", "kill")
    took = {name: [] for name in ("create", "kill", "start", "destroy", "hand create", "hand kill",
                                  "hand start", "hand destroy", "bare create", "libvirt start",
                                  "libvirt destroy")}

    def take(what, act, *words):
        took[what].append(timed(act, *words))

    for number in range(rounds(this) + 1):
        name = f"round-{number}"
        take("create", ours.machine, name)
        take("kill", ours.act, name, "kill")
        take("hand create", hand.create, name)
        take("hand kill", hand.kill, name)
        take("start", ours.act, name, "start")
        take("destroy", ours.destroy, name)
        take("hand start", hand.start, name)
        hand.kill(name)
        took["libvirt start"].append(hand.libvirt("start", name))
        took["libvirt destroy"].append(hand.libvirt("destroy", name))
        hand.start(name)
        take("hand destroy", hand.destroy, name)
        take("bare create", hand.create_bare, f"bare-{number}")
        hand.forget(f"bare-{number}")
    return {what: values[1:] for what, values in took.items()}


def life(this):
    took = live(this)
    yield beside("create to running", took["create"], "virsh", took["hand create"], True)
    yield beside("  against an overlay and a domain alone", took["create"], "virsh", took["bare create"])
    yield beside("start", took["start"], "virsh", took["hand start"], True)
    yield beyond("start", took["start"], "libvirt", took["libvirt start"])
    yield beside("kill", took["kill"], "virsh", took["hand kill"], True)
    yield beyond("kill", took["kill"], "libvirt", took["libvirt destroy"])
    yield beside("destroy a running machine", took["destroy"], "virsh", took["hand destroy"], True)


# --- Snapshots ----------------------------------------------------------------------------------


def snapshot(this):
    """Of machines that run, with their file systems at rest."""
    ours, hand = this.machines()
    took = {"ours": [], "hand": [], "libvirt": []}
    ours.act("model", "start")
    hand.create("stays")
    ours_model = f"corpus-{hand.model['id']}"
    for name in (ours_model, "stays"):
        wait_for(f"{name} has booted", lambda name=name: hand.answers(name), 120)
    for number in range(rounds(this) + 1):
        took["ours"].append(timed(ours.snapshot, "model", f"s{number}"))
        took["hand"].append(timed(hand.snapshot, "stays", f"s{number}"))
        took["libvirt"].append(hand.libvirt("hold", "stays"))
        ours.delete_snapshot("model", f"s{number}")
        hand.delete_snapshot("stays")
    hand.destroy("stays")
    ours.act("model", "kill")
    mine, theirs, libvirt = (took[key][1:] for key in ("ours", "hand", "libvirt"))
    yield beside("snapshot of a running machine", mine, "virsh", theirs, True)
    yield beyond("snapshot", mine, "libvirt", libvirt)


# --- Many ---------------------------------------------------------------------------------------


def many(this):
    """With guests that are defined and do not run: lists, and the driver's memory."""
    ours, hand = this.machines()
    for number in range(len(ours.list()), DEFINED):
        ours.machine(f"defined-{number}", start=False)
    mine = [timed(ours.list_text) for _ in range(rounds(this))]
    theirs = [timed(hand.list) for _ in range(rounds(this))]
    yield beside(f"list of {DEFINED}", mine, "virsh", theirs)
    yield from held(DEFINED, ours.driver_pid("kvm"), DRIVER_MIB)


def machines(this):
    yield from life(this)
    yield from snapshot(this)
    yield from many(this)
