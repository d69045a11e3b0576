//! The golden file of `models/reference/golden.py`: inputs and every stage's output. `docs/golden.md` lists names and shapes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hilbert_formats::manifest::Manifest;
use safetensors::{Dtype, SafeTensors};

use crate::checkpoint::read;
use crate::error::{Error, ErrorKind, Result};
use crate::fusion::Modality;

/// The schema this exporter reads.
const SCHEMA: &str = "hilbert.golden/1";

/// A golden file in memory.
#[derive(Debug, Clone)]
pub struct Golden {
    path: PathBuf,
    int8_floats: Vec<String>,
    tensors: BTreeMap<String, Entry>,
}

/// One tensor, its elements still bytes.
#[derive(Debug, Clone)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl Golden {
    /// Reads a golden file.
    ///
    /// # Errors
    /// A file that cannot be read, is not safetensors, has another schema, or `int8_floats` that are no JSON list of names.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = read(path)?;
        let invalid = |source| ErrorKind::SafeTensors { path: path.into(), source };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(invalid)?;
        let stated =
            metadata.metadata().as_ref().and_then(|m| m.get("schema")).map_or("", String::as_str);
        if stated != SCHEMA {
            let (found, command) = (stated.to_owned(), "models/reference/golden.py");
            return Err(
                ErrorKind::Schema { path: path.into(), found, expected: SCHEMA, command }.into()
            );
        }
        let json = |source| ErrorKind::Json { path: path.into(), what: "int8_floats", source };
        let int8_floats = metadata.metadata().as_ref().and_then(|m| m.get("int8_floats"));
        let int8_floats = int8_floats.map_or("[]", String::as_str);
        let int8_floats = serde_json::from_str(int8_floats).map_err(json)?;
        let stored = SafeTensors::deserialize(&bytes).map_err(invalid)?;
        let entry = |view: &safetensors::tensor::TensorView<'_>| Entry {
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            data: view.data().to_vec(),
        };
        let tensors = stored.iter().map(|(name, view)| (name.to_owned(), entry(&view))).collect();
        Ok(Self { path: path.into(), int8_floats, tensors })
    }

    /// Tensors that are large enough for int8 and are floats in the set `int8`, by name in alphabetical order.
    #[must_use]
    pub fn int8_floats(&self) -> &[String] {
        &self.int8_floats
    }

    /// Names of the documents of one set that have rows of their own, at least one.
    pub(super) fn documents(&self, set: &str) -> Result<Vec<String>> {
        let prefix = format!("{set}/");
        let names: BTreeSet<_> = self
            .tensors
            .keys()
            .filter_map(|name| name.strip_prefix(&prefix)?.split_once('/'))
            .filter(|(_, stage)| ["audio_rows", "text_rows"].contains(stage))
            .map(|(document, _)| document)
            .collect();
        if names.is_empty() {
            return Err(self.wrong(
                &prefix,
                "none of this set".into(),
                "one for each stage".into(),
            ));
        }
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    pub(crate) fn holds(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// A float tensor, flat.
    pub(crate) fn floats(&self, name: &str) -> Result<Vec<f32>> {
        Ok(elements(&self.entry(name, Dtype::F32)?.data, f32::from_le_bytes))
    }

    /// A float tensor of either width, flat.
    pub(super) fn floats_of_any_width(&self, name: &str) -> Result<Vec<f32>> {
        let Some(Entry { dtype: Dtype::F64, data, .. }) = self.tensors.get(name) else {
            return self.floats(name);
        };
        #[expect(clippy::cast_possible_truncation, reason = "compared in single precision")]
        let values = elements(data, f64::from_le_bytes).into_iter().map(|v| v as f32).collect();
        Ok(values)
    }

    /// The cues of a document as JSON.
    pub(super) fn cues_json(&self, document: &str) -> Result<&[u8]> {
        Ok(&self.entry(&format!("inputs/{document}/cues_json"), Dtype::U8)?.data)
    }

    /// A float tensor cut along its first dimension.
    pub(super) fn rows(&self, name: &str) -> Result<Vec<Vec<f32>>> {
        let values = self.floats(name)?;
        self.cut(name, &values)
    }

    /// A tensor of 64-bit integers cut along its first dimension.
    pub(super) fn integer_rows(&self, name: &str) -> Result<Vec<Vec<i64>>> {
        let values: Vec<i64> = elements(&self.entry(name, Dtype::I64)?.data, i64::from_le_bytes);
        self.cut(name, &values)
    }

    /// Middle of every segment or cue, seconds; NaN where it is untimed.
    pub(super) fn middles(
        &self,
        document: &str,
        modality: Modality,
        manifest: &Manifest,
    ) -> Result<Vec<f64>> {
        match modality {
            Modality::Audio => {
                let rate = f64::from(manifest.audio.sample_rate);
                let spans = self.spans(document)?;
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a recording has far fewer than 2^52 samples"
                )]
                let middles = spans
                    .iter()
                    .map(|[start, end]| f64::midpoint(*start as f64, *end as f64) / rate)
                    .collect();
                Ok(middles)
            }
            Modality::Text => {
                let name = format!("inputs/{document}/cue_times");
                let times: Vec<f64> =
                    elements(&self.entry(&name, Dtype::F64)?.data, f64::from_le_bytes);
                Ok(times.chunks_exact(2).map(|t| f64::midpoint(t[0], t[1])).collect())
            }
        }
    }

    /// Start and end of every segment, samples.
    pub(super) fn spans(&self, document: &str) -> Result<Vec<[i64; 2]>> {
        let name = format!("inputs/{document}/segments");
        let pair = |row: Vec<i64>| {
            <[i64; 2]>::try_from(row)
                .map_err(|row| self.wrong(&name, format!("rows of {}", row.len()), "of 2".into()))
        };
        self.integer_rows(&name)?.into_iter().map(pair).collect()
    }

    /// The error for a tensor of this name.
    pub(crate) fn wrong(&self, name: &str, found: String, expected: String) -> Error {
        ErrorKind::GoldenTensor { path: self.path.clone(), name: name.into(), found, expected }
            .into()
    }

    fn entry(&self, name: &str, dtype: Dtype) -> Result<&Entry> {
        let Some(entry) = self.tensors.get(name) else {
            return Err(self.wrong(name, "none".into(), "one".into()));
        };
        if entry.dtype != dtype {
            return Err(self.wrong(name, format!("type {:?}", entry.dtype), format!("{dtype:?}")));
        }
        Ok(entry)
    }

    fn cut<T: Clone>(&self, name: &str, values: &[T]) -> Result<Vec<Vec<T>>> {
        let count = self.tensors.get(name).and_then(|e| e.shape.first()).copied().unwrap_or(0);
        if count == 0 || values.is_empty() {
            return Err(self.wrong(name, "no rows".into(), "at least one".into()));
        }
        Ok(values.chunks_exact(values.len() / count).map(<[T]>::to_vec).collect())
    }
}

