"""The page of figures and its drawing, made of stored samples: without measuring anything."""
import json
import math
import os
import re
import signal
import subprocess
import xml.etree.ElementTree as ElementTree

import figures
import growth
import pytest
from stats import Row, beside, beyond, family, held, median, p99, point

SVG = "{http://www.w3.org/2000/svg}"


def row(guests, ours, limit=None, good=None, panel="create to running", unit="ms", **peers):
    return Row("P1", f"{panel}, {guests} guests", f"{ours} {unit}", "", None,
               f"≤ {limit} {unit}" if limit else "", good, {"all": [ours]},
               point(panel, unit, guests, limit, corpus=ours, **peers)).__dict__


SAMPLES = {
    "create": [row(10, 31.7, 45, True, LXD=291.3), row(100, 35.2, 45, True, LXD=310.0),
               row(500, 61.0, 45, False, LXD=None)],
    "memory": [row(10, 9.9, 12, True, "corpusd & its <memory>", "MiB", LXD=80.0),
               row(500, 12.4, 20, True, "corpusd & its <memory>", "MiB")],
    "exec": [row(10, 0.003, panel="exec", lxc=9999.0)],
    "ports": [Row("P6", "publish", "2.2 ms", "47.9 ms", 21.9, "", None, {}).__dict__],
}


def keep(folder, name, rows):
    kept = {"time": 0, "machine": "2 cores", "rows": rows}
    (folder / f"{name}.json").write_text(json.dumps(kept))


def write(folder):
    """As --write does: whether the drawing was made, too."""
    return figures.write(folder, [*SAMPLES, "never-run"], folder)


def read(folder):
    return (folder / figures.PAGE).read_text(), (folder / figures.DRAWING).read_text()


@pytest.fixture
def written(tmp_path):
    """Page and drawing of the samples."""
    for name, rows in SAMPLES.items():
        keep(tmp_path, name, rows)
    assert write(tmp_path)
    return read(tmp_path)


def drawn(svg):
    """Its panels: (offset, group)."""
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        x, y = re.fullmatch(r"translate\((\d+) (\d+)\)", group.get("transform")).groups()
        yield (int(x), int(y)), group


def places(group):
    """Everything with a place in a panel: (x, y)."""
    for element in group.iter():
        for x, y in (("x", "y"), ("cx", "cy"), ("x1", "y1"), ("x2", "y2")):
            if element.get(x):
                yield float(element.get(x)), float(element.get(y))
        for pair in (element.get("points") or "").split():
            yield tuple(map(float, pair.split(",")))


def test_table_says_promise_verdict_and_ratio_misses_included():
    text = figures.table([row for rows in SAMPLES.values() for row in rows])
    lines = {line.split("  ")[1].strip(): line for line in text.splitlines()[1:]}
    assert lines["create to running, 10 guests"].endswith("≤ 45 ms   met")
    assert lines["create to running, 500 guests"].endswith("MISSED")
    assert "47.9 ms  21.9" in lines["publish"]


def test_columns_of_the_table_stand_below_each_other():
    text = figures.table(SAMPLES["create"])
    assert len({line.index("≤" if "≤" in line else "promised") for line in text.splitlines()}) == 1


def test_page_has_a_section_for_each_bench_that_was_run_and_shows_the_drawing(written):
    page, _ = written
    assert re.findall(r"^## (.*)$", page, re.M) == list(SAMPLES)
    assert "| P1 | create to running, 500 guests | 61.0 ms |  |  | ≤ 45 ms | MISSED |" in page
    assert f"]({figures.DRAWING})" in page and "2 cores, 1970-01-01." in page


def test_what_was_not_measured_here_stays_on_the_page_and_in_the_drawing(tmp_path, written):
    for name in ("create", "memory", "exec"):
        (tmp_path / f"{name}.json").unlink()
    assert not write(tmp_path) and read(tmp_path) == written
    keep(tmp_path, "create", [row(10, 20.5)])
    assert not write(tmp_path)
    page, drawing = read(tmp_path)
    assert drawing == written[1] and re.findall(r"^## (.*)$", page, re.M) == list(SAMPLES)
    assert "31.7 ms" in written[0] and "31.7 ms" not in page and "20.5 ms" in page
    assert page.split("## memory")[1] == written[0].split("## memory")[1]


def test_the_drawing_is_made_anew_when_all_that_is_in_it_was_measured_here(tmp_path, written):
    keep(tmp_path, "create", [row(10, 20.5, 45, True)])
    (tmp_path / "ports.json").unlink()  # of which nothing is drawn
    assert write(tmp_path)
    page, drawing = read(tmp_path)
    assert "20.5 ms" in drawing and "31.7 ms" not in drawing
    assert page.split("## ports")[1] == written[0].split("## ports")[1]


def test_a_bench_that_is_no_more_leaves_the_page(tmp_path, written):
    page = tmp_path / figures.PAGE
    page.write_text(written[0] + "\n## gone\n\nfigures\n")
    assert write(tmp_path) and page.read_text() == written[0]


