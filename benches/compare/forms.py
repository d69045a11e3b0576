"""The int8 forms of an encoder that onnxruntime's quantiser makes, from its f32 graph and real inputs.

python forms.py F32.onnx INPUTS.safetensors FOLDER
"""

import argparse
import math
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from safetensors.numpy import load_file

TYPES = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8}


class Items(CalibrationDataReader):
    """Calibrates on the very inputs that are measured: the best case for static scales."""

    def __init__(self, path):
        self.tensors = load_file(path)
        self.rewind()

    def rewind(self):
        count = len(next(iter(self.tensors.values())))
        self.items = iter({name: x[i : i + 1] for name, x in self.tensors.items()} for i in range(count))

    def get_next(self):
        return next(self.items, None)


def write_forms(f32, inputs, folder):
    """Writes each form as `NAME.onnx` into the folder; returns those that the quantiser could not make, and why.

    Names: `dynamic` (activations u8, scales at run time), `qdq` and `qoperator` (static scales), `matmul` where
    convolutions and tables stay float; then types of activations and weights, `channel` for a scale a channel. `f32` is
    what all are made from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source, prepared, failed = folder / "f32.onnx", folder / "prepared.partial", {}
    known_gelu(f32, source)
    quant_pre_process(source, prepared, skip_optimization=True)

    def attempt(name, make):
        out = folder / f"{name}.onnx"
        try:
            make(out)
            onnx.load(out)
        except Exception as error:  # what the quantiser raises is of no one kind, and all of it is a result
            out.unlink(missing_ok=True)
            failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0]}"

    for weights, per_channel in (("u8", False), ("s8", False), ("s8", True)):
        suffix = f"u8{weights}" + ("-channel" if per_channel else "")
        options = {"weight_type": TYPES[weights], "per_channel": per_channel}
        attempt(f"dynamic-{suffix}", lambda out: quantize_dynamic(prepared, out, **options))  # noqa: B023
        only = options | {"op_types_to_quantize": ["MatMul"]}
        attempt(f"dynamic-matmul-{suffix}", lambda out: quantize_dynamic(prepared, out, **only))  # noqa: B023
    for form in (QuantFormat.QDQ, QuantFormat.QOperator):
        for activations, weights, per_channel in (("u8", "s8", False), ("u8", "s8", True), ("s8", "s8", False)):
            suffix = f"{activations}{weights}" + ("-channel" if per_channel else "")
            options = {
                "quant_format": form,
                "activation_type": TYPES[activations],
                "weight_type": TYPES[weights],
                "per_channel": per_channel,
            }
            attempt(
                f"{form.name.lower()}-{suffix}",
                lambda out: quantize_static(prepared, out, Items(inputs), **options),  # noqa: B023
            )
            only = options | {"op_types_to_quantize": ["MatMul"]}
            attempt(
                f"{form.name.lower()}-matmul-{suffix}",
                lambda out: quantize_static(prepared, out, Items(inputs), **only),  # noqa: B023
            )
    prepared.unlink()
    return failed


def known_gelu(f32, out):
    """Writes GELU as PyTorch does, dividing by the root of two where ours multiplies: onnxruntime fuses only that."""
    model = onnx.load(f32)
    scalars = {x.name: numpy_helper.to_array(x) for x in model.graph.initializer if not x.dims}
    erf_inputs = {node.input[0] for node in model.graph.node if node.op_type == "Erf"}
    for node in model.graph.node:
        if node.op_type == "Mul" and node.output[0] in erf_inputs:
            assert abs(scalars[node.input[1]] - math.sqrt(0.5)) < 1e-6, node
            node.op_type, node.input[1] = "Div", "square_root_of_two"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(math.sqrt(2)), "square_root_of_two"))
    onnx.save(model, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("f32", type=Path)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    for name, reason in write_forms(arguments.f32, arguments.inputs, arguments.folder).items():
        print(f"{name}: {reason}")
