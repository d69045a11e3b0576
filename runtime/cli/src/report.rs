//! A classification as a report for people.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use hilbert_formats::escape::Escaped;
use hilbert_runtime::{Classification, InputSummary, IntegrityResult, Run, TaskResult, Warning};

/// Displays as lines of text, the last one ended. What comes from outside, such as names, is escaped.
pub(crate) struct Report<'a>(pub(crate) &'a Classification);

/// Segments and cues that are shown, those of largest weight.
const MOST_ROWS: usize = 5;

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Classification {
            bundle,
            input,
            modalities,
            tasks,
            integrity,
            segments,
            cues,
            warnings,
            run,
            ..
        } = self.0;
        write_input(f, input)?;
        writeln!(f, "model {}, from {}", Escaped(&bundle.name), modalities.join(" and "))?;
        for task in tasks {
            write_task(f, task)?;
        }
        if let Some(integrity) = integrity {
            write_integrity(f, integrity)?;
        }
        let segments = segments.iter().map(|s| Row {
            times: Some((s.start_s, s.end_s)),
            weight: s.audio_weight,
            merged: s.merged,
        });
        write_rows(f, "segments", segments.collect())?;
        let cues = cues.iter().map(|cue| Row {
            times: cue.start_s.zip(cue.end_s),
            weight: cue.text_weight,
            merged: cue.merged,
        });
        write_rows(f, "cues", cues.collect())?;
        write_warnings(f, warnings)?;
        run.as_ref().map_or(Ok(()), |run| write_run(f, run))
    }
}

fn write_input(f: &mut Formatter<'_>, input: &InputSummary) -> fmt::Result {
    let mut parts = Vec::new();
    if let Some(path) = &input.path {
        parts.push(Escaped(path).to_string());
    }
    if let Some(seconds) = input.duration_s {
        parts.push(clock(seconds));
    }
    if let Some(rate) = input.sample_rate {
        parts.push(format!("{rate} Hz"));
    }
    match input.channels {
        Some(1) => parts.push("1 channel".to_owned()),
        Some(channels) => parts.push(format!("{channels} channels")),
        None => {}
    }
    parts.push(format!("transcript: {}", input.transcript.unwrap_or("none")));
    writeln!(f, "{}", parts.join(", "))
}

fn write_task(f: &mut Formatter<'_>, task: &TaskResult) -> fmt::Result {
    let TaskResult { name, label, score, probabilities, sets, experts, .. } = task;
    write!(f, "\n{}: {}", Escaped(name), Escaped(label))?;
    if let Some(found) = probabilities.iter().find(|one| one.label == *label) {
        write!(f, ", probability {:.3}", found.probability)?;
    }
    match score {
        Some(score) => writeln!(f, ", score {score:.2}")?,
        None => writeln!(f)?,
    }
    let width =
        probabilities.iter().map(|one| shown(&one.label).chars().count()).max().unwrap_or(0);
    for one in probabilities {
        writeln!(f, "  {:width$}  {:.3}", shown(&one.label), one.probability)?;
    }
    for set in sets {
        writeln!(f, "  at {}: {}", percent(set.coverage), alternatives(&set.labels))?;
    }
    let experts: Vec<_> =
        experts.iter().map(|expert| format!("{} ({:.2})", expert.id, expert.gate)).collect();
    writeln!(f, "  experts: {}", experts.join(", "))
}

/// One line: whether the transcript belongs to the recording.
fn write_integrity(f: &mut Formatter<'_>, integrity: &IntegrityResult) -> fmt::Result {
    let IntegrityResult { label, probabilities, cues } = integrity;
    let Some(found) = probabilities.iter().find(|one| Some(&one.label) == label.as_ref()) else {
        return writeln!(f, "\nintegrity: not known, for no cue has a score");
    };
    let scores: Vec<f64> = cues.iter().filter_map(|cue| cue.score).collect();
    let swapped = scores.iter().filter(|score| **score > 0.5).count();
    let (label, count) = (Escaped(&found.label), scores.len());
    let probability = found.probability;
    writeln!(
        f,
        "\nintegrity: {label}, probability {probability:.3}, {swapped} of {count} cues seem swapped"
    )
}

struct Row {
    /// Start and end, seconds; none for untimed cues.
    times: Option<(f64, f64)>,
    weight: f64,
    merged: u32,
}

