"""How does throughput grow with GPUs? Lines for predictions, markers where somebody measured."""

import math

from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from . import style
from .accuracy import published_rate

NAME = "scaling"


def curves(rows, model):
    """Best prediction per (curve, GPUs): {label: [row by GPUs]}, and whether any was dropped."""
    best, dropped = {}, False
    for row in rows:
        points = best.setdefault(style.label_of(row, model), {})
        known = points.get(row["gpus"])
        dropped = dropped or known is not None
        if known is None or row["tokens_per_s_per_gpu"] > known["tokens_per_s_per_gpu"]:
            points[row["gpus"]] = row
    lines = {system: [points[gpus] for gpus in sorted(points)] for system, points in best.items()}
    return {system: line for system, line in lines.items() if len(line) > 1}, dropped


def kept(line):
    """Tokens/s per GPU at the end of a curve over that at its start."""
    return line[-1]["tokens_per_s_per_gpu"] / line[0]["tokens_per_s_per_gpu"]


def batches_of(rows):
    low, high = min(row["global_batch"] for row in rows), max(row["global_batch"] for row in rows)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def answer(lines, measured):
    said = [f"{system} keeps {kept(line):.0%} of its tokens/s per GPU from {line[0]['gpus']:,} to "
            f"{line[-1]['gpus']:,} GPUs" for system, line in lines.items()]
    text = "; ".join(said) + "."
    batch = batches_of([row for line in lines.values() for row in line])
    if not measured:
        return text + f" Batch {batch}."
    return text + (f" Lines: predicted at batch {batch}. Filled: published, at batch "
                   f"{batches_of(measured)}; hollow: predicted for those very runs.")


def draw_panel(ax, lines, measured, value):
    labels = []
    used = {}
    for system, line in lines.items():
        colour, _ = style.family(line[0]["gpu"])
        dash = style.DASHES[used.setdefault(colour, 0) % len(style.DASHES)]
        used[colour] += 1
        gpus = [row["gpus"] for row in line]
        ax.plot(gpus, [value(row, row["tokens_per_s_per_gpu"]) for row in line], color=colour,
                linestyle=dash, linewidth=2)
        labels.append((system, colour, gpus[-1], value(line[-1], line[-1]["tokens_per_s_per_gpu"])))
    for row in measured:
        colour, marker = style.family(row["gpu"])
        ax.plot(row["gpus"], value(row, published_rate(row)), marker=marker, color=colour,
                markersize=7, linestyle="none", zorder=4)
        ax.plot(row["gpus"], value(row, row["tokens_per_s_per_gpu"]), marker=marker,
                markersize=11, markerfacecolor="none", markeredgecolor=colour,
                markeredgewidth=1.4, linestyle="none", zorder=5)
    return labels


def gpu_axis(ax, gpus):
    ax.set_xscale("log", base=2)
    low, high = math.floor(math.log2(min(gpus))), math.ceil(math.log2(max(gpus)))
    every = 1 if high - low <= 5 else 2
    ax.set_xticks([2 ** power for power in range(low, high + 1, every)])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("GPUs (log axis)")
    ax.set_xlim(min(gpus) / 1.3, max(gpus) * 1.3)


def label_lines(ax, labels, log):
    """System names at the right end of their curves."""
    low, high = ax.get_ylim()
    place = (lambda y: math.log(y / low) / math.log(high / low)) if log else (
        lambda y: (y - low) / (high - low))
    heights = style.spread([place(y) for *_, y in labels], 0.065)
    for (system, colour, _, _), height in zip(labels, heights):
        ax.text(1.02, height, system, transform=ax.transAxes, color=colour, va="center",
                fontsize=9, fontweight="bold")


def draw(result):
    """The figure, or nothing where the file sweeps no number of GPUs."""
    sweep = result.table("sweep")
    if sweep is None:
        return []
    swept = sweep.where(sweep["kind"] == "sweep").rows()
    model = style.models_of(swept)
    lines, dropped = curves(swept, model)
    if not lines:
        return []
    # Other models' rates would say nothing about these curves.
    models = {row["model"] for row in swept}
    measured = [row for row in sweep.where(sweep["kind"] == "measured").rows()
                if row["model"] in models and math.isfinite(published_rate(row))]
    fig, (total, per_gpu) = style.figure(4.3, 2)
    for line in lines.values():  # what no loss at all would give
        ends = (line[0], line[-1])
        total.plot([row["gpus"] for row in ends],
                   [line[0]["tokens_per_s_per_gpu"] * row["gpus"] for row in ends],
                   color="#999999", linewidth=1, linestyle=(0, (2, 2)))
    draw_panel(total, lines, measured, lambda row, rate: rate * row["gpus"])
    labels = draw_panel(per_gpu, lines, measured, lambda row, rate: rate)
    gpus = [row["gpus"] for line in lines.values() for row in line]
    gpus += [row["gpus"] for row in measured]
    for ax in (total, per_gpu):
        gpu_axis(ax, gpus)
    total.set_yscale("log")
    total.yaxis.set_major_formatter(FuncFormatter(style.short_number))
    total.yaxis.set_minor_formatter(NullFormatter())
    total.text(0.97, 0.04, "dotted: without loss", transform=total.transAxes, ha="right",
               fontsize=9, color="#777777")
    total.set_ylabel("tokens/s, all GPUs (log axis)")
    per_gpu.set_ylabel("tokens/s per GPU")
    per_gpu.yaxis.set_major_formatter(FuncFormatter(style.short_number))
    per_gpu.set_ylim(bottom=0)
    label_lines(per_gpu, labels, log=False)
    note = answer(lines, measured)
    if dropped:
        note += " Where several layouts share a number of GPUs, the fastest is drawn."
    style.headline(fig, f"How far does {model or 'training'} scale?", note)
    return [(NAME, fig)]
