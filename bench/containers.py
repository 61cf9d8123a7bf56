"""Containers of Docker's: what they cost through the API, beside the docker command doing the same, and
beside what of it dockerd alone takes."""
import concurrent.futures

from stats import beside, beyond, held, timed

MANY, DRIVER_MIB = 100, 10
SIDE_BY_SIDE = 8  # creations at a time while filling: `parallel` of a driver
TITLE = "docker"


def rounds(this):
    return max(this.rounds // 2, 2)


class Turns:
    """What takes how long, by name, in rounds of which the first is for warming up."""

    def __init__(self, rounds):
        self.rounds, self.took = range(rounds + 1), {}

    def take(self, what, act, *words):
        self.took.setdefault(what, []).append(timed(act, *words))

    def __getitem__(self, what):
        return self.took[what][1:]


# --- Life ---------------------------------------------------------------------------------------


def live(this):
    """Each round the same life three times: through the API, by the command, by dockerd alone."""
    ours, peer = this.containers()
    turns = Turns(rounds(this))
    for number in turns.rounds:
        name, theirs, bare = (f"{who}-{number}" for who in ("round", "theirs", "bare"))
        turns.take("create", ours.container, name)
        turns.take("their create", peer.create, theirs)
        turns.take("stop", ours.act, name, "stop")
        turns.take("their stop", peer.stop, theirs)
        turns.take("start", ours.act, name, "start")
        turns.take("their start", peer.start, theirs)
        turns.take("destroy", ours.destroy, name)
        turns.take("their destroy", peer.destroy, theirs)
        turns.take("bare create", peer.create_bare, bare)
        peer.destroy(bare)
        turns.take("asked create", peer.ask_create, bare)
        turns.take("asked stop", peer.ask_stop, bare)
        turns.take("asked remove", peer.ask_remove, bare)
    return turns


def life(this):
    turns = live(this)
    yield beside("create to running", turns["create"], TITLE, turns["their create"], True)
    yield beside("  against docker run --network none", turns["create"], TITLE,
                 turns["bare create"])
    yield beyond("create", turns["create"], "dockerd", turns["asked create"])
    yield beside("start", turns["start"], TITLE, turns["their start"], True)
    yield beside("stop", turns["stop"], TITLE, turns["their stop"], True)
    yield beyond("stop", turns["stop"], "dockerd", turns["asked stop"])
    yield beside("destroy one that runs", turns["destroy"], TITLE, turns["their destroy"], True)


# --- One that runs ------------------------------------------------------------------------------


def used(this):
    """Commands and snapshots."""
    ours, peer = this.containers()
    ours.container("stays")
    peer.create("theirs")
    turns = Turns(rounds(this))
    for number in turns.rounds:
        turns.take("api", ours.exec, "stays")
        turns.take("command", ours.exec_command, "stays")
        turns.take("docker exec", peer.exec, "theirs")
        turns.take("asked exec", peer.ask_exec, "theirs")
        turns.take("snapshot", ours.snapshot, "stays", f"s{number}")
        turns.take("commit", peer.commit, "theirs", "kept")
        ours.delete_snapshot("stays", f"s{number}")
        peer.forget("kept")
    peer.destroy("theirs")
    yield beside("exec true by the API", turns["api"], TITLE, turns["docker exec"], True)
    yield beyond("exec", turns["api"], "dockerd", turns["asked exec"])
    yield beside("corpus exec true", turns["command"], TITLE, turns["docker exec"], True)
    yield beside("snapshot with its data, against docker commit", turns["snapshot"], TITLE,
                 turns["commit"], True)


# --- Many ---------------------------------------------------------------------------------------


def many(this):
    """With as many that run: lists, of the same containers, and the driver's memory."""
    ours, peer = this.containers()
    names = [f"many-{number}" for number in range(len(ours.list()), MANY)]
    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(ours.container, names))
    assert len(peer.list()) == MANY
    turns = Turns(rounds(this))
    for _ in turns.rounds:
        turns.take("list", ours.list_text)
        turns.take("docker ps", peer.list)
    yield beside(f"list of {MANY} with state", turns["list"], TITLE, turns["docker ps"], True)
    yield from held(MANY, ours.driver_pid("docker"), DRIVER_MIB)


def containers(this):
    yield from life(this)
    yield from used(this)
    yield from many(this)
