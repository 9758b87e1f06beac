#!/usr/bin/env bash
# Done-when 2 of the calibration: does a profile of this host predict a repeat measurement of it?
# Calibrates on two CPU threads, measures again, and compares (2 ranks, 4 KiB and up, out of place, the
# best of 5 blocks a case). Passes at a median difference of at most 15 %. Outside the test suite: it
# needs minutes, and a machine whose load does not change in between.
#   usage: results/host_repeat.sh [BUILD_FOLDER]     default: build/release
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=$(realpath "${1:-build/release}")
options="--quick --only collectives --ranks 2 -b 4K -e 4M -f 4 --blocks 5"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$build/nvl72sim" calibrate --device host --measure "$options" -o "$folder/host.yaml"
# shellcheck disable=SC2086
"${NVL72_MEASURE:-$build/nvl72-measure}" --device host $options --seed 2 -o "$folder/again.h5" > /dev/null
"$build/nvl72sim" calibrate --compare "$folder/host.yaml" --from "$folder/again.h5" | tee "$folder/table.txt"
awk '/median difference of/ { found = 1; share = $(NF - 1); exit !(share <= 15) } END { if (!found) exit 1 }' \
  "$folder/table.txt" || { echo "host_repeat: more than 15 %" >&2; exit 1; }
