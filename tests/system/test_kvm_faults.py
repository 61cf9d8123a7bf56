"""Real machines while the agent, its driver and libvirtd are killed, hang or are away: every change is
finished or taken back, or can be repeated; nothing is leaked or lost, machines run on, and what is
somebody else's stays as it is, to the byte. Also machines that do not behave, and nodes that cannot
give what they want. The machines have no OS: 512 bytes, up in 0.3 s."""
import os
import pathlib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import node_for
from crash import (Crash, assert_whole, bring_back, die_at_every_step, driver_pids, is_told, kill,
                   look, new_key, ready_fleet, settle)
from harness import disks, machines
from harness.api import Problem
from harness.shell import wait_for

MIB = 1 << 20
LIVE = ("running", "frozen")
NAME, BYSTANDER = "victim.example.org", "bystander.example.org"
PATH = f"/v1/guests/{NAME}"
PATIENCE = 240  # seconds
SIZE, LARGE, SMALL = 64 * MIB, 96 * MIB, 48 * MIB
SPEC = {"driver": "kvm", "limits": {"memory": "64MiB", "cpus": 1}, "storage": {"size": SIZE}}
FOREIGN = "corpus-0123456789ab"  # though it is called as if it were ours
FOREIGN_XML = f"""<domain type='qemu'><name>{FOREIGN}</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>"""


@pytest.fixture(scope="module")
def node(request, tmp_path_factory):
    """A node with a machine that shall notice nothing, and one that is not the node's."""
    with node_for(request, drivers=("kvm",)) as node:
        folder = tmp_path_factory.mktemp("disks")
        for name, ends in (("boot", True), ("stubborn", False)):
            node.api.import_image(name, disks.boot_sector_disk(folder / name, ends), kind="disk",
                                  format="raw")
        (folder / "dead").write_bytes(bytes(MIB))
        node.api.import_image("dead", folder / "dead", kind="disk", format="raw")
        for part in ("10.5.0.0/17", "10.5.128.0/17"):  # no machine here answers: let that be quick
            node.bed.ip("node", "route", "add", "unreachable", part)
        create(node, BYSTANDER)
        (node.dir / "foreign.xml").write_text(FOREIGN_XML)
        node.virt.virsh("define", node.dir / "foreign.xml")
        node.virt.virsh("start", FOREIGN)
        node.untouched = untouched(node)
        yield node
        node.virt.virsh("destroy", FOREIGN)
        node.virt.virsh("undefine", FOREIGN)


@pytest.fixture(autouse=True)
def nothing_leaked_or_lost(node):
    """Whatever the test did, it has brought everything back and taken its guests away."""
    yield
    bring_back(node.virt)
    if node.process.poll() is not None:
        node.start()
    settle(node)
    destroy_all(node, [g["name"] for g in node.api.guests() if g["name"] != BYSTANDER])
    assert_clean(node)
    node.assert_only(BYSTANDER)


# --- what there is ---

def create(node, name, image="boot", **fields):
    done = node.api.change("POST", "/v1/guests", SPEC | {"name": name, "image": image} | fields)
    node.remember()
    return done


def destroy_all(node, names):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(node.api.destroy, names))


def guest_or_none(node, name):
    found = [guest for guest in node.api.guests() if guest["name"] == name]
    return found[0] if found else None


def untouched(node):
    """What nothing here may change: the other's domain, to the byte, and whose processes run."""
    pid = node.bed.seen(f"/run/libvirt/qemu/{FOREIGN}.pid").read_text()
    begun = [pathlib.Path(f"/proc/{p}/stat").read_text().split()[21]
             for p in (pid, node.api.guest(BYSTANDER)["pid"])]
    return node.bed.seen(f"/etc/libvirt/qemu/{FOREIGN}.xml").read_bytes(), begun


def machines_of(node):
    """Domains that run, without the other's; those that there are; programs of guests."""
    running = node.virt.virsh("list", "--state-running", "--state-paused", "--name").split()
    programs = [os.path.basename(program) for program in node.monitors().values()]
    return (sorted(set(running) - {FOREIGN}), sorted(set(node.virt.domains()) - {FOREIGN}),
            sorted(programs))


