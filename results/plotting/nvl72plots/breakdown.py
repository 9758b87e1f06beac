"""Where does the step go? One stacked bar per compared system."""

from . import style
from .result import PARTS

NAME = "breakdown"
BARS_MAX = 12


def shares(row):
    """Each part as a share of the step."""
    return [row[part] / row["step_s"] for part in PARTS]


def scale_of(rows):
    """(factor of a row, axis label): seconds where all rows do the same work on as many GPUs, else
    GPU-seconds per million tokens, as `nvl72sim compare` counts: else more GPUs look faster."""
    jobs = {(row["gpus"], row["global_batch"] * row["sequence_length"]) for row in rows}
    if len(jobs) == 1:
        return lambda row: 1.0, "seconds of one step, averaged over GPUs"
    return (lambda row: row["gpus"] * 1e6 / (row["global_batch"] * row["sequence_length"]),
            "GPU-seconds per million tokens (step time x GPUs / tokens)")


def answer(rows, model, left_out, scale):
    said = []
    if len(rows) == 2 and not left_out:
        costs = [row["step_s"] * scale(row) for row in rows]
        small, large = sorted(range(2), key=lambda i: costs[i])
        said.append(f"{style.label_of(rows[large], model)} needs "
                    f"{costs[large] / costs[small]:.2f}x the GPU time of "
                    f"{style.label_of(rows[small], model)}")
    for row in rows[:3]:
        parts = shares(row)
        largest = max(range(1, len(parts)), key=lambda i: parts[i])
        said.append(f"{style.label_of(row, model)}: {parts[0]:.1%} compute, then "
                    f"{parts[largest]:.1%} {style.PARTS[largest][0]}")
    if left_out:
        said.append(f"The first {len(rows)} systems; {left_out} more are in the file")
    return ". ".join(said) + "."


def draw_bar(ax, at, row, longest, scale):
    left = 0.0
    whole = row["step_s"] * scale
    for (_, colour, hatch, text), share in zip(style.PARTS, shares(row)):
        seconds = share * whole
        ax.barh(at, seconds, left=left, height=0.56, color=colour, hatch=hatch,
                edgecolor="#333333", linewidth=0.6)
        # Narrow parts carry their number above the bar, so that none is lost.
        if seconds > 0.045 * longest:
            label = ax.text(left + seconds / 2, at, f"{share:.1%}", ha="center", va="center",
                            color=text, fontsize=9)
            if hatch:
                label.set_bbox({"facecolor": colour, "edgecolor": "none", "pad": 1})
        left += seconds
    ax.text(left + 0.01 * longest, at, f"{row['step_s']:#.3g} s a step", va="center",
            fontweight="bold")
    small = [f"{name} {share:.1%}" for (name, *_), share in zip(style.PARTS, shares(row))
             if 0.0005 <= share and share * whole <= 0.045 * longest]
    if small:
        ax.text(0, at + 0.33, "  ".join(small), fontsize=8, va="top", color="#444444")


def draw(result):
    """The figure, or nothing where the file compares no systems."""
    sweep = result.table("sweep")
    if sweep is None:
        return []
    rows = sweep.where(sweep["kind"] == "system").rows()
    if not rows:
        return []
    rows, left_out = rows[:BARS_MAX], len(rows[BARS_MAX:])
    model = style.models_of(rows)
    scale, axis_label = scale_of(rows)
    longest = max(row["step_s"] * scale(row) for row in rows)
    fig, (ax,) = style.figure(1.95 + 0.78 * len(rows))
    for at, row in enumerate(rows):
        draw_bar(ax, at, row, longest, scale(row))
    ax.set_yticks(range(len(rows)),
                  [f"{style.label_of(row, model)}\n{row['gpus']:,} GPUs" for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.5)
    ax.set_xlim(0, 1.18 * longest)
    ax.set_xlabel(axis_label)
    ax.grid(axis="y", visible=False)
    handles = [style.plt.Rectangle((0, 0), 1, 1, facecolor=colour, hatch=hatch,
                                   edgecolor="#333333", linewidth=0.6)
               for _, colour, hatch, _ in style.PARTS]
    fig.legend(handles, [name for name, *_ in style.PARTS], loc="lower left", ncol=8,
               frameon=False, fontsize=8.5, handlelength=1.3, columnspacing=1.2,
               handletextpad=0.5, bbox_to_anchor=(0.005, 0.0))
    of_model = f" of {model}" if model else ""
    style.headline(fig, f"Where does a training step{of_model} go?",
                   answer(rows, model, left_out, scale), bottom=0.32)
    return [(NAME, fig)]
