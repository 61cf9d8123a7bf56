"""A Debian with systemd that runs nginx and PostgreSQL, through all that users do with a guest:
boot, load, snapshot, restore, clone, limits, freezing, shutting down. What the database says is
checked from another host, through a published port."""
import contextlib
import datetime
import re
import tarfile
import time

import pytest
from harness import postgres, testbed
from harness.http import Connection
from harness.node import CACHE
from harness.rootfs import PAGE, services_tar
from harness.shell import wait_for
from harness.stream import SIGNAL

NAME, COPY = "db.example.org", "copy.example.org"
FILES = f"/v1/guests/{NAME}/files"
WEB, DB = 45400, 45432
MIB = 1 << 20
INDEX = "/var/www/html/index.html"
LOG = "/var/log/postgresql/postgresql-{}-main.log"

# Whoever reaches the port may enter: only the testbed's own hosts can.
SETTINGS = b"listen_addresses = '*'\nhba_file = '/etc/postgresql/access'\n"
ACCESS = b"local all all peer\nhost all all all trust\n"

# pgbench adds one figure to three tables and notes it in a fourth, in one transaction: a state in
# which these differ never was.
SUMS = """SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM
    pgbench_branches), (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT coalesce(sum(delta), 0)
    FROM pgbench_history), (SELECT count(*) FROM pgbench_history)"""


@pytest.fixture(scope="module")
def version(lxc):
    """Makes the guest and waits until it has booted; the version of its PostgreSQL."""
    lxc.api.import_image("services", services_tar(CACHE))
    lxc.api.create(NAME, image="services", start=False, storage={"size": "2GiB"},
                   limits={"memory": "1GiB", "cpus": 2, "pids": 400},
                   ports=[{"guest": 80, "host": WEB, "purpose": "web"},
                          {"guest": 5432, "host": DB, "purpose": "db"}])
    lxc.remember()
    listing = lxc.api.call("GET", FILES, query={"path": "/etc/postgresql"}).json
    found, = [entry["name"] for entry in listing["entries"] if entry["name"].isdigit()]
    put(lxc, INDEX, PAGE)
    put(lxc, "/etc/postgresql/access", ACCESS)
    put(lxc, f"/etc/postgresql/{found}/main/conf.d/test.conf", SETTINGS)
    lxc.api.act(NAME, "start")
    await_services(lxc, NAME)
    shell(lxc, NAME, "pgbench --quiet --initialize --scale 2", user="postgres")
    yield found
    lxc.api.destroy(NAME)
    lxc.api.change("DELETE", "/v1/images/services")
    lxc.assert_empty()


# --- what is done over and over ---

def put(node, path, content):
    node.api.call("PUT", FILES, content, query={"path": path})


def shell(node, name, script, **fields):
    """Runs a script in a guest, which has to succeed; what it printed."""
    done = node.api.exec(name, "/bin/sh", "-c", script, **fields)
    assert done["status"] == 0, f"{script}: {done}"
    return done["stdout"]


def await_services(node, name):
    """Until systemd has booted to its end, and page and database are there from another host."""
    said = []

    def booted():
        done = node.api.exec(name, "systemctl", "is-system-running", "--wait")
        said[:] = [done["stdout"].strip() or done["stderr"].strip()]
        return said[0] in ("running", "degraded")

    wait_for("systemd is done", booted, 300)
    assert said == ["running"], shell(node, name, "systemctl --failed; journalctl -b -p warning")
    node.await_page(node.port_of(name, "web"), seconds=60)
    with database(node, name) as db:
        assert db.query("SELECT 1 + 1") == [["2"]]


@contextlib.contextmanager
def database(node, name=NAME):
    """A connection of another host, through the node's port."""
    made = node.bed.socket(testbed.CLIENT)
    made.settimeout(60)
    with made:
        made.connect((testbed.NODE_ADDRESS, node.port_of(name, "db")))
        with postgres.Connection(made) as connection:
            yield connection


