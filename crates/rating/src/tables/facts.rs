//! Typed facts from the rows of a table. The column names are those of docs/standings.md.

use super::{Table, TableError, wrong};
use crate::votes::shown;
use std::fmt;

/// Longest name.
const NAME: usize = 1024;

/// A day, a month or a year: `2025-12-11`, `2025-12`, `2025`. Ordered as text, so a month comes before its days.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(String);

impl Date {
    /// The date in a text; a time after the day (`2025-12-11T…`) is cut off.
    pub fn parse(text: &str) -> Option<Date> {
        let day = text.split(['T', ' ']).next().unwrap_or(text);
        let parts: Vec<&str> = day.split('-').collect();
        let number = |text: &str, digits: usize, most: u32| {
            let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u32>().is_ok_and(|n| plain && (1..=most).contains(&n))
        };
        let valid = match parts.as_slice() {
            [year] => number(year, 4, 9999),
            [year, month] => number(year, 4, 9999) && number(month, 2, 12),
            [year, month, day] => number(year, 4, 9999) && number(month, 2, 12) && number(day, 2, 31),
            _ => false,
        };
        (valid && (day.len() == text.len() || day.len() == 10)).then(|| Date(day.to_owned()))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The quarter, `2025-Q4`; the year where no month is known.
    pub fn quarter(&self) -> String {
        let month = self.0.get(5..7).and_then(|m| m.parse::<u32>().ok());
        match month {
            Some(month) => format!("{}-Q{}", &self.0[..4], month.div_ceil(3)),
            None => self.0.clone(),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may be had of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Openness {
    /// Weights under a free licence, and the data that they were trained on.
    Data,
    /// Weights under a free licence.
    Weights,
    /// Weights under a licence with conditions of its own.
    Licence,
    /// Answers through an interface only.
    Api,
}

impl Openness {
    /// All classes, the most open first.
    pub const ALL: [Openness; 4] = [Openness::Data, Openness::Weights, Openness::Licence, Openness::Api];

    /// `data`, `weights`, `licence` or `api`.
    pub fn name(self) -> &'static str {
        match self {
            Openness::Data => "data",
            Openness::Weights => "weights",
            Openness::Licence => "licence",
            Openness::Api => "api",
        }
    }

    /// Whether weights can be had.
    pub fn is_open(self) -> bool {
        self != Openness::Api
    }

    /// The class that a licence's name stands for; only names that are known.
    pub fn of_licence(licence: &str) -> Option<Openness> {
        let name = licence.trim().to_ascii_lowercase().replace([' ', '_'], "-");
        let free = [
            "mit",
            "apache-2.0",
            "apache-2",
            "bsd-3-clause",
            "bsd-2-clause",
            "cc-by-4.0",
            "cc0-1.0",
            "openmdw-1.0",
            "openmdw-1.1",
        ];
        let own = [
            "modified-mit",
            "gemma",
            "gemma-license",
            "llama",
            "llama2",
            "llama3",
            "llama-2",
            "llama-3",
            "llama-4",
            "llama3.1",
            "llama3.2",
            "llama3.3",
            "llama4",
            "llama-2-community",
            "llama-3-community",
            "llama-3.1-community",
            "llama-3.1",
            "llama-3.2",
            "llama-3.2-community",
            "llama-3.3-community",
            "qwen",
            "qwen-research",
            "deepseek",
            "cc-by-nc-4.0",
            "cc-by-nc-sa-4.0",
            "openrail",
            "openrail-m",
            "creativeml-openrail-m",
            "mrl",
            "mistral-research",
            "nexusflow",
            "grok2-community",
        ];
        match name.as_str() {
            "proprietary" => Some(Openness::Api),
            name if free.contains(&name) => Some(Openness::Weights),
            name if own.contains(&name) => Some(Openness::Licence),
            _ => None,
        }
    }
}

/// A score on a benchmark.
#[derive(Clone, Debug, PartialEq)]
pub struct Benchmark {
    /// Its row.
    pub row: u64,
    /// Whose.
    pub model: String,
    /// On what.
    pub task: String,
    /// By which harness or protocol; empty where the table does not say.
    pub harness: String,
    /// Share of the full marks, 0 to 1.
    pub score: f64,
    /// Items that it is the mean of.
    pub items: u64,
    /// When.
    pub date: Option<Date>,
}

/// A published rating with its interval.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedRating {
    /// Its row.
    pub row: u64,
    /// Whose.
    pub model: String,
    /// Points.
    pub rating: f64,
    /// Lower end of its interval.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// When.
    pub date: Option<Date>,
}

/// Counts of a hub at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its row.
    pub row: u64,
    /// Whose.
    pub model: String,
    /// Likes so far: a stock.
    pub likes: Option<u64>,
    /// Downloads of the last thirty days: a flow.
    pub downloads: Option<u64>,
    /// Downloads so far: a stock.
    pub downloads_all_time: Option<u64>,
    /// The hub's own score of what is talked of now.
    pub trending: Option<f64>,
    /// When.
    pub date: Option<Date>,
}

/// What a registry says of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// Its row.
    pub row: u64,
    /// Its name.
    pub model: String,
    /// Who published it.
    pub organisation: Option<String>,
    /// The licence as named.
    pub licence: Option<String>,
    /// What may be had of it, where the registry says so itself.
    pub openness: Option<Openness>,
    /// The model that its card names as its base; a claim.
    pub base: Option<String>,
    /// When it was published.
    pub released: Option<Date>,
    /// Stratum of a sample.
    pub stratum: Option<String>,
}

