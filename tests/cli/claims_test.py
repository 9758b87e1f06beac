"""validate --table claims: every claim of the articles has a computed verdict, or says why none."""

import csv
import io
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["NVL72SIM"]
ROOT = pathlib.Path(os.environ["NVL72_SOURCE_DIR"])
TABLE = ROOT / "configs" / "measurements" / "claims" / "claims.yaml"
MINE = """claims:
  - article: 8
    claim: links of a rack
    stated: {value: 1296, source: "published: somewhere"}
    from: {cluster: {name: gb200-nvl72}, here: "facts.value[fact=gpus] * FACTOR"}
"""


class Claims(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def validate(self, *words, code=0):
        done = subprocess.run([PROGRAM, "validate", "--table", "claims", "--quiet", *words],
                              cwd=self.folder.name, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def mine(self, factor, change=("", "")):
        path = pathlib.Path(self.folder.name, "mine.yaml")
        path.write_text(MINE.replace("FACTOR", factor).replace(*change), encoding="utf-8")
        return str(path)

    def test_every_claim_has_a_verdict_or_says_why_none(self):
        said = self.validate("--threads", "2", "--format", "csv", "--summary", "s.json")
        rows = list(csv.DictReader(io.StringIO(said)))
        self.assertEqual(len(rows), 51)
        self.assertEqual({row["part"] for row in rows},
                         {f"article {n}" for n in (2, 4, 7, 8, 9, 10)})
        lines = TABLE.read_text(encoding="utf-8").splitlines()
        for row in rows:
            with self.subTest(row["subject"]):
                self.assertTrue(lines[int(row["line"]) - 1].startswith("  - article: "))
                self.assertTrue(lines[int(row["line"])].endswith(row["subject"]))
                if row["from"]:
                    self.assertEqual(row["status"], "ok")
                    self.assertIn(row["verdict"], ("holds", "differs", "slip"))
                    float(row["predicted"])
                    float(row["measured"])
                else:
                    self.assertEqual(row["status"], "skipped")
                    self.assertEqual(row["predicted"], "")
                    self.assertNotEqual(row["reason"], "")
        self.assertGreaterEqual(sum(row["status"] == "ok" for row in rows), 30)
        slips = [row for row in rows if row["verdict"] == "slip"]
        self.assertEqual([row["subject"] for row in slips], ["3.2 kg of copper cable"])
        self.assertIn("3.200 km", slips[0]["reason"])
        self.assertNotIn("verdict:", TABLE.read_text(encoding="utf-8"))  # never typed
        with open(os.path.join(self.folder.name, "s.json"), encoding="utf-8") as file:
            summary = json.load(file)
        self.assertEqual(summary["claims"], 51)
        self.assertEqual(summary["verdicts"]["slip"], 1)
        self.assertEqual(sum(summary["verdicts"].values()), 51)

    def test_claims_of_ones_own_hold_or_differ_by_what_is_computed(self):
        said = self.validate("--measurements", self.mine("18"))
        self.assertIn("  holds ", said)
        self.assertIn("1 claims: 1 hold, 0 differ", said)
        said = self.validate("--measurements", self.mine("17"))
        self.assertIn("  differs ", said)
        self.assertIn("1 claims: 0 hold, 1 differ", said)

    def test_mistakes_are_one_line_with_their_place(self):
        wrong = [
            ("18", ("fact=gpus", "fact=gpu"), "mine.yaml:5: claims[0].from.here:"),
            ("nothing", ("", ""), "mine.yaml:5: claims[0].from.here: unknown 'nothing'"),
            ("18", ("cluster: {name: gb200-nvl72}", "experiment: no-such"),
             "mine.yaml:5: claims[0].from.experiment:"),
            ("18", ("stated", "state"), "mine.yaml:4: claims[0].state: unknown key"),
        ]
        for factor, change, place in wrong:
            with self.subTest(change):
                said = self.validate("--measurements", self.mine(factor, change), code=2)
                self.assertEqual(len(said.splitlines()), 1, said)
                self.assertIn(place, said)
        said = self.validate("--gpu", "h100", code=2)
        self.assertIn("--gpu: given for claims", said)


if __name__ == "__main__":
    unittest.main()
