"""The peer virsh: machines made by hand, beside those of corpus, by the same libvirtd and on the same
btrfs: each is what corpus made of its guest, with another name, disk, seed and link. `bare` is an
overlay and a domain; otherwise as a careful operator does it: in a subvolume of its own with a quota,
and with a seed disk."""
import re
import subprocess

from harness import testbed
from harness.node import program
from harness.shell import run

PARTS = ("base", "kernel", "initrd")  # of the image
# Names, and that files keep their owners: libvirt gives them to QEMU, as it does for most people.
OURS_ALONE = ("<uuid>.*?</uuid>|<metadata>.*?</metadata>|<title>.*?</title>|"
              "<seclabel .*?</seclabel>")
META_DATA = "instance-id: {name}\nlocal-hostname: {name}\n"


class Virsh:
    title = "virsh"

    def __init__(self, ours, model):
        """`model`: the name of a guest of ours that the others are like."""
        self.ours, self.virt, self.bed, self.count = ours, ours.node.virt, ours.node.bed, 0
        self.dir = ours.node.dir / "pool/by-hand"
        self.seen = self.bed.seen(self.dir)
        self._run("btrfs", "subvolume", "create", self.dir)
        self._run("chmod", "711", self.dir)
        self.model = ours.call("GET", f"/v1/guests/{model}")
        self.xml = self.virt.virsh("dumpxml", "--inactive", f"corpus-{self.model['id']}")
        volume = re.search(r"<source file='([^']*)/disk.qcow2'", self.xml).group(1)
        self.volume = volume
        for part in PARTS:
            self._run("cp", "--reflink=auto", f"{volume}/{part}", self.dir / part)
        self.calls = subprocess.Popen(
            [*self.bed.inside(testbed.NODE), program("bench-libvirt"), self.virt.uri],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _run(self, *words):
        run(*self.bed.inside(testbed.NODE), *words)

    def _virsh(self, *words):
        self._run("virsh", "--quiet", "--connect", self.virt.uri, *words)

    def libvirt(self, verb, what):
        """Seconds that libvirt itself takes for it."""
        self.calls.stdin.write(f"{verb} {what}\n")
        self.calls.stdin.flush()
        answer = self.calls.stdout.readline()
        assert answer.strip().isdigit(), f"{verb} {what}: {answer}"
        return int(answer) / 1e6

    def describe(self, name):
        """The domain of that name as XML, in a file."""
        self.count += 1
        changes = [(self.volume, str(self.dir / name)), (f"corpus-{self.model['id']}", name),
                   (self.model["network"]["mac"], f"52:54:00:00:00:{self.count:02x}"),
                   (f"cg{self.model['id']}", f"hand{self.count}")]
        xml = re.sub(OURS_ALONE, "", self.xml, flags=re.DOTALL)
        xml = re.sub(r"path='[^']*/console'", f"path='{self.dir / name}/console'", xml)
        xml = re.sub(r"<log file='[^']*'", f"<log file='{self.dir / name}/log'", xml)
        for old, new in changes:
            xml = xml.replace(old, new)
        for part in PARTS:
            xml = xml.replace(str(self.dir / name / part), str(self.dir / part))
        path = self.ours.node.dir / f"{name}.xml"
        path.write_text(xml)
        return path

    def lay_out(self, name, bare):
        """Its disks, as corpus has them."""
        folder = self.dir / name
        if bare:
            self._run("mkdir", folder)
        else:
            self._run("btrfs", "subvolume", "create", folder)
            self._run("btrfs", "qgroup", "limit", "6G", folder)
        self._run("chmod", "711", folder)
        self._run("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.dir / "base", "-F", "qcow2",
                  folder / "disk.qcow2", "5G")
        seed = self.seen / name / "seed.iso"
        if bare:
            seed.touch()
            seed.write_bytes(bytes(2048 * 20))
        else:
            self._seed(name)

    def _seed(self, name):
        content = self.ours.node.dir / f"{name}.seed"
        content.mkdir()
        (content / "meta-data").write_text(META_DATA.format(name=name))
        (content / "user-data").write_text("#cloud-config\n{}\n")
        self._run("genisoimage", "-quiet", "-rock", "-volid", "CIDATA", "-output",
                  self.dir / name / "seed.iso", content)

    def create(self, name, bare=False):
        """From nothing to running."""
        self.lay_out(name, bare)
        self._virsh("define", self.describe(name))
        self._virsh("start", name)

    def create_bare(self, name):
        self.create(name, True)

    def kill(self, name):
        self._virsh("destroy", name)

    def start(self, name):
        self._virsh("start", name)

    def destroy(self, name):
        """From running to nothing."""
        self.kill(name)
        self._virsh("undefine", name)
        self._run("btrfs", "subvolume", "delete", self.dir / name)

    def forget(self, name):
        """A bare one."""
        self.kill(name)
        self._virsh("undefine", name)
        self._run("rm", "-r", self.dir / name)

    def list(self):
        self._virsh("list", "--all")

    def snapshot(self, name, snapshot):
        """As corpus: with the guest's file systems at rest."""
        self._virsh("snapshot-create-as", name, snapshot, "--disk-only", "--atomic",
                        "--quiesce", "--no-metadata", "--diskspec", "vdb,snapshot=no")

    def delete_snapshot(self, name):
        """Back into the disk that it was taken of."""
        self._virsh("blockcommit", name, "vda", "--active", "--pivot", "--wait")
        run(*self.bed.inside(testbed.NODE), "find", self.dir / name, "-name", "disk.s*", "-delete")

    def answers(self, name):
        """Whether its guest agent does."""
        return self.virt.virsh("qemu-agent-command", name, '{"execute":"guest-ping"}', check=False)

    def close(self):
        """Its machines end here; what they wrote goes with the pool."""
        self.calls.stdin.close()
        self.calls.wait(10)
        for name in self.virt.domains():
            if not name.startswith("corpus-"):
                self.virt.virsh("destroy", name, check=False)
                self.virt.virsh("undefine", name)
