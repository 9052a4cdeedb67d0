//! What is written is what the committed schemas promise, key order included.

mod common;

use common::{
    acquitted, blamed, context, controlled, derived, differing, inspected, listed, rated, shortened, summed,
    surveyed, unrated,
};
use serde_json::Value;
use stemmata_report::{
    Format, Style, Timing, blame, comparison, difference, inspection, rating, sarif, standings,
};

const REPORT: &str = include_str!("../../../schemas/report-1.0.0.json");
const BLAME: &str = include_str!("../../../schemas/blame-1.0.0.json");
const INSPECTION: &str = include_str!("../../../schemas/inspection-1.0.0.json");
const RATING: &str = include_str!("../../../schemas/rating-1.0.0.json");
const STANDINGS: &str = include_str!("../../../schemas/standings-1.0.0.json");
const SARIF: &str = include_str!("../../../schemas/sarif-2.1.0.json");
const DIFFERENCE: &str = include_str!("../../../schemas/difference-1.0.0.json");

#[test]
fn comparisons_follow_the_schema() {
    let mut timed = context();
    timed.timing = Some(Timing { seconds_wall: 1.5, peak_memory_bytes: 7 });
    let mut broken = derived();
    broken.judgement.verdict.log10_p = f64::NAN;
    broken.judgement.evidence[0].interval.as_mut().unwrap().low = f64::NAN;
    for value in [derived(), acquitted(), controlled(), shortened(), broken] {
        for context in [context(), timed.clone()] {
            check(REPORT, &comparison(&value, Format::Json, &Style::default(), &context));
        }
    }
}

#[test]
fn inspections_diffs_and_blames_follow_their_schemas() {
    check(BLAME, &blame(&summed(), Format::Json, &Style::default(), &context()));
    check(BLAME, &blame(&blamed(), Format::Json, &Style::default(), &context()));
    check(INSPECTION, &inspection(&inspected(), Format::Json, &Style::default(), &context()));
    check(DIFFERENCE, &difference(&differing(), false, Format::Json, &Style::default(), &context()));
}

#[test]
fn logs_for_scanners_follow_the_standard() {
    let mut odd = inspected();
    let name = odd.files[0].0.clone();
    let finding = |subject: &str| {
        let mut finding = odd.findings[0].clone();
        finding.subject = subject.to_owned();
        finding
    };
    let subjects = [
        String::new(),
        format!("{name}: pickle byte 77"),
        format!("{name}: a b"),
        "config.json: auto_map".into(),
    ];
    let more: Vec<_> = subjects.iter().map(|subject| finding(subject)).collect();
    let first = odd.findings.len();
    odd.findings.extend(more);
    odd.files[0].0 = name;
    let text = sarif(&odd, &context());
    check(SARIF, &text);
    let log: Value = serde_json::from_str(&text).unwrap();
    let run = &log["runs"][0];
    let result = |at: usize| &run["results"][first + at];
    let place = |at: usize| &result(at)["locations"][0];
    for result in run["results"].as_array().unwrap() {
        let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
    }
    assert_eq!(place(1)["physicalLocation"]["region"]["byteOffset"], 77);
    assert_eq!(place(2)["logicalLocations"][0]["fullyQualifiedName"], "a b");
    assert_eq!(place(3)["physicalLocation"]["artifactLocation"]["uri"], "config.json");
    assert!(place(0).get("logicalLocations").is_none());
}

#[test]
fn ratings_follow_their_schema() {
    let mut timed = context();
    timed.timing = Some(Timing { seconds_wall: 1.5, peak_memory_bytes: 7 });
    let mut broken = rated();
    let number = broken.standings.contestants.iter_mut().find_map(|c| c.rating.as_mut()).unwrap();
    number.value = f64::NAN;
    number.simultaneous.1 = f64::INFINITY;
    let mut shrunk = rated();
    shrunk.settings.options.ridge = 5.0;
    for value in [rated(), unrated(), broken, shrunk] {
        for context in [context(), timed.clone()] {
            check(RATING, &rating(&value, Format::Json, &Style::default(), &context));
        }
    }
}

