//! SubRip, read as tolerantly as it is written.
//!
//! A cue starts at a line with times, whatever stands around it, and lasts to the next one. Blank lines and indices
//! between cues are expected but not needed.

use super::{Cue, CueTimes, MAX_CUES};
use crate::warning::{Place, Warnings};

/// Whether a line starts a cue.
pub(super) fn is_time_line(line: &str) -> bool {
    matches!(time_line(line, false), TimeLine::Times { .. })
}

/// Returns the cues by ascending start; `None` if they are more than [`MAX_CUES`].
pub(super) fn parse(text: &str, warnings: &mut Warnings) -> Option<Vec<Cue>> {
    let mut parser =
        Parser { cues: Vec::new(), part: Part::Head, index: None, after_blank: true, warnings };
    for (number, line) in (1..).zip(text.lines()) {
        parser.line(line.trim(), number);
        if parser.cues.len() > MAX_CUES {
            return None;
        }
    }
    let mut cues = parser.finish();
    if cues.len() > MAX_CUES {
        return None;
    }
    sort(&mut cues, warnings);
    Some(cues)
}

struct Parser<'a, 'w> {
    cues: Vec<Cue>,
    part: Part,
    /// The line before, if it is a number: an index if times follow, else text.
    index: Option<Index<'a>>,
    /// Whether a blank line, or none at all, stands before the next line.
    after_blank: bool,
    warnings: &'w mut Warnings,
}

struct Index<'a> {
    text: &'a str,
    line: u64,
    /// Whether a blank line, or none at all, stands before it.
    apart: bool,
}

/// What the lines without times belong to.
enum Part {
    /// Nothing: no times stood before them.
    Head,
    /// A cue that was left out.
    Skipped,
    /// A cue.
    Cue(Cue),
}

impl<'a> Parser<'a, '_> {
    fn line(&mut self, line: &'a str, number: u64) {
        let index_apart = self.index.as_ref().is_some_and(|index| index.apart);
        let part = match time_line(line, index_apart) {
            TimeLine::No => {
                self.text_line(line, number);
                return;
            }
            TimeLine::Times { times, .. } if times.end_s < times.start_s => {
                let message = "found a cue that ends before it starts; it was left out";
                self.warn("bad_time", number, message);
                Part::Skipped
            }
            TimeLine::Times { times, arrow } => {
                if arrow != ARROWS[0] {
                    let message = format!(
                        "found '{arrow}' between times, expected '-->'; it was read as that"
                    );
                    self.warnings.add("irregular_arrow", Place::Line(number), message);
                }
                Part::Cue(Cue { text: String::new(), times: Some(times), line: number })
            }
            TimeLine::Bad => {
                let message = "found times that cannot be read, expected hh:mm:ss,mmm --> hh:mm:ss,mmm; the cue was left out";
                self.warn("bad_time", number, message);
                Part::Skipped
            }
        };
        let blank = self.index.as_ref().map_or(self.after_blank, |index| index.apart);
        if !blank && !matches!(self.part, Part::Head) {
            self.warn("missing_blank_line", number, "found no blank line before a cue");
        }
        if self.index.is_none() {
            self.warn("index_missing", number, "found no index before a cue's times");
        }
        self.index = None;
        self.after_blank = false;
        self.close(part);
    }

    fn text_line(&mut self, line: &'a str, number: u64) {
        self.flush_index();
        if !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()) {
            self.index = Some(Index { text: line, line: number, apart: self.after_blank });
        } else {
            self.append(line, number);
        }
        self.after_blank = line.is_empty();
    }

    /// A number that no times followed is text.
    fn flush_index(&mut self) {
        if let Some(index) = self.index.take() {
            self.append(index.text, index.line);
        }
    }

    fn append(&mut self, line: &str, number: u64) {
        match &mut self.part {
            _ if line.is_empty() => {}
            Part::Head => self.warn(
                "text_outside_cues",
                number,
                "found text before the first cue; it was left out",
            ),
            Part::Skipped => {}
            Part::Cue(cue) => {
                if !cue.text.is_empty() {
                    cue.text.push('\n');
                }
                cue.text.push_str(line);
            }
        }
    }

    /// Ends the open cue and opens the next.
    fn close(&mut self, next: Part) {
        if let Part::Cue(mut cue) = std::mem::replace(&mut self.part, next) {
            cue.text = without_markup(&cue.text);
            if !cue.text.is_empty() {
                self.cues.push(cue);
            }
        }
    }

    fn finish(mut self) -> Vec<Cue> {
        // A number apart at the very end is the index of a cue that was cut off.
        if !self
            .index
            .as_ref()
            .is_some_and(|index| index.apart && matches!(self.part, Part::Cue(_)))
        {
            self.flush_index();
        }
        self.close(Part::Skipped);
        self.cues
    }

    fn warn(&mut self, code: &'static str, line: u64, message: &str) {
        self.warnings.add(code, Place::Line(line), message.to_owned());
    }
}

