"""What `burnish init` writes: a settings file with every setting, and an example that runs without keys."""

from __future__ import annotations

SETTINGS = """\
# Settings of Burnish for processes started in this folder. Environment variables win over this file:
# BURNISH_URL, BURNISH_TENANT and so on. How Burnish learns and routes is not set here but in the store: see
# `burnish config list`.

[burnish]

# The store: a folder (SQLite inside) or postgresql://USER@HOST:PORT/DATABASE.
url = ".burnish"

# Folder for this machine's spool and process counters when the store is not a folder.
# home = ".burnish"

# Isolation boundary that runs belong to unless they name another.
# tenant = "default"

# File of the signed checkpoints of the audit log; best where nobody who can write the store can.
# audit_file = ""

# Raise capture errors instead of reporting them as data; for development and tests.
# strict = false

# Finished runs, and megabytes of text, that may wait in memory; more are dropped and counted.
# queue_runs = 10_000
# queue_mb = 64

# Longest time in seconds that a finished run waits before it is written, and most runs written at once.
# flush_seconds = 0.05
# batch_runs = 256

# File with the secret behind pseudonyms; by default redaction.key in the home. Give machines that share a PostgreSQL
# store the same one.
# redaction_key = ""

# Longest text kept of one field, in characters; the rest is cut and its length noted.
# clip_chars = 65_536
"""

EXAMPLE = '''\
"""An agent whose models are played by dice: watch Burnish learn which of them to use. Needs no keys."""

import random

import burnish

SOLVES = {"small-model": {"chat": 0.95, "code": 0.5}, "large-model": {"chat": 0.95, "code": 0.95}}
COSTS = {"small-model": 0.01, "large-model": 0.8}

with burnish.open(models=list(SOLVES)) as loop:
    for step in range(300):
        task_type = random.choice(["chat", "code"])
        with loop.run(agent="example", task=f"task {step}", task_type=task_type) as run:
            model = run.decide().model  # call the model here, with your own client
            run.call(model=model, cost_usd=COSTS[model])  # or hand over its reply: run.call(reply)
            run.outcome(success=random.random() < SOLVES[model][task_type])
        if step % 10 == 9:
            loop.flush()  # only so that 300 runs in a blink learn from each other

print(f"The last run was {run.id}. See what was learned: burnish models")
'''

NEXT_STEPS = """\
  python example.py    300 runs of an agent, played by dice
  burnish models       what was learned from them
  burnish route code   how the next run would be routed, and why
  burnish runs         the runs; `burnish explain RUN` tells why one went as it did"""
