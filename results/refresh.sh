#!/usr/bin/env bash
# Runs what README.md and the guides cite and writes it into them: the blocks between
# `<!-- output: NAME -->` and `<!-- end -->`, and the pictures in results/figures.
#   results/refresh.sh [PROGRAM]       default: build/release/nvl72sim
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=$(realpath "${1:-build/release/nvl72sim}")
work=build/refresh
rm -rf "$work"
mkdir -p "$work/blocks" results/figures
export NVL72SIM_CONFIGS=$PWD/configs

# block NAME COMMAND...: what a terminal shows of it, progress aside. A command that fails stops the
# script, except in the block that shows an error.
block() {
  local name=$1 word line='nvl72sim' code=0 expected=0; shift
  if [[ $name == typo ]]; then expected=2; fi
  for word in "$@"; do if [[ $word == *[\ \[]* ]]; then line+=" '$word'"; else line+=" $word"; fi; done
  (cd "$work" && "$program" "$@" > "$OLDPWD/$work/out" 2>&1) || code=$?
  if ((code != expected)); then cat "$work/out" >&2; exit 1; fi
  {
    echo '```text'
    echo "\$ $line"
    sed -e "s#$PWD/##g" -e 's/ *$//' -e '/^wrote /d' -e '/points$/d' "$work/out"
    echo '```'
  } > "$work/blocks/$name"
}

for experiment in llama405b-strong-scaling llama-dense-published dense-held-out; do
  "$program" run "$experiment" --threads 2 -q -o "$work/$experiment.h5" > "$work/$experiment.txt"
done
block first-run run llama405b-hopper-vs-nvl72
block sensitivity run llama405b-hopper-vs-nvl72 --sensitivity
sed -i -n -e '1,2p' -e '/what would help/,/^.*: 10 % more/p' -e '$p' "$work/blocks/sensitivity"
block compare compare llama405b-hopper-vs-nvl72.h5
block collective collective --cluster gb200-nvl72 --op all_reduce --gpus 72 -b 512M -e 8G -f 2
block failed-plane collective -q --cluster gb200-nvl72 --op all_reduce --gpus 72 -b 8G -e 8G --format csv 'faults.switch_chips=[rack 0 chip 3]'
block topo topo gb200-nvl72 'faults.switch_chips=[rack 0 chip 3]'
sed -i -n '1,3p;/fact .*value/p;/planes up/p;/NVLink left/p;/bisection/p;/copper/p;/check one_hop/p;$p' "$work/blocks/topo"
block calibrate calibrate --from ../../configs/measurements --gpu h100 -o h100.yaml
sed -i 's#--from ../../#--from #' "$work/blocks/calibrate"
block validate validate --table training
# Collectives by place, size and fabric: the shipped tables, and each cluster left out of its fabric's fit.
{
  echo '# Collectives: predicted against measured'
  echo
  echo 'Written by results/refresh.sh from `nvl72sim validate --table collectives` and'
  echo '`nvl72sim calibrate --from configs/measurements --fit-fabric NAME`.'
  for fabric in infiniband roce efa slingshot tcpx tcpxo unknown; do
    printf '\n## Fabric %s\n\n```text\n' "$fabric"
    "$program" calibrate -q --from configs/measurements --fit-fabric "$fabric" -o "$work/$fabric.yaml" | sed 's/ *$//'
    echo '```'
  done
  printf '\n## By size and place\n\n```text\n'
  "$program" validate -q --table collectives --measurements configs/measurements/collectives |
    sed -n -e '/group  .*rows/h' -e '/  across [<>1]/H' -e '/  in box or tray [<>5]/H' -e '/  in rack/H' -e '${x;p}' | sed 's/ *$//'
  echo '```'
  echo
  echo "## Several racks, predicted (the measurements are not known here)"
  echo
  for gpus in 192 1440; do
    echo "All-reduce over $gpus GB200, racks of 72, one 400 Gb/s NIC a GPU:"
    echo
    echo '```text'
    "$program" collective --cluster gb200-nvl72-superpod --gpus $gpus --op all_reduce -b 512M -e 16G |
      sed -n -e '/^ *[0-9]/p' -e '/% of measured/p' | sed 's/ *$//'
    echo '```'
    echo
  done
} > results/collectives.md
{
  echo "# Published training runs, predicted"
  echo
  echo "\`nvl72sim validate --table training --measurements configs/measurements/training/runs.csv\`, by GPU and kind of model."
  echo "Fourteen constants were fitted to 130 of these rows, so that this is no test of rows unseen; GPT-OSS-120B, where an"
  echo "unexplained factor stands in the data, faulty rows, Llama 3's paper, DeepSeek's own run and Phi-4 were not fitted to."
  echo
  echo '```'
  "$program" validate -q --table training --measurements configs/measurements/training/runs.csv |
    awk 'BEGIN { RS = ""; ORS = "\n\n" } /  training dense / || /one job on two GPUs/' | sed -e 's/ *$//' -e '$d'
  echo '```'
  printf '\n## With a layout, a model, a system or a release left out\n\n'
  echo '`nvl72sim calibrate --from configs/measurements/training -o FOLDER`; "apart" was not fitted to.'
  printf '\n```text\n'
  "$program" calibrate -q --from configs/measurements/training -o "$work/constants" | sed 's/ *$//'
  echo '```'
} > results/training.md
# Served requests and node power: every row in the summary's groups.
for table in serving power; do
  echo "# Measured $table, predicted"
  printf '\nWritten by results/refresh.sh from `nvl72sim validate --table %s`.\n\n```text\n' "$table"
  "$program" validate -q --table "$table" | sed -e "s#$PWD/##g" -e 's/ *$//'
  echo '```'
done > "$work/serving-power"
sed -n '/^# Measured serving/,/^# Measured power/p' "$work/serving-power" | sed '$d' > results/serving.md
sed -n '/^# Measured power/,$p' "$work/serving-power" > results/power.md
block typo run llama405b-hopper-vs-nvl72 systems.0.layout.tpp=4

# accuracy BLOCK EXPERIMENT...: predicted against published, all rows that have a published figure.
accuracy() {
  local block=$1; shift
  /usr/bin/python3 - "$work" "$@" > "$work/blocks/$block" <<'PYTHON'
import statistics
import sys

import h5py

print("| run | GPUs | batch | precision | recipe | predicted | published | error |")
print("|---|--:|--:|---|---|--:|--:|--:|")
errors = []
for name in sys.argv[2:]:
    with h5py.File(f"{sys.argv[1]}/{name}.h5") as file:
        text = file["strings"].asstr()[:]
        sweep = {key: column[:] for key, column in file["sweep"].items()}
    for i, error in enumerate(sweep["error"]):
        if error != error:
            continue
        errors.append(abs(error))
        word = lambda column: text[sweep[column][i]]
        print(f"| {word('model')} on {word('cluster').removesuffix('-superpod')} | {sweep['gpus'][i]:,} "
              f"| {sweep['global_batch'][i]:,} | {word('precision')} | {word('recipe')} "
              f"| {sweep['tokens_per_s_per_gpu'][i]:,.0f} "
              f"| {sweep['published_tokens_per_s_per_gpu'][i]:,.0f} | {100 * error:+.1f} % |")
print(f"\nTokens/s per GPU. {len(errors)} rows: median error {100 * statistics.median(errors):.1f} %, "
      f"mean {100 * statistics.mean(errors):.1f} %, worst {100 * max(errors):.1f} %.")
PYTHON
}
accuracy accuracy llama405b-strong-scaling llama-dense-published
accuracy held-out dense-held-out

"$program" validate --format csv > "$work/validate.csv" 2> /dev/null
"$program" report "$work"/*.h5 "$work/validate.csv" -o "$work/figures" > /dev/null
for picture in llama405b-hopper-vs-nvl72-breakdown llama405b-hopper-vs-nvl72-timeline-0 \
               llama405b-hopper-vs-nvl72-sensitivity \
               llama405b-strong-scaling-scaling llama-dense-published-published \
               validate-collectives validate-training; do
  cp "$work/figures/$picture.png" results/figures/
done

/usr/bin/python3 - "$work/blocks" README.md <<'PYTHON'
import pathlib
import re
import sys

blocks = pathlib.Path(sys.argv[1])
for page in map(pathlib.Path, sys.argv[2:]):
    def fresh(match):
        return f"{match[1]}\n{(blocks / match[2]).read_text().rstrip()}\n{match[3]}"
    page.write_text(re.sub(r"(<!-- output: (\S+) -->)\n.*?(<!-- end -->)", fresh,
                           page.read_text(), flags=re.S))
PYTHON
results/experiments.sh "$program"
cat "$work/blocks/accuracy"
echo "wrote README.md's blocks and results/figures"
