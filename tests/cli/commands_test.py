"""Every command as a user starts it: help and its example, what goes to stdout and to stderr, the
columns of csv and json, interrupts, kills, other working directories, and the same bytes twice."""

import csv
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = os.environ["NVL72SIM"]
SOURCE = os.environ["NVL72_SOURCE_DIR"]
EXAMPLE = "llama405b-hopper-vs-nvl72"
COMMANDS = ["run", "show", "compare", "collective", "topo", "calibrate", "validate",
            "report", "list", "import", "plan"]
SWEEP_START = ["point", "kind", "system", "cluster", "gpu"]

COLUMNS = {
    "show": ["key", "value", "source", "from"],
    "collective": ["size_bytes", "count", "type", "redop", "root", "time_us", "algbw_GBps",
                   "busbw_GBps", "algorithm", "basis", "p10_us", "p90_us", "bound_by"],
    "topo": ["fact", "value", "unit", "how", "title"],
    "list": ["name", "title", "gpu", "gpus_max", "nvlink_domain", "nvlink", "nic", "network",
             "source"],
}
TABLES = {
    "run": ["run", EXAMPLE, "-o", "run.h5"],
    "show": ["show", EXAMPLE],
    "collective": ["collective", "--cluster", "gb200-nvl72", "--op", "all_reduce"],
    "topo": ["topo", "gb200-nvl72"],
    "list": ["list", "clusters"],
    "compare": ["compare", "example.h5"],
}
# Long enough to be interrupted, small enough for memory.
LONG = ["run", EXAMPLE, "global_batch=24576", "-o", "long.h5", "--quiet"]


