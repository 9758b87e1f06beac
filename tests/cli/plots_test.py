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


HEADER = ("table,source,line,metric,unit,gpu,gpus,subject,precision,bytes,measured,predicted,p10,"
          "p90,error,basis,basis_share,in_fit,status,reason,bound_by,profile,recipe,part")


def measured(table, value, predicted=10.0, gpu="h100", part="gemm bf16", **other):
    """A line of `validate --format csv`; its interval is 10 % either side of the prediction."""
    row = dict.fromkeys(HEADER.split(","), "")
    row.update(table=table, source="a/b.csv", line=7, metric="time_us", unit="us", gpu=gpu, gpus=1,
               subject=part.partition(" ")[0], precision="bf16", measured=value,
               predicted=predicted, p10=0.9 * predicted, p90=1.1 * predicted, in_fit=1,
               status="ok", part=part)
    row.update(other)
    return row


# Kernels: errors 10/11 - 1 = -9.1 %, 10/10.5 - 1 = -4.8 %, 0, 10/30 - 1 = -66.7 %; of four absolute
# values 4.8 % is the lower median; 30 lies outside its interval of 9 to 11, 3 of 4 inside.
KERNELS = [measured("kernels", 11.0), measured("kernels", 10.5, gpu="gb200"),
           measured("kernels", 10.0, gpu="b200"),
           measured("kernels", 30.0, line=9, gpu="gb200", precision="fp8", part="attention fp8")]
COLLECTIVES = [measured("collectives", 10 + size / 20, 10, gpu, "collectives ring-ll", gpus=8,
                        subject="all_reduce", precision="2 bytes", bytes=2 ** (10 + size),
                        in_fit=int(size < 5)) for gpu in ("h100", "gb200") for size in range(10)]
RUNS = [measured("training", 90.0, 100.0, "gb200", "training dense", in_fit=0, gpus=64,
                 subject="gb200 <405b>", metric="tokens_per_s_per_gpu", source="held-out.yaml"),
        measured("training", 5.0, 4.0, "h100", "training dense", metric="step_s", gpus=512)]
SKIPPED = measured("kernels", 12.0, predicted=1.0, p10="", p90="", status="skipped")


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

    def rows(self, rows, name="rows.csv", header=HEADER):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(header + "\n" + "".join(
                ",".join(str(row[column]) for column in HEADER.split(",")) + "\n"
                for row in rows))
        return path

    def answer(self, name, rows):
        """The package's own words, where a PNG holds only pixels."""
        code = (f"from nvl72plots import rows, {name}; found = rows.read({self.rows(rows)!r}); "
                f"drawn = {name}.draw(found); "
                "[print(text.get_text()) for _, fig in drawn for text in fig.texts]; "
                "[print(text.get_text()) for _, fig in drawn for text in fig.legends[0].texts]; "
                "[print(a.get_title('left')) for _, fig in drawn for a in fig.axes]")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                              check=False, cwd=os.path.join(ROOT, "results", "plotting"),
                              env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return " ".join(done.stdout.split())

    def test_rows_of_validate_get_one_figure_a_table(self):
        path = self.rows(KERNELS + COLLECTIVES + RUNS + [SKIPPED])
        for out, words in (("one", ("residuals", path)), ("two", (path,))):
            done = plots(*words, "-o", self.path(out))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(sorted(os.listdir(self.path(out))), ["index.html"] + [
                f"rows-{name}.{kind}" for name in ("collectives", "kernels", "training")
                for kind in ("png", "svg")])
        for name in os.listdir(self.path("one")):
            with open(self.path("one/" + name), "rb") as one, \
                    open(self.path("two/" + name), "rb") as two:
                self.assertEqual(one.read(), two.read(), name)
        with open(self.path("one/index.html"), encoding="utf-8") as file:
            page = file.read()
        self.assertEqual(page.count('<img src="data:image/svg+xml;base64,'), 3)
        self.assertNotIn("The config", page)

    def test_subtitle_answers_with_median_share_and_worst_row(self):
        said = self.answer("residuals", KERNELS + [SKIPPED])
        self.assertIn("How far are measured kernels from the fit?", said)
        self.assertIn("Median error 4.8% over 4 rows; 75% lie in the 80% interval.", said)
        self.assertIn("Worst: gb200 attention fp8 (b.csv:9): measured 3 times the prediction.",
                      said)
        self.assertIn("1 more rows are not scored.", said)
        self.assertIn("3 rows, median 4.8%, 100% in", said)
        self.assertIn("1 row, median 66.7%, 0% in", said)
        self.assertIn("filled: given to the fit", said)
        self.assertNotIn("hollow", said)
        self.assertIn("hollow: not given", self.answer("residuals", COLLECTIVES))

    def test_a_longer_step_is_a_lower_throughput(self):
        # The predicted rate is 5 / 4 - 1 = +25 % off, beyond 100 / 90 - 1 = +11 %.
        said = self.answer("training", RUNS)
        self.assertIn("h100 training bf16, 512 GPUs (b.csv:7): predicted 25.0% above", said)

    def test_at_most_twelve_panels_and_the_rest_is_named(self):
        parts = [measured("kernels", 10.2, part=f"gemm p{i:02}") for i in range(14)]
        said = self.answer("residuals", parts + parts[2:])
        self.assertEqual(said.count(", median 2.0%"), 12)
        self.assertIn("Not drawn: gemm p00, gemm p01.", said)

    def test_collectives_without_bytes_are_drawn_against_time(self):
        moe = [measured("collectives", 10.2, part="moe dispatch"), *COLLECTIVES]
        self.assertEqual(plots(self.rows(moe), "-o", self.path("out")).returncode, 0)
        self.assertIn("rows-moe.png", os.listdir(self.path("out")))
        self.assertIn("rows-collectives.png", os.listdir(self.path("out")))

    def test_rows_that_are_no_rows_of_validate_are_one_line(self):
        def refused(path, *parts):
            self.refused(plots("residuals", path, "-o", self.path("out")), path, *parts)

        refused(self.path("no.csv"), "No such file", "nvl72sim validate --format csv")
        refused(self.rows([], header=""), "1: no column table")
        refused(self.rows([]), "no row under its header", "nvl72sim validate --format csv")
        refused(self.rows([], header="gpu,m,n,k"), "1: no column table")
        refused(self.rows([SKIPPED]), "none of its 1 rows is scored")
        refused(self.rows([{**KERNELS[0], "p10": "ten"}]), ":2: p10: 'ten' (expected a number")
        refused(self.rows([{**KERNELS[0], "measured": "nan"}]), ":2: measured: 'nan'")
        refused(self.rows([{**KERNELS[0], "table": "../x"}]), ":2: table: '../x'")
        refused(self.rows([{**KERNELS[0], "part": "gemm, bf16"}]), ":2: not 24 cells")
        with open(self.file, "wb") as file:
            file.write(b"\x89HDF\r\n\x1a\n\x00\xff")
        refused(self.file, "not a CSV")
        with open(self.path("empty.csv"), "w", encoding="utf-8"):
            pass
        refused(self.path("empty.csv"), "empty", "nvl72sim validate --format csv")
        self.refused(plots("residuals", "-o", self.path("out")), "residuals: no file")
        self.assertFalse(os.path.exists(self.path("out")))

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
