#!/usr/bin/env python3
"""Answers of scikit-learn that tests hold solvers of levels against; the numbers stand in tests/tests/solvers.

    pip install scikit-learn && python3 tools/scikit-learn/reference.py
"""

import numpy as np
from sklearn.linear_model import Lasso, LogisticRegression

EXAMPLES, FEATURES = 40, 4


def scores(examples, shift):
    """Numbers that a formula gives, so that the tests need no file."""
    i, j = np.arange(examples)[:, None], np.arange(FEATURES)[None, :]
    x = np.sin(3.0 * i + 7.0 * j + shift) + 0.3 * np.cos(0.5 * i * (j + 1.0))
    return x, x @ np.array([1.0, -0.5, 0.25, 0.0]) + 0.4 * np.sin(11.0 * i[:, 0] + shift)


def data(examples, shift):
    """The same with the signs of the scores for labels."""
    x, score = scores(examples, shift)
    return x, (score > 0.0).astype(float)


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


def lasso(strength):
    """Minimises half the sum of squares plus strength times the sum of the weights' sizes, without an intercept."""
    x, y = scores(EXAMPLES, 1.0)
    return Lasso(alpha=strength / EXAMPLES, fit_intercept=False, tol=1e-15, max_iter=1000000).fit(x, y).coef_


def lasso_held_out(strength):
    """Half the sum of squares on other examples."""
    x, y = scores(20, 2.0)
    return 0.5 * np.sum((x @ lasso(strength) - y) ** 2)


def show(name, numbers):
    print(f"{name}: {', '.join(repr(float(number)) for number in np.atleast_1d(numbers))}")


for strength in [0.1, 1.0, 10.0]:
    weights, intercept = logistic(strength)
    show(f"logistic, strength {strength}, weights and intercept", np.append(weights, intercept))
    step = 1e-4
    slope = (held_out(strength * np.exp(step)) - held_out(strength * np.exp(-step))) / (2.0 * step)
    show(f"logistic, strength {strength}, slope of the held-out loss in the logarithm of the strength", slope)

for strength in [0.05, 0.5, 3.0]:
    show(f"lasso, strength {strength}, weights", lasso(strength))
    step = 1e-5
    slope = (lasso_held_out(strength * np.exp(step)) - lasso_held_out(strength * np.exp(-step))) / (2.0 * step)
    show(f"lasso, strength {strength}, slope of the held-out error in the logarithm of the strength", slope)
