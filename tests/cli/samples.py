"""Answers of the API, as docs/openapi.yaml describes them (test_contract.py holds them to it)."""

import json

GUEST = {
    "id": "0123456789ab", "name": "web1.example.org", "driver": "lxc", "image": "busybox",
    "slots": 1,
    "limits": {"cpus": 1.5, "memory": 268435456, "swap": None, "pids": 200, "io_weight": None,
               "io_read": None, "io_write": None, "net_ingress": 1048576, "net_egress": None},
    "storage": {"size": 5368709120},
    "network": {"address": "10.5.0.2", "mac": "00:16:3e:01:02:03"},
    "ports": [{"proto": "tcp", "host": 40000, "guest": 22, "purpose": "ssh"},
              {"proto": "tcp", "host": 40001, "guest": 80, "purpose": "web"},
              {"proto": "udp", "host": 40002, "guest": 53, "purpose": ""}],
    "environment": "prod", "autostart": {"on": True, "order": 0, "delay": "0s"},
    "restart": {"policy": "never", "max": 10}, "health": None, "health_state": "none",
    "restarts": 0, "ssh_keys": [], "user_data_size": 0, "seed_pending": [], "restart_needed": [],
    "raw": [], "snapshots": [],
    "disk": None, "container": None, "image_id": None,
    "labels": {"project": "shop", "team": "web"},
    "privileged": False, "state": "running", "since": "2026-11-22T12:00:01.250Z", "pid": 4242,
    "problem": None, "addresses": ["10.5.0.2"],
    "ssh": {"host": "192.0.2.1", "port": 40000, "user": "root"},
    "created": "2026-11-22T12:00:00.000Z", "etag": "0123456789ab-7",
}

BARE_GUEST = GUEST | {
    "id": "ba9876543210", "name": "db", "state": "error", "problem": "its volume is gone",
    "network": {"address": None, "mac": None}, "addresses": [], "ports": [], "labels": {},
    "limits": dict.fromkeys(GUEST["limits"]), "ssh": None, "pid": None, "since": None,
}

KEY = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBdW/xSQUtw7v/IFOP9maf8CsdaNQuODMqQH8VdK/E6C "
       "someone@example.org")
OTHER_KEY = ("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBANcmtZ7rhZ/r"
             "ntZ3fQKHQATfOpcwB276qhSegk0ZTfkygonb9za76hRQB2LFeDgS7789nnpC3nnU+UPozXrSrY=")

KEYED_GUEST = GUEST | {"ssh_keys": [KEY, OTHER_KEY], "raw": ["a = b"], "user_data_size": 2048,
                       "seed_pending": ["name", "ssh_keys"]}

CONTAINER_GUEST = GUEST | {
    "driver": "docker", "image": "registry.example.org:5000/team/app:1",
    "image_id": "sha256:" + "cd" * 32, "container": {
        "entrypoint": [], "command": ["nginx", "-g", "daemon off;"],
        "environment": {"A": "1", "B.C": "x y"}, "user": "www-data", "working_dir": "/srv",
        "stop_signal": "SIGQUIT", "terminal": False, "data": ["/srv", "/opt"]},
    "restart_needed": ["container.command", "storage.size"]}

AUDIT = {"records": [
    {"event": "end", "operation": "00000000000000aa", "verb": "guest.create",
     "target": "web1.example.org", "result": "done", "time": "2026-11-22T12:00:00.050Z"},
    {"event": "request", "uid": 0, "user": "root", "gid": 0, "pid": 77, "command": "corpus",
     "role": "admin", "from": "unix", "method": "POST", "path": "/v1/guests", "status": 202,
     "operation": "00000000000000aa", "verb": "guest.create", "target": "web1.example.org",
     "time": "2026-11-22T12:00:00.000Z"},
    {"event": "request", "uid": 12345, "user": None, "gid": 100, "pid": 78, "command": "curl",
     "role": "viewer", "from": "unix", "method": "DELETE", "path": "/v1/guests/web1.example.org",
     "status": 403, "time": "2026-11-22T11:59:59.000Z"},
]}

