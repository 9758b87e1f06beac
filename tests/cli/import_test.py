"""nvl72sim import as a user meets it: public jobs become configs that run and rows that validate takes; wrong input gets
one line that names its place, and nothing is written."""

import csv
import io
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["NVL72SIM"]
DATA = pathlib.Path(os.environ["NVL72_SOURCE_DIR"], "tests/data/import")
MLPERF = DATA / "mlperf/tyche_ngpu256"
SHAPE = "--num-layers 32 --hidden-size 4096 --num-attention-heads 32 --seq-length 4096 --micro-batch-size 1 "
H100 = ["--gpu", "h100"]
LINE = "torchrun --nnodes 1 --nproc-per-node 8 pretrain_gpt.py " + SHAPE

# name of the file, its text, further words, what the one line must say
WRONG = [
    ("no.sh", None, [], "no.sh: no such file"),
    ("hello.txt", "hello\n", [], "hello.txt: nothing of a training job (expected Megatron's arguments"),
    ("empty.log", "", [], "empty.log: nothing of a training job"),
    ("tp.sh", "\n" + LINE + "--vocab-size 32000 --tensor-model-parallel-size 3\n", H100,
     "tp.sh:2: --tensor-model-parallel-size: tp 3 x pp 1 x cp 1 = 3 GPUs per replica (expected a divisor of the 8 GPUs)"),
    ("word.sh", LINE + "--global-batch-size many\n", H100,
     "word.sh:1: --global-batch-size: 'many' (expected a whole number, 1 or more)"),
    ("unset.sh", LINE + "--tensor-model-parallel-size $TP\n", H100,
     "unset.sh:1: --tensor-model-parallel-size: $TP, which is set nowhere"),
    ("gpu.sh", LINE + "--vocab-size 32000\n", [], "gpu.sh: cluster: no GPU is named, or several are (expected --cluster"),
    ("mi300.sh", LINE + "--vocab-size 32000\n", ["--gpu", "mi300x"], "mi300x"),
    ("vocab.sh", LINE, H100, "vocab.sh: vocab_size: not told"),
    ("layers.sh", "pretrain_gpt.py --hidden-size 64 --num-attention-heads 2 --micro-batch-size 1\n", H100,
     "layers.sh: num_layers: not told"),
    ("broken.yaml", "_target_: a.ConfigContainer\nmodel:\n  num_layers: [2\n", H100, "broken.yaml:"),
    ("model.yaml", "_target_: a.ConfigContainer\ntrain:\n  micro_batch_size: 1\n", H100,
     "model: nothing (expected the section of a ConfigContainer)"),
    ("log.txt", ':::MLLOG {"key": "submission_benchmark", "value": "llama31_8b"}\n', [],
     "log.txt: an MLPerf log without its config"),
    ("fp4.sh", LINE + "--vocab-size 32000 --fp4-format e2m1\n", H100, "fp4.sh:1: --fp4-format: NVIDIA H100 SXM 80 GB has no NVFP4"),
    ("kind.sh", LINE, ["--as", "megtron"], "--as: "),
    ("pair.sh", LINE, ["vocab"], "import: 'vocab' (expected NAME=VALUE"),
]


