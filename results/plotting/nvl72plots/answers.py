"""How soon do answers come? Of each system the share that has come by then."""

from matplotlib.ticker import FuncFormatter, NullFormatter

from . import style

NAME = "answers"


def draw(result):
    """Nothing where the file serves a sweep: its curves would be too many."""
    table, quantiles = result.table("serving"), result.table("latencies")
    if table is None or quantiles is None:
        return []
    rows = [row for row in table.rows() if row["kind"] == "system"]
    if len(rows) < 2:
        return []
    fig, axes = style.figure(4.3, 2)
    used = {}
    for row in rows:
        colour, _ = style.family(row["gpu"])
        number = used.setdefault(colour, 0)
        used[colour] += 1
        tone = style.lighter(colour, style.TONES[number // len(style.DASHES) % len(style.TONES)])
        mine = quantiles.where(quantiles["point"] == row["point"])
        for ax, column in zip(axes, ("ttft_s", "latency_s")):
            ax.plot(mine[column], 100 * mine["share"], color=tone, linewidth=2,
                    linestyle=style.DASHES[number % len(style.DASHES)], label=row["system"])
    for ax, title in zip(axes, ("s to the first token (log axis)", "s to the last (log axis)")):
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(style.short_number))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel(title)
        ax.set_ylim(0, 100)
    axes[0].set_ylabel("answers that have come (%)")
    summary = result.table("summary")
    said = summary.rows()[0]["text"] if summary is not None else ""
    axes[1].legend(fontsize=8, frameon=False, loc="lower right")
    style.headline(fig, "How soon do answers come?", said)
    return [(NAME, fig)]
