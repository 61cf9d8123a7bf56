"""Holds the source tree against the house's rules: who may include whom, by docs/ARCHITECTURE.md.

CMake makes most wrong includes fail to compile; this names them all at once, and also finds
includes by relative path, which would get round it."""
import pathlib
import re
import subprocess
import sys

MAY_USE = {
    "base": set(),
    "model": {"base"},
    "session": {"base"},
    "drivers": {"model", "base"},
    "storage": {"model", "base"},
    "net": {"model", "base"},
    "cli": {"model", "base", "session"},
    "doctor": {"base", "agent", "drivers"},
    "agent": {"model", "base", "session", "drivers", "storage", "net"},
}
# Inside drivers/ the backends do not know each other, and the agent's parts look downwards.
PARTS = {
    "drivers/lxc": {"drivers/kvm", "drivers/docker", "drivers/fake", "drivers/client"},
    "drivers/kvm": {"drivers/lxc", "drivers/docker", "drivers/fake", "drivers/client"},
    "drivers/docker": {"drivers/lxc", "drivers/kvm", "drivers/fake", "drivers/client"},
    "drivers/fake": {"drivers/lxc", "drivers/kvm", "drivers/docker", "drivers/client"},
    "drivers/host": {"drivers/client"},
    "agent/config": {"agent/api", "agent/ops", "agent/http", "agent/state"},
    "agent/core": {"agent/api", "agent/ops", "agent/http", "agent/state", "agent/config"},
    "agent/http": {"agent/api", "agent/ops", "agent/state"},
    "agent/state": {"agent/api", "agent/ops", "agent/http"},
    "agent/engine": {"agent/api", "agent/ops", "agent/node", "agent/http"},
    "agent/audit": {"agent/api", "agent/ops", "agent/node", "agent/engine", "agent/http"},
    "agent/seed": {"agent/api", "agent/ops", "agent/node", "agent/engine", "agent/http"},
    "agent/sessions": {"agent/api", "agent/ops"},
    "agent/ops": {"agent/api"},
}
# Libraries belong to one place each.
LIBRARIES = {
    "lxc/lxccontainer.h": ["drivers/lxc"],
    "libvirt/": ["drivers/kvm"],
    "libxml/": ["drivers/kvm"],
    "sqlite3.h": ["agent/state"],
    "microhttpd.h": ["agent/http"],
    "yaml.h": ["agent/config", "cli"],
    "archive.h": ["storage", "cli", "drivers/docker"],
    "curl/": ["cli", "drivers/docker"],
    "crypt.h": ["agent/seed"],
    "btrfsutil.h": ["storage"],
    "libnftnl/": ["net"],
    "netlink/": ["net", "drivers/docker"],
    "libmnl/": ["net"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def problems(path):
    folder = path.split("/")[0]
    for quote, name in INCLUDE.findall(pathlib.Path(path).read_text()):
        if name.startswith(".") or "/../" in name:
            yield f'includes "{name}" by relative path'
            continue
        if quote == "<":
            for library, homes in LIBRARIES.items():
                if name.startswith(library) and not path.startswith(tuple(homes)):
                    yield f"includes <{name}>, which belongs to {' and '.join(homes)}"
            continue
        target = name.split("/")[0]
        if target in MAY_USE and target != folder and target not in MAY_USE[folder]:
            yield f'includes "{name}": {folder}/ may not use {target}/'
        for part, others in PARTS.items():
            if path.startswith(part + "/") and name.startswith(tuple(o + "/" for o in others)):
                yield f'includes "{name}": {part}/ must not know it'


def main():
    tracked = subprocess.run(["git", "ls-files", "*.c", "*.h"], capture_output=True, text=True,
                             check=True).stdout.split()
    found = [f"{path}: {what}" for path in tracked if path.split("/")[0] in MAY_USE
             for what in problems(path)]
    print("\n".join(found) or f"{len(tracked)} files keep to the layers")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