class Commands(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def start(self, *words, folder=None, **environment):
        return subprocess.run([PROGRAM, *words], cwd=folder or self.folder, capture_output=True,
                              text=True, timeout=300, check=False,
                              env={**os.environ, **environment})

    def good(self, *words, **more):
        result = self.start(*words, **more)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def test_version_is_one_line(self):
        self.assertRegex(self.good("--version").stdout, r"\Anvl72sim \d+\.\d+\.\d+\n\Z")

    def test_help_names_every_command(self):
        text = self.good("--help").stdout
        for command in COMMANDS:
            self.assertRegex(text, r"(?m)^  %s +\S" % command)

    def test_every_example_runs(self):
        for name in ["configs", "results", "tests"]:
            os.symlink(os.path.join(SOURCE, name), os.path.join(self.folder, name))
        self.good("run", EXAMPLE, "--quiet")
        for command in COMMANDS:
            text = self.good(command, "--help").stdout
            example = re.search(r"example:\n  nvl72sim (.*)\n", text)
            self.assertIsNotNone(example, text)
            if command == "report" and not self.can_plot():
                continue
            result = subprocess.run("%s %s" % (PROGRAM, example.group(1)), shell=True,
                                    cwd=self.folder, capture_output=True, text=True, timeout=300,
                                    check=False)
            self.assertEqual(result.returncode, 0, command + ": " + result.stderr)

    @staticmethod
    def can_plot():
        return subprocess.run(["/usr/bin/python3", "-c", "import h5py, matplotlib"],
                              capture_output=True, check=False).returncode == 0

    def test_csv_and_json_hold_the_same_table_and_nothing_else(self):
        self.good("run", EXAMPLE, "-o", "example.h5", "--quiet")
        for name, words in TABLES.items():
            with self.subTest(name):
                rows = list(csv.reader(io.StringIO(self.good(*words, "--format", "csv").stdout)))
                objects = json.loads(self.good(*words, "--format", "json").stdout)
                self.assertEqual({len(row) for row in rows}, {len(rows[0])})
                self.assertEqual(len(objects), len(rows) - 1)
                self.assertEqual(list(objects[0]), rows[0])
                if name in COLUMNS:
                    self.assertEqual(rows[0], COLUMNS[name])
                if name == "run":
                    self.assertEqual(rows[0][:5], SWEEP_START)
                    for column in ["step_s", "tokens_per_s_per_gpu", "mfu", "gpus", "basis"]:
                        self.assertIn(column, rows[0])

    def test_a_system_that_does_not_fit_leaves_the_others(self):
        config = os.path.join(SOURCE, "configs/experiments/llama405b-hopper-vs-nvl72.yaml")
        too_large = ["systems.0.layout.tp=4", "systems.0.layout.pp=4"]
        done = self.good("run", config, *too_large, "--trace", "none")
        lines = [line for line in done.stdout.splitlines() if "does not fit: " in line]
        self.assertEqual(len(lines), 1)
        self.assertIn("hgx-h100-superpod", lines[0])
        self.assertIn("needs 159.3 GiB per GPU", lines[0])
        rows = self.good("run", config, *too_large, "--trace", "none", "--format", "csv")
        self.assertEqual(len(rows.stdout.splitlines()), 2)  # a header, and the system that fits
        self.assertIn("hgx-h100-superpod does not fit: ", rows.stderr)

    def test_quiet_says_nothing_on_stderr(self):
        self.assertEqual(self.good("run", EXAMPLE, "--quiet", "-o", "x.h5").stderr, "")
        self.assertIn("wrote x.h5", self.good("run", EXAMPLE, "-o", "x.h5").stderr)

    def test_output_goes_where_it_was_told_and_nowhere_else(self):
        os.mkdir(self.folder + "/out")
        self.good("run", EXAMPLE, "-o", "out/mine.h5", "--quiet")
        self.assertEqual(os.listdir(self.folder), ["out"])
        self.assertEqual(os.listdir(self.folder + "/out"), ["mine.h5"])

    def bytes_of(self, *words):
        result = self.good("run", EXAMPLE, "--quiet", "-o", "same.h5", *words)
        with open(self.folder + "/same.h5", "rb") as file:
            return result.stdout, file.read()

    def test_two_runs_and_two_threads_give_the_same_bytes(self):
        once = self.bytes_of()
        self.assertEqual(once, self.bytes_of())
        self.assertEqual(once, self.bytes_of("--threads", "2"))

    def test_a_relative_config_is_found_from_where_the_program_runs(self):
        os.makedirs(self.folder + "/a/b")
        shutil.copy("%s/configs/experiments/%s.yaml" % (SOURCE, EXAMPLE), self.folder + "/a/e.yaml")
        self.good("show", "../e.yaml", folder=self.folder + "/a/b")

    def test_the_configs_folder_can_be_chosen(self):
        os.makedirs(self.folder + "/mine/models")
        shutil.copy(SOURCE + "/configs/models/phi-4.json", self.folder + "/mine/models/only.json")
        text = self.good("list", "models", "--format", "csv", NVL72SIM_CONFIGS="mine").stdout
        self.assertEqual([row[0] for row in csv.reader(io.StringIO(text))], ["name", "only"])
        wrong = self.start("list", "models", NVL72SIM_CONFIGS="nowhere")
        self.assertEqual((wrong.returncode, wrong.stderr),
                         (2, "nvl72sim: NVL72SIM_CONFIGS: nowhere is no folder\n"))

    def end_early(self, how, *words):
        with subprocess.Popen([PROGRAM, *LONG, *words], cwd=self.folder, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as process:
            time.sleep(1)
            self.assertIsNone(process.poll(), "the run is too short to be interrupted")
            process.send_signal(how)
            out, error = process.communicate(timeout=120)
        return process.returncode, out, error

    def test_an_interrupt_leaves_nothing_behind(self):
        for words in [[], ["--threads", "2"]]:
            code, out, error = self.end_early(signal.SIGINT, *words)
            self.assertEqual((code, out), (130, ""))
            self.assertEqual(error, "nvl72sim: interrupted; nothing was written\n")
            self.assertEqual(os.listdir(self.folder), [])

    def test_a_kill_leaves_the_old_file(self):
        self.good("run", EXAMPLE, "-o", "long.h5", "--quiet")
        with open(self.folder + "/long.h5", "rb") as file:
            old = file.read()
        self.end_early(signal.SIGKILL)
        with open(self.folder + "/long.h5", "rb") as file:
            self.assertEqual(file.read(), old)
        self.assertEqual(os.listdir(self.folder), ["long.h5"])

    def rows(self, *words):
        return list(csv.DictReader(io.StringIO(self.good(*words, "--quiet", "--format", "csv").stdout)))

    def test_an_answer_that_is_lost_is_an_error(self):
        for words in [["list", "gpus"], ["list", "clusters"], ["topo", "gb200-nvl72"],
                      ["show", EXAMPLE], ["--help"], ["validate", "--help"], ["--version"],
                      ["validate", "--table", "training", "--quiet"]]:
            with open("/dev/full", "w", encoding="utf-8") as full:
                result = subprocess.run([PROGRAM, *words], cwd=self.folder, stdout=full, check=False,
                                        stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(result.returncode, 2, words)
            self.assertEqual(result.stderr.splitlines()[-1], "nvl72sim: stdout: the answer could "
                             "not be written (disk full or closed?)", words)

    def test_a_topology_goes_to_nccl_and_back(self):
        xml = self.good("topo", "gb200-nvl72", "--format", "nccl-xml").stdout
        with open(self.folder + "/tray.xml", "w", encoding="utf-8") as file:
            file.write(xml)
        self.assertEqual(self.good("topo", "tray.xml", "--format", "nccl-xml").stdout, xml)
        self.assertIn("agrees with gb200-nvl72", self.good("topo", "tray.xml").stdout)
        rows = {row["fact"]: row for row in self.rows("topo", "tray.xml", "--cluster", "hgx-h100")}
        self.assertEqual(rows["gpus"]["value"], "4")
        self.assertEqual(rows["gpus"]["agrees"], "no")
        self.assertEqual(rows["cpus"]["agrees"], "yes")

    def test_a_file_size_limit_leaves_nothing_behind(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        result = subprocess.run([PROGRAM, "run", EXAMPLE, "-o", "big.h5", "--quiet"], check=False,
                                cwd=self.folder, preexec_fn=limit, capture_output=True, text=True,
                                timeout=60)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("big.h5: cannot be written", result.stderr)
        self.assertEqual(os.listdir(self.folder), [])

    def test_an_override_that_no_system_takes_is_an_error(self):
        result = self.start("run", EXAMPLE, "layout.tp=8")
        self.assertEqual(result.returncode, 2)
        self.assertIn("layout.tp: every system has a layout of its own", result.stderr)

    def test_a_published_figure_leaves_with_the_run_it_was_of(self):
        run = ["run", EXAMPLE, "-o", "x.h5", "--trace", "none"]
        kept = self.rows(*run)
        changed = self.rows(*run, "systems.1.cluster.gpus=512")
        published = lambda rows: [row["published_tokens_per_s_per_gpu"] for row in rows]
        self.assertEqual(published(kept), ["326", "843"])
        self.assertEqual(published(changed), ["326", ""])

    def test_points_of_a_sweep_say_what_was_swept(self):
        rows = self.rows("run", EXAMPLE, "sweep={layout.vp: [4, 8]}", "-o", "x.h5", "--trace", "none")
        self.assertEqual([row["system"] for row in rows[:2]],
                         ["hgx-h100-superpod layout.vp=4", "hgx-h100-superpod layout.vp=8"])

    def test_two_files_compare_their_first_systems(self):
        self.good("run", EXAMPLE, "-o", "a.h5", "--quiet")
        self.good("run", EXAMPLE, "systems.0.layout.pp=16", "systems.0.layout.vp=4", "-o", "b.h5",
                  "--quiet")
        a, b = (self.good("compare", *files, "--quiet").stdout
                for files in (["a.h5"], ["a.h5", "b.h5"]))
        self.assertIn("gb200-nvl72-superpod", a)
        self.assertNotIn("gb200-nvl72-superpod", b)

    def test_small_buffers_across_boxes_take_no_slow_algorithm(self):
        # NCCL's own choice, which is not always the quickest, yet never by much.
        words = ["collective", "--cluster", "hgx-h100-superpod", "--op", "all_reduce", "--gpus", "64",
                 "-b", "1K", "-e", "64M", "-f", "4"]
        chosen = [float(row["time_us"]) for row in self.rows(*words)]
        for name in ["ring-ll", "ring-simple", "hierarchical"]:
            forced = [float(row["time_us"]) for row in self.rows(*words, "--algorithm", name)]
            for best, other in zip(chosen, forced, strict=True):
                self.assertLessEqual(best, 1.1 * other, name)


if __name__ == "__main__":
    sys.exit(unittest.main())
