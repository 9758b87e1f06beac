#!/usr/bin/env python3
"""Checks that kernels/ has one atomic, of system scope: the alias SystemAtomic.

usage: atomics.py [--self-test] [ROOT]

ThreadSanitizer cannot see a scope that is too narrow (a block's for a system's), so no other atomic may
stand in kernels/. Prints `file:line: found (expected)` and exits 1 if there is any.
"""
import re
import sys
import tempfile
from pathlib import Path

ALIAS_FILE = "kernels/team/platform.hpp"
ALIAS = "using SystemAtomic = cuda::atomic_ref<std::uint64_t, cuda::thread_scope_system>;"
OTHER = re.compile(
    r"\b(atomic_ref|atomic|atomic_flag|atomic_thread_fence|thread_scope\w*)\b(?!>$)"
    r"|\b(atomic[A-Z]\w*|__atomic_\w+|__sync_\w+|__threadfence\w*|volatile\s+\w)"
    r"|\b(?:atom|red|fence|membar)\.|\b(?:ld|st)\.(?:acquire|release|volatile|relaxed)")
INCLUDE = re.compile(r"^\s*#\s*include\s*<(cuda/)?(std/)?atomic>")


def faults(root):
    found = []
    for path in sorted((root / "kernels").rglob("*")):
        if path.suffix not in {".hpp", ".cpp", ".cu", ".cuh", ".h"}:
            continue
        name = path.relative_to(root).as_posix()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = re.sub(r"//.*", "", line)
            if name == ALIAS_FILE and (code.strip() == ALIAS or INCLUDE.match(code)):
                continue
            # The multimem instructions are no flags: NvlsAllReduce orders them by messages.
            code = code.replace("asm volatile(", "asm(").replace("multimem.st.relaxed", "")
            if match := OTHER.search(code) or INCLUDE.match(code):
                found.append(f"{name}:{number}: {match[0].strip()} (expected only SystemAtomic)")
    if ALIAS not in (root / ALIAS_FILE).read_text():
        found.append(f"{ALIAS_FILE}:1: no '{ALIAS}'")
    return found


def self_test():
    wrong = ["cuda::atomic_ref<int, cuda::thread_scope_system> x(y);", "std::atomic<int> x;",
             "#include <atomic>", "atomicAdd(p, 1);", "__threadfence_system();", "volatile int x;",
             "cuda::atomic_thread_fence(cuda::memory_order_seq_cst);", 'asm("st.release.gpu.u32");',
             "__atomic_load_n(p, 0);", 'asm volatile("fence.acq_rel.sys;");']
    right = ["SystemAtomic const word(x);  // not std::atomic", 'asm volatile("multimem.st.relaxed.sys");']
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        alias = root / ALIAS_FILE
        alias.parent.mkdir(parents=True)
        alias.write_text(f"#include <cuda/atomic>\n{ALIAS}\n")
        other = root / "kernels/other.cu"
        for line in wrong + right:
            other.write_text(line + "\n")
            assert len(faults(root)) == (line in wrong), f"{line}: {faults(root)}"
        other.unlink()
        alias.write_text(f"#include <cuda/atomic>\n{ALIAS.replace('system', 'block')}\n")
        assert faults(root), "an alias of block scope passed"
    print(f"atomics: self-test passed, {len(wrong) + 1} caught")


def main(arguments):
    if "--help" in arguments:
        print(__doc__)
        return 0
    if "--self-test" in arguments:
        self_test()
        return 0
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]
    found = faults(root)
    print("\n".join(found) if found else "atomics: SystemAtomic is the only one")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
