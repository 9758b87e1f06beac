"""`nvl72sim plan` as a user starts it: the answer, its columns, a config that runs and takes what was
promised, and wishes that cannot come true, each with its exit code and what stands in its way."""

import csv
import io
import os
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["NVL72SIM"]
JOB = ["plan", "--model", "llama-3.1-8b", "--cluster", "hgx-h200-superpod", "--gpus", "16",
       "--global-batch", "32", "--precision", "bf16", "--fix", "vp=1,2", "--fix", "ends=even"]
COLUMNS = ["system", "kind", "gpus", "tp", "pp", "cp", "vp", "ep", "expert_tp", "fsdp",
           "micro_batch", "schedule", "ends", "cp_comm_type", "sequence_parallel", "recompute",
           "zero", "tp_overlap", "offload", "dp", "micro_batches", "step_s", "bound_s",
           "tokens_per_s_per_gpu", "mfu", "memory_gib", "energy_per_token_j", "usd_per_mtoken",
           "days", "usd", "mwh", "changed", "reason"]


def changed(**options):
    """JOB with other values of its options."""
    words = list(JOB)
    for name, value in options.items():
        words[words.index("--" + name.replace("_", "-")) + 1] = value
    return words


class Plan(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start(self, *words):
        return subprocess.run([PROGRAM, *words], cwd=self.folder, capture_output=True, text=True,
                              timeout=500, check=False)

    def rows(self, *words):
        done = self.start(*words, "--format", "csv", "--quiet")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        return list(csv.DictReader(io.StringIO(done.stdout)))

    def refused(self, code, says, *words):
        done = self.start(*words)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertIn(says, done.stderr)
        self.assertEqual(done.stdout, "")

    def test_the_best_comes_first_and_each_row_says_why_it_is_not(self):
        rows = self.rows(*JOB)
        self.assertEqual(list(rows[0]), COLUMNS)
        self.assertEqual([row["kind"] for row in rows].count("best"), 1)
        self.assertEqual(rows[0]["kind"], "best")
        best = float(rows[0]["step_s"])
        self.assertLessEqual(float(rows[0]["bound_s"]), best)
        for row in rows[1:]:
            self.assertTrue(row["reason"], row)
            if row["step_s"]:
                self.assertGreaterEqual(float(row["step_s"]), best)
            else:
                self.assertIn("does not fit: ", row["reason"])

    def test_the_front_trades_time_for_memory(self):
        front = [row for row in self.rows(*JOB) if row["kind"] in ("best", "front")]
        self.assertGreater(len(front), 1)
        for faster, smaller in zip(front, front[1:]):
            self.assertLess(float(faster["step_s"]), float(smaller["step_s"]))
            self.assertGreater(float(faster["memory_gib"]), float(smaller["memory_gib"]))

    def test_its_config_runs_and_takes_the_time_that_was_promised(self):
        # Full recomputation is no switch of the recipe: a recipe is written beside the config.
        for fixed, files in (("tp=2", ["plan.yaml"]),
                             ("recompute=full", ["plan-recipe.yaml", "plan.yaml"])):
            rows = self.rows(*JOB, "--fix", fixed, "-o", "plan.yaml")
            self.assertEqual(sorted(os.listdir(self.folder)), files)
            done = self.start("run", "plan.yaml", "--format", "csv", "--quiet", "-o", "plan.h5")
            self.assertEqual(done.returncode, 0, done.stderr)
            run = next(csv.DictReader(io.StringIO(done.stdout)))
            self.assertEqual(run["step_s"], rows[0]["step_s"])
            self.assertAlmostEqual(float(run["memory_gib"]), float(rows[0]["memory_gib"]), 6)
            os.remove(self.folder + "/plan.h5")
            for name in os.listdir(self.folder):
                os.remove(os.path.join(self.folder, name))

    def test_a_config_has_its_own_layout_beside_the_best(self):
        with open(self.folder + "/mine.yaml", "w", encoding="utf-8") as file:
            file.write("title: t\nquestion: q\nmodel: llama-3.1-8b\nprecision: bf16\n"
                       "recipe: megatron-bridge-26.06\nsequence_length: 4096\nglobal_batch: 32\n"
                       "systems:\n  - cluster: {name: hgx-h100-superpod, gpus: 16}\n"
                       "    layout: {tp: 8, pp: 2}\n")
        rows = self.rows("plan", "mine.yaml", "--fix", "vp=1", "--fix", "ends=even")
        mine = [row for row in rows if row["kind"] == "as_written"]
        self.assertEqual((mine[0]["tp"], mine[0]["pp"]), ("8", "2"))
        self.assertIn("exposed TP", mine[0]["reason"])
        self.assertLess(float(rows[0]["step_s"]), float(mine[0]["step_s"]))
        shown = self.start("plan", "mine.yaml", "--fix", "vp=1", "--fix", "ends=even",
                           "--fix", "recompute=none", "--fix", "zero=1")
        command = shown.stderr.rsplit("next: nvl72sim ", 1)[1]
        again = subprocess.run(PROGRAM + " " + command.strip() + " --format csv --quiet",
                               shell=True, cwd=self.folder, capture_output=True, text=True,
                               timeout=100, check=False)
        self.assertEqual(again.returncode, 0, again.stderr)

    def test_goals_choose_the_number_of_gpus(self):
        few = self.rows(*JOB, "--goal", "fewest gpus under 300 days for 1e12 tokens")[0]
        self.assertLess(int(few["gpus"]), 16)
        self.assertLess(float(few["days"]), 300)
        cheap = self.rows(*JOB, "--goal", "least cost for 1e12 tokens")[0]
        self.assertLessEqual(float(cheap["usd"]), float(few["usd"]))

    def test_what_cannot_be_says_what_stands_in_its_way(self):
        self.refused(2, "has no NVFP4 tensor cores, so no NVFP4 GEMM", *changed(precision="nvfp4"))
        self.refused(3, "does not fit: ", *changed(model="llama-3.1-405b"))
        self.refused(3, "optimizer", *changed(model="llama-3.1-405b"))
        self.refused(2, "the fastest layout is", *JOB, "--goal",
                     "fewest gpus under 3 days for 1e12 tokens")
        self.refused(2, "--goal: 'cheapest' (expected fastest | fewest gpus", *JOB, "--goal",
                     "cheapest")
        self.refused(2, "did you mean tp?", *JOB, "--fix", "tpp=8")
        self.refused(2, "did you mean llama-3.1-8b?", *changed(model="llama-3.1-8bb"))
        self.refused(2, "--gpus: 'many'", *changed(gpus="many"))
        self.refused(2, "plan: no job", "plan")
        self.refused(2, "plan: no --cluster", "plan", "--model", "llama-3.1-8b")
        self.refused(2, "no layout of llama-3.1-8b divides", *JOB, "--fix", "tp=5")


if __name__ == "__main__":
    unittest.main()
