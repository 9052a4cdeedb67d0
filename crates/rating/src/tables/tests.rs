use super::*;

fn table(text: &str) -> Table {
    read(text.as_bytes()).unwrap()
}

#[test]
fn csv_and_json_say_the_same() {
    let csv = table("# a comment\nmodel,task,score,items\n\"a, b\",t,0.5,10\nc,t,1,10\n");
    assert_eq!(csv.rows[0].0, 3);
    let json = table(
        r#"[{"model":"a, b","task":"t","score":0.5,"items":10},{"model":"c","items":10,"task":"t","score":1}]"#,
    );
    let of = |t: &Table| {
        benchmarks(t).unwrap().into_iter().map(|b| (b.model, b.score, b.items)).collect::<Vec<_>>()
    };
    assert_eq!(of(&csv), of(&json));
    assert_eq!(of(&csv), [("a, b".to_owned(), 0.5, 10), ("c".to_owned(), 1.0, 10)]);
}

#[test]
fn the_catalogue_of_an_arena_is_read_by_category() {
    let text = r#"{"full":{"x":{"rating":10,"rating_q975":12,"rating_q025":8}},"math":{"x":{"rating":9,"rating_q975":12,"rating_q025":8}}}"#;
    let table = table(text);
    assert!(ratings(&table, None).unwrap_err().to_string().contains("full, math"));
    let full = ratings(&table, Some("full")).unwrap();
    assert_eq!((full.len(), full[0].model.as_str(), full[0].upper), (1, "x", 12.0));
    assert!(ratings(&table, Some("coding")).unwrap_err().to_string().contains("`coding`"));
}

#[test]
fn hostile_rows_are_named() {
    let says = |text: &str, f: &dyn Fn(&Table) -> Result<(), TableError>, what: &str| {
        let error = read(text.as_bytes()).and_then(|t| f(&t)).unwrap_err().to_string();
        assert!(error.contains(what), "{text}: {error}");
    };
    let scores = |t: &Table| benchmarks(t).map(drop);
    says(
        "model,task,score,items\na,t,0.5,10\na,t,55,10\n",
        &scores,
        "row 3: the score is not between 0 and 1",
    );
    says("model,task,score,items\na,t,NaN,10\n", &scores, "row 2: `NaN` in `score` is no finite number");
    says("model,task,score,items\na,t,0.5,-1\n", &scores, "row 2: `-1` in `items` is no count");
    says("model,task,score,items\na,t,0.5,0\n", &scores, "row 2: `items`");
    says("model,task,score,items\n,t,0.5,5\n", &scores, "row 2: `model_id` is empty");
    says("model,task,score,items,scale\na,t,0.5,5,0\n", &scores, "row 2: `scale`");
    says("model,task,score,items,date\na,t,0.5,5,May\n", &scores, "row 2: `May` is no date");
    says("model,task,score\na,t,0.5\n", &scores, "there is no column `items` or `n`");
    says("model,task,score,items\na,t,0.5\n", &scores, "row 2: 3 fields");
    says("model,model\na,b\n", &scores, "row 1: two columns");
    says("[{\"model\":\"a\",\"model\":\"b\"}]", &scores, "a key comes twice");
    says("[1]", &scores, "row 1: it is no object");
    says("{\"a\":1}", &scores, "JSON is read as");
    says("model\n", &scores, "there are no rows");
    says(
        "model,rating,lower,upper\na,5,6,7\n",
        &|t| ratings(t, None).map(drop),
        "row 2: the rating does not lie",
    );
    says("model,likes\na,1e3\n", &|t| snapshots(t).map(drop), "row 2: `1e3` in `likes`");
    says("model\na\n", &|t| snapshots(t).map(drop), "there is no column `likes` or");
    says("model,openness\na,ajar\n", &|t| models(t).map(drop), "row 2: `ajar` is no openness");
}

#[test]
fn dates_are_days_months_or_years() {
    for (text, wanted) in [
        ("2025-12-11", Some(("2025-12-11", "2025-Q4"))),
        ("2025-12-11T10:00:00Z", Some(("2025-12-11", "2025-Q4"))),
        ("2025-01", Some(("2025-01", "2025-Q1"))),
        ("2025", Some(("2025", "2025"))),
        ("2025-13-01", None),
        ("25-01-01", None),
        ("2025-01 x", None),
        ("+025", None),
        ("", None),
    ] {
        let date = Date::parse(text);
        assert_eq!(
            date.as_ref().map(|d| (d.as_str(), d.quarter())),
            wanted.map(|(d, q)| (d, q.to_owned())),
            "{text}"
        );
    }
}

#[test]
fn licences_that_are_not_known_have_no_openness() {
    assert_eq!(Openness::of_licence("Apache 2.0"), Some(Openness::Weights));
    assert_eq!(Openness::of_licence("Llama 3.1 Community"), Some(Openness::Licence));
    assert_eq!(Openness::of_licence("Proprietary"), Some(Openness::Api));
    assert_eq!(Openness::of_licence("Propretary"), None);
}

#[test]
fn saved_reports_are_read_and_others_refused() {
    let report = |kind: &str, direction: &str| {
        format!(
            r#"{{"schema_version":"1.0.0","inputs":[{{"role":"candidate","ref":"a"}},{{"role":"reference","ref":"b"}}],"verdict":{{"kind":"{kind}","tier":"exact","direction":"{direction}"}}}}"#
        )
    };
    let read = |text: &str| evidence(text.as_bytes());
    let found = read(&report("derived", "candidate-from-reference")).unwrap();
    assert_eq!((found.candidate.as_str(), found.kinship, found.exact), ("a", Kinship::FromReference, true));
    assert_eq!(read(&report("no-dependence-found", "unknown")).unwrap().kinship, Kinship::NoneFound);
    for bad in ["{}".to_owned(), "[".to_owned(), report("unrelated", "unknown"), report("derived", "up")] {
        assert!(read(&bad).is_err(), "{bad}");
    }
}
