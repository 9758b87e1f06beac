#!/usr/bin/env python3
"""Checks that includes point one way: a room includes only rooms above it.

usage: arrows.py [--self-test] [ROOT]

The order of the rooms is that of the nvl72_room(...) lines in CMakeLists.txt; sim/app comes last.
kernels has rooms of its own; it includes nothing of the simulator, nor the simulator of it.
Prints one line per wrong arrow, `file:line: found (expected)`, and exits 1 if there is any.
"""
import re
import sys
import tempfile
from pathlib import Path

SOURCES = {".hpp", ".cpp", ".h", ".cuh", ".cu"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
ROOM = re.compile(r"^nvl72_room\(\w+\s+([\w/]+)", re.MULTILINE)
KERNEL_ROOMS = ["kernels/team", "kernels/collective", "kernels/launch", "kernels/measure"]
MAP_ROW = re.compile(r"^\|\s*`((?:sim/)?\w+)`\s*\|")


def room_order(root):
    return ROOM.findall((root / "CMakeLists.txt").read_text()) + ["sim/app"]


def sources(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix in SOURCES) if folder.is_dir() else []


def includes(path):
    """(line number, '<' or '"', included path) of each include."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if found := INCLUDE.match(line):
            yield number, found[1], found[2]


def room_of(path, order):
    """The room that a path relative to the root lies in, or None."""
    return next((room for room in order if path.startswith(room + "/")), None)


def room_faults(root, order):
    """Wrong includes of sim/** and topology/**."""
    for path in sources(root / "sim") + sources(root / "topology"):
        name = path.relative_to(root).as_posix()
        room = room_of(name, order)
        if room is None:
            yield f"{name}:1: lies in no room (expected a room with an nvl72_room line in CMakeLists.txt)"
            continue
        for number, quote, included in includes(path):
            where = f"{name}:{number}: "
            target = room_of(included, order)
            if included.startswith("kernels/"):
                yield f"{where}{room} includes {included} (expected nothing of kernels)"
            elif target and order.index(target) > order.index(room):
                yield f"{where}{room} includes {included} (expected only rooms above {room})"
            elif target is None and quote == '"':
                yield f'{where}"{included}" names no room (expected a path from the root, like "sim/base/units.hpp")'


def kernel_faults(root):
    """kernels meets the simulator only through a samples file; its rooms too include only upwards."""
    for path in sources(root / "kernels"):
        name = path.relative_to(root).as_posix()
        room = room_of(name, KERNEL_ROOMS)
        for number, _, included in includes(path):
            target = room_of(included, KERNEL_ROOMS)
            if re.search(r"(^|/)(sim|topology)/", included):
                yield f"{name}:{number}: kernels includes {included} (expected nothing of sim or topology)"
            elif room and target and KERNEL_ROOMS.index(target) > KERNEL_ROOMS.index(room):
                yield f"{name}:{number}: {room} includes {included} (expected only rooms above {room})"


def map_faults(root, order):
    """Every room that has files has a README and its row, in order, in sim/README.md."""
    house = root / "sim" / "README.md"
    lines = house.read_text().splitlines() if house.is_file() else []
    rows = [(number, row[1]) for number, line in enumerate(lines, 1) if (row := MAP_ROW.match(line))]
    rows = [(number, room) for number, room in rows if room in order]
    for room in order:
        folder = root / room
        if not folder.is_dir() or not any(p.is_file() for p in folder.rglob("*")):
            continue
        if not (folder / "README.md").is_file():
            yield f"{room}/README.md:1: missing (expected what comes in, what goes out, where to add one more)"
        if room not in (named for _, named in rows):
            yield f"sim/README.md:1: {room} is not on the map (expected a row `{room}`)"
    for (_, above), (number, below) in zip(rows, rows[1:]):
        if order.index(below) < order.index(above):
            yield f"sim/README.md:{number}: {below} stands below {above} (expected CMakeLists.txt's order)"


def faults(root):
    order = room_order(root)
    return [*room_faults(root, order), *kernel_faults(root), *map_faults(root, order)]


def self_test():
    """A toy house is clean; each wrong arrow put into it is caught, and nothing else."""
    clean = {
        "CMakeLists.txt": "nvl72_room(base sim/base fmt)\nnvl72_room(config sim/config)\nnvl72_room(topology topology)\n",
        "sim/README.md": "| room |\n|---|\n| `sim/base` | x |\n| `sim/config` | x |\n| `topology` | x |\n| `sim/app` | x |\n",
        "sim/base/README.md": "", "sim/config/README.md": "", "topology/README.md": "", "sim/app/README.md": "",
        "sim/base/a.hpp": "#include <vector>\n",
        "sim/config/b.cpp": '#include "sim/config/b.hpp"\n#include "sim/base/a.hpp"\n#include <fmt/format.h>\n',
        "topology/c.cpp": '#include "sim/config/b.hpp"\n',
        "sim/app/main.cpp": '#include "topology/c.hpp"\n',
        "kernels/k.hpp": '#include "kernels/team.hpp"\n',
    }
    wrong = [
        ("sim/base/a.hpp", '\n#include "sim/config/b.hpp"\n', "sim/base/a.hpp:2: sim/base includes"),
        ("sim/base/a.hpp", "#include <topology/c.hpp>\n", "sim/base/a.hpp:1: sim/base includes"),
        ("sim/config/b.cpp", '# include "sim/app/command.hpp"\n', "sim/config/b.cpp:1: sim/config includes"),
        ("topology/c.cpp", '#include "kernels/k.hpp"\n', "topology/c.cpp:1: topology includes kernels/"),
        ("kernels/k.hpp", '#include "../sim/base/a.hpp"\n', "kernels/k.hpp:1: kernels includes"),
        ("kernels/team/t.hpp", '#include "kernels/launch/l.hpp"\n', "kernels/team/t.hpp:1: kernels/team includes"),
        ("kernels/team/t.hpp", "#include <sim/base/a.hpp>\n", "kernels/team/t.hpp:1: kernels includes"),
        ("sim/config/b.cpp", '#include "../base/a.hpp"\n', 'sim/config/b.cpp:1: "../base/a.hpp" names no room'),
        ("sim/attic/d.cpp", "", "sim/attic/d.cpp:1: lies in no room"),
        ("sim/config/README.md", None, "sim/config/README.md:1: missing"),
        ("sim/README.md", "| `sim/base` |\n| `topology` |\n| `sim/app` |\n", "sim/README.md:1: sim/config is not on"),
        ("sim/README.md", "| `sim/config` |\n| `sim/base` |\n| `topology` |\n| `sim/app` |\n",
         "sim/README.md:2: sim/base stands below sim/config"),
    ]

    def faults_of(files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                if text is not None:
                    path = Path(folder) / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
            return faults(Path(folder))

    found = faults_of(clean)
    assert found == [], f"the clean house has faults: {found}"
    for name, text, expected in wrong:
        found = faults_of({**clean, name: text})
        assert len(found) == 1 and found[0].startswith(expected), f"expected '{expected}', found {found}"
    print(f"arrows: self-test passed, {len(wrong)} wrong arrows caught")


def main(arguments):
    if "--help" in arguments:
        print(__doc__)
        return 0
    if "--self-test" in arguments:
        self_test()
        return 0
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]
    found = faults(root)
    for line in found:
        print(line)
    print(f"arrows: {len(found)} faults" if found else "arrows: all includes point up")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
