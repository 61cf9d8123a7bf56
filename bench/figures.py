"""The table on the terminal, and the page docs/figures.md."""
import json
import os
import pathlib
import platform
import time

HEADS = ("", "figure", "ours", "peer", "ratio", "promised", "")
INTRODUCTION = """# Figures

What `sudo ./dev bench` measured, misses included. Made by `./dev bench --write`; not edited by
hand. The peers ran in the same run, rounds alternating: LXD 5.0 and lxc-start 5.0 from Debian, each
in a network namespace and on a btrfs loop file of its own, guests from the same busybox. LXD's
guests ran without lxcfs's hook, which would add 0.5 s to each stop. Times are medians; memory is
resident (VmRSS).
"""


def cells(row):
    ratio = f"{row['ratio']:.1f}" if row["ratio"] is not None else ""
    verdict = {True: "met", False: "MISSED", None: ""}[row["good"]]
    return (row["number"], row["what"], row["ours"], row["peer"], ratio, row["target"], verdict)


def table(rows):
    lines = [HEADS] + [cells(row.__dict__) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip()
                     for line in lines)


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, kernel {platform.release().split('-')[0]}"


def write(folder, names, page):
    """Makes the page of the newest JSON of each bench."""
    parts = [INTRODUCTION]
    for name in names:
        path = pathlib.Path(folder) / f"{name}.json"
        if not path.exists():
            continue
        data = json.loads(path.read_text())
        day = time.strftime("%Y-%m-%d", time.gmtime(data["time"]))
        parts.append(f"\n## {name}\n\n{data['machine']}, {day}.\n")
        parts.append("| | figure | ours | peer | ratio | promised | |\n"
                     "| --- | --- | --- | --- | --- | --- | --- |")
        parts += [f"| {' | '.join(text.strip() for text in cells(row))} |" for row in data["rows"]]
    page.write_text("\n".join(parts) + "\n")

