#!/usr/bin/env python3
"""Times betty against Betty on PyTorch, PyTorch and JAX on this machine, on two threads, and prints ratios.

    python3 -m venv /tmp/compare && /tmp/compare/bin/pip install torch jax betty-ml
    /tmp/compare/bin/python tools/compare/compare.py [ROUNDS]

Rounds interleave the libraries, so that another program on the machine slows all of them alike; medians over rounds are
compared. Peak memory is that of a process that does nothing but one operation.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = str(ROOT / "tools" / "compare" / "reference.py")
THREADS = dict(RAYON_NUM_THREADS="2", OMP_NUM_THREADS="2", MKL_NUM_THREADS="2")


def ours():
    command = ["cargo", "bench", "--workspace", "--bench", "compare", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in built.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == "compare" and message.get("executable"):
            return message["executable"]
    sys.exit("cargo built no benchmark named `compare`")


def measure(command):
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | THREADS)
    rows = [line.split("\t") for line in run.stdout.splitlines() if "\t" in line]
    return {name: float(value) for name, value in rows}


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    sides = {
        "betty": [ours()],
        "torch": [sys.executable, REFERENCE, "torch"],
        "jax": [sys.executable, REFERENCE, "jax"],
    }
    taken = {side: [] for side in sides}
    for _ in range(rounds):
        for side, command in sides.items():
            taken[side].append(measure(command))
    median = {
        side: {name: statistics.median(run[name] for run in runs) for name in runs[0]} for side, runs in taken.items()
    }
    print(f"median milliseconds over {rounds} interleaved rounds, 2 threads; ratios are ours to theirs\n")
    print(f"{'':28}{'betty':>8}{'PyTorch':>9}{'ratio':>7}{'JAX':>8}{'ratio':>7}")
    for name, ms in median["betty"].items():
        if name == "peak memory":
            continue
        row = f"{name:28}{ms:8.2f}"
        for side in ("torch", "jax"):
            theirs = median[side].get(name)
            row += f"{theirs:9.2f}{ms / theirs:7.2f}" if theirs else f"{'':16}"
        print(row)
    print("\npeak memory of the process in MiB")
    for name in median["betty"]:
        if name != "peak memory":
            peaks = [measure(sides[side] + [name])["peak memory"] / 1024 for side in ("betty", "torch")]
            print(f"{name:28}{peaks[0]:8.0f}{peaks[1]:9.0f}{peaks[0] / peaks[1]:7.2f}")


if __name__ == "__main__":
    main()
