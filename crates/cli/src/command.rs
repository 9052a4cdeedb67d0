//! The command that gives a result again: what was asked, without where and how to show it or how fast to run.

use crate::arguments::{Arguments, CONTROLS, Search, Verb};
use stemmata_audit::{Budget, DecisionRule};

/// Written from what was understood, not from what was typed, so that every spelling gives the same words.
pub(crate) fn line(arguments: &Arguments) -> String {
    let mut options = Vec::new();
    let mut option = |given: bool, text: String| {
        if given {
            options.push(text);
        }
    };
    let (verb, operands) = match &arguments.verb {
        Verb::Compare { candidate, reference, alpha, search, controls, relatives, seed, exit_code } => {
            option(*alpha != DecisionRule::default().alpha, format!("--alpha={alpha:?}"));
            option(*search == Search::Always, "--search=always".to_owned());
            option(*search == Search::Never, "--search=never".to_owned());
            let made = controls.unwrap_or(0);
            let count = if made == CONTROLS { String::new() } else { format!("={made}") };
            option(made > 0, format!("--controls{count}"));
            relatives.iter().for_each(|model| option(true, format!("--relatives={model}")));
            option(*seed != 0, format!("--seed={seed}"));
            option(*exit_code, "--exit-code".to_owned());
            ("compare", vec![candidate.clone(), reference.clone()])
        }
        Verb::Blame { model, among, alpha } => {
            option(*alpha != DecisionRule::default().alpha, format!("--alpha={alpha:?}"));
            // One flag per reference, so that none is taken for the model.
            among.iter().for_each(|reference| option(true, format!("--among={reference}")));
            ("blame", vec![model.clone()])
        }
        Verb::Inspect { model, values, exit_code } => {
            option(*values, "--values".to_owned());
            if let Some(level) = exit_code {
                option(true, format!("--exit-code={}", level.name()));
            }
            ("inspect", vec![model.clone()])
        }
        Verb::Diff { candidate, reference, stat } => {
            option(*stat, "--stat".to_owned());
            ("diff", vec![candidate.clone(), reference.clone()])
        }
        Verb::Sketch { model, seed } => {
            option(*seed != 0, format!("--seed={seed}"));
            ("sketch", vec![model.clone()])
        }
        Verb::Rate(rate) => {
            let (given, votes) = crate::rate::words(rate);
            given.into_iter().for_each(|text| option(true, text));
            ("rate", votes)
        }
        Verb::Serve(serve) => ("serve", crate::serve::words(serve)),
        Verb::Standings(standings) => {
            crate::standings::words(standings).into_iter().for_each(|text| option(true, text));
            ("standings", Vec::new())
        }
        Verb::Explain { code } => ("explain", vec![code.clone()]),
        Verb::Completions { shell } => ("completions", vec![shell.to_string()]),
        Verb::Man => ("man", Vec::new()),
    };
    match arguments.common.budget {
        Some(Budget::Full) => option(true, "--budget=full".to_owned()),
        Some(Budget::Bytes(bytes)) => option(true, format!("--budget={bytes}")),
        _ => {}
    }
    option(arguments.common.digests, "--digests".to_owned());
    option(arguments.common.offline, "--offline".to_owned());
    // What starts with a hyphen would be read as an option.
    option(operands.iter().any(|word| word.starts_with('-')), "--".to_owned());
    let words = [vec!["stemmata".to_owned(), verb.to_owned()], options, operands].concat();
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Quoted for a shell where that is needed.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=+,%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn of(words: &str) -> String {
        let words = words.split_whitespace();
        line(&Arguments::try_parse_from(std::iter::once("stemmata").chain(words)).unwrap())
    }

    #[test]
    fn where_and_how_to_show_it_is_left_out_in_every_spelling() {
        for spelling in [
            "compare a b",
            "compare a b -o FILE",
            "compare a b -oFILE",
            "compare a b -o=FILE",
            "compare -qo FILE a b",
            "compare -qoFILE a b",
            "-qqo=FILE compare a b",
            "--output FILE compare a b",
            "compare a --output=FILE b",
            "compare a --format html --color=never b",
            "compare --json -q --quiet a b --timing --mmap --no-cache --threads=3",
            "compare --threads 3 --color always --alpha 1e-3 -- a b",
        ] {
            assert_eq!(of(spelling), "stemmata compare a b", "{spelling}");
        }
    }

    #[test]
    fn what_changes_the_result_stays() {
        assert_eq!(
            of("compare --exit-code a b --alpha 1e-5"),
            "stemmata compare --alpha=1e-5 --exit-code a b"
        );
        assert_eq!(of("compare --controls a b --seed 3"), "stemmata compare --controls --seed=3 a b");
        assert_eq!(of("compare a --controls=20 b"), "stemmata compare --controls=20 a b");
        assert_eq!(of("sketch --seed 7 -o out a --digests"), "stemmata sketch --seed=7 --digests a");
        assert_eq!(of("diff --stat a -- -o"), "stemmata diff --stat -- a -o");
        assert_eq!(of("inspect it's*"), r"stemmata inspect 'it'\''s*'");
    }

    #[test]
    fn the_command_is_read_as_what_it_was_made_from() {
        for words in [
            "compare --alpha 0.05 a b",
            "compare --controls=5 a b",
            "compare a b --seed 9 --controls=1",
            "compare a b --relatives c d --alpha 0.01",
            "diff --offline --stat -- -a b",
            "sketch --seed 18446744073709551615 a",
            "blame a --among b c --alpha 0.01",
            "rate v.csv --anchor a=b=7 --cluster u --cluster p --style s=x,y --style t=z --position --seed 3",
            "rate v w --model davidson --both-bad leave-out --level 0.9 --top 3 --bootstrap 5 --sequential",
            "standings --benchmarks a@2025-01-02 b --ratings c@d --best open --best open,country=us --anchor x=1 --anchor y=2",
            "standings --models m --regions r --aliases l --drawn d --snapshot s --reports p q --family f --category c --harness h --seed 4",
            "rate v --by lang --weight w --clones a.json --clones b.json --next-pairs 4 --legacy-elo",
            "rate v --window tstamp=quarter --legacy-elo=7",
            "compare a b --budget 50MB",
            "inspect a --budget full",
        ] {
            assert_eq!(of(of(words).strip_prefix("stemmata ").unwrap()), of(words));
        }
    }
}
