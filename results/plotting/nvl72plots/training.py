"""How far are measured training runs from the prediction? A dot a run, its interval as a bar."""

from . import style
from .residuals import key_of, paints
from .rows import answer, has_interval, interval, residual, stem

NAME = "training"
RUNS_MAX = 30


def throughput(row):
    """The row with its times turned into rates: up is faster in every row of the figure."""
    if row["metric"] == "tokens_per_s_per_gpu":
        return row
    ends = {"p10": 1 / row["p90"], "p90": 1 / row["p10"]} if has_interval(row) else {}
    return {**row, "measured": 1 / row["measured"], "predicted": 1 / row["predicted"], **ends}


def once(rows):
    """Without the runs that a second experiment repeats."""
    seen = {}
    for row in rows:
        seen.setdefault((row["metric"], row["gpu"], row["gpus"], row["measured"],
                         row["predicted"]), row)
    return list(seen.values())


def by_source(rows):
    """[(source, its rows)]: what no fit saw first."""
    sources = {}
    for row in rows:
        sources.setdefault(row["source"], []).append(row)
    return sorted(sources.items(), key=lambda item: any(row["in_fit"] for row in item[1]))


def label(row):
    """gb200 405b nvfp4, 256 GPUs."""
    words = row["subject"]
    if row["precision"] and row["precision"] not in words:
        words += f" {row['precision']}"
    return f"{words}, {row['gpus']:,.0f} GPUs"


def draw_run(ax, at, row, look):
    colour, marker = look
    if has_interval(row):
        low, high = interval(row)
        ax.barh(at, high - low, left=low, height=0.62, color=style.lighter(colour, 0.72),
                edgecolor=colour, linewidth=0.8, zorder=2)
    ax.plot(residual(row), at, marker=marker, markersize=7, linestyle="none", color=colour,
            markerfacecolor=colour if row["in_fit"] else "white", markeredgewidth=1.5, zorder=4)


def draw(result):
    """The figure, or nothing where the file holds no scored training run."""
    found = result.table("validation")
    if found is None:
        return []
    rows = found.where(found["table"] == "training").rows()
    rows = [row for row in rows if row["metric"] != "memory_gib"]  # bytes are no speed
    scored = [row for row in rows if row["scored"]]
    if not scored:
        return []
    note = answer(scored, len(rows) - len(scored), throughput)
    drawn = [throughput(row) for row in once(scored)]
    if len(drawn) < len(scored):
        note += f" {len(scored) - len(drawn)} rows repeat a run and are drawn once."
    if len(drawn) > RUNS_MAX:
        drawn = sorted(drawn, key=lambda row: -abs(residual(row)))[:RUNS_MAX]
        note += f" Drawn: the {RUNS_MAX} largest errors."
    groups = by_source(drawn)
    fig, (ax,) = style.figure(1.75 + 0.22 * (len(drawn) + len(groups)))
    looks = paints(drawn)
    ticks, names, at = [], [], 0
    for source, runs in groups:
        ticks.append(at)
        names.append(stem(source))
        for row in runs:
            at += 1
            draw_run(ax, at, row, looks[row["gpu"]])
            ticks.append(at)
            names.append(label(row))
        at += 1
    ax.set_yticks(ticks, names, fontsize=9)
    for tick, name in zip(ax.get_yticklabels(), names):
        if name in {stem(source) for source, _ in groups}:
            tick.set_fontweight("bold")
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(at - 0.4, -0.6)
    ax.axvline(0, color="black", linewidth=0.8, zorder=3)
    ax.set_xlabel("(predicted − measured) / measured throughput (%)")
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:+.0f}" if x else "0")
    ax.grid(axis="y", visible=False)
    style.headline(fig, "How far are measured training runs from the prediction?", note,
                   key=key_of(looks, drawn))
    return [(NAME, fig)]
