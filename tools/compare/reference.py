"""The other half of the comparison: the operations of tests/benches/compare in Betty on PyTorch, PyTorch, and JAX.

Prints `name<TAB>milliseconds` for each, and the process's peak memory. Of all repetitions it is the time that a tenth stays
below: what the machine does when nothing disturbs it. Arguments: the library (`torch` or `jax`) and, if wanted, one
operation, so that its peak memory is its own.
"""

import sys
import time

BATCH, THREADS, SECONDS = 128, 2, 1.5

# name: the options of Betty's lower problem. Betty's `neumann_iterations` counts products, ours counts terms.
METHODS = {
    "step, cg(5)": dict(type="cg", cg_iterations=5, cg_alpha=1.0),
    "step, neumann(5 products)": dict(type="neumann", neumann_iterations=5, neumann_alpha=0.1),
    "step, finite differences": dict(type="darts", darts_alpha=0.01),
}


def report(name, run):
    times, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 8:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    times = sorted(times[2:])
    print(f"{name}\t{1e3 * times[len(times) // 10]:.4f}", flush=True)


def peak_memory():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                print(f"peak memory\t{line.split()[1]}")


def torch_side(wanted):
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
    weights = torch.nn.Sequential(torch.nn.Linear(1, 100), torch.nn.ReLU(), torch.nn.Linear(100, 1))

    def batch():
        return torch.rand(BATCH, 784), torch.arange(BATCH) % 10

    def losses(module, x, y):
        return F.cross_entropy(module(x), y, reduction="none").reshape(-1, 1)

    def weighted(module, weigh, x, y):
        each = losses(module, x, y)
        return (torch.sigmoid(weigh(each.detach())) * each).mean()

    x, y = batch()
    parameters = list(model.parameters())
    if wanted("gradient"):
        report("gradient", lambda: torch.autograd.grad(weighted(model, weights, x, y), parameters))
    if wanted("hessian product"):
        tangent = [p.detach().clone() for p in parameters]

        def product():
            gradient = torch.autograd.grad(weighted(model, weights, x, y), parameters, create_graph=True)
            torch.autograd.grad(gradient, parameters, grad_outputs=tangent)

        report("hessian product", product)
    for name, options in METHODS.items():
        if wanted(name):
            report(name, betty_step(options, model, weights, batch, losses, weighted))
    torch_models(wanted)


def torch_models(wanted):
    """The models of tests/src/models: batch norm without running statistics, and attention by the kernel that has second
    derivatives."""
    import torch
    import torch.nn.functional as F
    from torch import nn
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def batch_norm(channels):
        return nn.BatchNorm2d(channels, track_running_stats=False)

    def group_norm(channels):
        return nn.GroupNorm(min(channels, 8), channels)

    class Block(nn.Module):
        def __init__(self, norm, before, after, stride):
            super().__init__()
            convolution = lambda i, kernel, stride: nn.Conv2d(i, after, kernel, stride, kernel // 2, bias=False)
            self.main = nn.Sequential(
                convolution(before, 3, stride), norm(after), nn.ReLU(), convolution(after, 3, 1), norm(after)
            )
            same = before == after and stride == 1
            self.shortcut = nn.Identity() if same else nn.Sequential(convolution(before, 1, stride), norm(after))

        def forward(self, x):
            return F.relu(self.main(x) + self.shortcut(x))

    def resnet(norm):
        layers, before = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), norm(64), nn.ReLU()], 64
        for stage, after in enumerate([64, 128, 256, 512]):
            layers += [Block(norm, before, after, 1 if stage == 0 else 2), Block(norm, after, after, 1)]
            before = after
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(1000, 128)
            layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, activation="gelu", batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 4)
            self.head = nn.Linear(128, 10)

        def forward(self, tokens):
            return self.head(self.encoder(self.embedding(tokens)).mean(1))

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(32, 128, 2, batch_first=True)
            self.head = nn.Linear(128, 10)

        def forward(self, sequences):
            return self.head(self.lstm(sequences)[1][0][-1])

    def integers(below, *shape):
        return (torch.arange(torch.Size(shape).numel()) * 7 % below).reshape(shape)

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    images, tokens, sequences = torch.randn(8, 3, 32, 32), integers(1000, 8, 32), torch.randn(32, 16, 32)
    models = {
        "ResNet-18, batch norm": (lambda: resnet(batch_norm), images),
        "ResNet-18, group norm": (lambda: resnet(group_norm), images),
        "transformer": (Encoder, tokens),
        "LSTM": (Recurrent, sequences),
    }
    for name, (make, x) in models.items():
        names = [f"{name}: {operation}" for operation in ("gradient", "product", "linearized")]
        if not any(map(wanted, names)):
            continue
        model, y = make(), integers(10, len(x))
        parameters = list(model.parameters())
        tangent = [p.detach().clone() for p in parameters]

        def gradient(**options):
            return torch.autograd.grad(F.cross_entropy(model(x), y), parameters, **options)

        def product(gradient, **options):
            torch.autograd.grad(gradient, parameters, grad_outputs=tangent, **options)

        if wanted(names[0]):
            report(names[0], gradient)
        with sdpa_kernel(SDPBackend.MATH):
            if wanted(names[1]):
                report(names[1], lambda: product(gradient(create_graph=True)))
            if wanted(names[2]):
                kept = gradient(create_graph=True)
                report(names[2], lambda: product(kept, retain_graph=True))


