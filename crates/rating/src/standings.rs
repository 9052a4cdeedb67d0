//! From a table of votes to ratings: components first, then a fit, errors and ranks within each.

use crate::bootstrap::{DRAWN, Resampled, bootstrap};
use crate::change::errors_of_change;
use crate::checks::{Checks, checks};
use crate::components::{Components, components};
use crate::fit::{Design, Fit, NoFit, Row, fit};
use crate::flip::{self, Flip};
use crate::model::Model;
use crate::next_pairs::{NextPair, next_pairs};
use crate::ranks::{self, Limits};
use crate::sandwich::{Ballots, Errors, meat};
use crate::sequential::{Sequential, sequential};
use crate::table::{Cell, Same, by_cluster, cells, crossed, pairs, unclustered, weighted};
use crate::terms::{self, Adjusted, Term};
use crate::votes::Votes;
use stemmata_stats::{Interval, binomial_interval};

/// Points per nat: 400 points are odds of ten to one.
pub const POINTS: f64 = 400.0 / std::f64::consts::LN_10;
/// Most contestants: their covariance takes 200 MB.
const MOST: usize = 5000;
/// Where the mean of a component stands without an anchor.
pub const MEAN: f64 = 1000.0;

/// How to rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The model of a vote.
    pub model: Model,
    /// Whether a vote that both are bad is no vote on strength; otherwise it is a tie.
    pub drop_both_bad: bool,
    /// Whether to fit the advantage of the first seat.
    pub position: bool,
    /// Names of the style terms in the table.
    pub styles: Vec<String>,
    /// λ of the penalty λ/2·Σβ² on the coefficients of position and styles, votes; 0 is none.
    pub ridge: f64,
    /// Contestant whose rating is fixed, and at which value, points.
    pub anchor: Option<(String, f64)>,
    /// Confidence level of intervals and ranks.
    pub level: f64,
    /// Bootstrap samples; 0 makes none.
    pub bootstrap: u32,
    /// How many first places `top` speaks of.
    pub top: u32,
    /// Whether to decide pairs by their direct votes in a way that holds however often one looks.
    pub sequential: bool,
    /// How many pairs to propose for further votes.
    pub next_pairs: u32,
    /// Seed of draws and samples.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            model: Model::BradleyTerry,
            drop_both_bad: false,
            position: false,
            styles: Vec::new(),
            ridge: 0.0,
            anchor: None,
            level: 0.95,
            bootstrap: 0,
            top: 1,
            sequential: false,
            next_pairs: 0,
            seed: 0,
        }
    }
}

/// Why nothing was rated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RateError {
    /// The anchor has no votes.
    #[error("the anchor `{name}` is no contestant")]
    NoAnchor {
        /// As asked for.
        name: String,
    },
    /// More contestants than this can hold a covariance of.
    #[error("{count} contestants; at most {MOST} can be rated together")]
    Contestants {
        /// How many there are.
        count: usize,
    },
    /// Too many votes to draw them one by one.
    #[error("a bootstrap of single votes draws each of them; {votes} are too many")]
    Bootstrap {
        /// How many there are.
        votes: u64,
    },
    /// Weights in a bootstrap of single votes.
    #[error("a bootstrap of weighted votes draws clusters; there is no cluster column")]
    WeightedBootstrap,
    /// More cluster columns than two.
    #[error("votes can be clustered by one column or by two, not by {count}")]
    Clusters {
        /// How many there are.
        count: usize,
    },
}

/// The result.
#[derive(Clone, Debug, PartialEq)]
pub struct Standings {
    /// The model of a vote.
    pub model: Model,
    /// Largest first.
    pub components: Vec<Component>,
    /// By component, then by rating, then by name; a contestant without a rating stands in a component of its own.
    pub contestants: Vec<Standing>,
    /// Votes that entered.
    pub votes: u64,
    /// Pairs of contestants with votes.
    pub pairs: u64,
    /// Values of each cluster column with votes.
    pub clusters: Vec<u64>,
    /// Pairs decided by their direct votes, where that was asked for.
    pub sequential: Option<Sequential>,
}

