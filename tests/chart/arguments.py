"""Prints as JSON what each exporter of each ci file is told: its subcommand and flags, by the file's name."""

import json

from chart import case, cases, exporters

print(json.dumps({name: [container["args"] for _, _, container in exporters(case(name))] for name in cases()}))
