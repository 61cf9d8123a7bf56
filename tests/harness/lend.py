"""Guests that tests are lent: in the end they and all others of their node are destroyed, also when
the test or its setup failed, and nothing of them may be left."""
import contextlib

from .shell import wait_for


@contextlib.contextmanager
def guest(node, name, **fields):
    """One that was created with these fields, as the agent shows it."""
    try:
        node.api.create(name, **fields)
        node.remember()
        yield node.api.guest(name)
    finally:
        node.clear()
    wait_for("no session is left", lambda: not node.holders())
    node.assert_empty()


@contextlib.contextmanager
def web(node, name, ports=(), **fields):
    """The published port of the page of one that runs."""
    with guest(node, name, ports=[{"guest": 80, "purpose": "web"}, *ports], **fields):
        port = node.port_of(name, "web")
        node.await_page(port)
        yield port