/// Where an organisation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionFacts {
    /// Its row.
    pub row: u64,
    /// Its name.
    pub organisation: String,
    /// Country or region as named.
    pub country: String,
}

/// Another name of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Its row.
    pub row: u64,
    /// The other name.
    pub name: String,
    /// The name that stands for both.
    pub model: String,
}

const MODEL: &[&str] = &["model_id", "modelId", "model_api_name", "model", "model_name", "contestant"];
const ORGANISATION: &[&str] = &["organisation", "organization", "org", "hf_org"];
const DATE: &[&str] = &["date"];

struct Columns<'t> {
    table: &'t Table,
}

impl<'t> Columns<'t> {
    fn optional(&self, cells: &'t [String], names: &[&str]) -> Option<&'t str> {
        let text = cells[self.table.find(names)?].as_str();
        (!text.is_empty()).then_some(text)
    }

    fn name(&self, row: u64, cells: &'t [String], names: &[&str]) -> Result<&'t str, TableError> {
        let text = cells[self.table.need(names)?].as_str();
        if text.is_empty() {
            return Err(wrong(row, format!("`{}` is empty", names[0])));
        }
        if text.len() > NAME {
            return Err(wrong(row, format!("`{}` is longer than {NAME} bytes", names[0])));
        }
        Ok(text)
    }

    fn number(&self, row: u64, cells: &[String], names: &[&str]) -> Result<f64, TableError> {
        finite(row, names[0], &cells[self.table.need(names)?])
    }

    fn date(&self, row: u64, cells: &'t [String], names: &[&str]) -> Result<Option<Date>, TableError> {
        let Some(text) = self.optional(cells, names) else { return Ok(None) };
        let date = Date::parse(text);
        date.map(Some).ok_or_else(|| wrong(row, format!("`{}` is no date like 2025-12-11", shown(text))))
    }

    fn whole(&self, row: u64, cells: &'t [String], name: &str) -> Result<Option<u64>, TableError> {
        self.optional(cells, &[name]).map(|text| whole(row, name, text)).transpose()
    }
}

fn finite(row: u64, name: &str, text: &str) -> Result<f64, TableError> {
    let number = text.parse::<f64>().ok().filter(|x| x.is_finite());
    number.ok_or_else(|| wrong(row, format!("`{}` in `{name}` is no finite number", shown(text))))
}

fn whole(row: u64, name: &str, text: &str) -> Result<u64, TableError> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse::<u64>().ok().filter(|n| plain && *n <= 1 << 50);
    number.ok_or_else(|| wrong(row, format!("`{}` in `{name}` is no count", shown(text))))
}

fn each<'t, T>(
    table: &'t Table,
    fact: impl Fn(&Columns<'t>, u64, &'t [String]) -> Result<T, TableError>,
) -> Result<Vec<T>, TableError> {
    let columns = Columns { table };
    table.rows.iter().map(|(row, cells)| fact(&columns, *row, cells)).collect()
}

