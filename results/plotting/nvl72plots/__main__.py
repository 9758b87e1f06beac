"""The command: result files and rows of validate in, figures and index.html out.

Exit codes: 0 ok, 2 bad input.
"""

import argparse
import importlib
import os
import sys

PACKAGES = (("numpy", "python3-numpy"), ("h5py", "python3-h5py"),
            ("matplotlib", "python3-matplotlib"))
# Modules; one more figure: one more.
FIGURES = ("answer", "scaling", "breakdown", "sensitivity", "timeline", "accuracy", "residuals",
           "training", "campaign", "pareto", "arrivals", "answers", "phases")


def refuse(message):
    """One line, exit 2."""
    print(f"nvl72plots: {message}", file=sys.stderr)
    sys.exit(2)


def expect_packages():
    missing = []
    for module, package in PACKAGES:
        try:
            importlib.import_module(module)
        except ImportError:
            missing.append(package)
    if missing:
        refuse(f"{sys.executable} lacks packages (apt-get install {' '.join(missing)}, then run "
               "with /usr/bin/python3)")


def arguments():
    parser = argparse.ArgumentParser(
        prog="nvl72plots", description="Figures (PNG and SVG) and one index.html from result "
        "files of nvl72sim, or from the rows of nvl72sim validate --format csv.",
        epilog="examples: python3 -m nvl72plots llama405b-hopper-vs-nvl72.h5 -o figures; "
        "python3 -m nvl72plots residuals ROWS.csv -o figures")
    parser.add_argument("files", nargs="+", metavar="FILE",
                        help="FILE.h5, or ROWS.csv; after the word residuals every file is rows")
    parser.add_argument("-o", "--output", required=True, metavar="DIR",
                        help="folder for the figures; made where it is missing")
    return parser.parse_args()


def read_all(files):
    """A result a file; one word, or .csv at its end, says that a file holds rows of validate."""
    from . import result, rows
    all_rows = files[0] == "residuals"
    if all_rows and len(files) == 1:
        raise result.BadFile("residuals: no file (expected residuals ROWS.csv -o DIR)")
    return [rows.read(path) if all_rows or path.endswith(".csv") else result.read(path)
            for path in files[all_rows:]]


def draw_all(result, folder):
    """Every figure the file has the data for: [(name, path of the SVG)]."""
    from . import style
    drawn = []
    for module in FIGURES:
        for name, fig in importlib.import_module(f".{module}", __package__).draw(result):
            png, svg = style.save(fig, folder, f"{result.stem}-{name}")
            print(png)
            print(svg)
            drawn.append((name, svg))
    return drawn


def main():
    asked = arguments()
    expect_packages()
    from . import page, result
    try:
        results = read_all(asked.files)
    except result.BadFile as why:
        refuse(why)
    stems = [one.stem for one in results]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        refuse(f"two files named {twice[0]} would share figures (rename one)")
    try:
        os.makedirs(asked.output, exist_ok=True)
        parts = [(one, draw_all(one, asked.output)) for one in results]
        print(page.write(parts, asked.output))
    except OSError as why:
        refuse(f"{asked.output}: cannot be written: {why.strerror or why}")
    empty = [one.path for one, drawn in parts if not drawn]
    if empty:
        print(f"nvl72plots: {empty[0]}: nothing to draw (no compared systems, no sweep over GPUs, "
              "no published figures, no ops)", file=sys.stderr)


if __name__ == "__main__":
    main()
