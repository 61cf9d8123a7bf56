"""Commands, and waiting for something with a deadline."""
import subprocess
import time


def run(*argv, check=True, **options):
    """Runs a command and returns what it printed; its stderr is in the error when it fails."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, **options)
    if check and done.returncode != 0:
        words = " ".join(map(str, argv))
        raise RuntimeError(f"{words}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def wait_for(what, probe, seconds=60):
    """Calls probe() until it returns something true, which is returned. How long that may take is not
    what is tested: a machine that does much else at a time has to pass, too."""
    deadline, pause = time.monotonic() + seconds, 0.005
    while not (result := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.1, 0.05)  # what takes its time shall have the processor
    return result
