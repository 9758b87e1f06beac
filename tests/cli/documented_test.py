"""What the guides show works: the examples of README.md and configs/README.md run as printed."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(os.environ["NVL72_SOURCE_DIR"])
PROGRAM = os.environ["NVL72SIM"]


def example(page, name):
    """The first code block of `page` after `name`."""
    text = (ROOT / page).read_text()
    return re.compile(r"```(?:yaml|json)\n(.*?)```", re.S).search(text, text.index(name))[1]


class Documented(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, name, text):
        pathlib.Path(self.folder.name, name).write_text(text)

    def nvl72sim(self, *words):
        done = subprocess.run([PROGRAM, *words], cwd=self.folder.name, capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_own_question_runs_with_its_overrides(self):
        self.write("my.yaml", example("README.md", "## Your own question"))
        plain = self.nvl72sim("run", "my.yaml", "--format", "csv")
        dotted = self.nvl72sim("run", "my.yaml", "--format", "csv", "systems.0.layout.tp=4",
                               "systems.0.cluster.gpus=32")
        # Messages write systems[0]; what they print can be typed.
        brackets = self.nvl72sim("run", "my.yaml", "--format", "csv", "systems[0].layout.tp=4",
                                 "systems[0].cluster.gpus=32")
        self.assertNotEqual(plain, dotted)
        self.assertEqual(dotted, brackets)
        swept = self.nvl72sim("run", "my.yaml", "sweep={global_batch: [128, 256, 512]}",
                              "--format", "csv")
        self.assertEqual(len(swept.splitlines()), 4)

    def test_own_gpu_profile_cluster_model_and_recipe_run(self):
        for name in ("gh200-144gb.yaml", "gh200-144gb-profile.yaml", "my-gh200.yaml",
                     "llama-3.2-3b.json", "my-question.yaml"):
            self.write(name, example("configs/README.md", f"`{name}`"))
        shipped = (ROOT / "configs/recipes/megatron-bridge-26.06.yaml").read_text()
        self.assertIn("\n  tp: true", shipped)
        self.write("my-recipe.yaml", shipped.replace("\n  tp: true", "\n  tp: false"))
        said = self.nvl72sim("run", "my-question.yaml", "--calibration",
                             "gh200-144gb-profile.yaml")
        self.assertIn("datasheet", said)

    def test_pictures_and_pages_named_by_the_guides_exist(self):
        for page in ("README.md", "results/README.md", "configs/README.md", "sim/README.md"):
            for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
                self.assertTrue((ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}")


if __name__ == "__main__":
    unittest.main()
