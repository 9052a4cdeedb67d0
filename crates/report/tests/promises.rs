//! Properties that hold for every result.

mod common;

use common::{acquitted, context, controlled, derived, differing, inspected};
use stemmata_audit::{Comparison, Finding, Kind, Level};
use stemmata_report::{Context, Format, Style, Timing, comparison, difference, inspection};

const HOSTILE: &str = "=cmd()<script>alert(1)</script>\"'&\u{1b}[31mred\u{202e}\t\n]]>--><!--";

fn hostile() -> Comparison {
    let mut c = derived();
    for facts in [&mut c.candidate, &mut c.reference] {
        for text in [
            &mut facts.reference,
            &mut facts.digest,
            &mut facts.format,
            &mut facts.family,
            &mut facts.encoding,
        ] {
            *text = HOSTILE.to_owned();
        }
        facts.files[0].name = HOSTILE.to_owned();
        facts.declared_base = vec![HOSTILE.to_owned()];
        facts.declared_license = Some(HOSTILE.to_owned());
        facts.notes = vec![HOSTILE.to_owned()];
    }
    c.judgement.verdict.cue = Some(HOSTILE.to_owned());
    c.judgement.verdict.missing = vec![HOSTILE.to_owned()];
    c.judgement.not_tested[0].what = HOSTILE.to_owned();
    c.judgement.not_tested[0].reason = HOSTILE.to_owned();
    c.findings.push(Finding {
        code: "pickle-global",
        level: Level::Danger,
        side: "candidate",
        subject: HOSTILE.to_owned(),
        message: HOSTILE.to_owned(),
    });
    c
}

#[test]
fn untrusted_text_stays_text() {
    let mut context = context();
    context.command = format!("stemmata compare {HOSTILE}");
    let mut seen = Vec::new();
    for format in Format::ALL {
        seen.push((format, comparison(&hostile(), format, &Style::default(), &context)));
        let mut i = inspected();
        i.facts = hostile().candidate;
        i.tensors[0].name = HOSTILE.to_owned();
        i.tensors[0].purpose = HOSTILE.to_owned();
        i.files[0].0 = HOSTILE.to_owned();
        i.tokenizer = Some((1, Some(HOSTILE.to_owned())));
        i.findings = hostile().findings;
        seen.push((format, inspection(&i, format, &Style::default(), &context)));
        let mut d = differing();
        d.rows[0].place = HOSTILE.to_owned();
        d.rows[1].candidate = HOSTILE.to_owned();
        d.candidate = hostile().candidate;
        seen.push((format, difference(&d, false, format, &Style::default(), &context)));
    }
    for (format, text) in seen {
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{format:?}");
        match format {
            Format::Html => {
                assert!(!text.contains("<script>alert") && !text.contains("\"'&"), "{format:?}");
                assert_eq!(text.matches("<script").count(), 1);
                assert_eq!(text.matches("</script").count(), 1);
                assert_eq!(text.matches("<!--").count(), 0);
            }
            Format::Tsv => {
                let columns: Vec<usize> = text.lines().map(|l| l.matches('\t').count()).collect();
                assert!(columns.iter().all(|n| *n == columns[0]), "{text}");
                assert!(text.lines().skip(1).flat_map(|l| l.split('\t')).all(|cell| !cell.starts_with('=')));
            }
            Format::Json => {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(value["schema_version"], "1.0.0");
            }
            Format::Human => assert!(!text.contains('\t')),
        }
    }
}

#[test]
fn a_page_asks_for_nothing_and_says_its_numbers() {
    for value in [derived(), acquitted()] {
        let page = comparison(&value, Format::Html, &Style::default(), &context());
        let policy = "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"";
        assert!(page.contains(policy) && page.contains("<html lang=\"en\">"));
        for request in
            ["http://", "https://", " src=", "url(", "@import", "<link", "<iframe", " onclick", "javascript:"]
        {
            assert!(!page.contains(request), "{request}");
        }
        let embedded = page.split("id=\"report\">").nth(1).and_then(|rest| rest.split("</script>").next());
        let embedded: serde_json::Value = serde_json::from_str(embedded.unwrap()).unwrap();
        let json = comparison(&value, Format::Json, &Style::default(), &context());
        assert_eq!(embedded, serde_json::from_str::<serde_json::Value>(&json).unwrap());
        let numbered = value.judgement.layers.iter().filter(|l| l.candidate_layer.is_some()).count();
        assert_eq!(page.matches("<circle class=\"dot").count(), numbered);
    }
}