OPERATION = {
    "id": "00000000000000aa", "verb": "guest.create", "target": "web1.example.org",
    "guest_id": "0123456789ab", "state": "running", "step": "volume", "step_index": 2,
    "steps_count": 5, "progress": 0.4, "uid": 0, "created": "2026-11-22T12:00:00.000Z",
    "started": "2026-11-22T12:00:00.010Z", "ended": None, "cancel_requested": False, "error": None,
    "transfer": None,
}

ERROR = {"code": "no_room", "title": "No room left", "detail": "the pool is full", "field": None}


def operation(verb="guest.create", state="done", result=None, **more):
    ended = {"done", "failed", "cancelled"}
    made = OPERATION | {"verb": verb, "state": state} | more
    if state in ended:
        made |= {"ended": "2026-11-22T12:00:00.050Z", "progress": 1.0, "step_index": 5}
    if state == "failed":
        made |= {"progress": 0.4, "step_index": 2, "error": ERROR}
    if state == "cancelled":
        made |= {"error": {"code": "cancelled", "title": "Cancelled", "field": None,
                           "detail": "cancelled by request"}}
    return made | ({"result": result} if result else {})


def problem(code, status, detail, **more):
    return {"type": f"urn:corpus:problem:{code}", "title": code, "status": status, "code": code,
            "detail": detail} | more


SESSION = {"id": "0123456789ab", "guest": "web1.example.org", "guest_id": "fedcba9876543210",
           "kind": "exec", "command": ["sh", "-c", "sleep 1"], "terminal": False,
           "state": "running", "pid": 4711, "created": "2026-11-22T12:00:00.000Z", "uid": 0,
           "clients": 1, "persist": True}

PORT = {"proto": "tcp", "host": 40001, "guest": 80, "purpose": "web", "name": "web1.example.org",
        "address": "10.5.0.2"}
PORTS = {"ports": [PORT, PORT | {"proto": "udp", "host": 40002, "guest": 53, "purpose": "",
                                 "name": "db", "address": None}]}

IMAGE = {"name": "busybox", "kind": "tree", "sha256": "ab" * 32, "size": 2097152, "entries": 412,
         "created": "2026-11-22T11:00:00.000Z", "users": 2}

DISK_IMAGE = IMAGE | {"kind": "disk", "size": 300 << 20, "entries": 1,
                      "disk": {"format": "qcow2", "boot": "uefi", "size": 2 << 30}}

OCI_IMAGE = {"name": "registry.example.org:5000/team/app:1", "kind": "oci", "driver": "docker",
             "id": "sha256:" + "cd" * 32, "size": 130 << 20, "created": "2026-11-22T11:00:00.000Z",
             "users": 1}

STORAGE = {"size": 5368709120, "used": 1073741824, "free": 4294967296, "least": 1073741824,
           "trimmable": 4294967296}

NODE = {
    "name": "node1", "version": "0.4.0", "environment": "prod", "mode": "active",
    "addresses": ["192.0.2.1"], "kernel": "6.1.0",
    "drivers": [{"name": "lxc", "version": "liblxc 5.0.2", "usable": True,
                 "image_kind": "tree", "capabilities": ["update", "freeze"], "pid": 77},
                {"name": "qemu", "version": "QEMU 7.2", "usable": True, "image_kind": "disk",
                 "acceleration": "tcg", "capabilities": ["save"],
                 "notice": "machines are emulated: they are slow"},
                {"name": "docker", "version": "Docker 20.10.24", "usable": True, "image_kind": "oci",
                 "capabilities": ["image"], "data_paths": ["/srv", "/var/lib/app"]},
                {"name": "kvm", "usable": False, "capabilities": [],
                 "problem": "libvirtd is not there: install libvirt-daemon-system"}],
    "resources": {"cpus": 2, "memory": {"total": 8589934592, "available": 4294967296},
                  "storage": {"total": 21474836480, "used": 1073741824, "free": 20401094656,
                              "growable": 0}},
    "slots": {"total": 16, "used": 2, "reserved": 1, "free": 13},
    "guests": {"running": 2, "stopped": 1},
    "rest": {"state": "awake", "guests": 0, "running": 2},
    "problems": [{"code": "firewall", "message": "FORWARD drops what is not ours",
                  "since": "2026-11-22T12:00:00.000Z"}],
    "started": "2026-11-22T10:00:00.000Z",
}

