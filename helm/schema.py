"""What the comments in values.yaml cannot say of a value: its kind. Read by generate.py, which writes values.schema.json.

Whatever is not named here has the kind of its default. No map takes keys that are not named, but those of labels and the
like, and the few that are Kubernetes' own and deep, which the API server checks.
"""

PROVIDERS = ["electricitymaps", "watttime", "uk", "rte", "entsoe", "eia", "file", "static"]

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
FLAG = {"type": "boolean"}
NUMBER = {"type": "integer", "minimum": 0}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
PORTS = {"type": "array", "items": PORT}
STRINGS = {"type": "object", "additionalProperties": TEXT}
OPEN = {"type": "object"}
AMOUNT_OR_PART = {"type": ["integer", "string"]}
QUANTITIES = {"type": "object", "additionalProperties": {"type": ["integer", "number", "string"]}}
DURATION = {"type": "string", "pattern": "^([0-9]+(y|w|d|h|m|s|ms))*$"}
# `--set pue=1.3` gives a text, a file of values a number.
DECIMAL = {"type": ["number", "string"], "minimum": 0, "pattern": r"^([0-9]+(\.[0-9]+)?)?$"}
DIGEST = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}


def one_of(*words):
    return {"type": "string", "enum": list(words)}


def only(required=(), **keys):
    """An object of these keys and no other."""
    found = {"type": "object", "additionalProperties": False, "properties": keys}
    return found | ({"required": list(required)} if required else {})


def list_of(item):
    return {"type": "array", "items": item}


SELINUX = only(level=TEXT, role=TEXT, type=TEXT, user=TEXT)
SECCOMP = only(type=one_of("RuntimeDefault", "Localhost", "Unconfined"), localhostProfile=TEXT)
APPARMOR = only(type=one_of("RuntimeDefault", "Localhost", "Unconfined"), localhostProfile=TEXT)
POD_SECURITY = only(
    appArmorProfile=APPARMOR, fsGroup=NUMBER, fsGroupChangePolicy=one_of("Always", "OnRootMismatch"), runAsGroup=NUMBER, runAsNonRoot=FLAG,
    runAsUser=NUMBER, seLinuxOptions=SELINUX, seccompProfile=SECCOMP, supplementalGroups=list_of(NUMBER),
)
# No `privileged` and no `capabilities`: the templates say these themselves.
SECURITY = only(
    allowPrivilegeEscalation={"const": False}, appArmorProfile=APPARMOR, readOnlyRootFilesystem=FLAG, runAsGroup=NUMBER, runAsNonRoot=FLAG,
    runAsUser=NUMBER, seLinuxOptions=SELINUX, seccompProfile=SECCOMP,
)
MOUNTS = list_of(only(
    ["name", "mountPath"], name=TEXT, mountPath=TEXT, mountPropagation=TEXT, readOnly=FLAG, recursiveReadOnly=TEXT, subPath=TEXT, subPathExpr=TEXT,
))
RELABELINGS = list_of(only(
    action=TEXT, modulus=NUMBER, regex=TEXT, replacement=TEXT, separator=TEXT, sourceLabels=TEXTS, targetLabel=TEXT,
))
TOLERATIONS = list_of(only(
    effect=one_of("NoSchedule", "PreferNoSchedule", "NoExecute"), key=TEXT, operator=one_of("Exists", "Equal", "Lt", "Gt"),
    tolerationSeconds={"type": "integer"}, value=TEXT,
))
PARTS = {
    "affinity": only(nodeAffinity=OPEN, podAffinity=OPEN, podAntiAffinity=OPEN),
    "extraArgs": list_of({"type": "string", "pattern": "^--"}),
    "extraEnv": list_of(only(["name"], name=TEXT, value=TEXT, valueFrom=OPEN)),
    "extraVolumeMounts": MOUNTS,
    "extraVolumes": list_of({"type": "object", "required": ["name"]}),
    "nodeSelector": STRINGS,
    "podAnnotations": STRINGS,
    "podLabels": STRINGS,
    "podSecurityContext": POD_SECURITY,
    "port": PORT,
    "resources": only(limits=QUANTITIES, requests=QUANTITIES),
    "securityContext": SECURITY,
    "service.annotations": STRINGS,
    "serviceAccount.annotations": STRINGS,
    "tolerations": TOLERATIONS,
    "updateStrategy": only(
        rollingUpdate=only(maxSurge=AMOUNT_OR_PART, maxUnavailable=AMOUNT_OR_PART), type=one_of("RollingUpdate", "OnDelete", "Recreate"),
    ),
    "vpa.maxAllowed": QUANTITIES,
    "vpa.minAllowed": QUANTITIES,
    "vpa.updateMode": one_of("Off", "Initial", "Recreate", "InPlaceOrRecreate", "Auto"),
}

