"""Every command: what it asks for, what it prints and how it ends, held against golden files. With
UPDATE_GOLDEN=1 they are written anew."""
import os
import pathlib
import re
import shlex

import pytest
from cli import samples
from cli.fake_agent import Answer
from cli.samples import operation, problem

GOLDEN = pathlib.Path(__file__).parent / "golden"
WEB = "web1.example.org"


class Case:
    """`words` as typed, and the answers in order: (status, body), or a body with 200."""

    def __init__(self, name, words, *answers, stdin=""):
        self.name, self.words, self.stdin = name, shlex.split(words), stdin
        self._answers = answers

    def answers(self):
        return [Answer(*answer) if isinstance(answer, tuple) else Answer(200, answer)
                for answer in self._answers]


def done(verb, result=None):
    return 200, operation(f"guest.{verb}", result=result)


NO_CHANGE = {"changed": False, "result": samples.GUEST}
PLAN = {"dry_run": True, "changed": True, "verb": "guest.update", "target": WEB,
        "steps": ["limits", "record"], "patch": {"limits": {"memory": 536870912}}}
GUESTS = {"guests": [samples.BARE_GUEST, samples.GUEST]}

CASES = [
    Case("node", "node", samples.NODE),
    Case("node-mode", "node --mode drain", samples.NODE | {"mode": "drain", "problems": []}),
    Case("node-rests", "node maintenance --stop", samples.NODE | {
        "mode": "maintenance", "rest": {"state": "resting", "guests": 2, "running": 0}}),
    Case("node-dry-run", "node active -n", {"dry_run": True, "changed": True, "mode": "active",
                                            "stop": [], "start": ["db", "web"]}),
    Case("usage-node-stop", "node --stop"),
    Case("node-json", "--json node", '{"name": "as it came"}'),
    Case("slots", "slots", samples.SLOTS),
    Case("slots-drain", "slots", samples.SLOTS | {"mode": "drain", "free": 0, "guests": []}),
    Case("doctor", "doctor", samples.DOCTOR),
    Case("doctor-good", "doctor", {"verdict": "warning", "checks": samples.DOCTOR["checks"][:2]}),
    Case("doctor-json", "doctor --json", samples.DOCTOR),
    Case("doctor-late", "doctor", (504, problem("timeout", 504, "corpus-doctor took too long"))),
    Case("list", "list", GUESTS),
    Case("list-filters", "ls --state running,error -d lxc -e prod -i busybox -l team=web "
         "--label project --limit 2 --after a '*web*'", GUESTS | {"next": WEB}),
    Case("list-other-filters", "list --environment prod --name 'web*'", {"guests": []}),
    Case("list-columns", "list --columns name,memory,health,labels,snapshots,SSH,autostart", GUESTS),
    Case("list-restart-needed", "list --columns name,state,restart-needed",
         {"guests": [samples.GUEST, samples.CONTAINER_GUEST]}),
    Case("list-columns-unknown", "list --columns name,size"),
    Case("list-sort", "list --sort -memory,name", {"guests": [
        samples.BARE_GUEST | {"name": name, "limits": samples.GUEST["limits"] | {"memory": memory}}
        for name, memory in [("d", None), ("c", 5 << 20), ("b", 40 << 20), ("a", 40 << 20)]]}),
    Case("list-sort-json", "list --json --sort -name", {"guests": [{"name": "a"}, {"name": "b"}]}),
    Case("list-sort-unsortable", "list --sort ports"),
    Case("list-yaml", "list -o yaml", {"guests": [samples.GUEST | {
        "problem": "two\nlines", "user_data": "a: b # c", "labels": {"on": "no", "n": "1.5"}}]}),
    Case("image-list-sort", "images --sort -size --columns size,name", {"images": [
        samples.IMAGE, samples.IMAGE | {"name": "large", "size": 1 << 30}]}),
    Case("usage-output", "list --output xml"),
    Case("usage-output-twice", "list --json -o table"),
    Case("show-missing-yaml", "show nope -o yaml",
         (404, problem("not_found", 404, "there is no guest nope"))),
    Case("list-empty", "list", {"guests": []}),
    Case("list-fields", "list --json --fields state,image", GUESTS),
    Case("list-fields-table", "list --fields state"),
    Case("show", f"show {WEB}", samples.GUEST | {
        "restart": {"policy": "on-failure", "max": 10}, "restarts": 2,
        "autostart": {"on": True, "order": 5, "delay": "10s"}},
         samples.guest_stats(WEB, 10, cpu=1.5, memory=64 << 20)),
    Case("show-first-boot", f"show {WEB}", samples.KEYED_GUEST,
         (404, problem("not_found", 404, "an older agent"))),
    Case("show-disk", f"show {WEB}", samples.GUEST | {
        "driver": "kvm", "disk": {"format": "qcow2", "boot": "uefi"}},
         (404, problem("not_found", 404, "an older agent"))),
    Case("show-container", f"show {WEB}", samples.CONTAINER_GUEST,
         (404, problem("not_found", 404, "an older agent"))),
    Case("show-bare", "show db", samples.BARE_GUEST,
         samples.guest_stats("db", 10, state="error")),
    Case("show-missing", "show nope",
         (404, problem("not_found", 404, "there is no guest nope"))),
    Case("create", f"create {WEB} --image busybox --driver lxc --slots 2 --cpus 1.5 -m 256MiB "
         "--swap 0 --pids 200 --io-weight 50 --net-ingress 1MB --net-egress 2MB --size 10GiB "
         "--port tcp:40001:80:web -p udp:53 -p 8080 --port 40005:443 -p 81:web2 -l team=web "
         "-l empty= --env prod --address 10.5.0.9 --mac 00:16:3e:00:00:01 --no-start "
         "--privileged --no-autostart", done("create", samples.GUEST)),
    Case("create-container", f"create {WEB} -i registry.example.org:5000/team/app:1 -d docker "
         "--entrypoint '/bin/tini --' --var A=1 --var 'B.C=x y' --user www-data -w /srv "
         "--stop-signal QUIT --no-terminal --data /srv --data '/var/lib/x /opt' "
         "--port 80 -- nginx -g 'daemon off;'", done("create", samples.CONTAINER_GUEST)),
    Case("create-words", f"create {WEB} -i a --entrypoint '[\"a b\", \"c\"]' --data '[1]'"),
    Case("create-bad-variable", "create web -i a --var nonsense"),
    Case("create-least", f"create {WEB} -i busybox --autostart",
         (202, operation(state="queued", step=None)), operation(),),
    Case("create-no-image", "create web"),
    Case("create-bad-port", "create web -i busybox -p tcp:80:81:82"),
    Case("create-bad-label", "create web -i busybox -l nonsense"),
    Case("password", f"password {WEB}",
         {"user": "root", "password": "aBcDeFgHiJkLmNoPqRsTuVwX", "user_data": None}),
    Case("password-none", "password db", {"user": "root", "password": None, "user_data": None}),
    Case("password-denied", f"password {WEB}",
         (403, problem("denied", 403, "this needs the role admin"))),
    Case("key-list", f"key list {WEB}", samples.GUEST | {"ssh_keys": [samples.KEY]}),
    Case("key-add", f"key add {WEB} '{samples.KEY}'", samples.GUEST, done("update")),
    Case("key-add-file", f"key add {WEB} -", samples.GUEST | {"ssh_keys": [samples.KEY]},
         done("update"), stdin=f"# mine\n\n{samples.KEY}\n{samples.OTHER_KEY}\n"),
    Case("key-add-overtaken", f"key add {WEB} '{samples.OTHER_KEY}'", samples.GUEST,
         (412, problem("precondition_failed", 412, "it has changed")),
         samples.GUEST | {"ssh_keys": [samples.KEY], "etag": "0123456789ab-8"},
         (202, operation("guest.update", "queued")),
         operation("guest.update", "failed") | {"error": samples.ERROR | {
             "code": "precondition_failed"}},
         samples.GUEST | {"ssh_keys": [samples.KEY], "etag": "0123456789ab-9"},
         done("update")),
    Case("key-add-none", f"key add {WEB} /no/such/file"),
    Case("key-remove", f"key remove {WEB} '{samples.KEY} another comment'",
         samples.GUEST | {"ssh_keys": [samples.OTHER_KEY, samples.KEY]}, done("update")),
    Case("key-remove-none", f"key remove {WEB} '{samples.KEY}'", samples.GUEST),
    Case("audit", "audit --limit 3", samples.AUDIT),
    Case("create-first-boot", f"create {WEB} -i busybox --ssh-key '{samples.KEY}' --ssh-key - "
         "--raw 'a = b' --raw 'c = d' --restart always --restart-max 3 --autostart-order 2 "
         "--autostart-delay 5s --io-read 1MB --io-write 2MB", done("create", samples.GUEST),
         stdin=samples.OTHER_KEY),
    Case("create-user-data", f"create {WEB} -i busybox --user-data -",
         done("create", samples.GUEST), stdin="#!/bin/sh\necho hello\n"),
    Case("create-contradiction", "create web -i busybox --autostart --no-autostart"),
    Case("create-invalid", "create web -i busybox --size lots --slots many",
         (422, problem("invalid", 422, "storage.size must be a size", field="storage.size"))),
    Case("create-no-slot", "create web -i busybox",
         (409, problem("no_slot", 409, "the node has no free slot"))),
    Case("create-exists", "guest_create web -i busybox",
         (409, problem("exists", 409, "there is a guest web already", field="name"))),
    Case("create-failed", "create web -i busybox",
         (507, problem("no_room", 507, "the pool is full", operation="00000000000000aa"))),
    Case("create-failed-later", "create web -i busybox",
         (202, operation(state="running")), operation(state="failed")),
    Case("create-no-wait", "create web -i busybox --no-wait", (202, operation(state="queued"))),
    Case("create-no-wait-json", "create web -i busybox --no-wait -j", (202, '{"id":"as it came"}')),
    Case("create-quiet", "-q create web -i busybox", done("create", samples.GUEST)),
    Case("apply", "apply -f -", done("create", samples.GUEST), NO_CHANGE,
         stdin=f'[{{"name": "{WEB}", "image": "busybox"}}, {{"name": "db", "image": "busybox"}}]'),
    Case("apply-one", "apply --file=-", done("update", samples.GUEST),
         stdin='{"name": "db", "image": "busybox", "slots": 2}'),
    Case("apply-broken", "apply -f -", stdin='{"name": \n nonsense'),
    Case("apply-nameless", "apply -f -", stdin='[{"image": "busybox"}]'),
    Case("apply-missing", "apply -f /nonexistent.json"),
    Case("apply-no-file", "apply"),
    Case("set", f"set {WEB} memory=512MiB cpus=2 swap= pids=100 label.team=db label.old= slots=2 "
         "env=staging autostart=off", done("update")),
    Case("set-container", f"set {WEB} 'command=nginx -g' user=33 terminal=off var.A=2 var.B.C= "
         "entrypoint= data=/srv workdir=/ stop-signal=9", done("update")),
    Case("set-words-broken", f"set {WEB} 'command=[nginx'"),
    Case("set-health", f"set {WEB} health-interval=10s health=http:80/health health-restart=on",
         done("guest.update")),
    Case("set-health-exec", f"set {WEB} 'health=exec:test -e /run/ok'", done("guest.update")),
    Case("set-health-none", f"set {WEB} health=", done("guest.update")),
    Case("usage-set-health", f"set {WEB} health=http:80x"),
    Case("set-dry-run", f"set {WEB} memory=512MiB --dry-run", PLAN),
    Case("set-dry-run-nothing", f"set {WEB} memory=512MiB -n", PLAN | {"changed": False}),
    Case("set-unknown", f"set {WEB} colour=red"),
    Case("set-fixed", f"set {WEB} size=9GiB"),
    Case("set-no-value", f"set {WEB} memory"),
    Case("start", f"start {WEB}", done("start")),
    Case("start-already", f"start {WEB}", NO_CHANGE),
    Case("start-several", "start a b c", done("start"),
         (404, problem("not_found", 404, "there is no guest b")),
         (409, problem("illegal_state", 409, "guest c is frozen: thaw it"))),
    Case("start-dry-run", f"start {WEB} --dry-run", PLAN | {"verb": "guest.start", "patch": None}),
    Case("stop", f"stop {WEB} --grace 10s", done("stop")),
    Case("restart", f"restart {WEB}", done("restart")),
    Case("freeze", f"freeze {WEB} db", done("freeze", samples.GUEST), done("freeze", samples.GUEST)),
    Case("thaw", f"thaw {WEB}", NO_CHANGE),
    Case("rename", "rename old.example.org " + WEB, done("rename", samples.GUEST)),
    Case("rename-taken", f"rename {WEB} db",
         (409, problem("exists", 409, "a guest named db exists already", field="name"))),
    Case("snapshot-list", f"snapshots {WEB}", {"snapshots": samples.SNAPSHOTS}),
    Case("snapshot-create", f"snapshot create {WEB}", done("snapshot", samples.SNAPSHOTS[0])),
    Case("snapshot-create-named", f"snapshot create {WEB} before",
         (409, problem("exists", 409, f"guest {WEB} has a snapshot before already", field="name"))),
    Case("snapshot-create-memory", f"snapshot create {WEB} --memory",
         done("snapshot", samples.SNAPSHOTS[1])),
    Case("restore-no-memory", f"restore {WEB} before --no-memory --start",
         done("restore", samples.GUEST)),
    Case("enlarge-grown", f"enlarge {WEB}", done("enlarge", samples.GUEST | {
        "file_system": "grown"})),
    Case("enlarge-next-boot", f"enlarge {WEB}", done("enlarge", samples.GUEST | {
        "file_system": "next_boot"})),
    Case("trim-restart", f"trim {WEB} --to 3GiB --restart", done("trim", samples.GUEST)),
    Case("trim-discard", f"trim {WEB} --discard", done("trim", samples.GUEST | {
        "discarded": 1 << 20})),
    Case("usage-trim-discard", f"trim {WEB} 5GiB --discard"),
    Case("storage-reason", f"storage {WEB}", samples.STORAGE | {
        "least": 5 << 30, "trimmable": 0, "reason": "it holds partitions"}),
    Case("snapshot-delete", f"snapshot delete {WEB} before after", done("snapshot-delete"),
         done("snapshot-delete")),
    Case("restore", f"restore {WEB} before", done("restore", samples.GUEST)),
    Case("restore-no-start", f"restore {WEB} before --no-start", done("restore", samples.GUEST)),
    Case("restore-nothing", f"restore {WEB} gone",
         (404, problem("not_found", 404, f"guest {WEB} has no snapshot gone", field="snapshot"))),
    Case("restore-both", f"restore {WEB} before --start --no-start"),
    Case("clone", f"clone old.example.org {WEB} --snapshot before --size 10GiB -m 1GiB -p 80:web "
         "-l team=web --no-start", done("clone", samples.GUEST)),
    Case("clone-least", f"clone old.example.org {WEB}", done("clone", samples.GUEST)),
    Case("kill", f"kill {WEB}", done("kill")),
    Case("destroy", f"destroy {WEB} db --yes", done("destroy"), done("destroy")),
    Case("destroy-unsaid", f"destroy {WEB}"),
    Case("destroy-dry-run", f"destroy -n {WEB}", PLAN | {"verb": "guest.destroy", "patch": None}),
    Case("storage", f"storage {WEB}", samples.STORAGE),
    Case("storage-bounded", f"storage {WEB}", samples.STORAGE | {
        "layer": {"bounded": True, "size": 10 << 30, "used": 3 << 20}}),
    Case("storage-unbounded", f"storage {WEB}", samples.STORAGE | {
        "layer": {"bounded": False, "size": None, "used": 3 << 20}}),
    Case("enlarge", f"enlarge {WEB}", done("enlarge", samples.GUEST)),
    Case("enlarge-by", f"enlarge {WEB} 10GiB", done("enlarge", samples.GUEST)),
    Case("trim-to", f"trim {WEB} --to 2GiB", done("trim", samples.GUEST)),
    Case("trim-both", f"trim {WEB} 1GiB --to 2GiB"),
    Case("trim-too-far", f"trim {WEB} 4GiB",
         (422, problem("invalid", 422, "size must leave at least 1073741824 bytes", field="size"))),
    Case("ports", "ports", samples.PORTS),
    Case("ports-of", f"ports {WEB}", samples.PORTS),
    Case("publish-any", f"publish {WEB} 80", (200, operation("guest.publish",
                                                              result=samples.PORT))),
    Case("publish", f"publish {WEB} 40001:80 --purpose web",
         (200, operation("guest.publish", result=samples.PORT))),
    Case("publish-udp", f"publish {WEB} 40002:53/udp", (202, operation("guest.publish", "queued")),
         operation("guest.publish")),
    Case("publish-bad", f"publish {WEB} 40002:53/sctp"),
    Case("publish-taken", f"publish {WEB} 40001:80", (409, problem(
        "conflict", 409, "port 40001/tcp belongs to db: switch it", field="host"))),
    Case("unpublish", f"unpublish {WEB} 40002/udp", (200, operation("guest.unpublish"))),
    Case("unpublish-bad", f"unpublish {WEB} http"),
    Case("switch", f"switch 40001 --to {WEB} --port 8080 --flush",
         (200, operation("guest.switch", result=samples.PORT))),
    Case("switch-nowhere", "switch 40001/udp"),
    Case("image-list", "image list", {"images": [samples.IMAGE]}),
    Case("image-list-kinds", "image list --columns name,kind,format,boot,disk",
         {"images": [samples.IMAGE, samples.DISK_IMAGE]}),
    Case("image-list-oci", "image list", {"images": [samples.IMAGE, samples.OCI_IMAGE]}),
    Case("image-show", "image show busybox", samples.IMAGE),
    Case("image-show-disk", "image show busybox --kind disk", samples.DISK_IMAGE),
    Case("image-show-both", "image show busybox",
         (409, problem("conflict", 409, "there are two images named busybox", field="kind"))),
    Case("image-show-oci", "image show registry.example.org:5000/team/app:1", samples.OCI_IMAGE),
    Case("image-pull", "image pull registry.example.org:5000/team/app:1 debian:12 -d docker",
         (202, operation("image.pull", "running") | {"transfer": {
             "done": 1 << 20, "total": None, "what": "2 of 3 layers"}}),
         (200, operation("image.pull", result=samples.OCI_IMAGE)),
         (202, operation("image.pull", "queued")),
         operation("image.pull", "failed") | {"error": samples.ERROR | {
             "code": "denied", "field": "image", "detail": "the registry asks who we are"}}),
    Case("image-import-oci", "image import app:1 - --kind oci --driver docker",
         (200, operation("image.import", result=samples.OCI_IMAGE)), stdin="an archive"),
    Case("image-import-driver", "image import app:1 - -d qemu", samples.NODE,
         (200, operation("image.import", result=samples.DISK_IMAGE)), stdin="a disk"),
    Case("image-import-disk", "image import debian:12 - --format raw --boot uefi",
         (200, operation("image.import", result=samples.DISK_IMAGE)), stdin="a disk"),
    Case("image-delete-disk", "image delete a --kind disk", (200, operation("image.delete"))),
    Case("image-build-no-driver", "image build busybox --driver xen", samples.NODE),
    Case("image-import", "image import debian:12 - --replace --sha256 " + "0" * 64,
         (200, operation("image.import", result=samples.IMAGE)), stdin="an archive"),
    Case("image-import-missing", "image import x /nonexistent.tar"),
    Case("image-import-exists", "image import x -",
         (409, problem("exists", 409, "there is an image x already")), stdin="an archive"),
    Case("image-import-dry-run", "image import x - -n"),
    Case("image-build-none", "image build"),
    Case("image-build-unknown", "image build ../sh"),
    Case("image-delete", "image delete a b", (200, operation("image.delete")),
         (404, problem("not_found", 404, "there is no image b"))),
    Case("image-nothing", "image"),
    Case("operations", "operations --target web --limit 2 --before 00000000000000ff",
         {"operations": [operation(), operation(state="running", uid=4123456),
                         operation("guest.trim", "failed")], "next": "00000000000000aa"}),
    Case("operation", "operation 00000000000000aa", samples.OPERATION),
    Case("operation-wait", "operation 00000000000000aa --wait", operation(state="running"),
         operation()),
    Case("operation-wait-failed", "operation 00000000000000aa -w", operation(state="failed")),
    Case("cancel", "cancel 00000000000000aa", (202, samples.OPERATION),
         operation(state="cancelled")),
    Case("cancel-too-late", "cancel 00000000000000aa",
         (409, problem("illegal_state", 409, "the operation has ended"))),
    Case("top", "top", *[samples.node_stats(
        s, samples.guest_stats("db", s, cpu=0.25, memory=64 << 20),
        samples.guest_stats("off", s, state="stopped"),
        samples.guest_stats(WEB, s, cpu=1.5, memory=300 << 20)) for s in (10, 12)]),
    Case("top-json", "top --json", samples.node_stats(10, samples.guest_stats("db", 10))),
    Case("usage-top", "top --sort size"),
    Case("events", "events", samples.sse(*samples.EVENTS)),
    Case("events-after-json", "events --after 1 --json", samples.sse(samples.EVENTS[1])),
    Case("events-type", "events --since 0 --type 'guest.s*' --type x", samples.sse(*samples.EVENTS)),
    Case("events-guest", "events -g db --json", samples.sse(
        *samples.EVENTS, samples.EVENTS[1] | {"number": 3, "target": "db"})),
    Case("edit-missing", "edit nope", (404, problem("not_found", 404, "there is no guest nope"))),
    Case("version", "version", samples.NODE),
    Case("version-json", "version --json", samples.NODE),
    Case("unsupported", f"set {WEB} cpus=1",
         (501, problem("unsupported", 501, "the driver cannot change limits of a running guest"))),
    Case("denied", f"kill {WEB}", (403, problem("denied", 403, "the role viewer may not do this"))),
    Case("rate", f"show {WEB}", (429, problem("too_many_requests", 429, "too many at once"))),
    Case("internal", f"show {WEB}", (500, problem("internal", 500, "an unforeseen thing"))),
    Case("problem-json", f"show {WEB} --json", (404, problem("not_found", 404, "no guest"))),
    Case("field-apart", f"show {WEB}",
         (422, problem("invalid", 422, "only letters are allowed", field="name"))),
    Case("not-json", f"show {WEB}", "<html>"),
    Case("no-problem", f"show {WEB}", (502, "<html>")),
    Case("name-with-slash", "show ../node?x=1", (404, problem("not_found", 404, "no guest"))),
    Case("exec-refused", f"exec -i -u www-data -w /srv -e A=b --kill-after 5s {WEB} -- ls -la",
         (409, problem("illegal_state", 409, f"guest {WEB} is stopped"))),
    Case("exec-nowhere", f"exec {WEB} frob --help",
         (404, problem("not_found", 404, "there is no command frob in the guest",
                       field="command"))),
    Case("exec-no-terminal", f"exec -it {WEB} bash"),
    Case("exec-no-variable", f"exec -e NO_SUCH_VARIABLE {WEB} env"),
    Case("exec-detached", f"exec -d --persist {WEB} sh -c 'sleep 1'", (201, samples.SESSION)),
    Case("exec-usage", f"exec {WEB}"),
    Case("attach-gone", "attach 0123456789ab",
         (404, problem("not_found", 404, "there is no session 0123456789ab"))),
    Case("attach-taken", "attach 0123456789ab", samples.SESSION,
         (409, problem("conflict", 409, "somebody is attached to it already", field="input"))),
    Case("sessions", f"sessions {WEB}", {"sessions": [
        samples.SESSION, samples.SESSION | {"state": "ended", "status": 3},
        samples.SESSION | {"state": "ended", "signal": "KILL"},
        samples.SESSION | {"state": "ended", "lost": True},
        {k: v for k, v in samples.SESSION.items() if k != "command"} | {"kind": "console"}]}),
    Case("session-end", "session end 0123456789ab", samples.SESSION),
    Case("session-signal", "session signal 0123456789ab HUP", samples.SESSION),
    Case("console-taken", f"console {WEB}",
         (409, problem("conflict", 409, "somebody is at the console already"))),
    Case("logs", f"logs -f --tail 2 {WEB}", "one\ntwo\n"),
    Case("cp-nowhere", "cp a b"),
    Case("cp-no-path", f"cp {WEB}:etc/motd ."),
    Case("cp-denied", f"cp {WEB}:/etc/motd -", (403, problem("denied", 403, "only operators may"))),
    Case("usage-bundle", "list -jx"),
    Case("usage-nothing", ""),
    Case("usage-unknown", "frobnicate"),
    Case("usage-option", "list --frobnicate"),
    Case("usage-value", "list --state"),
    Case("usage-no-value", "create x --no-start=1"),
    Case("usage-twice", "create x --size 1 --size 2"),
    Case("usage-too-many", "show a b"),
    Case("usage-too-few", "start"),
    Case("usage-dry-run", "list --dry-run"),
    Case("usage-timeout", "list --timeout soon"),
    Case("help", "help"),
    Case("help-create", "help create"),
    Case("help-set", "set --help"),
    Case("help-image", "help image"),
    Case("help-unknown", "help frobnicate"),
]


