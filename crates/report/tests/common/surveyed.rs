//! Standings of made-up tables.

use stemmata_audit::{Date, Selection, StandingsSettings, Surveyed, TableInput, TableKind, standings};

/// Scores, ratings, counts, a registry and comparisons of five models, with hostile and wide names.
pub fn surveyed() -> Surveyed {
    let mut scores = "model,task,harness,score,items\n".to_owned();
    for (m, model) in ["north", "south", "<b>east</b>", "西", "=cmd()"].iter().enumerate() {
        for (t, task) in ["maths", "law", "code", "<i>art</i>"].iter().enumerate() {
            let score = 0.15 + 0.14 * m as f64 + 0.03 * ((m * 5 + t * 3) % 4) as f64;
            scores.push_str(&format!("{model},{task},h{},{score:.2},300\n", t % 2));
        }
    }
    scores.push_str("lonely,chess,h1,0.5,10\n");
    let models = "model,organisation,licence,base_model,released\nnorth,Acme,MIT,,2024-02-01\n\
        south,Acme,Mystery,north,2024-08-01\n<b>east</b>,<i>Bolt</i>,Apache 2.0,north,2025-01-01\n\
        西,<i>Bolt</i>,Proprietary,,2025-02-01\n=cmd(),Cero,,,\n";
    let regions = "organisation,country\nAcme,us\n<i>Bolt</i>,fr\n";
    let ratings =
        "model,rating,lower,upper\nnorth,1100,1090,1110\n<b>east</b>,1150,1141,1159\n西,1200,1188,1212\n";
    let counts = "model,date,likes,downloads,trending\nnorth,2025-01-01,5,100,\nnorth,2025-06-01,9,80,1.5\n西,2025-06-01,3,,\n";
    let report = |candidate: &str, kind: &str| {
        format!(
            r#"{{"schema_version":"1.0.0","inputs":[{{"role":"candidate","ref":"{candidate}"}},{{"role":"reference","ref":"north"}}],"verdict":{{"kind":"{kind}","tier":"exact","direction":"unknown"}}}}"#
        )
    };
    let reports =
        [report("south", "related"), report("西", "related"), report("=cmd()", "no-dependence-found")];
    let mut tables = vec![
        (TableKind::Benchmarks, scores.as_str(), "scores.csv"),
        (TableKind::Ratings, ratings, "ratings.csv"),
        (TableKind::Snapshot, counts, "counts.csv"),
        (TableKind::Models, models, "models.csv"),
        (TableKind::Regions, regions, "<script>.csv"),
    ];
    tables.extend(reports.iter().map(|text| (TableKind::Report, text.as_str(), "report.json")));
    let best = ["open", "openness=api"].map(|set| Selection::parse(set).unwrap()).to_vec();
    let settings = StandingsSettings { best, ..StandingsSettings::default() };
    of(&tables, &settings)
}

/// A registry without figures, and scores without a scale.
pub fn listed() -> Surveyed {
    let tables = [
        (TableKind::Benchmarks, "model,task,score,items\na,t,0.5,10\nb,t,0.6,10\nc,t,0.7,10\n", "scores.csv"),
        (TableKind::Models, "model,organisation\na,x\nb,\n", "models.csv"),
    ];
    of(&tables, &StandingsSettings::default())
}

fn of(tables: &[(TableKind, &str, &str)], settings: &StandingsSettings) -> Surveyed {
    let input = |(kind, text, name): &(TableKind, &'_ str, &str)| TableInput {
        kind: *kind,
        name: (*name).to_owned(),
        date: Date::parse("2026-01-31"),
        bytes: Box::new(std::io::Cursor::new(text.as_bytes().to_vec())),
    };
    standings(tables.iter().map(input).collect(), settings).unwrap()
}
