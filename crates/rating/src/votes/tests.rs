use super::*;

fn read(syntax: Syntax, text: &str, wanted: Wanted) -> Result<(Votes, Tally), VoteError> {
    let mut reader = Reader::new(wanted, Limits::default());
    let tally = reader.read(syntax, text.as_bytes())?;
    Ok((reader.finish(), tally))
}

fn csv(text: &str) -> Result<(Votes, Tally), VoteError> {
    read(Syntax::Csv, text, Wanted::default())
}

fn json(text: &str) -> Result<(Votes, Tally), VoteError> {
    read(Syntax::JsonLines, text, Wanted::default())
}

#[test]
fn the_three_namings_and_both_syntaxes_give_one_table() {
    use Outcome::{First, Second, Tie};
    let arena = "model_a,model_b,winner\nx,y,model_a\ny,x,model_b\nx,z,tie\n";
    let sides = "id,left,right,winner\r\n1,x,y,left\r\n2,y,x,right\r\n\r\n3,x,z,tie";
    let comparia = "model_a_name,model_b_name,chosen_model_name,both_equal\nx,y,x,False\ny,x,x,\nx,z,,True\n";
    let tabs = "model_a\tmodel_b\twinner\nx\ty\tmodel_a\ny\tx\tmodel_b\nx\tz\ttie\n";
    let (votes, tally) = csv(arena).unwrap();
    assert_eq!(votes.contestants, ["x", "y", "z"]);
    assert_eq!((votes.first.as_slice(), votes.second.as_slice()), (&[0, 1, 0][..], &[1, 0, 2][..]));
    assert_eq!(votes.outcome, [First, Second, Tie]);
    assert_eq!(tally, Tally { rows: 3, votes: 3, against_itself: 0 });
    for text in [sides, comparia, tabs] {
        assert_eq!(csv(text).unwrap().0, votes, "{text}");
    }
    let lines = [
        r#"{"model_a":"x","model_b":"y","winner":"model_a","conversation":[{"deep":[1]}]}"#,
        r#"{"winner":"model_b","model_a":"y","model_b":"x"}"#,
        r#"{"model_a":"x","model_b":"z","winner":"tie"}"#,
    ];
    assert_eq!(json(&lines.join("\n")).unwrap().0, votes);
    let lines = [
        r#"{"model_a_name":"x","model_b_name":"y","chosen_model_name":"x","both_equal":false}"#,
        r#"{"model_a_name":"y","model_b_name":"x","chosen_model_name":"x","both_equal":false}"#,
        r#"{"model_a_name":"x","model_b_name":"z","chosen_model_name":null,"both_equal":true}"#,
    ];
    assert_eq!(json(&lines.join("\n")).unwrap().0, votes);
}

#[test]
fn counts_quotes_and_a_contestant_against_itself() {
    let text = "\u{feff}model_a,model_b,winner,count\n\"a, \"\"x\"\"\nb\",c,both_bad,7\nc,c,tie,2\nc,d,tie (bothbad),0\n";
    let (votes, tally) = csv(text).unwrap();
    assert_eq!(votes.contestants, ["a, \"x\"\nb", "c", "d"]);
    assert_eq!((votes.count.as_slice(), votes.total()), (&[7, 0][..], 7));
    assert_eq!(votes.outcome, [Outcome::BothBad; 2]);
    assert_eq!(tally, Tally { rows: 3, votes: 9, against_itself: 1 });
}

