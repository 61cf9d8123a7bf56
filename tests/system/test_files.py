"""Files in guests, through the API and by `corpus cp`."""
import io
import os
import pathlib
import socket
import subprocess
import time
import urllib.parse

import pytest
from harness import lend
from harness.node import program
from harness.shell import wait_for

NAME = "files.example.org"
FILES = f"/v1/guests/{NAME}/files"
MIB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def guest(lxc):
    with lend.guest(lxc, NAME):
        yield


def put(node, path, body=b"", **query):
    return node.api.send("PUT", FILES, body, query={"path": path, **query})


def get(node, path, method="GET"):
    return node.api.send(method, FILES, query={"path": path})


def inside(node, script):
    return node.api.exec(NAME, "/bin/busybox", "sh", "-c", script)["stdout"]


def corpus(node, *words, **options):
    return subprocess.run([program("corpus"), *map(str, words)], env=node.client, timeout=120,
                          check=False, **({"capture_output": True} | options))


def test_put_get_list_and_delete(lxc):
    assert put(lxc, "/tmp/a", b"hello\n", mode="0640", uid=33, gid=44).status == 204
    assert inside(lxc, "cat /tmp/a; stat -c '%a %u %g' /tmp/a") == "hello\n640 33 44\n"
    answer = get(lxc, "/tmp/a")
    assert answer.text == "hello\n" and answer.headers["content-length"] == "6"
    assert [answer.headers[f"x-corpus-{key}"] for key in ("type", "mode", "uid", "gid")] == \
        ["file", "0640", "33", "44"]
    assert put(lxc, "/tmp/a", b"other").status == 204  # keeps mode and owner
    assert inside(lxc, "cat /tmp/a; stat -c ' %a %u %g' /tmp/a") == "other 640 33 44\n"
    assert put(lxc, "/tmp/d", directory="true", mode="0750").status == 204
    assert put(lxc, "/tmp/d", directory="true").status == 204
    put(lxc, "/tmp/d/b", b"x")
    inside(lxc, "ln -s /etc/hostname /tmp/d/link")
    entries = {entry["name"]: entry for entry in get(lxc, "/tmp/d").json["entries"]}
    assert sorted(entries) == ["b", "link"] and entries["b"]["size"] == 1
    assert entries["link"]["target"] == "/etc/hostname" and entries["b"]["uid"] == 0
    assert lxc.api.send("DELETE", FILES, query={"path": "/tmp/d"}).status >= 400
    for path in ("/tmp/d/b", "/tmp/d/link", "/tmp/d", "/tmp/a", "/tmp/a"):
        assert lxc.api.send("DELETE", FILES, query={"path": path}).status == 204
    assert get(lxc, "/tmp/d").status == 404


def test_head_tells_and_reads_nothing(lxc):
    put(lxc, "/tmp/h", b"x" * 1000)
    answer = get(lxc, "/tmp/h", "HEAD")
    assert (answer.status, answer.text, answer.headers["content-length"]) == (200, "", "1000")
    assert get(lxc, "/tmp", "HEAD").headers["x-corpus-type"] == "directory"
    assert get(lxc, "/tmp/none", "HEAD").status == 404


@pytest.mark.parametrize("query, field", [
    ({}, "path"), ({"path": "etc"}, "path"), ({"path": "/" + "x" * 5000}, "path"),
    ({"path": "/tmp/x", "mode": "9"}, "mode"), ({"path": "/tmp/x", "uid": "-1"}, "uid"),
    ({"path": "/tmp/x", "gid": "root"}, "gid"), ({"path": "/tmp/x", "owner": "1"}, "owner")])
def test_bad_requests_name_the_field(lxc, query, field):
    answer = lxc.api.send("PUT", FILES, b"x", query=query)
    assert (answer.status, answer.json["field"]) == (422, field)