@contextlib.contextmanager
def load(node):
    """Within it pgbench writes to the database from inside, from its first second's report on. In the
    end it still does, and noticed nothing."""
    with node.api.exec_stream(NAME, "pgbench", "--no-vacuum", "--client=4", "--progress=1",
                              "--time=3600", user="postgres") as stream:
        stream.until(lambda s: b"progress: 1" in s.err)
        yield
        stream.send(SIGNAL, b"TERM")
        assert stream.to_end() == {"signal": "TERM"} and b"pgbench:" not in stream.err, stream.err


def await_more(db, count):
    """Until there are more transactions than so many."""
    wait_for("the load to go on", lambda: assert_consistent(db, count) > count)


def assert_consistent(db, least):
    """All that was ever committed together is there together; at least so many transactions."""
    *sums, count = (int(field) for field in db.query(SUMS)[0])
    assert len(set(sums)) == 1, sums
    assert count >= least
    return count


def identity(node, name):
    """What makes one machine of many: all of it has to be its own."""
    return shell(node, name, "hostname; cat /etc/machine-id; cat /etc/ssh/ssh_host_*_key.pub | "
                             "cut -d' ' -f2; ip -4 -brief address show eth0").splitlines()


def stats(node, name=NAME):
    return node.api.get(f"/v1/guests/{name}/stats")


def limit(node, **limits):
    node.api.change("PATCH", f"/v1/guests/{NAME}", {"limits": limits})


def inside(node, *paths):
    """What the guest sees of its limits: the file that there is, of control groups v2 or v1."""
    script = f"cd /sys/fs/cgroup && cat {' '.join(paths)} 2>/dev/null; true"
    return shell(node, NAME, script).split()


# --- the tests ---

def test_an_image_has_folders_for_logs_and_no_logs():
    with tarfile.open(services_tar(CACHE)) as tar:
        found = {entry.name: entry.isdir() for entry in tar if entry.name.startswith("./var/log/")}
    assert {"./var/log/nginx", "./var/log/postgresql"} <= set(found) and all(found.values())


def test_it_boots_and_both_services_answer_another_host(lxc, version):
    guest = lxc.api.guest(NAME)
    assert guest["state"] == "running"
    units = f"nginx postgresql@{version}-main ssh systemd-networkd"
    assert shell(lxc, NAME, f"systemctl is-active {units}").split() == ["active"] * 4
    with database(lxc) as db:
        assert db.query("SHOW server_version")[0][0].startswith(version)
        assert db.query("SELECT inet_server_addr()") == [[guest["network"]["address"]]]


def test_a_snapshot_under_load_brings_everything_back(lxc, version):
    before = lxc.api.guest(NAME)
    with lxc.nothing_noticed(WEB), load(lxc), database(lxc) as db:
        db.query("CREATE TABLE kept AS SELECT 'committed' AS word")
        least = assert_consistent(db, 1)
        lxc.api.change("POST", f"/v1/guests/{NAME}/snapshots", {"name": "loaded"})
        await_more(db, assert_consistent(db, least))
    with database(lxc) as db:
        late = assert_consistent(db, least)
        db.query("DROP TABLE kept, pgbench_accounts, pgbench_history")
    shell(lxc, NAME, f"rm -r {INDEX} /etc/nginx")
    done = lxc.api.change("POST", f"/v1/guests/{NAME}/snapshots/loaded/restore")
    assert done["result"]["ports"] == before["ports"]
    assert done["result"]["network"] == before["network"]
    await_services(lxc, NAME)
    with database(lxc) as db:
        assert db.query("SELECT word FROM kept") == [["committed"]]
        assert assert_consistent(db, least) < late
    assert "automatic recovery in progress" in shell(lxc, NAME, f"cat {LOG.format(version)}")
    lxc.api.change("DELETE", f"/v1/guests/{NAME}/snapshots/loaded")


