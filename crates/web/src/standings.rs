//! The page of standings: ratings, who met whom, votes over time, what was left aside. Made anew when votes have come, not on every request.

use crate::config::Medium;
use crate::export::flagged;
use crate::pages;
use crate::store::{self, Cell, Database, Sql, StoreError, first};
use crate::{matrix, timeline};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stemmata_audit::{RateSettings, Rated, Rating, RatingOptions, VoteBytes, VoteInput, Wanted};
use stemmata_report::{Context, escaped as esc};
use tokio::sync::Mutex;

/// How long a page is shown before votes are looked at again.
const FRESH: Duration = Duration::from_secs(10);

/// Makes the pages, one for each medium, and keeps them for a while.
pub(crate) struct Board {
    database: Database,
    kept: Mutex<[Option<Made>; 3]>,
}

/// A page and when it was made.
type Made = (Instant, Arc<String>);

impl Board {
    pub(crate) fn new(database: Database) -> Board {
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

fn make(database: &Database, medium: Medium) -> Result<String, String> {
    let mut sql = store::open_to_read(database).map_err(|error| error.to_string())?;
    read(&mut *sql, medium).map_err(|error| error.to_string())?.page()
}

/// What the database says, of one moment.
struct Seen {
    links: String,
    votes: Vec<Cast>,
    flagged: BTreeSet<String>,
    aside: String,
}

fn read(sql: &mut dyn Sql, medium: Medium) -> Result<Seen, StoreError> {
    sql.begin_to_read()?;
    let flagged = flagged(sql)?;
    Ok(Seen {
        links: links(sql, medium)?,
        votes: votes(sql, medium)?,
        aside: aside(sql, flagged.len())?,
        flagged,
    })
}

impl Seen {
    fn page(self) -> Result<String, String> {
        let mut body = self.links;
        if self.votes.is_empty() {
            body.push_str("<h1>Standings</h1>\n<p class=\"lead\">No votes have been counted yet.</p>\n");
        } else {
            let kept: Vec<&Cast> =
                self.votes.iter().filter(|vote| !self.flagged.contains(&vote.voter)).collect();
            let all: Vec<&Cast> = self.votes.iter().collect();
            body.push_str(&of_votes(&all, &kept)?);
        }
        body.push_str(&self.aside);
        Ok(pages::page("Standings", "", &body))
    }
}

/// Links to the pages of all media that have votes, where there are several.
fn links(sql: &mut dyn Sql, shown: Medium) -> Result<String, StoreError> {
    let query = "SELECT DISTINCT b.medium FROM votes v JOIN battles b ON b.id = v.battle WHERE b.gold = ''";
    let mut there = Vec::new();
    sql.rows(query, &[], &mut |row| {
        there.push(row[0].text().to_owned());
        Ok(())
    })?;
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

fn votes(sql: &mut dyn Sql, medium: Medium) -> Result<Vec<Cast>, StoreError> {
    let query = "SELECT b.model_a, b.model_b, v.winner, v.voter, v.cast_at FROM votes v JOIN battles b ON b.id = v.battle WHERE b.medium \
                 = ?1 AND b.gold = '' ORDER BY v.seq";
    let mut out = Vec::new();
    sql.rows(query, &[medium.name().into()], &mut |row| {
        let text = |place: usize| row[place].text().to_owned();
        out.push(Cast {
            model_a: text(0),
            model_b: text(1),
            winner: text(2),
            voter: text(3),
            at: row[4].whole(),
        });
        Ok(())
    })?;
    Ok(out)
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
    let input = VoteInput { name: "votes".to_owned(), bytes: VoteBytes::Stream(Box::new(csv.as_bytes())) };
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
fn aside(sql: &mut dyn Sql, flagged: usize) -> Result<String, StoreError> {
    let mut number =
        |query: &str| Ok::<_, StoreError>(first(sql, query, &[])?.map_or(0, |row| row[0].whole()));
    let checks = number("SELECT count(*) FROM votes v JOIN battles b ON b.id = v.battle WHERE b.gold <> ''")?;
    let voters = number("SELECT count(DISTINCT voter) FROM votes")?;
    let unvoted = number(
        "SELECT count(*) FROM battles b WHERE b.state = 'ready' AND NOT EXISTS (SELECT 1 FROM votes v WHERE v.battle = b.id)",
    )?;
    let last = first(sql, "SELECT seq, hash FROM votes ORDER BY seq DESC LIMIT 1", &[])?;
    let (head, hash) = match last.as_deref() {
        Some([seq, hash]) => (seq.whole(), hash.text().to_owned()),
        _ => (0, crate::chain::START.to_owned()),
    };
    let query = "SELECT CASE WHEN failure LIKE 'left%' THEN model_a ELSE model_b END AS who, count(*) FROM battles WHERE state = 'failed' \
                 AND (failure LIKE 'left%' OR failure LIKE 'right%') GROUP BY who ORDER BY who";
    let mut void = String::new();
    sql.rows(query, &[], &mut |row: &[Cell]| {
        void.push_str(&format!("<li>{}: {}</li>\n", esc(row[0].text()), row[1].whole()));
        Ok(())
    })?;
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
