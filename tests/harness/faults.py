"""What the fake driver of a node does wrong, on demand (drivers/fake/fault.h says what it can do)."""
import contextlib
import json
import os
import signal

from .shell import wait_for


def order(node, **faults):
    """From now on, by the names of calls; nothing: all is well."""
    _path(node).write_text(json.dumps(faults))


@contextlib.contextmanager
def held(node, call):
    """Within it the next such call does not end, however long that takes. Afterwards the process that
    stands in it is killed, and the call is made again. One that never was made is an error."""
    order(node, **{call: {"count": 1, "hang": True}})
    try:
        yield
        wait_for(f"the driver to stand in {call}",
                 lambda: json.loads(_path(node).read_text())[call]["count"] == 0)
    finally:
        order(node)
        os.kill(wait_for("the driver's process", lambda: node.driver_pid("fake")), signal.SIGKILL)


def _path(node):
    return node.dir / "state/drivers/fake/faults.json"
