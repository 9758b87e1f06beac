"""validate as a user runs it: csv on stdout, the summary on stderr and as JSON, a log of their own,
mistakes in one line, and predictions that names and measured cells do not move."""

import csv
import gzip
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
        self.assertEqual(summary["by_part"][-1]["scored"], 3)
        self.assertEqual(sum(row["scored"] for row in summary["by_source"]), 3)
        self.assertEqual({row["group"] for row in summary["by_size"]},
                         {"in box or tray 512 B-512 MiB"})
        self.assertEqual(summary["fitted"][-1]["file"], "all")
        self.assertGreater(summary["fitted"][-1]["fitted"], summary["fitted"][-1]["not_determined"])

    def test_each_group_is_printed_once(self):
        self.write("t.csv", TABLE)
        lines = self.start("--measurements", "t.csv").stdout.splitlines()
        self.assertEqual(len([line for line in lines if line.split()[:2] == ["collectives", "all"]]), 1)

    def test_a_log_of_ones_own_is_predicted_line_by_line(self):
        self.write("mine.log", LOG)
        rows = self.rows("--measurements", "mine.log", "--op", "all_reduce")
        self.assertEqual([row["line"] for row in rows], ["7", "8"])
        self.assertEqual({row["gpu"] for row in rows}, {"h100"})
        self.assertEqual({row["precision"] for row in rows}, {"float"})
        for row in rows:
            self.assertLess(float(row["p10"]), float(row["predicted"]))

    def test_names_and_measured_cells_move_no_prediction(self):
        self.write("t.csv", TABLE)
        self.write("renamed.csv", TABLE.replace(",40\n", ",41\n").replace(",2100\n", ",9\n"))
        one = self.rows("--measurements", "t.csv")
        other = self.rows("--measurements", "renamed.csv")
        for column in ("predicted", "p10", "p90", "basis", "part"):
            self.assertEqual([row[column] for row in one], [row[column] for row in other])

    def test_all_that_a_log_does_not_tell_is_asked_for_at_once(self):
        self.write("bare.log", "".join(LOG.splitlines(True)[4:]).replace("150.27  150.27", "150.27  281.75"))
        words = ["--measurements", "bare.log"]
        domain = "--nodes or --nvlink-domain, --cluster, or INDEX.csv)"
        for option, missing in ((["--op", "all_reduce"], f"(expected --op, --gpu, --ranks, {domain}"),
                                (["--gpu", "h100"], f"(expected --gpu, --ranks, {domain}"),
                                (["--ranks", "16"], f"(expected --ranks, {domain}"),
                                (["--nodes", "2"], f"(expected {domain}")):
            result = self.start(*words, "--quiet", "--format", "csv")
            self.assertEqual(result.returncode, 2, words)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            self.assertIn("none of 2 rows could be scored (2 skipped: ", result.stderr)
            self.assertIn(missing, result.stderr)
            self.assertEqual(len(result.stdout.splitlines()), 3)  # the rows stand there all the same
            words += option
        assumed = self.rows(*words)  # of the NICs the fabric's usual rate is taken, and said
        self.assertEqual({row["status"] for row in assumed}, {"defaulted"})
        self.assertIn("taken: ", assumed[0]["reason"])
        told = self.rows(*words, "--nics-per-node", "8", "--nic-gbps", "400", "--fabric", "infiniband")
        cluster = self.rows("--measurements", "bare.log", "--op", "all_reduce", "--ranks", "16",
                            "--cluster", "hgx-h100-superpod")
        self.assertEqual([row["predicted"] for row in told], [row["predicted"] for row in cluster])
        self.assertEqual({row["domains"] for row in cluster}, {"2"})
        self.assertEqual({row["fabric"] for row in cluster}, {"infiniband"})

    def test_a_folder_of_logs_needs_no_index(self):
        os.mkdir(os.path.join(self.folder, "logs"))
        self.write("logs/mine.log", LOG)
        self.write("logs/README.md", LOG)  # quotes it
        self.assertEqual(len(self.rows("--measurements", "logs", "--op", "all_reduce")), 2)

    def test_options_that_contradict_a_log_are_refused(self):
        self.write("mine.log", LOG)
        for words, said in (
                (["--ranks", "4"], "mine.log: --ranks 4 (expected 2, as told here)"),
                (["--nodes", "2"], "mine.log: --nodes 2 (expected 1, as told here)"),
                (["--gpu", "h200"], "mine.log: --gpu h200 (expected h100, as the log tells)"),
                (["--cluster", "gb200-nvl72"], "mine.log: GPUs h100 on --cluster gb200-nvl72"),
                (["--cluster", "localhost"], "--cluster: localhost has no NVLink"),
                (["--ranks", "1"], "--ranks: 1 (expected 2 to"),
                (["--nic-gbps", "nan"], "--nic-gbps: nan (expected a number above 0)"),
                (["--launch", "quick"], "--launch: 'quick' (expected unknown | eager")):
            result = self.start("--measurements", "mine.log", "--op", "all_reduce", *words)
            self.assertEqual((result.returncode, result.stdout), (2, ""), words)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            self.assertIn(said, result.stderr)

    def test_a_calibration_without_a_row_says_why(self):
        self.write("bare.log", "".join(LOG.splitlines(True)[4:]))
        for words, said in (([], "bare.log: 2 rows left aside: not told: the operation, the GPU, the number of "
                              "ranks, the GPUs of an NVLink domain (expected --op, --gpu, --ranks, "),
                            (["--op", "all_reduce", "--ranks", "16", "--cluster", "hgx-h100"],
                             "bare.log: 16 ranks on --cluster hgx-h100 (expected at most 8, as it has GPUs, or hgx-h100-superpod)"),
                            (["--op", "all_reduce", "--ranks", "16", "--cluster", "hgx-h100-superpod"],
                             "bare.log: 4 collective rows for 5 constants (expected at least 15)")):
            result = subprocess.run([PROGRAM, "calibrate", "--from", "bare.log", "-o", "x.yaml",
                                     "--quiet", *words], cwd=self.folder, capture_output=True,
                                    text=True, timeout=300, check=False)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            self.assertIn(said, result.stderr)
            self.assertFalse(os.path.exists(os.path.join(self.folder, "x.yaml")))

    def test_files_of_another_kind_are_one_line(self):
        table = "gpu,collective,type,gpus,bytes,time_us\n"
        row = table + "h100,all_reduce,float,8,1048576,40\n"
        files = (
            ("empty.log", "", "empty.log: empty (expected"),
            ("mine.log.gz", gzip.compress(LOG.encode()), "compressed by gzip (expected the file unpacked"),
            ("logs.zip", b"PK\3\4rest", "a zip file"),
            ("wide.log", LOG.encode("utf-16"), "text in UTF-16 (expected UTF-8: iconv"),
            ("program", b"\x7fELF\0\0\1", "a binary file"),
            ("page.html", "<html>404</html>", "page.html:1: no measurements that we read"),
            ("semicolon.csv", row.replace(",", ";"), "columns parted by commas"),
            ("column.csv", "gpu,collective,gpus,time_us\nh100,all_reduce,8,4\n",
             "of collectives the columns gpu, collective, gpus, type, bytes, time_us"),
            ("index.csv", "file,gpu,ngpus\na.log,h100,8\n", "of an INDEX.csv the columns"),
            ("short.csv", table + "h100,all_reduce\n", "short.csv:2: 2 fields (expected 6"),
            ("percent.csv", row.replace(",40", ",40%"), "percent.csv:2: time_us: '40%'"),
            ("negative.csv", row.replace("1048576", "-1048576"), "bytes: '-1048576'"),
            ("tiny.csv", row.replace(",40", ",1e-300"), "(expected a number from 1e-6 to 1e15)"),
            ("unit.csv", row.replace("1048576", "1M"), "bytes: '1M' (expected a whole number"),
            ("vast.csv", row.replace("1048576", "9" * 18), "bytes: 999999999999999999 (expected at most"),
            ("ranks.csv", row.replace(",8,", ",99999999,"), "gpus: 99999999 (expected at most"),
            ("op.csv", row.replace("all_reduce", "allreduce"), "collective: 'allreduce' (expected"),
            ("type.csv", row.replace("float", "real"), "type: 'real' (expected"),
            ("gpu.csv", row.replace("h100", "v100"), "no calibration of v100"),
            ("header.log", "".join(LOG.splitlines(True)[:6]), "without a row of measurements"),
            ("amd.log", LOG.replace("NVIDIA H100 80GB HBM3", "AMD Instinct MI300X"),
             "GPU 'amd instinct mi300x' is not among configs/gpus"),
        )
        for name, text, said in files:
            with open(os.path.join(self.folder, name), "wb") as file:
                file.write(text if isinstance(text, bytes) else text.encode())
            result = self.start("--measurements", name, "--op", "all_reduce", "--quiet", "--format", "csv")
            self.assertEqual(result.returncode, 2, name)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            self.assertIn(said, result.stderr)

    def test_a_bad_line_is_one_skipped_row(self):
        lines = TABLE.splitlines()
        self.write("bad.csv", "\ufeff" + "\r\n".join(
            [lines[0] + ",extra", lines[1] + ",x", "h100,all_reduce,float,8", lines[2] + ",y,z",
             "h100,all_reduce,float,eight,8,1,x", "h100,all_reduce,tf19,8,1024,1,x", "",
             ",,,,,,", lines[3] + ",x", "gb200,all_ga"]))
        rows = self.rows("--measurements", "bad.csv")
        self.assertEqual([row["status"] for row in rows],
                         ["ok", "skipped", "skipped", "skipped", "skipped", "ok", "skipped"])
        self.assertEqual([int(row["line"]) for row in rows], [2, 3, 4, 5, 6, 9, 10])
        for row in rows:
            if row["status"] == "skipped":
                self.assertIn(f"bad.csv:{row['line']}", row["reason"])

    def test_windows_line_ends_are_read(self):
        self.write("unix.log", LOG)
        with open(os.path.join(self.folder, "windows.log"), "wb") as file:
            file.write(LOG.replace("\n", "\r\n").encode())
        one, other = (self.rows("--measurements", name, "--op", "all_reduce")
                      for name in ("unix.log", "windows.log"))
        self.assertEqual([row["predicted"] for row in one], [row["predicted"] for row in other])

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
