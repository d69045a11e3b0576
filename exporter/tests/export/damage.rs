//! Each kind of damage to a checkpoint, and what the error says of it.

use std::fs;
use std::path::Path;

use hilbert_exporter::Checkpoint;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::tiny::Tiny;

/// What is done to the folder of a checkpoint.
type Damage = fn(&Path);

fn model(folder: &Path) -> std::path::PathBuf {
    folder.join("model.safetensors")
}

/// Replaces `model.safetensors` by these bytes.
fn replaced(folder: &Path, bytes: &[u8]) {
    fs::write(model(folder), bytes).unwrap();
}

/// Puts these bytes beside it, under another name, and removes it.
fn renamed(folder: &Path, name: &str, bytes: &[u8]) {
    fs::remove_file(model(folder)).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}

/// Writes the tiny checkpoint with `text.norm.bias` of this type, of 24 elements of `element`.
fn typed(folder: &Path, dtype: Dtype, element: &[u8]) {
    let tiny = Tiny::new();
    let floats = |values: &Vec<f32>| values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut bytes: std::collections::BTreeMap<_, Vec<u8>> =
        tiny.tensors.iter().map(|(name, (_, values))| (name.as_str(), floats(values))).collect();
    bytes.insert("text.norm.bias", element.repeat(24));
    let views = tiny.tensors.iter().map(|(name, (shape, _))| {
        let dtype = if name == "text.norm.bias" { dtype } else { Dtype::F32 };
        (name, TensorView::new(dtype, shape.clone(), &bytes[name.as_str()]).unwrap())
    });
    safetensors::serialize_to_file(views, None, &model(folder)).unwrap();
}

#[test]
fn each_kind_of_damage_is_named_with_what_was_expected() {
    let convert = "expected a safetensors file; convert it where it comes from: `from safetensors.torch import save_file;";
    let again = "expected a safetensors file; copy or download it again";
    let rows: [(&str, Damage, &[&str]); 20] = [
        (
            "missing tensor",
            |f| with(f, |t| drop(t.tensors.remove("speech.norm.bias"))),
            &[r#"tensor "speech.norm.bias": found none, expected shape [32]"#],
        ),
        (
            "wrong shape",
            |f| with(f, |t| t.tensors.get_mut("speech.norm.bias").unwrap().0 = vec![4, 8]),
            &[r#"tensor "speech.norm.bias": found shape [4, 8], expected [32]"#],
        ),
        (
            "NaN",
            |f| with(f, |t| t.tensors.get_mut("text.norm.bias").unwrap().1[7] = f32::NAN),
            &[r#"tensor "text.norm.bias": found NaN at element 7, expected a finite number"#],
        ),
        (
            "wrong shape and NaN",
            |f| {
                with(f, |t| {
                    let tensor = t.tensors.get_mut("text.norm.bias").unwrap();
                    (tensor.0, tensor.1[0]) = (vec![3, 8], f32::NEG_INFINITY);
                });
            },
            &[
                "found shape [3, 8], expected [24]",
                "found -inf at element 0, expected a finite number",
            ],
        ),
        (
            "f64",
            |f| typed(f, Dtype::F64, &[0; 8]),
            &[r#"tensor "text.norm.bias": found type F64, expected F16, BF16 or F32"#],
        ),
        ("int8", |f| typed(f, Dtype::I8, &[0]), &["found type I8, expected F16, BF16 or F32"]),
        ("cut in the tensors", |f| cut(f, 1000), &["bytes where its header states", again]),
        (
            "cut in the header",
            |f| replaced(f, &fs::read(model(f)).unwrap()[..100]),
            &["found 100 bytes where its header states", again],
        ),
        (
            "longer",
            |f| replaced(f, &[&fs::read(model(f)).unwrap()[..], &[0]].concat()),
            &["bytes where its header states", again],
        ),
        ("empty", |f| replaced(f, b""), &["found an empty file", again]),
        ("a few bytes", |f| replaced(f, b"\x01\x02"), &["not a safetensors file"]),
        ("noise", |f| replaced(f, &[0xA5; 4096]), &["not a safetensors file"]),
        (
            "a zip of a pickle",
            |f| replaced(f, b"PK\x03\x04\0\0archive/data.pkl"),
            &["found a zip archive, as torch.save writes it around a pickle", convert],
        ),
        ("a pickle", |f| replaced(f, b"\x80\x02}q\0."), &["found a pickle", convert]),
        (
            "a pickle of another name",
            |f| renamed(f, "pytorch_model.bin", b"PK\x03\x04"),
            &[
                "found none, but pytorch_model.bin (a zip archive, as torch.save writes it around a pickle) beside it",
                convert,
            ],
        ),
        (
            "an old pickle of another name",
            |f| renamed(f, "model.pt", b"\x80\x02"),
            &["found none, but model.pt (a pickle) beside it", convert],
        ),
        (
            "a Git LFS pointer",
            |f| replaced(f, b"version https://git-lfs.github.com/spec/v1\noid"),
            &["found a Git LFS pointer", "git lfs pull"],
        ),
        ("a page", |f| replaced(f, b"<!DOCTYPE html>"), &["found a page of HTML or XML", again]),
        (
            "a folder",
            |f| {
                fs::remove_file(model(f)).unwrap();
                fs::create_dir(model(f)).unwrap();
            },
            &["found a folder", again],
        ),
        ("nothing", |f| fs::remove_file(model(f)).unwrap(), &["model.safetensors: cannot be read"]),
    ];
    let mut wrong = Vec::new();
    for (kind, damage, expected) in rows {
        let folder = Tiny::new().written();
        damage(folder.path());
        let error = Checkpoint::open(folder.path()).unwrap_err();
        let (said, path) = (error.to_string(), folder.path().display().to_string());
        if error.code() != 4
            || !said.starts_with(&path)
            || !expected.iter().all(|e| said.contains(e))
        {
            wrong.push((kind, said));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn with(folder: &Path, change: impl FnOnce(&mut Tiny)) {
    let mut tiny = Tiny::new();
    change(&mut tiny);
    tiny.write(folder);
}

fn cut(folder: &Path, from: usize) {
    let bytes = fs::read(model(folder)).unwrap();
    replaced(folder, &bytes[..bytes.len() - from]);
}

#[test]
fn numbers_of_every_float_type_are_read_as_they_are() {
    let rows: [(Dtype, &[u8], f32); 3] = [
        (Dtype::F16, &[0x00, 0x3e], 1.5),
        (Dtype::BF16, &[0x80, 0x3e], 0.25),
        (Dtype::F32, &[0x00, 0x00, 0x20, 0x40], 2.5),
    ];
    for (dtype, element, expected) in rows {
        let folder = Tiny::new().written();
        typed(folder.path(), dtype, element);
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        assert_eq!(
            checkpoint.tensor("text.norm.bias").unwrap().values,
            [expected; 24],
            "{dtype:?}"
        );
    }
}

#[test]
fn the_configuration_of_a_hugging_face_model_is_no_checkpoints() {
    let folder = Tiny::new().written();
    fs::write(folder.path().join("config.json"), r#"{"model_type": "whisper"}"#).unwrap();
    let error = Checkpoint::open(folder.path()).unwrap_err();
    let said =
        r#"found the configuration of a Hugging Face model, "whisper", expected a checkpoint's"#;
    assert!(error.to_string().contains(said) && error.code() == 4, "{error}");
}
