use super::*;
use stemmata_rating::tables::Openness;

fn run(inputs: &[(TableKind, &str)], settings: &StandingsSettings) -> Result<Surveyed, AuditError> {
    let inputs = inputs
        .iter()
        .map(|(kind, text)| TableInput {
            kind: *kind,
            name: format!("{}.csv", kind.name()),
            date: Date::parse("2026-01-31"),
            bytes: Box::new(text.as_bytes()),
        })
        .collect();
    standings(inputs, settings)
}

const MODELS: &str = "model,organisation,licence,base_model,released,stratum\n\
    a-base,Acme,MIT,,2024-02-01,\n\
    a-chat,Acme,MIT,a-base,2024-05-01,\n\
    b-tune,Bolt,Apache 2.0,a-chat,2025-01-01,\n\
    b-quiet,Bolt,Apache 2.0,,2025-02-01,\n\
    c-own,Cero,Proprietary,,2025-03-01,\n\
    c-odd,Cero,Mystery,,,\n";
const REGIONS: &str = "organisation,country\nAcme,us\nBolt,fr\nCero,us\n";
const RATINGS: &str =
    "model,rating,lower,upper\na-chat,1200,1195,1205\nb-tune,1230,1224,1236\nc-own,1300,1290,1310\nd,1,0,2\n";

fn report(candidate: &str, reference: &str, kind: &str) -> String {
    format!(
        r#"{{"schema_version":"1.0.0","inputs":[{{"role":"candidate","ref":"{candidate}"}},{{"role":"reference","ref":"{reference}"}}],"verdict":{{"kind":"{kind}","tier":"exact","direction":"unknown"}}}}"#
    )
}

fn codes(surveyed: &Surveyed) -> Vec<&'static str> {
    surveyed.findings.iter().map(|f| f.code).collect()
}

#[test]
fn views_contrasts_and_time() {
    let best = ["open", "open,country=us"].map(|t| Selection::parse(t).unwrap()).to_vec();
    let settings = StandingsSettings { best, ..StandingsSettings::default() };
    let inputs = [(TableKind::Models, MODELS), (TableKind::Regions, REGIONS), (TableKind::Ratings, RATINGS)];
    let found = run(&inputs, &settings).unwrap();
    let best = &found.contrasts[0];
    assert_eq!((best.first.1.as_str(), best.second.1.as_str(), best.difference), ("b-tune", "a-chat", 30.0));
    assert!((best.interval.1 - 30.0 - 6.0_f64.hypot(5.0)).abs() < 1e-9);
    let country = &found.views[0];
    let rows: Vec<_> = country.rows.iter().map(|r| (r.name.as_str(), r.models)).collect();
    assert_eq!(rows, [("us", 4), ("fr", 2)]);
    assert_eq!(found.models[country.rows[0].best_rating.unwrap()].name, "c-own");
    assert_eq!(found.models.iter().find(|m| m.name == "c-odd").unwrap().openness, None);
    assert_eq!(found.models.iter().find(|m| m.name == "c-own").unwrap().openness, Some(Openness::Api));
    let last = found.releases.last().unwrap();
    assert_eq!((last.quarter.as_str(), last.country.as_str(), last.so_far), ("2025-Q1", "us", 3));
    assert_eq!(codes(&found), ["licence-unknown", "models-unlisted"]);
    let nobody = vec![Selection::parse("open").unwrap(), Selection::parse("country=jp").unwrap()];
    let refused = run(&inputs, &StandingsSettings { best: nobody, ..StandingsSettings::default() });
    assert!(matches!(refused, Err(AuditError::NobodyRated { .. })));
    assert!(Selection::parse("open,").is_err() && Selection::parse("openness=ajar").is_err());
}