/// Contestants between which there is a scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// How many contestants.
    pub contestants: u32,
    /// Votes among them, those left out for being "both bad" not counted.
    pub votes: u64,
    /// Whether none of them lost to or tied with anybody outside, and some won there.
    pub undefeated: bool,
    /// Whether none of them won against or tied with anybody outside, and some lost there.
    pub winless: bool,
    /// The fit, or why there is none; nothing for a contestant alone.
    pub scale: Option<Result<Scale, NoFit>>,
}

/// A common scale and how it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// ln of the likelihood.
    pub log_likelihood: f64,
    /// ν of Davidson, η of Rao and Kupper.
    pub tie: Option<f64>,
    /// Parameters that were fitted: strengths up to a shift, and the tie.
    pub parameters: u32,
    /// Newton steps.
    pub steps: u32,
    /// Largest element of the gradient at the end, votes.
    pub gradient: f64,
    /// Independent units behind the errors: votes, or the fewest clusters of a column.
    pub units: u64,
    /// How many standard errors are enough.
    pub limits: Limits,
    /// Pairs whose order is certain, and all pairs.
    pub decided: (u64, u64),
    /// How well the model describes single pairs.
    pub checks: Checks,
    /// Votes without which another would be first; nothing where none were found, or for more than 600 contestants.
    pub flip: Option<Flip>,
    /// Bootstrap, where it was asked for.
    pub resampled: Option<Resampled>,
    /// Terms beside the strengths, where they were asked for.
    pub terms: Option<Result<Vec<Term>, NoFit>>,
    /// ν or η of the fit with terms.
    pub adjusted_tie: Option<f64>,
    /// Pairs that further votes should be asked on, the most useful first; where that was asked for, and up to 300 contestants.
    pub next_pairs: Vec<NextPair>,
}

/// One contestant.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Number of its component.
    pub component: u32,
    /// Its numbers; nothing where the votes allow none.
    pub rating: Option<Rating>,
    /// Votes it took part in.
    pub votes: u64,
    /// Votes it won.
    pub wins: u64,
    /// Votes it lost.
    pub losses: u64,
    /// Ties.
    pub ties: u64,
    /// Votes that it and the other one were bad.
    pub both_bad: u64,
    /// Clopper-Pearson interval of the share of votes that both were bad; votes are taken as independent.
    pub both_bad_rate: Interval,
}

/// What the votes say of one contestant, in points.
#[derive(Clone, Debug, PartialEq)]
pub struct Rating {
    /// 400 points are odds of ten to one.
    pub value: f64,
    /// Of the difference to the mean of the component; an anchor shifts all values and has no error of its own. Infinite, as the intervals are, where
    /// all votes are of one cluster.
    pub standard_error: f64,
    /// Interval for this contestant alone.
    pub interval: (f64, f64),
    /// Interval that holds together with those of all others in the component.
    pub simultaneous: (f64, f64),
    /// Lowest and highest rank in the component, together with all others.
    pub rank: (u32, u32),
    /// Share of draws from the distribution of the errors in which it is among the first `top`.
    pub top: f64,
    /// Group of contestants that are not told apart from its first one.
    pub group: u32,
    /// Percentile interval of the bootstrap.
    pub bootstrap: Option<(f64, f64)>,
    /// The rating with the terms in the fit.
    pub adjusted: Option<Adjusted>,
}

