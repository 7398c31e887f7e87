#!/usr/bin/env python3
"""Meta-Weight-Net on a long tail with the Python library (betty-ml on PyTorch) and with this one: accuracy, time and peak memory.

    python3 -m venv /tmp/compare && /tmp/compare/bin/pip install torch betty-ml
    cargo build --release -p betty-examples --bin long_tail
    /tmp/compare/bin/python tools/compare/paper.py [--data DIR] [--imbalance 200 100 50] [--steps 300] [--seeds 3]

Both sides train the network of the example `long_tail` without weights, and then under weights that are learned, with the numbers
that `long_tail --print-config` prints, on two threads. The data are those of the example, by default its digits, or IDX files; each
side draws its long tail, its initial parameters (from the same distributions) and its batches by the generator of its own language,
so seeds are as many, and not the same draws. The Python library runs as its own example of this method does: its default, finite
differences, once for each step of the classifier. Here, the weights look one step ahead (`unrolled`), unless `--numbers` says otherwise:
with `{"net": {"start": "kept", "hypergradient": {"method": "finite_difference"}}}` both sides do the same.

The version of it that pip installs, 0.1.1, leaves the classifier displaced after each difference: an extra step of length 0.01 down the
loss of the balanced examples. Its source was mended since (leopard-ai/betty, 7573af4). The displacement is taken back here as well, unless
`--as-installed` asks for what is installed.

Time is that of a training, without reading data and testing, and the last column is the ratio of ours to theirs. Memory is the most that the process held which did all trainings of a
seed: two on the Python side, and five on this one, which has more to compare.
"""

import argparse
import gzip
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BALANCED, CHANNELS, HIDDEN, AT_ONCE = 10, (16, 32), 32, 1000
THREADS = dict(RAYON_NUM_THREADS="2", OMP_NUM_THREADS="2", MKL_NUM_THREADS="2")


def digits():
    """The example's digits and how it splits them: pixels in 5 bits, then the class."""
    import numpy as np

    packed = np.fromfile(ROOT / "betty-examples" / "data" / "digits.bin", dtype=np.uint8).reshape(-1, 41)
    bits = np.unpackbits(packed[:, :40], axis=1, bitorder="little").reshape(len(packed), 64, 5)
    images = (bits * (1 << np.arange(5))).sum(-1).astype(np.float32).reshape(-1, 1, 8, 8) / 16
    labels = packed[:, 40].astype(np.int64)
    test = np.arange(len(labels)) % 3 == 0
    return (images[~test], labels[~test]), (images[test], labels[test])


def idx(folder):
    import numpy as np

    def values(name):
        file = pathlib.Path(folder) / name
        content = file.read_bytes() if file.exists() else gzip.open(f"{file}.gz").read()
        sizes = np.frombuffer(content, dtype=">u4", count=content[3], offset=4)
        return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * content[3]).reshape(sizes)

    def part(name):
        images = values(f"{name}-images-idx3-ubyte")[:, None].astype(np.float32) / 255
        return images, values(f"{name}-labels-idx1-ubyte").astype(np.int64)

    return part("train"), part("t10k")


def long_tail(labels, imbalance, random):
    """Numbers of the examples of the tail, and of balanced ones beside it."""
    import numpy as np

    order = random.permutation(len(labels))
    classes = [order[labels[order] == name] for name in range(labels.max() + 1)]
    most = min(map(len, classes)) - BALANCED
    sizes = [int(most * imbalance ** (-name / (len(classes) - 1)) + 0.5) for name in range(len(classes))]
    tail = [numbers[BALANCED : BALANCED + size] for numbers, size in zip(classes, sizes)]
    return random.permutation(np.concatenate(tail)), np.concatenate([numbers[:BALANCED] for numbers in classes])


def take_displacements_back():
    """Lets finite differences leave the classifier where it was."""
    from betty import hypergradient

    darts = hypergradient.jvp_fn_mapping["darts"]

    def restoring(vector, lower, *others):
        before = [parameter.detach().clone() for parameter in lower.trainable_parameters()]
        difference = darts(vector, lower, *others)
        for parameter, value in zip(lower.trainable_parameters(), before):
            parameter.data.copy_(value)
        return difference

    hypergradient.jvp_fn_mapping["darts"] = restoring


