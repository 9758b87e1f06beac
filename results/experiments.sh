#!/usr/bin/env bash
# Runs every shipped experiment that states an answer, and writes into results/README.md a
# question, a sentence and a picture for each. A few minutes on two cores.
#   results/experiments.sh [PROGRAM]       default: build/release/nvl72sim
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=$(realpath "${1:-build/release/nvl72sim}")
work=build/experiments
rm -rf "$work"
mkdir -p "$work" results/figures
export NVL72SIM_CONFIGS=$PWD/configs

for config in $(grep -l '^answer:' configs/experiments/*.yaml); do
  name=$(basename "$config" .yaml)
  "$program" run "$name" --threads 2 -q --trace summary -o "$work/$name.h5" > "$work/$name.txt"
done
"$program" report "$work"/*.h5 -o "$work/figures" > /dev/null

/usr/bin/python3 - "$work" results/README.md <<'PYTHON'
import pathlib
import re
import sys

import h5py
from PIL import Image

work, page = map(pathlib.Path, sys.argv[1:])
parts = []
for path in sorted(work.glob("*.h5")):
    with h5py.File(path) as file:
        text = file["strings"].asstr()[:]
        words = dict(zip(text[file["answer"]["key"][:]], text[file["answer"]["text"][:]]))
    part = f"### {path.stem}\n\n**{words['question']}** {words['answer']}\n"
    for kind in ("answer", "scaling"):
        picture = work / "figures" / f"{path.stem}-{kind}.png"
        if picture.exists():
            # 64 colours are enough for lines and bars, and halve the file.
            Image.open(picture).convert("RGB").quantize(64).save(
                pathlib.Path("results/figures", picture.name), optimize=True)
            part += f"\n![{words['question']}](figures/{picture.name})\n"
            break
    parts.append(part)
page.write_text(re.sub(r"(<!-- experiments -->)\n.*?(<!-- end -->)",
                       lambda match: f"{match[1]}\n" + "\n".join(parts) + match[2],
                       page.read_text(), flags=re.S))
PYTHON
echo "wrote results/README.md's experiments and results/figures"
