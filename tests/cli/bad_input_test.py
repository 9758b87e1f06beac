"""Real mistakes through the real program: each gets its exit code and one line that names the file
or option, the key, what was found and what would be right; nothing is written."""

import os
import subprocess
import sys
import tempfile

PROGRAM = os.environ["NVL72SIM"]
SOURCE = os.environ["NVL72_SOURCE_DIR"]
KERNELS = SOURCE + "/configs/measurements/kernels"
EXAMPLE = "llama405b-hopper-vs-nvl72"
# No message may show the text of a library's exception.
FOREIGN = ["lexical cast", "stoul", "stoi", "std::", "terminate", "internal error", "yaml-cpp",
           "basic_string", "basic_ios", "filesystem error", "Traceback", "Aborted"]

FILES = {
    "empty.yaml": "",
    "tabs.yaml": "title: a\n\tquestion: b\n",
    "twice.yaml": "title: a\nquestion: b\ntitle: c\n",
    "merge.yaml": "a: &a {title: x}\n<<: *a\n",
    "two.yaml": "title: a\n---\ntitle: b\n",
    "cycle.yaml": "title: &x [*x]\n",
    "deep.yaml": "title: " + "[" * 5000 + "]" * 5000 + "\n",
    "bomb.yaml": "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        "a%d: &a%d [%s]\n" % (i, i, ", ".join(["*a%d" % (i - 1)] * 9)) for i in range(1, 12)),
    "nothing.yaml": "title:\nquestion: b\nsystems: []\n",
    "list.yaml": "- title\n- question\n",
    "scalar.yaml": "hello\n",
    "binary.yaml": "\0\1\2\3",
    "keys.yaml": "? [a]\n: b\n",
    "no_systems.yaml": "title: a\nquestion: b\n",
    "source.yaml": "title: {value: a, source: a guess}\nquestion: b\nsystems: []\n",
    "text.h5": "hello\n",
    "empty.h5": "",
    "empty.csv": "",
    "other.csv": "a,b\n1,2\n",
    "precious.yaml": "title: mine\n",
    "gpu.yaml": "gpu: h100\nsustained: fast\n",
}


def show(*overrides):
    return ["show", EXAMPLE, *overrides]


def run(*words):
    return ["run", EXAMPLE, *words]


def collective(*words, cluster="gb200-nvl72", op="all_reduce"):
    return ["collective", "--cluster", cluster, "--op", op, *words]


TP = "systems.0.layout.tp="
GPUS = "systems.0.cluster.gpus="
FAULTS = "systems.0.cluster.faults."