#[test]
fn an_unknown_outcome_is_an_error_with_its_line() {
    // arena-rank 0.1.1 takes each of these for a tie.
    for value in ["Model_A", "left", "", "invalid", "TIE", " model_a"] {
        let text = format!("model_a,model_b,winner\nx,y,model_a\nx,y,{value}\n");
        let error = csv(&text).unwrap_err();
        assert_eq!(error.to_string(), format!("line 3: unknown outcome `{value}`"));
        assert!(error.hint().is_some());
        let value = serde_json::Value::from(value);
        let text = format!("{{\"model_a\":\"x\",\"model_b\":\"y\",\"winner\":{value}}}");
        assert!(json(&text).unwrap_err().to_string().starts_with("line 1: unknown outcome"), "{text}");
    }
    let null = json(r#"{"model_a":"x","model_b":"y","winner":null}"#).unwrap_err();
    assert!(matches!(null, VoteError::Outcome { line: 1, .. }));
    for row in ["x,y,x,True", "x,y,,", "x,y,,False", "x,y,z,False", "x,y,z,"] {
        let text = format!("model_a_name,model_b_name,chosen_model_name,both_equal\n{row}\n");
        assert!(matches!(csv(&text).unwrap_err(), VoteError::Outcome { line: 2, .. }), "{row}");
    }
}

#[test]
fn what_is_not_written_properly_is_refused() {
    let header = "model_a,model_b,winner,count\n";
    for (rows, message) in [
        ("x,y,model_a", "line 2: 3 fields where the header has 4"),
        ("x,y,model_a,+1", "line 2: `+1` is no count"),
        ("x,y,model_a,1.5", "line 2: `1.5` is no count"),
        ("x,y,model_a,-1", "line 2: `-1` is no count"),
        ("x,y,model_a,99999999999999999999", "line 2: `99999999999999999999` is no count"),
        ("\"x,y,model_a,1", "line 2: a quotation is not closed"),
        ("\"x\"z,y,model_a,1", "line 2: text after a closing quotation mark"),
        ("x\"z,y,model_a,1", "line 2: a quotation mark inside a field that is not quoted"),
        (",y,model_a,1", "line 2: a contestant has no name"),
        ("\"x\ny\",y,tie,1\nx,y,no,1", "line 4: unknown outcome `no`"),
        ("", "there are no votes in it"),
    ] {
        assert_eq!(csv(&format!("{header}{rows}")).unwrap_err().to_string(), message);
    }
    assert!(matches!(csv("").unwrap_err(), VoteError::Empty));
    for columns in ["a,b,winner", "model_a,model_b", "model_a,model_a,model_b,winner"] {
        assert!(matches!(csv(&format!("{columns}\n")).unwrap_err(), VoteError::Columns { .. }), "{columns}");
    }
    let both = "model_a,model_b,left,right,winner\n";
    assert_eq!(csv(both).unwrap_err().to_string(), "line 1: the columns fit more than one naming");
    for text in ["[]", "{", "{\"model_a\":1}", "nonsense", "{\"winner\":\"a\",\"winner\":\"b\"}"] {
        assert!(json(text).is_err(), "{text}");
    }
    let twice = r#"{"model_a":"x","model_a":"z","model_b":"y","winner":"tie"}"#;
    assert!(json(twice).unwrap_err().to_string().contains("comes twice"));
    let deep = format!("{{\"model_a\":{}", "[".repeat(100_000));
    assert!(matches!(json(&deep).unwrap_err(), VoteError::Syntax { line: 1, .. }));
}

#[test]
fn limits_hold() {
    let tight =
        Limits { record_bytes: 40, name_bytes: 3, columns: 4, parts: 2, contestants: 3, rows: 4, votes: 9 };
    let error = |text: &str| {
        Reader::new(Wanted::default(), tight).read(Syntax::Csv, text.as_bytes()).unwrap_err().to_string()
    };
    let header = "model_a,model_b,winner,count\n";
    assert_eq!(error(&format!("{header}abcd,b,tie,1\n")), "line 2: a name is longer than 3 bytes");
    assert_eq!(
        error(&format!("{header}a,b,tie,1{}\n", " ".repeat(40))),
        "line 2: a record is longer than 40 bytes"
    );
    assert_eq!(
        error(&format!("{header}\"{}", "a\n".repeat(40))),
        "line 21: a record is longer than 40 bytes"
    );
    assert_eq!(error(&format!("{header}a,b,tie,1\nc,d,tie,1\n")), "line 3: more than 3 contestants");
    assert_eq!(error(&format!("{header}{}", "a,b,tie,1\n".repeat(5))), "line 6: more than 4 rows");
    assert_eq!(error(&format!("{header}{}", "a,b,tie,5\n".repeat(2))), "line 3: more than 9 votes");
    assert_eq!(error("a,b,c,d,e\n"), "line 1: more than 4 columns");
}

#[test]
fn clusters_and_styles_are_kept_and_never_guessed() {
    let wanted = Wanted {
        clusters: vec!["user".to_owned()],
        styles: vec![
            Style::Contrast { first: "la".to_owned(), second: "lb".to_owned() },
            Style::Difference { column: "d".to_owned() },
        ],
        ..Wanted::default()
    };
    let text =
        "user,model_a,model_b,winner,la,lb,d\nu2,x,y,tie,30,10,-1.5\nu1,x,y,tie,0,0,2\nu2,y,x,tie,1,0,0\n";
    let (votes, _) = read(Syntax::Csv, text, wanted.clone()).unwrap();
    assert_eq!(votes.clusters, [[1, 0, 1]]);
    assert_eq!(votes.styles, [[0.5, 0.0, 1.0], [-1.5, 2.0, 0.0]]);
    for (cells, message) in [
        (",x,y,tie,1,1,1", "line 2: the cluster column `user` is empty"),
        ("u,x,y,tie,-1,1,1", "line 2: `-1` in column `la` is no finite number that a style term can use"),
        ("u,x,y,tie,1,1,NaN", "line 2: `NaN` in column `d` is no finite number that a style term can use"),
        ("u,x,y,tie,1,1,", "line 2: `` in column `d` is no finite number that a style term can use"),
    ] {
        let text = format!("user,model_a,model_b,winner,la,lb,d\n{cells}\n");
        assert_eq!(read(Syntax::Csv, &text, wanted.clone()).unwrap_err().to_string(), message);
    }
    let missing = read(Syntax::Csv, "model_a,model_b,winner\nx,y,tie\n", wanted).unwrap_err();
    assert_eq!(missing.to_string(), "line 1: there is no column `user`");
    let nested = Wanted {
        clusters: vec!["session".to_owned()],
        styles: vec![Style::Contrast { first: "meta.ha".to_owned(), second: "meta.hb".to_owned() }],
        ..Wanted::default()
    };
    let text = r#"{"model_a":"x","model_b":"y","winner":"tie","session":7,"meta":{"ha":{"h1":2,"h2":1},"hb":1,"x":[]}}"#;
    let (votes, _) = read(Syntax::JsonLines, text, nested).unwrap();
    assert_eq!((votes.clusters[0].as_slice(), votes.styles[0].as_slice()), (&[0][..], &[0.5][..]));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        for syntax in [Syntax::Csv, Syntax::JsonLines] {
            for head in [&b""[..], b"model_a,model_b,winner,count\n", b"left\tright\twinner\n"] {
                let text = [head, &bytes].concat();
                let _ = Reader::new(Wanted::default(), Limits::default()).read(syntax, text.as_slice());
            }
        }
    }
}