class Import(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def start(self, *words):
        return subprocess.run([PROGRAM, *map(str, words)], cwd=self.folder, capture_output=True, text=True, timeout=300,
                              check=False)

    def good(self, *words):
        done = self.start(*words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_wrong_input_is_one_line_and_leaves_nothing(self):
        for name, text, words, said in WRONG:
            with self.subTest(name):
                if text is not None:
                    pathlib.Path(self.folder, name).write_text(text)
                done = self.start("import", name, *words)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(said, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertEqual([f for f in os.listdir(self.folder) if "imported" in f], [])

    def test_a_script_runs_and_its_variables_can_be_given(self):
        self.good("import", DATA / "megatron/qwen3-235b.sh", "--cluster", "hgx-h100-superpod", "-o", "q.yaml", "PP=4",
                  "GBS=512", "VPP=6")
        done = self.good("run", "q.yaml", "--format", "csv")
        row = next(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual([row[key] for key in ("gpus", "tp", "pp", "vp", "global_batch")], ["256", "2", "4", "6", "512"])

    def test_the_summary_says_what_was_assumed_and_what_was_written(self):
        done = self.good("import", DATA / "bridge/deepseek_v3_pretrain_gb200_nvfp4.yaml")
        self.assertIn("assumed: 256 GPUs", done.stderr)
        self.assertIn("next: nvl72sim run deepseek_v3_pretrain_gb200_nvfp4-imported.yaml", done.stderr)
        rows = list(csv.DictReader(io.StringIO(self.good("import", DATA / "megatron/llama3-70b.log", "--format",
                                                         "csv").stdout)))
        self.assertEqual(list(rows[0]), ["key", "value", "from", "line"])
        self.assertIn({"key": "layout.tp", "value": "8", "from": "tensor_model_parallel_size"},
                      [{k: row[k] for k in ("key", "value", "from")} for row in rows])

    def test_a_vocabulary_that_is_not_told_is_named(self):
        words = ("torchrun --nproc-per-node 8 --nnodes 8 pretrain_gpt.py --num-layers 80 --hidden-size 8192 "
                 "--num-attention-heads 64 --group-query-attention --num-query-groups 8 --ffn-hidden-size 28672 "
                 "--position-embedding-type rope --swiglu --normalization RMSNorm --foo-bar 3 "
                 "--untie-embeddings-and-output-weights --disable-bias-linear --tensor-model-parallel-size 8 "
                 "--pipeline-model-parallel-size 2 --micro-batch-size 1 --global-batch-size 64 --bf16 "
                 "--max-position-embeddings 131072 --seq-length ")
        for sequence, vocabulary, model in (("8192", 128256, "llama-3.1-70b"), ("4096", 32000, "llama-2-70b")):
            script = os.path.join(self.folder, "job.sh")
            with open(script, "w", encoding="utf-8") as file:
                file.write(words + sequence + "\n")
            done = self.start("import", script, "--cluster", "hgx-h100-superpod", "-o", "job.yaml")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"a vocabulary of {vocabulary}, as {model}", done.stderr)
            self.assertIn("without a key: --foo-bar", done.stderr)
            with open(os.path.join(self.folder, "job.yaml"), encoding="utf-8") as file:
                self.assertIn(f"a vocabulary of {vocabulary}, as {model}", file.read())

    def test_mlperf_gives_a_row_that_validate_predicts_as_run_does(self):
        self.good("import", MLPERF, "-o", "m.yaml")
        run = next(csv.DictReader(io.StringIO(self.good("run", "m.yaml", "--format", "csv").stdout)))
        self.assertAlmostEqual(float(run["published_step_s"]), 18.9439, 3)
        done = self.good("validate", "--table", "training", "--measurements", "m-row.csv", "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual([(row["metric"], row["gpu"], row["gpus"], row["status"] in ("ok", "defaulted")) for row in rows],
                         [("step_s", "gb200", "256", True)])
        self.assertAlmostEqual(float(rows[0]["measured"]), 18.9439, 3)
        self.assertAlmostEqual(float(rows[0]["predicted"]), float(run["step_s"]), 6)

    def test_mlperf_parts_must_agree(self):
        folder = pathlib.Path(self.folder, "run")
        shutil.copytree(MLPERF, folder)
        config = next(folder.glob("config_GB200*"))
        text = config.read_text()
        config.write_text(text.replace("DGXNGPU=4", "DGXNGPU=8"))
        done = self.start("import", "run")
        self.assertEqual(done.returncode, 2)
        self.assertIn("512 GPUs (expected 256, as", done.stderr)
        config.write_text(text)
        shutil.copy(config, folder / "config_other.sh")
        self.assertIn("2 configs for the run's nodes", self.start("import", "run").stderr)

    def test_the_input_is_never_written_over(self):
        config = pathlib.Path(self.folder, "a.yaml")
        shutil.copy(DATA / "bridge/deepseek_v3_pretrain_gb200_nvfp4.yaml", config)
        before = config.read_text()
        self.assertIn("is the file itself", self.start("import", "a.yaml", "-o", "a.yaml").stderr)
        self.assertEqual(config.read_text(), before)

    def test_the_kind_can_be_told(self):
        done = self.start("import", DATA / "megatron/llama3-70b.log", "--as", "megatron")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no setting of a megatron job", done.stderr)
        self.good("import", DATA / "megatron/llama3-70b.log", "--as", "megatron-dump", "-o", "x.yaml")


if __name__ == "__main__":
    unittest.main()
