#!/usr/bin/env python3
"""Holds what `inspect --format sarif` writes against the published schema and against the part of it that lies here.

    pip install jsonschema
    python sarif.py sarif-schema-2.1.0.json ../target/release/stemmata ../attacks/*/* ../fixtures/models/*

The first argument is the schema of the OASIS standard, which is not kept here. Files that cannot be read are no logs: the tool says so and
exits with 2. Every other log must follow both schemas, and its rules must be those of its results.
"""

import json
import pathlib
import subprocess
import sys

import jsonschema

HERE = pathlib.Path(__file__).parent
official = jsonschema.Draft7Validator(json.load(open(sys.argv[1])), format_checker=jsonschema.FormatChecker())
used = jsonschema.Draft202012Validator(json.load(open(HERE / "sarif-2.1.0.json")))
logs = results = 0
for model in sys.argv[3:]:
    run = subprocess.run([sys.argv[2], "inspect", model, "--format", "sarif", "--exit-code", "-q"], capture_output=True)
    if run.returncode == 2:
        assert not run.stdout, model
        continue
    log = json.loads(run.stdout)
    official.validate(log)
    used.validate(log)
    (one,) = log["runs"]
    rules = [rule["id"] for rule in one["tool"]["driver"]["rules"]]
    for result in one["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"], model
    worst = any(result["level"] == "error" for result in one["results"])
    assert run.returncode == int(worst), (model, run.returncode)
    logs, results = logs + 1, results + len(one["results"])
print(logs, "logs with", results, "results follow both schemas")
