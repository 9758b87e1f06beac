"""How far are measured kernels and collectives from the fit? Small multiples, one a fitted part."""

import math
import statistics

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from . import style
from .rows import answer, has_interval, inside, interval, median_error, residual, size_of

PANELS_MAX = 12
TITLE_MAX = 20         # characters over a panel, with four in a row
PERCENT_LINEAR = 20    # where an error passes 100 %, the axis is logarithmic beyond this
RASTER_FROM = 3000     # more points than this are pixels in the SVG, too
LAYERS = 6             # the GPUs' points are drawn in turns: no GPU hides the others
PERCENT_TICKS = (-80, -20, -10, 0, 10, 20, 100, 1000, 10000)
NOUNS = {"moe": "MoE exchanges"}  # where the figure's name is no plural


def paints(rows):
    """{GPU: (colour, marker)}: the family's colour, lighter for a second GPU of a family."""
    found, used = {}, {}
    for gpu in sorted({row["gpu"] for row in rows}):
        colour, marker = style.family(gpu)
        before = used.setdefault(colour, 0)
        used[colour] += 1
        found[gpu] = (style.lighter(colour, 1 - 0.5 ** before), marker)
    return found


def draw_band(ax, rows, x_of, colour):
    """The 80 % interval around the prediction, as far as rows reach: its median where it varies."""
    spans = [interval(row) for row in rows if has_interval(row)]
    if not spans:
        return
    low, high = (statistics.median(ends) for ends in zip(*spans))
    x = (min(map(x_of, rows)) / 1.3, max(map(x_of, rows)) * 1.3)
    ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0, zorder=1)
    for end in (low, high):
        ax.plot(x, (end, end), color=colour, linewidth=0.9, linestyle=(0, (4, 2)), zorder=4)


def draw_points(ax, points, x_of, look, **options):
    """Filled where the fit was given the row, hollow where not."""
    colour, marker = look
    for fitted in (True, False):
        some = [row for row in points if bool(row["in_fit"]) is fitted]
        ax.plot([x_of(row) for row in some], [residual(row) for row in some], linestyle="none",
                marker=marker, markeredgecolor=colour, markeredgewidth=0 if fitted else 0.9,
                markerfacecolor=colour if fitted else "none", zorder=3, **options)


def draw_panel(ax, rows, x_of, looks, raster):
    by_gpu = {gpu: [row for row in rows if row["gpu"] == gpu] for gpu in looks}
    for gpu, mine in by_gpu.items():
        draw_band(ax, mine, x_of, looks[gpu][0])
    dense = len(rows) > 200
    for layer in range(LAYERS):
        for gpu, mine in by_gpu.items():
            draw_points(ax, mine[layer::LAYERS], x_of, looks[gpu], markersize=2.4 if dense else 3.6,
                        alpha=0.6 if dense else 0.8, rasterized=raster)
    ax.axhline(0, color="black", linewidth=0.8, zorder=2)
    share = inside(rows)
    said = f"{len(rows):,} row{'s' if len(rows) > 1 else ''}, median {median_error(rows):.1%}"
    ax.set_title(said + ("" if share is None else f", {share:.0%} in"), fontsize=8,
                 color="#333333", loc="left", pad=3)


def percent_axis(ax, rows):
    found = [residual(row) for row in rows]
    spans = [interval(row) for row in rows if has_interval(row)]
    found += [statistics.median(ends) for ends in zip(*spans)]  # a typical interval is seen whole
    low, high = min(found), max(found)
    if high > 100:
        ax.set_yscale("symlog", linthresh=PERCENT_LINEAR, linscale=1.3)
        ax.set_ylim(max(min(1.3 * low, -30), -100), 1.6 * high)
        ax.yaxis.set_major_locator(FixedLocator(PERCENT_TICKS))
    else:
        ax.set_ylim(min(1.15 * low, -5), max(1.15 * high, 5))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(
        FuncFormatter(lambda y, _: f"{y:+,.0f}" if y else "0"))
    return high > 100


def span_of(values, base):
    """How many powers of `base` they cover."""
    return math.log(max(values) / min(values), base)


def bytes_axis(ax, values, label):
    ax.set_xscale("log", base=2)
    span = span_of(values, 2)
    step = 10 if span > 16 else 4 if span > 8 else 2 if span > 3 else 1
    ax.xaxis.set_major_locator(FixedLocator([2.0 ** power for power in range(0, 60, step)]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: size_of(x)))
    ax.xaxis.set_minor_locator(NullLocator())
    if label:
        ax.set_xlabel("bytes (log axis)", fontsize=9)


