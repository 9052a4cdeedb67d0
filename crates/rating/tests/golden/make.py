#!/usr/bin/env python3
"""Writes votes.csv, votes.jsonl and expected.json: made-up votes, and what an independent implementation says of them.

Nothing here shares a method with the crate: strengths by Zermelo's fixed point (1929) or by Newton's method on numerical
derivatives of the likelihood as the papers write it, the sandwich row by row from its definition, components by repeated closure.

    python3 make.py        (needs numpy)
"""
import csv, json, math, os, random
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = ["ash", "birch", "cedar", "elm", "fir", "oak", "pine"]
TRUE = [0.9, 0.5, 0.3, 0.0, -0.2, -0.6, -0.9]
SCALE = 400 / math.log(10)


def votes():
    r = random.Random(20261122)
    rows = []
    for session in range(220):
        mood = r.gauss(0, 0.8)  # shared by the votes of a session: they are not independent
        for _ in range(r.randint(1, 6)):
            i, j = r.sample(range(len(NAMES)), 2)
            d = TRUE[i] - TRUE[j] + 0.15 + mood * (i - j) / 6
            a, b = 1 / (1 + 2 * math.exp(-d)), 1 / (1 + 2 * math.exp(d))
            u = r.random()
            o = "model_a" if u < a else "model_b" if u < a + b else "tie" if u < a + b + (1 - a - b) / 2 else "tie (bothbad)"
            rows.append((NAMES[i], NAMES[j], o, f"s{session}", f"p{r.randint(0, 39)}", r.randint(0, 300), r.randint(0, 300)))
    return rows


def arrays(rows):
    i = np.array([NAMES.index(r[0]) for r in rows])
    j = np.array([NAMES.index(r[1]) for r in rows])
    y = np.array([{"model_a": 1.0, "model_b": 0.0}.get(r[2], 0.5) for r in rows])
    return i, j, y


def zermelo(i, j, y, n):
    w, m = np.zeros((n, n)), np.zeros((n, n))
    for a, b, v in zip(i, j, y):
        w[a, b] += v; w[b, a] += 1 - v; m[a, b] += 1; m[b, a] += 1
    p = np.ones(n)
    for _ in range(200_000):
        q = w.sum(1) / (m / (p[:, None] + p[None])).sum(1)
        q /= np.exp(np.log(q).mean())
        if np.abs(np.log(q / p)).max() < 1e-15:
            break
        p = q
    return np.log(p)


def likelihood(kind, i, j, y, x=None):
    """ln L of (strengths, then tie parameter on its own scale, then coefficients)."""
    n = len(NAMES)
    def f(t):
        d = t[i] - t[j]
        k = n
        if kind != "bradley-terry":
            tie = t[n]; k += 1
        if x is not None:
            d = d + x @ t[k:]
        if kind == "bradley-terry":
            p = 1 / (1 + np.exp(-d))
            return (y * np.log(p) + (1 - y) * np.log(1 - p)).sum()
        a, b = np.exp(d / 2), np.exp(-d / 2)
        if kind == "davidson":
            z = a + b + tie
            P = (a / z, b / z, tie / z)
        else:
            P = (a / (a + tie * b), b / (b + tie * a)); P = (*P, 1 - P[0] - P[1])
        return np.log(np.where(y == 1, P[0], np.where(y == 0, P[1], P[2]))).sum()
    return f


def newton(f, t):
    """Derivatives by central differences; strengths kept at mean 0 by a penalty that is 0 at the end."""
    n = len(NAMES)
    g = lambda t: f(t) - 50 * t[:n].mean() ** 2
    for _ in range(60):
        k, h = len(t), 1e-4
        E = np.eye(k) * h
        grad = np.array([(8 * (g(t + e) - g(t - e)) - (g(t + 2 * e) - g(t - 2 * e))) / (12 * h) for e in E])
        hess = np.array([[(g(t + a + b) - g(t + a - b) - g(t - a + b) + g(t - a - b)) / (4 * h * h) for b in E] for a in E])
        step = np.linalg.solve(hess, -grad)
        t = t + step
        if np.abs(step).max() < 1e-9:
            break
    return t


def sandwich(i, j, y, t, groups):
    n = len(t)
    X = np.zeros((len(i), n)); X[np.arange(len(i)), i] = 1; X[np.arange(len(i)), j] = -1
    p = 1 / (1 + np.exp(-(X @ t)))
    H = np.linalg.pinv((X * (p * (1 - p))[:, None]).T @ X)
    V = 0
    for sign, g in groups:
        labels = sorted(set(g)); B = np.zeros((n, n))
        for label in labels:
            s = ((y - p)[:, None] * X)[[k for k, v in enumerate(g) if v == label]].sum(0)
            B += np.outer(s, s)
        V = V + sign * H @ B @ H * len(labels) / (len(labels) - 1)
    return V


def main():
    rows = votes()
    head = ["model_a", "model_b", "winner", "session", "prompt", "length_a", "length_b"]
    with open(f"{HERE}/votes.csv", "w", newline="") as f:
        w = csv.writer(f, lineterminator="\n"); w.writerow(head); w.writerows(rows)
    with open(f"{HERE}/votes.jsonl", "w") as f:
        for r in rows:
            q = dict(zip(head, r))
            q["meta"] = {"a": {"words": q.pop("length_a")}, "b": {"words": q.pop("length_b")}}
            f.write(json.dumps(q) + "\n")
    i, j, y = arrays(rows)
    n = len(NAMES)
    t = zermelo(i, j, y, n)
    session, prompt = [r[3] for r in rows], [r[4] for r in rows]
    ways = {
        "votes": [(1, list(range(len(rows))))], "session": [(1, session)],
        "both": [(1, session), (1, prompt), (-1, [a + "|" + b for a, b in zip(session, prompt)])],
    }
    V = {k: sandwich(i, j, y, t, g) for k, g in ways.items()}
    one = {k: np.diag(sandwich(i, j, y, t, [(1, g)])) for k, g in (("session", session), ("prompt", prompt))}
    errors = {k: np.sqrt(np.diag(v)) for k, v in V.items()}
    errors["both"] = np.sqrt(np.maximum(np.diag(V["both"]), np.maximum(one["session"], one["prompt"])))
    out = {"contestants": NAMES, "bradley-terry": {"strengths": t.tolist(), "log_likelihood": likelihood("bradley-terry", i, j, y)(t)},
           "errors": {k: v.tolist() for k, v in errors.items()}}
    for kind, start in (("davidson", 1.0), ("rao-kupper", 2.0)):
        f = likelihood(kind, i, j, y)
        q = newton(f, np.append(t, start))
        out[kind] = {"strengths": q[:n].tolist(), "tie": q[n], "log_likelihood": f(q)}
    a, b = (np.array([r[k] for r in rows], float) for k in (5, 6))
    style = np.where(a + b > 0, (a - b) / np.maximum(a + b, 1), 0)
    x = np.c_[np.ones(len(rows)), (style - style.mean()) / style.std()]
    q = newton(likelihood("bradley-terry", i, j, y, x), np.append(t, [0, 0]))
    out["terms"] = {"strengths": q[:n].tolist(), "position": q[n], "length": q[n + 1], "mean": style.mean(), "deviation": style.std()}
    json.dump(out, open(f"{HERE}/expected.json", "w"), indent=1)
    open(f"{HERE}/expected.json", "a").write("\n")


if __name__ == "__main__":
    main()