/// Scores: `model`, `task` (or `benchmark`), `score`, `items` (or `n`); may have `harness`, `date` and `scale`, the full marks that
/// scores are divided by.
///
/// # Errors
/// The first row that says what cannot be: a score outside its scale, no number of items.
pub fn benchmarks(table: &Table) -> Result<Vec<Benchmark>, TableError> {
    each(table, |c, row, cells| {
        let scale = match c.optional(cells, &["scale"]) {
            Some(text) => finite(row, "scale", text)?,
            None => 1.0,
        };
        if scale <= 0.0 {
            return Err(wrong(row, "`scale` is not above 0"));
        }
        let score = c.number(row, cells, &["score"])? / scale;
        if !(0.0..=1.0).contains(&score) {
            return Err(wrong(
                row,
                format!("the score is not between 0 and {scale}; `scale` may say what full marks are"),
            ));
        }
        let items = whole(row, "items", &cells[table.need(&["items", "n"])?])?;
        if !(1..=1 << 32).contains(&items) {
            return Err(wrong(row, "`items` is not between 1 and 2^32"));
        }
        Ok(Benchmark {
            row,
            model: c.name(row, cells, MODEL)?.to_owned(),
            task: c.name(row, cells, &["task", "benchmark"])?.to_owned(),
            harness: c.optional(cells, &["harness", "protocol"]).unwrap_or_default().to_owned(),
            score,
            items,
            date: c.date(row, cells, DATE)?,
        })
    })
}

