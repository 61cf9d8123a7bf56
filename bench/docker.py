"""The peer docker: containers made by Docker's own command, by the same dockerd, from the same image and
with the same limits as those of corpus; and the same by requests to dockerd alone."""
from harness.shell import run

IMAGE = "busybox"
LIMITS = {"cpus": 1, "memory": "256MiB", "pids": 500}
DATA = "/srv"


class Docker:
    title = "docker"

    def __init__(self, node):
        self.dockerd, self.request = node.docker, node.docker.request

    def docker(self, *words):
        """As a user has it, who needs no program before it to get into dockerd's namespaces."""
        return run("/usr/bin/docker", "--host", f"unix://{self.dockerd.socket_path}", *words,
                   env=self.dockerd.environment, timeout=60)

    def create(self, name, network="bridge"):
        """From nothing to running, with a place for data."""
        self.docker("run", "--detach", "--name", name, "--network", network, "--volume", DATA,
                    "--cpus", str(LIMITS["cpus"]), "--memory", "256m",
                    "--pids-limit", str(LIMITS["pids"]),
                    "--security-opt", "no-new-privileges", IMAGE)

    def create_bare(self, name):
        """Without a network."""
        self.create(name, "none")

    def start(self, name):
        self.docker("start", name)

    def stop(self, name):
        self.docker("stop", name)

    def kill(self, name):
        self.docker("kill", name)

    def remove(self, name):
        """One that was stopped, and its data."""
        self.docker("rm", "--volumes", name)

    def destroy(self, name):
        """From running to nothing."""
        self.docker("rm", "--force", "--volumes", name)

    def exec(self, name):
        self.docker("exec", name, "/bin/busybox", "true")

    def list(self):
        return self.docker("ps", "--all").splitlines()[1:]

    def commit(self, name, image):
        """Docker's own snapshot: held meanwhile."""
        self.docker("commit", name, image)

    def forget(self, image):
        self.docker("rmi", image)

    # --- By dockerd alone ---

    def ask_create(self, name):
        """Without a network, which dockerd makes none of ours."""
        self.request("POST", f"/containers/create?name={name}", {
            "Image": IMAGE, "Volumes": {DATA: {}}, "HostConfig": {
                "NetworkMode": "none", "NanoCpus": LIMITS["cpus"] * 10**9, "Memory": 256 << 20,
                "PidsLimit": LIMITS["pids"], "SecurityOpt": ["no-new-privileges"]}})
        self.request("POST", f"/containers/{name}/start")

    def ask_stop(self, name):
        self.request("POST", f"/containers/{name}/stop")

    def ask_remove(self, name):
        self.request("DELETE", f"/containers/{name}?force=1&v=1")

    def ask_exec(self, name):
        """Until the connection that carries its output ends."""
        made = self.request("POST", f"/containers/{name}/exec", {
            "AttachStdout": True, "AttachStderr": True, "Cmd": ["/bin/busybox", "true"]})
        self.request("POST", f"/exec/{made['Id']}/start", {})
        assert self.request("GET", f"/exec/{made['Id']}/json")["ExitCode"] == 0
