//! The page of standings: ratings, who met whom, votes over time, what was left aside. Made anew when votes have come, not on every request.

use crate::config::Medium;
use crate::export::flagged;
use crate::pages;
use crate::store;
use crate::{matrix, timeline};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use stemmata_audit::{RateSettings, Rated, Rating, RatingOptions, VoteInput, Wanted};
use stemmata_report::{Context, escaped as esc};
use tokio::sync::Mutex;

/// How long a page is shown before votes are looked at again.
const FRESH: Duration = Duration::from_secs(10);

/// Makes the pages, one for each medium, and keeps them for a while.
pub(crate) struct Board {
    database: PathBuf,
    kept: Mutex<[Option<Made>; 3]>,
}

/// A page and when it was made.
type Made = (Instant, Arc<String>);

impl Board {
    pub(crate) fn new(database: PathBuf) -> Board {
        Board { database, kept: Mutex::default() }
    }

    /// The page. Requests that come while it is made wait for the same one.
    pub(crate) async fn page(&self, medium: Medium) -> Result<Arc<String>, String> {
        let mut kept = self.kept.lock().await;
        let kept = &mut kept[medium as usize];
        if let Some((made, page)) = kept.as_ref()
            && made.elapsed() < FRESH
        {
            return Ok(Arc::clone(page));
        }
        let database = self.database.clone();
        let made = tokio::task::spawn_blocking(move || make(&database, medium)).await;
        let page = Arc::new(made.map_err(|error| error.to_string())??);
        *kept = Some((Instant::now(), Arc::clone(&page)));
        Ok(page)
    }
}

/// A vote as far as the page needs it.
pub(crate) struct Cast {
    pub(crate) model_a: String,
    pub(crate) model_b: String,
    pub(crate) winner: String,
    voter: String,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
}

fn make(database: &Path, medium: Medium) -> Result<String, String> {
    let connection = store::open_to_read(database).map_err(|error| error.to_string())?;
    let text = |error: rusqlite::Error| error.to_string();
    connection.execute_batch("BEGIN").map_err(text)?;
    let flagged = flagged(&connection).map_err(text)?;
    let mut body = links(&connection, medium).map_err(text)?;
    let votes = votes(&connection, medium).map_err(text)?;
    if votes.is_empty() {
        body.push_str("<h1>Standings</h1>\n<p class=\"lead\">No votes have been counted yet.</p>\n");
    } else {
        let kept: Vec<&Cast> = votes.iter().filter(|vote| !flagged.contains(&vote.voter)).collect();
        let all: Vec<&Cast> = votes.iter().collect();
        body.push_str(&of_votes(&all, &kept)?);
    }
    body.push_str(&aside(&connection, flagged.len()).map_err(text)?);
    Ok(pages::page("Standings", "", &body))
}

/// Links to the pages of all media that have votes, where there are several.
fn links(connection: &Connection, shown: Medium) -> rusqlite::Result<String> {
    let mut query = connection.prepare(
        "SELECT DISTINCT b.medium FROM votes v JOIN battles b ON b.id = v.battle WHERE b.gold = ''",
    )?;
    let there: Vec<String> = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let each: String = Medium::ALL
        .into_iter()
        .filter(|medium| there.iter().any(|name| name == medium.name()))
        .map(|medium| {
            let current = if medium == shown { " aria-current=\"page\"" } else { "" };
            let label = ["Text", "Images", "Videos"][medium as usize];
            format!("<a href=\"/standings/{}\"{current}>{label}</a> ", medium.name())
        })
        .collect();
    Ok(if there.len() > 1 { format!("<nav aria-label=\"Media\">{each}</nav>\n") } else { String::new() })
}

fn votes(connection: &Connection, medium: Medium) -> rusqlite::Result<Vec<Cast>> {
    let mut query = connection.prepare(
        "SELECT b.model_a, b.model_b, v.winner, v.voter, v.cast_at FROM votes v JOIN battles b ON b.id = v.battle WHERE b.medium = ?1 \
         AND b.gold = '' ORDER BY v.seq",
    )?;
    let rows = query.query_map([medium.name()], |row| {
        Ok(Cast {
            model_a: row.get(0)?,
            model_b: row.get(1)?,
            winner: row.get(2)?,
            voter: row.get(3)?,
            at: row.get(4)?,
        })
    })?;
    rows.collect()
}

fn of_votes(all: &[&Cast], kept: &[&Cast]) -> Result<String, String> {
    let rated = rate(all)?;
    let context = Context {
        command:
            "stemmata serve --export -o votes.jsonl; stemmata rate --cluster=judge --position votes.jsonl"
                .to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        timing: None,
    };
    let [found, made] = stemmata_report::rating_sections(&rated, &context);
    let flagged = if kept.len() < all.len() { without_flagged(&rated, kept)? } else { String::new() };
    Ok([found, matrix::section(all, &rated), timeline::section(all), flagged, made].concat())
}

