"""What can a GPU serve, at which speed for the user? Points, and of each system the front."""

import math

from matplotlib.ticker import FuncFormatter, NullFormatter

from . import style

NAME = "pareto"


def groups_of(rows):
    """{group: its rows}, in the file's order."""
    groups = {}
    for row in rows:
        if row["kind"] != "measured":
            groups.setdefault(row["group"], []).append(row)
    return groups


def front(rows):
    """The rows that none beats both ways, by the user's speed."""
    return sorted((row for row in rows if row["best"]),
                  key=lambda row: row["tokens_per_s_per_user"])


def answer(result):
    summary = result.table("summary")
    if summary is None:
        return ""
    return " ".join(row["text"] for row in summary.rows() if row["text"].startswith("ratio"))


def label(ax, row, group, colour, number):
    """The first of a colour above its curve, the second below."""
    above = number % 2 == 0
    ax.annotate(group, (row["tokens_per_s_per_user"], row["tokens_per_s_per_gpu"]),
                xytext=(6, 6) if above else (-6, -14), textcoords="offset points", color=colour,
                fontsize=9, fontweight="bold", ha="left" if above else "right")


def draw(result):
    """Nothing where the file serves no sweep."""
    table = result.table("serving")
    if table is None:
        return []
    groups = groups_of(table.rows())
    fronts = {group: front(rows) for group, rows in groups.items()}
    closed = all(row["clients"] > 0 for row in table.rows())
    if not closed or not any(len(line) > 1 for line in fronts.values()):
        return []
    fig, axes = style.figure(4.6, 1)
    ax = axes[0]
    used = {}
    for group, line in fronts.items():
        colour, marker = style.family(line[0]["gpu"])
        dash = style.DASHES[used.setdefault(colour, 0) % len(style.DASHES)]
        used[colour] += 1
        ax.plot([row["tokens_per_s_per_user"] for row in groups[group]],
                [row["tokens_per_s_per_gpu"] for row in groups[group]], marker=marker,
                markersize=4, linestyle="none", color=colour, alpha=0.3)
        xs = [row["tokens_per_s_per_user"] for row in line]
        ys = [row["tokens_per_s_per_gpu"] for row in line]
        ax.plot(xs, ys, color=colour, linestyle=dash, marker=marker, markersize=5, linewidth=2)
        band = [row for row in line if math.isfinite(row["tpot_low_s"])]
        if len(band) > 1:  # the 80 % interval of TPOT moves a point along both axes
            ax.fill_betweenx([row["tokens_per_s_per_gpu"] for row in band],
                             [1 / row["tpot_high_s"] for row in band],
                             [1 / row["tpot_low_s"] for row in band], color=colour, alpha=0.12,
                             linewidth=0)
        label(ax, line[len(line) // 2], group, colour, used[colour] - 1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(style.short_number))
        axis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("tokens/s per user (log axis)")
    ax.set_ylabel("tokens/s per GPU (log axis)")
    model = style.models_of(table.rows())
    style.headline(fig, f"How quickly does {model or 'each'} answer, and for how many?",
                   answer(result) + " Lines: the best of each system, with the 80 % interval of "
                   "the time of a token; faint: other layouts and loads.")
    return [(NAME, fig)]
