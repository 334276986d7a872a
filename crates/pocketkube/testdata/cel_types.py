#!/usr/bin/env python3
"""Fills in cel_types.jsonl: what a real control plane says of a definition with each rule.

  kubectl proxy & cel_types.py http://127.0.0.1:8001

The first line is the schema of `spec` that all rules are about; the others have a "rule", and
"refused" where a definition with it is refused. Definitions are trials: nothing is stored.
"""
import json
import os
import re
import sys
import urllib.error
import urllib.request

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cel_types.jsonl")
with open(path) as file:
    schema, *cases = map(json.loads, file)


def answer(rule):
    spec = {**schema["schema"], "x-kubernetes-validations": [{"rule": rule}]}
    root = {"type": "object", "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": root}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "versions": [version],
                 "names": {"plural": "widgets", "kind": "Widget"}},
    }
    url = sys.argv[1] + "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All"
    headers = {"Content-Type": "application/json"}
    try:
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(definition).encode(), headers))
        return None
    except urllib.error.HTTPError as refused:
        status = json.load(refused)
    message = status["details"]["causes"][0]["message"].split('"OptionalOldSelf":null}: ', 1)[1]
    # Types of schemas have names that are drawn.
    return re.sub(r"selfType\d+", "selfType", message)


with open(path, "w") as file:
    file.write(json.dumps(schema) + "\n")
    for case in cases:
        refused = answer(case["rule"])
        case = {"rule": case["rule"], **({"refused": refused} if refused else {})}
        file.write(json.dumps(case, ensure_ascii=False) + "\n")
