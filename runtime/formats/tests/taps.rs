//! `taps.safetensors`: read as it was written, and refused where it is damaged.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};

use hilbert_formats::manifest::{Dtype, TensorEntry};
use hilbert_formats::taps::{Input, Layer, MAX_BYTES, Place, Rows, SCHEMA, Stored, Taps};
use proptest::prelude::{any, prop_assert_eq, proptest};
use safetensors::tensor::TensorView;

fn example() -> Taps {
    let place = |name: &str, rows| Place {
        graph: "speech_encoder".into(),
        name: name.into(),
        value: name.into(),
        shape: vec![4, 3],
        rows,
    };
    let layer = |name, rows, float: &[f32], own: &[f32]| Layer {
        place: place(name, rows),
        float: float.to_vec(),
        own: own.to_vec(),
    };
    let stored = |shape: &[usize], values| Stored { shape: shape.to_vec(), values };
    Taps {
        layers: vec![
            layer("speech.conv1", Some(Rows { axis: 0, real: 2 }), &[1.0, -2.0], &[1.5, -2.0]),
            layer("speech.norm", None, &[0.25], &[0.25]),
        ],
        inputs: BTreeMap::from([
            (
                "speech_encoder/log_mel".to_owned(),
                stored(&[1, 2, 3], Input::Levels(vec![0, 64, 128, 192, 255, 1])),
            ),
            ("text_encoder/tokens".to_owned(), stored(&[1, 3], Input::I64(vec![2, 77, 3]))),
            ("document".to_owned(), stored(&[1, 2], Input::F32(vec![0.5, -1e-9]))),
        ]),
    }
}

#[test]
fn taps_are_read_as_they_were_written_by_this_crate_and_by_another() {
    let taps = example();
    let bytes = taps.to_bytes();
    assert_eq!(Taps::parse(&bytes).unwrap(), taps);
    assert_eq!(taps.to_bytes(), bytes);
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let views = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let again = safetensors::serialize(views.iter(), header.metadata().clone()).unwrap();
    assert_eq!(Taps::parse(&again).unwrap(), taps);
}

#[test]
fn an_input_is_its_own_or_the_one_that_graphs_share() {
    let taps = example();
    let port = |name: &str, dtype, shape: &[usize]| TensorEntry {
        name: name.into(),
        dtype,
        shape: shape.to_vec(),
    };
    let document = taps.input("router", &port("document", Dtype::F32, &[1, 3])).unwrap();
    assert_eq!(document, Input::F32(vec![0.5, -1e-9, 0.0]));
    let rows = [
        (
            "router",
            port("mixed", Dtype::F32, &[1, 3]),
            "inputs/router/mixed: found no such tensor, expected one",
        ),
        (
            "router",
            port("document", Dtype::F32, &[1, 1]),
            "inputs/router/document: found F32 [1, 2], expected at most F32 [1, 1]",
        ),
        (
            "text_encoder",
            port("tokens", Dtype::F32, &[1, 9]),
            "found I64 [1, 3], expected at most F32 [1, 9]",
        ),
    ];
    for (graph, port, said) in rows {
        let error = taps.input(graph, &port).unwrap_err();
        assert!(error.to_string().ends_with(said) && error.code() == 3, "{error}");
    }
}

/// A file of these tensors, with layers that are stated as `layers`.
fn written(
    schema: &str,
    layers: &str,
    tensors: &[(&str, safetensors::Dtype, &[usize], &[u8])],
) -> Vec<u8> {
    let metadata = HashMap::from([
        ("schema".to_owned(), schema.to_owned()),
        ("layers".to_owned(), layers.to_owned()),
    ]);
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (*name, TensorView::new(*dtype, shape.to_vec(), data).unwrap())
    });
    safetensors::serialize(views, Some(metadata)).unwrap()
}

#[test]
fn what_is_wrong_is_said_with_what_was_expected() {
    use safetensors::Dtype::{F16, F32};
    let one = r#"[{"graph": "join", "name": "a", "value": "a", "shape": [1, 2]}]"#;
    let padded = r#"[{"graph": "join", "name": "a", "value": "a", "shape": [1, 2], "rows": {"axis": 2, "real": 1}}]"#;
    let endless =
        r#"[{"graph": "join", "name": "a", "value": "a", "shape": [4294967296, 4294967296]}]"#;
    let unknown = r#"[{"graph": "join", "name": "a", "value": "a", "shape": [1], "scale": 2}]"#;
    let (zeros, nan) = ([0; 16], f32::NAN.to_le_bytes());
    let layer: (&str, _, &[usize], &[u8]) = ("layers/join/a", F32, &[1, 1], &zeros[..4]);
    let rows = [
        (b"PK\x03\x04".to_vec(), "header: found"),
        (vec![0; MAX_BYTES + 1], "found more than 262144 bytes, expected at most 262144"),
        (
            written("hilbert.taps/9", one, &[layer]),
            r#"schema: found "hilbert.taps/9", expected hilbert.taps/1"#,
        ),
        (written(SCHEMA, "{}", &[]), "layers: found invalid type: map"),
        (written(SCHEMA, unknown, &[]), "unknown field `scale`"),
        (written(SCHEMA, one, &[]), "layers/join/a: found no such tensor"),
        (written(SCHEMA, "[]", &[layer]), "layers/join/a: found a tensor of no layer"),
        (
            written(SCHEMA, padded, &[layer]),
            "layers: join/a: found 1 rows of dimension 2, expected 1 to 0",
        ),
        (written(SCHEMA, endless, &[layer]), "expected 1 to 67108864 elements"),
        (
            written(SCHEMA, one, &[("layers/join/a", F32, &[1, 4], &zeros)]),
            "found 4 elements, expected at most 2",
        ),
        (
            written(SCHEMA, one, &[("layers/join/a", F32, &[3, 1], &zeros[..12])]),
            "found F32 [3, 1], expected F32 [1 or 2, n]",
        ),
        (
            written(SCHEMA, one, &[("layers/join/a", F32, &[1, 0], &[])]),
            "found F32 [1, 0], expected F32 [1 or 2, n]",
        ),
        (
            written(SCHEMA, one, &[("layers/join/a", F32, &[1, 1], &nan)]),
            "found a number that is not finite",
        ),
        (
            written(SCHEMA, "[]", &[("inputs/x", F32, &[1], &nan)]),
            "inputs/x: found a number that is not finite",
        ),
        (
            written(SCHEMA, "[]", &[("inputs/x", F16, &[1], &zeros[..2])]),
            "inputs/x: found type F16, expected F32, I64 or U8",
        ),
        (
            written(SCHEMA, "[]", &[("weights/x", F32, &[1], &zeros[..4])]),
            "weights/x: found a tensor of this name",
        ),
    ];
    let mut wrong = Vec::new();
    for (bytes, said) in rows {
        match Taps::parse(&bytes) {
            Err(error) if error.to_string().contains(said) && error.code() == 3 => (),
            other => wrong.push((said, other)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

proptest! {
    #[test]
    fn a_damaged_file_is_refused_or_read_and_never_a_panic(at in any::<proptest::sample::Index>(), byte: u8, cut in any::<proptest::sample::Index>()) {
        let mut bytes = example().to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(taps) = Taps::parse(&bytes) {
            let again = Taps::parse(&taps.to_bytes()).unwrap();
            prop_assert_eq!(again, taps);
        }
        bytes.truncate(cut.index(bytes.len()));
        let _ = Taps::parse(&bytes);
    }
}
