use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use tokenizers::Tokenizer;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;

use super::*;

fn path(from_root: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(from_root)
}

fn vocabulary() -> PathBuf {
    path("models/spoken-english/checkpoint/vocab.txt")
}

fn packer(max_tokens: usize, max_word_chars: usize) -> Result<TokenRows> {
    let text = Text::WordPiece { vocabulary: "vocab.txt".to_owned(), max_tokens, max_word_chars };
    TokenRows::new(&text, &fs::read(vocabulary()).unwrap())
}

/// The tokenizer of `models/reference/word_pieces.py`.
fn oracle() -> Tokenizer {
    let model = WordPiece::from_file(vocabulary().to_str().unwrap())
        .unk_token("[UNK]".to_owned())
        .max_input_chars_per_word(100)
        .build()
        .unwrap();
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(BertNormalizer::new(true, true, Some(true), true))).unwrap();
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer
}

/// `token_rows` of `models/reference/word_pieces.py`.
fn oracle_rows(
    tokenizer: &Tokenizer,
    cues: &[Cue],
    max_tokens: usize,
) -> Vec<(Vec<i64>, Option<CueTimes>)> {
    let limit = max_tokens - 2;
    let special = |name| i64::from(tokenizer.token_to_id(name).unwrap());
    let row = |ids: &[i64]| [&[special("[CLS]")], ids, &[special("[SEP]")]].concat();
    let (mut rows, mut open) = (Vec::new(), Vec::<i64>::new());
    for cue in cues {
        let encoding = tokenizer.encode(cue.text.as_str(), false).unwrap();
        let mut words: Vec<(u32, Vec<i64>)> = Vec::new();
        for (&id, word) in encoding.get_ids().iter().zip(encoding.get_word_ids()) {
            match words.last_mut() {
                Some((last, ids)) if Some(*last) == *word && ids.len() < limit => {
                    ids.push(id.into());
                }
                _ => words.push((word.unwrap(), vec![id.into()])),
            }
        }
        let count = encoding.get_ids().len();
        let enough = match cue.times {
            Some(_) if count > 0 => count.div_ceil(count.div_ceil(limit)),
            _ => limit,
        };
        let mut parts: Vec<Vec<i64>> = vec![Vec::new()];
        for (_, ids) in words {
            let part = parts.last_mut().unwrap();
            if part.len() >= enough || (!part.is_empty() && part.len() + ids.len() > limit) {
                parts.push(ids);
            } else {
                part.extend(ids);
            }
        }
        parts.retain(|part| !part.is_empty());
        let total: usize = parts.iter().map(Vec::len).sum();
        let mut done = 0;
        for part in parts {
            if let Some(times) = cue.times {
                let at = |n: usize| {
                    times.start_s + (times.end_s - times.start_s) * n as f64 / total as f64
                };
                rows.push((
                    row(&part),
                    Some(CueTimes { start_s: at(done), end_s: at(done + part.len()) }),
                ));
                done += part.len();
                continue;
            }
            if !open.is_empty() && open.len() + part.len() > limit {
                rows.push((row(&open), None));
                open.clear();
            }
            open.extend(part);
        }
    }
    if !open.is_empty() {
        rows.push((row(&open), None));
    }
    rows
}

