"""What guests use: one and all at once, without waiting for whom does not answer; metrics that
Prometheus takes."""
import json
import os
import re
import signal
import subprocess
import time

import pytest
from harness.api import Problem
from harness.http import Connection
from harness.node import TOP
from harness.shell import wait_for
from prometheus_client.openmetrics.parser import text_string_to_metric_families

NAME = "busy.example.org"
BODY = {"image": "busybox", "driver": "fake"}


def metrics(node, accept=None):
    """The text and its type, as it is sent."""
    connection = Connection(node.api.socket_path)
    try:
        connection.request("GET", "/metrics", headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        return answer.read().decode(), answer.headers["Content-Type"]
    finally:
        connection.close()


def samples(text):
    """Values by name and labels; OpenMetrics read by its strict parser."""
    return {(s.name, tuple(sorted(s.labels.items()))): s.value
            for family in text_string_to_metric_families(text) for s in family.samples}


def value(text, name, **labels):
    return samples(text).get((name, tuple(sorted(labels.items()))))


@pytest.fixture
def guest(fake):
    fake.api.change("POST", "/v1/guests", BODY | {
        "name": NAME, "limits": {"memory": "64MiB", "cpus": 1.5, "net_egress": 1000000}})
    # Figures of before its start may be up to a second old.
    wait_for("its figures", lambda: fake.api.get(f"/v1/guests/{NAME}/stats")["cpu"]["used_ns"]
             is not None)
    yield fake.api.guest(NAME)
    fake.api.destroy(NAME)


def test_what_is_used_stands_beside_what_is_set(fake, guest):
    stats = fake.api.get(f"/v1/guests/{NAME}/stats")
    assert (stats["name"], stats["id"], stats["state"]) == (NAME, guest["id"], "running")
    assert stats["cpu"]["set"] == 1.5 and stats["cpu"]["used_ns"] >= 0
    assert stats["memory"]["set"] == 64 << 20 and stats["memory"]["used"] > 0
    assert stats["network"]["set_egress"] == 1000000 and stats["network"]["set_ingress"] is None
    assert stats["storage"]["set"] == guest["storage"]["size"]
    assert stats["storage"]["used"] is not None
    assert stats["sampled"] and stats["unknown_since"] is None
    every = fake.api.get("/v1/stats")
    assert [g["name"] for g in every["guests"]] == [NAME]
    assert every["node"]["guests"] == {"running": 1} and every["node"]["slots_used"] == 1


def test_a_guest_that_does_not_run_uses_nothing_that_is_known(fake, guest):
    fake.api.act(NAME, "stop")
    wait_for("a new sample", lambda: fake.api.get(f"/v1/guests/{NAME}/stats")["memory"]["used"]
             is None)
    stats = fake.api.get(f"/v1/guests/{NAME}/stats")
    assert stats["cpu"]["used_ns"] is None and stats["unknown_since"] is None
    assert stats["memory"]["set"] == 64 << 20


def test_stats_of_no_guest_are_404(fake):
    with pytest.raises(Problem) as refused:
        fake.api.get("/v1/guests/none.example.org/stats")
    assert refused.value.status == 404


def test_nobody_waits_for_a_driver_that_hangs(fake, guest):
    fake.api.get("/v1/stats")
    pid = fake.driver_pid("fake")
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(1.1)  # what was known is too old to be answered again
        stats = fake.api.get(f"/v1/guests/{NAME}/stats")
        assert stats["cpu"]["used_ns"] is None and stats["unknown_since"] == stats["sampled"]
        assert stats["memory"]["set"] == 64 << 20
        assert fake.api.get("/v1/stats")["guests"]
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for("figures again", lambda: fake.api.get(f"/v1/guests/{NAME}/stats")["cpu"]["used_ns"]
             is not None)


def test_many_readers_cost_one_gathering(fake, guest):
    """The fake driver counts its calls: a fault that is hit once a call."""
    faults = fake.dir / "state/drivers/fake/faults.json"
    faults.write_text(json.dumps({"stats": {"count": 1000, "delay_ms": 1}}))
    try:
        begin = time.monotonic()
        while time.monotonic() < begin + 1.5:
            fake.api.get("/v1/stats")
        asked = 1000 - json.loads(faults.read_text())["stats"]["count"]
        assert 1 <= asked <= time.monotonic() - begin + 2
    finally:
        faults.unlink()


def test_open_metrics_are_read_by_a_strict_parser(fake, guest):
    text, kind = metrics(fake)
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert text.endswith("# EOF\n")
    labels = {"guest": NAME, "driver": "fake"}
    assert value(text, "corpus_guest_running", **labels) == 1
    assert value(text, "corpus_guest_memory_limit_bytes", **labels) == 64 << 20
    assert value(text, "corpus_guest_cpu_limit", **labels) == 1.5
    assert value(text, "corpus_guests", state="running") == 1
    assert value(text, "corpus_node_slots", state="used") == 1
    assert value(text, "corpus_node_mode", mode="active") == 1
    assert value(text, "corpus_driver_up", driver="fake") == 1
    done = {"verb": "guest.create", "driver": "fake", "result": "done"}
    count = value(text, "corpus_operations_total", **done)
    assert count >= 1
    assert value(text, "corpus_operation_duration_seconds_count", **done) == count
    assert value(text, "corpus_operation_duration_seconds_bucket", le="+Inf", **done) == count
    assert 0 < value(text, "corpus_operation_duration_seconds_sum", **done) < 60 * count


def test_every_metric_is_explained(fake, guest):
    page = (TOP / "docs/metrics.md").read_text()
    names = {re.sub("_(bucket|sum|count)$", "", name) for name, _ in samples(metrics(fake)[0])}
    assert len(names) > 40
    assert [name for name in sorted(names) if f"`{name}" not in page] == []


def test_requests_and_failures_are_counted(fake, guest):
    def counted(status):
        return value(metrics(fake)[0], "corpus_http_requests_total", route="/v1/guests/{}",
                     method="GET", status=status) or 0

    good, bad = counted("2xx"), counted("4xx")
    fake.api.guest(NAME)
    fake.api.send("GET", "/v1/guests/none.example.org")
    assert (counted("2xx"), counted("4xx")) == (good + 1, bad + 1)
    fake.api.send("GET", "/no/such/path")
    assert value(metrics(fake)[0], "corpus_http_requests_total", route="", method="GET",
                 status="4xx") >= 1
    fake.api.send("POST", f"/v1/guests/{NAME}/storage/trim", {"to": 16 << 20}, query={"wait": 30})
    assert value(metrics(fake)[0], "corpus_operations_total", verb="guest.trim", driver="fake",
                 result="done") >= 1


def test_the_older_form_passes_promtool(fake, guest):
    text, kind = metrics(fake, accept="text/plain")
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, check=False,
                             capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, ""), checked
    # The same samples, whichever form.
    names = {line.split("{")[0].split()[0] for line in text.splitlines() if line[0] != "#"}
    assert names == {name for name, _ in samples(metrics(fake)[0])}


