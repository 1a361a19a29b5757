"""What the chart tells others: flags and variables that the exporter knows, rules that promtool takes, targets as DESIGN has them."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from chart import CHART, ROOT, case, cases, exporters, of_kind, schema

ROW = re.compile(r"^\| `--(?P<flag>[^`]+)` \| `(?P<value>[^`]+)`(?P<list> \(list\))? \| `[^`]*` \| `(?P<variable>\w+)` \| (?P<commands>[^|]+) \|")


def flags():
    """docs/configuration.md, which is generated from the exporter's own table."""
    lines = (ROOT / "docs" / "configuration.md").read_text().splitlines()
    return {row["flag"]: row.groupdict() for row in map(ROW.match, (line.replace("\\|", "¦") for line in lines)) if row}


def documents(name, *kinds):
    return of_kind(case(name), *kinds)


class Contract(unittest.TestCase):
    def test_every_argument_is_known(self):
        known = flags()
        self.assertGreater(len(known), 40)
        for name in cases():
            for label, _, container in exporters(case(name)):
                command, *arguments = container["args"]
                seen = set()
                for argument in arguments:
                    flag, equals, value = argument.removeprefix("--").partition("=")
                    with self.subTest(case=name, pod=label, argument=argument):
                        self.assertTrue(flag in known, "the exporter has no such flag")
                        row = known[flag]
                        self.assertIn(command, row["commands"].split(", "))
                        self.assertTrue(equals and value)
                        if "¦" in row["value"] and row["value"].islower():
                            self.assertIn(value, row["value"].split("¦"))
                        self.assertTrue(row["list"] or flag not in seen, "said twice")
                        seen.add(flag)
                for variable in container.get("env", []):
                    if variable["name"].startswith("NOETHER_"):
                        self.assertIn(variable["name"], [row["variable"] for row in known.values()], (name, label))

    def test_the_kinds_are_the_exporters(self):
        """Meters, providers and sources of names that the schema lists are those that there are."""
        known = flags()
        meters = {flag.removeprefix("meter.") for flag in known if flag.startswith("meter.")}
        node = schema()["properties"]["node"]["properties"]
        self.assertEqual(set(node["meters"]["properties"]), meters)
        self.assertEqual(node["kubernetes"]["properties"]["source"]["enum"], known["kubernetes"]["value"].split("¦"))
        grid = schema()["properties"]["grid"]["properties"]
        self.assertEqual(grid["providers"]["items"]["enum"], known["grid.provider"]["value"].split("¦"))

    def test_ports_are_the_exporters(self):
        default = flags()["web.listen-address"]
        self.assertEqual(default["flag"], "web.listen-address")
        for label, _, container in exporters(case("grid")):
            port = 18823 if label.startswith("DaemonSet") else 18824
            self.assertEqual(container["ports"][0]["containerPort"], port, label)
            self.assertFalse([one for one in container["args"] if "listen-address" in one])
        self.assertIn("--web.listen-address=:9101", exporters(case("grid-only"))[0][2]["args"])

    def test_targets(self):
        for name in ("monitoring", "servicemonitor", "tls", "basic-auth"):
            found = documents(name, "PodMonitor", "ServiceMonitor")
            self.assertTrue(found)
            for one in found:
                node = one["metadata"]["name"].endswith("-node")
                endpoints = one["spec"].get("endpoints") or one["spec"]["podMetricsEndpoints"]
                self.assertEqual(len(endpoints), 1)
                endpoint = endpoints[0]
                self.assertIs(endpoint["honorLabels"], True)
                self.assertEqual(endpoint["scheme"], "https" if name == "tls" else "http")
                relabelings = endpoint["relabelings"]
                self.assertIn({"action": "labeldrop", "regex": "namespace|pod|container"}, relabelings)
                label = {"action": "replace", "sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}
                # The rules take what has no `node` to hold for the whole cluster.
                self.assertEqual(label in relabelings, node)
                job = [step["replacement"] for step in relabelings if step.get("targetLabel") == "job"]
                self.assertEqual(job, ["noether" if node else "noether-grid"])

    def test_monitors_find_what_they_look_for(self):
        for name in cases():
            for one in documents(name, "PodMonitor", "ServiceMonitor", "Service", "NetworkPolicy"):
                spec = one["spec"]
                if one["kind"] == "Service":
                    wanted = spec["selector"]
                else:
                    wanted = spec.get("selector", spec.get("podSelector"))["matchLabels"]
                if one["kind"] == "ServiceMonitor":
                    there = [service["metadata"]["labels"] for service in documents(name, "Service")]
                else:
                    there = [pod["spec"]["template"]["metadata"]["labels"] for pod in documents(name, "DaemonSet", "Deployment")]
                hits = [labels for labels in there if wanted.items() <= labels.items()]
                node = one["metadata"]["name"].endswith("-node")
                expected = len(documents(name, "DaemonSet")) if node and one["kind"] != "ServiceMonitor" else 1
                self.assertEqual(len(hits), expected, (name, one["kind"], one["metadata"]["name"]))

    def test_rules_are_the_shipped_ones(self):
        shipped = {}
        for file in sorted((ROOT / "dashboards" / "rules").glob("*.yaml")):
            shipped |= {group["name"]: group for group in yaml.safe_load(file.read_text())["groups"]}
        found = documents("monitoring", "PrometheusRule")
        groups = {group["name"]: group for one in found for group in one["spec"]["groups"]}
        self.assertTrue(shipped)
        self.assertEqual(groups, shipped)
        for one in found:
            self.assertEqual(one["metadata"]["labels"]["release"], "kube-prometheus-stack")
            self.assertEqual(one["metadata"]["labels"]["role"], "alert-rules")

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed (Debian package prometheus)")
    def test_promtool_takes_the_rules(self):
        with tempfile.TemporaryDirectory() as folder:
            for one in documents("monitoring", "PrometheusRule"):
                file = Path(folder) / f"{one['metadata']['name']}.yaml"
                file.write_text(yaml.safe_dump(one["spec"]))
                said = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
                self.assertEqual(said.returncode, 0, said.stdout + said.stderr)

    def test_dashboards_are_the_shipped_ones(self):
        shipped = {file.name: file.read_text().strip() for file in (ROOT / "dashboards" / "grafana").glob("*.json")}
        found = [one for one in documents("monitoring", "ConfigMap") if one["metadata"]["labels"].get("grafana_dashboard") == "1"]
        self.assertEqual({name: text for one in found for name, text in one["data"].items()}, shipped)
        for one in found:
            self.assertEqual(one["metadata"]["namespace"], "monitoring")
            # A ConfigMap holds a mebibyte.
            self.assertLess(sum(len(text.encode()) for text in one["data"].values()), 1 << 20, one["metadata"]["name"])

    def test_copies_are_all_there(self):
        for folder, ending in (("rules", "yaml"), ("grafana", "json")):
            names = [{file.name for file in place.glob(f"*.{ending}")} for place in (ROOT / "dashboards" / folder, CHART / "files" / folder)]
            self.assertEqual(names[0], names[1], folder)

    def test_passwords_and_certificates(self):
        secret = documents("basic-auth", "Secret")[0]["stringData"]["web-config.yaml"]
        self.assertEqual(list(yaml.safe_load(secret)["basic_auth_users"]), ["prometheus"])
        config = yaml.safe_load(documents("tls", "Secret")[0]["stringData"]["web-config.yaml"])["tls_server_config"]
        for label, _, container in exporters(case("tls")):
            self.assertIn("--web.config.file=/etc/noether/web/web-config.yaml", container["args"], label)
            places = [mount["mountPath"] for mount in container["volumeMounts"]]
            for key in ("cert_file", "key_file", "client_ca_file"):
                self.assertIn(str(Path(config[key]).parent), places, (label, key))
        self.assertEqual(documents("web-config", "Secret"), [])


if __name__ == "__main__":
    unittest.main()