def time_axis(ax, values, label):
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1,) if span_of(values, 10) > 1.5 else (1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(style.short_number))
    ax.xaxis.set_minor_formatter(NullFormatter())
    if label:
        ax.set_xlabel("predicted time (µs, log axis)", fontsize=9)


def key_of(looks, rows, band="80% interval of the prediction"):
    """Handles for the line under the answer."""
    handles = [Line2D([], [], linestyle="none", marker=marker, color=colour, label=gpu)
               for gpu, (colour, marker) in looks.items()]
    for fitted, fill, words in ((True, "#666666", "filled: given to the fit"),
                                (False, "none", "hollow: not given")):
        if any(bool(row["in_fit"]) is fitted for row in rows):
            handles.append(Line2D([], [], linestyle="none", marker="o", color="#666666",
                                  markerfacecolor=fill, label=words))
    handles.append(Patch(facecolor="#dddddd", edgecolor="#777777", linestyle=(0, (4, 2)),
                         label=band))
    return handles


def panels_of(rows):
    """{part: rows} of the parts with most rows, in alphabetical order, and the names left out."""
    parts = {}
    for row in rows:
        parts.setdefault(row["part"] or row["subject"], []).append(row)
    kept = sorted(sorted(parts, key=lambda part: (-len(parts[part]), part))[:PANELS_MAX])
    return {part: parts[part] for part in kept}, sorted(set(parts) - set(kept))


def columns_for(titles):
    """Four panels in a row, three where four titles would not fit or three fill the rows better."""
    if len(titles) <= 3:
        return len(titles)
    return 3 if len(titles) in (5, 6, 9) or max(map(len, titles)) > TITLE_MAX else 4


def draw_figure(name, rows, unscored):
    """Small multiples, one a fitted part: error against bytes, or against time."""
    panels, left_out = panels_of(rows)
    by_bytes = all(row["bytes"] > 0 for row in rows)

    def x_of(row):
        return row["bytes" if by_bytes else "predicted"]

    titles = [part.removeprefix(f"{name} ") for part in panels]
    columns = columns_for(titles)
    lines = math.ceil(len(panels) / columns)
    one = lines == 1  # row of panels is not as high as the axis' label is long
    fig, axes = style.figure((2.0 if one else 1.4) + 2.05 * lines, columns, lines, sharex=True, sharey=True)
    looks = paints(rows)
    drawn = [row for panel in panels.values() for row in panel]
    for at, (ax, title, mine) in enumerate(zip(axes, titles, panels.values())):
        draw_panel(ax, mine, x_of, looks, len(rows) > RASTER_FROM)
        lowest = at + columns >= len(panels)
        (bytes_axis if by_bytes else time_axis)(ax, [x_of(row) for row in drawn], lowest)
        ax.tick_params(labelsize=8.5, labelbottom=lowest)
        ax.text(0, 1.14, title, transform=ax.transAxes, fontsize=10, fontweight="bold",
                va="baseline")
    for ax in axes[len(panels):]:
        ax.remove()
    log = percent_axis(axes[0], drawn)
    parted = "\n" if one else " "
    fig.supylabel(f"(predicted − measured){parted}/ measured (%" +
                  (f", log beyond ±{PERCENT_LINEAR})" if log else ")"), fontsize=9.5, x=0.008,
                  y=0.38 if one else 0.5)
    note = answer(rows, unscored)
    if left_out:
        note += f" Not drawn: {', '.join(left_out)}."
    style.headline(fig, f"How far are measured {NOUNS.get(name, name)} from the fit?", note,
                   key=key_of(looks, rows, "80% interval (in: share inside)"))
    return name, fig


def figure_of(row):
    """collectives, kernels; our own microkernels, and a collective that has no bytes of its own
    ("moe two_sided dispatch_fp8"), go by their part."""
    kind = row["part"].partition(" ")[0]
    by_part = kind == "microkernels" or not row["bytes"] > 0
    if row["table"] == "collectives" and by_part and kind.isidentifier():
        return kind
    return row["table"]


def draw(result):
    """One figure each for kernels and collectives, where the file holds rows of `validate`."""
    found = result.table("validation")
    if found is None:
        return []
    figures = {}
    for row in found.rows():
        if row["table"] in ("kernels", "collectives"):
            figures.setdefault(figure_of(row), []).append(row)
    drawn = []
    for name, rows in sorted(figures.items()):
        scored = [row for row in rows if row["scored"]]
        if scored:
            drawn.append(draw_figure(name, scored, len(rows) - len(scored)))
    return drawn
