"""Every ci/*-values.yaml renders, lints, and is what Kubernetes takes."""

import json
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import helm_python
import kubernetes_validate
import yaml

from chart import CHART, NAMESPACE, ROOT, case, cases, exporters, objects, of_kind, refusal, texts

# The oldest that Chart.yaml allows and the newest whose schemas are known.
VERSIONS = ["1.30", "1.37"]
# Of others' API groups; there are no schemas of theirs to check against.
FOREIGN = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "VerticalPodAutoscaler", "SecurityContextConstraints"}


class Render(unittest.TestCase):
    def test_every_case_lints(self):
        for name, values in cases().items():
            found = helm_python.lint(str(CHART), values, strict=True, namespace=NAMESPACE)
            grave = [one for one in found["messages"] if str(one["severity"]).upper() not in ("INFO", "1", "0", "UNKNOWN")]
            self.assertEqual(grave, [], name)

    def test_what_is_pushed_carries_the_label_cluster(self):
        for name, _, container in exporters(objects({"cluster": "prod-1", "zone": "DE", "grid": {"enabled": True}, "otlp": {"enabled": True, "endpoint": "http://c:4318"}})):
            values = [one["value"] for one in container.get("env", []) if one["name"] == "OTEL_RESOURCE_ATTRIBUTES"]
            self.assertEqual(len(values), 1, name)
            self.assertLessEqual({"cluster=prod-1", "k8s.cluster.name=prod-1"}, set(values[0].split(",")), name)

    def test_every_case_is_valid(self):
        kinds, seen = set(), set()
        for name in cases():
            for one in case(name):
                kinds.add(one["kind"])
                # Most objects are the same in many cases.
                text = json.dumps(one, sort_keys=True)
                if text in seen:
                    continue
                seen.add(text)
                for version in VERSIONS if one["kind"] not in FOREIGN else []:
                    with self.subTest(case=name, kind=one["kind"], name=one["metadata"]["name"], version=version):
                        kubernetes_validate.validate(one, version, strict=True)
        # Of what is optional, none is forgotten by the cases.
        self.assertLessEqual(FOREIGN | {"DaemonSet", "Deployment", "NetworkPolicy", "PriorityClass", "Secret", "Pod"}, kinds)

    def test_no_object_twice(self):
        for name in cases():
            names = [(one["apiVersion"], one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in case(name)]
            self.assertEqual(sorted(names), sorted(set(names)), name)
            for one in case(name):
                self.assertRegex(one["metadata"]["name"], r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")

    def test_a_long_name_stays_one(self):
        for one in objects({"fullnameOverride": "n" * 80, "grid": {"enabled": True}, "zone": "DE", "monitoring": {"enabled": True}}):
            self.assertLessEqual(len(one["metadata"]["name"].removeprefix(f"{NAMESPACE}-")), 63, one["kind"])

    def test_the_manifests_are_tidy(self):
        relaxed = "{extends: relaxed, rules: {line-length: disable, indentation: disable, empty-lines: disable}}"
        seen = set()
        with tempfile.TemporaryDirectory() as folder:
            for name, values in cases().items():
                for path, text in texts(values).items():
                    if not path.endswith("NOTES.txt") and text.strip() and text not in seen:
                        seen.add(text)
                        (Path(folder) / f"{name}-{path.replace('/', '-')}").write_text(text.strip("\n") + "\n")
            sources = [CHART / "values.yaml", CHART / "Chart.yaml", CHART / "ci", ROOT / "helm" / "manifests"]
            said = subprocess.run(
                ["yamllint", "--strict", "-d", relaxed, folder, *map(str, sources)],
                executable=Path(helm_python.__file__).parents[4] / "bin" / "yamllint", capture_output=True, text=True, check=False,
            )
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)

    def test_what_does_not_fit_together_is_refused(self):
        for values, words in [
            ({"grid": {"enabled": True}}, "set zone"),
            ({"grid": {"budgets": ["namespace=ml energy-kwh=5"]}}, "set grid.enabled"),
            ({"otlp": {"enabled": True}}, "otlp.endpoint"),
            ({"monitoring": {"enabled": True, "kind": "ServiceMonitor"}, "node": {"service": {"enabled": False}}}, "node.service.enabled"),
        ]:
            self.assertIn(words, str(refusal(values)))

    def test_a_zone_that_only_a_provider_knows_reaches_the_nodes_and_the_grid(self):
        found = objects({"zone": "GB-LONDON", "grid": {"enabled": True, "providers": ["uk"]}})
        args = {container["args"][0]: container["args"] for _, _, container in exporters(found)}
        self.assertEqual(set(args), {"node", "grid"})
        for command, given in args.items():
            self.assertIn("--grid.zone=GB-LONDON", given, command)
        self.assertIn("--grid.provider=uk", args["grid"])

    def test_notes_say_what_to_do(self):
        notes = {name: texts(values)["noether/templates/NOTES.txt"] for name, values in cases().items()}
        self.assertIn("monitoring.labels.release=", notes["default"])
        self.assertIn('{"release":"kube-prometheus-stack"}', notes["monitoring"])
        self.assertIn("podMonitorSelector", notes["monitoring"])
        self.assertIn("set zone", notes["default"])
        self.assertNotIn("set zone", notes["grid"])
        self.assertIn("https://", notes["tls-only"])
        # Who sees no pods at all is told of Pod Security.
        self.assertIn("pod-security.kubernetes.io/enforce=privileged", notes["default"])

    def test_the_kustomizations_name_files_that_exist(self):
        for file in (ROOT / "helm" / "manifests").glob("*/kustomization.yaml"):
            named = set(yaml.safe_load(file.read_text())["resources"])
            there = {one.name for one in file.parent.glob("*.yaml")} - {file.name}
            self.assertEqual(named, there, file)

    def test_what_is_set_arrives(self):
        image = exporters(case("image"))[0][2]["image"]
        self.assertRegex(image, r"^registry\.example\.com:5000/mirror/noether@sha256:[0-9a-f]{64}$")
        self.assertEqual(exporters(case("image"))[0][1]["imagePullSecrets"], [{"name": "registry"}])
        extra = [one["metadata"]["name"] for one in of_kind(case("extra"), "ConfigMap")]
        self.assertEqual(extra, ["green-noether-extra", "intensity"])
        named = [one for one in of_kind(case("extra"), "ConfigMap") if one["metadata"]["name"] == "green-noether-extra"]
        self.assertEqual(named[0]["data"], {"release": "green"})
        placed = exporters(case("placement"))[0][1]
        self.assertEqual(placed["priorityClassName"], of_kind(case("placement"), "PriorityClass")[0]["metadata"]["name"])
        self.assertEqual(placed["serviceAccountName"], "metering")
        self.assertNotIn("ClusterRole", [one["kind"] for one in case("placement")])

    def test_nodes_with_gpus_have_one_daemonset(self):
        names = {name: [one["metadata"]["name"] for one in of_kind(case(name), "DaemonSet")] for name in cases()}
        self.assertEqual(names["default"], ["green-noether-node"])
        self.assertEqual(names["gpu-nvidia"], ["green-noether-node", "green-noether-node-gpu"])
        self.assertEqual(names["gpu-amd"], ["green-noether-node-gpu"])
        plain, gpu = (one["spec"]["template"]["spec"] for one in of_kind(case("gpu-nvidia"), "DaemonSet"))
        self.assertEqual(gpu["runtimeClassName"], "nvidia")
        self.assertEqual(gpu["nodeSelector"]["nvidia.com/gpu.present"], "true")
        self.assertNotIn("runtimeClassName", plain)
        terms = plain["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        self.assertEqual(terms, [{"matchExpressions": [{"key": "nvidia.com/gpu.present", "operator": "NotIn", "values": ["true"]}]}])

    def test_a_guarded_port_is_only_knocked_at(self):
        for name in cases():
            for label, _, container in exporters(case(name)):
                for probe, path in [("livenessProbe", "/-/healthy"), ("readinessProbe", "/-/ready")]:
                    found = container[probe]
                    if name in ("tls", "basic-auth"):
                        self.assertEqual(found["tcpSocket"], {"port": "metrics"}, (name, label))
                    else:
                        scheme = "HTTPS" if name in ("tls-only", "web-config") else "HTTP"
                        self.assertEqual(found["httpGet"], {"path": path, "port": "metrics", "scheme": scheme}, (name, label))

    def test_every_mount_has_its_volume(self):
        for name in cases():
            for label, spec in [(label, spec) for label, spec, _ in exporters(case(name))]:
                volumes = [volume["name"] for volume in spec.get("volumes", [])]
                mounts = [mount["name"] for mount in spec["containers"][0].get("volumeMounts", [])]
                self.assertEqual(sorted(volumes), sorted(mounts), (name, label))
                for argument in spec["containers"][0]["args"]:
                    for path in re.findall(r"=(/(?:host|etc/noether)/[^=]*)$", argument):
                        places = [mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]]
                        self.assertTrue(any(path.startswith(place) for place in places), (name, label, argument))


if __name__ == "__main__":
    unittest.main()
