//! A p-value that cannot be separated from what it was computed under.

/// How a p-value was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PKind {
    /// A bound that holds for every sample size under the stated null.
    Exact,
    /// From random rearrangements; not below 1/(B+1).
    Permutation,
    /// From a limiting distribution.
    Asymptotic,
    /// From a panel of known cases.
    Empirical,
}

impl PKind {
    /// Name as reported in JSON.
    pub fn name(self) -> &'static str {
        match self {
            PKind::Exact => "exact",
            PKind::Permutation => "permutation",
            PKind::Asymptotic => "asymptotic",
            PKind::Empirical => "empirical",
        }
    }
}

/// A p-value as log10, with its null, sample size and kind. Never 0, never above 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PValue {
    log10: f64,
    /// How it was obtained.
    pub kind: PKind,
    /// The null hypothesis in one sentence.
    pub null: &'static str,
    /// Sample size: how many exchangeable things entered.
    pub n: u64,
}

impl PValue {
    /// Builds a p-value; `log10` is clamped to at most 0. NaN counts as 1 (nothing shown).
    pub fn new(log10: f64, kind: PKind, null: &'static str, n: u64) -> PValue {
        let log10 = if log10.is_nan() { 0.0 } else { log10.clamp(f64::MIN, 0.0) };
        PValue { log10, kind, null, n }
    }

    /// Base-10 logarithm, finite and at most 0.
    pub fn log10(&self) -> f64 {
        self.log10
    }
}
