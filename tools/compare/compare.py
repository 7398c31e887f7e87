#!/usr/bin/env python3
"""Times betty against Betty on PyTorch, PyTorch and JAX on this machine, on two threads, and prints ratios.

    python3 -m venv /tmp/compare && /tmp/compare/bin/pip install torch jax betty-ml
    /tmp/compare/bin/python tools/compare/compare.py [ROUNDS] [--data DIR]

Rounds interleave the libraries, so that another program on the machine slows all of them alike; the shortest over rounds of
the lowest decile in a round are compared. Threads that wait sleep instead of spinning in every other round of PyTorch, and
the better way counts: which one it is depends on what else runs. Peak memory is that of a process that does nothing but one
operation. The last table is a whole program, Meta-Weight-Net by finite differences beside Betty on PyTorch (`paper.py`), on the
digits of the example or on IDX files (`--data`).
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = str(ROOT / "tools" / "compare" / "reference.py")
PAPER = str(ROOT / "tools" / "compare" / "paper.py")
# After the step, as the Python library does it.
FINITE_DIFFERENCES = '{"net": {"start": "kept", "hypergradient": {"method": "finite_difference"}}}'
THREADS = dict(RAYON_NUM_THREADS="2", OMP_NUM_THREADS="2", MKL_NUM_THREADS="2")


def built(name, *command):
    """The program of this name that cargo builds."""
    command = ["cargo", *command, "--workspace", "--message-format=json"]
    messages = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in messages.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == name and message.get("executable"):
            return message["executable"]
    sys.exit(f"cargo built nothing named `{name}`")


def machine():
    """What the numbers were had on, and with."""
    information = pathlib.Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", information.read_text()) if information.exists() else []
    burn = re.search(r'name = "burn"\nversion = "(.*)"', (ROOT / "Cargo.lock").read_text())
    versions = [f"Burn {burn[1]}" if burn else "Burn ?"]
    versions += [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "jax", "betty-ml")]
    load = " ".join(f"{load:.2f}" for load in os.getloadavg())
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, load {load}; {platform.system()}; {', '.join(versions)}"


def measure(command, waiting="active"):
    environment = os.environ | THREADS | {"OMP_WAIT_POLICY": waiting}
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    rows = [line.split("\t") for line in run.stdout.splitlines() if "\t" in line]
    # Betty's own messages are no numbers.
    return {row[0]: float(row[1]) for row in rows if len(row) == 2 and row[1].replace(".", "").isdigit()}


def shortest(runs):
    return {name: min(run[name] for run in runs) for name in runs[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", type=int, nargs="?", default=5, metavar="ROUNDS")
    parser.add_argument("--data", help="folder of IDX files for Meta-Weight-Net, in the place of the built-in digits")
    options = parser.parse_args()
    rounds = options.rounds
    sides = {
        "betty": [built("compare", "bench", "--bench", "compare", "--no-run")],
        "torch": [sys.executable, REFERENCE, "torch"],
        "jax": [sys.executable, REFERENCE, "jax"],
    }
    program = built("long_tail", "build", "--release", "--bin", "long_tail")
    print(machine(), flush=True)
    taken = {"betty": [], "torch": [], "torch, passive": [], "jax": []}
    for _ in range(rounds):
        for side, runs in taken.items():
            waiting = "passive" if side.endswith("passive") else "active"
            runs.append(measure(sides[side.split(",")[0]], waiting))
    best = {side: shortest(runs) for side, runs in taken.items()}
    passive = best.pop("torch, passive")
    best["torch"] = {name: min(ms, passive[name]) for name, ms in best["torch"].items()}

    print(f"milliseconds, {rounds} interleaved rounds, 2 threads; ratios are ours to theirs\n")
    print(f"{'':36}{'betty':>8}{'PyTorch':>9}{'ratio':>7}{'JAX':>8}{'ratio':>7}")
    for name, ms in best["betty"].items():
        if name == "peak memory":
            continue
        row = f"{name:36}{ms:8.2f}"
        for side, width in (("torch", 9), ("jax", 8)):
            theirs = best[side].get(name)
            row += f"{theirs:{width}.2f}{ms / theirs:7.2f}" if theirs else ""
        print(row)
    print("\npeak memory of the process in MiB", flush=True)
    for name in best["betty"]:
        if name != "peak memory":
            peaks = [measure(sides[side] + [name], "passive")["peak memory"] / 1024 for side in ("betty", "torch")]
            print(f"{name:36}{peaks[0]:8.0f}{peaks[1]:9.0f}{peaks[0] / peaks[1]:7.2f}")
    print("\nMeta-Weight-Net by finite differences", flush=True)
    command = [sys.executable, PAPER, "--program", program, "--numbers", FINITE_DIFFERENCES]
    command += ["--imbalance", "100", "--seeds", str(rounds)] + (["--data", options.data] if options.data else [])
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