def traces(node, ids):
    """Files anywhere below the agent's and libvirt's folders that bear one of these ids. A libvirtd
    that is killed while a machine comes or goes leaves folders of its own, domain-N-NAME."""
    places = [node.dir / "state", node.dir / "run", node.dir / "log", node.dir / "libvirt",
              node.dir / "pool"]
    return [os.path.join(root, name) for place in places
            for root, folders, files in os.walk(node.bed.seen(place))
            for name in folders + files
            if any(id in name for id in ids) and not name.startswith("domain-")]


def assert_clean(node):
    """Only what the guests there are need is on the host, and others noticed nothing."""
    wait_for("all guests are seen", lambda: all(g["state"] != "unknown" for g in node.api.guests()))
    assert_whole(node)
    wait_for("the driver and what watches, no more", lambda: len(driver_pids(node)) == 2)
    guests = node.api.guests()
    running = sorted(f"corpus-{g['id']}" for g in guests if g["state"] in LIVE)
    wait_for(f"machines {running}", lambda: machines_of(node)[0] == running)
    _, domains, _ = machines_of(node)
    stray = set(domains) - {f"corpus-{guest['id']}" for guest in guests}
    assert not stray, [node.virt.virsh("dominfo", name, check=False) for name in stray]
    wait_for("machines' programs, no more",
             lambda: machines_of(node)[2] == ["qemu-system-x86_64"] * (len(running) + 1))
    for guest in guests:
        assert not list((node.pool / "volumes" / guest["id"]).glob("memory*")), guest["name"]
    assert traces(node, node._guests - {g["id"] for g in guests}) == []
    assert not list((node.pool / "incoming").glob("*"))
    assert untouched(node) == node.untouched


# --- each kind of change, on a machine of its own ---

class Change:
    """One kind of change: `ready` brings its guest where it can be made, `expected` says what holds
    when it was: state, size, snapshots. It may be asked for again and again."""

    def __init__(self, verb, method, path, body=None, query=None, ready=None, expected=None):
        self.verb, self.method, self.path, self.body = verb, method, path, body
        self.query, self.ready = query, ready
        self.expected = expected or ("running", SIZE, [])

    def crash(self, name):
        path = f"/v1/guests/{name}{self.path}" if self.path is not None else "/v1/guests"
        return Crash(f"guest.{self.verb}", self.method, path, self._body(name), self.query)

    def _body(self, name):
        if self.verb == "create":
            return SPEC | {"name": name, "image": "boot"}
        if self.verb == "clone":
            return {"name": f"copy-of-{name}", "snapshot": "then"}
        return self.body

    def prepare(self, node, name):
        """Its guest, which is not there yet."""
        if self.ready is not None:
            create(node, name)
            self.ready(node, name)

    def assert_done(self, node, name):
        if self.verb == "destroy":
            assert guest_or_none(node, name) is None
            return
        guest = node.api.guest(name)
        seen = guest["state"], guest["storage"]["size"], [s["name"] for s in guest["snapshots"]]
        assert seen == self.expected, (self.verb, seen)
        disk = node.pool / "volumes" / guest["id"] / "disk.qcow2"
        assert machines.info(disk)["virtual-size"] == self.expected[1]
        if self.verb == "clone":
            assert node.api.guest(f"copy-of-{name}")["state"] == "running"


def as_it_is(_node, _name):
    pass


def acted(*actions):
    def ready(node, name):
        for action in actions:
            node.api.act(name, action)
    return ready


def kept(memory):
    def ready(node, name):
        node.api.change("POST", f"/v1/guests/{name}/snapshots", {"name": "then", "memory": memory})
    return ready


