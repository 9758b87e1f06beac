"""Experiments of requests served and of phases run in their --quick form, show, report and refuse."""

import csv
import io
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(os.environ["NVL72_SOURCE_DIR"])
PROGRAM = os.environ["NVL72SIM"]


def experiments(word):
    """Shipped configs with a line that begins so."""
    folder = ROOT / "configs" / "experiments"
    return sorted(path.stem for path in folder.glob("*.yaml")
                  if f"\n{word}:\n" in path.read_text())


class Articles(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def nvl72sim(self, *words, code=0):
        done = subprocess.run([PROGRAM, *words], cwd=self.folder.name, capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def test_each_runs_quickly_and_answers(self):
        names = experiments("serving") + experiments("workload")
        self.assertGreaterEqual(len(names), 11)
        for name in names:
            with self.subTest(name):
                said = self.nvl72sim("run", name, "--quick", "--threads", "2", "--quiet")
                question, answer = said.split("\n")[1], said.split("\n")[3]
                self.assertIn("?", question)
                self.assertTrue(answer.endswith("."), answer)
                self.assertTrue(pathlib.Path(self.folder.name, f"{name}.h5").exists())
                header = (ROOT / f"configs/experiments/{name}.yaml").read_text().split("title:")[0]
                article = () if name.endswith("-published") else ("# Article:",)
                for word in (*article, "# Sourced", "Assumed"):
                    self.assertTrue(word in header, word)

    def test_rows_are_machine_readable(self):
        served = self.nvl72sim("run", "how-long-does-best-of-n-take", "--quick", "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(served)))
        self.assertEqual({row["samples"] for row in rows}, {"1", "64"})
        for row in rows:
            self.assertGreaterEqual(float(row["question_p50_s"]), float(row["latency_p50_s"]))
        phases = self.nvl72sim("run", "is-an-nvl72-starved-for-cpus", "--quick", "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(phases)))
        self.assertEqual({row["kind"] for row in rows}, {"env_sim", "train_loop"})

    def test_robots_are_told_by_how_many_a_gpu_bears(self):
        said = self.nvl72sim("run", "how-many-robots-does-a-gpu-bear", "--quiet",
                             "workload.phases.act.horizon=5 s")
        self.assertTrue("pi0 at 50 Hz, one GB200: bears " in said)

    def test_same_seed_same_bytes(self):
        files = []
        for threads in ("1", "2"):
            self.nvl72sim("run", "what-do-personality-traits-cost", "--quick", "--threads", threads,
                          "-o", f"{threads}.h5")
            files.append(pathlib.Path(self.folder.name, f"{threads}.h5").read_bytes())
        self.assertEqual(*files)

    def test_show_names_every_value_with_its_source(self):
        shown = self.nvl72sim("show", "what-does-test-time-scaling-buy", "--format", "csv")
        self.assertTrue("Azure LLM inference trace 2023" in shown)
        self.assertTrue("serving.requests.output" in shown)
        shown = self.nvl72sim("show", "how-long-do-rstar-rounds-take", "--format", "csv")
        self.assertTrue("workload.phases.round.repeats" in shown)

    def test_each_kind_has_its_picture(self):
        try:
            import h5py  # noqa: F401
            import matplotlib  # noqa: F401
        except ImportError as missing:
            self.skipTest(str(missing))
        for name, picture in (("what-does-test-time-scaling-buy", "pareto"),
                              ("how-long-does-best-of-n-take", "arrivals"),
                              ("does-lockstep-search-waste-gpus", "phases"),
                              ("how-many-robots-does-a-gpu-bear", "phases")):
            with self.subTest(name):
                self.nvl72sim("run", name, "--quick", "--quiet", "-o", f"{name}.h5")
                self.nvl72sim("report", f"{name}.h5", "-o", "figures")
                drawn = pathlib.Path(self.folder.name, "figures", f"{name}-{picture}.png")
                self.assertTrue(drawn.exists(), drawn)

    def test_what_only_training_has_is_refused_in_one_line(self):
        for words in (("run", "is-an-nvl72-starved-for-cpus", "--sensitivity"),
                      ("compare", "quick.h5")):
            self.nvl72sim("run", "is-an-nvl72-starved-for-cpus", "--quick", "-o", "quick.h5")
            said = self.nvl72sim(*words, code=2)
            self.assertEqual(len(said.strip().splitlines()), 1, said)
            self.assertIn("(expected", said)


if __name__ == "__main__":
    unittest.main()
