//! Progress on standard error: a bar on a terminal, one line per model otherwise.

use crate::output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use stemmata_audit::Event;

/// Shows events, or not.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
}

impl Progress {
    /// `quiet` hides everything.
    pub(crate) fn new(quiet: bool) -> Progress {
        let terminal = std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
        let bar = (terminal && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{prefix:>10} [{bar:30}] {msg} · {elapsed} · ETA {eta}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar
        });
        Progress { bar, lines: !terminal && !quiet }
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, event: Event) {
        match event {
            Event::Opened { reference, parameters } => {
                let text = format!("opened {reference} ({parameters} parameters)");
                match &self.bar {
                    Some(bar) => bar.println(text),
                    None if self.lines => output::tell(text),
                    None => {}
                }
            }
            Event::Working { doing, elements, elements_total, bytes, tensors, tensors_total } => {
                if let Some(bar) = &self.bar {
                    bar.set_prefix(doing);
                    bar.set_length(elements_total);
                    bar.set_position(elements);
                    bar.set_message(format!("{} · tensor {tensors} of {tensors_total}", size(bytes)));
                }
            }
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        b if b >= 1_000_000_000 => format!("{:.2} GB", b as f64 / 1e9),
        b if b >= 1_000_000 => format!("{:.1} MB", b as f64 / 1e6),
        b => format!("{:.0} kB", b as f64 / 1e3),
    }
}
