"""The plotting package: figures appear, twice the same, and every mistake is one line, exit 2."""

import os
import subprocess
import sys
import tempfile
import unittest
import zlib

try:
    import h5py
    import matplotlib  # noqa: F401
    import numpy
except ImportError as missing:
    print(f"skipped: {missing} (apt-get install python3-h5py python3-matplotlib)")
    sys.exit(77)

ROOT = os.environ.get("NVL72_SOURCE_DIR") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
PARTS = ("compute_s", "exposed_tp_s", "exposed_cp_s", "exposed_ep_s", "exposed_dp_s",
         "exposed_pp_s", "bubble_s", "idle_s")
NONE = float("nan")


def plots(*arguments, **environment):
    """Runs the package as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "nvl72plots", *arguments], capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": os.path.join(ROOT, "results", "plotting"),
                          "PYTHONDONTWRITEBYTECODE": "1", **environment})


def point(kind, system, gpu, gpus, rate, published=NONE):
    """A row of /sweep: of its step 80 % is compute, 20 % bubble."""
    step = 256 * 8192 / (rate * gpus)
    row = {"kind": kind, "system": system, "gpu": gpu, "gpus": gpus, "model": "llama $x_1$ <b>",
           "precision": "fp8", "sequence_length": 8192, "global_batch": 256, "step_s": step,
           "tokens_per_s_per_gpu": rate, "published_tokens_per_s_per_gpu": published,
           "published_step_s": NONE, "published_step_low_s": NONE, "published_step_high_s": NONE}
    row.update({part: 0.0 for part in PARTS})
    row.update(compute_s=0.8 * step, bubble_s=0.2 * step)
    return row


def op(stage, phase, micro_batch, start, end, kind="compute", dimension="none"):
    return {"point": 0, "class": stage, "kind": kind, "dimension": dimension, "phase": phase,
            "micro_batch": micro_batch, "chunk": 0, "start_ps": start, "end_ps": end}


SWEEP = [point("system", "hopper", "h100", 64, 400, 410), point("system", "rack", "gb200", 64, 900),
         *(point("sweep", "hopper", "h100", n, 400 - n / 8) for n in (32, 64, 128)),
         *(point("sweep", "rack", "gb200", n, 900 - n / 8) for n in (32, 64, 128)),
         point("measured", "rack", "gb200", 72, 880, 800)]
OPS = [op(stage, phase, batch, (8 * half + batch + stage) * 10 ** 12,
          (8 * half + batch + stage + 1) * 10 ** 12)
       for stage in range(2) for half, phase in enumerate(("forward", "backward"))
       for batch in range(4)] + [op(0, "backward", -1, 12 * 10 ** 12, 13 * 10 ** 12, "collective",
                                    "dp")]


def write(path, sweep=None, ops=None, attributes=()):
    """A result file by h5py, as FORMAT.md describes it."""
    strings = []

    def table(file, name, rows):
        group = file.create_group(name)
        for column in rows[0]:
            values = [row[column] for row in rows]
            if isinstance(values[0], str):
                for value in values:
                    if value not in strings:
                        strings.append(value)
                dataset = group.create_dataset(
                    column, data=numpy.array([strings.index(v) for v in values], dtype="i4"))
                dataset.attrs["dictionary"] = "/strings"
            else:
                dataset = group.create_dataset(column, data=numpy.array(values))
            dataset.attrs["unit"] = ""

    with h5py.File(path, "w", userblock_size=512) as file:
        file.attrs.update({"format": "nvl72sim-result", "version": 1, "digest": "0123456789abcdef",
                           "config": "name: <a & b>\n", **dict(attributes)})
        if sweep:
            table(file, "sweep", [{"point": i, **row} for i, row in enumerate(sweep)])
        if ops:
            table(file, "ops", ops)
        file["strings"] = numpy.array([text.encode() for text in strings] or [b""])
    with open(path, "r+b") as file:
        file.seek(512)
        rest = file.read()
        file.seek(0)
        line = f"nvl72sim result 1 crc32 {zlib.crc32(rest):08x} {len(rest)}\n"
        file.write(line.encode().ljust(512, b"\n"))


class Plots(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.file = self.path("run.h5")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def drawn(self, out="out", **tables):
        write(self.file, **tables)
        done = plots(self.file, "-o", self.path(out))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return sorted(os.listdir(self.path(out)))

    def refused(self, done, *parts):
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)

    def test_every_question_the_file_answers_gets_its_figure(self):
        names = ("breakdown", "published", "scaling", "timeline-0")
        self.assertEqual(self.drawn(sweep=SWEEP, ops=OPS), ["index.html"] + [
            f"run-{name}.{kind}" for name in names for kind in ("png", "svg")])
        for name in names:
            with open(self.path(f"out/run-{name}.png"), "rb") as file:
                data = file.read()
            self.assertTrue(data.startswith(b"\x89PNG"))
            self.assertGreater(len(data), 8000)

    def test_page_holds_everything_itself(self):
        self.drawn(sweep=SWEEP, ops=OPS)
        with open(self.path("out/index.html"), encoding="utf-8") as file:
            page = file.read()
        self.assertEqual(page.count('<img src="data:image/svg+xml;base64,'), 4)
        self.assertIn("name: &lt;a &amp; b&gt;", page)
        self.assertIn("0123456789abcdef", page)
        self.assertNotIn("http://", page)

    def test_same_file_gives_the_same_bytes(self):
        names = self.drawn(sweep=SWEEP, ops=OPS)
        self.assertEqual(plots(self.file, "-o", self.path("again")).returncode, 0)
        for name in names:
            with open(self.path("out/" + name), "rb") as one, \
                    open(self.path("again/" + name), "rb") as two:
                self.assertEqual(one.read(), two.read(), name)

    def test_a_file_of_one_system_draws_only_its_breakdown(self):
        self.assertEqual(self.drawn(sweep=[point("system", "rack", "gb200", 64, 900)]),
                         ["index.html", "run-breakdown.png", "run-breakdown.svg"])

    def test_damaged_and_foreign_files_are_one_line(self):
        self.refused(plots(self.path("no.h5"), "-o", self.path("out")), "no.h5: No such file")
        with open(self.file, "w", encoding="utf-8") as file:
            file.write("name: a config\n")
        self.refused(plots(self.file, "-o", self.path("out")), "run.h5", "not a result of nvl72sim")
        write(self.file, SWEEP)
        with open(self.file, "r+b") as file:
            file.truncate(3000)
        self.refused(plots(self.file, "-o", self.path("out")), "run.h5", "damaged", "run the exp")
        write(self.file, SWEEP)
        with open(self.file, "r+b") as file:
            file.seek(2000)
            flipped = bytes([file.read(1)[0] ^ 1])
            file.seek(2000)
            file.write(flipped)
        self.refused(plots(self.file, "-o", self.path("out")), "run.h5", "damaged", "run the exp")
        write(self.file, SWEEP, attributes={"format": "other"})
        self.refused(plots(self.file, "-o", self.path("out")), "not a result of nvl72sim")
        write(self.file, SWEEP, attributes={"version": 2})
        self.refused(plots(self.file, "-o", self.path("out")), "format version 2")
        self.assertFalse(os.path.exists(self.path("out")))

    def test_missing_column_is_named(self):
        short = [{key: value for key, value in row.items() if key != "step_s"} for row in SWEEP]
        write(self.file, short)
        self.refused(plots(self.file, "-o", self.path("out")), "/sweep lacks column step_s")

    def test_unusable_output_folder_is_one_line(self):
        write(self.file, SWEEP)
        self.refused(plots(self.file, "-o", self.file + "/out"), "cannot be written")

    def test_missing_packages_name_the_debian_packages(self):
        for module in ("h5py", "matplotlib"):
            os.makedirs(self.path("hidden"), exist_ok=True)
            with open(self.path(f"hidden/{module}.py"), "w", encoding="utf-8") as file:
                file.write("raise ImportError\n")
        hidden = os.pathsep.join((self.path("hidden"), os.path.join(ROOT, "results", "plotting")))
        write(self.file, SWEEP)
        self.refused(plots(self.file, "-o", self.path("out"), PYTHONPATH=hidden),
                     "apt-get install python3-h5py python3-matplotlib")


if __name__ == "__main__":
    unittest.main()
