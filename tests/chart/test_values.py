"""Values: every key is known, and a typo is refused by its name."""

import json
import unittest

import yaml

from chart import CHART, cases, refusal, schema


def levels(node, path=()):
    """Every object of the schema, as the way that leads to it."""
    kind = node.get("type")
    if kind == "array":
        yield from levels(node["items"], (*path, 0))
    elif kind == "object":
        yield path, node
        for key, value in node.get("properties", {}).items():
            yield from levels(value, (*path, key))


def around(path, value):
    """The value, as far down as the path says."""
    for step in reversed(path):
        value = [value] if step == 0 else {step: value}
    return value


# Kubernetes' own objects and maps of free names; the API server checks what it can.
FREE = {
    "global", "commonAnnotations", "commonLabels", "extraObjects.0", "otlp.resourceAttributes", "web.basicAuth.users", "openshift.seLinuxOptions",
}
FREE_ENDS = (
    "nnotations", "abels", "nodeSelector", "limits", "requests", "minAllowed", "maxAllowed", "nodeAffinity", "podAffinity", "podAntiAffinity",
    "valueFrom", "extraVolumes.0", "ca", "cert", "keySecret", "ports.0", "to.0", "ipBlock", "namespaceSelector", "podSelector",
)


class Values(unittest.TestCase):
    def test_a_typo_is_refused_by_name(self):
        for values in [
            {"nodes": {}},
            {"node": {"kuberntes": {"source": "api"}}},
            {"node": {"meters": {"rpal": "off"}}},
            {"node": {"resources": {"limit": {"memory": "1Gi"}}}},
            {"grid": {"tokens": [{"provider": "rte", "secretName": "a", "key": "b", "kye": "c"}]}},
        ]:
            *_, name = [word for word in json.dumps(values).split('"') if word in ("nodes", "kuberntes", "rpal", "limit", "kye")]
            self.assertIn(f"'{name}'", str(refusal(values)))

    def test_every_level_refuses_unknown_keys(self):
        checked = 0
        for path, node in levels(schema()):
            name = ".".join(map(str, path))
            if node.get("additionalProperties") is not False:
                self.assertTrue(name in FREE or name.endswith(FREE_ENDS), f"{name} takes any key")
                continue
            said = str(refusal(around(path, {"unknownKey": 1})))
            self.assertIn("'unknownKey'", said, name)
            checked += 1
        self.assertGreater(checked, 50)

    def test_wrong_values_are_refused(self):
        for values, path in [
            ({"node": {"kubernetes": {"source": "kubectl"}}}, "/node/kubernetes/source"),
            ({"node": {"meters": {"rapl": "yes"}}}, "/node/meters/rapl"),
            ({"node": {"sampleInterval": "1 minute"}}, "/node/sampleInterval"),
            ({"node": {"securityContext": {"allowPrivilegeEscalation": True}}}, "/node/securityContext"),
            ({"node": {"securityContext": {"privileged": True}}}, "privileged"),
            ({"node": {"extraArgs": ["sample.interval=2s"]}}, "/node/extraArgs/0"),
            ({"image": {"digest": "sha256:1"}}, "/image/digest"),
            ({"pue": "lots"}, "/pue"),
            ({"grid": {"providers": ["mine"]}}, "/grid/providers/0"),
        ]:
            self.assertIn(path, str(refusal(values)))

    def test_every_value_is_in_some_case(self):
        """What no ci file sets is not known to work."""
        default = yaml.safe_load((CHART / "values.yaml").read_text())
        # Plain words that are copied as they stand, whose default is seen in all cases.
        plain = {
            "nameOverride", "node.terminationGracePeriodSeconds", "node.podSecurityContext", "node.securityContext", "node.gpu.resources",
            "node.slurm.folder", "node.kubernetes.kubeletCAConfigMapKey", "node.service.annotations", "networkPolicy.otlpPorts",
            "otlp.headersSecretKey", "otlp.caConfigMapKey", "web.tls.clientCAKey", "web.configSecret.key", "priorityClass.preemptionPolicy",
            "monitoring.basicAuth.usernameKey", "monitoring.basicAuth.passwordKey", "monitoring.dashboards.labels",
            "monitoring.dashboards.annotations", "monitoring.rules.enabled", "image.tag", "tests.image.tag",
        }
        missing = []

        def walk(node, path, files):
            for key, value in node.items():
                here = f"{path}.{key}".lstrip(".")
                inside = [file[key] for file in files if isinstance(file, dict) and key in file]
                described = "description" in properties(here)
                if isinstance(value, dict) and not described:
                    walk(value, here, inside)
                elif not inside and here not in plain and not here.startswith(("grid.", "node.livenessProbe", "node.readinessProbe", "node.vpa")):
                    missing.append(here)

        def properties(path):
            node = schema()
            for step in path.split("."):
                node = node["properties"][step]
            return node

        walk(default, "", list(cases().values()))
        self.assertEqual(missing, [])


if __name__ == "__main__":
    unittest.main()