fn elements<T, const N: usize>(data: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>().0.iter().map(|chunk| from(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use safetensors::tensor::TensorView;

    use super::*;

    /// A golden file of one tensor.
    fn written(
        schema: &str,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        data: &[u8],
    ) -> Result<Golden> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = Some(HashMap::from([("schema".to_owned(), schema.to_owned())]));
        let view = TensorView::new(dtype, shape.to_vec(), data).unwrap();
        safetensors::serialize_to_file([(name, view)], metadata, file.path()).unwrap();
        Golden::open(file.path())
    }

    #[test]
    fn another_schema_names_the_command_that_writes_this_one() {
        let error = written("hilbert.golden/0", "a", Dtype::U8, &[1], &[0]).unwrap_err();
        let expected = r#"found schema "hilbert.golden/0", expected "hilbert.golden/1"; run models/reference/golden.py again"#;
        assert!(error.to_string().ends_with(expected), "{error}");
        assert_eq!(error.code(), 4);
    }

    #[test]
    fn tensors_that_are_missing_of_another_type_or_empty_are_named() {
        let golden = written(SCHEMA, "int8/a/text_rows", Dtype::F32, &[0, 4], &[]).unwrap();
        assert_eq!(golden.documents("int8").unwrap(), ["a"]);
        let golden = written(SCHEMA, "int8/a/gates", Dtype::F64, &[0, 4], &[]).unwrap();
        assert!(golden.documents("int8").is_err());
        let rows = [
            (golden.documents("f32").map(|_| ()), r#"tensor "f32/": found none of this set"#),
            (
                golden.floats("int8/a/experts").map(|_| ()),
                r#"tensor "int8/a/experts": found none, expected one"#,
            ),
            (
                golden.floats("int8/a/gates").map(|_| ()),
                r#"tensor "int8/a/gates": found type F64, expected F32"#,
            ),
        ];
        let wrong: Vec<_> =
            rows.iter().filter(|(result, expected)| !says(result, expected)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let empty = written(SCHEMA, "int8/a/gates", Dtype::F32, &[0, 4], &[]).unwrap();
        let error = empty.rows("int8/a/gates").unwrap_err();
        assert!(error.to_string().contains("found no rows, expected at least one"), "{error}");
    }

    fn says(result: &Result<()>, expected: &str) -> bool {
        result.as_ref().is_err_and(|e| e.code() == 4 && e.to_string().contains(expected))
    }
}
