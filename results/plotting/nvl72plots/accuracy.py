"""How close are predictions to published figures?"""

import math
import statistics

from . import style

NAME = "published"
PAIRS_MAX = 14
RELATIVE_FROM = 8  # rates that differ by more than this share no axis: percent of published then


def published_rate(row):
    """Published tokens/s per GPU, from the step time where only that was published."""
    rate = row["published_tokens_per_s_per_gpu"]
    if math.isnan(rate) and not math.isnan(row["published_step_s"]):
        return rate_of(row, row["published_step_s"])
    return rate


def rate_of(row, step_s):
    return row["global_batch"] * row["sequence_length"] / (step_s * row["gpus"])


def errors(rows):
    """predicted / published - 1, per row."""
    return [row["tokens_per_s_per_gpu"] / published_rate(row) - 1 for row in rows]


def answer(rows):
    found = errors(rows)
    worst = max(range(len(found)), key=lambda i: abs(found[i]))
    if len(rows) == 1:
        return f"{found[0]:+.1%} tokens/s against the one published figure."
    return (f"Median error {statistics.median(abs(e) for e in found):.1%} over {len(rows)} "
            f"published points; the worst is {found[worst]:+.1%} "
            f"({rows[worst]['system']}, {rows[worst]['gpus']:,} GPUs).")


def draw_pair(ax, at, row, scale):
    colour, _ = style.family(row["gpu"])
    published = published_rate(row)
    predicted = row["tokens_per_s_per_gpu"]
    ax.barh(at - 0.18, published * scale, height=0.34, color=colour)
    ax.barh(at + 0.18, predicted * scale, height=0.34, facecolor="white", edgecolor=colour,
            linewidth=1.3, hatch="////")
    low, high = row["published_step_low_s"], row["published_step_high_s"]
    ends = [published * scale, predicted * scale]
    if not (math.isnan(low) or math.isnan(high)):
        span = (rate_of(row, high) * scale, rate_of(row, low) * scale)
        ax.plot(span, (at - 0.18, at - 0.18), color="black", linewidth=1.6, marker="|",
                markersize=6)
        ends.append(span[1])
    ax.annotate(f"{predicted / published - 1:+.1%}", (max(ends), at), xytext=(8, 0),
                textcoords="offset points", va="center", fontweight="bold")
    return max(ends)


def draw(result):
    """The figure, or nothing where no published figure stands beside a prediction."""
    sweep = result.table("sweep")
    if sweep is None:
        return []
    rows = [row for row in sweep.rows() if math.isfinite(published_rate(row))]
    if not rows:
        return []
    note = answer(rows)
    if len(rows) > PAIRS_MAX:
        kept = sorted(range(len(rows)), key=lambda i: -abs(errors(rows)[i]))[:PAIRS_MAX]
        rows = [rows[i] for i in sorted(kept)]
        note += f" Drawn: the {PAIRS_MAX} largest errors."
    rates = [published_rate(row) for row in rows]
    relative = max(rates) > RELATIVE_FROM * min(rates)
    fig, (ax,) = style.figure(1.75 + 0.62 * len(rows))
    ends = [draw_pair(ax, at, row, 100 / rate if relative else 1.0)
            for at, (row, rate) in enumerate(zip(rows, rates))]
    ax.set_yticks(range(len(rows)), [
        f"{row['system']}, {row['gpus']:,} GPUs\n{row['model']} {row['precision']}, "
        f"batch {row['global_batch']:,}" for row in rows], fontsize=9)
    ax.set_ylim(len(rows) - 0.45, -0.55)
    ax.set_xlim(0, 1.15 * max(ends))
    ax.set_xlabel("tokens/s per GPU" + (", % of published" if relative else ""))
    ax.grid(axis="y", visible=False)
    key = "Filled bar: published; hatched: predicted."
    if any(math.isfinite(row["published_step_low_s"]) for row in rows):
        key += " Black span: p10 to p90 of the published steps."
    style.headline(fig, "How close are the predictions to published figures?",
                   note + " " + key)
    return [(NAME, fig)]