# (arguments, exit code, what the message must say)
MISTAKES = [
    # the command
    (["rum"], 2, "unknown command 'rum' (did you mean run?"),
    (["--verson"], 2, "'--verson'"),
    (run("--ouput", "x.h5"), 2, "--ouput: unknown option (did you mean --output?"),
    (run("-x"), 2, "-x"),
    (["run"], 2, "run: no config (expected nvl72sim run CONFIG"),
    (["show"], 2, "show: no config"),
    (run("--threads", "0"), 2, "--threads: 0 (expected 1 to 1024)"),
    (run("--threads", "-1"), 2, "--threads: -1 (expected 1 to 1024)"),
    (run("--threads", "abc"), 2, "--threads: 'abc' (expected a whole number)"),
    (run("--threads", "99999999999"), 2, "--threads: '99999999999' (expected a whole number)"),
    (run("--threads"), 2, "--threads"),
    (run("--threads", "1", "--threads", "2"), 2, "--threads"),
    (run("--format", "xml"), 2, "--format: 'xml' (expected table, csv or json)"),
    (run("--seed", "-1"), 2, "--seed: -1 (expected 0 or more)"),
    (run("--seed", "1.5"), 2, "--seed: '1.5' (expected a whole number)"),
    (run("--quiet=yes"), 2, "--quiet"),
    (run("--trace", "most"), 2, "--trace: 'most' (expected none | summary | ops)"),
    # where the answer would go
    (run("-o", "no/such/x.h5"), 2, "no/such/x.h5: cannot be written: folder no/such"),
    (run("-o", "folder"), 2, "folder: is a folder (expected a file to write)"),
    (run("-o", "text.h5/x.h5"), 2, "text.h5"),
    (run("-o", ""), 2, "(expected a path such as run.h5)"),
    (run("-o", "/dev/full"), 2, "/dev/full: is a device"),
    (run("-o", "precious.yaml"), 2, "precious.yaml: holds something else than a result"),
    # missing and misshapen files
    (["run", "nosuch"], 2, "CONFIG: unknown 'nosuch' (see nvl72sim list experiments)"),
    (["run", EXAMPLE[:-1]], 2, "did you mean " + EXAMPLE),
    (["run", "nosuch.yaml"], 2, "CONFIG: no file 'nosuch.yaml'"),
    (["run", ""], 2, "CONFIG"),
    (["run", "folder.yaml"], 2, "folder.yaml: not a file (expected a YAML file)"),
    (["run", "empty.yaml"], 2, "empty.yaml:1: no keys"),
    (["run", "tabs.yaml"], 2, "tabs.yaml:2: not YAML"),
    (["run", "twice.yaml"], 2, "twice.yaml:3: title: given twice (expected once; the first is on"),
    (["run", "merge.yaml"], 2, "merge.yaml:2: <<: a merge key"),
    (["run", "two.yaml"], 2, "two.yaml:3: 2 YAML documents (expected one)"),
    (["run", "cycle.yaml"], 2, "nested too deep"),
    (["run", "deep.yaml"], 2, "nested too deep"),
    (["run", "bomb.yaml"], 2, "too many values"),
    (["run", "nothing.yaml"], 2, "nothing.yaml:1: title: nothing (expected a text)"),
    (["run", "list.yaml"], 2, "list.yaml:1: no keys"),
    (["run", "scalar.yaml"], 2, "scalar.yaml:1: no keys"),
    (["run", "binary.yaml"], 2, "binary.yaml:"),
    (["run", "keys.yaml"], 2, "keys.yaml:1: a key that is not a word"),
    (["run", "no_systems.yaml"], 2, "no_systems.yaml: systems: missing"),
    (["run", "source.yaml"], 2, "source.yaml:1: title.source: 'a guess' (expected a text that"),
    # overrides
    (show("foo"), 2, "command line: foo: no value (expected KEY=VALUE)"),
    (show("=3"), 2, "no value (expected KEY=VALUE)"),
    (show(".=3"), 2, "an empty name in '.'"),
    (show("systems..cluster=8"), 2, "an empty name in 'systems..cluster'"),
    (show("systms.0=3"), 2, "command line: systms: unknown key, did you mean systems?"),
    (show("systems.9.cluster.gpus=2"), 2, "no item '9' (expected 0 to 1)"),
    (show("systems.-1.cluster.gpus=2"), 2, "no item '-1' (expected 0 to 1)"),
    (show("systems.x.cluster.gpus=2"), 2, "no item 'x' (expected 0 to 1)"),
    (show("systems.0.cluster.gpu=2"), 2, "systems[0].cluster.gpu: unknown key, did you mean gpus?"),
    (show("systems.0.layout.tpp=2"), 2, "systems[0].layout.tpp: unknown key, did you mean tp?"),
    (show("title.x=3"), 2, "title.x: 'title' holds no keys"),
    (show("systems.0.layout={tp: 8"), 2, "systems.0.layout:1: not YAML"),
    (show("title=a\nb: 3"), 2, "title: several lines (expected one line)"),
    (show("model="), 2, "command line: model: nothing"),
    (show("systems.0.measured="), 2, "systems[0].measured: no list"),
    (show(GPUS), 2, "systems[0].cluster.gpus: nothing (expected a whole number)"),
    (show("systems=[]"), 2, "systems: no systems (expected one or more)"),
    (show("systems=[3]"), 2, "systems[0]: no map (expected key: value lines)"),
    # names
    (show("systems.0.cluster.name=hgx-h100-superpd"), 2, "did you mean hgx-h100-superpod?"),
    (show("model=llama-3.1-405"), 2, "model: unknown 'llama-3.1-405' (did you mean llama-3.1-405b?"),
    (show("model=x.json"), 2, "model: no file 'x.json'"),
    (show("recipe=megatron-bridge-26.6"), 2,
     "recipe: unknown 'megatron-bridge-26.6' (did you mean megatron-bridge-26.06?"),
    (show("precision=fp9"), 2, "precision: 'fp9', did you mean fp8?"),
    (show("precision=nvfp4"), 2, "precision: NVIDIA H100 SXM 80 GB has no NVFP4 tensor cores"),
    (run("--calibration", "nosuch"), 2, "--calibration: unknown 'nosuch'"),
    (run("--calibration", "no.yaml"), 2, "--calibration: no file 'no.yaml'"),
    (run("--calibration", "empty.yaml"), 2, "empty.yaml:1: no keys"),
    (run("--calibration", "gpu.yaml"), 2, "gpu.yaml:2: sustained: 'fast' (expected a number)"),
    # numbers
    (show(TP + "0"), 2, "systems[0].layout.tp: 0 (expected a whole number, 1 to"),
    (show(TP + "-8"), 2, "systems[0].layout.tp: -8 (expected a whole number, 1 to"),
    (show(TP + "010"), 2, "systems[0].layout.tp: '010' (expected a whole number without leading"),
    (show(TP + "0x8"), 2, "systems[0].layout.tp: '0x8' (expected a whole number)"),
    (show(TP + "8.0"), 2, "systems[0].layout.tp: '8.0' (expected a whole number)"),
    (show(TP + "1_0"), 2, "systems[0].layout.tp: '1_0' (expected a whole number)"),
    (show(TP + "1e400"), 2, "systems[0].layout.tp: '1e400' (expected a whole number)"),
    (show(TP + "99999999999"), 2, "at most 2147483647"),
    (show(TP + "[8]"), 2, "systems[0].layout.tp: a list (expected a whole number)"),
    (show("systems.0.layout.sequence_parallel=yes"), 2, "'yes' (expected true or false)"),
    (show("systems.0.cluster.oversubscription=.inf"), 2, "oversubscription: '.inf' (expected a numb"),
    (show("systems.0.cluster.oversubscription=nan"), 2, "oversubscription: 'nan' (expected a number"),
    (show("systems.0.cluster.oversubscription=0"), 2, "oversubscription: 0 (expected 1 or more)"),
    (show("systems.0.cluster.nic_line_rate=400"), 2, "'400' (expected a rate with its unit, such as"),
    (show("systems.0.cluster.nic_line_rate=40 GB"), 2, "'40 GB' (expected a rate with its unit"),
    (show("systems.0.cluster.nic_line_rate=-1 GB/s"), 2, "'-1 GB/s' (expected 0 or more)"),
    (show("systems.0.cluster.nic_line_rate=0 GB/s"), 2,
     "command line: systems[0].cluster.nic_line_rate: zero (expected more than 0)"),
    (run("systems.0.cluster.nic_line_rate=1e-300 GB/s"), 2, "systems[0]: a step of more than 106"),
    (show("systems.0.published.step=5"), 2, "published.step: '5' (expected a time with its unit"),
    (show("systems.0.published.step=0 s"), 2, "published.step: zero or less (expected more than 0)"),
    (show("systems.0.published.step=-5 s"), 2, "published.step: '-5 s' (expected 0 or more)"),
    (show("systems.0.published.step=1e30 s"), 2, "published.step: '1e30 s' (expected less than 9.2e6"),
    (show("systems.0.published.tokens_per_s_per_gpu=0"), 2, "tokens_per_s_per_gpu: zero or less"),
    (show('systems.0.layout.tp={value: 8, source: "a guess"}'), 2, "'a guess' (expected a text that"),
    (show("seed=-1"), 2, "seed: -1 (expected 0 or more)"),
    (show("global_batch=0"), 2, "global_batch: 0 (expected 1 to 1000000000)"),
    (show("global_batch=922337203685477376"), 2, "expected 1 to 1000000000"),
    (show("global_batch=100000000"), 2, "micro-batches through 64 chunks"),
    (show("sequence_length=1e9"), 2, "sequence_length: '1e9' (expected a whole number)"),
    (show("sequence_length=1000000000000"), 2, "expected 1 to 1000000000"),
    # layouts and clusters that cannot be
    (show("systems.0.cluster.name=gb200-nvl72", GPUS + "73"), 2,
     "systems[0].cluster.gpus: 73 GPUs (gb200-nvl72 holds 72; gb200-nvl72-superpod goes to"),
    (show(GPUS + "-8"), 2, "systems[0].cluster.gpus: -8 GPUs"),
    (show(GPUS + "9223372036854775807"), 2, "holds 131072"),
    (show(TP + "3"), 2, "= 48 GPUs per replica (expected a divisor of the 1024 GPUs)"),
    (show(TP + "256", "systems.0.layout.pp=1", "systems.0.layout.vp=1"), 2,
     "tp: tp 256 (expected a divisor of llama-3.1-405b's 128 heads)"),
    (show("model=llama-2-70b"), 2, "llama-2-70b.json: 4096 positions for sequences of 8192 tokens"),
    (show("systems.0.layout.dp=3"), 2, "(expected 1024 GPUs in all, which is dp 8)"),
    (show("systems.0.layout.ep=2"), 2, "ep: ep 2 (expected 1: llama-3.1-405b has no experts)"),
    (show("systems.0.layout.cp=3", GPUS + "192"), 2, "cp"),
    (show("global_batch=1537"), 2, "(expected a divisor of the global batch of 1537)"),
    (show("global_batch=1544"), 2, "193 micro-batches (expected a multiple of pp 8 when vp is"),
    (show("systems.0.layout.vp=7"), 2, "(expected pp x vp among 1, 2, 4, 8, 16, 32, 64, 128; or uneven_layers: true)"),
    (show("systems.0.cluster.nvlink_domain=7"), 2, "nvlink_domain: 7 GPUs"),
    (show("systems.0.cluster.routing=ecpm"), 2, "'ecpm', did you mean ecmp?"),
    (show(FAULTS + "switch_chips=rack"), 2, "no list (expected a list, each such as rack 0 chip 3)"),
    (show(FAULTS + "switch_chips=[rack 99 chip 3]"), 2,
     "systems[0].cluster.faults.switch_chips[0]: 'rack 99 chip 3' (expected"),
    (show(FAULTS + "nics=[gpu 99999999999999999999]"), 2, "'gpu 99999999999999999999'"),
    (show("systems.1.cluster.fabric.resiliency=full",
          "systems.1.cluster.faults.switch_chips=[rack 0 chip 3]"), 2, "stops the NVLink partition"),
    (show("sweep=[1]"), 2, "sweep: no map (expected KEY: [VALUE, ...])"),
    (show("sweep={cluster.gpus: 512}"), 2, "sweep.cluster.gpus: no values (expected a list such as"),
    (show("sweep={cluster.gpu: [1]}"), 2, "systems[0].cluster.gpu: unknown key, did you mean gpus?"),
    # does not fit
    (run(TP + "4", "systems.0.layout.pp=4", "systems.1.layout.tp=1", "systems.1.layout.pp=8"), 3, "needs 159.3 GiB per GPU, which holds 78.5 GiB"),
    # the other commands
    (["compare"], 2, "compare: no file"),
    (["compare", "nosuch.h5"], 2, "nosuch.h5: cannot be read: No such file or directory"),
    (["compare", "text.h5"], 2, "text.h5: not a result file of nvl72sim"),
    (["compare", "empty.h5"], 2, "empty.h5: is empty"),
    (["compare", "folder"], 2, "folder: is a folder (expected a result file, .h5)"),
    (["compare", "text.h5", "--points", "a", "b"], 2, "--points: 'a' (expected a whole number)"),
    (["report"], 2, "report: no file"),
    (["topo"], 2, "topo: no cluster (expected a name; see nvl72sim list clusters)"),
    (["topo", "gb200-nvl7"], 2, "topo: unknown 'gb200-nvl7' (did you mean gb200-nvl72?"),
    (["topo", "{a: b}"], 2, "topo: unknown '{a: b}'"),
    (["topo", "gb200-nvl72", "--gpus", "73"], 2, "gpus: 73 GPUs (gb200-nvl72 holds 72"),
    (["topo", "gb200-nvl72", "--gpus", "x"], 2, "--gpus: 'x' (expected a whole number)"),
    (["topo", "gb200-nvl72", "hgx-h100"], 2, "hgx-h100: no value (expected KEY=VALUE)"),
    (["topo", "nosuch.xml"], 2, "nosuch.xml: no such file (expected NCCL's topology XML)"),
    (["topo", "gb200-nvl72", "--cluster", "hgx-h100"], 2, "--cluster: no FILE.xml to compare with"),
    (["topo", "localhost", "--format", "nccl-xml"], 2, "kind: threads of a host (expected a cluster"),
    (["topo", "gb200-nvl72", "faults.switch_chips=[rack 0 chip 3]", "--format", "nccl-xml"], 2,
     "--format nccl-xml: a cluster with faults (expected one as built"),
    (["list", "gpus", "--format", "nccl-xml"], 2, "--format: 'nccl-xml' (expected"),
    (["topo", "gb200-nvl72", "--graph", "svg"], 2, "--graph: 'svg' (expected dot)"),
    (["list"], 2, "list: 0 words (expected one of clusters, gpus"),
    (["list", "modles"], 2, "list: unknown 'modles' (did you mean models?"),
    (["list", "gpus", "models"], 2, "list: 2 words"),
    (["calibrate"], 2, "--from: missing"),
    (["calibrate", "--from", "other.csv"], 2, "-o: missing"),
    (["calibrate", "--from", "other.csv", "-o", "p.yaml"], 2, "other.csv:1: no measurements that we read"),
    (["calibrate", "--from", "empty.csv", "-o", "p.yaml"], 2, "empty.csv: empty (expected a table"),
    (["calibrate", "--from", "no.csv", "-o", "p.yaml"], 2, "no.csv: no such file"),
    (["calibrate", "--from", "folder", "-o", "p.yaml"], 2, "folder: nothing measured in this folder"),
    (["calibrate", "--from", KERNELS, "-o", "p.yaml"], 2, "--from: rows of b200, gb200, h100"),
    (["calibrate", "--from", KERNELS, "--gpu", "h101", "-o", "p.yaml"], 2, "--gpu: no rows of h101"),
    (["calibrate", "--from", KERNELS, "--gpu", "h100", "-o", "no/p.yaml"], 2, "no/p.yaml: cannot"),
    (["calibrate", "--from", KERNELS, "--gpu", "h100", "-o", "folder.yaml"], 2, "is a folder"),
    (["calibrate", "--from", KERNELS, "--gpu", "h100", "-o", "other.csv"], 2, "ends in .yaml"),
    (["calibrate", "x"], 2, "calibrate: 'x' (expected only options)"),
    (["collective"], 2, "--cluster: missing"),
    (["collective", "--cluster", "gb200-nvl72"], 2, "--op: missing (expected all_reduce"),
    (collective(cluster="gb200-nvl7"), 2, "--cluster: unknown 'gb200-nvl7' (did you mean gb200-nvl72"),
    (collective(op="all_reducee"), 2, "--op: unknown collective 'all_reducee' (did you mean all_red"),
    (collective("-b", "1Q"), 2, "-b: '1Q' (expected bytes such as"),
    (collective("-b", "0"), 2, "-b: 0 (expected at least 1 byte)"),
    (collective("-b", "-1"), 2, "-b: '-1' (expected bytes"),
    (collective("-b", "2M", "-e", "1M"), 2, "-e: smaller than -b"),
    (collective("-f", "0"), 2, "-f: 0 (expected 2 or more)"),
    (collective("-f", "1"), 2, "-f: 1 (expected 2 or more)"),
    (collective("-f", "2.5"), 2, "--factor: '2.5' (expected a whole number)"),
    (collective("-i", "0"), 2, "-i: 0 (expected at least 1 byte)"),
    (collective("-i", "1"), 2, "-i: more than 100000 rows"),
    (collective("-i", "1M", "-f", "2"), 2, "-i and -f: both given"),
    (collective("-b", "1", "-e", "2", op="all_gather"), 2, "leave nothing for each of 72 ranks"),
    (collective("-d", "flot"), 2, "--datatype: unknown 'flot' (did you mean float?"),
    (collective("--algorithm", "rang"), 2, "--algorithm: unknown 'rang' (did you mean ring?"),
    (collective("--algorithm", "nvls", cluster="dgx-a100-40gb"), 2, "algorithm nvls cannot run"),
    (collective("--gpus", "1"), 2, "--gpus: 1 (expected at least 2 for a collective)"),
    (collective("--gpus", "73"), 2, "gpus: 73 GPUs (gb200-nvl72 holds 72"),
    (collective("--fidelity", "step"), 2, "--fidelity: 'step' (expected activity | steps)"),
    (collective("extra"), 2, "extra: no value (expected KEY=VALUE)"),
    (collective("nic_line_rate=1e-300 GB/s", "--gpus", "16", cluster="hgx-h100-superpod"), 2, "106"),
]