/// Rates all contestants.
///
/// # Errors
/// What was asked for does not fit the votes; too few votes are no error.
pub fn rate(votes: &Votes, options: &Options) -> Result<Standings, RateError> {
    if votes.clusters.len() > 2 {
        return Err(RateError::Clusters { count: votes.clusters.len() });
    }
    if votes.contestants.len() > MOST {
        return Err(RateError::Contestants { count: votes.contestants.len() });
    }
    if options.bootstrap > 0 && votes.clusters.is_empty() && votes.total() > DRAWN {
        return Err(RateError::Bootstrap { votes: votes.total() });
    }
    if options.bootstrap > 0 && votes.clusters.is_empty() && !votes.weight.is_empty() {
        return Err(RateError::WeightedBootstrap);
    }
    let anchor = match &options.anchor {
        None => None,
        Some((name, value)) => {
            let place = votes.contestants.binary_search(name);
            Some((place.map_err(|_| RateError::NoAnchor { name: name.clone() })? as u32, *value))
        }
    };
    let counts = cells(votes);
    let raw = pairs(&counts);
    let mut ways = ways(votes, &counts);
    // Weights change the fit and its errors; counts of votes stay counts.
    let heavy = (!votes.weight.is_empty()).then(|| {
        let cells = weighted(&counts, &ways[0]);
        let pairs = pairs(&cells);
        (cells, pairs)
    });
    let (cells, pairs) = heavy.as_ref().map_or((&counts, &raw), |(cells, pairs)| (cells, pairs));
    let row = |pair: &Cell| Row {
        first: pair.first,
        second: pair.second,
        votes: strength_votes(pair, options.drop_both_bad),
    };
    let edges: Vec<(u32, u32)> = pairs.iter().flat_map(|pair| row(pair).edges()).collect();
    let found = components(votes.contestants.len(), &edges);
    if options.drop_both_bad {
        for way in &mut ways {
            way.retain(|same| same.outcome != crate::votes::Outcome::BothBad);
        }
    }
    let input = Input { votes, options, cells, pairs, raw: &raw, ways: &ways, anchor };
    let mut ratings: Vec<Option<Rating>> = vec![None; votes.contestants.len()];
    let mut out = Vec::with_capacity(found.members.len());
    for (number, members) in found.members.iter().enumerate() {
        out.push(input.component(number, members, &found, &mut ratings));
    }
    let mut contestants = tallies(votes, &raw, &found, options.level);
    for (standing, rating) in contestants.iter_mut().zip(ratings) {
        standing.rating = rating;
    }
    let key = |s: &Standing| s.rating.as_ref().map_or(f64::INFINITY, |r| -r.value);
    contestants.sort_by(|a, b| {
        a.component.cmp(&b.component).then(key(a).total_cmp(&key(b))).then(a.name.cmp(&b.name))
    });
    let clusters = votes.clusters.iter().map(|c| c.iter().max().map_or(0, |m| u64::from(*m) + 1)).collect();
    Ok(Standings {
        model: options.model,
        components: out,
        contestants,
        votes: votes.total(),
        pairs: raw.len() as u64,
        clusters,
        sequential: options.sequential.then(|| {
            let clustered = ways.first().filter(|_| !votes.clusters.is_empty());
            let alpha = 1.0 - options.level;
            sequential(&votes.contestants, &raw, clustered.map(Vec::as_slice), alpha)
        }),
    })
}

/// Wins, losses and ties of the first in a cell.
pub(crate) fn strength_votes(cell: &Cell, drop_both_bad: bool) -> (f64, f64, f64) {
    let [win, loss, tie, bad] = cell.votes;
    (win, loss, if drop_both_bad { tie } else { tie + bad })
}

/// The ways in which votes are clustered: each by itself, one column, or two and their crossing.
fn ways(votes: &Votes, cells: &[Cell]) -> Vec<Vec<Same>> {
    match votes.clusters.as_slice() {
        [] => vec![unclustered(votes, cells)],
        [one] => vec![by_cluster(votes, one)],
        [one, two, ..] => {
            vec![by_cluster(votes, one), by_cluster(votes, two), by_cluster(votes, &crossed(one, two))]
        }
    }
}

fn tallies(votes: &Votes, pairs: &[Cell], found: &Components, level: f64) -> Vec<Standing> {
    let mut sums = vec![[0_u64; 4]; votes.contestants.len()];
    for pair in pairs {
        let [win, loss, tie, bad] = pair.votes.map(|x| x as u64);
        let both = [(pair.first, [win, loss, tie, bad]), (pair.second, [loss, win, tie, bad])];
        for (who, counts) in both {
            sums[who as usize].iter_mut().zip(counts).for_each(|(sum, more)| *sum += more);
        }
    }
    let each = votes.contestants.iter().zip(sums).enumerate();
    each.map(|(i, (name, [wins, losses, ties, both_bad]))| {
        let all = wins + losses + ties + both_bad;
        Standing {
            name: name.clone(),
            component: found.of[i],
            rating: None,
            votes: all,
            wins,
            losses,
            ties,
            both_bad,
            both_bad_rate: binomial_interval(both_bad, all, level),
        }
    })
    .collect()
}

