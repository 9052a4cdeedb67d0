//! When were votes cast? Columns of equal spans, with their numbers in a table.

use crate::standings::Cast;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Columns at most.
const COLUMNS: i64 = 60;
/// Spans of a column, milliseconds, and their names.
const SPANS: [(i64, &str); 6] = [
    (60_000, "minute"),
    (600_000, "ten minutes"),
    (3_600_000, "hour"),
    (21_600_000, "six hours"),
    (86_400_000, "day"),
    (604_800_000, "week"),
];

/// The section.
pub(crate) fn section(votes: &[&Cast]) -> String {
    let (Some(first), Some(last)) = (votes.iter().map(|v| v.at).min(), votes.iter().map(|v| v.at).max())
    else {
        return String::new();
    };
    let fits = |span: i64| last.div_euclid(span) - first.div_euclid(span) < COLUMNS;
    let mut span = SPANS.into_iter().find(|(span, _)| fits(*span)).unwrap_or(SPANS[5]);
    // Weeks are doubled until they fit: a page has room for so many columns only.
    while !fits(span.0) {
        span = (span.0 * 2, "several weeks");
    }
    let (span, unit) = span;
    let mut counts: BTreeMap<i64, u32> = BTreeMap::new();
    votes.iter().for_each(|vote| *counts.entry(vote.at.div_euclid(span)).or_default() += 1);
    let (from, to) = (first.div_euclid(span), last.div_euclid(span));
    let most = counts.values().copied().max().unwrap_or(1);
    let (height, width) = (120.0, 100.0 / (to - from + 1) as f64);
    let mut svg = String::new();
    let mut rows = String::new();
    for (i, column) in (from..=to).enumerate() {
        let count = counts.get(&column).copied().unwrap_or(0);
        let tall = height * f64::from(count) / f64::from(most);
        let when = moment(column * span);
        if count > 0 {
            let _ = writeln!(
                svg,
                "<rect class=\"column\" x=\"{:.2}%\" y=\"{:.1}\" width=\"{:.2}%\" height=\"{tall:.1}\"><title>{when}: {count}</title></rect>",
                width * i as f64 + width * 0.08,
                20.0 + height - tall,
                (width * 0.84).min(6.0)
            );
            let _ = writeln!(rows, "<tr><th scope=\"row\">{when}</th><td class=\"n\">{count}</td></tr>");
        }
    }
    format!(
        "<section aria-labelledby=\"time\">\n<h2 id=\"time\">Votes over time</h2>\n<figure><svg width=\"100%\" height=\"166\" \
         role=\"img\" aria-label=\"Votes per {unit}; numbers in the table below\">\n<text x=\"0\" y=\"12\">{most} votes per {unit}</text>\n\
         {svg}<line class=\"zero\" x1=\"0\" x2=\"100%\" y1=\"140.5\" y2=\"140.5\"/>\n<text x=\"0\" y=\"158\">{}</text>\
         <text x=\"100%\" y=\"158\" text-anchor=\"end\">{}</text></svg>\
         <figcaption>Votes per {unit}, times in UTC.</figcaption></figure>\n\
         <details><summary>The numbers</summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Votes over time\">\
         <table><thead><tr><th scope=\"col\">from</th><th scope=\"col\" class=\"n\">votes</th></tr></thead>\n<tbody>\n{rows}</tbody>\
         </table></div></details>\n</section>\n",
        moment(first),
        moment(last)
    )
}

/// Milliseconds since 1970 as day and minute, UTC (the civil calendar from days, after Hinnant).
fn moment(milliseconds: i64) -> String {
    let minutes = milliseconds.div_euclid(60_000);
    let (days, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        assert_eq!(moment(0), "1970-01-01 00:00");
        assert_eq!(moment(951_782_399_000), "2000-02-28 23:59");
        assert_eq!(moment(951_782_400_000), "2000-02-29 00:00");
        assert_eq!(moment(1_795_363_200_000), "2026-11-22 16:00");
        assert_eq!(moment(-60_000), "1969-12-31 23:59");
    }
}
