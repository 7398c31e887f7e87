#!/usr/bin/env python3
"""Times betty against Betty on PyTorch, PyTorch and JAX on this machine, on two threads, and prints ratios.

    python3 -m venv /tmp/compare && /tmp/compare/bin/pip install torch jax betty-ml
    /tmp/compare/bin/python tools/compare/compare.py [ROUNDS]

Rounds interleave the libraries, so that another program on the machine slows all of them alike; the medians over rounds of
the lowest decile in a round are compared. Threads that wait sleep instead of spinning in every other round of PyTorch, and
the better way counts: which one it is depends on what else runs. Peak memory is that of a process that does nothing but one
operation.
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


def measure(command, waiting="active"):
    environment = os.environ | THREADS | {"OMP_WAIT_POLICY": waiting}
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    rows = [line.split("\t") for line in run.stdout.splitlines() if "\t" in line]
    # Betty's own messages are no numbers.
    return {row[0]: float(row[1]) for row in rows if len(row) == 2 and row[1].replace(".", "").isdigit()}


def medians(runs):
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    sides = {
        "betty": [ours()],
        "torch": [sys.executable, REFERENCE, "torch"],
        "jax": [sys.executable, REFERENCE, "jax"],
    }
    taken = {"betty": [], "torch": [], "torch, passive": [], "jax": []}
    for _ in range(rounds):
        for side, runs in taken.items():
            waiting = "passive" if side.endswith("passive") else "active"
            runs.append(measure(sides[side.split(",")[0]], waiting))
    median = {side: medians(runs) for side, runs in taken.items()}
    passive = median.pop("torch, passive")
    median["torch"] = {name: min(ms, passive[name]) for name, ms in median["torch"].items()}

    print(f"milliseconds, {rounds} interleaved rounds, 2 threads; ratios are ours to theirs\n")
    print(f"{'':36}{'betty':>8}{'PyTorch':>9}{'ratio':>7}{'JAX':>8}{'ratio':>7}")
    for name, ms in median["betty"].items():
        if name == "peak memory":
            continue
        row = f"{name:36}{ms:8.2f}"
        for side, width in (("torch", 9), ("jax", 8)):
            theirs = median[side].get(name)
            row += f"{theirs:{width}.2f}{ms / theirs:7.2f}" if theirs else ""
        print(row)
    print("\npeak memory of the process in MiB", flush=True)
    for name in median["betty"]:
        if name != "peak memory":
            peaks = [measure(sides[side] + [name], "passive")["peak memory"] / 1024 for side in ("betty", "torch")]
            print(f"{name:36}{peaks[0]:8.0f}{peaks[1]:9.0f}{peaks[0] / peaks[1]:7.2f}")


if __name__ == "__main__":
    main()
