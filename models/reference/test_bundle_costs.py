"""What is said of a bundle's costs."""

from bundle_costs import costs, size


def test_a_bundle_is_as_large_as_all_its_files(tmp_path):
    for name, count in {"manifest.json": 3, "speech_encoder.onnx": 40}.items():
        (tmp_path / name).write_bytes(count * b"a")
    assert size(tmp_path) == 43


def test_one_slow_run_does_not_count():
    runs = [{"total_s": s, "peak_resident_bytes": b, "fusion_s": 0} for s, b in ((1.0, 90), (9.0, 100), (1.2, 80))]
    assert costs({"small": 43}, {"small": runs}) == {"small": {"bytes": 43, "total_s": 1.2, "peak_resident_bytes": 90}}
