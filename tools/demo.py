"""./dev demo: from nothing to a page behind a published port, and back to nothing, on a real guest in
network namespaces of its own, by the command line that users have: a container, or with --driver kvm
a virtual machine, with --driver docker a container of a dockerd that is there for it. Each step is shown with its time; in the end nothing may be left."""
import argparse
import os
import subprocess
import sys
import time

import leftovers
from harness import testbed
from harness.node import FetchLoop, Node, program
from harness.shell import wait_for
from harness.testbed import Testbed

NAME, OTHER, PORT = "web1.example.org", "web2.example.org", 45080
BOOT = 90  # seconds that an emulated machine may take on a busy host
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


class Demo:
    """What all kinds of guest show."""

    limits = ("--size", "300MiB", "--memory", "128MiB")

    def __init__(self, node, driver):
        self.node, self.driver, self.page = node, driver, None

    def step(self, title, act):
        """Runs one step, shows its title with its time and what it said."""
        began = time.monotonic()
        said = act()
        took = (time.monotonic() - began) * 1000
        print(f"{paint('32', '✓')} {title:<58}{took:8.0f} ms")
        for line in said or []:
            print(paint("2", f"    {line}"))
        sys.stdout.flush()

    def corpus(self, *words):
        """A command line as users type it; returns it and what it printed."""
        environment = self.node.environment | {"CORPUS_SOCKET": str(self.node.socket_path),
                                               "NO_COLOR": "1"}
        done = subprocess.run([program("corpus"), *words], env=environment, text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        lines = [f"$ corpus {' '.join(words)}", *done.stdout.rstrip().splitlines()]
        if done.returncode != 0:
            raise RuntimeError("\n".join([*lines, f"exit {done.returncode}"]))
        return lines

    def fetch(self):
        page = self.node.fetch(PORT)
        first = page.decode(errors="replace").strip().splitlines()[0]
        assert self.page in (None, page), "another page"
        self.page = page
        return [f"http://{testbed.NODE_ADDRESS}:{PORT}/ from another host: {first}"]

    def first_fetch(self):
        self.node.await_page(PORT, self.page, BOOT)
        return self.fetch()

    def kill_and_return(self):
        """kill -9 under a client that never stops asking."""
        loop = FetchLoop(self.node, PORT, self.page)
        loop.start()
        pid = self.node.api.guest(NAME)["pid"]
        self.node.kill9()
        while_away = [self.fetch()[0]]
        self.node.start()
        wait_for("the guest is seen", lambda: self.node.api.guest(NAME).get("pid"))
        assert self.node.api.guest(NAME)["pid"] == pid
        loop.stop()
        assert loop.done and not loop.failures, loop.failures
        return ["$ kill -9 corpusd; corpusd", *while_away,
                f"the guest's first process is still {pid}; {loop.done} fetches meanwhile, 0 failed"]

    def inside(self, script):
        return self.corpus("exec", NAME, "--", "sh", "-c", script)

    def create(self, name, *words):
        return self.corpus("create", name, "--image", "busybox", "--driver", self.driver,
                           *self.limits, *words)

    def change(self):
        self.step("It is enlarged, live", lambda: self.corpus("enlarge", NAME, "200MiB"))
        self.step("It is trimmed, live", lambda: self.corpus("trim", NAME, "100MiB"))

    def run(self):
        self.step("The agent comes up on an empty node", lambda: self.node.start() and
                  [f"$ corpusd --config {self.node.config}"])
        self.step("It shows itself", lambda: self.corpus("node"))
        self.step("An image is built", lambda: self.corpus(
            "image", "build", "busybox", "--driver", self.driver))
        self.step("A guest is created, its page published", lambda: self.create(
            NAME, "--port", f"{PORT}:80:web"))
        self.step("Its page is fetched through the node's port", self.first_fetch)
        self.step("Guests and ports are listed", lambda: self.corpus("list") + self.corpus("ports"))
        self.change()
        self.step("It is restarted", lambda: self.corpus("restart", NAME))
        self.step("Its page is there again", self.first_fetch)
        self.step("The agent is killed and comes back; the page answers", self.kill_and_return)
        self.node.remember()
        self.step("It is destroyed", lambda: self.corpus("destroy", "--yes", NAME))
        self.step("Nothing of it is left on the node", self.node.assert_empty)
        self.step("The agent stops", self.node.stop)


class MachineDemo(Demo):
    """A virtual machine: what is changed of it shows inside."""

    limits = ("--size", "128MiB", "--memory", "192MiB", "--cpus", "1")

    def see_memory(self):
        self.node.await_inside(NAME, BOOT)
        enough = "[ $(sed -n 's/^MemTotal: *//p' /proc/meminfo | cut -d' ' -f1) -gt 250000 ]"
        wait_for("memory is plugged in", lambda: self.node.api.exec(
            NAME, "sh", "-c", enough)["status"] == 0, 30)
        return self.inside("nproc; grep MemTotal /proc/meminfo")

    def see_note(self):
        self.node.await_inside(NAME, BOOT)
        lines = self.inside("cat /srv/www/note")
        assert lines[-1] == "before", lines
        return lines

    def change(self):
        self.step("A second processor and more memory, live", lambda: self.corpus(
            "set", NAME, "cpus=2", "memory=320MiB"))
        self.step("The machine has them", self.see_memory)
        self.step("It is enlarged, live, and its file system grows", lambda: self.corpus(
            "enlarge", NAME, "128MiB"))
        self.step("The machine sees that", lambda: self.inside("df -h /"))
        self.step("Something is written", lambda: self.inside("echo before >/srv/www/note; sync"))
        self.step("A snapshot is taken while it runs", lambda: self.corpus(
            "snapshot", "create", NAME, "good"))
        self.step("What was written is spoilt", lambda: self.inside("echo after >/srv/www/note; sync"))
        self.step("The snapshot is restored", lambda: self.corpus("restore", NAME, "good"))
        self.step("Its page is there again", self.first_fetch)
        self.step("It holds what it held then", self.see_note)


class ContainerDemo(Demo):
    """A container of dockerd's, which has its own bridge and rules besides."""

    limits = ("--size", "100MiB", "--memory", "64MiB", "--cpus", "1")

    def restore(self):
        said = self.corpus("restore", NAME, "good")
        lines = self.inside("cat /srv/note /etc/note")
        assert lines[-2:] == ["before", "before"], lines
        return said + lines

    def hand_over(self):
        self.node.await_page(PORT + 1, f"{OTHER}\n".encode())
        self.page = None
        said = self.corpus("switch", str(PORT), "--to", OTHER) + self.fetch()
        assert self.page == f"{OTHER}\n".encode()
        self.page = None
        return said + self.corpus("switch", str(PORT), "--to", NAME) + self.fetch()

    def change(self):
        self.step("For Docker it is one of its containers", lambda: [
            "$ docker ps", *self.node.docker.docker("ps").splitlines()])
        self.step("A command runs in it", lambda: self.inside("id; df -h / /srv"))
        self.step("What it said to its console", lambda: self.corpus("logs", NAME))
        self.step("More processors and memory, live", lambda: self.corpus(
            "set", NAME, "cpus=2", "memory=128MiB"))
        self.step("It is enlarged, live", lambda: self.corpus("enlarge", NAME, "100MiB"))
        self.step("It is trimmed, live", lambda: self.corpus("trim", NAME, "50MiB"))
        self.step("What is bounded is said", lambda: self.corpus("storage", NAME))
        write = "echo {0} >/srv/note; echo {0} >/etc/note"
        self.step("Something is written, to data and layer", lambda: self.inside(
            write.format("before")))
        self.step("A snapshot is taken while it runs", lambda: self.corpus(
            "snapshot", "create", NAME, "good"))
        self.step("What was written is spoilt", lambda: self.inside(write.format("after")))
        self.step("The snapshot is restored: it holds what it held", self.restore)
        self.step("Its page is there again", self.first_fetch)
        self.step("A second one, on another port", lambda: self.create(
            OTHER, "--port", f"{PORT + 1}:80"))
        self.step("The port is switched to it, and back", self.hand_over)
        self.step("The second one is destroyed", lambda: self.corpus("destroy", "--yes", OTHER))


DEMOS = {"lxc": (Demo, None), "kvm": (MachineDemo, None), "docker": (ContainerDemo, {"bridge": True})}


def main():
    parser = argparse.ArgumentParser(prog="./dev demo")
    parser.add_argument("--driver", default="lxc", choices=list(DEMOS))
    options = parser.parse_args()
    before, began = leftovers.snapshot(), time.monotonic()
    kind, docker = DEMOS[options.driver]
    node = Node(Testbed(), {"log_level": "info"}, (options.driver,), docker)
    try:
        kind(node, options.driver).run()
    except BaseException:
        print(f"the agent's log ends so:{node.tail() if node.log.exists() else ' (none)'}")
        raise
    finally:
        node.destroy()
    left = leftovers.settled(before)
    for line in left:
        print(f"left behind: {line}")
    if left:
        return 1
    print(f"{paint('32', '✓')} {'Nothing is left on the machine':<58}"
          f"{(time.monotonic() - began):8.1f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
