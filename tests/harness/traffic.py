"""Traffic that goes on while something else is done."""
import threading
import time

from . import rootfs


class FetchLoop(threading.Thread):
    """Fetches one page over and over from the client, a new connection each time."""

    def __init__(self, node, port, page=rootfs.PAGE):
        super().__init__(daemon=True)
        self.node, self.port, self.page = node, port, page
        self.done, self.failures = 0, []
        self._end = threading.Event()

    def run(self):
        while not self._end.is_set():
            began = time.monotonic()
            try:
                if self.node.fetch(self.port) != self.page:
                    self.failures.append("another page")
            except Exception as failure:  # whatever it is, somebody would have noticed
                self.failures.append(f"{failure!r} after {time.monotonic() - began:.3f} s")
            self.done += 1
            self._end.wait(0.01)

    def stop(self):
        self._end.set()
        self.join()