def betty_step(options, model, weights, batch, losses, weighted):
    """One hypergradient of the weights: direct gradient, and Betty's product with the best response, without the update."""
    import torch
    from betty.configs import Config, EngineConfig
    from betty.engine import Engine
    from betty.problems import ImplicitProblem

    class Lower(ImplicitProblem):
        def training_step(self, batch):
            return weighted(self.module, self.upper.module, *batch)

    class Upper(ImplicitProblem):
        def training_step(self, batch):
            return losses(self.lower.module, *batch).mean()

    def problem(kind, name, module, config):
        data = batch()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        return kind(name=name, module=module, optimizer=optimizer, train_data_loader=[data], config=config)

    upper = problem(Upper, "upper", weights, Config(log_step=-1))
    lower = problem(Lower, "lower", model, Config(unroll_steps=10**9, **options))
    dependencies = {"u2l": {upper: [lower]}, "l2u": {lower: [upper]}}
    Engine(config=EngineConfig(train_iters=1), problems=[upper, lower], dependencies=dependencies).run()

    def step():
        # Betty's `one_step_descent` without the optimizer.
        upper.cur_batch = upper.get_batch()
        loss, _ = upper.get_loss(upper.cur_batch)
        upper.backward(
            loss=loss,
            params=upper.trainable_parameters(),
            paths=upper.paths,
            create_graph=False,
            retain_graph=True,
            allow_unused=True,
        )
        upper.zero_grad()

    return step


def jax_side(wanted):
    import os

    # XLA takes its number of threads from the processors that the process may use.
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:THREADS]))
    import jax
    import jax.numpy as jnp

    keys = jax.random.split(jax.random.PRNGKey(0), 5)

    def linear(key, rows, columns):
        return [jax.random.uniform(key, (rows, columns), minval=-1, maxval=1) / rows**0.5, jnp.zeros(columns)]

    theta = [linear(keys[0], 784, 256), linear(keys[1], 256, 10)]
    weights = [linear(keys[2], 1, 100), linear(keys[3], 100, 1)]
    x, y = jax.random.uniform(keys[4], (BATCH, 784)), jnp.arange(BATCH) % 10

    def network(layers, h):
        (a, b), (c, d) = layers
        return jax.nn.relu(h @ a + b) @ c + d

    def weighted(theta, weights, x, y):
        each = -jnp.take_along_axis(jax.nn.log_softmax(network(theta, x)), y[:, None], axis=1)
        return (jax.nn.sigmoid(network(weights, jax.lax.stop_gradient(each))) * each).mean()

    gradient = jax.grad(weighted)
    if wanted("gradient"):
        run = jax.jit(gradient)
        report("gradient", lambda: jax.block_until_ready(run(theta, weights, x, y)))
    if wanted("hessian product"):
        run = jax.jit(lambda t, *at: jax.jvp(lambda theta: gradient(theta, *at[1:]), (at[0],), (t,))[1])
        report("hessian product", lambda: jax.block_until_ready(run(theta, theta, weights, x, y)))

    # A whole hypergradient as one program: the Hessian is linearized once, and all vectors are flat.
    from jax.flatten_util import ravel_pytree

    flat, tree = ravel_pytree(theta)

    def clean(theta):
        return -jnp.take_along_axis(jax.nn.log_softmax(network(tree(theta), x)), y[:, None], axis=1).mean()

    def weighted_flat(theta, weights):
        return weighted(tree(theta), weights, x, y)

    def hypergradient(solve):
        def run(theta, weights):
            cotangent = jax.grad(clean)(theta)
            _, product = jax.linearize(lambda theta: jax.grad(weighted_flat)(theta, weights), theta)
            response = solve(product, cotangent)
            _, mixed = jax.vjp(lambda weights: jax.grad(weighted_flat)(theta, weights), weights)
            return jax.tree.map(jnp.negative, mixed(response)[0])

        return jax.jit(run)

    def cg(product, b, iterations=5, damping=1.0):
        x, r = jnp.zeros_like(b), b
        p, rr = r, r @ r
        for _ in range(iterations):
            ap = product(p) + damping * p
            alpha = rr / (p @ ap)
            x, r = x + alpha * p, r - alpha * ap
            before, rr = rr, r @ r
            p = r + rr / before * p
        return x

    def neumann(product, b, products=5, step_size=0.1):
        total, term = b, b
        for _ in range(products):
            term = term - step_size * product(term)
            total = total + term
        return step_size * total

    for name, solve in {"step, cg(5)": cg, "step, neumann(5 products)": neumann}.items():
        if wanted(name):
            run = hypergradient(solve)
            report(name, lambda: jax.block_until_ready(run(flat, weights)))


def main():
    library, *only = sys.argv[1:]
    side = {"torch": torch_side, "jax": jax_side}[library]
    side(lambda name: not only or name in only)
    peak_memory()


if __name__ == "__main__":
    main()
