//! Long steps on a terminal: what is being done, and how far it is.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error; nothing where that is no terminal.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// `done` of `of` are done of `step`.
    pub(crate) fn show(&self, step: &str, done: usize, of: usize) {
        if self.0.message() != step {
            self.0.reset();
            self.0.set_message(step.to_owned());
        }
        self.0.set_length(of as u64);
        self.0.set_position(done as u64);
    }
}

impl Default for Bar {
    fn default() -> Self {
        let bar = ProgressBar::new(0);
        let style =
            ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_secs(1));
        Self(bar)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