KINDS = {
    "commonAnnotations": STRINGS,
    "commonLabels": STRINGS,
    "energyPrice": DECIMAL,
    "extraObjects": list_of({"type": ["object", "string"]}),
    "grid.basis": one_of("", "all", "lifecycle", "direct"),
    "grid.budgets": TEXTS,
    "grid.maxAge": DURATION,
    "grid.providers": list_of(one_of(*PROVIDERS)),
    "grid.service.type": one_of("ClusterIP", "NodePort", "LoadBalancer"),
    "grid.static": TEXTS,
    "grid.tokens": list_of(only(["provider", "secretName", "key"], provider=one_of(*PROVIDERS), secretName=TEXT, key=TEXT)),
    "grid.urls": only(**{provider: TEXT for provider in PROVIDERS}),
    "grid.zones": TEXTS,
    "image.digest": DIGEST,
    "image.pullPolicy": one_of("Always", "IfNotPresent", "Never"),
    "imagePullSecrets": list_of(only(["name"], name=TEXT)),
    "log.format": one_of("", "text", "json"),
    "log.level": one_of("", "error", "warn", "info", "debug", "trace"),
    "monitoring.dashboards.annotations": STRINGS,
    "monitoring.dashboards.labels": STRINGS,
    "monitoring.interval": DURATION,
    "monitoring.kind": one_of("PodMonitor", "ServiceMonitor"),
    "monitoring.labels": STRINGS,
    "monitoring.metricRelabelings": RELABELINGS,
    "monitoring.relabelings": RELABELINGS,
    "monitoring.rules.labels": STRINGS,
    "monitoring.scrapeTimeout": DURATION,
    "monitoring.tlsConfig": only(
        ca=OPEN, cert=OPEN, insecureSkipVerify=FLAG, keySecret=OPEN, maxVersion=TEXT, minVersion=TEXT, serverName=TEXT,
    ),
    "networkPolicy.apiPorts": PORTS,
    "networkPolicy.extraEgress": list_of(only(ports=list_of(OPEN), to=list_of(OPEN))),
    "networkPolicy.from": list_of(only(ipBlock=OPEN, namespaceSelector=OPEN, podSelector=OPEN)),
    "networkPolicy.otlpPorts": PORTS,
    "node.access.recursiveReadOnly": one_of("Disabled", "IfPossible", "Enabled"),
    "node.attribution.idle": one_of("", "usage", "requests", "none"),
    "node.attribution.idleWatts": TEXTS,
    "node.gpu.nodeSelector": STRINGS,
    "node.gpu.resources": PARTS["resources"],
    "node.kubernetes.identityTimeout": DURATION,
    "node.kubernetes.podAnnotations": TEXTS,
    "node.kubernetes.podLabels": TEXTS,
    "node.kubernetes.source": one_of("auto", "pods-api", "kubelet", "api", "off"),
    "node.meters.*": one_of("auto", "on", "off"),
    "node.sampleInterval": DURATION,
    "node.workloads.linger": DURATION,
    "node.workloads.systemdUnits": one_of("", "auto", "on", "off"),
    "node.workloads.zeroHold": DURATION,
    "openshift.seLinuxOptions": SELINUX,
    "otlp.protocol": one_of("", "grpc", "http/protobuf"),
    "otlp.resourceAttributes": STRINGS,
    "priorityClass.preemptionPolicy": one_of("PreemptLowerPriority", "Never"),
    "priorityClass.value": {"type": "integer", "maximum": 1000000000},
    "pue": DECIMAL,
    "socialCostOfCarbon": TEXTS,
    "tests.image.digest": DIGEST,
    "web.basicAuth.users": STRINGS,
    "web.configSecret.scheme": one_of("http", "https"),
    "web.tls.clientAllowedSans": TEXTS,
    "web.tls.clientAuthType": one_of("NoClientCert", "RequireAndVerifyClientCert"),
    **{f"node.{key}": kind for key, kind in PARTS.items()},
    **{f"grid.{key}": kind for key, kind in PARTS.items()},
}
