#!/usr/bin/env python3
"""Times stemmata-rating and public rating packages on the same made-up votes, one child process each.

    python3 -m venv V && V/bin/pip install numpy pandas evalica arena-rank choix      (outside the repository)
    V/bin/python peers.py [--votes 1000000] [--models 200] [--boot 100] [--jobs stemmata,evalica,...]

Times are processor seconds of the child without interpreter start and imports; peak memory is that of the whole child. Votes:
strengths N(0, 0.65^2) nats, popularity 1/rank^0.6, Rao-Kupper ties with eta = 2, first seat + 0.03 nats.
"""
import argparse, json, math, os, resource, subprocess, sys, tempfile, time

SCALE = 400 / math.log(10)


def make(votes, models):
    import numpy as np
    rng = np.random.default_rng(7)
    theta = rng.normal(0, 0.65, models)
    p = rng.permutation(1 / np.arange(1, models + 1) ** 0.6)
    p /= p.sum()
    a, b = rng.choice(models, votes, p=p), rng.choice(models, votes, p=p)
    while (same := a == b).any():
        b[same] = rng.choice(models, int(same.sum()), p=p)
    d = theta[a] - theta[b] + 0.03
    win, loss = 1 / (1 + 2 * np.exp(-d)), 1 / (1 + 2 * np.exp(d))
    u = rng.random(votes)
    w = np.where(u < win, 1, np.where(u < win + loss, 2, 0)).astype("u1")
    return a.astype("<u4"), b.astype("<u4"), w


class Clock:
    def __init__(self):
        self.parts = {}

    def __call__(self, name, work):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        self.parts[name] = {"cpu_s": round(time.process_time() - cpu, 3), "wall_s": round(time.perf_counter() - wall, 3)}
        return result


def names(z):
    import numpy as np
    n = np.array(["model-%04d" % i for i in range(int(max(z["a"].max(), z["b"].max())) + 1)])
    return n[z["a"]], n[z["b"]]


def job_evalica(z, boot, clock):
    import evalica
    a, b = map(list, names(z))
    kinds = [evalica.Winner.Draw, evalica.Winner.X, evalica.Winner.Y]
    w = [kinds[k] for k in z["w"]]
    r = clock("fit", lambda: evalica.bradley_terry(a, b, w))
    if hasattr(evalica, "bootstrap"):
        clock(f"{boot} bootstraps", lambda: evalica.bootstrap(evalica.bradley_terry, a, b, w, n_resamples=boot,
                                                              bootstrap_method="percentile", random_state=0))
    import numpy as np
    s = np.log(r.scores.sort_index().values)
    return (s - s.mean()) * SCALE


def job_arena_rank(z, boot, clock):
    import numpy as np, pandas as pd, jax
    from arena_rank.utils.data_utils import PairDataset
    from arena_rank.models.bradley_terry import BradleyTerry
    a, b = names(z)
    df = pd.DataFrame({"model_a": a, "model_b": b, "winner": np.array(["tie", "model_a", "model_b"])[z["w"]]})
    data = clock("table", lambda: PairDataset.from_pandas(df))
    model = BradleyTerry(n_competitors=len(data.competitors))
    clock("fit", lambda: (model.fit(data), jax.block_until_ready(model.params["ratings"])))
    r = clock("intervals, votes independent", lambda: model.compute_ratings_and_cis(data))
    s = pd.Series(np.array(r["ratings"]), index=list(r["competitors"]) if "competitors" in r else data.competitors).sort_index().values
    return s - s.mean()


