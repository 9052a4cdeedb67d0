//! A map of layers as a configuration that mergekit would make such a model from.

use crate::wire::Blame;
use crate::words;

/// Slices with half-open layer ranges, merge method `passthrough`. It describes the map; that mergekit was used is not shown.
/// Otherwise the reason why the map cannot be written so.
pub(crate) fn blame(blame: &Blame) -> Result<String, String> {
    let first = blame.runs.first().ok_or("no layer could be tested, so there is no map to write")?;
    if blame.runs.iter().any(|r| r.component != first.component) {
        return Err(
            "the model has layers in several components, and the format knows one stack of layers".to_owned()
        );
    }
    let mut out = String::from("slices:\n");
    for run in &blame.runs {
        let (Some(reference), Some([low, high])) = (run.reference, run.reference_layers) else {
            let layers = words::span(run.layers);
            return Err(format!("no reference explains {layers} of the {}", run.component));
        };
        // A JSON string is a YAML string: names cannot break out of it.
        let model = serde_json::Value::from(blame.reference(reference));
        out.push_str(&format!(
            "  - sources:\n      - model: {model}\n        layer_range: [{low}, {}]\n",
            u64::from(high) + 1
        ));
    }
    out.push_str("merge_method: passthrough\n");
    let dtype = match blame.inputs.first().map(|input| input.encoding.as_str()) {
        Some("bf16") => Some("bfloat16"),
        Some("f16") => Some("float16"),
        Some("f32") => Some("float32"),
        _ => None,
    };
    if let Some(dtype) = dtype {
        out.push_str(&format!("dtype: {dtype}\n"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Io, Run, Tool};

    fn with(runs: Vec<Run>) -> Blame {
        Blame {
            schema_version: "1.0.0",
            tool: Tool { name: "stemmata", version: String::new() },
            command: String::new(),
            seed: 0,
            inputs: Vec::new(),
            alpha: 0.001,
            tests: 1,
            correction: "bonferroni",
            layers: Vec::new(),
            runs,
            experts: Vec::new(),
            rows: Vec::new(),
            findings: Vec::new(),
            io: Io { bytes_read: 0, seconds_wall: None, peak_memory_bytes: None },
        }
    }

    fn run(layers: [u32; 2], from: Option<[u32; 2]>) -> Run {
        Run { component: "language-model", layers, reference: from.map(|_| 0), reference_layers: from }
    }

    #[test]
    fn ranges_are_half_open_and_a_partial_map_is_refused() {
        let whole = with(vec![run([0, 3], Some([0, 3])), run([4, 7], Some([2, 5]))]);
        let text = blame(&whole).unwrap();
        assert!(text.contains("layer_range: [0, 4]") && text.contains("layer_range: [2, 6]"), "{text}");
        let partial = with(vec![run([0, 3], Some([0, 3])), run([4, 5], None)]);
        assert_eq!(blame(&partial).unwrap_err(), "no reference explains layers 4-5 of the language-model");
        assert!(blame(&with(Vec::new())).is_err());
    }
}