#[test]
fn the_same_values_give_the_same_bytes() {
    for format in Format::ALL {
        let once = comparison(&derived(), format, &Style::default(), &context());
        assert_eq!(once, comparison(&derived(), format, &Style::default(), &context()));
        assert!(once.ends_with('\n'));
    }
}

#[test]
fn human_output_fits_the_terminal() {
    let long = "vision_encoder.transformer.resblocks.11.attention.in_projection.weight/".repeat(2);
    let mut inspected = inspected();
    inspected.facts.reference = long.clone();
    inspected.files[0].0 = long.clone();
    let mut differing = differing();
    differing.rows[2].candidate = long.clone();
    differing.findings[0].subject = long;
    for width in [60, 72, 80, 100, 110, 160] {
        for unicode in [true, false] {
            let style = Style { color: false, unicode, width };
            let mut texts = vec![
                inspection(&inspected, Format::Human, &style, &context()),
                difference(&differing, false, Format::Human, &style, &context()),
            ];
            for value in [derived(), acquitted()] {
                texts.push(comparison(&value, Format::Human, &style, &context()));
            }
            for text in texts {
                for line in text.lines() {
                    assert!(unicode_width::UnicodeWidthStr::width(line) <= width, "{width}: {line}");
                }
                assert!(unicode || text.is_ascii(), "{text}");
            }
        }
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let plain = comparison(&derived(), Format::Human, &Style::default(), &context());
    let style = Style { color: true, ..Style::default() };
    let painted = comparison(&derived(), Format::Human, &style, &context());
    let mut bare = String::new();
    let mut rest = painted.as_str();
    while let Some(at) = rest.find('\u{1b}') {
        bare.push_str(&rest[..at]);
        rest = &rest[at..][rest[at..].find('m').unwrap() + 1..];
    }
    bare.push_str(rest);
    assert_ne!(plain, painted);
    assert_eq!(plain, bare);
}

#[test]
fn words_that_the_tool_does_not_say() {
    for kind in [Kind::Identical, Kind::Derived, Kind::Related, Kind::NoDependenceFound, Kind::Inconclusive] {
        for mut value in [derived(), acquitted(), controlled()] {
            value.judgement.verdict.kind = kind;
            for format in [Format::Human, Format::Html] {
                let text = comparison(&value, format, &Style::default(), &context()).to_lowercase();
                for word in ["proof", "prove", "stole", "unrelated", "guilty", "p = 0<", "e-inf", "nan"] {
                    assert!(!text.contains(word), "{word}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_finite_is_null() {
    let mut c = derived();
    c.judgement.verdict.log10_p = f64::NAN;
    c.judgement.evidence[0].statistic = f64::INFINITY;
    c.judgement.layers[0].effect = Some(f64::NAN);
    c.judgement.components[0].share_inherited = f64::NAN;
    if let Some(change) = &mut c.judgement.change {
        change.relative = f64::INFINITY;
    }
    for format in Format::ALL {
        let text = comparison(&c, format, &Style::default(), &context());
        assert!(!text.contains("NaN") && !text.contains("inf "), "{format:?}");
    }
    let text = comparison(&c, Format::Json, &Style::default(), &context());
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(value["verdict"]["log10_p"].is_null() && value["layers"][0]["effect"].is_null());
}

#[test]
fn time_and_memory_only_when_asked() {
    let value = |context: &Context| -> serde_json::Value {
        serde_json::from_str(&comparison(&derived(), Format::Json, &Style::default(), context)).unwrap()
    };
    assert_eq!(value(&context())["io"].as_object().unwrap().len(), 1);
    let mut timed = context();
    timed.timing = Some(Timing { seconds_wall: 1.5, peak_memory_bytes: 7 });
    assert_eq!(value(&timed)["io"]["peak_memory_bytes"], 7);
}

#[test]
fn a_verdict_without_any_test_is_rendered() {
    let mut c = acquitted();
    c.judgement.verdict.kind = Kind::Inconclusive;
    c.judgement.verdict.power = None;
    c.judgement.verdict.tests = 0;
    c.judgement.verdict.missing =
        vec!["no tensor of the candidate has a counterpart in the reference".to_owned()];
    c.judgement.components.clear();
    c.judgement.evidence.clear();
    c.judgement.layers.clear();
    c.judgement.change = None;
    for format in Format::ALL {
        let text = comparison(&c, format, &Style::default(), &context());
        assert!(text.to_lowercase().contains("inconclusive"));
    }
}