def test_counters_of_real_links_and_volumes(lxc):
    name = "real.example.org"
    lxc.api.create(name, ports=[{"guest": 80, "purpose": "web"}])
    try:
        lxc.await_page(lxc.port_of(name, "web"))
        lxc.in_guest(name, "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=30")
        wait_for("storage", lambda: lxc.api.get(f"/v1/guests/{name}/stats")["storage"]["used"]
                 > 25_000_000)
        stats = lxc.api.get(f"/v1/guests/{name}/stats")
        assert stats["network"]["received_bytes"] > 0 and stats["network"]["sent_packets"] > 0
    finally:
        lxc.api.destroy(name)


def test_a_real_guest_that_runs_out_of_memory_is_told(make_node):
    node = make_node(settings={"stats_interval": "1s"})
    name = "hog.example.org"
    node.api.create(name, limits={"memory": "32MiB", "swap": 0})
    with node.api.events(after=0) as events:
        # All of it at once: one that grows slowly has the kernel look for what else could go first.
        node.api.exec(name, "busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
        told = events.until(lambda e: e["type"] == "guest.oom")[-1]
    assert told["target"] == name and told["kills"] >= 1
    stats = node.api.get(f"/v1/guests/{name}/stats")
    assert stats["memory"]["oom_kills"] >= 1 and 0 < stats["memory"]["used"] <= 32 << 20
    assert stats["memory"]["peak"] > 16 << 20
    assert stats["cpu"]["used_ns"] > 0 and stats["pids"]["used"] >= 1
    labels = {"guest": name, "driver": "lxc"}
    assert value(metrics(node)[0], "corpus_guest_oom_kills_total", **labels) >= 1
    node.api.destroy(name)
