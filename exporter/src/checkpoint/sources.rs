//! Where a checkpoint's tensors stand: in its own file, in another checkpoint, in Hugging Face models, in ONNX graphs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hilbert_formats::bundle::sha256;

use super::encoders_config::{EncoderConfig, EncoderForm, EncodersConfig};
use super::hugging_face::{BERT, Family, HuggingFace, WHISPER, configuration, vocabulary};
use super::stored::Stored;
use super::{Config, ENCODERS, Names, Tensor, read};
use crate::error::Result;
use crate::external::{Interface, OnnxEncoder};

/// Tensors that only the training uses; a checkpoint may hold them.
const TRAINING_ONLY: [&str; 2] = ["contrast.", "segment_score."];

const VOCABULARY: &str = "vocab.txt";

/// Every file of a checkpoint but `config.json`, read.
#[derive(Debug)]
pub(super) struct Sources {
    /// The checkpoint's own file first.
    holders: Vec<Holder>,
    pub(super) speech: Encoder,
    pub(super) text: Encoder,
    /// The text encoder's vocabulary.
    pub(super) vocabulary: Vec<u8>,
}

/// One encoder.
#[derive(Debug)]
pub(super) enum Encoder {
    /// Its tensors stand in the holder of this number.
    Held(usize),
    /// It is a graph already.
    Onnx(Box<OnnxEncoder>),
    /// Its files hold none of the kind; the problems say why.
    Refused,
}

/// Files that hold tensors.
#[derive(Debug)]
struct Holder {
    stored: Stored,
    /// How the configuration names it; `None` for the checkpoint's own.
    place: Option<String>,
    naming: Naming,
}

/// What a holder calls its tensors.
#[derive(Debug)]
enum Naming {
    /// As the exporter does, and it has no others.
    Ours,
    /// As the exporter does; others are another model's.
    Shared,
    HuggingFace(HuggingFace),
}

impl Encoder {
    /// The graph, if it is one already.
    pub(super) fn into_onnx(self) -> Option<OnnxEncoder> {
        match self {
            Self::Onnx(encoder) => Some(*encoder),
            Self::Held(_) | Self::Refused => None,
        }
    }
}

impl Sources {
    /// Reads what `config` names. What does not fit together goes to `problems`, a line each.
    ///
    /// # Errors
    /// A file that cannot be read, or is not of the format that it should be.
    pub(super) fn open(folder: &Path, config: &Config, problems: &mut Vec<String>) -> Result<Self> {
        let own = Holder { stored: Stored::open(folder)?, place: None, naming: Naming::Ours };
        let (speech, text) = (Encoder::Held(0), Encoder::Held(0));
        let mut sources = Self { holders: vec![own], speech, text, vocabulary: Vec::new() };
        match &config.encoders {
            Some(EncodersConfig::Shared { checkpoint, sha256 }) => {
                sources.share(folder, checkpoint, sha256, problems)?;
                return Ok(sources);
            }
            Some(EncodersConfig::Each { speech, text }) => {
                if let Some(stated) = speech {
                    sources.speech = match stated.form {
                        EncoderForm::Onnx => {
                            onnx(folder, stated, Interface::speech_encoder(config), problems)?
                        }
                        EncoderForm::HuggingFace => {
                            sources.hugging_face(folder, stated, &WHISPER, config, problems)?
                        }
                    };
                }
                if let Some(stated) = text {
                    sources.text = match stated.form {
                        EncoderForm::Onnx => {
                            onnx(folder, stated, Interface::text_encoder(config), problems)?
                        }
                        EncoderForm::HuggingFace => {
                            sources.hugging_face(folder, stated, &BERT, config, problems)?
                        }
                    };
                }
            }
            None => (),
        }
        let stated = config.encoders.as_ref().and_then(EncodersConfig::text);
        sources.vocabulary = match stated {
            Some(EncoderConfig { form: EncoderForm::HuggingFace, path, .. }) => {
                let (vocabulary, lines) = vocabulary(&folder.join(path))?;
                problems.extend(lines.iter().map(|line| at(path, line)));
                vocabulary
            }
            _ => read(&folder.join(VOCABULARY))?,
        };
        Ok(sources)
    }

    /// Both encoders and their vocabulary from another checkpoint.
    fn share(
        &mut self,
        folder: &Path,
        checkpoint: &Path,
        expected: &str,
        problems: &mut Vec<String>,
    ) -> Result<()> {
        let home = folder.join(checkpoint);
        let (stored, place) = (Stored::open(&home)?, checkpoint.display().to_string());
        self.vocabulary = read(&home.join(VOCABULARY))?;
        let found = stored.encoders_sha256(&self.vocabulary);
        if found != expected {
            let found = format!("found SHA-256 {found} in {place}");
            problems.push(format!("encoders: {found}, expected {expected}"));
        }
        self.holders.push(Holder { stored, place: Some(place), naming: Naming::Shared });
        (self.speech, self.text) = (Encoder::Held(1), Encoder::Held(1));
        Ok(())
    }

    /// One encoder from a folder of Hugging Face's `transformers`.
    fn hugging_face(
        &mut self,
        folder: &Path,
        stated: &EncoderConfig,
        family: &'static Family,
        config: &Config,
        problems: &mut Vec<String>,
    ) -> Result<Encoder> {
        let home = folder.join(&stated.path);
        let (lines, is_of_family) = configuration(&home, family, config)?;
        problems.extend(lines.iter().map(|line| at(&stated.path, line)));
        if !is_of_family {
            return Ok(Encoder::Refused);
        }
        let stored = Stored::open(&home)?;
        problems.extend(other_digest(stated, || stored.sha256()));
        let naming = HuggingFace::new(family, &stored);
        let lines = naming.problems(config, &stored);
        problems.extend(lines.iter().map(|line| at(&stated.path, line)));
        let place = Some(stated.path.display().to_string());
        self.holders.push(Holder { stored, place, naming: Naming::HuggingFace(naming) });
        Ok(Encoder::Held(self.holders.len() - 1))
    }

