"""nvl72sim list and collective as a user reads them: nccl-tests' columns, CSV names, figures."""

import csv
import io
import os
import re
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["NVL72SIM"]
ROOT = os.environ.get("NVL72_SOURCE_DIR") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
RACK = ("collective", "--cluster", "gb200-nvl72", "--op", "all_reduce", "--gpus", "72", "-b",
        "512M", "-e", "8G", "-f", "2")
# One line of nccl-tests: size count type redop root, then time algbw busbw #wrong, twice.
SET = r"\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)\s+(N/A|\d+)"
LINE = re.compile(r"^\s*(\d+)\s+(\d+)\s+(\S+)\s+(\S+)\s+(-?\d+)" + SET + SET + r"\s*$")


def simulate(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False,
                          cwd=ROOT)


def answer(*arguments):
    done = simulate(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def table(*arguments):
    return list(csv.DictReader(io.StringIO(answer(*arguments, "--format", "csv"))))


def rack_log():
    """Bytes -> us, the quicker of out of place and in place."""
    with open(os.path.join(ROOT, "configs/measurements/collectives/logs.csv"),
              encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    rows = [row for row in csv.DictReader(lines) if row["gpu"] == "gb200" and row["gpus"] == "72"]
    return {int(row["bytes"]): min(float(row[key]) for key in ("out_of_place_us", "in_place_us"))
            for row in rows}


class Launch(unittest.TestCase):
    """Four H100, 8 bytes: 23.5 us by one thread, 16 by graphs, 9 with a thread a GPU (published)."""

    def time(self, cluster, gpus, *words):
        return float(table("collective", "--cluster", cluster, "--op", "all_reduce", "--gpus", gpus,
                           "-b", "8", "-e", "8", *words)[0]["time_us"])

    def test_who_launches_decides_small_buffers(self):
        for mode, measured in [("eager", 23.5), ("graph", 16), ("threads", 9)]:
            self.assertAlmostEqual(self.time("hgx-h100", "4", "--launch", mode) / measured, 1,
                                   delta=0.1, msg=mode)
        self.assertAlmostEqual(self.time("hgx-b200", "8", "--launch", "symmetric") / 3.4, 1,
                               delta=0.15)

    def test_single_sends_say_that_they_are_a_ring(self):
        words = ("collective", "--cluster", "hgx-h100", "--op", "all_reduce", "-b", "1M", "-e", "1M",
                 "--fidelity", "steps")
        done = simulate(*words)
        self.assertIn("fidelity steps: every size as a ring", done.stdout)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertIn("as a ring of single sends", done.stderr)
        self.assertEqual(simulate(*words[:-2]).stderr, "")

    def test_a_mode_of_nobody_is_refused(self):
        done = simulate("collective", "--cluster", "hgx-h100", "--op", "all_reduce", "--launch",
                        "unknown")
        self.assertEqual(done.returncode, 2)
        self.assertIn("threads | eager | graph | symmetric", done.stderr)


class Fabric(unittest.TestCase):
    BOXES = ("collective", "--cluster", "hgx-h100-superpod", "--op", "all_reduce", "--gpus", "16",
             "-b", "8", "-e", "8")

    def test_its_software_decides_small_buffers(self):
        times = {name: float(table(*self.BOXES, "--fabric", name)[0]["time_us"])
                 for name in ["infiniband", "efa"]}
        self.assertAlmostEqual(times["infiniband"] / 24.7, 1, delta=0.15)  # measured
        self.assertAlmostEqual(times["efa"] / 65, 1, delta=0.2)            # measured

    def test_the_basis_says_what_is_known_of_it(self):
        known = table(*self.BOXES)[0]
        self.assertIn("infiniband as other sites calibrated it", known["basis"])
        unknown = table(*self.BOXES, "--fabric", "unknown")[0]
        self.assertIn("only NIC count and line rate known", unknown["basis"])
        width = [float(row["p90_us"]) / float(row["p10_us"]) for row in (known, unknown)]
        self.assertGreater(width[1], width[0])

    def test_explain_prints_every_algorithm_once(self):
        text = answer(*self.BOXES, "--explain")
        self.assertEqual(text.count("(chosen)"), 1)
        self.assertRegex(text, r"8 Bytes -> tree-ll \(chosen\), tuner 25.2 us, calibrated [\d.]+ us")
        self.assertIn("pat does no all_reduce", text)


class NcclTestsLayout(unittest.TestCase):
    def test_every_line_is_a_comment_or_parses(self):
        lines = answer(*RACK).splitlines()
        rows = [LINE.match(line) for line in lines if not line.startswith("#")]
        self.assertEqual(len(rows), 5)
        self.assertTrue(all(rows), lines)
        for row in rows:
            size, count = int(row[1]), int(row[2])
            self.assertEqual((row[3], row[4], row[5]), ("float", "sum", "-1"))
            self.assertEqual(size, 4 * count)
            out, back = row.groups()[5:9], row.groups()[9:13]
            self.assertEqual(out, back)  # in-place is predicted as out-of-place
            self.assertEqual(out[3], "N/A")
            time, algbw, busbw = (float(cell) for cell in out[:3])
            self.assertAlmostEqual(size / time / 1e3, algbw, delta=2e-4 * algbw)
            self.assertAlmostEqual(algbw * 2 * 71 / 72, busbw, delta=2e-4 * busbw)

    def test_the_average_is_that_of_busbw(self):
        text = answer(*RACK)
        rows = [LINE.match(line) for line in text.splitlines()]
        bus = [float(row[8]) for row in rows if row]
        average = float(re.search(r"# Avg bus bandwidth\s*: ([\d.]+)", text)[1])
        self.assertAlmostEqual(average, sum(bus) / len(bus), delta=0.01)

    def test_the_rack_is_within_ten_percent_of_its_log(self):
        rows = [LINE.match(line) for line in answer(*RACK).splitlines()]
        times = {int(row[1]): float(row[6]) for row in rows if row}
        log = rack_log()
        self.assertEqual(sorted(times), sorted(log))
        for size, measured in log.items():
            self.assertLess(abs(times[size] / measured - 1), 0.10, size)


class CsvAnswer(unittest.TestCase):
    def test_names_and_rows(self):
        rows = table(*RACK, "--quiet")
        self.assertEqual(list(rows[0]), ["size_bytes", "count", "type", "redop", "root", "time_us",
                                         "algbw_GBps", "busbw_GBps", "algorithm", "basis",
                                         "p10_us", "p90_us", "bound_by"])
        for row in rows:
            self.assertLess(float(row["p10_us"]), float(row["time_us"]))
            self.assertLess(float(row["time_us"]), float(row["p90_us"]))
        self.assertEqual([int(row["size_bytes"]) for row in rows],
                         [2 ** power for power in range(29, 34)])
        self.assertEqual({row["algorithm"] for row in rows}, {"nvls"})
        self.assertEqual({row["basis"] for row in rows}, {"on-grid"})

    def test_an_all_gather_counts_one_ranks_part(self):
        row, = table("collective", "--cluster", "gb200-nvl72", "--op", "all_gather", "--gpus", "8",
                     "-b", "64M", "-e", "64M", "--quiet")
        self.assertEqual(int(row["count"]), 2 ** 26 // 4 // 8)
        self.assertEqual(row["redop"], "none")


class Lists(unittest.TestCase):
    def test_collectives_are_those_that_algorithm_accepts(self):
        rows = table("list", "collectives")
        names = [row["name"] for row in rows if row["family"] != "microkernel"]
        self.assertEqual(names, ["ring-ll", "ring-ll128", "ring-simple", "nvls", "hierarchical",
                                 "alltoall-ll", "alltoall-simple", "sendrecv", "tree-ll",
                                 "tree-ll128", "tree-simple", "pat", "collnet", "symmetric"])
        self.assertTrue(all(row["summary"] and row["family"] for row in rows))
        for name in ("ring-ll", "ring-simple", "nvls"):
            forced, = table(*RACK[:7], "-b", "1G", "-e", "1G", "--algorithm", name, "--quiet")
            self.assertEqual(forced["algorithm"], name)

    def test_schedules(self):
        rows = table("list", "schedules")
        self.assertEqual([row["name"] for row in rows],
                         ["gpipe", "1f1b", "interleaved", "zero-bubble", "dualpipe"])
        self.assertTrue(all("bubble" in row["summary"] for row in rows))

    def test_a_near_miss_is_named(self):
        done = simulate("list", "collectivs")
        self.assertEqual(done.returncode, 2)
        self.assertIn("did you mean collectives?", done.stderr)


class OwnMeasurements(unittest.TestCase):
    """A user's CSV in aiconfigurator's header: only half all-reduces of one GPU."""

    def calibrate(self, gpu):
        source = os.path.join(ROOT, "configs/measurements/collectives/in-node.csv")
        with open(source, encoding="utf-8") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "mine.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write("gpu,nccl,collective,dtype,gpus,message_bytes,time_us\n")
            for row in rows:
                if (row["gpu"], row["collective"], row["type"]) == ("gb200", "all_reduce", "half"):
                    # twice as slow as measured
                    file.write(f"{gpu},2.29.2,all_reduce,half,{row['gpus']},{row['bytes']},"
                               f"{2 * float(row['time_us'])}\n")
        profile = os.path.join(folder, f"{gpu}.yaml")
        done = simulate("calibrate", "--from", path, "-o", profile)
        self.assertEqual(done.returncode, 0, done.stderr)
        return profile, done

    def test_what_it_tells_is_fitted_and_the_rest_stays_as_shipped(self):
        profile, done = self.calibrate("gb200")
        self.assertIn("too few rows of alltoall, which stays as shipped", done.stderr)
        self.assertRegex(done.stdout, r"collectives +ring-ll +\d+ +5 ")

        def times(op, *calibration):
            return [float(row["time_us"]) for row in table(
                "collective", "--cluster", "gb200-nvl72", "--op", op, "--gpus", "4", "-b", "1K",
                "-e", "64K", "--quiet", *calibration)]

        for own, shipped in zip(times("all_reduce", "--calibration", profile), times("all_reduce")):
            self.assertAlmostEqual(own / shipped, 2, delta=0.15)
        self.assertEqual(times("alltoall", "--calibration", profile), times("alltoall"))

    def test_a_gpu_without_a_section_takes_what_its_sister_is_given(self):
        profile, _ = self.calibrate("gb300")
        with open(profile, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("scaled_from: {value: gb200", text)
        self.assertIn("collectives:", text)


class Mistakes(unittest.TestCase):
    def test_one_line_and_exit_code_2(self):
        for arguments, words in (
                (("collective", "--op", "all_reduce"), "--cluster: missing"),
                (("collective", "--cluster", "gb200-nvl72"), "--op: missing"),
                ((*RACK[:3], "--op", "all_redux"), "did you mean all_reduce?"),
                ((*RACK, "--algorithm", "rings"), "--algorithm: unknown 'rings'"),
                ((*RACK[:7], "-b", "8Q"), "-b: '8Q'")):
            done = simulate(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertEqual(done.stdout, "")
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