def test_a_clone_under_load_is_a_machine_of_its_own(lxc, version):
    with lxc.nothing_noticed(WEB), load(lxc):
        with database(lxc) as db:
            least = assert_consistent(db, 0)
            clone = lxc.api.act(NAME, "clone", {"name": COPY})["result"]
            lxc.remember()
            await_more(db, assert_consistent(db, least))
        try:
            await_services(lxc, COPY)
            ours, theirs = identity(lxc, NAME), identity(lxc, COPY)
            assert not set(ours) & set(theirs), "they share something"
            assert theirs[0] == COPY and re.fullmatch("[0-9a-f]{32}", theirs[1])
            assert clone["network"]["address"] in theirs[-1] and len(theirs) >= 4
            with database(lxc, COPY) as db, database(lxc) as original:
                assert_consistent(db, least)
                db.query("DROP TABLE pgbench_accounts")
                assert_consistent(original, least + 1)
        finally:
            lxc.api.destroy(COPY)
    assert [guest["name"] for guest in lxc.api.guests()] == [NAME]


def test_limits_change_under_load_and_are_seen_everywhere(lxc, version):
    pid = lxc.api.guest(NAME)["pid"]
    with load(lxc):
        limit(lxc, memory="768MiB", cpus=0.25, pids=300)
        assert inside(lxc, "memory.max", "memory/memory.limit_in_bytes") == [str(768 * MIB)]
        assert inside(lxc, "pids.max", "pids/pids.max") == ["300"]
        wait_for("it is held back", lambda: (stats(lxc)["cpu"]["throttled_ns"] or 0) > 0)
        first = stats(lxc)
        second = wait_for("it is held back over and over", lambda: (now := stats(lxc)) and
                          now["cpu"]["throttled"] > first["cpu"]["throttled"] + 5 and now)
    used = second["cpu"]["used_ns"] - first["cpu"]["used_ns"]
    assert used < 0.4 * (moment(second) - moment(first)) * 1e9
    assert (second["cpu"]["set"], second["memory"]["set"], second["pids"]["set"]) == \
        (0.25, 768 * MIB, 300)
    assert 0 < second["memory"]["used"] <= 768 * MIB and 0 < second["pids"]["used"] <= 300
    limit(lxc, memory="1GiB", cpus=2, pids=400)
    assert inside(lxc, "memory.max", "memory/memory.limit_in_bytes") == [str(1024 * MIB)]
    assert lxc.api.guest(NAME)["pid"] == pid
    with database(lxc) as db:
        assert_consistent(db, 1)


def moment(sample):
    """The second at which a sample was taken."""
    return datetime.datetime.fromisoformat(sample["sampled"]).timestamp()


def test_open_connections_go_on_after_a_freeze(lxc, version):
    with database(lxc) as db, lxc.bed.socket(testbed.CLIENT) as page:
        page.settimeout(60)
        page.connect((testbed.NODE_ADDRESS, WEB))
        web = Connection(page)
        db.query("CREATE TEMPORARY TABLE mine AS SELECT 42 AS answer")
        lxc.api.act(NAME, "freeze")
        db.ask("SELECT answer FROM mine")
        db.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            db.answer()
        db.socket.settimeout(60)
        web.request("GET", "/")
        lxc.api.act(NAME, "thaw")
        assert db.answer() == [["42"]]
        assert web.getresponse().read() == PAGE


def test_it_shuts_down_in_time_and_in_order(lxc, version):
    began = time.monotonic()
    lxc.api.act(NAME, "stop", {"timeout": "60s"})
    assert time.monotonic() - began < 50, "it had to be killed"
    log = lxc.api.call("GET", FILES, query={"path": LOG.format(version)}).text
    assert log.rstrip().endswith("database system is shut down")
    assert lxc.api.guest(NAME)["state"] == "stopped" and lxc.links() == []
