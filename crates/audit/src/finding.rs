//! Findings: typed remarks with a code that is explained and never reused.

use stemmata_model::{Hazard, Level};

/// One remark.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Kebab-case and stable.
    pub code: &'static str,
    /// How much it matters.
    pub level: Level,
    /// `candidate`, `reference`, or empty for both.
    pub side: &'static str,
    /// File, tensor or component, printable.
    pub subject: String,
    /// One sentence.
    pub message: String,
}

impl Finding {
    pub(crate) fn from_hazard(side: &'static str, hazard: &Hazard) -> Finding {
        Finding {
            code: hazard.code,
            level: hazard.level,
            side,
            subject: hazard.subject.clone(),
            message: hazard.message.clone(),
        }
    }
}

/// What a code means, for codes that need more than their message says.
const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "roles-inferred",
        "The tensor names are in no table, so roles were inferred from shapes, order and repetition. Where storage order decided between two roles, the outputs of those tensors take part in a test only if the other model's role is known: a wrong guess costs power, it cannot accuse.",
    ),
    (
        "symmetry-broken",
        "By itself, each of the two models depends on a fixed pattern along these channels (weights of one sign, a common shift, a block close to the identity). A test that rests on the symmetry has no null there and was not made.",
    ),
    (
        "moved-units",
        "Weights that differ at equal indices agree once hidden units are matched wherever they are. Relabelling units, rotating the residual stream and rescaling pairs of weights leave the function of a model unchanged; training does none of them to a finished model, and file conversion only the labels. Why it was done the weights do not say.",
    ),
    (
        "outside-layers-only",
        "Only embeddings or heads depend on the reference; no layer does. A reused embedding does that, and so do token rows with a common default. It does not show that the layers were taken over.",
    ),
    (
        "negative-control-found",
        "The same tests found dependence in a control: the candidate's own numbers with fair random signs and new labels, which depends on the reference by chance alone. That happens with probability at most alpha in each control. If it is more than chance, the tests have no null on this pair, and its verdict means nothing.",
    ),
    (
        "positive-control-missed",
        "A control with twice the share of the reference's weights that the statement of power speaks of was not found. The statement does not hold for this pair, and an acquittal that quotes it means less than it says.",
    ),
    ("unmapped-tensors", "These tensors have no role that this build knows. They were not compared."),
    (
        "undecodable-tensors",
        "These tensors are stored in a quantisation that this build does not decode, or their pieces are missing or do not fit together. They were not compared.",
    ),
    (
        "undeclared-base",
        "Dependence on the reference was found, and the candidate's card names no base model. A card is a claim and never evidence; its silence is not either.",
    ),
    (
        "declared-base-differs",
        "Dependence on the reference was found, and the candidate's card names another base model. Both can be true when the two share an ancestor.",
    ),
    ("non-finite-values", "NaN or infinite weights were counted as zero."),
    (
        "unreadable-tensor",
        "The pieces of this tensor contradict each other or end too early, so that its numbers could not be read.",
    ),
    (
        "suspicious-chat-template",
        "A chat template is a program that a loader renders. This one uses more of the language than a conversation needs: attributes of the interpreter, imports, files, or loops without an end. Renderers that were not sandboxed have run code this way (CVE-2024-34359).",
    ),
    (
        "hidden-text",
        "Characters that take no place let a template say to the model what a reader of the file does not see.",
    ),
    (
        "pickle-inside",
        "NumPy stores arrays of objects as a pickle. `numpy.load` refuses them unless it is told to allow pickles, and then runs what they say.",
    ),
    (
        "external-path",
        "The model says that numbers of a tensor are in a file outside its directory. Loaders that followed such paths have read any file of their user. It was not followed.",
    ),
    (
        "mismatched-shards",
        "What the parts of a split model say of themselves does not fit together: parts are missing, or come from different models.",
    ),
    (
        "file-changed",
        "The file's size or modification time changed while it was read. The result describes a mixture; run it again.",
    ),
    (
        "missing-shards",
        "The names of the weight files count more files than were read. The model is incomplete, or one shard of it was given alone: the result speaks of this part only. Give the directory, or fetch what is missing.",
    ),
    (
        "unindexed-file",
        "The directory holds weights that the shard map does not mention. Loaders that follow the map ignore them, others load them; here they were not read.",
    ),
    (
        "cache-not-written",
        "The cache could not be written: the disk is full, or the folder is not ours. The result does not depend on it; the next run fetches and sketches again. `STEMMATA_CACHE` names another folder, `--no-cache` does without.",
    ),
    (
        "file-not-read",
        "The same weights often lie in a directory more than once: in another format, in a variant with fewer bits, or as one file beside the folders of a pipeline. Files without a variant come before those with one, safetensors before GGUF and GGUF before pickles, and the folders that a pipeline's index names before files beside them. Name the file to read another one.",
    ),
    (
        "config-unreadable",
        "The configuration was left out. Roles come from the names and shapes of tensors, and what only the configuration says, such as the number of heads, is inferred or unknown.",
    ),
    (
        "revision-not-pinned",
        "The place where the model lies has no commits. While it is read every answer is held against the first one, but the same reference may mean other bytes tomorrow; the digest in the report says which were meant.",
    ),
    (
        "not-fetched",
        "A file beside the weights is large next to the budget and plays no part in the tests, so it was left where it is. A larger budget (`--budget 200MB`, `--budget full`) fetches it.",
    ),
    (
        "layer-not-read",
        "The model of the local store has weights beside those that were read, such as an adapter or a projector. The result speaks of the main file only.",
    ),
    ("tokenizer-unreadable", "The tokenizer was left out. It plays no part in tests on weights."),
    (
        "card-unreadable",
        "The card could not be read, or only in part. What the model claims of its origin and licence may be missing from this result.",
    ),
    (
        "no-common-scale",
        "A finite rating exists within a set of contestants of which each has beaten or tied every other one, directly or through others (Ford 1957). Between such sets the votes say at most who is above, not by how much, so there is no number to compare.",
    ),
    (
        "undefeated",
        "The likelihood rises without end as this contestant's strength grows. Any number for it would be that of a prior or of a stopped iteration.",
    ),
    (
        "winless",
        "The likelihood rises without end as this contestant's strength falls. Any number for it would be invented.",
    ),
    (
        "unlinked",
        "There are no votes that compare this contestant with the others both ways, directly or through others.",
    ),
    (
        "no-finite-fit",
        "The parameters run away along a direction in which the likelihood never falls. With Davidson's and Rao and Kupper's models there must be ties and decided votes.",
    ),
    (
        "few-clusters",
        "Sandwich errors rest on the number of clusters, not of votes. With few of them they are too small on average; Student's t with one degree less than clusters repairs a part of that.",
    ),
    (
        "bootstrap-incomplete",
        "In these samples some contestant was undefeated, winless or cut off. Intervals from the others alone are too short on that side.",
    ),
    (
        "part-without-anchor",
        "Where the anchor has no votes, or is cut off, nothing fixes the zero. Ratings of such a part compare with each other and with no other part.",
    ),
    (
        "clones-unmatched",
        "Reports name models by paths or references, votes by the names of contestants. They count as one only where a name of a report is the name of a contestant, letter by letter.",
    ),
    (
        "undated-source",
        "A standing is a statement of a day. Without a date in the table or after its name, the figures that rest on it cannot be dated.",
    ),
    (
        "protocols-mixed",
        "The same questions asked in another way (prompt, examples, sampling, scoring) give other scores. A task under another harness is another unit on the scale, with a slope and difficulty of its own; a mean over both would be a mean of nothing.",
    ),
    (
        "harness-unstated",
        "Where a table does not say how a score was made, scores made in different ways may stand under one task, and the spread between models will be larger for it.",
    ),
    (
        "benchmarks-not-linked",
        "Each benchmark has a scale known up to a shift and a stretch. Two scales become one where at least two models were put to both; without that no number compares them.",
    ),
    (
        "not-on-the-scale",
        "The likelihood has no finite maximum for it, or nothing links it to the others. Any number would be that of a prior.",
    ),
    (
        "score-unexpected",
        "The score is further from what the scale expects than the noise of items and the usual spread allow, over all scores together. Training on the test, another protocol, a mistake in the table and a true talent all look like this. Where there are such scores, intervals that hold together are about half a point short of their level: further ones cannot be foreseen from those that were seen.",
    ),
    (
        "joint-limits-normal",
        "Up to some hundred models the intervals that hold together are those of a bootstrap of the largest error. Beyond, the quantile is that of a normal, which was two to four points short in studies where models have single scores far from the rest, or few benchmarks.",
    ),
    (
        "slope-negative",
        "On this benchmark models that score higher elsewhere score lower. It enters the scale as it is; look at what it measures before relying on either.",
    ),
    (
        "licence-unknown",
        "Openness is taken from licences of known names only. A slip of the pen (`Propretary`) or a licence that is new leaves the model in no class; the column `openness` can say it.",
    ),
    (
        "report-unmatched",
        "A saved comparison speaks of a model under a path or name that no registry lists, so it is evidence for nobody here. A table of aliases (name, model) joins them.",
    ),
    (
        "stratum-not-sampled",
        "The estimate is of the strata that were sampled. Of the others nothing is known, so the upper end of the interval counts all their members.",
    ),
    (
        "comparisons-inconclusive",
        "The estimate takes those who gave no answer as if they had not been drawn. That is right only if the reason has nothing to do with lineage.",
    ),
    (
        "comparisons-not-drawn",
        "A comparison that somebody chose to make says nothing of those that nobody chose. Where a sample was drawn, only its members stand for their strata.",
    ),
    (
        "sample-incomplete",
        "Some members that were drawn have no saved comparison with an answer. Counting the rest as the sample is right only if what is missing is missing by chance: compare them, too.",
    ),
    (
        "penalised-terms",
        "A ridge makes the coefficients of position and styles smaller than the votes alone say. Their intervals tell how the shrunk coefficients scatter, not where the coefficients without a ridge lie; `kept` says how much of its own effect is left to each. Ratings with the terms are adjusted by the shrunk ones.",
    ),
    (
        "penalty-unused",
        "The ridge is on the coefficients of position and styles only; strengths have no penalty.",
    ),
    ("nothing-changed-but-names", "All values are equal while tensor names or configuration keys differ."),
    (
        "sign-test-negative",
        "The channels agree with *opposite* sign more than chance allows. That is dependence too: flipping signs of channels leaves a model's function unchanged.",
    ),
];

/// What a finding's code means, where that is explained.
pub fn explanation(code: &str) -> Option<&'static str> {
    EXPLANATIONS.iter().find(|(c, _)| *c == code).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn codes_are_unique_and_kebab_case() {
        for (i, (code, text)) in super::EXPLANATIONS.iter().enumerate() {
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !text.is_empty());
            assert!(super::EXPLANATIONS[i + 1..].iter().all(|(other, _)| other != code));
        }
    }
}
