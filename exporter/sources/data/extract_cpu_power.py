#!/usr/bin/env python3
"""The making of cpu_power.csv: what processors draw, from two published tables.

Run it by hand where a pinned version below is raised; neither the build nor the program ever does.
It needs npm and pip, and rewrites the file beside it, byte for byte the same from the same versions.

- @cloud-carbon-footprint/aws and /azure (Apache-2.0): watts per hardware thread, idle and full, by
  microarchitecture, which their authors derived from SPECpower results. Kind `family`, and `average`.
- codecarbon (MIT): thermal design power by processor model. Kind `tdp`.
"""

import csv
import hashlib
import io
import pathlib
import re
import subprocess
import tarfile
import tempfile
import zipfile

# Package, version, year of its publication, licence, SHA-256 of the archive.
AWS = ("@cloud-carbon-footprint/aws", "0.15.0", 2024, "Apache-2.0",
       "64fcc1950518579958f7cd9aa2b8b29c0e077c254c0103c16ff57840a8e6a068")
AZURE = ("@cloud-carbon-footprint/azure", "1.8.0", 2026, "Apache-2.0",
         "d41051eb8c29569bc2764a3b97a07a81e93d1bb2ebeb91a67bddf4fcf8e46e1d")
CORE = ("@cloud-carbon-footprint/core", "1.0.0", 2026, "Apache-2.0",
        "02aaa6d67a7fe1f6930754cb3c155937f0caa9dd4de42e88e7931b3891921939")
CODECARBON = ("codecarbon", "3.3.2", 2026, "MIT",
              "05b31dea9dd26ed1e90947973c9ef20c87d127ea71fc32b4cb55a3ec512b8897")

COLUMNS = ["name", "kind", "idle_watts_per_thread", "full_watts_per_thread", "tdp_watts", "source", "year", "licence"]
# The same tables list accelerators.
NOT_PROCESSORS = ("NVIDIA_", "XILINX_", "AMD_RADEON")


def archive(package, command, folder):
    """The bytes of a pinned package, checked."""
    name, version, _, _, digest = package
    before = set(folder.iterdir())
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (path,) = set(folder.iterdir()) - before
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise SystemExit(f"{name} {version}: expected SHA-256 {digest}, found {found}")
    return data


def from_npm(package, member, folder):
    data = archive(package, ["npm", "pack", f"{package[0]}@{package[1]}"], folder)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.extractfile(f"package/{member}").read().decode()


def from_pypi(package, member, folder):
    command = ["pip", "download", "--no-deps", "--only-binary=:all:", f"{package[0]}=={package[1]}"]
    with zipfile.ZipFile(io.BytesIO(archive(package, command, folder))) as wheel:
        return wheel.read(member).decode()


def provenance(package):
    return [f"{package[0]} {package[1]}", package[2], package[3]]


def watts_by_processor(script, key):
    """The object `key: { [core_1.COMPUTE_PROCESSOR_TYPES.NAME]: watts, … }` of a package's constants."""
    (body,) = re.findall(key + r": \{([^}]*)\}", script)
    pairs = re.findall(r"COMPUTE_PROCESSOR_TYPES\.(\w+)\]: ([\d.]+)", body)
    return {name: float(watts) for name, watts in pairs if not name.startswith(NOT_PROCESSORS)}


def families(package, script, names):
    idle = watts_by_processor(script, "MIN_WATTS_BY_COMPUTE_PROCESSOR")
    full = watts_by_processor(script, "MAX_WATTS_BY_COMPUTE_PROCESSOR")
    assert idle.keys() == full.keys()
    return {names[key]: [idle[key], full[key], package] for key in idle}


def average(package, script):
    idle, full = (float(re.search(key + r": ([\d.]+)", script)[1]) for key in ("MIN_WATTS_AVG", "MAX_WATTS_AVG"))
    return ["average", "average", idle, full, "", *provenance(package)]


def merged(aws, azure):
    """The families of both; where both have one they have to agree."""
    for name in aws.keys() & azure.keys():
        assert aws[name][:2] == azure[name][:2], name
    both = azure | aws
    return [[n, "family", idle, full, "", *provenance(p)] for n, (idle, full, p) in sorted(both.items())]


def tells_its_line(name):
    """Whether the name says more than a number: "4334" could be anybody's, and "ARMv8 Processor" is everybody's."""
    return not re.fullmatch(r"[A-Z]?\d+\w?( [A-Z]{2})?", name) and not name.startswith("ARMv")


def design_powers(text):
    """Rows by model, without those that are no number (`29.32.9`) or name nothing."""
    rows = {}
    for name, watts in list(csv.reader(io.StringIO(text)))[1:]:
        number = re.fullmatch(r"\d+(\.\d+)?", watts)
        if number and float(watts) > 0 and "," not in name and tells_its_line(name):
            rows.setdefault(" ".join(name.split()), float(watts))
    return [[name, "tdp", "", "", f"{rows[name]:g}", *provenance(CODECARBON)] for name in sorted(rows)]


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        types = from_npm(CORE, "dist/compute/ComputeProcessorTypes.js", folder)
        names = dict(re.findall(r'COMPUTE_PROCESSOR_TYPES\["(\w+)"\] = "([^"]+)"', types))
        aws = from_npm(AWS, "dist/domain/AwsFootprintEstimationConstants.js", folder)
        azure = from_npm(AZURE, "dist/domain/AzureFootprintEstimationConstants.js", folder)
        models = from_pypi(CODECARBON, "codecarbon/data/hardware/cpu_power.csv", folder)
    rows = [average(AWS, aws), *merged(families(AWS, aws, names), families(AZURE, azure, names)), *design_powers(models)]
    with open(pathlib.Path(__file__).with_name("cpu_power.csv"), "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
