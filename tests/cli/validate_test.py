"""validate as a user runs it: csv on stdout, the summary on stderr and as JSON, a log of their own,
mistakes in one line, and predictions that names and measured cells do not move."""

import csv
import io
import json
import os
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["NVL72SIM"]
TABLE = """gpu,collective,type,gpus,bytes,time_us
h100,all_reduce,float,8,1048576,40
h100,all_reduce,float,8,536870912,2100
gb200,all_gather,half,4,1048576,30
"""
LOG = """# nThread 1 nGpus 8 minBytes 33554432 maxBytes 67108864 step: 2(factor) warmup iters: 5 iters: 20
# Using devices
#  Rank  0 Group  0 Pid   1 on node device  0 [0x1b] NVIDIA H100 80GB HBM3
#  Rank  1 Group  0 Pid   1 on node device  1 [0x2b] NVIDIA H100 80GB HBM3
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
    33554432       8388608     float     sum      -1    223.3  150.27  150.27      0    223.0  150.47  150.47      0
    67108864      16777216     float     sum      -1    378.1  177.49  177.49      0    378.2  177.44  177.44      0
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 163.9
"""


class Validate(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return name

    def start(self, *words):
        return subprocess.run([PROGRAM, "validate", *words], cwd=self.folder, capture_output=True,
                              text=True, timeout=300, check=False)

    def rows(self, *words):
        result = self.start(*words, "--format", "csv")
        self.assertEqual(result.returncode, 0, result.stderr)
        return list(csv.DictReader(io.StringIO(result.stdout)))

    def test_csv_holds_each_row_and_stderr_the_summary(self):
        self.write("t.csv", TABLE)
        result = self.start("--measurements", "t.csv", "--format", "csv", "--summary", "s.json")
        self.assertEqual(len(result.stdout.splitlines()), 4)
        self.assertIn("in 80 % interval", result.stderr)
        with open(os.path.join(self.folder, "s.json"), encoding="utf-8") as file:
            summary = json.load(file)
        self.assertEqual(summary["by_source"][-1]["scored"], 3)

    def test_a_log_of_ones_own_is_predicted_line_by_line(self):
        self.write("mine.log", LOG)
        rows = self.rows("--measurements", "mine.log", "--op", "all_reduce")
        self.assertEqual([row["line"] for row in rows], ["7", "8"])
        self.assertEqual({row["gpu"] for row in rows}, {"h100"})
        for row in rows:
            self.assertLess(float(row["p10"]), float(row["predicted"]))

    def test_names_and_measured_cells_move_no_prediction(self):
        self.write("t.csv", TABLE)
        self.write("renamed.csv", TABLE.replace(",40\n", ",41\n").replace(",2100\n", ",9\n"))
        one = self.rows("--measurements", "t.csv")
        other = self.rows("--measurements", "renamed.csv")
        for column in ("predicted", "p10", "p90", "basis", "part"):
            self.assertEqual([row[column] for row in one], [row[column] for row in other])

    def test_mistakes_are_one_line(self):
        self.write("empty.csv", "gpu,collective,type,gpus,bytes,time_us\n")
        self.write("cities.csv", "city,people\nBern,1\n")
        for words, said in (
                (["--measurements", "nowhere.csv"], "nowhere.csv"),
                (["--measurements", "cities.csv"], "no measurements that we read"),
                (["--measurements", "empty.csv"], "no rows"),
                (["--table", "kernel"], "did you mean kernels?"),
                (["more"], "expected only options")):
            result = self.start(*words)
            self.assertEqual(result.returncode, 2, words)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            self.assertIn(said, result.stderr)
            self.assertEqual(result.stdout, "")


if __name__ == "__main__":
    unittest.main()