struct Input<'a> {
    votes: &'a Votes,
    options: &'a Options,
    cells: &'a [Cell],
    pairs: &'a [Cell],
    /// The same without weights.
    raw: &'a [Cell],
    ways: &'a [Vec<Same>],
    anchor: Option<(u32, f64)>,
}

impl Input<'_> {
    fn component(
        &self,
        number: usize,
        members: &[u32],
        found: &Components,
        ratings: &mut [Option<Rating>],
    ) -> Component {
        let inside = |who: u32| found.of[who as usize] as usize == number;
        let (mut won, mut lost, mut votes) = (false, false, 0.0);
        for pair in self.raw {
            let (win, loss, tie) = strength_votes(pair, self.options.drop_both_bad);
            match (inside(pair.first), inside(pair.second)) {
                (true, true) => votes += win + loss + tie,
                (true, false) => (won, lost) = (won | (win > 0.0), lost | (loss > 0.0)),
                (false, true) => (won, lost) = (won | (loss > 0.0), lost | (win > 0.0)),
                (false, false) => {}
            }
        }
        let scale = (members.len() > 1).then(|| self.scale(members, found, number, ratings));
        Component {
            contestants: members.len() as u32,
            votes: votes as u64,
            undefeated: won && !lost,
            winless: lost && !won,
            scale,
        }
    }

    fn scale(
        &self,
        members: &[u32],
        found: &Components,
        number: usize,
        ratings: &mut [Option<Rating>],
    ) -> Result<Scale, NoFit> {
        let options = self.options;
        let mut local = vec![u32::MAX; self.votes.contestants.len()];
        for (place, member) in members.iter().enumerate() {
            local[*member as usize] = place as u32;
        }
        let design = Design {
            contestants: members.len(),
            rows: rows(self.pairs, &local, options.drop_both_bad),
            terms: 0,
            values: Vec::new(),
            ridge: 0.0,
        };
        let fitted = fit(&design, options.model, None)?;
        let none = |_: &Same, _: &mut Vec<f64>| {};
        let ballots: Vec<Ballots<'_>> =
            self.ways.iter().map(|same| self.ballots(same, &local, &none)).collect();
        let meats: Vec<_> = ballots.iter().map(|ballots| meat(&fitted, ballots)).collect();
        let errors = Errors::new(&fitted, &design, &meats).ok_or(NoFit::Separated)?;
        let ranked = ranks::ranks(&fitted.strengths, &errors, options.level, options.top, options.seed);
        let resampled = (options.bootstrap > 0).then(|| {
            let first = &ballots[0];
            bootstrap(&fitted, &design, first, options.bootstrap, options.level, options.seed)
        });
        let anchor = self.anchor.filter(|(who, _)| found.of[*who as usize] as usize == number);
        let base = |strengths: &[f64]| match anchor {
            Some((who, value)) => value - POINTS * strengths[local[who as usize] as usize],
            None => MEAN,
        };
        let wanted = options.position || !options.styles.is_empty();
        let terms = wanted.then(|| self.adjust(&local, (&fitted, &design), ranked.limits.single));
        let zero = base(&fitted.strengths);
        for (i, member) in members.iter().enumerate() {
            let value = zero + POINTS * fitted.strengths[i];
            let standard_error = POINTS * errors.variance(i).sqrt();
            let around = |limit: f64| (value - limit * standard_error, value + limit * standard_error);
            // All samples of one cluster are that cluster.
            let sampled = resampled.as_ref().filter(|_| errors.is_known()).and_then(|r| r.intervals.get(i));
            ratings[*member as usize] = Some(Rating {
                value,
                standard_error,
                interval: around(ranked.limits.single),
                simultaneous: around(ranked.limits.all),
                rank: ranked.sets[i],
                top: ranked.top[i],
                group: ranked.groups[i],
                bootstrap: sampled.map(|(low, high)| (zero + POINTS * low, zero + POINTS * high)),
                adjusted: terms.as_ref().and_then(|t| t.as_ref().ok()).map(|t| t.rating(i, &base)),
            });
        }
        let all = (members.len() * (members.len() - 1) / 2) as u64;
        let name = |place: u32| self.votes.contestants[members[place as usize] as usize].clone();
        let heavy = !self.votes.weight.is_empty();
        let counted = heavy.then(|| rows(self.raw, &local, options.drop_both_bad));
        let mut checks = checks(&fitted, counted.as_deref().unwrap_or(&design.rows));
        checks.names = checks.listed.iter().map(|cycle| cycle.map(name)).collect();
        // Votes to be removed are counted, so weights leave nothing to count.
        let small = members.len() <= flip::MOST && !heavy;
        let flip = small.then(|| flip::flip(&fitted, &design)).flatten();
        let flip = flip.map(|flip| Flip { names: [name(flip.first), name(flip.rival)], ..flip });
        let mut proposed =
            next_pairs(&fitted, &design, &errors, ranked.limits.pairs, options.next_pairs as usize);
        for p in &mut proposed {
            p.pair = [name(p.places.0 as u32), name(p.places.1 as u32)];
        }
        Ok(Scale {
            next_pairs: proposed,
            log_likelihood: fitted.log_likelihood,
            tie: fitted.tie.map(f64::exp),
            parameters: (fitted.parameters() - 1) as u32,
            steps: fitted.steps,
            gradient: fitted.gradient,
            units: errors.clusters,
            limits: ranked.limits,
            decided: (ranked.decided, all),
            checks,
            flip,
            resampled,
            adjusted_tie: terms.as_ref().and_then(|terms| terms.as_ref().ok()?.tie),
            terms: terms.map(|terms| terms.map(|terms| terms.list)),
        })
    }

    fn ballots<'b>(
        &self,
        same: &'b [Same],
        local: &'b [u32],
        values: &'b dyn Fn(&Same, &mut Vec<f64>),
    ) -> Ballots<'b> {
        Ballots { same, independent: self.votes.clusters.is_empty(), local, values }
    }

    fn adjust(
        &self,
        local: &[u32],
        (plain, raw): (&Fit, &Design),
        limit: f64,
    ) -> Result<terms::WithTerms, NoFit> {
        let scales = terms::scales(self.votes, &self.ways[0]);
        let position = self.options.position;
        let values = |same: &Same, out: &mut Vec<f64>| {
            if position {
                out.push(1.0);
            }
            for (column, (mean, spread)) in self.votes.styles.iter().zip(&scales) {
                out.push((column[same.row as usize] - mean) / spread);
            }
        };
        let design = if self.options.styles.is_empty() {
            let rows = rows(self.cells, local, self.options.drop_both_bad);
            let values = vec![1.0; rows.len()];
            Design { contestants: plain.strengths.len(), rows, terms: 1, values, ridge: self.options.ridge }
        } else {
            let of_votes = terms::design(&self.ways[0], local, plain.strengths.len(), &values);
            Design { ridge: self.options.ridge, ..of_votes }
        };
        let fitted = fit(&design, self.options.model, None)?;
        let ballots: Vec<_> = self.ways.iter().map(|same| self.ballots(same, local, &values)).collect();
        let meats: Vec<_> = ballots.iter().map(|ballots| meat(&fitted, ballots)).collect();
        let errors = Errors::new(&fitted, &design, &meats).ok_or(NoFit::Separated)?;
        let kept = terms::kept(&fitted, &design).ok_or(NoFit::Separated)?;
        let changes = match errors.is_known() {
            true => errors_of_change((&fitted, &design), (plain, raw), &ballots),
            false => None,
        };
        Ok(terms::WithTerms::new(self.options, plain, (fitted, kept), &errors, &scales, limit, changes))
    }
}

/// The votes among the contestants that `local` numbers.
fn rows(cells: &[Cell], local: &[u32], drop_both_bad: bool) -> Vec<Row> {
    let each = cells.iter().filter_map(|cell| {
        let (first, second) = (local[cell.first as usize], local[cell.second as usize]);
        let votes = strength_votes(cell, drop_both_bad);
        let counted = votes.0 + votes.1 + votes.2 > 0.0;
        (first != u32::MAX && second != u32::MAX && counted).then_some(Row { first, second, votes })
    });
    each.collect()
}

impl Standings {
    /// Contestants with a rating in component `number`, the best first.
    pub fn rated(&self, number: u32) -> impl Iterator<Item = &Standing> {
        self.contestants.iter().filter(move |c| c.component == number && c.rating.is_some())
    }
}
