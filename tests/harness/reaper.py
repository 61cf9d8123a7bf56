"""reaper.py PROGRAM…: runs a program and reaps what it and its descendants leave behind. libvirtd
waits for a machine that it ends until somebody has reaped it, and not every init is quick at that.
Writes the program's pid to stdout first; ends when all have ended."""
import ctypes
import os
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main(argv):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
