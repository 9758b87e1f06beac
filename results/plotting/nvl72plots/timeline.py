"""What does every pipeline stage do, and when? One row per class of GPUs, from /ops."""

import numpy

from . import style
from .breakdown import shares

PICOSECONDS = 1e12
CLASSES_MAX = 16   # more rows than this cannot be read at README width
FIGURES_MAX = 4    # points drawn from one file
BOXES_MAX = 36     # boxes of one stage that stay readable across the width

PHASES = {"forward": ("#7fb2dc", "black"), "backward": ("#2f6b4f", "white"),
          "input gradient": ("#57a27f", "white"), "weight gradient": ("#b9dcc4", "black"),
          "forward beside backward": ("#6a6fb5", "white"), "optimizer": ("#8c564b", "white")}
OTHER_PHASE = ("#aaaaaa", "black")
# Colours of the breakdown, so that TP is the same everywhere. Lane order: top to bottom.
LANES = (("tp", 1), ("cp", 2), ("ep", 3), ("dp", 4), ("pp", 5))


def boxes(ops):
    """(start, end, phase, micro-batch, chunk) of a class's compute; neighbours of one micro-batch
    become one box, with the communication between its layers inside it."""
    compute = ops.where(ops["kind"] == "compute")
    order = numpy.argsort(compute["start_ps"], kind="stable")
    found = []
    for i in order:
        key = (compute["phase"][i], int(compute["micro_batch"][i]), int(compute["chunk"][i]))
        start, end = compute["start_ps"][i], compute["end_ps"][i]
        if found and found[-1][2:] == key:
            found[-1] = (found[-1][0], max(found[-1][1], end)) + key
        else:
            found.append((start, end) + key)
    return found


def windows(rows, end):
    """What to show of [0, end] in ps: all of it, or its start and its end."""
    most = max(rows, key=len)
    if len(most) <= BOXES_MAX:
        return [(0, end)]
    half = BOXES_MAX // 2
    head = most[half][0]
    tail = end - most[-half][0]
    width = max(head, tail)
    if 2 * width >= 0.9 * end:
        return [(0, end)]
    return [(0, width), (end - width, end)]


def names_of(result, point, classes):
    table = result.table("classes")
    names = {}
    if table is not None:
        names = {int(row["class"]): row["name"] for row in table.rows() if row["point"] == point}
    return [names.get(int(one), f"class {one}") for one in classes]