/// Rows of largest weight first, equals in their order; nothing where there are none.
fn write_rows(f: &mut Formatter<'_>, what: &str, rows: Vec<Row>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let count = rows.len();
    let mut rows: Vec<_> = (1..).zip(rows).collect();
    rows.sort_by(|(_, a), (_, b)| b.weight.total_cmp(&a.weight));
    if count > MOST_ROWS {
        writeln!(f, "\n{what}, {MOST_ROWS} of {count}, by weight")?;
    } else {
        writeln!(f, "\n{what}, by weight")?;
    }
    for (number, row) in rows.iter().take(MOST_ROWS) {
        let place = match row.times {
            Some((start_s, end_s)) => format!("{} to {}", clock(start_s), clock(end_s)),
            None => format!("number {number}, untimed"),
        };
        write!(f, "  {:.3}  {place}", row.weight)?;
        match row.merged {
            0 | 1 => writeln!(f)?,
            merged => writeln!(f, ", {merged} merged")?,
        }
    }
    Ok(())
}

fn write_warnings(f: &mut Formatter<'_>, warnings: &[Warning]) -> fmt::Result {
    if warnings.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nwarnings")?;
    for Warning { code, message, offset, line } in warnings {
        write!(f, "  {code}: {}", Escaped(message))?;
        match (offset, line) {
            (Some(offset), _) => writeln!(f, " (at byte {offset})")?,
            (None, Some(line)) => writeln!(f, " (line {line})")?,
            (None, None) => writeln!(f)?,
        }
    }
    Ok(())
}

fn write_run(f: &mut Formatter<'_>, run: &Run) -> fmt::Result {
    writeln!(f, "\nmeasured")?;
    for (what, seconds) in [
        ("log-mel", run.log_mel_s),
        ("speech encoder", run.speech_encoder_s),
        ("text encoder", run.text_encoder_s),
        ("alignment", run.alignment_s),
        ("fusion", run.fusion_s),
        ("in all", run.total_s),
    ] {
        writeln!(f, "  {what:14}  {seconds:.3} s")?;
    }
    if let Some(factor) = run.real_time_factor {
        writeln!(f, "  {:14}  {factor:.4} of the recording's length", "")?;
    }
    if let Some(bytes) = run.peak_resident_bytes {
        writeln!(
            f,
            "  {:14}  {:.1} MiB resident",
            "peak memory",
            bytes as f64 / f64::from(1 << 20)
        )?;
    }
    Ok(())
}

fn shown(text: &str) -> String {
    Escaped(text).to_string()
}

/// A share as `80 %`, with the decimals that it has, at most four.
fn percent(share: f64) -> String {
    format!("{} %", (share * 1e6).round() / 1e4)
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives(labels: &[String]) -> String {
    let labels: Vec<_> = labels.iter().map(|label| shown(label)).collect();
    match labels.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Minutes and seconds, `m:ss`.
fn clock(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds.round()).unwrap_or_default().as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use std::fmt::{self, Display, Formatter};

    use hilbert_runtime::{CueScore, IntegrityResult, LabelProbability};

    use super::{alternatives, clock, percent, write_integrity};

    struct Shown(IntegrityResult);

    impl Display for Shown {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            write_integrity(f, &self.0)
        }
    }

    #[test]
    fn integrity_is_one_line() {
        let cue = |score| CueScore { line: 2, start_s: Some(0.0), end_s: Some(1.0), score };
        let label =
            |label: &str, probability| LabelProbability { label: label.to_owned(), probability };
        let mut integrity = IntegrityResult {
            label: Some("partly\u{9b}".to_owned()),
            probabilities: vec![label("intact", 0.25), label("partly\u{9b}", 0.75)],
            cues: [Some(0.9), None, Some(0.2)].map(cue).to_vec(),
        };
        let expected = "\nintegrity: partly\\u{9b}, probability 0.750, 1 of 2 cues seem swapped\n";
        assert_eq!(Shown(integrity.clone()).to_string(), expected);
        integrity.label = None;
        let expected = "\nintegrity: not known, for no cue has a score\n";
        assert_eq!(Shown(integrity).to_string(), expected);
    }

    #[test]
    fn sets_are_told_as_alternatives_at_a_percentage() {
        let of = |labels: &[&str]| {
            alternatives(&labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>())
        };
        let found = [of(&["a"]), of(&["a", "b"]), of(&["a", "b", "c\u{1b}"])];
        assert_eq!(found, ["a", "a or b", "a, b or c\\u{1b}"]);
        assert_eq!([0.8, 0.925, 0.29].map(percent), ["80 %", "92.5 %", "29 %"]);
    }

    #[test]
    fn times_are_minutes_and_seconds() {
        let rows = [
            (0.0, "0:00"),
            (7.49, "0:07"),
            (59.5, "1:00"),
            (76.138, "1:16"),
            (7_384.0, "123:04"),
            (-1.0, "0:00"),
        ];
        let failed: Vec<_> =
            rows.iter().filter(|(seconds, text)| clock(*seconds) != *text).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}
