"""What do more requests a second, or more answers to each question, do to waiting and energy?"""

import math

from matplotlib.ticker import FuncFormatter, NullFormatter

from . import style

NAME = "arrivals"


def axis_of(rows):
    """What the sweep moves: samples of a question, else the rate."""
    if len({row["samples"] for row in rows}) > 1:
        return "samples", "answers to each question (log axis)"
    return "rate", "requests a second (log axis)"


def lines_of(rows, column):
    """{label: rows by the column}, a line for each system and value of what else is swept."""
    lines = {}
    for row in rows:
        label = row["group"].split(" samples=")[0]
        if column == "samples":
            label += f", {row['rate']:g}/s"
        lines.setdefault(label, []).append(row)
    return {label: sorted(line, key=lambda row: row[column]) for label, line in lines.items()
            if len(line) > 1}


def draw(result):
    """Nothing where clients wait for answers, or nothing is swept."""
    table = result.table("serving")
    if table is None:
        return []
    rows = [row for row in table.rows() if row["kind"] == "sweep" and math.isfinite(row["rate"])]
    if not rows:
        return []
    column, title = axis_of(rows)
    fig, axes = style.figure(4.6, 2)
    used = {}
    for label, line in lines_of(rows, column).items():
        colour, marker = style.family(line[0]["gpu"])
        number = used.setdefault(colour, 0)
        used[colour] += 1
        tone = style.lighter(colour, style.TONES[number // len(style.DASHES) % len(style.TONES)])
        look = {"color": tone, "marker": marker, "markersize": 4, "linewidth": 2,
                "linestyle": style.DASHES[number % len(style.DASHES)], "label": label}
        x = [row[column] for row in line]
        axes[0].plot(x, [row["question_p50_s"] for row in line], **look)
        axes[1].plot(x, [row["energy_per_question_j"] for row in line], **look)
    for ax in axes:
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel(title)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(FuncFormatter(style.short_number))
            axis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("s until half of the questions are answered")
    axes[1].set_ylabel("J a question")
    summary = result.table("summary")
    said = " ".join(row["text"] for row in summary.rows()[:2]) if summary is not None else ""
    axes[1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    style.headline(fig, "What does it cost to ask more?", said)
    return [(NAME, fig)]