#[test]
fn standings_follow_their_schema() {
    let mut timed = context();
    timed.timing = Some(Timing { seconds_wall: 1.5, peak_memory_bytes: 7 });
    let mut sampled = surveyed();
    sampled.families.iter_mut().flat_map(|f| &mut f.strata).for_each(|s| s.drawn = Some(3));
    for value in [surveyed(), listed(), sampled] {
        for context in [context(), timed.clone()] {
            check(STANDINGS, &standings(&value, Format::Json, &Style::default(), &context));
        }
    }
}

#[test]
fn the_check_sees_what_is_wrong() {
    let text = comparison(&derived(), Format::Json, &Style::default(), &context());
    let schema: Value = serde_json::from_str(REPORT).unwrap();
    let wrong = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&text).unwrap();
        change(&mut value);
        let mut errors = Vec::new();
        validate(&schema, &schema, &value, "", &mut errors);
        !errors.is_empty()
    };
    assert!(!wrong(&|_| ()));
    assert!(wrong(&|v| v["extra"] = Value::from(1)));
    assert!(wrong(&|v| v["verdict"]["kind"] = Value::from("unrelated")));
    assert!(wrong(&|v| v["verdict"]["log10_p"] = Value::from(0.5)));
    assert!(wrong(&|v| v["seed"] = Value::from("0")));
    assert!(wrong(&|v| v["inputs"] = Value::Array(Vec::new())));
    assert!(wrong(&|v| drop(v.as_object_mut().unwrap().remove("io"))));
}

fn check(schema: &str, text: &str) {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let value: Value = serde_json::from_str(text).unwrap();
    let mut errors = Vec::new();
    validate(&schema, &schema, &value, "", &mut errors);
    assert!(errors.is_empty(), "{errors:#?}");
}

/// The keywords of JSON Schema that the schemas use; an unknown keyword is an error, so none is skipped silently.
fn validate(root: &Value, schema: &Value, value: &Value, at: &str, errors: &mut Vec<String>) {
    let mut fail = |what: String| errors.push(format!("{at}: {what}"));
    let number = value.as_f64();
    let mut deeper: Vec<(&Value, &Value, String)> = Vec::new();
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let ok = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let target = root.pointer(rule.as_str().unwrap().trim_start_matches('#')).expect("defined");
                deeper.push((target, value, at.to_owned()));
                true
            }
            "anyOf" => rule.as_array().unwrap().iter().any(|option| {
                let mut inner = Vec::new();
                validate(root, option, value, at, &mut inner);
                inner.is_empty()
            }),
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => match rule {
                Value::Array(types) => types.iter().any(|t| is_type(value, t)),
                one => is_type(value, one),
            },
            "minimum" => number.is_none_or(|n| n >= rule.as_f64().unwrap()),
            "maximum" => number.is_none_or(|n| n <= rule.as_f64().unwrap()),
            "exclusiveMinimum" => number.is_none_or(|n| n > rule.as_f64().unwrap()),
            "exclusiveMaximum" => number.is_none_or(|n| n < rule.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|a| a.len() as u64 >= rule.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|a| a.len() as u64 <= rule.as_u64().unwrap()),
            // Checked by a full validator when the schema was written; the values here are fixed.
            "pattern" => true,
            "required" => rule
                .as_array()
                .unwrap()
                .iter()
                .all(|key| value.as_object().is_none_or(|o| o.contains_key(key.as_str().unwrap()))),
            "properties" => {
                let known: Vec<&String> = rule.as_object().unwrap().keys().collect();
                let present: Vec<&String> = value.as_object().map(|o| o.keys().collect()).unwrap_or_default();
                for key in &present {
                    if let Some(inner) = rule.get(key.as_str()) {
                        deeper.push((inner, &value[key.as_str()], format!("{at}/{key}")));
                    }
                }
                let positions: Vec<_> =
                    present.iter().filter_map(|k| known.iter().position(|x| x == k)).collect();
                positions.is_sorted()
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object().unwrap();
                *rule == Value::Bool(false)
                    && value.as_object().is_none_or(|o| o.keys().all(|key| known.contains_key(key)))
            }
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    deeper.push((rule, item, format!("{at}/{i}")));
                }
                true
            }
            unknown => panic!("the schema uses `{unknown}`, which this check does not know"),
        };
        if !ok {
            fail(format!("breaks `{keyword}`"));
        }
    }
    for (schema, value, at) in deeper {
        validate(root, schema, value, &at, errors);
    }
}

fn is_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("no type `{other}`"),
    }
}
