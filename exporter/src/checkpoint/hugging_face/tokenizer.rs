//! The tokenizer of a Hugging Face text model: uncased WordPiece, which the runtime has, or refused by name.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::super::{read, read_json};
use super::facts::{Fact, disagreements};
use crate::error::Result;

const VOCABULARY: &str = "vocab.txt";
const TOKENIZER: &str = "tokenizer.json";
const SETTINGS: &str = "tokenizer_config.json";

/// Classes of `transformers` whose pieces are those of `vocab.txt` or `tokenizer.json`.
const CLASSES: [&str; 4] =
    ["BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"];

/// Files of tokenizers that the runtime lacks.
const OTHERS: [(&str, &str); 5] = [
    ("spiece.model", "SentencePiece"),
    ("sentencepiece.bpe.model", "SentencePiece"),
    ("tokenizer.model", "SentencePiece"),
    ("merges.txt", "BPE"),
    ("vocab.json", "BPE"),
];

const EXPECTED: &str = "uncased WordPiece; the runtime has no other tokenizer";

/// The pieces of the folder's tokenizer as a `vocab.txt`, and what keeps it from being one that the runtime has, a line each.
///
/// # Errors
/// A file that cannot be read or parsed.
pub(in crate::checkpoint) fn vocabulary(folder: &Path) -> Result<(Vec<u8>, Vec<String>)> {
    let has = |file: &str| folder.join(file).exists();
    let mut problems = if has(SETTINGS) { settings(folder)? } else { Vec::new() };
    if !has(VOCABULARY) && !has(TOKENIZER) {
        let other = OTHERS.iter().find(|(file, _)| has(file));
        let found = other.map_or("none".into(), |(file, kind)| format!("{kind} ({file})"));
        problems.push(format!("tokenizer: found {found}, expected {EXPECTED}"));
        return Ok((Vec::new(), problems));
    }
    let listed = if has(VOCABULARY) { Some(read(&folder.join(VOCABULARY))?) } else { None };
    let pieces = if has(TOKENIZER) { tokenizer(folder, &mut problems)? } else { None };
    let Some(listed) = listed else {
        let lines = pieces.unwrap_or_default().into_iter().map(|piece| piece + "\n");
        return Ok((lines.collect::<String>().into(), problems));
    };
    let text = String::from_utf8_lossy(&listed);
    if let Some(piece) = text.lines().find(|piece| is_cased(piece)) {
        problems.push(format!("{VOCABULARY}: found the piece {piece:?}, expected {EXPECTED}"));
    }
    if pieces.is_some_and(|pieces| !pieces.iter().map(String::as_str).eq(text.lines())) {
        problems.push(format!("{TOKENIZER}: found other pieces, expected those of {VOCABULARY}"));
    }
    Ok((listed, problems))
}

/// What `tokenizer_config.json` says.
fn settings(folder: &Path) -> Result<Vec<String>> {
    let stated: Value = read_json(&folder.join(SETTINGS), "a tokenizer's configuration")?;
    let class = &stated["tokenizer_class"];
    if !class.is_null() && !CLASSES.iter().any(|known| class == known) {
        let known = CLASSES[0];
        return Ok(vec![format!(
            "{SETTINGS}: tokenizer_class: found {class}, expected {known:?}, {EXPECTED}"
        )]);
    }
    let facts = ["do_lower_case", "do_basic_tokenize", "tokenize_chinese_chars", "strip_accents"];
    Ok(disagreements(SETTINGS, &stated, &facts.map(|key| Fact::new(key, true).or_absent())))
}

/// The pieces of `tokenizer.json` by ascending id; `None` where it is another kind of tokenizer.
fn tokenizer(folder: &Path, problems: &mut Vec<String>) -> Result<Option<Vec<String>>> {
    let stated: Value = read_json(&folder.join(TOKENIZER), "a tokenizer")?;
    let kind = &stated["model"]["type"];
    if kind != "WordPiece" {
        let found = if kind.is_null() { "none".into() } else { kind.to_string() };
        problems.push(format!("{TOKENIZER}: model.type: found {found}, expected {EXPECTED}"));
        return Ok(None);
    }
    let facts = [
        Fact::new("normalizer.type", "BertNormalizer"),
        Fact::new("normalizer.lowercase", true),
        Fact::new("normalizer.clean_text", true),
        Fact::new("normalizer.handle_chinese_chars", true),
        Fact::new("normalizer.strip_accents", true).or_absent(),
        Fact::new("pre_tokenizer.type", "BertPreTokenizer"),
        Fact::new("model.unk_token", "[UNK]"),
        Fact::new("model.continuing_subword_prefix", "##"),
        Fact::new("model.max_input_chars_per_word", 100),
    ];
    problems.extend(disagreements(TOKENIZER, &stated, &facts));
    let vocabulary = BTreeMap::<String, u64>::deserialize(&stated["model"]["vocab"]);
    let mut pieces: Vec<_> = vocabulary.unwrap_or_default().into_iter().collect();
    pieces.sort_unstable_by_key(|(_, id)| *id);
    let gap = pieces.iter().zip(0..).find(|((_, id), place)| id != place);
    if let Some(((piece, id), place)) = gap {
        problems.push(format!("{TOKENIZER}: {piece:?}: found id {id}, expected {place}"));
    }
    Ok(Some(pieces.into_iter().map(|(piece, _)| piece).collect()))
}

/// Whether the piece has capital letters and is no special one, such as `[UNK]`.
fn is_cased(piece: &str) -> bool {
    piece.contains(char::is_uppercase) && !(piece.starts_with('[') && piece.ends_with(']'))
}