def rendered(case, agent, result):
    parts = [f"$ corpus {shlex.join(case.words)}", *map(str, agent.requests),
             f"--- out\n{result.stdout}--- err\n{result.stderr}--- exit {result.returncode}"]
    # How long is waited for is a matter of the terminal, not of the command.
    text = re.sub(r"wait=\d+", "wait=N", "\n".join(parts) + "\n")
    return text.replace(str(agent.path), "SOCKET")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_command_asks_prints_and_ends_as_written_down(case, agent, corpus):
    agent.answer(*case.answers())
    text = rendered(case, agent, corpus(*case.words, stdin=case.stdin))
    golden = GOLDEN / f"{case.name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
    assert agent.script == [], "the command did not ask for all that was prepared"


def test_every_golden_file_belongs_to_a_case():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {case.name for case in CASES}


def test_every_command_has_a_case(corpus):
    lines = corpus("help").stdout.split("options of all commands")[0].splitlines()
    commands = {re.match(r"  ((image )?[a-z]+)", line).group(1) for line in lines
                if re.match(r"  [a-z]", line)}
    tried = {" ".join(case.words) for case in CASES}
    aliases = {"list": "ls"}
    for command in commands:
        names = {command, aliases.get(command, command)}
        assert any(re.search(rf"(^|\s){name}(\s|$)", line) for name in names for line in tried)
