"""From measuring this machine's CPU to predicting its collectives, as a user does it."""

import csv
import io
import os
import random
import signal
import subprocess
import tempfile
import time
import unittest

PROGRAM = os.environ["NVL72SIM"]
ROOT = os.environ.get("NVL72_SOURCE_DIR") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
MEASURE = os.environ.get("NVL72_MEASURE") or os.path.join(os.path.dirname(PROGRAM),
                                                           "nvl72-measure")
HAVE_MEASURE = os.access(MEASURE, os.X_OK)
QUICK = "--quick --only collectives --ranks 2 -b 4K -e 256K -f 4 --blocks 2 --warmup 2 --iterations 3"


def simulate(*arguments, folder=ROOT, **environment):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False,
                          cwd=folder, env={**os.environ, **environment}, timeout=300)


def children_of(parent):
    with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as children:
        return [int(word) for word in children.read().split()]


class HostCalibration(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()

    def refused(self, *arguments, **environment):
        done = simulate(*arguments, folder=self.folder, **environment)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stdout, "")
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertEqual(os.listdir(self.folder), [])
        return lines[0]

    @unittest.skipUnless(HAVE_MEASURE, "nvl72-measure is not built")
    def test_measures_fits_and_predicts_from_one_folder(self):
        done = simulate("calibrate", "--device", "host", "--measure", QUICK, "-o", "host.yaml",
                        "--format", "csv", folder=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        for sign_of_life in ("found ", "collectives: 2 ranks\n", "fits host.samples.h5\n"):
            self.assertIn(sign_of_life, done.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), ["host.samples.h5", "host.yaml"])
        parts = [row["part"] for row in csv.DictReader(io.StringIO(done.stdout))]
        self.assertIn("all_reduce one-shot-ll", parts)
        self.assertIn("moe_dispatch direct-ll", parts)

        done = simulate("collective", "--cluster", "localhost", "--calibration", "host.yaml",
                        "--op", "all_reduce", "--gpus", "2", "-b", "4K", "-e", "64K", "-f", "4",
                        "--format", "csv", folder=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual([int(row["size_bytes"]) for row in rows], [4096, 16384, 65536])
        times = [float(row["time_us"]) for row in rows]
        self.assertGreater(min(times), 0)
        self.assertEqual({row["basis"] for row in rows}, {"on-grid"})

        forced = simulate("collective", "--cluster", "localhost", "--calibration", "host.yaml",
                          "--op", "all_reduce", "--gpus", "2", "-b", "4K", "-e", "64K", "-f", "4",
                          "--algorithm", "one-shot-ll", "--format", "csv", folder=self.folder)
        slower = [float(row["time_us"]) for row in csv.DictReader(io.StringIO(forced.stdout))]
        self.assertTrue(all(a <= b for a, b in zip(times, slower)), (times, slower))

        again = simulate("calibrate", "--from", "host.samples.h5", "-o", "again.yaml",
                         folder=self.folder)
        self.assertEqual(again.returncode, 0, again.stderr)
        with open(os.path.join(self.folder, "host.yaml"), encoding="utf-8") as first, \
                open(os.path.join(self.folder, "again.yaml"), encoding="utf-8") as second:
            self.assertEqual(first.read(), second.read())

        compared = simulate("calibrate", "--compare", "host.yaml", "--from", "host.samples.h5",
                            folder=self.folder)
        self.assertEqual(compared.returncode, 0, compared.stderr)
        self.assertIn("parts differ from host.yaml", compared.stdout)

        rows = simulate("validate", "--measurements", "host.samples.h5", "--calibration",
                        "host.yaml", "--format", "csv", folder=self.folder)
        self.assertEqual(rows.returncode, 0, rows.stderr)
        judged = list(csv.DictReader(io.StringIO(rows.stdout)))
        parts = {row["part"] for row in judged}
        self.assertIn("microkernels all_reduce one-shot-ll", parts)
        self.assertEqual({row["in_fit"] for row in judged}, {"1"})  # its sources name the file
        for row in judged:
            self.assertLess(float(row["p10"]), float(row["predicted"]))
            self.assertGreater(float(row["p90"]), float(row["predicted"]))

        other = simulate("collective", "--cluster", "hgx-h100", "--calibration", "host.yaml",
                         "--op", "all_reduce", folder=self.folder)
        self.assertEqual(other.returncode, 2)
        self.assertIn("host.yaml is written for localhost (expected a profile of h100, or "
                      "--allow-mismatch)", other.stderr)

    @unittest.skipUnless(HAVE_MEASURE, "nvl72-measure is not built")
    def test_damaged_samples_are_refused_in_a_line(self):
        source = os.path.join(self.folder, "s.h5")
        subprocess.run([MEASURE, "--device", "host", "--quick", "--only", "launch", "-o", source],
                       capture_output=True, check=True, timeout=300)
        with open(source, "rb") as file:
            whole = file.read()
        os.remove(source)
        draw = random.Random(72)
        with tempfile.TemporaryDirectory() as elsewhere:
            path = os.path.join(elsewhere, "s.h5")
            for number in range(12):
                damaged = bytearray(whole)
                if number % 2:
                    del damaged[draw.randrange(1, len(whole)):]
                else:
                    for _ in range(100):
                        damaged[draw.randrange(len(whole))] ^= draw.randrange(1, 256)
                with open(path, "wb") as file:
                    file.write(damaged)
                self.assertIn(path, self.refused("calibrate", "--from", path, "-o", "x.yaml"))

    def test_localhost_without_a_profile_names_the_command(self):
        line = self.refused("collective", "--cluster", "localhost", "--op", "all_reduce",
                            "--gpus", "2")
        self.assertIn("nvl72sim calibrate --device host -o FILE", line)

    def test_a_missing_program_says_how_to_build_it(self):
        self.assertIn("is no program", self.refused("calibrate", "--device", "host", "-o", "x.yaml",
                                                    NVL72_MEASURE="/nowhere/nvl72-measure"))

    def test_words_that_do_not_go_together(self):
        for arguments in (["--device", "gpu", "-o", "x.yaml"], ["--device", "host"],
                          ["--from", "x.h5", "--measure", "--quick", "-o", "x.yaml"],
                          ["--device", "host", "--compare", "h100"],
                          ["--from", "absent.h5", "-o", "x.yaml"]):
            with self.subTest(arguments):
                self.refused("calibrate", *arguments)

    @unittest.skipUnless(HAVE_MEASURE, "nvl72-measure is not built")
    def test_exit_codes_pass_through(self):
        done = simulate("calibrate", "--device", "host", "--measure", "--blocks 0", "-o", "x.yaml",
                        folder=self.folder)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--blocks: 0", done.stderr)

    @unittest.skipUnless(HAVE_MEASURE, "nvl72-measure is not built")
    def test_a_signal_to_the_parent_alone_ends_both_and_leaves_nothing(self):
        # In sessions of their own, so that no signal reaches the child but through its parent.
        running = {number: subprocess.Popen(
            [PROGRAM, "calibrate", "--device", "host", "-o", "x.yaml"], cwd=self.folder,
            stderr=subprocess.PIPE, start_new_session=True) for number in
            (signal.SIGINT, signal.SIGTERM)}
        time.sleep(2)
        children = {number: children_of(parent.pid) for number, parent in running.items()}
        for number, parent in running.items():
            with self.subTest(number.name):
                self.assertEqual(len(children[number]), 1)
                parent.send_signal(number)
                parent.communicate(timeout=120)
                self.assertEqual(parent.returncode, 130)
                self.assertFalse(os.path.exists(f"/proc/{children[number][0]}"))
        self.assertEqual(os.listdir(self.folder), [])

    def test_topo_says_what_localhost_is(self):
        done = simulate("topo", "localhost", "--format", "csv")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("share one memory", done.stdout)

    def test_training_on_localhost_is_refused(self):
        done = simulate("run", "configs/experiments/llama405b-hopper-vs-nvl72.yaml",
                        "systems[0].cluster.name=localhost", "systems[0].cluster.gpus=2", "-o",
                        os.path.join(self.folder, "x.h5"))
        self.assertEqual(done.returncode, 2, done.stderr)


class Calibrations(unittest.TestCase):
    def test_list_says_where_numbers_come_from(self):
        done = simulate("list", "calibrations", "--format", "csv")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {row["name"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
        self.assertEqual(rows["h100"]["kind"], "fitted from published")
        self.assertGreater(int(rows["h100"]["rows"]), 1000)
        self.assertGreater(int(rows["h100"]["constants"]), 20)
        self.assertGreater(float(rows["h100"]["worst"]), float(rows["h100"]["median"]))
        self.assertEqual(rows["h200"]["kind"], "scaled from h100")

    def test_a_profile_of_another_gpu_is_refused(self):
        done = simulate("collective", "--cluster", "hgx-h100", "--op", "all_reduce",
                        "--calibration", "b200")
        self.assertEqual(done.returncode, 2)
        self.assertIn("b200 is written for b200 (expected a profile of h100, or --allow-mismatch)",
                      done.stderr)
        done = simulate("collective", "--cluster", "hgx-h100", "--op", "all_reduce",
                        "--calibration", "b200", "--allow-mismatch")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