def job_choix(z, boot, clock):
    import choix, numpy as np
    n = int(max(z["a"].max(), z["b"].max())) + 1

    def counts(weights=None):
        a, b, w = (z[k].astype("i8") if k != "w" else z[k] for k in "abw")
        y = np.where(w == 0, 0.5, w == 1)
        m = np.bincount(a * n + b, y, n * n) + np.bincount(b * n + a, 1 - y, n * n)
        return m.reshape(n, n)
    m = clock("counts (ties as halves, by hand)", counts)
    s = clock("fit", lambda: choix.ilsr_pairwise_dense(m, alpha=1e-9))
    q, total, rng = m.ravel() / m.sum(), int(m.sum()), np.random.default_rng(0)
    clock(f"{boot} bootstraps", lambda: [choix.ilsr_pairwise_dense(rng.multinomial(total, q).reshape(n, n).astype(float), alpha=1e-9)
                                         for _ in range(boot)])
    return (s - s.mean()) * SCALE


JOBS = {"evalica": job_evalica, "arena-rank": job_arena_rank, "choix": job_choix}
IMPORTS = {"evalica": ["evalica"], "arena-rank": ["arena_rank.models.bradley_terry"], "choix": ["choix"]}


def child(job, path, boot):
    import numpy as np
    z = dict(np.load(path))
    for module in IMPORTS[job]:
        __import__(module)
    clock = Clock()
    points = JOBS[job](z, boot, clock)
    me, below = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print("RESULT " + json.dumps({"parts": clock.parts, "peak_mib": round(max(me.ru_maxrss, below.ru_maxrss) / 1024),
                                  "error_points": round(float(np.abs(points - z["exact"]).max()), 6)}))


def exact(a, b, w, n):
    import numpy as np
    y = np.where(w == 0, 0.5, w == 1)
    m = (np.bincount(a.astype("i8") * n + b, y, n * n) + np.bincount(b.astype("i8") * n + a, 1 - y, n * n)).reshape(n, n)
    t, k = np.zeros(n), m + m.T
    for _ in range(50):
        p = 1 / (1 + np.exp(t[None] - t[:, None]))
        h = k * p * (1 - p)
        step = np.linalg.solve(np.diag(h.sum(1)) - h + 1 / n, (m - k * p).sum(1))
        t += step
        if np.abs(step).max() < 1e-13:
            break
    return (t - t.mean()) * SCALE


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--votes", type=int, default=1_000_000)
    ap.add_argument("--models", type=int, default=200)
    ap.add_argument("--boot", type=int, default=100)
    ap.add_argument("--jobs", default="stemmata,evalica,arena-rank,choix")
    ap.add_argument("--limit", type=int, default=600, help="seconds for one package")
    ap.add_argument("--child"); ap.add_argument("--data")
    o = ap.parse_args()
    if o.child:
        return child(o.child, o.data, o.boot)
    import numpy as np
    with tempfile.TemporaryDirectory() as folder:
        a, b, w = make(o.votes, o.models)
        np.savez(f"{folder}/votes.npz", a=a, b=b, w=w, exact=exact(a, b, w, o.models))
        table = np.zeros(o.votes, dtype=[("a", "<u4"), ("b", "<u4"), ("w", "u1")])
        table["a"], table["b"], table["w"] = a, b, w
        table.tofile(f"{folder}/votes.bin")
        print(f"{o.votes} votes, {o.models} models, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}", flush=True)
        for job in o.jobs.split(","):
            if job == "stemmata":
                command = ["cargo", "bench", "-q", "-p", "stemmata-rating", "--bench", "speed", "--", "--table", f"{folder}/votes.bin"]
                here = os.path.dirname(os.path.abspath(__file__))
            else:
                command = [sys.executable, os.path.abspath(__file__), "--child", job, "--data", f"{folder}/votes.npz", "--boot", str(o.boot)]
                here = None
            try:
                text = subprocess.run(command, capture_output=True, text=True, timeout=o.limit, cwd=here)
            except subprocess.TimeoutExpired:
                print(f"{job}: no answer in {o.limit} s", flush=True)
                continue
            found = [line[7:] for line in text.stdout.splitlines() if line.startswith("RESULT ")]
            shown = found[-1] if found else "\n" + text.stdout if job == "stemmata" else text.stderr[-600:]
            print(f"{job}: {shown}", flush=True)


if __name__ == "__main__":
    main()