SLOTS = {
    "total": 4, "used": 1, "reserved": 2, "free": 1, "mode": "active",
    "guests": [
        {"name": "db", "id": "ba9876543210", "slots": 2, "reserved": True, "driver": "lxc",
         "environment": "dev", "state": "creating"},
        {"name": "web1.example.org", "id": "0123456789ab", "slots": 1, "reserved": False,
         "driver": "lxc", "environment": "prod", "state": "running"},
    ],
}

DOCTOR = {"verdict": "bad", "checks": [
    {"check": "kernel", "verdict": "good", "message": "Linux 6.1.0", "advice": None},
    {"check": "time", "verdict": "warning", "message": "nothing sets the clock",
     "advice": "Run chrony."},
    {"check": "traffic", "verdict": "bad", "message": "chain FORWARD drops",
     "advice": "Let it pass."},
]}

SNAPSHOTS = [
    {"name": "20261122t120000z", "created": "2026-11-22T12:00:00.000Z", "consistency": "crash",
     "memory": False, "size": None},
    {"name": "before", "created": "2026-11-22T13:00:00.000Z", "consistency": "filesystem",
     "memory": True, "size": 5 << 30},
]

EVENTS = [
    {"number": 1, "time": "2026-11-22T12:00:00.000Z", "type": "guest.created",
     "target": "web1.example.org"},
    {"number": 2, "time": "2026-11-22T12:00:01.000Z", "type": "guest.state",
     "target": "web1.example.org", "state": "running", "previous": "starting"},
]


def sse(*events):
    """A stream of events as the API sends it."""
    return "".join(f"id: {event['number']}\nevent: {event['type']}\n"
                   f"data: {json.dumps(event)}\n\n" for event in events)


def guest_stats(name, seconds, cpu=0.0, memory=0, state="running", **over):
    """A guest that uses so many processors all the time, as it is after so many seconds."""
    used = None if over.get("unknown_since") or state != "running" else 1
    return {
        "name": name, "id": name.encode().hex()[:12].ljust(12, "0"), "driver": "lxc", "state": state,
        "sampled": f"2026-11-22T12:00:{seconds:02}.000Z", "unknown_since": None,
        "cpu": {"set": 2, "used_ns": used and int(cpu * seconds * 1e9), "periods": used,
                "throttled": used and over.pop("throttled", 0), "throttled_ns": used},
        "memory": {"set": 1 << 30, "used": used and memory, "peak": used, "cache": used,
                   "oom_kills": used and over.pop("oom_kills", 0)},
        "swap": {"set": None, "used": used}, "pids": {"set": 100, "used": used and 7, "refused": used},
        "io": {"set_read": None, "set_write": None, "read_bytes": used and 500 * seconds,
               "write_bytes": used, "reads": used, "writes": used},
        "network": {"set_ingress": None, "set_egress": None} | {
            f"{way}_{what}": used and 2048 * seconds for way in ("received", "sent")
            for what in ("bytes", "packets", "dropped")},
        "storage": {"set": 5 << 30, "used": 3 << 30},
    } | over


def node_stats(seconds, *guests):
    return {"name": "node1", "time": f"2026-11-22T12:00:{seconds:02}.500Z", "sampled": f"2026-11-22T12:00:{seconds:02}.000Z", "node": {
        "cpus": 4, "cpu_used_ns": int(1e9) * seconds, "memory": 16 << 30, "memory_used": 4 << 30,
        "storage": 100 << 30, "storage_used": 50 << 30, "slots": 8, "slots_used": len(guests),
        "problems": 0, "guests": {"running": len(guests)}}, "guests": list(guests)}
