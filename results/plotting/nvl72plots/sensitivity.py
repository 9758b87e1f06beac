"""What would help? Gains of 10 % more of each resource, and what a loss costs, by system."""

import numpy

from . import style

NAME = "sensitivity"
SYSTEMS_MAX = 2
SHOWN_MIN = 0.00005  # of a step: below, a bar is no longer seen


def systems_of(result, table):
    """The first systems: (its row of /sweep, its rows of /sensitivity)."""
    sweep = result.table("sweep")
    points = list(dict.fromkeys(int(point) for point in table["point"]))[:SYSTEMS_MAX]
    return [(sweep.where(sweep["point"] == point).rows()[0],
             table.where(table["point"] == point).rows()) for point in points]


def gains(rows):
    """[(what, change of the step by Replay, the same simulated)] of resources that matter."""
    return [(row["what"], row["replayed"], row["simulated"]) for row in rows
            if not numpy.isnan(row["replayed"]) and abs(row["replayed"]) >= SHOWN_MIN]


def changes(rows):
    """[(what, change of the step)] of what comes whole and can run."""
    return [(row["what"], row["simulated"]) for row in rows
            if numpy.isnan(row["replayed"]) and not numpy.isnan(row["simulated"])]


def answer(systems, model):
    said = []
    for sweep_row, rows in systems:
        best, worst = gains(rows)[:1], sorted(changes(rows), key=lambda c: -c[1])[:1]
        words = [f"10 % more {what} takes {-100 * step:.1f} % off" for what, step, _ in best]
        words += [f"{what}: {100 * step:+.1f} %" for what, step in worst]
        said.append(f"{style.label_of(sweep_row, model)}: " + ", ".join(words))
    return ". ".join(said) + "."


def draw_system(ax, sweep_row, rows, model):
    colour, _ = style.family(sweep_row["gpu"])
    bars = [(f"10 % more {what}", step, again) for what, step, again in gains(rows)]
    bars += [(what, step, None) for what, step in changes(rows)]
    widest = max((abs(step) for _, step, _ in bars), default=1)
    for at, (_, step, again) in enumerate(bars):
        ax.barh(at, 100 * step, height=0.62, color=colour if again is not None else "#ffffff",
                edgecolor=colour, hatch="" if again is not None else "///", linewidth=0.8)
        if again is not None:
            ax.plot(100 * again, at, "|", color="black", markersize=11, markeredgewidth=1.4)
        ax.text(100 * step + (2.2 if step > 0 else -2.2) * widest, at, f"{100 * step:+.2f}",
                va="center", ha="left" if step > 0 else "right", fontsize=8.5)
    ax.set_yticks(range(len(bars)), [what for what, *_ in bars], fontsize=8.5)
    ax.set_ylim(len(bars) - 0.4, -0.6)
    low = min([100 * step for _, step, _ in bars] + [0])
    high = max([100 * step for _, step, _ in bars] + [0])
    room = 0.22 * max(high - low, 0.01)
    ax.set_xlim(low - room, high + room)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("change of the step (%)")
    ax.set_title(f"{style.label_of(sweep_row, model)}, {sweep_row['gpus']:,} GPUs", fontsize=10,
                 loc="left")
    return len(bars)


def draw(result):
    """The figure, or nothing where the run was not asked for it."""
    table = result.table("sensitivity")
    if table is None or result.table("sweep") is None:
        return []
    systems = systems_of(result, table)
    model = style.models_of([row for row, _ in systems])
    most = max(len(gains(rows)) + len(changes(rows)) for _, rows in systems)
    fig, axes = style.figure(1.7 + 0.27 * most * len(systems) + 0.75 * (len(systems) - 1),
                             rows=len(systems))
    for ax, (sweep_row, rows) in zip(axes, systems):
        draw_system(ax, sweep_row, rows, model)
    handles = [style.plt.Rectangle((0, 0), 1, 1, facecolor="#999999", edgecolor="#666666"),
               style.plt.Line2D([], [], color="black", marker="|", linestyle="", markersize=10),
               style.plt.Rectangle((0, 0), 1, 1, facecolor="white", edgecolor="#666666",
                                   hatch="///")]
    for handle, label in zip(handles, ("10 % more, by Replay", "simulated again",
                                       "a change that comes whole, simulated")):
        handle.set_label(label)
    of_model = f" of {model}" if model else ""
    style.headline(fig, f"What would make a step{of_model} quicker?", answer(systems, model),
                   key=handles)
    return [(NAME, fig)]
