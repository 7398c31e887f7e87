#!/usr/bin/env python3
"""Answers of scikit-learn that tests hold solvers of levels against; the numbers stand in tests/tests/solvers.

    pip install scikit-learn && python3 tools/scikit-learn/reference.py
"""

import numpy as np
from sklearn.linear_model import LogisticRegression

EXAMPLES, FEATURES = 40, 4


def data(examples, shift):
    """Numbers that a formula gives, so that the tests need no file."""
    i, j = np.arange(examples)[:, None], np.arange(FEATURES)[None, :]
    x = np.sin(3.0 * i + 7.0 * j + shift) + 0.3 * np.cos(0.5 * i * (j + 1.0))
    y = (x @ np.array([1.0, -0.5, 0.25, 0.0]) + 0.4 * np.sin(11.0 * i[:, 0] + shift) > 0.0).astype(float)
    return x, y


def logistic(strength):
    """Minimises the sum of the losses plus strength/2 times the square of the weights; the intercept is free."""
    x, y = data(EXAMPLES, 1.0)
    model = LogisticRegression(C=1.0 / strength, solver="newton-cholesky", tol=1e-14, max_iter=1000).fit(x, y)
    return model.coef_[0], model.intercept_[0]


def held_out(strength):
    """The sum of losses on other examples."""
    weights, intercept = logistic(strength)
    x, y = data(20, 2.0)
    logits = x @ weights + intercept
    return np.sum(np.logaddexp(0.0, logits) - y * logits)


def show(name, numbers):
    print(f"{name}: {', '.join(repr(float(number)) for number in np.atleast_1d(numbers))}")


for strength in [0.1, 1.0, 10.0]:
    weights, intercept = logistic(strength)
    show(f"logistic, strength {strength}, weights and intercept", np.append(weights, intercept))
    step = 1e-4
    slope = (held_out(strength * np.exp(step)) - held_out(strength * np.exp(-step))) / (2.0 * step)
    show(f"logistic, strength {strength}, slope of the held-out loss in the logarithm of the strength", slope)