#[test]
fn declared_and_verified_lineage_are_counted_apart() {
    let reports = [
        report("hf:b-tune@main", "a-base", "related"),
        report("b-quiet", "a-base", "derived").replace("unknown", "candidate-from-reference"),
        report("c-own", "a-base", "no-dependence-found"),
        report("a-chat", "a-base", "inconclusive"),
        report("stranger", "a-base", "related"),
    ];
    let mut inputs = vec![(TableKind::Models, MODELS), (TableKind::Regions, REGIONS)];
    inputs.extend(reports.iter().map(|text| (TableKind::Report, text.as_str())));
    let families = vec!["a-base".to_owned()];
    let found = run(&inputs, &StandingsSettings { families, ..StandingsSettings::default() }).unwrap();
    let family = &found.families[0];
    assert_eq!((family.direct, family.declared), (1, 2));
    let strata: Vec<_> = family
        .strata
        .iter()
        .map(|s| (s.name.as_str(), s.members, s.sampled, s.hits, s.inconclusive))
        .collect();
    assert_eq!(strata, [("declared", 2, 1, 1, 1), ("undeclared", 3, 2, 1, 0)]);
    assert_eq!(family.precision.unwrap().0, 1);
    // 2·1/1 + 3·1/2.
    assert!((family.corrected.as_ref().unwrap().total - 3.5).abs() < 1e-12);
    assert!((family.undeclared.as_ref().unwrap().total - 1.5).abs() < 1e-12);
    let origins = found.origins.as_ref().unwrap();
    let cell = |publisher: &str, root: &str, models| OriginCell {
        publisher: publisher.to_owned(),
        root: root.to_owned(),
        models,
    };
    assert_eq!(origins.declared, [cell("fr", "us", 1), cell("us", "us", 1)]);
    assert_eq!(origins.verified, [cell("fr", "us", 2)]);
    assert_eq!((origins.none_declared, origins.none_found, origins.no_answer), (4, 1, 1));
    assert!(
        codes(&found).contains(&"report-unmatched") && codes(&found).contains(&"comparisons-inconclusive")
    );
    let missing = StandingsSettings { families: vec!["nobody".to_owned()], ..StandingsSettings::default() };
    assert!(matches!(run(&inputs, &missing), Err(AuditError::NoFamily { .. })));
}

#[test]
fn protocols_are_kept_apart_and_mixes_named() {
    let mut text = "model,task,harness,score,items,date\n".to_owned();
    for (m, model) in ["a", "b", "c", "d", "e"].iter().enumerate() {
        for (t, task) in ["maths", "law", "code"].iter().enumerate() {
            let score = 0.3 + 0.1 * m as f64 + 0.02 * ((m * 7 + t * 5) % 4) as f64;
            text.push_str(&format!("{model},{task},h1,{score:.2},400,2025-01-01\n"));
        }
        text.push_str(&format!("{model},law,h2,{:.2},400,2025-01-01\n", 0.5 + 0.08 * m as f64));
    }
    text.push_str("a,law,h1,0.11,400,2024-06-01\n");
    let found = run(&[(TableKind::Benchmarks, &text)], &StandingsSettings::default()).unwrap();
    let group = &found.abilities.as_ref().unwrap().groups[0];
    assert_eq!(group.units, ["code (h1)", "law (h1)", "law (h2)", "maths (h1)"]);
    assert_eq!(codes(&found), ["older-scores", "protocols-mixed", "few-degrees"]);
    assert_eq!(
        found.inputs[0].dates.as_ref().map(|(a, b)| (a.as_str(), b.as_str())),
        Some(("2024-06-01", "2025-01-01"))
    );
    let one = StandingsSettings { harness: Some("h1".to_owned()), ..StandingsSettings::default() };
    let found = run(&[(TableKind::Benchmarks, &text)], &one).unwrap();
    assert_eq!(found.abilities.unwrap().groups[0].units.len(), 3);
    text.push_str("a,law,h1,0.12,400,2025-01-01\n");
    let error = run(&[(TableKind::Benchmarks, &text)], &one).unwrap_err().to_string();
    assert!(error.contains("row 23: a second score of `a` on `law`"), "{error}");
}

#[test]
fn only_the_latest_counts_are_summed_and_all_dates_are_shown() {
    let counts =
        "model,date,likes,downloads\na-chat,2025-01-01,5,100\na-chat,2025-06-01,9,80\nb-tune,2025-06-01,1,\n";
    let inputs = [(TableKind::Models, MODELS), (TableKind::Regions, REGIONS), (TableKind::Snapshot, counts)];
    let found = run(&inputs, &StandingsSettings::default()).unwrap();
    assert_eq!(found.counted_at.as_ref().map(Date::as_str), Some("2025-06-01"));
    let us = found.views[0].rows.iter().find(|r| r.name == "us").unwrap();
    assert_eq!((us.likes, us.downloads), (Some(9), Some(80)));
    assert_eq!(found.snapshots.len(), 3);
}
