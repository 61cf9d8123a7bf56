"""corpusd --retire: what the agent made on a host goes, once no guest needs it."""
import subprocess

import pytest
from harness import testbed
from harness.node import Node, program


@pytest.fixture
def node():
    """A node that the test retires by itself."""
    with testbed.Testbed() as bed:
        made = Node(bed)
        try:
            made.start()
            made.add_busybox()
            yield made
        finally:
            made.destroy()


def retire(node):
    """What it says beside its log; nothing when it succeeds."""
    done = subprocess.run([*node.bed.inside(testbed.NODE), program("corpusd"), "--config",
                           node.config, "--retire"], env=node.environment, check=False,
                          capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if line.startswith("corpusd: ")]
    assert (done.returncode == 0) == (not said), done.stderr
    return "".join(said)


def test_a_node_without_guests_is_taken_back_and_can_serve_again(node):
    assert "stop it first" in retire(node), "an agent at work is not retired"
    node.stop()
    assert retire(node) == ""
    assert "corpus" not in node.rules()
    assert "lxcbr1" not in node.bed.ip(testbed.NODE, "link")
    assert not node.pool.is_mount()
    assert (node.dir / "state/retired").exists()
    assert retire(node) == "", "again finds nothing to do"
    node.start()
    assert not (node.dir / "state/retired").exists()
    assert [image["name"] for image in node.api.get("/v1/images")["images"]] == ["busybox"]


def test_a_guest_keeps_the_node_in_service(node):
    node.api.create("web.example.org", ports=[{"host": 45080, "guest": 80}])
    node.remember()
    node.await_page(45080)
    node.stop()
    said = retire(node)
    assert "(1, the first is web.example.org)" in said
    node.await_page(45080)
    assert not (node.dir / "state/retired").exists()
    node.start()
    node.api.destroy("web.example.org")
    node.stop()
    assert retire(node) == ""
