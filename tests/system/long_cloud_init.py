"""First boot by cloud-init, in a real Debian: what the other tests show of the hook of our own images
holds with it, too. Building that image takes two minutes and each boot one, under software emulation:
so it is not among the tests of `./dev test`, but of `./dev long`."""
import pytest
from conftest import node_for
from harness import disks
from harness.node import CACHE
from test_first_boot import KEY, OTHER, opens
from test_kvm_first_boot import given, how_user_data_ended, inside, keys_in, node_key, \
    wait_until_given

NAME, NEW = "debian.example.org", "other.example.org"
SCRIPT = "#!/bin/sh\necho \"ran on $(hostname)\" >>/root/ran\n"


@pytest.fixture(scope="module")
def node(request):
    with node_for(request, drivers=("kvm",)) as made:
        made.api.import_image("debian", disks.debian_cloud_tar(CACHE), kind="disk")
        yield made


@pytest.fixture(scope="module")
def guest(node):
    node.api.create(NAME, "debian", driver="kvm", ssh_keys=[KEY], user_data=SCRIPT,
                    storage={"size": 2 << 30}, limits={"memory": 768 << 20})
    made = node.api.guest(NAME)
    node.ended = how_user_data_ended(node, made, seconds=400)
    return made


def test_it_found_all_on_its_disk(node, guest):
    assert inside(node, NAME, "hostname", "--fqdn") == f"{NAME}\n"
    assert inside(node, NAME, "cat", "/etc/hostname") == f"{NAME}\n"
    assert keys_in(node, NAME) == given(KEY, node_key(node))
    password = node.api.get(f"/v1/guests/{NAME}/credentials")["password"]
    assert opens(password, inside(node, NAME, "cat", "/etc/shadow"))
    assert guest["addresses"][0] in inside(node, NAME, "ip", "address", "show", "eth0")
    assert inside(node, NAME, "cat", "/this_host") == f"{node.api.get('/v1/node')['name']}\n"
    assert inside(node, NAME, "cat", "/root/ran") == f"ran on {NAME}\n"
    assert node.ended.get("status") == 0, node.ended
    size = inside(node, NAME, "df", "--output=size", "-B1", "/").split()[-1]
    assert int(size) > 1.8 * (1 << 30)


def test_what_changes_follows_at_once_and_at_the_next_boot(node, guest):
    node.api.change("PATCH", f"/v1/guests/{NAME}", {"ssh_keys": [OTHER]})
    node.api.change("POST", f"/v1/guests/{NAME}/actions/rename", {"name": NEW})
    wait_until_given(node, NEW)
    assert keys_in(node, NEW) == given(OTHER, node_key(node))
    assert inside(node, NEW, "hostname") == f"{NEW}\n"
    # What somebody takes away is there again after a boot; user data are not run again.
    inside(node, NEW, "rm", "/root/.ssh/authorized_keys")
    node.api.act(NEW, "restart")
    node.api.change("PATCH", f"/v1/guests/{NEW}", {"ssh_keys": [KEY]})
    wait_until_given(node, NEW)
    assert keys_in(node, NEW) == given(KEY, node_key(node))
    assert inside(node, NEW, "hostname") == f"{NEW}\n"
    assert inside(node, NEW, "cat", "/root/ran") == f"ran on {NAME}\n"
