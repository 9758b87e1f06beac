"""Which phase holds up the others? Stacked stages of each system, or what a sweep does to the answer."""

import math

from matplotlib.ticker import FuncFormatter, NullFormatter

from . import style

NAME = "phases"
COLOURS = ("#44546a", "#cc79a7", "#f0e442", "#009e73", "#a6611a", "#56b4e9")
HATCHES = ("", "///", "", "...", "xxx", "\\\\\\")


def said_by(result):
    summary = result.table("summary")
    if summary is None:
        return ""
    return " ".join(row["text"] for row in summary.rows()[:4])


def bars(result, rows):
    """One bar a point: its stages' time, one after the other, in their share of the span."""
    stages = result.table("stages")
    fig, (ax,) = style.figure(1.6 + 0.36 * len(rows))
    names = []
    for place, row in enumerate(rows):
        left = 0
        mine = stages.where(stages["point"] == row["point"]).rows()
        for stage in mine:
            name = stage["stage"]
            if name not in names:
                names.append(name)
            number = names.index(name) % len(COLOURS)
            hours = stage["alone_s"] / 3600
            ax.barh(place, hours, left=left, color=COLOURS[number], hatch=HATCHES[number],
                    edgecolor="white", linewidth=0.5, height=0.7)
            left += hours
        ax.plot([row["span_s"] / 3600] * 2, [place - 0.42, place + 0.42], color="black",
                linewidth=2)
        if math.isfinite(row["published_s"]):
            ax.plot(row["published_s"] / 3600, place, marker="D", color="#d55e00", zorder=5)
    ax.set_yticks(range(len(rows)), [row["system"] for row in rows], fontsize=9)
    ax.invert_yaxis()
    ax.set_xlabel("hours at work, stage by stage; black: wall time; diamond: reported")
    handles = [ax.barh(0, 0, color=COLOURS[i % len(COLOURS)], hatch=HATCHES[i % len(HATCHES)],
                       label=name) for i, name in enumerate(names)]
    style.headline(fig, "Where does the time go?", said_by(result), key=handles)
    return fig


def swept_values(result):
    """{point: {key: (number, text)}}."""
    found = {}
    for row in result.table("swept").rows():
        found.setdefault(row["point"], {})[row["key"]] = (row["number"], row["text"])
    return found


def measure(result, rows):
    """What the lines show: a trainer's idle share, robots that are late, or the span."""
    phases = result.table("phases").rows()
    trains = {row["point"]: 100 * (1 - row["busy_share"]) for row in phases
              if row["kind"] == "train_loop"}
    late = {row["point"]: 100 * row["miss_share"] for row in phases
            if math.isfinite(row["miss_share"])}
    if trains:
        return trains, "the trainer waits (%)", False
    if late:
        return late, "answers that come too late (%)", False
    return {row["point"]: row["span_s"] for row in rows}, "s (log axis)", True


def curves(result, rows):
    """The key with most numbers along x; a line a system and value of the others."""
    swept = swept_values(result)
    numbers = {}
    for values in swept.values():
        for key, (number, _) in values.items():
            if math.isfinite(number):
                numbers.setdefault(key, set()).add(number)
    if not numbers:
        return None
    key = max(numbers, key=lambda each: len(numbers[each]))
    shown, title, log = measure(result, rows)
    lines = {}
    for row in rows:
        values = swept.get(row["point"], {})
        others = tuple(text for other, (_, text) in sorted(values.items()) if other != key)
        lines.setdefault((row["group"], others), []).append((values[key][0], shown[row["point"]],
                                                             row["gpu"]))
    fig, (ax,) = style.figure(4.8)
    used = {}
    groups = list(dict.fromkeys(group for group, _ in lines))
    for (group, others), line in lines.items():
        line.sort()
        number = groups.index(group)
        colour = COLOURS[number % len(COLOURS)] if number else style.family(line[0][2])[0]
        dash = style.DASHES[used.setdefault(group, 0) % len(style.DASHES)]
        tone = style.lighter(colour, style.TONES[used[group] // len(style.DASHES)
                                                 % len(style.TONES)])
        used[group] += 1
        label = ", ".join((group, *others))
        ax.plot([x for x, *_ in line], [y for _, y, _ in line], color=tone, linestyle=dash,
                marker="o", markersize=4, linewidth=2, label=label)
    ax.set_xscale("log")
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter(NullFormatter())
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(style.short_number))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(f"{key.removeprefix('workload.phases.')} (log axis)")
    ax.set_ylabel(title)
    ax.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    style.headline(fig, "What does the answer hang on?", said_by(result))
    return fig


def draw(result):
    table = result.table("workload")
    if table is None:
        return []
    rows = table.rows()
    if result.table("swept") is not None and len(rows) > 12:
        fig = curves(result, rows)
        return [(NAME, fig)] if fig is not None else []
    return [(NAME, bars(result, rows))] if result.table("stages") is not None else []
