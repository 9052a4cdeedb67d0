//! Models with a known line: a base, what was trained from it, and what shares only its random start.
//!
//! The pairs that direction and relation are calibrated on. Every recipe is used on every line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::calibrate::architectures::{Architecture, GPT2, LLAMA};
use crate::calibrate::lessons::Course;
use crate::calibrate::{CONTEXT, Text, save, work_off};
use crate::layout::TEXT_SPECIALS;
use crate::layout::array::Array;
use crate::material::corpus::Mixture;
use crate::train::optimizer::{Recipe, Schedule};
use crate::train::parameters::Parameters;
use crate::{Failure, no_more, take_option};

/// Seeds apart from those of the independent models.
const LINES_SEED: u64 = LLAMA.first_seed + 500;
const ORDER: u64 = 78;

/// How a child is trained from its base.
struct Child {
    name: &'static str,
    mixture: Mixture,
    recipe: Recipe,
}

const fn recipe(steps: usize, learning_rate: f64, decay: f64) -> Recipe {
    Recipe { steps, learning_rate, decay, schedule: Schedule::Cosine }
}

/// From a light fine-tune without weight decay to three times as many steps as the base had, on other text.
const CHILDREN: &[Child] = &[
    Child { name: "light", mixture: Mixture::FINE_TUNE, recipe: recipe(60, 1e-4, 0.0) },
    Child { name: "light-decay", mixture: Mixture::FINE_TUNE, recipe: recipe(60, 1e-4, 0.1) },
    Child { name: "tuned", mixture: Mixture::FINE_TUNE, recipe: recipe(120, 5e-4, 0.01) },
    Child { name: "heavy-decay", mixture: Mixture::FINE_TUNE, recipe: recipe(200, 1e-3, 0.1) },
    Child { name: "same-text", mixture: Mixture::BASE, recipe: recipe(120, 5e-4, 0.1) },
    Child { name: "continued", mixture: Mixture::FINE_TUNE, recipe: recipe(300, 3e-3, 0.1) },
    Child { name: "thrice", mixture: Mixture::FINE_TUNE, recipe: recipe(900, 3e-3, 0.1) },
];

/// Which child is trained on, and how: a line of three, as relatives see it.
const GRANDCHILDREN: &[(&str, Child)] = &[
    ("light", Child { name: "tuned", mixture: Mixture::BASE, recipe: recipe(120, 5e-4, 0.01) }),
    ("tuned", Child { name: "light", mixture: Mixture::BASE, recipe: recipe(60, 1e-4, 0.0) }),
    ("tuned", Child { name: "again", mixture: Mixture::FINE_TUNE, recipe: recipe(120, 5e-4, 0.01) }),
    ("tuned", Child { name: "back", mixture: Mixture::BASE, recipe: recipe(120, 5e-4, 0.1) }),
    ("heavy-decay", Child { name: "back", mixture: Mixture::BASE, recipe: recipe(120, 5e-4, 0.01) }),
    ("continued", Child { name: "back", mixture: Mixture::BASE, recipe: recipe(200, 1e-3, 0.1) }),
];

/// `calibrate-lines [--out DIR] [--models N] [--gpt2 N]`: N lines of each family.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let mut options = options.to_vec();
    let out = take_option(&mut options, "--out")?.map_or_else(|| PathBuf::from("target/lines"), Into::into);
    let mut number = |name, default| -> Result<u64, Failure> {
        let Some(text) = take_option(&mut options, name)? else { return Ok(default) };
        text.parse().map_err(|_| Failure::Usage(format!("`{name}` takes a number, not `{text}`")))
    };
    let (llamas, gpt2s) = (number("--models", 6)?, number("--gpt2", 2)?);
    no_more(&options)?;
    let lines: Vec<(String, Architecture, u64)> = (0..llamas)
        .map(|i| (format!("llama-l{i:02}"), LLAMA, i))
        .chain((0..gpt2s).map(|i| (format!("gpt2-l{i:02}"), GPT2, i)))
        .collect();
    let texts = [Mixture::BASE, Mixture::FINE_TUNE].map(|mixture| Text::new(mixture, TEXT_SPECIALS));
    let make = |(name, architecture, number): &(String, Architecture, u64)| {
        let [base_text, other_text] = &texts;
        let mut parameters = Parameters::new(LINES_SEED + number);
        let (model, config) = architecture.build(&mut parameters, &base_text.tokenizer)?;
        let store = |parameters: &Parameters, suffix: &str| {
            save(parameters, config.clone(), &base_text.tokenizer, &out.join(format!("{name}{suffix}")))
        };
        let start = parameters.arrays()?;
        for (suffix, text, order) in
            [("-data", other_text, ORDER), ("-order", base_text, ORDER + 1 + number), ("", base_text, ORDER)]
        {
            parameters.assign(&start)?;
            let course = Course { recipe: architecture.recipe, context: CONTEXT, order };
            model.fit(&parameters, course, &text.training)?;
            store(&parameters, suffix)?;
        }
        // A child starts from what its parent's file holds.
        let stored = |parameters: &Parameters| {
            let rounded = |arrays: Vec<Array>| arrays.into_iter().map(|array| array.rounded()).collect();
            parameters.arrays().map(rounded)
        };
        let mut known = BTreeMap::<_, Vec<Array>>::from([(String::new(), stored(&parameters)?)]);
        let mut loss = 0.0;
        let children = CHILDREN.iter().map(|child| ("", child));
        let all = children.chain(GRANDCHILDREN.iter().map(|(parent, child)| (*parent, child)));
        for (order, (parent, child)) in (1_000..).zip(all) {
            let dotted = if parent.is_empty() { String::new() } else { format!(".{parent}") };
            let Some(start) = known.get(&dotted) else { continue };
            parameters.assign(start)?;
            let text = if child.mixture.ledgers > 0.0 { other_text } else { base_text };
            let course = Course { recipe: child.recipe, context: CONTEXT, order };
            model.fit(&parameters, course, &text.training)?;
            loss = model.loss(&text.held_out, CONTEXT)?;
            let suffix = format!("{dotted}.{}", child.name);
            store(&parameters, &suffix)?;
            known.insert(suffix, stored(&parameters)?);
        }
        Ok(loss)
    };
    work_off(&lines, make, |(name, ..)| name)
}