def theirs(options):
    """Both trainings of a seed with the Python library."""
    import numpy as np
    import torch
    from betty.configs import Config, EngineConfig
    from betty.engine import Engine
    from betty.problems import ImplicitProblem
    from torch import nn
    from torch.nn import functional as F

    if not options.as_installed:
        take_displacements_back()
    torch.set_num_threads(2)
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    (images, labels), test = idx(options.data) if options.data else digits()
    tail, balanced = long_tail(labels, options.imbalance[0], random)
    images, labels, test = torch.tensor(images), torch.tensor(labels), [torch.tensor(part) for part in test]
    config = json.loads(options.config)

    class Batches:
        """Batches of equal size in the order of a shuffled epoch, as often as they are asked for."""

        def __init__(self, numbers):
            self.numbers = numbers

        def __iter__(self):
            size = min(options.batch, len(self.numbers))
            order = self.numbers[random.permutation(len(self.numbers))]
            for first in range(0, len(order) - size + 1, size):
                chosen = torch.tensor(order[first : first + size])
                yield images[chosen], labels[chosen]

    def network():
        _, channels, rows, columns = images.shape
        layers, before = [], channels
        for after in CHANNELS:
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
            before, rows, columns = after, -(-rows // 2), -(-columns // 2)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * rows * columns, int(labels.max()) + 1))

    def weight_network():
        output = nn.Linear(HIDDEN, 1)
        nn.init.zeros_(output.weight)
        return nn.Sequential(nn.Linear(1, HIDDEN), nn.ReLU(), output, nn.Sigmoid())

    def sgd(parameters):
        numbers = config["net"]["optimizer"]
        assert numbers["name"] == "sgd", "the classifier's optimizer is sgd on both sides"
        return torch.optim.SGD(parameters, **{name: value for name, value in numbers.items() if name != "name"})

    def adam(parameters):
        numbers = config["weight"]["optimizer"]
        assert numbers["name"] == "adam" and numbers["weight_decay"] == 0, "the weights' optimizer is adam on both sides"
        return torch.optim.Adam(parameters, numbers["lr"], (numbers["beta_1"], numbers["beta_2"]), numbers["epsilon"])

    class Weights(ImplicitProblem):
        def training_step(self, batch):
            return F.cross_entropy(self.net.module(batch[0]), batch[1])

    class Learned(ImplicitProblem):
        def training_step(self, batch):
            losses = F.cross_entropy(self.module(batch[0]), batch[1], reduction="none")
            weights = self.weights.module(losses.detach()[:, None])[:, 0]
            return (weights * losses).sum() / weights.sum()

    def problem(kind, name, module, optimizer, numbers):
        optimizer = optimizer(module.parameters())
        return kind(name=name, module=module, optimizer=optimizer, train_data_loader=Batches(numbers), config=Config())

    def result(train, net):
        start = time.perf_counter()
        train()
        took = time.perf_counter() - start
        net.eval()
        with torch.no_grad():
            scores = torch.cat([net(part) for part in test[0].split(AT_ONCE)])
        right = (scores.argmax(1) == test[1]).float()
        # As ours is counted: the share of each class that is right, in the mean over classes.
        accuracy = torch.stack([right[test[1] == kind].mean() for kind in test[1].unique()]).mean().item()
        return {"accuracy": accuracy, "seconds": took}

    def plain(net, optimizer, batches):
        """PyTorch alone: the library trains nothing where no level is below another."""
        steps = iter(())
        for _ in range(options.steps):
            batch = next(steps, None)
            if batch is None:
                steps = iter(batches)
                batch = next(steps)
            optimizer.zero_grad()
            F.cross_entropy(net(batch[0]), batch[1]).backward()
            optimizer.step()

    net = network()
    results = {"none": result(lambda: plain(net, sgd(net.parameters()), Batches(tail)), net)}
    weights = problem(Weights, "weights", weight_network(), adam, balanced)
    lower = problem(Learned, "net", network(), sgd, tail)
    dependencies = {"u2l": {weights: [lower]}, "l2u": {lower: [weights]}}
    engine = Engine([weights, lower], EngineConfig(train_iters=options.steps, valid_step=10**9), dependencies)
    results["learned"] = result(engine.run, lower.module)
    print(json.dumps(results))


def measured(command):
    """What a process prints, and the most memory that it held, in MiB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | THREADS)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    return text, usage.ru_maxrss / 1024


def ours(program, options, imbalance, seed):
    """All trainings of a seed with this library."""
    import csv

    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--imbalance", f"{imbalance:g}", "--steps", str(options.steps), "--batch", str(options.batch)]
        command += ["--seed", str(seed), "--out", folder, "--log", "json", "--quiet"]
        command += ["--data", options.data] if options.data else []
        if options.numbers:
            numbers = pathlib.Path(folder) / "numbers.json"
            numbers.write_text(options.numbers)
            command += ["--config", str(numbers)]
        _, memory = measured(command)
        with open(f"{folder}/imbalance-{imbalance:g}.csv") as table:
            accuracies = next(csv.DictReader(table))

        def seconds(run):
            with open(f"{folder}/{run}-{imbalance:g}.seed-{seed}.events.jsonl") as lines:
                events = [json.loads(line) for line in lines]
            times = {event["event"]: event["time"] for event in events}
            return times["ended"] - events[0]["time"]

        runs = {"none": "tail-alike", "learned": "tail"}
        result = {way: {"accuracy": float(accuracies[way]), "seconds": seconds(run)} for way, run in runs.items()}
        return result, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of IDX files, in the place of the built-in digits")
    parser.add_argument("--imbalance", type=float, nargs="+", default=[100.0, 50.0, 20.0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--program", default=str(ROOT / "target" / "release" / "long_tail"), help="the example, built in release")
    parser.add_argument("--numbers", metavar="JSON", help="replace numbers of the example on our side, as its `--config` does")
    parser.add_argument("--as-installed", action="store_true", help="do not take back the displacements that betty-ml 0.1.1 leaves")
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--config", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.seed is not None:
        return theirs(options)

    config = subprocess.run([options.program, "--print-config"], check=True, stdout=subprocess.PIPE, text=True).stdout
    print(f"{options.steps} steps of {options.batch} examples, {options.seeds} seeds, 2 threads, {options.data or 'the digits'}\n")
    print(f"{'imbalance':>9}  {'library':22}{'weights':9}{'test accuracy':>16}{'seconds':>9}{'ms a step':>11}{'MiB':>7}{'ratio':>7}")
    for imbalance in options.imbalance:
        sides = {"betty-ml on PyTorch": [], "this one": []}
        # By turns, so that another program on the machine slows both alike.
        for seed in range(options.seeds):
            command = [sys.executable, __file__, "--seed", str(seed), "--config", config, "--imbalance", str(imbalance)]
            command += ["--steps", str(options.steps), "--batch", str(options.batch)]
            command += ["--data", options.data] if options.data else []
            command += ["--as-installed"] if options.as_installed else []
            text, memory = measured(command)
            # The library's own messages come before.
            sides["betty-ml on PyTorch"].append((json.loads(text.splitlines()[-1]), memory))
            sides["this one"].append(ours(options.program, options, imbalance, seed))
        for way in ("none", "learned"):
            steps = []
            for side, runs in sides.items():
                accuracy = [result[way]["accuracy"] for result, _ in runs]
                deviation = statistics.stdev(accuracy) if len(accuracy) > 1 else 0.0
                seconds = statistics.median(result[way]["seconds"] for result, _ in runs)
                memory = max(memory for _, memory in runs)
                spread = f"{statistics.mean(accuracy):.3f} ± {deviation:.3f}"
                steps.append(1e3 * seconds / options.steps)
                ratio = f"{steps[1] / steps[0]:7.2f}" if len(steps) > 1 else ""
                row = f"{imbalance:9g}  {side:22}{way:9}{spread:>16}{seconds:9.2f}{steps[-1]:11.2f}{memory:7.0f}{ratio}"
                print(row, flush=True)


if __name__ == "__main__":
    main()
