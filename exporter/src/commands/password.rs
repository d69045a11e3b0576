//! Passwords, from the terminal or piped in, and never from the command line, which others can read.

use std::io::{self, BufRead, IsTerminal};

use hilbert_exporter::{ErrorKind, Result};

/// Asks for a password on the terminal; where standard input is none, its first line is taken.
pub(crate) fn ask(prompt: &str) -> Result<String> {
    let expected = "one on the terminal, or as the first line of standard input";
    let unreadable = |_| ErrorKind::Password { found: "none that can be read", expected };
    if io::stdin().is_terminal() {
        return Ok(rpassword::prompt_password(prompt).map_err(unreadable)?);
    }
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line).map_err(unreadable)? == 0 {
        return Err(ErrorKind::Password { found: "none", expected }.into());
    }
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// Asks for a new password, on a terminal twice.
pub(crate) fn choose() -> Result<String> {
    let password = ask("Password for the secret key: ")?;
    if password.is_empty() {
        let expected = "one, or --no-password";
        return Err(ErrorKind::Password { found: "an empty one", expected }.into());
    }
    if io::stdin().is_terminal() && ask("The same again: ")? != password {
        return Err(ErrorKind::Password { found: "two that differ", expected: "one twice" }.into());
    }
    Ok(password)
}
