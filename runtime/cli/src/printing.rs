//! Text that is safe to print, and where it goes.

use std::io::{self, ErrorKind, Write as _};

use hilbert_formats::escape::is_unprintable;
use serde::Serialize;

use crate::failure::Failure;

/// Writes a result to standard output. A reader that went away, as `head` does, has had enough: that is no failure.
pub(crate) fn result(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

/// A value as indented JSON that is safe to print, the last line ended.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(unwritable).map(|json| escape_json(&json) + "\n")
}

/// A value as one line of JSON that is safe to print.
pub(crate) fn json_line(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(unwritable).map(|json| escape_json(&json) + "\n")
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure::Internal(format!("result: {error}"))
}

/// Writes a message and a line end to standard error, if anybody listens.
pub(crate) fn error(message: &str) {
    let _ = writeln!(io::stderr(), "{}", escape_lines(message));
}

/// Escapes what a terminal may obey, except for line ends.
pub(crate) fn escape_lines(text: &str) -> String {
    escape(text, |c, escaped| escaped.extend(c.escape_default()))
}

/// Escapes what a terminal may obey and JSON allows in strings, such as the delete and bidirectional characters. The value
/// stays the same: outside its strings JSON has no such character but the line end.
pub(crate) fn escape_json(json: &str) -> String {
    escape(json, |c, escaped| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
    })
}

fn escape(text: &str, push_escaped: impl Fn(char, &mut String)) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_unprintable(c) {
            push_escaped(c, &mut escaped);
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{escape_json, escape_lines};

    #[test]
    fn lines_stay_and_escape_codes_do_not() {
        assert_eq!(escape_lines("a\n\u{1b}[2Jb\r"), "a\n\\u{1b}[2Jb\\r");
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let text =
            "tab\t escape \u{1b} delete \u{7f} csi \u{9b} bidi \u{202e} tag \u{e0041} ü 🎤 \\ \"";
        let json = serde_json::to_string_pretty(&serde_json::json!({ "path": text })).unwrap();
        let escaped = escape_json(&json);
        let value: serde_json::Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(value["path"], text);
        assert_eq!(escaped.chars().filter(|c| c.is_control()).collect::<String>(), "\n\n");
        assert!(
            escaped.contains("ü 🎤")
                && escaped.contains("\\u202e")
                && escaped.contains("\\udb40\\udc41")
        );
    }
}
