//! Writes the made-up reports of the tests into a directory, for a look at them: `cargo run --example gallery -- DIR`.
#![allow(missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use stemmata_report::{Format, Style, comparison, difference, inspection};

fn main() -> std::io::Result<()> {
    let directory = std::path::PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    let (style, context) = (Style::default(), common::context());
    for format in Format::ALL {
        for (name, text) in [
            ("derived", comparison(&common::derived(), format, &style, &context)),
            ("acquitted", comparison(&common::acquitted(), format, &style, &context)),
            ("controlled", comparison(&common::controlled(), format, &style, &context)),
            ("inspected", inspection(&common::inspected(), format, &style, &context)),
            ("differing", difference(&common::differing(), false, format, &style, &context)),
        ] {
            std::fs::write(directory.join(format!("{name}.{}", format.name())), text)?;
        }
    }
    Ok(())
}