    /// SHA-256, hexadecimal, of the checkpoint's own tensors' file.
    pub(super) fn sha256(&self) -> String {
        self.holders[0].stored.sha256()
    }

    /// Which of these tensors are read: not those of an encoder that is a graph already.
    pub(super) fn held(
        &self,
        mut tensors: BTreeMap<String, Vec<usize>>,
    ) -> BTreeMap<String, Vec<usize>> {
        tensors.retain(|name, _| self.holder_of(name).is_some());
        tensors
    }

    /// These tensors, of these shapes, which `names` may name otherwise. Whatever is wrong with one of them, and those that the
    /// files hold beside them, go to `problems`, a line each.
    pub(super) fn load(
        &self,
        tensors: BTreeMap<String, Vec<usize>>,
        names: &Names,
        problems: &mut Vec<String>,
    ) -> BTreeMap<String, Tensor> {
        let place = |(ours, shape): (String, Vec<usize>)| {
            let holder = self.holder_of(&ours)?;
            let theirs = names.of(&ours);
            let theirs = theirs.unwrap_or_else(|| self.holders[holder].name_of(&ours));
            Some((holder, ours, theirs, shape))
        };
        let placed: Vec<_> = tensors.into_iter().filter_map(place).collect();
        for (number, holder) in self.holders.iter().enumerate() {
            let used = placed.iter().filter(|(at, ..)| *at == number);
            problems
                .extend(holder.unknown(&used.map(|(_, _, theirs, _)| theirs.as_str()).collect()));
        }
        let mut loaded = BTreeMap::new();
        for (holder, ours, theirs, shape) in placed {
            match self.holders[holder].load(&ours, &theirs, &shape) {
                Ok(tensor) => drop(loaded.insert(ours, tensor)),
                Err(lines) => problems.extend(lines),
            }
        }
        loaded
    }

    /// The holder of the exporter's tensor of this name; `None` where no file holds it as a tensor.
    fn holder_of(&self, name: &str) -> Option<usize> {
        let encoder = match ENCODERS.map(|prefix| name.starts_with(prefix)) {
            [true, _] => &self.speech,
            [_, true] => &self.text,
            _ => return Some(0),
        };
        match encoder {
            Encoder::Held(holder) => Some(*holder),
            Encoder::Onnx(_) | Encoder::Refused => None,
        }
    }
}

impl Holder {
    /// What it calls the exporter's tensor `ours`.
    fn name_of(&self, ours: &str) -> String {
        match &self.naming {
            Naming::Ours | Naming::Shared => ours.into(),
            Naming::HuggingFace(naming) => naming.name_of(ours, &self.stored),
        }
    }

    /// The exporter's tensor `ours`, which stands here under the name `theirs`.
    fn load(
        &self,
        ours: &str,
        theirs: &str,
        shape: &[usize],
    ) -> std::result::Result<Tensor, Vec<String>> {
        let loaded = match &self.naming {
            Naming::Ours | Naming::Shared => self.stored.load(theirs, shape),
            Naming::HuggingFace(naming) => naming.load(ours, theirs, shape, &self.stored),
        };
        let name = if ours == theirs { String::new() } else { format!(", here {theirs:?}") };
        let label = |problem| format!("tensor {ours:?}{name}{}: {problem}", self.suffix());
        loaded.map_err(|problems| problems.into_iter().map(label).collect())
    }

    /// Tensors that are none of those used, and not known to be another's.
    fn unknown(&self, used: &BTreeSet<&str>) -> Vec<String> {
        let skips = |name: &str| match &self.naming {
            Naming::Ours => TRAINING_ONLY.iter().any(|prefix| name.starts_with(prefix)),
            Naming::Shared => true,
            Naming::HuggingFace(naming) => naming.skips(name),
        };
        let unknown = self.stored.names().filter(|name| !used.contains(name) && !skips(name));
        let label =
            |name| format!("tensor {name:?}{}: found, expected none of this name", self.suffix());
        unknown.map(label).collect()
    }

    fn suffix(&self) -> String {
        self.place.as_ref().map_or_else(String::new, |place| format!(" in {place}"))
    }
}

/// One encoder that is an ONNX graph.
fn onnx(
    folder: &Path,
    stated: &EncoderConfig,
    interface: Interface,
    problems: &mut Vec<String>,
) -> Result<Encoder> {
    let bytes = read(&folder.join(&stated.path))?;
    problems.extend(other_digest(stated, || sha256(&bytes)));
    Ok(OnnxEncoder::parse(&bytes, interface).map_or_else(
        |lines| {
            problems.extend(lines.iter().map(|line| format!("{}: {line}", stated.path.display())));
            Encoder::Refused
        },
        |encoder| Encoder::Onnx(Box::new(encoder)),
    ))
}

/// A line where the encoder is not the one that the configuration states.
fn other_digest(stated: &EncoderConfig, found: impl FnOnce() -> String) -> Option<String> {
    let (expected, found) = (stated.sha256.as_ref()?, found());
    let place = stated.path.display();
    (found != *expected).then(|| format!("{place}: found SHA-256 {found}, expected {expected}"))
}

/// A problem of a file in the folder `place`, or of a tensor there.
fn at(place: &Path, line: &str) -> String {
    format!("{}/{line}", place.display())
}
