"""A program in a terminal of its own, as a person would use it."""
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time


class Terminal:
    def __init__(self, words, environment=None, rows=24, columns=80):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.said = bytearray()

        def adopt():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen([str(w) for w in words], stdin=slave, stdout=slave,
                                        stderr=slave, env=environment, preexec_fn=adopt)
        self._slave = slave  # stays open: the state of the terminal is looked at afterwards

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text)

    def until(self, text, seconds=60):
        """Reads until the text has come since the last time."""
        deadline = time.monotonic() + seconds
        while text not in self.said:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise TimeoutError(f"{text!r} is not in {bytes(self.said)!r}")
            self.said += os.read(self.master, 65536)
        before, _, rest = bytes(self.said).partition(text)
        self.said = bytearray(rest)
        return before + text

    def wait(self, seconds=60):
        """Its exit status; what it still says is read meanwhile."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if select.select([self.master], [], [], 0.02)[0]:
                self.said += os.read(self.master, 65536)
            assert time.monotonic() < deadline, f"it does not end: {bytes(self.said)!r}"
        while select.select([self.master], [], [], 0)[0]:
            self.said += os.read(self.master, 65536)
        return self.process.returncode

    def is_as_before(self):
        """Whether echo, line editing and the rest are as it found them."""
        return termios.tcgetattr(self._slave) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self._slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