#[test]
fn weights_and_parts_are_read_or_refused_with_their_line() {
    let wanted = || Wanted {
        weight: Some("w".to_owned()),
        part: Some(Part { column: "day".to_owned(), by: PartBy::Month }),
        ..Wanted::default()
    };
    let read = |syntax, text: &str, limits| {
        let mut reader = Reader::new(wanted(), limits);
        reader.read(syntax, text.as_bytes()).map(|_| reader.finish()).map_err(|e| e.to_string())
    };
    let header = "model_a,model_b,winner,w,day\n";
    let csv = format!("{header}a,b,tie,0.5,2024-02-01\nb,a,tie,2,2024-01-31\n");
    let json = "{\"model_a\":\"a\",\"model_b\":\"b\",\"winner\":\"tie\",\"w\":0.5,\"day\":\"2024-02-01\"}\n\
        {\"model_a\":\"b\",\"model_b\":\"a\",\"winner\":\"tie\",\"w\":2,\"day\":1706700000}\n";
    let votes = read(Syntax::Csv, &csv, Limits::default()).unwrap();
    assert_eq!((votes.weight.as_slice(), votes.part.as_slice()), (&[0.5, 2.0][..], &[1, 0][..]));
    assert_eq!(votes.parts, ["2024-01", "2024-02"]);
    assert_eq!(read(Syntax::JsonLines, json, Limits::default()).unwrap(), votes);
    for (row, what) in [
        ("a,b,tie,-1,2024-01-01", "line 2: `-1` in column `w` is no weight"),
        ("a,b,tie,NaN,2024-01-01", "line 2: `NaN` in column `w` is no weight"),
        ("a,b,tie,1,soon", "line 2: `soon` in column `day` names no part"),
        ("a,b,tie,1,", "line 2: `` in column `day` names no part"),
    ] {
        let error = read(Syntax::Csv, &format!("{header}{row}\n"), Limits::default()).unwrap_err();
        assert!(error.starts_with(what), "{error}");
    }
    let few = Limits { parts: 1, ..Limits::default() };
    assert!(read(Syntax::Csv, &csv, few).unwrap_err().contains("line 3: more than 1 parts"));
}