/// Packs twice with one packer, which must start anew and keep its buffers.
fn check_rows(tokenizer: &Tokenizer, cues: &[Cue], max_tokens: usize) {
    let expected = oracle_rows(tokenizer, cues, max_tokens);
    let mut packer = packer(max_tokens, 100).unwrap();
    let buffers = |packer: &TokenRows| {
        let parts = &packer.parts;
        [&parts.word, &parts.part, &packer.untimed]
            .map(|buffer| (buffer.as_ptr(), buffer.capacity()))
    };
    let before = buffers(&packer);
    for _ in 0..2 {
        let mut rest = expected.iter();
        let mut check = |row: TokenRow<'_>| {
            let (tokens, times) = rest.next().expect("no more rows than expected");
            let used = tokens.len();
            assert_eq!(row.tokens[..used], tokens[..]);
            assert_eq!(row.times, *times);
            assert_eq!((row.tokens.len(), row.mask.len()), (max_tokens, max_tokens));
            assert!(row.tokens[used..].iter().all(|&token| token == Vocabulary::PADDING));
            assert!(
                (0..max_tokens)
                    .all(|i| row.mask[i].to_bits() == f32::from(u8::from(i < used)).to_bits())
            );
            Ok(())
        };
        for cue in cues {
            packer.push(cue, &mut check).unwrap();
        }
        packer.finish(&mut check).unwrap();
        assert_eq!(rest.len(), 0, "rows are missing");
    }
    assert_eq!(buffers(&packer), before);
}

fn cue(text: &str, times: Option<(f64, f64)>) -> Cue {
    Cue {
        text: text.to_owned(),
        times: times.map(|(start_s, end_s)| CueTimes { start_s, end_s }),
        line: 1,
    }
}

#[test]
fn texts_become_the_pieces_of_the_tokenizers_crate() {
    let tokenizer = oracle();
    let srt = fs::read_to_string(path("examples/data/session.srt")).unwrap();
    let long = "antidisestablishmentarianism ".repeat(40);
    let letters = "a".repeat(100);
    let too_many = "a".repeat(101);
    let texts = [
        &srt,
        &long,
        &letters,
        &too_many,
        "",
        "  \n ",
        "I've been there -- e.g. in '99 (U.S.A.), at 3.14%!",
        "Crème brûlée naïve İstanbul Straße ΣΊΣΥΦΟΣ ﬁ ½ №",
        "你好，世界！ 東京 한국어 नमस्ते Привет مَرْحَبًا 👩‍👩‍👧 𝒳",
        "[CLS] [MASK] ##ing [UNK]",
    ];
    for text in texts {
        for max_tokens in [3, 4, 10, 64, 512] {
            check_rows(&tokenizer, &[cue(text, None)], max_tokens);
            check_rows(&tokenizer, &[cue(text, Some((1.25, 9.1)))], max_tokens);
        }
    }
}

#[test]
fn a_long_cue_becomes_rows_of_about_the_same_length() {
    let mut packer = packer(12, 100).unwrap();
    let mut lengths = Vec::new();
    let eleven = "a b c d e f g h i j k";
    packer
        .push(&cue(eleven, Some((0.0, 11.0))), |row| {
            lengths.push(row.mask.iter().filter(|mask| **mask > 0.0).count() - 2);
            Ok(())
        })
        .unwrap();
    assert_eq!(lengths, [6, 5], "ten pieces fit a row, but one would be left over");
}

fn cues() -> impl Strategy<Value = Vec<Cue>> {
    let text = prop_oneof![
        "([a-z]{1,9}[ ,.!']{1,2}){0,30}",
        "(the|and|running|uncharacteristically|Café|don't|[A-Z]{3,12}| |\\.){0,40}",
        "[\\PC\\s]{0,60}",
    ];
    let times = prop::option::of((0.0..100.0_f64, 0.0..20.0_f64));
    let cue = (text, times)
        .prop_map(|(text, times)| cue(&text, times.map(|(start, length)| (start, start + length))));
    prop::collection::vec(cue, 0..6)
}

#[test]
fn any_cues_are_packed_as_the_reference_packs_them() {
    let tokenizer = oracle();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) };
    proptest!(config, |(cues in cues(), max_tokens in 3_usize..80)| check_rows(&tokenizer, &cues, max_tokens));
}

#[test]
fn limits_that_cannot_be_met_are_refused() {
    for (max_tokens, max_word_chars, expected) in
        [(2, 100, "text.max_tokens"), (513, 100, "text.max_tokens"), (64, 0, "text.max_word_chars")]
    {
        let error = packer(max_tokens, max_word_chars).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Setting { name, .. } if *name == expected),
            "{expected}: {error}"
        );
    }
}
