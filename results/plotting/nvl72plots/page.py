"""One self-contained page: every figure, the headline numbers, the config, the digest."""

import base64
import html
import math
import os

from . import style
from .accuracy import published_rate
from .rows import inside, median_error

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff; }
img { max-width: 100%; height: auto; margin: 1rem 0; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: 14px; }
.facts { color: #555; font-size: 14px; }
"""


def cell(value):
    if isinstance(value, str):
        return f"<td>{html.escape(value)}</td>"
    if math.isnan(value):
        return '<td class="n">-</td>'
    return f'<td class="n">{style.plain_number(float(value), 4)}</td>'


def table(titles, rows):
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(cell(value) for value in row) + "</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>\n"


def summary(result):
    found = result.table("summary")
    if found is None:
        return ""
    return table(("", "value", "unit", ""), [
        (row["name"], row["value"], row["unit"], row["text"]) for row in found.rows()])


def systems(result):
    sweep = result.table("sweep")
    if sweep is None:
        return ""
    rows = [row for row in sweep.rows() if row["kind"] != "sweep"] or sweep.rows()
    return table(("kind", "system", "GPUs", "step (s)", "tokens/s/GPU", "published", "error (%)"), [
        (row["kind"], row["system"], row["gpus"], row["step_s"], row["tokens_per_s_per_gpu"],
         published_rate(row), 100 * (row["tokens_per_s_per_gpu"] / published_rate(row) - 1))
        for row in rows])


def picture(path, text):
    with open(path, "rb") as file:
        data = base64.b64encode(file.read()).decode("ascii")
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{html.escape(text)}">\n'


def listed(value):
    return ", ".join(value) if isinstance(value, list) else value


def rows_of(result):
    """How the scored rows of `validate` fare, part by part, as its own summary has it."""
    found = result.table("validation")
    if found is None:
        return ""
    parts = {}
    for row in found.where(found["scored"]).rows():
        parts.setdefault((row["gpu"], row["part"]), []).append(row)
    return table(("GPU", "part", "rows", "median error (%)", "in the 80 % interval (%)"), [
        (gpu, part, len(mine), 100 * median_error(mine),
         math.nan if inside(mine) is None else 100 * inside(mine))
        for (gpu, part), mine in sorted(parts.items())])


def config(result):
    """What ran, where the file says it: rows of `validate` come without."""
    if "config" not in result.attributes:
        return ""
    facts = [(key, listed(result.attributes.get(key, ""))) for key in
             ("digest", "program", "seed", "calibrations", "recipes")]
    return "".join((
        "<h2>The config</h2>\n<pre>", html.escape(str(result.attributes["config"])),
        '</pre>\n<p class="facts">',
        "<br>".join(f"{key}: {html.escape(value or '-')}" for key, value in facts), "</p>\n"))


def section(result, figures):
    return "".join((
        f"<h1>{html.escape(result.stem)}</h1>\n",
        summary(result), systems(result), rows_of(result),
        *(picture(path, f"{result.stem}: {name}") for name, path in figures), config(result)))


def write(parts, folder):
    """`parts`: (result, [(figure name, path of its SVG)]) per file. Returns the page's path."""
    title = ", ".join(result.stem for result, _ in parts)
    text = ('<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
            + "".join(section(result, figures) for result, figures in parts)
            + "</body></html>\n")
    path = os.path.join(folder, "index.html")
    style.write_whole(path, text.encode("utf-8", "replace"))
    return path
