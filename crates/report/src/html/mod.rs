//! One self-contained page: no request to anywhere, no script, every figure with its numbers in a table.

mod adoption;
mod bell;
mod controls;
mod curve;
mod forest;
mod layer_map;
mod markup;
mod notes;
mod rating;
mod rating_beside;
mod standings;
mod tables;
mod top;

use crate::json;
use crate::wire::{Ratings, Report, Survey};
use crate::words;
use markup::esc;
use serde::Serialize;

pub(crate) const STYLE: &str = include_str!("style.css");

/// A comparison.
pub(crate) fn comparison(report: &Report) -> String {
    let (candidate, reference) = (&report.candidate().reference, &report.reference().reference);
    let title = format!("{}: {candidate} and {reference}", words::headline(report.verdict.kind));
    let body = [
        top::verdict(report),
        controls::section(report),
        controls::relatives(report),
        top::inputs(report),
        curve::section(report),
        layer_map::section(report),
        bell::section(report),
        tables::evidence(report),
        tables::components(report),
        tables::change(report),
        controls::context(report),
        notes::not_tested(report),
        notes::findings(&report.findings),
        notes::methods(report),
        notes::again(report),
    ];
    page(&title, "comparison of two models by their weights", &body.concat(), report)
}

/// Ratings.
pub(crate) fn rating(ratings: &Ratings) -> String {
    page("Ratings", "ratings of contestants by blind votes", &rating::body(ratings), ratings)
}

/// Ratings for a page that has a frame of its own.
pub(crate) fn rating_sections(ratings: &Ratings) -> [String; 2] {
    rating::sections(ratings)
}

/// Standings.
pub(crate) fn standings(survey: &Survey) -> String {
    page("Standings", "standings of models by public figures", &standings::body(survey), survey)
}

/// A page that shows what a terminal would, with the JSON.
pub(crate) fn plain<T: Serialize>(title: &str, text: &str, value: &T) -> String {
    let body =
        format!("<section><h1>{}</h1>\n<pre tabindex=\"0\">{}</pre></section>\n", esc(title), esc(text));
    page(title, "", &body, value)
}

fn page<T: Serialize>(title: &str, subtitle: &str, body: &str, value: &T) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src \
         data:\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>{} – stemmata</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the result</a>\n\
         <header>stemmata{}</header>\n<main id=\"main\">\n{body}</main>\n{}\
         <script type=\"application/json\" id=\"report\">\n{}</script>\n</body>\n</html>\n",
        esc(title),
        if subtitle.is_empty() { String::new() } else { format!(" · {subtitle}") },
        footer(value),
        json::for_script(value)
    )
}

/// Above this the page would carry the JSON twice for little gain.
const LINK_BYTES: usize = 96 << 10;

fn footer<T: Serialize>(value: &T) -> String {
    let json = json::pretty(value);
    let link = if json.len() <= LINK_BYTES {
        format!(
            "<a class=\"download\" download=\"report.json\" href=\"data:application/json;charset=utf-8,{}\">Download the \
             JSON</a>, or read it ",
            percent_encoded(&json)
        )
    } else {
        "The JSON is embedded ".to_owned()
    };
    format!(
        "<footer><p>{link}in the source of this page, in the element <code>report</code>; or run the same command with \
         <code>--format json</code>.</p></footer>\n"
    )
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':' | b',' | b'/' => {
                out.push(byte.into())
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