CHANGES = {
    "create": Change("create", "POST", None),
    "start": Change("start", "POST", "/actions/start", ready=acted("stop")),
    "stop": Change("stop", "POST", "/actions/stop", ready=as_it_is,
                   expected=("stopped", SIZE, [])),
    "freeze": Change("freeze", "POST", "/actions/freeze", ready=as_it_is,
                     expected=("frozen", SIZE, [])),
    "thaw": Change("thaw", "POST", "/actions/thaw", ready=acted("freeze")),
    "update": Change("update", "PATCH", "", {"limits": {"memory": "64MiB", "cpus": 1,
                                                        "io_read": 9 * MIB}}, ready=as_it_is),
    "enlarge": Change("enlarge", "POST", "/storage/enlarge", {"to": LARGE}, ready=as_it_is,
                      expected=("running", LARGE, [])),
    "trim": Change("trim", "POST", "/storage/trim", {"to": SMALL, "restart": True},
                   ready=as_it_is, expected=("running", SMALL, [])),
    "snapshot": Change("snapshot", "POST", "/snapshots", {"name": "then"}, ready=as_it_is,
                       expected=("running", SIZE, ["then"])),
    "memory": Change("snapshot", "POST", "/snapshots", {"name": "then", "memory": True},
                     ready=as_it_is, expected=("running", SIZE, ["then"])),
    "restore": Change("restore", "POST", "/snapshots/then/restore", ready=kept(True),
                      expected=("running", SIZE, ["then"])),
    "clone": Change("clone", "POST", "/actions/clone", ready=kept(False),
                    expected=("running", SIZE, ["then"])),
    "destroy": Change("destroy", "DELETE", "", query={"destroy": "true"}, ready=as_it_is),
}


# --- kill -9 of the agent ---

# Of the others test_crash.py and test_crash_verbs.py have as much: they are not the machine's own.
@pytest.mark.parametrize("kind", sorted(CHANGES.keys() - {"freeze", "thaw", "update"}))
def test_kill_9_of_the_agent_at_every_step(node, kind):
    change = CHANGES[kind]
    change.prepare(node, NAME)
    die_at_every_step(node, change.crash(NAME))
    change.assert_done(node, NAME)
    assert_clean(node)


# --- the driver and libvirtd ---

def kill_driver(node):
    """What watches and the processes of calls, and while their ends are dealt with the driver itself."""
    driver = node.driver_pid("kvm")
    kill(*set(driver_pids(node)) - {driver})
    time.sleep(0.2)
    kill(driver)


def kill_libvirtd(node):
    node.virt.kill()


def hang_libvirtd(node):
    node.virt.stop_process()


def begin_all(node, fleet, names=None):
    """The operations by the names of their guests; None: it was refused, as nobody knows what the
    guest is."""
    begun = {}
    for name in fleet if names is None else names:
        crash = fleet[name].crash(name)
        answer = node.api.send(crash.method, crash.path, crash.body, query=crash.query,
                               headers={"Idempotency-Key": new_key()})
        assert answer.status == 202 or (answer.status in (409, 503) and names is None
                                        and "unknown" in answer.json["detail"]), answer.text
        begun[name] = answer.json if answer.status == 202 else None
    return begun


def await_told(node, begun):
    """On a busy node each of the driver's calls may take its deadline, and several follow each other."""
    deadline = time.monotonic() + PATIENCE
    while not all([is_told(node, operation) for operation in begun.values() if operation]):
        assert time.monotonic() < deadline, [look(node, o) for o in begun.values() if o]
        time.sleep(0.1)


def repeat_failed(node, fleet, begun):
    """With everything back again."""
    settle(node)
    wait_for("all is seen", lambda: all(g["state"] != "unknown" for g in node.api.guests()))
    failed = [name for name, operation in begun.items()
              if not operation or look(node, operation)["state"] == "failed"]
    for operation in begin_all(node, fleet, failed).values():
        done = node.api.wait(operation["id"])
        assert done["state"] == "done", done
    node.remember()
    for name, change in fleet.items():
        change.assert_done(node, name)
    assert_clean(node)
    return failed


@pytest.mark.parametrize("die", [kill_driver, kill_libvirtd])
def test_what_dies_in_the_middle_costs_only_a_repeat(node, die):
    fleet = ready_fleet(node, CHANGES)
    begun = begin_all(node, fleet)
    time.sleep(0.2)  # how far each is then is left to chance
    die(node)
    bring_back(node.virt)
    await_told(node, begun)
    repeat_failed(node, fleet, begun)


