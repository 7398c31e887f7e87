#!/usr/bin/env python3
"""Reads event files that betty has written with TensorBoard itself, and compares every number with the table of the same run.

    python3 -m venv /tmp/tensorboard && /tmp/tensorboard/bin/pip install tensorboard
    /tmp/tensorboard/bin/python tools/tensorboard/check.py

The run was interrupted and gone on with, so this also tells whether TensorBoard forgets what was written after the checkpoint.
"""

import csv
import math
import os
import subprocess
import sys
import tempfile

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.util import tensor_util


def expected(path):
    """Iteration and last value by tag, as the table says."""
    series = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            tag = f"{row['level']}/{row['quantity']}"
            series.setdefault(tag, {})[int(row["iteration"])] = float(row["value"])
    return series


def main():
    with tempfile.TemporaryDirectory() as folder:
        command = ["cargo", "test", "--workspace", "--test", "watch", "every_run_has_a_file"]
        subprocess.run(command, check=True, env={**os.environ, "BETTY_TENSORBOARD": folder}, stdout=subprocess.DEVNULL)
        events = event_accumulator.EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        series = expected(os.path.join(folder, "run.csv"))
        tags = set(events.Tags()["scalars"])
        assert tags == set(series), (tags ^ set(series))
        count = 0
        for tag, values in series.items():
            read = {event.step: event.value for event in events.Scalars(tag)}
            assert len(events.Scalars(tag)) == len(read), f"{tag}: an iteration twice"
            assert read.keys() == values.keys(), (tag, sorted(read), sorted(values))
            for iteration, value in values.items():
                assert math.isclose(read[iteration], value, rel_tol=1e-6, abs_tol=1e-30), (tag, iteration)
                count += 1
        text = events.Tensors("config")[0].tensor_proto
        assert b'"momentum": 0.5' in tensor_util.make_ndarray(text)[0], text
    print(f"TensorBoard reads {count} numbers of {len(series)} curves as they were written")


if __name__ == "__main__":
    sys.exit(main())
