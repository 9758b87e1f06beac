"""Reads a result file (results/FORMAT.md) into plain columns."""

import os
import zlib

import h5py
import numpy

SEAL_SIZE = 512  # bytes before the HDF5 file proper: FORMAT.md, "How it is stored"

# In this order everywhere: stacked bars, tables, labels.
PARTS = ("compute_s", "exposed_tp_s", "exposed_cp_s", "exposed_ep_s", "exposed_dp_s",
         "exposed_pp_s", "bubble_s", "idle_s")

# What the figures read of each table; a file may hold more, or leave whole tables out.
NEEDED = {
    "workload": ("point", "kind", "system", "group", "gpu", "span_s", "published_s"),
    "phases": ("point", "phase", "kind", "busy_share", "miss_share"),
    "stages": ("point", "phase", "stage", "alone_s", "share"),
    "swept": ("point", "key", "text", "number"),
    "latencies": ("point", "share", "ttft_s", "latency_s"),
    "serving": ("point", "kind", "system", "group", "gpu", "gpus", "model", "clients",
                "rate", "samples", "tokens_per_s_per_gpu",
                "tokens_per_s_per_user", "tpot_low_s", "tpot_high_s", "best"),
    "sweep": ("point", "kind", "system", "gpu", "gpus", "model", "precision", "sequence_length",
              "global_batch", "step_s", "tokens_per_s_per_gpu",
              "published_tokens_per_s_per_gpu", "published_step_s", "published_step_low_s",
              "published_step_high_s") + PARTS,
    "classes": ("point", "class", "name"),
    "ops": ("point", "class", "kind", "dimension", "phase", "micro_batch", "chunk", "start_ps",
            "end_ps"),
    "sensitivity": ("point", "system", "what", "replayed", "simulated"),
    "answer": ("key", "text"),
    "figure": ("series", "kind", "x", "label", "y", "low", "high"),
    "campaign": ("point", "wall_s", "useful_s", "slowed_s", "lost_s", "checkpoint_s", "restart_s",
                 "waiting_s", "interruptions"),
    "summary": ("name", "value", "unit", "text"),
}


class BadFile(Exception):
    """A file that is not a whole result; the message is one line."""


class Table:
    """Columns of equal length: numpy arrays, text as str objects."""

    def __init__(self, columns, units):
        self.columns = columns
        self.units = units

    def __getitem__(self, name):
        return self.columns[name]

    def __len__(self):
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def where(self, mask):
        """The rows where `mask` holds."""
        return Table({name: values[mask] for name, values in self.columns.items()}, self.units)

    def rows(self):
        """One dict per row."""
        return [{name: values[i] for name, values in self.columns.items()}
                for i in range(len(self))]


class Result:
    """Root attributes and tables of one file; `stem` is its name without folder and .h5."""

    def __init__(self, path, attributes, tables):
        self.path = path
        self.stem = os.path.splitext(os.path.basename(path))[0]
        self.attributes = attributes
        self.tables = tables

    def table(self, name):
        """The table, or None where the file holds none."""
        return self.tables.get(name)


def text_of(value):
    """An attribute as h5py gives it (bytes, str, number, array) as text or list of text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, numpy.ndarray):
        return [text_of(item) for item in value.tolist()]
    return str(value)


def read_column(dataset, strings):
    if dataset.ndim != 1:
        raise BadFile(f"{dataset.name} is not one-dimensional")
    values = dataset[:]
    if "dictionary" not in dataset.attrs:
        return values
    if len(values) and (values.min() < 0 or values.max() >= len(strings)):
        raise BadFile(f"{dataset.name} numbers a text that /strings lacks")
    return strings[values]


def read_table(name, group, strings):
    columns = {key: read_column(dataset, strings) for key, dataset in group.items()}
    units = {key: text_of(dataset.attrs.get("unit", "")) for key, dataset in group.items()}
    for needed in NEEDED.get(name, ()):
        if needed not in columns:
            raise BadFile(f"/{name} lacks column {needed} (expected the layout of "
                          "results/FORMAT.md)")
    if len({len(values) for values in columns.values()}) > 1:
        raise BadFile(f"columns of /{name} differ in length")
    return Table(columns, units)


def kind_of_sweep(group):
    """/sweep holds training steps, served requests or phases: its columns say which."""
    if "step_s" in group or "phases" not in group and "ttft_s" not in group:
        return "sweep"
    return "serving" if "ttft_s" in group else "workload"


def read_open(path, file):
    attributes = {key: text_of(value) for key, value in file.attrs.items()}
    if attributes.get("format") != "nvl72sim-result":
        raise BadFile("not a result of nvl72sim (expected the attribute "
                      "format = nvl72sim-result)")
    if attributes.get("version") != "1":
        raise BadFile(f"format version {attributes.get('version')} (these figures read version 1)")
    strings = numpy.array([], dtype=object)
    if "strings" in file:
        strings = numpy.array([text_of(item) for item in file["strings"][:]], dtype=object)
    tables = {name: read_table(name, group, strings) for name, group in file.items()
              if isinstance(group, h5py.Group) and name != "sweep"}
    if "sweep" in file:
        kind = kind_of_sweep(file["sweep"])
        tables[kind] = read_table(kind, file["sweep"], strings)
    return Result(path, attributes, tables)


def check_seal(path):
    """Compares the checksum at the file's front: libhdf5 can crash on a damaged file."""
    with open(path, "rb") as file:
        front, rest = file.read(SEAL_SIZE), file.read()
    if not front.startswith(b"nvl72sim result 1 "):
        raise BadFile("not a result of nvl72sim, or damaged (expected 'nvl72sim result 1 ...' at its "
                      "front; run the experiment again)")
    line = f"nvl72sim result 1 crc32 {zlib.crc32(rest):08x} {len(rest)}\n"
    if front != line.encode().ljust(SEAL_SIZE, b"\n"):
        raise BadFile("damaged or truncated: its bytes do not match the checksum at its front "
                      "(run the experiment again: nvl72sim run CONFIG -o FILE.h5)")


def read(path):
    """The result at `path`; BadFile says in one line why not."""
    try:
        check_seal(path)
        with h5py.File(path, "r") as file:
            return read_open(path, file)
    except BadFile as why:
        raise BadFile(f"{path}: {why}") from None
    except OSError as why:
        # The system's own words where it has some; h5py's are about its library's insides.
        said = None if str(why).startswith("Unable") else why.strerror
        raise BadFile(f"{path}: {said or 'damaged, or not an HDF5 file'} "
                      "(expected a result file of nvl72sim)") from None
    except (KeyError, RuntimeError, ValueError, TypeError) as why:
        line = " ".join(str(why).split())
        raise BadFile(f"{path}: damaged: {line} (expected a result file of nvl72sim)") from None