def assert_reads_go_on(node, before):
    """From memory: what nobody knows is told, with since when; and the machines run on."""
    wait_for("all are unknown", lambda: all(
        g["state"] == "unknown" for g in node.api.guests()))
    for guest in node.api.guests():
        was = before[guest["id"]]
        assert guest["since"] > was["since"] and guest["storage"] == was["storage"]
    assert_run_on(before)


def assert_run_on(before):
    for guest in before.values():
        assert not guest["pid"] or os.path.exists(f"/proc/{guest['pid']}"), guest


def test_without_libvirtd_changes_fail_and_say_why(node):
    fleet = ready_fleet(node, CHANGES)
    before = {g["id"]: g for g in node.api.guests()}
    kill_libvirtd(node)
    assert_reads_go_on(node, before)
    begun = begin_all(node, fleet)
    await_told(node, begun)
    assert_run_on(before)
    bring_back(node.virt)
    failed = repeat_failed(node, fleet, begun)
    assert {f"{kind}.example.org" for kind in ("start", "stop", "freeze", "memory")} <= set(failed)


def test_while_libvirtd_hangs_reads_go_on_and_then_changes_do(node):
    fleet = ready_fleet(node, CHANGES)
    before = {g["id"]: g for g in node.api.guests()}
    hang_libvirtd(node)
    begun = begin_all(node, fleet)  # each meets it at once
    wait_for("the bystander is unknown",
             lambda: node.api.guest(BYSTANDER)["state"] == "unknown")
    assert_run_on(before)
    bring_back(node.virt)
    await_told(node, begun)
    repeat_failed(node, fleet, begun)


# --- machines that do not behave, nodes that have not enough ---

def test_a_machine_that_never_boots_is_unhealthy(node):
    create(node, NAME, "dead", health={"check": "http", "port": 80, "interval": "1s", "timeout": "1s",
                                       "retries": 1, "grace": "0s"})
    wait_for("it is unhealthy", lambda: node.api.guest(NAME)["health_state"] == "unhealthy")
    guest = node.api.guest(NAME)
    assert guest["state"] == "running" and guest["problem"].startswith("unhealthy")
    assert_clean(node)


def test_a_machine_that_ignores_its_power_button_is_ended_in_time(node):
    create(node, NAME, "stubborn")
    began = time.monotonic()
    node.api.change("POST", f"{PATH}/actions/stop", {"timeout": "1s"})
    assert 1 <= time.monotonic() - began < 40
    assert node.api.guest(NAME)["state"] == "stopped"
    assert_clean(node)


def test_a_machine_larger_than_the_node_is_refused(node):
    much = 2 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with pytest.raises(Problem) as refused:
        create(node, NAME, limits={"memory": much, "cpus": 1})
    assert refused.value.field == "limits.memory" and "this node has only" in refused.value.detail
    assert guest_or_none(node, NAME) is None
    create(node, NAME)
    with pytest.raises(Problem) as refused:
        node.api.change("PATCH", PATH, {"limits": {"memory": much}})
    assert refused.value.field == "limits.memory"
    assert node.api.guest(NAME)["limits"]["memory"] == 64 * MIB
    assert_clean(node)


def test_a_disk_that_somebody_else_has_open_is_not_written(node):
    create(node, NAME)
    node.api.act(NAME, "stop")
    disk = node.pool / "volumes" / node.api.guest(NAME)["id"] / "disk.qcow2"
    with subprocess.Popen(["qemu-io", "-f", "qcow2", disk], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as other:
        try:
            other.stdout.read(1)  # its prompt: it has it open
            for path, body in (("/actions/start", None), ("/storage/enlarge", {"to": LARGE}),
                               ("/storage/trim", {"to": SMALL})):
                with pytest.raises(Problem) as refused:
                    node.api.change("POST", PATH + path, body)
                print(path, refused.value)
                assert refused.value.code == "conflict" and "in use" in refused.value.detail
        finally:
            other.stdin.close()
    wait_for("it is seen stopped", lambda: node.api.guest(NAME)["state"] == "stopped")
    assert machines.info(disk)["virtual-size"] == SIZE
    node.api.act(NAME, "start")
    assert_clean(node)
