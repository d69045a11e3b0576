//! The bundle's `taps.safetensors`: inputs of every graph on its own, and what it makes of them.

use std::collections::BTreeMap;

use hilbert_formats::manifest::TensorEntry;
use hilbert_formats::taps::{Input, Layer, MAX_BYTES, Place, Stored, Taps};

use super::{MOST, Measurement, Step, Values, pick};
use crate::error::{ErrorKind, Result};

/// Most bytes of all inputs, so that layers have room.
const INPUT_BYTES: usize = 160 << 10;

/// The input that router and experts share.
const SHARED: &str = "document";

pub(super) fn write(measurement: &Measurement<'_>) -> Result<Vec<u8>> {
    let graphs = &measurement.package.manifest().graphs;
    let mut limit = usize::MAX;
    let taps = loop {
        let mut inputs = BTreeMap::new();
        for step in &measurement.steps {
            let ports = graphs.get(&step.graph).map_or(&[][..], |entry| &entry.inputs);
            for (port, values) in ports.iter().zip(&step.inputs) {
                let (key, stored) = stored(measurement, step, port, values, limit);
                inputs.insert(key, stored);
            }
        }
        let taps = Taps { layers: Vec::new(), inputs };
        if limit == 1 || taps.to_bytes().len() <= INPUT_BYTES {
            break taps;
        }
        limit = (limit / 2).min(1 << 20);
    };
    let mut whole = Vec::new();
    for step in &measurement.steps {
        whole.extend(layers(measurement, step, &taps)?);
    }
    let mut most = MOST;
    loop {
        let layer = |whole: &Layer| Layer {
            float: pick(&whole.float, &whole.place, most),
            own: pick(&whole.own, &whole.place, most),
            place: whole.place.clone(),
        };
        let layers = whole.iter().map(layer).collect();
        let bytes = Taps { layers, inputs: taps.inputs.clone() }.to_bytes();
        if bytes.len() <= MAX_BYTES {
            return Ok(bytes);
        }
        if most == 1 {
            let reason =
                format!("found {} bytes of taps, expected at most {MAX_BYTES}", bytes.len());
            return Err(ErrorKind::Evaluate { graph: "taps".into(), reason }.into());
        }
        most /= 2;
    }
}

/// Each layer of a graph that is given the stored inputs, with all its elements.
fn layers(measurement: &Measurement<'_>, step: &Step, taps: &Taps) -> Result<Vec<Layer>> {
    let graph = &step.graph;
    let ports = measurement.package.manifest().graphs.get(graph).map_or(&[][..], |e| &e.inputs);
    let inputs: Vec<_> = ports
        .iter()
        .map(|port| taps.input(graph, port))
        .collect::<hilbert_formats::Result<_>>()
        .map_err(|e| ErrorKind::Evaluate { graph: graph.clone(), reason: e.to_string() })?;
    let places: Vec<_> = measurement.of_graph(graph).collect();
    let wanted: Vec<_> = places.iter().map(|place| place.value.as_str()).collect();
    let float = if inputs == step.inputs {
        measurement.exact.get(graph).cloned().unwrap_or_default()
    } else {
        measurement.float.mean(graph, &inputs, &Values::new(), &wanted)?
    };
    let own = measurement.own.mean(graph, &inputs, &Values::new(), &wanted)?;
    let of = |values: &Values, name: &str| values.get(name).map(|v| v.to_f32()).unwrap_or_default();
    let layer = |place: &&Place| Layer {
        float: of(&float, &place.value),
        own: of(&own, &place.value),
        place: (*place).clone(),
    };
    Ok(places.iter().map(layer).collect())
}

/// An input's name in the file, and its values without the zeros at the end; cut to `limit` values, but for the encoders'.
fn stored(
    measurement: &Measurement<'_>,
    step: &Step,
    port: &TensorEntry,
    values: &Input,
    limit: usize,
) -> (String, Stored) {
    let key =
        if port.name == SHARED { SHARED.into() } else { format!("{}/{}", step.graph, port.name) };
    let limit = if step.graph.ends_with("_encoder") { usize::MAX } else { limit };
    let stored = match values {
        Input::F32(_) if port.name == "log_mel" => measurement.sample.log_mel.clone(),
        Input::F32(values) => {
            let (shape, values) = cut(&port.shape, values, limit, |v| v.abs() > 0.0);
            Stored { shape, values: Input::F32(values) }
        }
        Input::I64(values) => {
            let (shape, values) = cut(&port.shape, values, limit, |v| *v != 0);
            Stored { shape, values: Input::I64(values) }
        }
        Input::Levels(levels) => {
            Stored { shape: port.shape.clone(), values: Input::Levels(levels.clone()) }
        }
    };
    (key, stored)
}

/// The smallest corner that holds every value that is not zero, then as much of its last dimension as `limit` allows.
fn cut<T: Copy>(
    shape: &[usize],
    values: &[T],
    limit: usize,
    counts: impl Fn(&T) -> bool,
) -> (Vec<usize>, Vec<T>) {
    let mut corner = vec![1; shape.len()];
    let place = |mut index: usize| {
        let mut place = vec![0; shape.len()];
        for (at, len) in place.iter_mut().zip(shape).rev() {
            (*at, index) = (index % len, index / len);
        }
        place
    };
    for (index, _) in values.iter().enumerate().filter(|(_, value)| counts(value)) {
        corner.iter_mut().zip(place(index)).for_each(|(len, at)| *len = (*len).max(at + 1));
    }
    let outer: usize = corner.iter().rev().skip(1).product();
    if let Some(last) = corner.last_mut() {
        *last = (*last).min((limit / outer).max(1));
    }
    let inside =
        |(index, _): &(usize, &T)| place(*index).iter().zip(&corner).all(|(at, len)| at < len);
    let kept = values.iter().enumerate().filter(inside).map(|(_, value)| *value).collect();
    (corner, kept)
}

#[cfg(test)]
mod tests {
    use super::cut;

    /// Shape and limit, and what is left: shape and values.
    type Row<'a> = (&'a [usize], usize, &'a [usize], &'a [i32]);

    #[test]
    fn zeros_at_the_end_of_dimensions_are_left_out_and_the_last_one_is_cut_to_the_limit() {
        let values = [1, 0, 2, 0, 0, 0, 0, 0, 3, 4, 0, 0];
        let rows: [Row<'_>; 4] = [
            (&[3, 4], 99, &[3, 3], &[1, 0, 2, 0, 0, 0, 3, 4, 0]),
            (&[12], 99, &[10], &values[..10]),
            (&[3, 4], 3, &[3, 1], &[1, 0, 3]),
            (&[12], 4, &[4], &[1, 0, 2, 0]),
        ];
        for (shape, limit, corner, kept) in rows {
            let expected = (corner.to_vec(), kept.to_vec());
            assert_eq!(cut(shape, &values, limit, |v| *v != 0), expected, "{shape:?} {limit}");
        }
        assert_eq!(cut(&[2, 2], &[0; 4], 99, |v| *v != 0), (vec![1, 1], vec![0]));
    }
}
