"""Uploads: from a file, standard input, a directory or a builder; whole, or not at all."""
import contextlib
import hashlib
import io
import os
import pathlib
import signal
import tarfile
import tempfile
import threading

import pytest
from cli import samples
from cli.conftest import DEADLINE_S
from cli.fake_agent import Answer
from cli.samples import operation, problem
from harness.shell import wait_for

DONE = Answer(200, operation("image.import", result=samples.IMAGE))


@pytest.fixture
def open_folder():
    """A folder that others can enter, as those of pytest's workers are not."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


def builder(tmp_path, name, text):
    folder = tmp_path / "libexec/image-build"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


def test_a_file_arrives_whole_with_its_length(corpus, agent, tmp_path):
    data = os.urandom(3_000_000)
    (tmp_path / "image.tar").write_bytes(data)
    agent.answer(DONE)
    assert corpus("image", "import", "x", str(tmp_path / "image.tar")).returncode == 0
    request = agent.requests[0]
    assert hashlib.sha256(request.body).digest() == hashlib.sha256(data).digest()
    assert request.headers["content-length"] == "3000000"
    assert request.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("data, words, query", [
    (b"QFI\xfb and more", [], "kind=disk"),
    (b"QFI\xfb and more", ["--boot", "uefi"], "kind=disk&boot=uefi"),
    (b"oci-layout\0" + bytes(600), [], "kind=oci"),
    (b"blobs/\0" + bytes(600), [], "kind=oci"),
    (b"blobs/of-mine\0" + bytes(600), [], None),
    (b"anything", ["--format", "raw"], "format=raw"),
    (b"anything", ["--kind", "disk"], "kind=disk"),
    (b"anything", [], None),
], ids=["qcow2", "uefi", "layout", "saved", "tree", "raw", "said", "archive"])
def test_an_image_is_recognised_by_its_first_bytes(corpus, agent, tmp_path, data, words, query):
    (tmp_path / "file").write_bytes(data)
    agent.answer(DONE)
    assert corpus("image", "import", "x", str(tmp_path / "file"), *words).returncode == 0
    request = agent.requests[0]
    asked = request.path.partition("?")[2].partition("wait=")[0].rstrip("&")
    assert (asked or None, request.body) == (query, data)


def test_a_builder_is_told_the_driver_and_the_agent_the_kind(corpus, agent, tmp_path):
    """The driver's kind is asked of the node; one of another node is for a default there."""
    builder(tmp_path, "small", 'echo "$@"')
    for driver, kind in (("qemu", "kind=disk&"), ("lxc", "kind=tree&")):
        agent.requests.clear()
        agent.answer(Answer(200, samples.NODE), DONE)
        words = ("image", "build", "small", "--driver", driver, "--more", "1")
        assert corpus(*words).returncode == 0
        node, upload = agent.requests
        assert node.path == "/v1/node" and f"?{kind}" in upload.path
        assert upload.body.decode().split() == ["--driver", driver, "--more", "1"]


def test_a_stream_arrives_in_chunks(corpus, agent):
    agent.answer(DONE)
    process = corpus.start("image", "import", "x", "-", stdin=-1)
    out, _ = process.communicate("an archive" * 100_000, timeout=DEADLINE_S)
    assert process.returncode == 0 and out == "image x: 2 MiB in 412 entries\n"
    assert agent.requests[0].body == b"an archive" * 100_000
    assert agent.requests[0].headers["transfer-encoding"] == "chunked"


def test_a_file_is_sent_again_when_the_connection_is_cut(corpus, agent, tmp_path):
    (tmp_path / "image.tar").write_bytes(b"archive")
    agent.answer(Answer(cut="before"), DONE)
    assert corpus("image", "import", "x", str(tmp_path / "image.tar")).returncode == 0
    assert [request.body for request in agent.requests] == [b"archive"] * 2
    assert len({request.headers["idempotency-key"] for request in agent.requests}) == 1


def test_a_stream_is_not_sent_again(corpus, agent):
    agent.answer(Answer(cut="before"))
    assert corpus("image", "import", "x", "-", stdin="archive").returncode == 7


@contextlib.contextmanager
def unpacked(request):
    with tarfile.open(fileobj=io.BytesIO(request.body), mode="r:") as tar:
        yield {member.name.rstrip("/"): member for member in tar}, tar


def make_tree(top):
    (top / "bin").mkdir(parents=True)
    (top / "bin/sh").write_bytes(os.urandom(100_000))
    (top / "bin/sh").chmod(0o4755)
    os.link(top / "bin/sh", top / "bin/bash")
    (top / "etc").symlink_to("/nowhere")
    (top / ("long" * 50)).write_text("long name")
    os.mkfifo(top / "pipe")
    with open(top / "sparse", "wb") as sparse:
        sparse.truncate(5_000_000)
        sparse.seek(4_000_000)
        sparse.write(b"behind the hole")


