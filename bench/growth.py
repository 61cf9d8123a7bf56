"""The drawing of how costs grow with the number of guests: small panels, one for each cost, both
axes logarithmic, in one SVG that is text and needs nothing to be made or seen. Colours follow the
reader's light or dark mode."""
import dataclasses
import math
import re
from xml.sax.saxutils import escape, quoteattr, unescape

COLUMNS = 3
PANEL_W, PANEL_H = 300, 230  # of the whole panel
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 34, 34  # its margins around the plot
HEAD = 62  # above the panels: title and legend
PARTIES = {"corpus": "a", "LXD": "b", "lxc": "c"}  # and their class in the style

STYLE = """
.paper { fill: #ffffff } .ink { fill: #1f2328 } .faint { fill: #59636e }
.grid { stroke: #d1d9e0; stroke-width: 1 } .limit { stroke: #59636e; stroke-dasharray: 4 3; fill: none }
.line { fill: none; stroke-width: 2 } .a { stroke: #0969da; fill: #0969da } .b { stroke: #bc4c00; fill: #bc4c00 }
.c { stroke: #6e7781; fill: #6e7781 } .line.a, .line.b, .line.c { fill: none }
text { font: 11px system-ui, sans-serif } .head { font-size: 16px; font-weight: 600 } .name { font-weight: 600; font-size: 12px }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117 } .ink { fill: #f0f6fc } .faint { fill: #9198a1 }
.grid { stroke: #2b333d } .limit { stroke: #9198a1 }
.a { stroke: #4493f8; fill: #4493f8 } .b { stroke: #f0883e; fill: #f0883e } .c { stroke: #8b949e; fill: #8b949e }
}
"""


@dataclasses.dataclass
class Panel:
    name: str
    unit: str
    limits: list  # (guests, promise)
    lines: dict  # party: [(guests, value)…]


def panels(rows):
    """What the rows say about growth, in their order."""
    found = {}
    for row in rows:
        point = row.get("growth")
        if not point:
            continue
        panel = found.setdefault(point["panel"], Panel(point["panel"], point["unit"], [], {}))
        if point["limit"]:
            panel.limits.append((point["guests"], point["limit"]))
        for party, value in point["values"].items():
            panel.lines.setdefault(party, []).append((point["guests"], value))
    return list(found.values())


class Scale:
    """A logarithmic axis: where on it a value is, from begin to end."""

    def __init__(self, low, high, begin, end):
        self.low, self.high, self._begin, self._end = low, high, begin, end

    def at(self, value):
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self._begin + share * (self._end - self._begin)


def decades(values):
    """The powers of ten around the values, at least one decade."""
    low = math.floor(math.log10(min(values)))
    high = math.ceil(math.log10(max(values)))
    return [10.0 ** power for power in range(low, max(high, low + 1) + 1)]


def number(value):
    """As people write it: 0.01, 1.5, 32, 1,200."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def text(x, y, words, kind="faint", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def rule(x1, y1, x2, y2, kind="grid"):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def axes(panel, across, up, ticks):
    """Grid lines with what they stand for."""
    left, right = LEFT, PANEL_W - RIGHT
    yield text(left, 18, panel.name, "ink name")
    yield text(right, 18, panel.unit, anchor="end")
    for value in ticks:
        y = up.at(value)
        yield rule(left, y, right, y)
        yield text(left - 6, y + 4, number(value), anchor="end")
    for guests in sorted({guests for line in panel.lines.values() for guests, _ in line}):
        x = across.at(guests)
        yield rule(x, TOP, x, PANEL_H - BOTTOM)
        yield text(x, PANEL_H - BOTTOM + 15, str(guests), anchor="middle")
    yield text((left + right) / 2, PANEL_H - 6, "guests", anchor="middle")


def promise(panel, across, up):
    """The promise as a broken line, in steps where it differs."""
    places = [(across.at(guests), up.at(limit)) for guests, limit in sorted(panel.limits)]
    if not places:
        return
    path = f"M{LEFT:.1f} {places[0][1]:.1f}"
    for i, (_, y) in enumerate(places):
        end = (places[i][0] + places[i + 1][0]) / 2 if i + 1 < len(places) else PANEL_W - RIGHT
        path += f"V{y:.1f}H{end:.1f}"
    yield f'<path d="{path}" class="limit"/>'


def curve(party, values, unit, across, up):
    """A line through its points; each says its value when pointed at."""
    kind = PARTIES[party]
    places = [(across.at(guests), up.at(value), guests, value) for guests, value in sorted(values)]
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in places)
    yield f'<polyline points="{corners}" class="line {kind}"/>'
    for x, y, guests, value in places:
        said = f"{party}, {guests} guests: {number(value)} {unit}"
        yield (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" class="{kind}">'
               f"<title>{escape(said)}</title></circle>")


def draw_panel(panel):
    values = [value for line in panel.lines.values() for _, value in line]
    ticks = decades(values + [limit for _, limit in panel.limits])
    guests = [guests for line in panel.lines.values() for guests, _ in line]
    # A little room at both sides, so that no point lies on the frame.
    across = Scale(min(guests) / 1.3, max(guests) * 1.3, LEFT, PANEL_W - RIGHT)
    up = Scale(ticks[0], ticks[-1], PANEL_H - BOTTOM, TOP)
    yield from axes(panel, across, up, ticks)
    yield from promise(panel, across, up)
    for party in sorted(panel.lines, key=list(PARTIES).index, reverse=True):  # ours on top
        yield from curve(party, panel.lines[party], panel.unit, across, up)


def legend(width):
    x = LEFT
    for party, kind in PARTIES.items():
        yield rule(x, 44, x + 22, 44, f"line {kind}")
        yield f'<circle cx="{x + 11}" cy="44" r="3.2" class="{kind}"/>'
        yield text(x + 28, 48, party, "ink")
        x += 100
    yield f'<path d="M{x} 44H{x + 22}" class="limit"/>'
    yield text(x + 28, 48, "promised: at most", "ink")
    yield text(width - RIGHT, 48, "both axes logarithmic; lower is better", anchor="end")


def names(svg):
    """Of the panels in a drawing."""
    return set(map(unescape, re.findall(r'class="ink name" [^>]*>([^<]*)<', svg)))


def draw(found):
    """The SVG of these panels."""
    rows = math.ceil(len(found) / COLUMNS)
    width, height = COLUMNS * PANEL_W, HEAD + rows * PANEL_H + 8
    title = "What it costs, and how that grows with the number of guests"
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             f'width="{width}" height="{height}" role="img" aria-label={quoteattr(title)}>',
             f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>",
             f'<rect width="{width}" height="{height}" class="paper"/>',
             text(LEFT, 24, title, "ink head"), *legend(width)]
    for i, panel in enumerate(found):
        x, y = i % COLUMNS * PANEL_W, HEAD + i // COLUMNS * PANEL_H
        parts += [f'<g transform="translate({x} {y})">', *draw_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"
