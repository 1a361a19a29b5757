"""The chart as its tests see it: rendered by Helm's own engine, as objects."""

import json
from functools import cache
from pathlib import Path

import helm_python
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "noether"
NAMESPACE = "energy-system"


def cases():
    """Every ci/*-values.yaml by its name, with its values."""
    files = sorted((CHART / "ci").glob("*-values.yaml"))
    return {file.name.removesuffix("-values.yaml"): yaml.safe_load(file.read_text()) or {} for file in files}


def texts(values):
    """Each template's text. A release whose name is not the chart's, so that names are made of both."""
    with helm_python.Chart.load(str(CHART)) as chart:
        return chart.render(values, name="green", namespace=NAMESPACE)


def objects(values):
    found = []
    for path, text in texts(values).items():
        if path.endswith("NOTES.txt"):
            continue
        found += [one for one in yaml.safe_load_all(text) if one]
    return found


@cache
def case(name):
    """The objects of one ci file; not to be changed."""
    return objects(cases()[name])


def refusal(values):
    """What Helm says where it refuses these values, else nothing."""
    try:
        texts(values)
    except helm_python.HelmError as error:
        return str(error)
    return None


def of_kind(found, *kinds):
    return [one for one in found if one["kind"] in kinds]


def pods(found):
    """Every pod that is made: its object's kind and name, and its spec."""
    for one in found:
        label = f"{one['kind']} {one['metadata']['name']}"
        if one["kind"] == "Pod":
            yield label, one["spec"]
        elif "template" in one.get("spec", {}):
            yield label, one["spec"]["template"]["spec"]


def exporters(found):
    """The pods that run Noether, each with its container."""
    return [(label, spec, spec["containers"][0]) for label, spec in pods(found) if not label.startswith("Pod ")]


def schema():
    return json.loads((CHART / "values.schema.json").read_text())
