"""The experiment's own figure: the lines or bars that its config asks for, under its answer."""

import math

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from . import style

NAME = "answer"
# For series that name no GPU: apart in grey print, too.
COLOURS = ("#173f6e", "#d55e00", "#4fbf9f", "#7a5195", "#bcae00", "#56b4e9", "#a6611a", "#666666")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def words_of(result):
    table = result.table("answer")
    return {} if table is None else dict(zip(table["key"], table["text"]))


def series_of(table):
    """{name: rows} in the order of the config, and the marks."""
    lines, marks = {}, []
    for row in table.rows():
        if row["kind"] == "mark":
            marks.append(row)
        else:
            lines.setdefault(row["series"], []).append(row)
    return lines, marks


def colours_of(names):
    """A GPU family's colour where names begin with a GPU's and no two share one."""
    families = [style.family(name) for name in names]
    if style.OTHER not in families and len(set(families)) == len(families):
        return families
    return [(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i in range(len(names))]


def number_axis(axis, log):
    if log:
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_locator(LogLocator(base=10, subs=(1.0,), numticks=12))
    axis.set_major_formatter(FuncFormatter(style.short_number))


def sparse_log(ax, which, values):
    """Where a logarithmic axis spans less than two decades, its own values are its ticks."""
    values = sorted({value for value in values if math.isfinite(value) and value > 0})
    if not values or values[-1] / values[0] > 100:
        return
    if which == "x" and len(values) <= 9:
        ax.set_xticks(values)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.6g}"))
        ax.xaxis.set_minor_locator(NullLocator())
        return
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=12))


def draw_lines(ax, lines, looks, log):
    for (_, rows), (colour, marker) in zip(lines.items(), looks):
        rows = sorted(rows, key=lambda row: row["x"])
        x, y = [row["x"] for row in rows], [row["y"] for row in rows]
        points = rows[0]["kind"] == "points"
        if all(math.isfinite(row["low"]) and math.isfinite(row["high"]) for row in rows):
            ax.fill_between(x, [row["low"] for row in rows], [row["high"] for row in rows],
                            color=style.lighter(colour, 0.75), linewidth=0, zorder=1)
        ax.plot(x, y, color=colour, marker=marker, markersize=6, linewidth=0 if points else 2,
                markerfacecolor="white" if points else colour, zorder=3)
    if "x" in log:
        ax.set_xscale("log")
        number_axis(ax.xaxis, True)
        sparse_log(ax, "x", [row["x"] for rows in lines.values() for row in rows])
    else:
        number_axis(ax.xaxis, False)


def labels_of(lines):
    labels = []
    for rows in lines.values():
        labels += [row["label"] for row in rows if row["label"] not in labels]
    return labels


def draw_bars(ax, lines, looks, stacked):
    labels = labels_of(lines)
    width = 0.8 if stacked else 0.8 / len(lines)
    base = dict.fromkeys(labels, 0.0)
    for i, ((_, rows), (colour, _)) in enumerate(zip(lines.items(), looks)):
        for row in rows:
            at = labels.index(row["label"])
            left = at if stacked else at - 0.4 + width * (i + 0.5)
            ax.barh(left, row["y"], left=base[row["label"]] if stacked else 0, height=width * 0.92,
                    color=colour, edgecolor="white", linewidth=0.6, zorder=2)
            end = row["y"]
            if math.isfinite(row["low"]) and math.isfinite(row["high"]):
                ax.plot([row["low"], row["high"]], [left, left], color="black", linewidth=1.2,
                        zorder=3)
                end = max(end, row["high"])
            if stacked:
                base[row["label"]] += row["y"]
            else:
                ax.annotate(f" {style.plain_number(row['y'])}", (end, left), va="center",
                            fontsize=9, zorder=4)
    if stacked:
        for label, total in base.items():
            ax.annotate(f" {style.plain_number(total)}", (total, labels.index(label)),
                        va="center", fontsize=9)
    ax.set_yticks(range(len(labels)), labels)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.margins(x=0.12)
    number_axis(ax.xaxis, False)


def draw_marks(ax, marks, bars):
    for mark in marks:
        if math.isfinite(mark["y"]):
            ax.axhline(mark["y"], color="#777777", linestyle=(0, (4, 3)), linewidth=1.2)
            ax.annotate(mark["series"], (0.99, mark["y"]), xycoords=("axes fraction", "data"),
                        ha="right", va="bottom", fontsize=9, color="#555555")
        if math.isfinite(mark["x"]):
            ax.axvline(mark["x"], color="#777777", linestyle=(0, (4, 3)), linewidth=1.2)
            ax.annotate(mark["series"], (mark["x"], 1.0 if bars else 0.98),
                        xycoords=("data", "axes fraction"), ha="right", fontsize=9,
                        va="bottom" if bars else "top", color="#555555",
                        rotation=0 if bars else 90)


def draw(result):
    """The figure, or nothing where the experiment asks for none."""
    table, words = result.table("figure"), words_of(result)
    if table is None or "figure.kind" not in words:
        return []
    lines, marks = series_of(table)
    looks = colours_of(list(lines))
    kind, log = words["figure.kind"], words.get("figure.log", "")
    bars = kind != "lines"
    height = 4.4 if not bars else 1.9 + 0.32 * len(labels_of(lines)) * (
        1 if kind == "stacked" else max(1.0, 0.55 * len(lines)))
    fig, (ax,) = style.figure(height)
    if bars:
        draw_bars(ax, lines, looks, kind == "stacked")
        ax.set_xlabel(words["figure.y"])
        if "y" in log:
            ax.set_xscale("log")
            number_axis(ax.xaxis, True)
        marks = [{**mark, "x": mark["y"], "y": mark["x"]} for mark in marks]
    else:
        draw_lines(ax, lines, looks, log)
        ax.set_xlabel(words["figure.x"] + (" (log axis)" if "x" in log else ""))
        ax.set_ylabel(words["figure.y"] + (" (log axis)" if "y" in log else ""))
        if "y" in log:
            ax.set_yscale("log")
            number_axis(ax.yaxis, True)
            sparse_log(ax, "y", [row["y"] for rows in lines.values() for row in rows])
        else:
            ax.set_ylim(bottom=0)
            number_axis(ax.yaxis, False)
    draw_marks(ax, marks, bars)
    key = []
    if len(lines) > 1:
        for (name, rows), (colour, marker) in zip(lines.items(), looks):
            if bars:
                key.append(Patch(color=colour, label=name))
            else:
                points = rows[0]["kind"] == "points"
                key.append(Line2D([], [], color=colour, marker=marker, label=name,
                                  linewidth=0 if points else 2,
                                  markerfacecolor="white" if points else colour))
    style.headline(fig, words["question"], words.get("answer", ""), key=key)
    return [(NAME, fig)]