def test_links_are_followed_inside_the_guest_only(lxc):
    inside(lxc, "echo mine >/tmp/mine; ln -s /tmp/mine /tmp/abs; ln -s ../../../../../etc/shadow "
                "/tmp/up; ln -s /proc/1/root/etc /tmp/proc; mkdir /tmp/real; ln -s /tmp/real /tmp/dir")
    assert get(lxc, "/tmp/abs").text == "mine\n" and get(lxc, "/tmp/abs").headers["x-corpus-link"]
    secret = pathlib.Path("/etc/shadow").read_text()
    for path in ("/tmp/up", "/tmp/../../../etc/shadow", "/tmp/proc/shadow"):
        assert get(lxc, path).text != secret
    assert put(lxc, "/tmp/dir/file", b"in").status == 204
    assert inside(lxc, "cat /tmp/real/file") == "in"
    assert put(lxc, "/tmp/abs", b"new").status == 204  # takes the link's place
    assert inside(lxc, "cat /tmp/mine; cat /tmp/abs") == "mine\nnew"
    assert "entries" in get(lxc, "/tmp/dir").json


def test_a_stopped_guest_has_files_too(lxc):
    put(lxc, "/root/kept", b"before")
    lxc.api.act(NAME, "stop")
    assert get(lxc, "/root/kept").text == "before"
    assert put(lxc, "/root/kept", b"after", uid=7).status == 204
    lxc.api.act(NAME, "start")
    assert inside(lxc, "cat /root/kept; stat -c ' %u' /root/kept") == "after 7\n"


def upload_head(path, length):
    return (f"PUT {FILES}?{urllib.parse.urlencode({'path': path})} HTTP/1.1\r\nHost: x\r\n"
            f"Content-Length: {length}\r\n\r\n").encode()


def test_an_upload_that_is_cut_leaves_the_old_file(lxc):
    put(lxc, "/root/old", b"old")
    for size in (0, 1, 300_000):
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(lxc.socket_path))
            link.sendall(upload_head("/root/old", 1_000_000) + b"x" * size)
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(lxc.socket_path))
        link.sendall(upload_head("/root/old", 1_000_000) + b"x" * 500_000)
        lxc.kill9()
    lxc.start()

    def settled():
        names = [e["name"] for e in get(lxc, "/root").json["entries"]]
        return not [name for name in names if name not in ("old", "kept")]
    wait_for("nothing is left of it", settled)
    assert get(lxc, "/root/old").text == "old"


def test_chunked_uploads_are_whole_or_nothing(lxc):
    put(lxc, "/root/old", b"old")
    head = upload_head("/root/old", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(lxc.socket_path))
        link.sendall(head + b"3\r\nnew\r\n3\r\n")
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(60)
        link.connect(str(lxc.socket_path))
        link.sendall(head.replace(b"old", b"chunked") + b"3\r\nnew\r\n0\r\n\r\n")
        assert b" 204 " in link.recv(4096)
    assert get(lxc, "/root/old").text == "old" and get(lxc, "/root/chunked").text == "new"


class Zeros(io.RawIOBase):
    """So many bytes, without having them."""

    def __init__(self, size):
        super().__init__()
        self.left = size

    def read(self, size=-1):
        size = min(self.left, size if size >= 0 else self.left)
        self.left -= size
        return bytes(size)


