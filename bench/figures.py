"""The table on the terminal, and the page docs/figures.md with its drawing."""
import json
import os
import pathlib
import platform
import re
import time

import growth

HEADS = ("", "figure", "ours", "peer", "ratio", "promised", "")
PAGE, DRAWING = "figures.md", "figures-growth.svg"
INTRODUCTION = f"""# Figures

What `sudo ./dev bench` measured, misses included. Made by `./dev bench --write`; not edited by
hand. The peers ran in the same run, rounds alternating: LXD 5.0 and lxc-start 5.0 from Debian, each
in a network namespace and on a btrfs loop file of its own, guests from the same busybox. LXD's
guests ran without lxcfs's hook, which would add 0.5 s to each stop. Times are medians; memory is
resident (VmRSS). Machines (`machines`) were made by virsh beside ours: by the same libvirtd on the same
btrfs, from the same image, emulated where KVM does not work. Containers of Docker's (`containers`) were
made by the docker command beside ours: by the same dockerd 20.10, its layers in memory (overlay2 on tmpfs),
from the same image and with the same limits, on Docker's bridge as its users have it. Both drivers' memory
is proportional (Pss).

Measured with few, some and many guests running. LXD was not asked with 500: to make them takes it
minutes, and their monitors 7 GiB; it had left the machine by then. lxc-start kept at most one guest
of its own, being a program and no agent; the others' were beside it. The costs that grow, drawn:

![The growth of each cost]({DRAWING})
"""


def cells(row):
    ratio = f"{row['ratio']:.1f}" if row["ratio"] is not None else ""
    verdict = {True: "met", False: "MISSED", None: ""}[row["good"]]
    return (row["number"], row["what"], row["ours"], row["peer"], ratio, row["target"], verdict)


def table(rows):
    lines = [HEADS] + [cells(row) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip()
                     for line in lines)


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, kernel {platform.release().split('-')[0]}"


def kept(folder, names):
    """The newest of each bench, of those that were ever run: (name, data)."""
    for name in names:
        path = pathlib.Path(folder) / f"{name}.json"
        if path.exists():
            yield name, json.loads(path.read_text())


def section(name, data):
    day = time.strftime("%Y-%m-%d", time.gmtime(data["time"]))
    lines = [f"\n## {name}\n\n{data['machine']}, {day}.\n",
             "| | figure | ours | peer | ratio | promised | |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(cell.strip() for cell in cells(row))} |" for row in data["rows"]]
    return "\n".join(lines)


def written(page):
    """The sections of the page as it is: text by name."""
    if not page.exists():
        return {}
    _, *parts = re.split(r"^(?=## )", page.read_text(), flags=re.M)
    return {part[3:].split("\n")[0]: "\n" + part.rstrip() for part in parts}


def is_whole(drawing, panels):
    """Nothing that is drawn would be lost."""
    return not drawing.exists() or growth.names(drawing.read_text()) <= {p.name for p in panels}


def write(folder, names, docs):
    """Makes the page of the newest JSON of each bench, with what it says already of those that were
    measured elsewhere; and the drawing, when all of it was measured here: says whether."""
    found = dict(kept(folder, names))
    sections = written(docs / PAGE) | {name: section(name, data) for name, data in found.items()}
    (docs / PAGE).write_text("\n".join([INTRODUCTION, *(sections[name] for name in names
                                                        if name in sections)]) + "\n")
    panels = growth.panels([row for data in found.values() for row in data["rows"]])
    if whole := is_whole(docs / DRAWING, panels):
        (docs / DRAWING).write_text(growth.draw(panels))
    return whole
