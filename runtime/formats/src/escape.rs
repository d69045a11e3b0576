//! Text of files and paths made safe to print.

use std::fmt::{self, Display, Formatter, Write as _};

/// Shows text from outside on one line: what [`is_unprintable`] is escaped, and what is longer than [`LONGEST`]
/// characters ends in an ellipsis.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

/// Most characters that are shown.
pub const LONGEST: usize = 256;

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, c) in self.0.chars().enumerate() {
            if i == LONGEST {
                return f.write_char('…');
            }
            if is_unprintable(c) {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// Whether a terminal may obey `c` or show nothing for it: control, bidirectional and zero-width characters.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Four bytes of a file shown as a chunk's name.
pub(crate) struct FourCc(pub(crate) [u8; 4]);

impl Display for FourCc {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::{Escaped, FourCc};

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let rows = [
            ("plain näme.wav", "plain näme.wav"),
            ("a\nb", "a\\nb"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("evil\u{202e}vaw", "evil\\u{202e}vaw"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
        ];
        let failed: Vec<_> =
            rows.iter().filter(|(text, shown)| Escaped(text).to_string() != *shown).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(Escaped(&"x".repeat(10_000)).to_string().chars().count(), super::LONGEST + 1);
    }

    #[test]
    fn a_chunk_name_is_shown_as_ascii() {
        assert_eq!(FourCc(*b"fm\x1b\n").to_string(), "'fm\\x1b\\n'");
    }
}