def rss(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


def test_a_gibibyte_goes_both_ways_in_constant_memory(lxc):
    before, size = rss(lxc.pid), 1 << 30
    began = time.monotonic()
    answer = lxc.api.send("PUT", FILES, Zeros(size), query={"path": "/root/big"},
                          headers={"Content-Length": str(size)})
    assert answer.status == 204, answer.text
    middle = time.monotonic()
    seen, most = 0, rss(lxc.pid)
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(60)
        link.connect(str(lxc.socket_path))
        link.sendall(f"GET {FILES}?path=/root/big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                     .encode())
        while chunk := link.recv(MIB):
            seen += len(chunk)
            if seen % (64 * MIB) < len(chunk):
                most = max(most, rss(lxc.pid))
    assert seen > size and most - before < 4 * MIB
    print(f"put {middle - began:.2f} s, get {time.monotonic() - middle:.2f} s, "
          f"corpusd {before // 1024} KiB, then {most // 1024} KiB")
    lxc.api.send("DELETE", FILES, query={"path": "/root/big"})


def test_a_reader_that_leaves_ends_the_driver_s_part(lxc):
    inside(lxc, "busybox head -c 100000000 /dev/zero >/root/long")
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(lxc.socket_path))
        link.sendall(f"GET {FILES}?path=/root/long HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert link.recv(1000)
        assert children(lxc.driver_pid("lxc"))
    wait_for("the call ends", lambda: not children(lxc.driver_pid("lxc")))
    assert lxc.api.guest(NAME)["state"] == "running"


def children(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


# --- corpus cp ---


def test_cp_of_a_file_both_ways(lxc, tmp_path):
    source, back = tmp_path / "script", tmp_path / "back"
    source.write_bytes(os.urandom(3_000_000))
    source.chmod(0o750)
    assert corpus(lxc, "cp", source, f"{NAME}:/root/script").returncode == 0
    assert inside(lxc, "stat -c '%a %s' /root/script") == "750 3000000\n"
    assert corpus(lxc, "cp", f"{NAME}:/root/script", back).returncode == 0
    assert back.read_bytes() == source.read_bytes() and back.stat().st_mode & 0o777 == 0o750
    assert corpus(lxc, "cp", source, f"{NAME}:/tmp").returncode == 0  # into a directory
    assert corpus(lxc, "cp", f"{NAME}:/tmp/script", tmp_path).returncode == 0
    assert corpus(lxc, "cp", "-", f"{NAME}:/root/text", input=b"by pipe").returncode == 0
    assert corpus(lxc, "cp", f"{NAME}:/root/text", "-").stdout == b"by pipe"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "script"]


def test_cp_of_a_tree_both_ways(lxc, tmp_path):
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/file").write_text("deep")
    (tree / "a/b").chmod(0o711)
    (tree / "link").symlink_to("a/b/file")
    said = corpus(lxc, "cp", tree, f"{NAME}:/root/tree")
    assert said.returncode == 2 and b"--recursive" in said.stderr
    said = corpus(lxc, "cp", "-r", tree, f"{NAME}:/root/tree")
    assert said.returncode == 1 and b"link" in said.stderr
    assert inside(lxc, "cd /root/tree; find . | sort; cat a/b/file; stat -c ' %a' a/b") == \
        ".\n./a\n./a/b\n./a/b/file\ndeep 711\n"
    inside(lxc, "chown 33:44 /root/tree/a/b/file; ln -s a/b/file /root/tree/link; "
                "mkfifo /root/tree/pipe")
    said = corpus(lxc, "cp", "-a", f"{NAME}:/root/tree", tmp_path / "copy")
    assert said.returncode == 1 and b"pipe" in said.stderr
    copy = tmp_path / "copy"
    assert (copy / "a/b/file").read_text() == "deep" and os.readlink(copy / "link") == "a/b/file"
    assert (copy / "a/b/file").stat().st_uid == 33 and (copy / "a/b").stat().st_mode & 0o777 == 0o711


def test_cp_that_fails_leaves_nothing_half_done(lxc, tmp_path):
    for words in ((f"{NAME}:/no/such", tmp_path / "x"), (tmp_path / "none", f"{NAME}:/root/y"),
                  (f"{NAME}:/etc", tmp_path / "z"), ("no.such.guest:/etc/motd", tmp_path / "w")):
        said = corpus(lxc, "cp", *words)
        assert said.returncode not in (0, 125) and said.stderr
    assert list(tmp_path.iterdir()) == [] and get(lxc, "/root/y").status == 404