def test_drawing_is_well_formed_and_has_a_panel_for_each_cost_that_grows(written):
    _, svg = written
    names = [group.find(f"{SVG}text").text for _, group in drawn(svg)]
    assert names == ["create to running", "corpusd & its <memory>", "exec"]


def test_nothing_is_drawn_outside_its_panel_nor_the_panel_outside_the_drawing(written):
    _, svg = written
    root = ElementTree.fromstring(svg)
    for (left, top), group in drawn(svg):
        assert left + growth.PANEL_W <= float(root.get("width"))
        assert top + growth.PANEL_H <= float(root.get("height"))
        assert all(0 <= x <= growth.PANEL_W and 0 <= y <= growth.PANEL_H for x, y in places(group))


def test_every_value_is_a_point_inside_the_plot_that_says_what_it_is(written):
    _, svg = written
    said = []
    for _, group in drawn(svg):
        for circle in group.iter(f"{SVG}circle"):
            assert growth.LEFT < float(circle.get("cx")) < growth.PANEL_W - growth.RIGHT
            assert growth.TOP <= float(circle.get("cy")) <= growth.PANEL_H - growth.BOTTOM
            said.append(circle.find(f"{SVG}title").text)
    assert len(said) == sum(len(row["growth"]["values"]) for rows in SAMPLES.values()
                            for row in rows if row["growth"])
    assert "corpus, 500 guests: 61 ms" in said and "LXD, 10 guests: 80 MiB" in said


def test_axes_bear_guests_powers_of_ten_and_the_unit(written):
    _, svg = written
    _, first = next(drawn(svg))
    words = [element.text for element in first.iter(f"{SVG}text")]
    assert {"10", "100", "500", "1,000", "ms", "guests"} <= set(words)


def test_more_is_further_right_and_higher_up(written):
    _, svg = written
    _, first = next(drawn(svg))
    ours = next(line for line in first.iter(f"{SVG}polyline") if line.get("class") == "line a")
    points = [tuple(map(float, pair.split(","))) for pair in ours.get("points").split()]
    assert points == sorted(points) and [y for _, y in points] == sorted((y for _, y in points),
                                                                        reverse=True)


def test_promises_are_drawn_in_steps_where_they_differ(written):
    _, svg = written
    limits = [[path.get("d") for path in group.iter(f"{SVG}path")] for _, group in drawn(svg)]
    assert [len(paths) for paths in limits] == [1, 1, 0]
    heights = [set(re.findall(r"V([\d.]+)", paths[0])) for paths in limits[:2]]
    assert [len(found) for found in heights] == [1, 2]


def test_drawing_follows_the_readers_mode_and_names_every_party(written):
    _, svg = written
    assert "prefers-color-scheme: dark" in svg
    words = [element.text for element in ElementTree.fromstring(svg).findall(f"{SVG}text")]
    assert {"corpus", "LXD", "lxc"} <= set(words)


@pytest.mark.parametrize("values, first, last", [([5], 1, 10), ([10], 10, 100),
                                                  ([0.02, 300], 0.01, 1000), ([1, 10], 1, 10)])
def test_decades_hold_all_values(values, first, last):
    ticks = growth.decades(values)
    assert math.isclose(ticks[0], first) and math.isclose(ticks[-1], last)


@pytest.mark.parametrize("value, words", [(0.01, "0.01"), (1.5, "1.5"), (31.66, "31.7"),
                                          (1234.5, "1,234"), (100, "100")])
def test_numbers_are_written_as_people_do(value, words):
    assert growth.number(value) == words


def test_median_and_p99():
    assert median([3, 1, 2]) == 2
    assert p99(list(range(100))) == 99 and p99([7]) == 7


@pytest.mark.parametrize("mine, good", [([0.11, 0.11, 9], True), ([0.12, 0.12, 0], False)])
def test_what_is_promised_beside_a_peer_is_judged_by_the_medians(mine, good):
    row = beside("start", mine, "docker", [0.1, 0.1, 7], promised=True)
    assert row.number == "P3" and row.good is good and row.peer == "100.0 ms"
    assert beside("start", mine, "docker", [0.1]).good is None


def test_what_is_beyond_a_peer_is_the_difference():
    row = beyond("start", [0.3], "dockerd", [0.2])
    assert (row.ours, row.peer) == ("100.0 ms", "200.0 ms dockerd")


def test_a_family_is_all_that_descends_from_a_process_and_its_memory_is_that_of_all():
    with subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE,
                          text=True) as parent:
        child = int(parent.stdout.readline())
        try:
            assert family(parent.pid) == [parent.pid, child]
            together, resident = held(2, parent.pid, 0.001)
            assert together.good is False and resident.data["MiB"] > together.data["MiB"] > 0
        finally:
            os.kill(child, signal.SIGKILL)
