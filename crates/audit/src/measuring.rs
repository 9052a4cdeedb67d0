//! The pass over the weights of two checkpoints, with its progress told.

use crate::input::Model;
use crate::{AuditError, Event, Settings, Watch};
use stemmata_alignment::{Measurement, Options, Plan, measure};

/// Measures the pairs of `plan`.
pub(crate) fn of(
    plan: &Plan,
    [c, r]: [Model<'_>; 2],
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Measurement, AuditError> {
    let options = Options { threads: settings.threads, stop: settings.stop };
    let mut progress = |p: stemmata_alignment::Progress| {
        watch(Event::Working {
            doing: "comparing",
            elements: p.elements,
            elements_total: p.elements_total,
            bytes: c.weights.bytes_read() + r.weights.bytes_read(),
            tensors: p.tensors,
            tensors_total: p.tensors_total,
        });
    };
    let measurement = measure(plan, c.weights, r.weights, &options, &mut progress)?;
    settings.check_stop()?;
    Ok(measurement)
}
