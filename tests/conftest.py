"""Fixtures of the black-box tests: nodes with the fake driver or with real LXC."""
import contextlib
import pathlib
import shutil
import signal
import threading

import pytest
from harness import machines
from harness.node import TOP, Node
from harness.testbed import Testbed

LOGS = TOP / "build/log"
# What takes a minute or more. A process whose file has one test is given the next but two with it, to
# wait behind that: so the one behind the packages, which take the longest by far, is short.
LONGEST = ("test_packages", "test_kvm_life", "test_kvm_faults", "test_freeze", "test_docker_faults",
           "test_cgroup_v2", "test_crash", "test_kvm_storage", "test_kvm_first_boot",
           "test_mixed_node", "test_debian_services", "test_agent_state")


def pytest_configure():
    """Also a test run that is told to end takes its nodes with it. Now and then xdist runs one of its
    processes in a thread, where signals are none of its business."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before groups are looked for
def pytest_collection_modifyitems(items):
    """Tests that share a node stay together, in their order; what takes minutes begins first, and is
    not left for the end, with nothing beside it."""
    for item in items:
        if item.path.parent.name == "system":
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST
               else len(LONGEST))


@contextlib.contextmanager
def node_for(request, settings=None, drivers=("lxc",), docker=None):
    """A node with the busybox image. In the end everything on it is destroyed through the API and
    nothing may be left; the log of a node on which something failed is kept."""
    failed_before = request.session.testsfailed
    with Testbed() as bed:
        node = Node(bed, settings, drivers, docker)
        good = False
        try:
            node.start()
            node.add_busybox()
            yield node
            node.retire()
            good = request.session.testsfailed == failed_before
        finally:
            if not good and node.log.exists():
                LOGS.mkdir(parents=True, exist_ok=True)
                shutil.copy(node.log, LOGS / f"{pathlib.Path(request.node.name).stem}.corpusd.log")
            node.destroy()


@pytest.fixture(scope="module")
def fake(request):
    """A node of the whole module whose guests are the fake driver's: fast, without containers."""
    with node_for(request, drivers=("fake",)) as node:
        yield node


@pytest.fixture(scope="module")
def pretended(request):
    """A node of the whole module whose guests are machines that the fake driver pretends, with an
    image "disk" of them."""
    with node_for(request, machines.DRIVERS) as node:
        node.api.import_image("disk", machines.ext4_disk(node.dir, holds=[3 << 20]), kind="disk")
        yield node


@pytest.fixture(scope="module")
def kept(request):
    """A node of the whole module whose guests are containers that the fake driver pretends, with an
    image "app:1" of them."""
    with node_for(request, machines.CONTAINERS) as node:
        node.api.call("POST", "/v1/images", {"name": "app:1"}, query={"wait": 60})
        yield node


@pytest.fixture(scope="module")
def lxc(request):
    """A node of the whole module with real containers."""
    with node_for(request) as node:
        yield node


@pytest.fixture(scope="module")
def machine_node(request):
    """A node of the whole module with real machines."""
    with node_for(request, drivers=("kvm",)) as node:
        yield node


@pytest.fixture(scope="module")
def docker_node(request):
    """A node of the whole module with real containers of a dockerd."""
    with node_for(request, drivers=("docker",)) as node:
        yield node


@pytest.fixture(scope="module")
def mixed_node(request):
    """A node of the whole module with guests of all kinds, and a dockerd as hosts have it."""
    with node_for(request, drivers=("lxc", "kvm", "docker"),
                  docker={"bridge": True}) as node:
        yield node


@pytest.fixture
def make_node(request):
    """Makes nodes of the test's own: make_node(settings=…, drivers=…, docker=options of dockerd)."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(node_for(request, **options))