/// Votes of one person depend on each other, and sides may be favoured.
fn rate(votes: &[&Cast]) -> Result<Rated, String> {
    let mut csv = "model_a,model_b,winner,judge\n".to_owned();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    for vote in votes {
        let fields = [&vote.model_a, &vote.model_b, &vote.winner, &vote.voter].map(|field| quoted(field));
        csv.push_str(&fields.join(","));
        csv.push('\n');
    }
    let input = VoteInput { name: "votes".to_owned(), bytes: Box::new(csv.as_bytes()) };
    let settings = RateSettings {
        wanted: Wanted { clusters: vec!["judge".to_owned()], ..Wanted::default() },
        options: RatingOptions { position: true, ..RatingOptions::default() },
        ..RateSettings::default()
    };
    stemmata_audit::rate(vec![input], &settings).map_err(|error| error.to_string())
}

fn without_flagged(all: &Rated, kept: &[&Cast]) -> Result<String, String> {
    let without = if kept.is_empty() { None } else { Some(rate(kept)?) };
    let cells = |rating: Option<&Rating>| match rating {
        Some(Rating { value, rank: (low, high), .. }) => {
            let rank = if low == high { low.to_string() } else { format!("{low}–{high}") };
            format!("<td class=\"n\">{value:.0}</td><td class=\"n\">{rank}</td>")
        }
        None => "<td class=\"n\">–</td><td class=\"n\">–</td>".to_owned(),
    };
    let rows: String = all
        .standings
        .contestants
        .iter()
        .map(|with| {
            let others = without.iter().flat_map(|rated| &rated.standings.contestants);
            let found = others.into_iter().find(|other| other.name == with.name);
            let (all, kept) = (cells(with.rating.as_ref()), cells(found.and_then(|c| c.rating.as_ref())));
            format!("<tr><th scope=\"row\">{}</th>{all}{kept}</tr>\n", esc(&with.name))
        })
        .collect();
    Ok(format!(
        "<section aria-labelledby=\"flagged\">\n<h2 id=\"flagged\">With and without flagged voters</h2>\n\
         <p>{} votes are of voters who missed two checks or more, and more than a third of those they saw. They are counted above.</p>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"With and without flagged voters\"><table><thead><tr>\
         <th scope=\"col\">contestant</th><th scope=\"col\" class=\"n\">all</th><th scope=\"col\" class=\"n\">rank</th>\
         <th scope=\"col\" class=\"n\">without</th><th scope=\"col\" class=\"n\">rank</th></tr></thead>\n<tbody>\n{rows}</tbody></table>\
         </div>\n</section>\n",
        all.standings.votes.saturating_sub(kept.len() as u64)
    ))
}

/// What entered no rating.
fn aside(connection: &Connection, flagged: usize) -> rusqlite::Result<String> {
    let number = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0));
    let checks = number("SELECT count(*) FROM votes v JOIN battles b ON b.id = v.battle WHERE b.gold <> ''")?;
    let voters = number("SELECT count(DISTINCT voter) FROM votes")?;
    let unvoted = number(
        "SELECT count(*) FROM battles b WHERE b.state = 'ready' AND NOT EXISTS (SELECT 1 FROM votes v WHERE v.battle = b.id)",
    )?;
    let head =
        connection.query_row("SELECT coalesce(max(seq), 0) FROM votes", [], |row| row.get::<_, i64>(0))?;
    let hash = match head {
        0 => crate::chain::START.to_owned(),
        seq => connection.query_row("SELECT hash FROM votes WHERE seq = ?1", [seq], |row| row.get(0))?,
    };
    let mut query = connection.prepare(
        "SELECT CASE WHEN failure LIKE 'left%' THEN model_a ELSE model_b END AS who, count(*) FROM battles WHERE state = 'failed' AND \
         (failure LIKE 'left%' OR failure LIKE 'right%') GROUP BY who ORDER BY who",
    )?;
    let failures = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    let mut void = String::new();
    for row in failures {
        let (who, count) = row?;
        void.push_str(&format!("<li>{}: {count}</li>\n", esc(&who)));
    }
    let void = match void.is_empty() {
        true => String::new(),
        false => format!(
            "<p>Battles that were void because this contestant gave no complete answer:</p>\n<ul>{void}</ul>\n"
        ),
    };
    Ok(format!(
        "<section aria-labelledby=\"aside\">\n<h2 id=\"aside\">What is in no rating</h2>\n<dl class=\"facts\">\
         <dt>checks</dt><dd>{checks} votes on pairs of which the better answer was known</dd>\
         <dt>flagged</dt><dd>{flagged} of {voters} voters</dd>\
         <dt>without a vote</dt><dd>{unvoted} battles</dd>\
         <dt>chain</dt><dd>{head} votes, the last with the hash <span class=\"digest\">{}</span></dd></dl>\n{void}</section>\n",
        esc(&hash)
    ))
}