def label_every(found, window, panels):
    """(n, width of a number in ps): every n-th micro-batch of a row carries its number, so that
    numbers do not run into each other; none (n 0) where boxes are too narrow for one."""
    shown = [box for box in found if window[0] <= box[0] <= window[1] and box[3] >= 0]
    gaps = sorted(b[0] - a[0] for a, b in zip(shown, shown[1:]))
    if not gaps:
        return 0, 0
    digits = max(len(str(box[3])) for box in shown)
    need = (0.005 + 0.0085 * digits) * panels * (window[1] - window[0])
    widths = sorted(box[1] - box[0] for box in shown)
    if widths[len(widths) // 2] < 0.7 * need:
        return 0, need
    every = 1
    while every < 64 and every * gaps[len(gaps) // 2] < need:
        every *= 2
    return every, need


def draw_row(ax, at, ops, found, window, lanes, labels):
    begin, end = window
    every, need = labels
    for start, stop, phase, micro_batch, chunk in found:
        if stop < begin or start > end:
            continue
        colour, text = PHASES.get(phase, OTHER_PHASE)
        if chunk > 0:  # later model chunks of the stage (virtual pipeline) are lighter
            colour = style.lighter(colour, 0.55 * chunk / ax.chunk_max)
            text = "black" if style.is_light(colour) else "white"
        ax.barh(at - 0.14, (stop - start) / PICOSECONDS, left=start / PICOSECONDS, height=0.5,
                color=colour, edgecolor="white", linewidth=0.5)
        middle = (start + stop) / 2
        inside = (begin + need / 2 <= middle <= end - need / 2) and stop - start > 0.6 * need
        if every and inside and micro_batch >= 0 and micro_batch % every == 0:
            ax.text(middle / PICOSECONDS, at - 0.14, str(micro_batch), ha="center", va="center",
                    fontsize=7, color=text, clip_on=True)
    height = 0.34 / max(1, len(lanes))
    for lane, (dimension, part) in enumerate(lanes):
        mask = ((ops["dimension"] == dimension) & (ops["kind"] != "compute")
                & (ops["end_ps"] >= begin) & (ops["start_ps"] <= end))
        spans = [(start / PICOSECONDS, (stop - start) / PICOSECONDS)
                 for start, stop in zip(ops["start_ps"][mask], ops["end_ps"][mask])]
        ax.broken_barh(spans, (at + 0.12 + lane * height, height * 0.9),
                       color=style.PARTS[part][1],
                       linewidth=0.7)  # an outline, or the shortest would vanish between pixels


def row_of(result, point):
    sweep = result.table("sweep")
    found = [] if sweep is None else [row for row in sweep.rows() if row["point"] == point]
    return found[0] if found else None


def answer(row, rows, end, shown, classes, all_classes):
    step = style.plain_number(end / PICOSECONDS)
    if row is not None:
        share = dict(zip((part[0] for part in style.PARTS), shares(row)))
        text = (f"{row['system']}, {row['gpus']:,} GPUs: {share['compute']:.0%} of the step is "
                f"compute, {share['bubble']:.1%} waits in the pipeline bubble.")
    else:
        text = f"The step takes {step} s."
    most = max({box[3] for found in rows for box in found}, default=-1) + 1
    text += f" Numbers count micro-batches (0 to {most - 1})." if most > 1 else ""
    if any(box[4] > 0 for found in rows for box in found):
        text += " Lighter: later model chunks. White: waiting."
    if len(shown) > 1:
        first = (shown[0][1] - shown[0][0]) / PICOSECONDS
        text += f" Shown: the first and last {first:.2g} s of {step} s."
    if len(classes) < len(all_classes):
        text += f" The first {len(classes)} of {len(all_classes)} classes."
    return text


def legend(fig, rows, lanes):
    phases = []
    for found in rows:
        for box in found:
            if box[2] not in phases:
                phases.append(box[2])
    items = [(phase, PHASES.get(phase, OTHER_PHASE)[0]) for phase in phases]
    items += [(f"{dimension.upper()} communication", style.PARTS[part][1])
              for dimension, part in lanes]
    handles = [style.plt.Rectangle((0, 0), 1, 1, facecolor=colour, edgecolor="#555555",
                                   linewidth=0.4) for _, colour in items]
    fig.legend(handles, [name for name, _ in items], loc="lower left", ncol=len(items),
               frameon=False, fontsize=8.5, handlelength=1.3, columnspacing=1.4,
               bbox_to_anchor=(0.005, 0.0))


def draw_point(result, ops, point):
    all_classes = sorted(set(ops["class"].tolist()))
    classes = all_classes[:CLASSES_MAX]
    by_class = [ops.where(ops["class"] == one) for one in classes]
    rows = [boxes(some) for some in by_class]
    kept = [i for i, found in enumerate(rows) if found]
    if not kept:
        return None
    classes, by_class, rows = ([some[i] for i in kept] for some in (classes, by_class, rows))
    end = int(max(ops["end_ps"].max(), 1))
    shown = windows(rows, end)
    used = set(ops["dimension"].tolist())
    lanes = [lane for lane in LANES if lane[0] in used]
    fig, axes = style.figure(1.75 + 0.46 * len(classes), len(shown), sharey=True)
    chunk_max = max(box[4] for found in rows for box in found)
    for ax, window in zip(axes, shown):
        ax.chunk_max = chunk_max
        ax.share = len(shown)  # panels side by side: a box is that much narrower
        labels = [label_every(found, window, ax.share) for found in rows]
        most = max(every for every, _ in labels)  # one rhythm in all rows
        for at, (some, found, (every, need)) in enumerate(zip(by_class, rows, labels)):
            draw_row(ax, at, some, found, window, lanes, (most if every else 0, need))
        ax.set_xlim(window[0] / PICOSECONDS, window[1] / PICOSECONDS)
        ax.set_ylim(len(classes) - 0.45, -0.5)
        ax.set_xlabel("seconds since the step began")
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(classes)), names_of(result, point, classes))
    legend(fig, rows, lanes)
    style.headline(fig, "What does each pipeline stage do, and when?",
                   answer(row_of(result, point), rows, end, shown, classes, all_classes),
                   bottom=0.32)
    return fig


def draw(result):
    """A figure per point that was traced (trace level ops), for the first few."""
    ops = result.table("ops")
    if ops is None or not len(ops):
        return []
    figures = []
    for point in sorted(set(ops["point"].tolist()))[:FIGURES_MAX]:
        fig = draw_point(result, ops.where(ops["point"] == point), point)
        if fig is not None:
            figures.append((f"timeline-{point}", fig))
    return figures
