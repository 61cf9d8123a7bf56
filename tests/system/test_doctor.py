"""What corpus-doctor says of a real host: by the agent, and without one."""
import concurrent.futures
import json
import os
import subprocess

import pytest
from harness.node import program
from harness.testbed import NODE

# As Docker leaves it, but for the chain that corpusd has its guests pass in: everything that is
# forwarded is dropped but what is its own.
FOREIGN = """table ip filter {
    chain DOCKER { }
    chain FORWARD { type filter hook forward priority filter; policy drop; jump DOCKER; }
}"""


def lines(report, check):
    return [line for line in report["checks"] if line["check"] == check]


def nft(node, *words, **options):
    subprocess.run(node.bed.inside(NODE) + ["nft", *words], check=True, text=True, **options)


@pytest.fixture
def docker(fake):
    nft(fake, "-f", "-", input=FOREIGN)
    yield
    nft(fake, "delete", "table", "ip", "filter")


def test_a_host_that_suits_has_nothing_bad_about_it(fake):
    report = fake.api.get("/v1/node/doctor")
    assert report["verdict"] != "bad", report
    assert {line["check"] for line in report["checks"]} >= {
        "kernel", "cgroups", "namespaces", "ids", "btrfs", "forwarding", "nf_tables", "traffic",
        "space", "time", "files", "memory", "driver"}
    driver, = lines(report, "driver")
    assert driver["verdict"] == "good" and driver["message"].startswith("fake can run guests")


def test_another_firewall_that_drops_is_named_until_it_lets_guests_pass(fake, docker):
    bad, = lines(fake.api.get("/v1/node/doctor"), "traffic")
    assert bad["verdict"] == "bad" and "FORWARD of table ip filter (of Docker)" in bad["message"]
    bridge = bad["advice"].split(" -i ")[1].split()[0]
    for way in ("iifname", "oifname"):
        nft(fake, "insert", "rule", "ip", "filter", "DOCKER", way, bridge, "accept")
    good, = lines(fake.api.get("/v1/node/doctor"), "traffic")
    assert good["verdict"] == "good", good


def test_many_at_once_do_not_hold_up_the_node(fake):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: fake.api.send("GET", "/v1/node/doctor").status, range(24)))
    assert set(statuses) <= {200, 429} and 200 in statuses
    assert fake.api.get("/v1/node/doctor")["verdict"]


def test_without_an_agent_that_is_the_first_finding(fake, tmp_path):
    result = subprocess.run(
        [program("corpus"), "--socket", tmp_path / "nobody.sock", "--json", "doctor"], check=False,
        capture_output=True, text=True, timeout=60,
        env=os.environ | {"CORPUS_LIBEXEC": fake.environment["CORPUS_LIBEXEC"]})
    report = json.loads(result.stdout)
    assert result.returncode == 1 and result.stderr == ""
    assert (report["checks"][0]["check"], report["checks"][0]["verdict"]) == ("agent", "bad")
    assert "corpusd" in report["checks"][0]["advice"]
    assert lines(report, "kernel") and lines(report, "driver")
