"""Prints as JSON what the DaemonSet of a ci file tells the exporter: `arguments.py default`."""

import json
import sys

from chart import case, exporters

print(json.dumps(exporters(case(sys.argv[1]))[0][2]["args"]))
