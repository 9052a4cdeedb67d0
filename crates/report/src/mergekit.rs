//! A merge or a map of layers as a configuration that mergekit would make such a model from.

use crate::wire::{Blame, Group, Merge, Parent};
use crate::words;

/// The merge, if one was found: its method and weights. Else the map of layers: slices with half-open layer ranges, merge method
/// `passthrough`. It describes what was found; that mergekit was used is not shown. Otherwise the reason why it cannot be written so.
pub(crate) fn blame(blame: &Blame) -> Result<String, String> {
    let found = blame.merging.as_ref().filter(|m| m.outcome == "merge").and_then(|m| m.merge.as_ref());
    let mut out = match found {
        Some(merge) => merged(blame, merge)?,
        None => map(blame)?,
    };
    let dtype = match blame.inputs.first().map(|input| input.encoding.as_str()) {
        Some("bf16") => Some("bfloat16"),
        Some("f16") => Some("float16"),
        Some("f32") => Some("float32"),
        _ => None,
    };
    if let Some(dtype) = dtype {
        out.push_str(&format!("dtype: {dtype}\n"));
    }
    // A list of filters begins on a line of its own.
    Ok(out.replace(": \n", ":\n"))
}

fn map(blame: &Blame) -> Result<String, String> {
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
        out.push_str(&format!(
            "  - sources:\n      - model: {}\n        layer_range: [{low}, {}]\n",
            name(blame, reference),
            u64::from(high) + 1
        ));
    }
    out.push_str("merge_method: passthrough\n");
    Ok(out)
}

/// A JSON string is a YAML string: names cannot break out of it.
fn name(blame: &Blame, reference: usize) -> serde_json::Value {
    serde_json::Value::from(blame.reference(reference))
}

fn merged(blame: &Blame, merge: &Merge) -> Result<String, String> {
    if merge.method == "undetermined" {
        return Err("a merge was found, and not by which method".to_owned());
    }
    if merge.granularity == "matrix" {
        return Err("a merge was found with weights of every matrix of its own".to_owned());
    }
    let mut out = if merge.method == "slerp" { spherical(blame, merge)? } else { String::from("models:\n") };
    let is_base = |p: &Parent| merge.base == Some(p.reference);
    let parents = merge.parents.iter().enumerate().filter(|(_, p)| !is_base(p));
    for (place, parent) in parents.filter(|_| merge.method != "slerp") {
        out.push_str(&format!(
            "  - model: {}\n    parameters:\n      weight: {}\n",
            name(blame, parent.reference),
            parameter(merge, place, 6)?
        ));
        if let Some(density) = parent.density {
            out.push_str(&format!("      density: {density:.2}\n"));
        }
    }
    out.push_str(&format!("merge_method: {}\n", merge.method));
    if let Some(base) = merge.base {
        out.push_str(&format!("base_model: {}\n", name(blame, base)));
    }
    if merge.method == "slerp" {
        let first = merge.parents.first().ok_or("a merge without parents")?;
        let t = parameter(merge, 1, 2)?;
        out.push_str(&format!("base_model: {}\nparameters:\n  t: {t}\n", name(blame, first.reference)));
    } else {
        // Weights are those that were found: dividing by their sum again would change them, save where it was done per element.
        out.push_str(&format!("parameters:\n  normalize: {}\n", merge.normalized));
    }
    Ok(out)
}

fn spherical(blame: &Blame, merge: &Merge) -> Result<String, String> {
    let component = blame.inputs.first().and_then(|input| input.layers.iter().find(|l| l.layers > 0));
    let layers = component.ok_or("the candidate has no layers")?.layers;
    let mut out = String::from("slices:\n  - sources:\n");
    for parent in &merge.parents {
        let model = name(blame, parent.reference);
        out.push_str(&format!("      - model: {model}\n        layer_range: [0, {layers}]\n"));
    }
    Ok(out)
}

/// A weight, or a list of filters, each a number or a gradient with one entry per layer.
fn parameter(merge: &Merge, place: usize, indent: usize) -> Result<String, String> {
    let number = |x: Option<f64>| {
        x.map(|x| format!("{x:.4}")).ok_or("a weight is not determined by these references".to_owned())
    };
    let of_group = |g: &Group| number(g.weights.get(place).copied().flatten());
    if merge.groups.is_empty() {
        return number(merge.parents.get(place).and_then(|p| p.weight));
    }
    let blocks: Vec<Option<&str>> = match merge.granularity {
        "layer" => vec![None],
        _ => vec![Some("self_attn"), Some("mlp"), Some("other")],
    };
    let mut out = String::new();
    for block in blocks {
        let of_block: Vec<&Group> = merge.groups.iter().filter(|g| g.block == block).collect();
        let layered: Vec<&&Group> = of_block.iter().filter(|g| g.layer.is_some()).collect();
        let values: Vec<String> = match layered.is_empty() {
            true => of_block.iter().map(|g| of_group(g)).collect::<Result<_, _>>()?,
            false => layered.iter().map(|g| of_group(g)).collect::<Result<_, _>>()?,
        };
        let value = match values.as_slice() {
            [] => continue,
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let Some(block) = block else { return Ok(value) };
        let pad = " ".repeat(indent + 2);
        if block != "other" {
            out.push_str(&format!("\n{pad}- filter: {block}\n{pad}  value: {value}"));
        } else {
            out.push_str(&format!("\n{pad}- value: {value}"));
        }
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
            units: Vec::new(),
            residual: Vec::new(),
            heads: Vec::new(),
            merging: None,
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