enum TimeLine {
    /// Text.
    No,
    /// Times, and the arrow between them.
    Times { times: CueTimes, arrow: &'static str },
    /// Meant to be times.
    Bad,
}

/// What programs and people write between times; the first is SubRip's.
const ARROWS: [&str; 4] = ["-->", "–>", "->", "→"];

/// `after_index`: a number apart stands on the line before, so that only times can follow.
fn time_line(line: &str, after_index: bool) -> TimeLine {
    let Some((arrow, (left, right))) =
        ARROWS.iter().find_map(|&arrow| Some((arrow, line.split_once(arrow)?)))
    else {
        return TimeLine::No;
    };
    let left = left.trim();
    // Behind the end may stand a position.
    let right = right.split_whitespace().next().unwrap_or_default();
    if let (Some(start_s), Some(end_s)) = (seconds(left), seconds(right)) {
        return TimeLine::Times { times: CueTimes { start_s, end_s }, arrow };
    }
    let time_like =
        left.starts_with(|c: char| c.is_ascii_digit() || c == '-') && left.contains(':');
    if arrow == ARROWS[0] && (time_like || after_index) { TimeLine::Bad } else { TimeLine::No }
}

/// `[[h]h:]mm:ss[,f]` with `,` or `.` and a decimal fraction of 1 to 9 digits.
fn seconds(text: &str) -> Option<f64> {
    let number = |digits: &str, longest: usize| {
        let plain =
            (1..=longest).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if plain { digits.parse::<u32>().ok() } else { None }
    };
    let (whole, fraction) = match text.split_once([',', '.']) {
        Some((whole, digits)) => {
            (whole, f64::from(number(digits, 9)?) / 10f64.powi(i32::try_from(digits.len()).ok()?))
        }
        None => (text, 0.0),
    };
    let mut parts = whole.split(':');
    let (hours, minutes, seconds) = match (parts.next()?, parts.next()?, parts.next(), parts.next())
    {
        (hours, minutes, Some(seconds), None) => {
            (number(hours, 6)?, number(minutes, 2)?, number(seconds, 2)?)
        }
        (minutes, seconds, None, None) => (0, number(minutes, 6)?, number(seconds, 2)?),
        _ => return None,
    };
    if seconds >= 60 || (hours > 0 && minutes >= 60) {
        return None;
    }
    Some(f64::from(hours) * 3600.0 + f64::from(minutes) * 60.0 + f64::from(seconds) + fraction)
}

/// Drops `<...>` tags and `{\...}` overrides; a `<` or `{` that starts neither stays.
fn without_markup(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '{']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = markup_length(rest);
        if length == 0 {
            plain.push_str(&rest[..1]);
        }
        rest = &rest[length.max(1)..];
    }
    plain.push_str(rest);
    plain.trim().to_owned()
}

/// Bytes of the tag or override that `text` starts with; 0 if it starts with none.
fn markup_length(text: &str) -> usize {
    let is_tag = text.strip_prefix('<').is_some_and(|inner| {
        inner.strip_prefix('/').unwrap_or(inner).starts_with(|c: char| c.is_ascii_alphanumeric())
    });
    let close = match text.as_bytes() {
        [b'<', ..] if is_tag => '>',
        [b'{', b'\\', ..] => '}',
        _ => return 0,
    };
    let longest = text.char_indices().nth(LONGEST_MARKUP).map_or(text.len(), |(at, _)| at);
    let end = text[1..longest].find([close, '<', '{', '\n']).map(|at| at + 1);
    end.filter(|&at| text[at..].starts_with(close)).map_or(0, |at| at + 1)
}

/// Characters of the longest tag; a bound keeps unclosed ones from costing a search to the end each.
const LONGEST_MARKUP: usize = 256;

fn sort(cues: &mut [Cue], warnings: &mut Warnings) {
    let start = |cue: &Cue| cue.times.map_or(0.0, |times| times.start_s);
    let end = |cue: &Cue| cue.times.map_or(0.0, |times| times.end_s);
    if let Some(pair) = cues.windows(2).find(|pair| start(&pair[1]) < start(&pair[0])) {
        let message =
            "found a cue that starts before the one above it; the cues were sorted".to_owned();
        warnings.add("cues_out_of_order", Place::Line(pair[1].line), message);
    }
    cues.sort_by(|a, b| start(a).total_cmp(&start(b)));
    let mut latest = 0.0f64;
    for cue in cues.iter() {
        if start(cue) < latest {
            let message = "found a cue that starts before another ends; both were kept".to_owned();
            warnings.add("cues_overlap", Place::Line(cue.line), message);
            break;
        }
        latest = latest.max(end(cue));
    }
}
