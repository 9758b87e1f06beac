"""What becomes of the time of a campaign? One stacked bar per system, over its runs' mean."""

import numpy
from matplotlib.patches import Patch

from . import style

NAME = "campaign"
BARS_MAX = 12
# Columns of /campaign in this order, what they are called, and how they are drawn.
TIMES = (("useful_s", "useful steps", "#1b6ca8", ""),
         ("slowed_s", "slowed", "#7fb3d5", ""),
         ("lost_s", "lost work", "#d1495b", "//"),
         ("checkpoint_s", "checkpoints", "#edae49", ""),
         ("restart_s", "restarts", "#8d6a9f", "xx"),
         ("waiting_s", "waiting for nodes", "#9a9a9a", ".."))


def parts_of(table):
    """The parts of the wall time: those named above, and what else the file has, in grey."""
    known = {name for name, *_ in TIMES} | {"wall_s"}
    others = [(name, name[:-2].replace("_", " "), "#555555", "")
              for name in table.columns if name.endswith("_s") and name not in known]
    return list(TIMES) + others


def answer(rows):
    said = [f"{row['system']}: goodput {row['goodput']:.1%}, {row['interruptions']:,.0f} "
            f"interruptions in {row['days']:.0f} days" for row in rows[:3]]
    return ". ".join(said) + "."


def draw(result):
    """The figure, or nothing where the file holds no campaign."""
    found, sweep = result.table("campaign"), result.table("sweep")
    if found is None or sweep is None or not len(found):
        return []
    names = {row["point"]: row["system"] for row in sweep.rows()}
    parts = parts_of(found)
    rows = []
    for point in list(dict.fromkeys(found["point"]))[:BARS_MAX]:
        own = found.where(found["point"] == point)
        wall = float(numpy.mean(own["wall_s"]))
        shares = [float(numpy.mean(own[name])) / wall for name, *_ in parts]
        rows.append({"system": names[point], "shares": shares, "goodput": shares[0],
                     "days": wall / 86400,
                     "interruptions": float(numpy.mean(own["interruptions"])),
                     "runs": len(own)})
    fig, (ax,) = style.figure(2.2 + 0.6 * len(rows))
    for at, row in enumerate(rows):
        left = 0.0
        for (_, _, colour, hatch), share in zip(parts, row["shares"]):
            ax.barh(at, 100 * share, left=left, height=0.56, color=colour, hatch=hatch,
                    edgecolor="#333333", linewidth=0.6)
            left += 100 * share
        ax.text(1, at, f"{row['goodput']:.1%}", va="center", color="white", fontweight="bold")
        small = [f"{title} {share:.1%}" for (_, title, *_), share in zip(parts[1:],
                                                                         row["shares"][1:])
                 if share >= 0.0005]
        ax.text(0.4, at + 0.31, "  ".join(small), fontsize=8, va="top", color="#444444")
    ax.set_yticks(range(len(rows)), [row["system"] for row in rows])
    ax.set_ylim(len(rows) - 0.35, -0.5)
    ax.set_xlim(0, 100)
    ax.set_xlabel(f"% of the wall time, mean of {rows[0]['runs']} runs")
    ax.grid(axis="y", visible=False)
    key = [Patch(facecolor=colour, hatch=hatch, edgecolor="#333333", label=title)
           for i, (_, title, colour, hatch) in enumerate(parts)
           if any(row["shares"][i] >= 0.0005 for row in rows)]
    style.headline(fig, "What becomes of the time of a campaign?", answer(rows), key=key)
    return [(NAME, fig)]
