"""What is measured on: the processor, its instruction sets that matter, versions, load."""

import os
import platform
import subprocess
import tomllib
from pathlib import Path

import onnxruntime

FLAGS = ("avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_int8")
LOCK = Path(__file__).parent / "Cargo.lock"


def describe():
    packages = tomllib.loads(LOCK.read_text())["package"]
    versions = {p["name"]: p["version"] for p in packages if p["name"] in ("tract-onnx", "rten")}
    versions["onnxruntime"] = onnxruntime.__version__
    versions["rustc"] = subprocess.check_output(["rustc", "--version"], text=True).split()[1]
    info = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    fields = {name.strip(): value.strip() for name, _, value in reversed(info)}
    present = fields.get("flags", "").split()
    return {
        "processor": fields.get("model name", platform.machine()),
        "instruction_sets": [flag for flag in FLAGS if flag in present],
        "cores": os.cpu_count(),
        "versions": versions,
        "load_average_before": os.getloadavg()[0],
    }