def names_under(folder):
    return sorted(os.path.join(root, name) for root, folders, files in os.walk(folder)
                  for name in folders + files)


def problems(result, code, fragment):
    lines = result.stderr.splitlines()
    if result.returncode != code:
        yield "exit %d, not %d" % (result.returncode, code)
    if result.stdout:
        yield "stdout is not empty"
    if not lines or not lines[0].startswith("nvl72"):
        yield "the first line does not begin with the program's name"
    if code == 2 and len(lines) != 1:
        yield "%d lines, not one" % len(lines)
    if code == 3 and "total" not in result.stderr:
        yield "no table of who owns the memory"
    if fragment not in result.stderr:
        yield "lacks " + repr(fragment)
    for word in FOREIGN:
        if word in result.stderr:
            yield "shows " + repr(word)


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(folder + "/folder")
        os.mkdir(folder + "/folder.yaml")
        for name, text in FILES.items():
            with open(os.path.join(folder, name), "w") as out:
                out.write(text)
        before = names_under(folder)
        for arguments, code, fragment in MISTAKES:
            result = subprocess.run([PROGRAM, *arguments], cwd=folder, capture_output=True,
                                    text=True, timeout=60, check=False)
            found = list(problems(result, code, fragment))
            if names_under(folder) != before:
                found.append("wrote a file")
                before = names_under(folder)
            if found:
                failed += 1
                print(arguments, *found, result.stderr[:400], sep="\n    ")
        with open(folder + "/precious.yaml") as kept:
            if kept.read() != FILES["precious.yaml"]:
                failed += 1
                print("precious.yaml was changed")
    print("%d of %d mistakes answered badly" % (failed, len(MISTAKES)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
