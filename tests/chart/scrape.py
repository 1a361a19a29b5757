"""Writes what the Prometheus Operator makes of the chart's monitors and rules: `scrape.py FOLDER NODE-ADDRESS GRID-ADDRESS`.

The operator puts labels of the target in front of a monitor's relabelings; service discovery gives the `__meta` ones.
"""

import json
import re
import sys
from pathlib import Path

import yaml

from chart import NAMESPACE, objects, of_kind

VALUES = {"cluster": "prod-1", "zone": "DE", "grid": {"enabled": True}, "monitoring": {"enabled": True, "interval": "1s"}}
META = {"namespace": NAMESPACE, "pod_name": "noether-7xk2p", "pod_container_name": "noether", "pod_node_name": "node-1"}
OPERATORS = [
    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
    {"source_labels": ["__meta_kubernetes_pod_container_name"], "target_label": "container"},
    {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
    {"target_label": "endpoint", "replacement": "metrics"},
]


def snake(key):
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), key)


def job(monitor, address):
    endpoint = (monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"])[0]
    return {
        "job_name": f"{monitor['kind']}/{monitor['metadata']['name']}",
        "honor_labels": endpoint["honorLabels"],
        "scheme": endpoint["scheme"],
        "scrape_interval": endpoint["interval"],
        "scrape_timeout": endpoint["interval"],
        "static_configs": [{"targets": [address], "labels": {f"__meta_kubernetes_{name}": value for name, value in META.items()}}],
        "relabel_configs": OPERATORS + [{snake(key): value for key, value in step.items()} for step in endpoint["relabelings"]],
    }


def main(folder, node, grid):
    found = objects(VALUES)
    files = []
    for rule in of_kind(found, "PrometheusRule"):
        files.append(f"{folder}/{rule['metadata']['name']}.yaml")
        Path(files[-1]).write_text(yaml.safe_dump(rule["spec"]))
    monitors = of_kind(found, "PodMonitor", "ServiceMonitor")
    jobs = [job(one, node if one["metadata"]["name"].endswith("-node") else grid) for one in monitors]
    print(json.dumps({"global": {"evaluation_interval": "2s"}, "rule_files": files, "scrape_configs": jobs}))


if __name__ == "__main__":
    main(*sys.argv[1:])
