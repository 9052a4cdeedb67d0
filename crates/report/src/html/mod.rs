//! One self-contained page: no request to anywhere, no script.

use crate::json;
use crate::text::escape_html;
use crate::wire::Report;
use serde::Serialize;

/// A comparison.
pub(crate) fn comparison(report: &Report) -> String {
    plain("Comparison", &crate::human::comparison(report, &crate::Style::default()), report)
}

/// A page that shows what a terminal would, with the JSON.
pub(crate) fn plain<T: Serialize>(title: &str, text: &str, value: &T) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head><body><pre>{}</pre>\
         <script type=\"application/json\" id=\"report\">{}</script></body></html>\n",
        escape_html(text),
        json::for_script(value)
    )
}
