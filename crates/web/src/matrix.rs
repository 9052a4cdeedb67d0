//! Who did how well against whom? A table of shares, those of ties counted half.

use crate::standings::Cast;
use std::collections::BTreeMap;
use stemmata_audit::Rated;
use stemmata_report::escaped as esc;

/// Contestants that a table can hold.
const MOST: usize = 30;

/// The section; `rated` gives the order.
pub(crate) fn section(votes: &[&Cast], rated: &Rated) -> String {
    let contestants: Vec<&str> =
        rated.standings.contestants.iter().take(MOST).map(|c| c.name.as_str()).collect();
    let mut pairs: BTreeMap<(&str, &str), (f64, u32)> = BTreeMap::new();
    for vote in votes {
        let (a, b) = (vote.model_a.as_str(), vote.model_b.as_str());
        let score = match vote.winner.as_str() {
            "model_a" => 1.0,
            "model_b" => 0.0,
            _ => 0.5,
        };
        for (pair, score) in [((a, b), score), ((b, a), 1.0 - score)] {
            let entry = pairs.entry(pair).or_default();
            entry.0 += score;
            entry.1 += 1;
        }
    }
    let head: String = contestants.iter().map(|c| format!("<th scope=\"col\">{}</th>", esc(c))).collect();
    let mut rows = String::new();
    for row in &contestants {
        rows.push_str(&format!("<tr><th scope=\"row\">{}</th>", esc(row)));
        for column in &contestants {
            match pairs.get(&(*row, *column)) {
                Some((score, count)) if row != column => {
                    let share = score / f64::from(*count);
                    let class = shade(share, *count);
                    rows.push_str(&format!(
                        "<td{class}>{:.0}\u{a0}%<br><span class=\"small\">{count}</span></td>",
                        100.0 * share
                    ));
                }
                _ => rows.push_str("<td>–</td>"),
            }
        }
        rows.push_str("</tr>\n");
    }
    let more = rated.standings.contestants.len().saturating_sub(MOST);
    let note = match more {
        0 => String::new(),
        more => format!("<p class=\"small soft\">{more} further contestants are not in this table.</p>\n"),
    };
    format!(
        "<section aria-labelledby=\"matrix\">\n<h2 id=\"matrix\">Who against whom</h2>\n<div class=\"scroll\" tabindex=\"0\" \
         role=\"region\" aria-label=\"Who against whom\"><table class=\"matrix\"><caption>Share of votes that the row won against the \
         column, ties as half a win; below it the number of votes. Shaded where a share differs from one half by more than two standard \
         errors of that pair alone.</caption>\n<thead><tr><td></td>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n{note}\
         </section>\n"
    )
}

/// A class for how far a share lies from one half; none where chance would do as much.
fn shade(share: f64, count: u32) -> String {
    let off = share - 0.5;
    if off.abs() <= 1.0 / f64::from(count).sqrt() {
        return String::new();
    }
    let level = (off.abs() * 8.0).ceil().clamp(1.0, 4.0) as i32;
    format!(" class=\"lead-{}\"", if off < 0.0 { -level } else { level })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_need_votes() {
        assert_eq!(shade(1.0, 3), "");
        assert_eq!(shade(1.0, 100), " class=\"lead-4\"");
        assert_eq!(shade(0.35, 100), " class=\"lead--2\"");
        assert_eq!(shade(0.5, 10_000), "");
    }
}
