//! ONNX files taken apart: constants where they lie, and the rest.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use hilbert_formats::onnx::{Constant, outline};
use proptest::prelude::{any, prop, prop_assert, proptest};

/// A field with a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 127 {
        out.push(u8::try_from(length & 127).unwrap() | 128);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend_from_slice(content);
    out
}

/// An int8 constant, its fields in the order in which onnx writes them.
fn tensor(name: &str, values: &[u8]) -> Vec<u8> {
    [&[8, 2, 8, 4, 16, 3][..], &field(8, name.as_bytes()), &field(9, values)].concat()
}

/// A model of a version, a graph of a node and these constants, and an operator set.
fn model(tensors: &[Vec<u8>]) -> Vec<u8> {
    let mut graph = field(1, b"a node");
    tensors.iter().for_each(|tensor| graph.extend(field(5, tensor)));
    graph.extend(field(2, b"name"));
    [&[8, 8][..], &field(7, &graph), &field(8, &[16, 17])].concat()
}

#[test]
fn larger_constants_are_found_where_they_lie_and_left_out_of_the_rest() {
    let (large, small) = (vec![7; 4096], vec![8; 4095]);
    let onnx =
        model(&[tensor("first", &large), tensor("small", &small), tensor("last", &[9; 5000])]);
    let found = outline(&onnx).unwrap();
    let names: Vec<_> = found.constants.iter().map(|constant| constant.name).collect();
    assert_eq!(names, ["first", "last"]);
    let values = |Constant { range, .. }: &Constant<'_>| onnx[range.clone()].to_vec();
    assert_eq!(found.constants.iter().map(values).collect::<Vec<_>>(), [large, vec![9; 5000]]);
    let without = |name| [&[8, 2, 8, 4, 16, 3][..], &field(8, name)].concat();
    assert_eq!(found.rest, model(&[without(b"first"), tensor("small", &small), without(b"last")]));
}

#[test]
fn a_file_without_large_constants_is_its_own_rest() {
    let onnx = model(&[tensor("small", &[1, 2, 3])]);
    let found = outline(&onnx).unwrap();
    assert!(found.constants.is_empty());
    assert_eq!(found.rest, onnx);
}

#[test]
fn what_is_irregular_is_left_as_it_is() {
    let large = tensor("t", &[7; 4096]);
    let once = model(std::slice::from_ref(&large));
    let twice_a_graph = [&once[..], &field(7, &[])].concat();
    let rows: [(&str, Vec<u8>); 6] = [
        ("no graph", vec![8, 8]),
        ("two graphs", twice_a_graph),
        ("two constants of one name", model(&[large.clone(), large])),
        (
            "a name that is no text",
            model(&[[&field(8, &[0xff]), &field(9, &[7; 4096])[..]].concat()]),
        ),
        ("a length beyond the end", once[..once.len() - 40].to_vec()),
        ("a group", [&once[..], &[0x0b]].concat()),
    ];
    for (what, onnx) in rows {
        assert_eq!(outline(&onnx), None, "{what}");
    }
    // Values in two pieces stay with their constant.
    let pieces = [&tensor("t", &[7; 4096])[..], &field(9, &[7; 4096])].concat();
    let onnx = model(&[pieces]);
    assert_eq!(outline(&onnx).map(|found| found.constants.len()), Some(0));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_what_it_finds_is_there(
        cut in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        noise in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut onnx = model(&[tensor("t", &[7; 4200]), tensor("u", &[3; 10])]);
        let at = cut.index(onnx.len());
        onnx[at] = byte;
        for bytes in [&onnx[..], &onnx[..at], &noise] {
            let Some(found) = outline(bytes) else { continue };
            for constant in &found.constants {
                prop_assert!(constant.range.end <= bytes.len() && constant.range.len() >= 4096);
            }
            let held: usize = found.constants.iter().map(|constant| constant.range.len()).sum();
            prop_assert!(found.rest.len() + held <= bytes.len());
        }
    }
}