/// Ratings: `model`, `rating` (or `median`), `lower` and `upper` (or `rating_q025`, `rating_q975`; `p2.5`, `p97.5`); may have
/// `category`, of which only `category` is kept where it is given, and `date`.
///
/// # Errors
/// The first row that says what cannot be: a rating outside its interval; or no row of the category.
pub fn ratings(table: &Table, category: Option<&str>) -> Result<Vec<PublishedRating>, TableError> {
    let place = table.find(&["category"]);
    if let (Some(place), None) = (place, category) {
        let mut names: Vec<&str> = table.rows.iter().map(|(_, cells)| cells[place].as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() > 1 {
            let some = names.iter().take(40).map(|n| shown(n)).collect::<Vec<_>>().join(", ");
            return Err(TableError::Shape {
                what: format!("it has ratings of {} categories; choose one of them: {some}", names.len()),
            });
        }
    }
    let mut kept = table.clone();
    if let (Some(place), Some(category)) = (place, category) {
        kept.rows.retain(|(_, cells)| cells[place] == category);
        if kept.rows.is_empty() {
            return Err(TableError::Shape { what: format!("it has no category `{}`", shown(category)) });
        }
    }
    each(&kept, |c, row, cells| {
        let rating = c.number(row, cells, &["rating", "median"])?;
        let lower = c.number(row, cells, &["lower", "rating_q025", "p2.5"])?;
        let upper = c.number(row, cells, &["upper", "rating_q975", "p97.5"])?;
        if !(lower <= rating && rating <= upper) {
            return Err(wrong(row, "the rating does not lie in its interval"));
        }
        let model = c.name(row, cells, MODEL)?.to_owned();
        Ok(PublishedRating { row, model, rating, lower, upper, date: c.date(row, cells, DATE)? })
    })
}

/// Counts: `model`; at least one of `likes`, `downloads` (of thirty days), `downloads_all_time`, `trending`; may have `date`.
///
/// # Errors
/// The first row that says what cannot be.
pub fn snapshots(table: &Table) -> Result<Vec<Snapshot>, TableError> {
    let counts = ["likes", "downloads", "downloads_all_time", "trending"];
    if counts.iter().all(|name| table.find(&[name]).is_none()) {
        table.need(&counts)?;
    }
    each(table, |c, row, cells| {
        Ok(Snapshot {
            row,
            model: c.name(row, cells, MODEL)?.to_owned(),
            likes: c.whole(row, cells, "likes")?,
            downloads: c.whole(row, cells, "downloads")?,
            downloads_all_time: c.whole(row, cells, "downloads_all_time")?,
            trending: c.optional(cells, &["trending"]).map(|t| finite(row, "trending", t)).transpose()?,
            date: c.date(row, cells, DATE)?,
        })
    })
}

/// The registry: `model`; may have `organisation`, `licence`, `openness` (`data`, `weights`, `licence`, `api`), `base_model`,
/// `released`, `stratum`.
///
/// # Errors
/// The first row that says what cannot be.
pub fn models(table: &Table) -> Result<Vec<ModelFacts>, TableError> {
    each(table, |c, row, cells| {
        let openness = match c.optional(cells, &["openness"]) {
            None => None,
            Some(text) => {
                let known = Openness::ALL.into_iter().find(|o| o.name() == text);
                Some(known.ok_or_else(|| {
                    wrong(row, format!("`{}` is no openness: data, weights, licence or api", shown(text)))
                })?)
            }
        };
        let text = |names: &[&str]| c.optional(cells, names).map(str::to_owned);
        Ok(ModelFacts {
            row,
            model: c.name(row, cells, MODEL)?.to_owned(),
            organisation: text(ORGANISATION),
            licence: text(&["licence", "license"]),
            openness,
            base: text(&["base_model"]),
            released: c.date(row, cells, &["released", "actual_release_date", "release_date"])?,
            stratum: text(&["stratum"]),
        })
    })
}

/// Where organisations are: `organisation` and `country` (or `region`).
///
/// # Errors
/// The first row that says what cannot be.
pub fn regions(table: &Table) -> Result<Vec<RegionFacts>, TableError> {
    each(table, |c, row, cells| {
        Ok(RegionFacts {
            row,
            organisation: c.name(row, cells, ORGANISATION)?.to_owned(),
            country: c.name(row, cells, &["country", "region"])?.to_owned(),
        })
    })
}

/// Names that stand for the same model: `name` and `model`.
///
/// # Errors
/// The first row that says what cannot be.
pub fn aliases(table: &Table) -> Result<Vec<Alias>, TableError> {
    each(table, |c, row, cells| {
        let name = c.name(row, cells, &["name", "alias"])?.to_owned();
        Ok(Alias { row, name, model: c.name(row, cells, MODEL)?.to_owned() })
    })
}

/// A member of a registry that was drawn for comparison with a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawnFacts {
    /// Where it stands.
    pub row: u64,
    /// The root.
    pub family: String,
    /// The member.
    pub model: String,
    /// The stratum that it was drawn from.
    pub stratum: String,
    /// Members of the stratum.
    pub members: u64,
    /// How many of them were drawn, each with the chance drawn/members.
    pub drawn: u64,
}

/// A sample as `standings --sample` writes it: `family`, `model`, `stratum`, `members`, `drawn`.
///
/// # Errors
/// The first row that says what cannot be.
pub fn drawn(table: &Table) -> Result<Vec<DrawnFacts>, TableError> {
    each(table, |c, row, cells| {
        let count = |name: &str| {
            let text = c.name(row, cells, &[name])?;
            let number = text.parse::<u64>().ok().filter(|n| (1..=1 << 50).contains(n));
            number.ok_or_else(|| {
                wrong(row, format!("`{}` in column `{name}` is no count from 1 on", shown(text)))
            })
        };
        let (members, drawn) = (count("members")?, count("drawn")?);
        if drawn > members {
            return Err(wrong(row, format!("{drawn} drawn of {members} members")));
        }
        let text = |name: &str| Ok::<_, TableError>(c.name(row, cells, &[name])?.to_owned());
        let (family, stratum) = (text("family")?, text("stratum")?);
        Ok(DrawnFacts { row, family, model: c.name(row, cells, MODEL)?.to_owned(), stratum, members, drawn })
    })
}