@pytest.mark.parametrize("ending", ["", "/", "//"])
def test_a_directory_is_packed_with_all_that_it_holds(ending, corpus, agent, tmp_path):
    top = tmp_path / "root"
    make_tree(top)
    agent.answer(DONE)
    result = corpus("image", "import", "x", str(top) + ending)
    assert result.returncode == 0, result.stderr
    with unpacked(agent.requests[0]) as (members, tar):
        assert set(members) == {".", "./bin", "./bin/sh", "./bin/bash", "./etc", "./pipe",
                                "./sparse", "./" + "long" * 50}
        assert members["./bin/sh"].mode == 0o4755
        assert members["./bin/sh"].uid == os.geteuid()
        assert {members["./bin/sh"].islnk(), members["./bin/bash"].islnk()} == {True, False}
        data = next(m for m in (members["./bin/sh"], members["./bin/bash"]) if m.isfile())
        assert tar.extractfile(data).read() == (top / "bin/sh").read_bytes()
        assert members["./etc"].linkname == "/nowhere" and members["./pipe"].isfifo()
        assert tar.extractfile(members["./sparse"]).read() == (top / "sparse").read_bytes()


def test_a_directory_that_cannot_be_read_cuts_the_upload(corpus, agent, open_folder):
    top = open_folder / "root"
    (top / "secret").mkdir(parents=True)
    (top / "file").write_bytes(b"x" * 100_000)
    (top / "secret").chmod(0)
    agent.stop()
    agent.path = open_folder / "agent.sock"
    agent.start()
    agent.path.chmod(0o777)
    corpus.environment["CORPUS_SOCKET"] = str(agent.path)
    process = corpus.start("image", "import", "x", str(top), user=65534, group=65534)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1 and out == "" and "secret" in err
    assert agent.requests == [], "it would have looked whole"


def test_a_builder_gets_its_options_and_its_output_is_imported(corpus, agent, tmp_path):
    builder(tmp_path, "busybox", 'echo "building $*" >&2\nprintf "made of %s" "$*"\n')
    agent.answer(DONE)
    result = corpus("image", "build", "busybox", "--name", "web", "--replace", "--with", "httpd",
                    "-x", "extra")
    assert result.returncode == 0 and result.stderr == "building --with httpd -x extra\n"
    assert agent.requests[0].body == b"made of --with httpd -x extra"
    assert agent.requests[0].path.startswith("/v1/images/web?replace=true")


def test_an_image_is_named_after_its_kind(corpus, agent, tmp_path):
    builder(tmp_path, "busybox", "echo tar\n")
    agent.answer(DONE)
    assert corpus("image", "build", "busybox").returncode == 0
    assert agent.requests[0].path.startswith("/v1/images/busybox?wait=")


@pytest.mark.parametrize("end, says", [("exit 3", "exit status 3"), ("kill -9 $$", "signal 9")])
def test_a_builder_that_fails_cuts_the_upload(end, says, corpus, agent, tmp_path):
    builder(tmp_path, "busybox", f"head -c 300000 /dev/zero\n{end}\n")
    result = corpus("image", "build", "busybox")
    assert result.returncode == 1 and says in result.stderr
    assert agent.requests == [], "it would have looked whole"


def test_a_builder_is_stopped_when_the_agent_refuses(corpus, agent, tmp_path):
    """This one does not even end when nobody reads what it writes."""
    pid = tmp_path / "pid"
    builder(tmp_path, "endless", f"trap '' PIPE\necho $$ > {pid}\n"
                                 "while :; do echo x; done 2>/dev/null\n")
    agent.stop()
    result = corpus("image", "build", "endless")
    assert result.returncode == 7
    assert not pid.exists() or not os.path.exists(f"/proc/{pid.read_text().strip()}")


def test_kinds_are_listed(corpus, agent, tmp_path):
    builder(tmp_path, "debian", "")
    builder(tmp_path, "busybox", "")
    (tmp_path / "libexec/image-build/README").write_text("no program")
    assert "busybox, debian" in corpus("image", "build").stderr
    assert "busybox, debian" in corpus("image", "build", "fedora").stderr


def test_an_early_refusal_is_reported(corpus, agent, tmp_path):
    """The agent answers when it has read the body; its refusal is what is told."""
    agent.answer(Answer(507, problem("no_room", 507, "the pool is full")))
    result = corpus("image", "import", "x", "-", stdin="x" * 2_000_000)
    assert result.returncode == 6 and "the pool is full" in result.stderr


def test_an_interruption_cuts_an_upload_that_waits_for_its_source(corpus, agent):
    process = corpus.start("image", "import", "x", "-", stdin=-1)
    process.stdin.write("first")
    process.stdin.flush()
    wait_for("the upload to begin", lambda: agent.begun == 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 130
    wait_for("the agent to see it cut", lambda: agent.broken_uploads == 1)
    process.stdin.close()
    assert agent.requests == [] and "interrupted" in process.stderr.read()
    process.stdout.close()
    process.stderr.close()


def test_standard_input_that_stays_open_is_waited_for(corpus, agent):
    agent.answer(DONE)
    process = corpus.start("image", "import", "x", "-", stdin=-1)
    process.stdin.write("first")
    process.stdin.flush()
    threading.Timer(0.3, lambda: (process.stdin.write(" second"), process.stdin.close())).start()
    assert process.wait(DEADLINE_S) == 0
    assert agent.requests[0].body == b"first second"
    process.stdout.close()
    process.stderr.close()
