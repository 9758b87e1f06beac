"""Every shipped experiment that answers runs with --quick, in a few seconds, and its answer lies in
bounds worked by hand."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.environ["NVL72SIM"]
CONFIGS = pathlib.Path(os.environ["NVL72_SOURCE_DIR"], "configs", "experiments")

# By experiment: value of /values and the bounds it must keep, with why.
BOUNDS = {
    "rack-by-the-numbers": [
        ("pairs", 5184, 5184),            # 72 GPUs x 18 links x 2 lanes x 2 directions
        ("middle_km", 2.3, 4.2),          # two miles, within a third
        ("kw_gpu", 1.66, 1.67),           # 120 kW / 72
        ("least_kg", 12, 20)],            # 3.1 km of 5 g/m
    "collectives-72-gpus": [
        ("ep_gain", 5, 20),               # 7.6 copies of 56 MiB over 50 GB/s, not 900 at best
        ("reduce_gain", 1.5, 4),          # NVLink 5 over NVLink 4 is 2, less where NICs join
        ("rack_gbs", 500, 1000)],         # at most what reduction in the switch gives 900 GB/s
    "nvlink-domain-size": [("gain", 1.2, 4), ("ep_small", 0.1, 0.8)],
    "nic-speed": [("h100", 1, 4), ("gb200", 1, 16), ("experts", 1.5, 16)],  # never slower
    "precision": [
        ("h100_fp8", 1.2, 2),             # below the ratio of the peaks
        ("gb200_gain", 1.5, 4)],
    "hopper-blackwell-rubin": [
        ("gb200_gpus", 1.5, 2.6),         # the peaks are 2.53 apart
        ("gb200_power", 1.1, 2.0),        # x 10.2 / 8 over 120 / 72 kW: 0.765
        ("gb200_cost", 0.8, 1.5),         # x 2.5 / 4.5 USD: 0.556
        ("rubin_gpus", 2, 9)],            # 17.5 over 1.98 PFLOP/s are 8.8
    "failed-planes-and-trays": [
        ("reduce_plane", 0.04, 0.08),     # 18 / 17 is 5.9 %
        ("plane", 0, 0.06), ("trays", 0, 0.29)],
    "llama405b-weak-scaling": [("h100_kept", 0.85, 1.01), ("gb200_kept", 0.8, 1.01)],
    "llama405b-strong-scaling": [("h100_kept", 0.7, 1), ("gb200_kept", 0.6, 1)],
    "gpt-moe-hopper-vs-nvl72": [
        ("gain", 1.3, 3), ("domain_gain", 1, 3), ("open_domain", 1, 5)],
    "colossus-vs-nvl72": [
        ("power_gpus", 89900, 90000),     # 150 MW are 1,250 racks
        ("peak_racks", 538, 541),         # 98,304 x 989.4 over 2,500 TFLOP/s
        ("minutes", 24, 36),              # 50,677 GPU-hours over 98,304, and 47 planned stops
        ("same_gpus", 1, 2.6), ("ecmp_slower", 0, 0.6)],
    "phi-4-21-days": [("days", 15.75, 26.25), ("published_mfu", 0.24, 0.26)],  # 21, within 25 %
    "openvla-14-days": [("a100_more", 10.5, 17.5), ("gb200_days", 0.5, 3)],    # 14, within 25 %
    "llama3-54-days": [("goodput", 0.85, 0.95)],
    "data-wall": [("smallest", 30, 150), ("largest", 300, 1500)],
    "fine-tuning-8b-70b": [
        ("h100_70b", 9, 12),              # 2e9 / (1,638 x 32) is 10.6 h
        ("gb200_70b", 4, 5.3)],           # 2e9 / (3,864 x 32) is 4.5 h
    "hopper-fleet-485k": [("sold", 2425000, 2425000), ("llama_middle", 0.7, 2.5)],
}


class Experiments(unittest.TestCase):
    def run_quick(self, name, folder):
        result = subprocess.run([PROGRAM, "run", name, "--quick", "--threads", "2", "-o", "run.h5"],
                                cwd=folder, capture_output=True, text=True, timeout=300,
                                check=False)
        self.assertEqual(result.returncode, 0, f"{name}: {result.stderr}")
        return result

    def values(self, folder):
        """/values by name, as the plotting package reads them."""
        sys.path.insert(0, str(CONFIGS.parent.parent / "results" / "plotting"))
        from nvl72plots import result
        table = result.read(os.path.join(folder, "run.h5")).table("values")
        return {row["name"]: row["number"] for row in table.rows()}

    def test_answers_are_within_bounds_worked_by_hand(self):
        for name, bounds in BOUNDS.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                said = self.run_quick(name, folder)
                answers = re.findall(r"(?m)^Answer: (.+)$", said.stdout)
                self.assertEqual(len(answers), 1)
                self.assertNotIn("{", answers[0])
                self.assertNotIn("nan", answers[0])
                self.assertIn("quick: ", said.stderr)
                found = self.values(folder)
                for value, low, high in bounds:
                    self.assertGreaterEqual(found[value], low, f"{name}: {value}")
                    self.assertLessEqual(found[value], high, f"{name}: {value}")

    def test_every_experiment_that_answers_has_bounds(self):
        answering = {path.stem for path in CONFIGS.glob("*.yaml")
                     if re.search(r"(?m)^answer:", path.read_text())}
        mine = {name for name in answering if re.search(r"(?m)^systems:|^clusters:|^collectives:",
                                                        (CONFIGS / f"{name}.yaml").read_text())}
        self.assertEqual(mine - set(BOUNDS), set())

    def test_list_shows_the_questions_and_who_asked(self):
        listed = json.loads(subprocess.run([PROGRAM, "list", "experiments", "--format", "json"],
                                           capture_output=True, text=True, check=True).stdout)
        rows = {row["name"]: row for row in listed}
        self.assertTrue(all(row["question"] for row in rows.values()))
        self.assertEqual(rows["rack-by-the-numbers"]["article"], "E8.1, article 8")

    def test_the_slip_of_the_article_is_flagged(self):
        with tempfile.TemporaryDirectory() as folder:
            text = self.run_quick("rack-by-the-numbers", folder).stdout
        self.assertRegex(text, r"weight of copper cable .* differs")
        self.assertEqual(len(re.findall(r"(?m)  holds  ", text)), 7)

    def test_mistakes_in_an_answer_name_its_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "mine.yaml")
            path.write_text('title: t\nquestion: q\ngiven:\n  a: {value: 2, source: "assumed: x"}\n'
                            'values:\n  b: a * 2\nanswer: "{b:.0f} and {c}"\n')
            result = subprocess.run([PROGRAM, "run", str(path)], cwd=folder, capture_output=True,
                                    text=True, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertRegex(result.stderr, r"mine\.yaml:7: answer: unknown 'c'")
            path.write_text(path.read_text().replace(", source: \"assumed: x\"}", "}"))
            result = subprocess.run([PROGRAM, "run", str(path)], cwd=folder, capture_output=True,
                                    text=True, check=False)
            self.assertIn("mine.yaml:4: given.a", result.stderr)

    def test_a_value_that_is_no_number_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            for value in ("1 / 0", "0 / 0", "log2(0)"):
                result = subprocess.run(
                    [PROGRAM, "run", "rack-by-the-numbers", f"values={{r: {value}}}"], cwd=folder,
                    capture_output=True, text=True, check=False)
                self.assertEqual(result.returncode, 2, value)
                self.assertIn(f"values.r: {value} has no value here", result.stderr)

    def test_where_a_system_does_not_fit_the_others_stand_without_an_answer(self):
        with tempfile.TemporaryDirectory() as folder:
            result = subprocess.run(
                [PROGRAM, "run", "precision", "--quick", "systems.1.layout.tp=2"], cwd=folder,
                capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("does not fit", result.stdout)
        self.assertIn("no answer, as not every system fits", result.stdout)


if __name__ == "__main__":
    unittest.main()
