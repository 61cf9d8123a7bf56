"""./dev demo: from nothing to a page behind a published port, and back to nothing, on a real guest in
network namespaces of its own, by the command line that users have: a container, or with --driver kvm
a virtual machine. Each step is shown with its time; in the end nothing may be left."""
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

NAME, PORT = "web1.example.org", 45080
BOOT = 90  # seconds that an emulated machine may take on a busy host
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


class Demo:
    """What both kinds of guest show."""

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

    def build(self):
        return self.corpus("image", "build", "busybox")

    def change(self):
        self.step("It is enlarged, live", lambda: self.corpus("enlarge", NAME, "200MiB"))
        self.step("It is trimmed, live", lambda: self.corpus("trim", NAME, "100MiB"))

    def run(self):
        self.step("The agent comes up on an empty node", lambda: self.node.start() and
                  [f"$ corpusd --config {self.node.config}"])
        self.step("It shows itself", lambda: self.corpus("node"))
        self.step("An image is built", self.build)
        self.step("A guest is created, its page published", lambda: self.corpus(
            "create", NAME, "--image", "busybox", "--driver", self.driver, *self.limits,
            "--port", f"{PORT}:80:web"))
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

    def build(self):
        return self.corpus("image", "build", "busybox", "--driver", self.driver)

    def inside(self, script):
        return self.corpus("exec", NAME, "--", "sh", "-c", script)

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


DEMOS = {"lxc": Demo, "kvm": MachineDemo}


def main():
    parser = argparse.ArgumentParser(prog="./dev demo")
    parser.add_argument("--driver", default="lxc", choices=list(DEMOS))
    options = parser.parse_args()
    before, began = leftovers.snapshot(), time.monotonic()
    node = Node(Testbed(), {"log_level": "info"}, (options.driver,))
    try:
        DEMOS[options.driver](node, options.driver).run()
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
