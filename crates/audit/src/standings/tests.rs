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

#[test]
fn a_sample_is_drawn_and_only_what_was_drawn_is_counted() {
    // 60 declared members in two strata and 40 undeclared ones; by weights every third of the declared ones is right.
    let mut registry = "model,base_model,stratum\nroot,,\n".to_owned();
    for i in 0..60 {
        registry.push_str(&format!("d{i:02},root,{}\n", if i < 20 { "small" } else { "large" }));
    }
    for i in 0..40 {
        registry.push_str(&format!("u{i:02},,large\n"));
    }
    let settings = StandingsSettings { families: vec!["root".to_owned()], ..StandingsSettings::default() };
    let table = |text: &str, name: &str, kind| TableInput {
        kind,
        name: name.to_owned(),
        date: Date::parse("2026-01-31"),
        bytes: Box::new(std::io::Cursor::new(text.to_owned().into_bytes())),
    };
    let draw = |text: &str, seed: u64| {
        let mut settings = settings.clone();
        settings.ability.seed = seed;
        draw_sample(vec![table(text, "registry", TableKind::Models)], &settings, 12).unwrap()
    };
    let drawn = draw(&registry, 5);
    let sizes: Vec<(&str, u64, u64)> =
        [0, 12, 24].map(|i| &drawn[i]).map(|d| (d.stratum.as_str(), d.members, d.drawn)).to_vec();
    assert_eq!(
        sizes,
        [("declared, large", 40, 12), ("declared, small", 20, 12), ("undeclared, large", 40, 12)]
    );
    assert_eq!(drawn.len(), 36);
    // The order of rows leaves no trace; another seed draws others.
    let mut lines: Vec<&str> = registry.lines().skip(1).collect();
    lines.reverse();
    assert_eq!(draw(&format!("model,base_model,stratum\n{}\n", lines.join("\n")), 5), drawn);
    assert_ne!(draw(&registry, 6), drawn);

    let csv = DrawnModel::table(&drawn, 5);
    assert!(csv.starts_with("# drawn without replacement within each stratum, seed 5\nfamily,model,stratum,members,drawn,inclusion\n"));
    assert!(csv.contains(",\"declared, small\",20,12,0.6\n"), "{csv}");
    let compared = |model: &str| {
        let right = model.starts_with('d') && model[1..].parse::<u32>().unwrap() % 3 == 0;
        report(model, "root", if right { "identical" } else { "no-dependence-found" })
    };
    let survey = |csv: &str, registry: &str, reports: &[String]| {
        let mut inputs =
            vec![table(registry, "registry", TableKind::Models), table(csv, "drawn.csv", TableKind::Drawn)];
        inputs.extend(reports.iter().map(|text| table(text, "report", TableKind::Report)));
        standings(inputs, &settings)
    };
    let all: Vec<String> = drawn.iter().map(|d| compared(&d.model)).collect();
    // A hit that somebody chose to compare, and that was not drawn, counts for nothing.
    let chosen = (0..60)
        .map(|i| format!("d{i:02}"))
        .find(|m| m[1..].parse::<u32>().unwrap() % 3 == 0 && drawn.iter().all(|d| d.model != *m));
    let with_chosen = [all.clone(), vec![compared(&chosen.unwrap())]].concat();
    let found = survey(&csv, &registry, &with_chosen).unwrap();
    let family = &found.families[0];
    let expected: f64 = ["large", "small"]
        .iter()
        .map(|stratum| {
            let own: Vec<_> = drawn.iter().filter(|d| d.stratum == format!("declared, {stratum}")).collect();
            let hits = own.iter().filter(|d| d.model[1..].parse::<u32>().unwrap() % 3 == 0).count();
            own[0].members as f64 * hits as f64 / own.len() as f64
        })
        .sum();
    let total = family.corrected.as_ref().unwrap();
    assert!((total.total - expected).abs() < 1e-9, "{} {expected}", total.total);
    assert!(total.interval.0 <= 20.0 && total.interval.1 >= 20.0, "{:?}", total.interval);
    assert_eq!(family.strata.iter().map(|s| (s.drawn, s.sampled)).collect::<Vec<_>>(), [(Some(12), 12); 3]);
    assert!(
        codes(&found).contains(&"comparisons-not-drawn") && !codes(&found).contains(&"sample-incomplete")
    );
    let part = survey(&csv, &registry, &all[..30]).unwrap();
    assert!(codes(&part).contains(&"sample-incomplete"));
    // The chances are of the registry as it was.
    let grown = format!("{registry}late,root,large\n");
    let error = survey(&csv, &grown, &all).unwrap_err().to_string();
    assert!(error.contains("drawn.csv") && error.contains("had 40 members and has 41 now"), "{error}");
    let new = format!("{registry}late,root,new\n");
    assert!(survey(&csv, &new, &all).unwrap_err().to_string().contains("has 1 members, and none of them"));
    let twice = format!("{csv}{}\n", csv.lines().nth(2).unwrap());
    assert!(survey(&twice, &registry, &all).unwrap_err().to_string().contains("drawn twice"));
}
