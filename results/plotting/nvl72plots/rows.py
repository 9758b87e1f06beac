"""The rows that `nvl72sim validate --format csv` prints: reading them, and saying how they fare."""

import csv
import math
import os
import statistics

import numpy

from .result import BadFile, Result, Table

NUMBERS = ("measured", "predicted", "p10", "p90", "bytes", "gpus", "line", "in_fit")
TEXTS = ("table", "source", "metric", "gpu", "subject", "precision", "status", "part")
REMEDY = "expected what nvl72sim validate --format csv > ROWS.csv writes"
TABLES = ("kernels", "collectives", "training", "serving", "power")
UNSCORED = ("set_aside", "skipped")  # as validate's own summary leaves them out


def number(row, name, line):
    """NaN where the cell is empty: a row that was not predicted, a part without bytes."""
    try:
        value = float(row[name]) if row[name] else math.nan
    except ValueError:
        value = math.inf
    if math.isinf(value) or (row[name] and math.isnan(value)):
        raise BadFile(f"{line}: {name}: {row[name]!r} (expected a number; {REMEDY})")
    return value


def scored(row):
    """Rows that count: predicted, measured, and neither set aside nor skipped."""
    return row["measured"] > 0 and row["predicted"] > 0 and row["status"] not in UNSCORED


def read_lines(file):
    reader = csv.DictReader(file, restkey="beyond", restval=None)
    if reader.fieldnames is None:
        raise BadFile(f" empty ({REMEDY})")
    lacking = [name for name in TEXTS + NUMBERS if name not in reader.fieldnames]
    if lacking:
        raise BadFile(f"1: no column {lacking[0]} ({REMEDY})")
    rows = []
    for row in reader:
        line = reader.line_num
        if "beyond" in row or None in row.values():
            raise BadFile(f"{line}: not {len(reader.fieldnames)} cells, as the first line has "
                          f"({REMEDY})")
        if row["table"] not in TABLES:
            raise BadFile(f"{line}: table: {row['table']!r} (expected {', '.join(TABLES)})")
        rows.append({**{name: row[name] for name in TEXTS},
                     **{name: number(row, name, line) for name in NUMBERS}})
    if not rows:
        raise BadFile(f" no row under its header ({REMEDY})")
    if not any(scored(row) for row in rows):
        raise BadFile(f" none of its {len(rows)} rows is scored (column reason says why; "
                      "measurements of a GPU that nvl72sim list calibrations shows are)")
    return rows


def read(path):
    """The rows at `path` as a result with the one table "validation"; BadFile says why not."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = read_lines(file)
    except BadFile as why:
        raise BadFile(f"{path}:{why}") from None
    except OSError as why:
        raise BadFile(f"{path}: {why.strerror} ({REMEDY})") from None
    except (UnicodeDecodeError, csv.Error):
        raise BadFile(f"{path}: not a CSV ({REMEDY})") from None
    columns = {name: numpy.array([row[name] for row in rows],
                                 dtype=object if name in TEXTS else float)
               for name in TEXTS + NUMBERS}
    columns["scored"] = numpy.array([scored(row) for row in rows])
    return Result(path, {}, {"validation": Table(columns, {})})


def stem(source):
    """The name a source has in a figure."""
    return os.path.splitext(os.path.basename(source))[0]


def residual(row):
    """The error (predicted - measured) / measured, in %, as everywhere."""
    return 100 * (row["predicted"] / row["measured"] - 1)


def has_interval(row):
    return 0 < row["p10"] <= row["p90"]


def interval(row):
    """The errors of measurements at p90 and p10, on the same scale, the lower first."""
    return tuple(100 * (row["predicted"] / row[end] - 1) for end in ("p90", "p10"))


def median_error(rows):
    """As validate's summary has it: of |predicted / measured - 1|."""
    return statistics.median_low(abs(row["predicted"] / row["measured"] - 1) for row in rows)


def inside(rows):
    """The share of rows whose measurement lies between p10 and p90; None where no row has them."""
    judged = [row for row in rows if has_interval(row)]
    if not judged:
        return None
    return sum(row["p10"] <= row["measured"] <= row["p90"] for row in judged) / len(judged)


def distance(row):
    """The error in words, as a factor where % would be hard to read."""
    ratio = row["predicted"] / row["measured"]
    if ratio >= 2.5:
        return f"predicted {ratio:.3g} times the measured"
    if ratio <= 0.4:
        return f"measured {1 / ratio:.3g} times the prediction"
    return f"predicted {abs(ratio - 1):.1%} {'below' if ratio < 1 else 'above'} the measured"


def size_of(count):
    """64 MiB, of a number of bytes."""
    for name, size in (("GiB", 2 ** 30), ("MiB", 2 ** 20), ("KiB", 2 ** 10)):
        if count >= size:
            return f"{count / size:.3g} {name}"
    return f"{count:.0f} B"


def called(row):
    """A row in words: h100 all_reduce, 32 GPUs, 256 MiB (logs.csv:12)."""
    words = row["subject"]
    if row["gpu"] not in words:
        words = f"{row['gpu']} {words}"
    if row["precision"] not in words and not row["precision"].endswith(" bytes"):
        words += f" {row['precision']}"
    if row["gpus"] > 1:
        noun = "ranks" if row["part"].startswith("microkernels ") else "GPUs"
        words += f", {row['gpus']:,.0f} {noun}"
    if row["bytes"] > 0:
        words += f", {size_of(row['bytes'])}"
    line = f":{row['line']:.0f}" if row["line"] > 0 else ""  # a samples file has no lines
    return f"{words} ({os.path.basename(row['source'])}{line})"


def answer(rows, unscored, told=lambda row: row):
    """The line under the title; `told` turns the worst row into the figure's own terms."""
    worst = max(rows, key=lambda row: abs(math.log(row["measured"] / row["predicted"])))
    text = f"Median error {median_error(rows):.1%} over {len(rows):,} rows"
    share = inside(rows)
    if share is not None:
        text += f"; {share:.0%} lie in the 80% interval"
    text += f". Worst: {called(worst)}: {distance(told(worst))}."
    if unscored:
        text += f" {unscored:,} more rows are not scored."
    return text
