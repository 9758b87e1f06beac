"""One look for every figure: colours, titles, saving."""

import io
import os
import textwrap

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)

# Dark, middle, light: told apart by colour-blind readers and in grey print.
FAMILIES = {
    "Ampere": ("#7a5195", "D"),
    "Hopper": ("#173f6e", "o"),
    "Blackwell": ("#d55e00", "s"),
    "Rubin": ("#4fbf9f", "^"),
}
# The first letters of a GPU's name say its family (gh200 is Hopper's GPU, gb200 Blackwell's).
PREFIXES = (("gb", "Blackwell"), ("gh", "Hopper"), ("vr", "Rubin"), ("rubin", "Rubin"),
            ("b", "Blackwell"), ("h", "Hopper"), ("a", "Ampere"), ("r", "Rubin"))
OTHER = ("#666666", "v")
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 1.5, 1, 1.5)))

# Parts of a step, in result.PARTS' order: label, colour, hatch, colour of text on it.
PARTS = (
    ("compute", "#44546a", "", "white"),
    ("exposed TP", "#cc79a7", "", "black"),
    ("exposed CP", "#56b4e9", "\\\\\\", "black"),
    ("exposed EP", "#009e73", "...", "black"),
    ("exposed DP", "#f0e442", "", "black"),
    ("exposed PP", "#a6611a", "xxx", "white"),
    ("bubble", "#c9c9c9", "///", "black"),
    ("idle", "#ffffff", "", "black"),
)

plt.rcParams.update({
    "font.family": "DejaVu Sans", "font.size": 10, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7, "axes.axisbelow": True, "hatch.linewidth": 0.5,
    "text.parse_math": False, "svg.hashsalt": "nvl72sim", "svg.fonttype": "path",
    "figure.dpi": 100, "savefig.dpi": 110,
})

# For curves of one GPU family: told apart by their dashes and these shares of white.
TONES = (0, 0.35, 0.6)

WIDTH = 9.0  # inches: 990 pixels, about what a README shows
KEY_MAX = 8  # handles in a line


def family(gpu):
    """(colour, marker) of a GPU's family."""
    for prefix, name in PREFIXES:
        if gpu.lower().startswith(prefix):
            return FAMILIES[name]
    return OTHER


def figure(height, columns=1, rows=1, **options):
    """A figure of README width with rows x columns panels; its axes as a list, row by row."""
    fig, axes = plt.subplots(rows, columns, figsize=(WIDTH, height), squeeze=False, **options)
    return fig, list(axes.flat)


def key_lines(fig, key, top):
    """Draws the handles in as few lines as the figure's width takes; how many those are."""
    for lines in range(-(-len(key) // KEY_MAX), len(key) + 1):
        legend = fig.legend(handles=key, loc="upper left", bbox_to_anchor=(0.005, top),
                            ncols=-(-len(key) // lines), frameon=False, fontsize=9,
                            handletextpad=0.4, columnspacing=1.4)
        box = legend.get_window_extent(fig.canvas.get_renderer())
        if box.x1 <= fig.bbox.x1 or lines == len(key):
            return lines
        legend.remove()
    return 0


def headline(fig, question, answer, bottom=0.0, key=()):
    """The question as title, the answer under it, then a line of handles, and the panels below."""
    inches = fig.get_figheight()
    text = textwrap.wrap(answer, 118, break_on_hyphens=False) or [""]
    fig.text(0.015, 1 - 0.10 / inches, question, fontsize=14, fontweight="bold", va="top")
    fig.text(0.015, 1 - 0.40 / inches, "\n".join(text), fontsize=10, color="#333333", va="top",
             linespacing=1.25)
    used = 0.48 + 0.19 * len(text)
    if key:
        used += 0.2 * key_lines(fig, key, 1 - (used - 0.06) / inches)
    fig.tight_layout(rect=(0, bottom / inches, 1, 1 - used / inches))


def plain_number(value, digits=3):
    """Three significant digits without an exponent: 0.0123, 37.8, 12,300."""
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    if "e" in text or abs(value) >= 1000:
        return f"{float(text):,.0f}" if abs(value) >= 1 else text
    return text


def models_of(rows):
    """The one model of these rows, or "" where there are several: then labels must name it."""
    models = {row["model"] for row in rows}
    return models.pop() if len(models) == 1 else ""


def label_of(row, model):
    """What a curve or bar is called: its system, and its model where that is not in the title."""
    return row["system"] if model else f"{row['system']}, {row['model']}"


def lighter(colour, share):
    """`colour` mixed with white; share 0 leaves it."""
    return tuple(c + (1 - c) * share for c in matplotlib.colors.to_rgb(colour))


def is_light(colour):
    """Whether black text reads better on `colour` than white."""
    red, green, blue = matplotlib.colors.to_rgb(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue > 0.5


def short_number(value, _position=None):
    """For axes: 250k, 1.5M."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def spread(wanted, gap):
    """Heights near `wanted`, at least `gap` apart, in the same order, none below 0: labels do
    not overlap each other or the axis."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = list(wanted)
    for _ in range(200):
        moved = False
        for low, high in zip(order, order[1:]):
            lack = gap - (placed[high] - placed[low])
            if lack > 1e-9:
                placed[low] -= lack / 2
                placed[high] += lack / 2
                moved = True
        if not moved:
            break
    lowest = min(placed, default=0)
    return [height - min(lowest, 0) for height in placed]  # never below the axis


def write_whole(path, data):
    """A file is whole or absent, as the simulator's are."""
    temporary = os.path.join(os.path.dirname(path), f".nvl72-{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise


def save(fig, folder, name):
    """NAME.png and NAME.svg; the same figure gives the same bytes. Returns both paths."""
    paths = []
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        buffer = io.BytesIO()
        fig.savefig(buffer, format=kind, metadata=metadata)
        paths.append(os.path.join(folder, f"{name}.{kind}"))
        write_whole(paths[-1], buffer.getvalue())
    plt.close(fig)
    return paths
