//! Intensities, prices and budgets: everything that turns joules into something else.

use noether_core::budget::Budget;
use noether_core::carbon::Provenance;
use noether_core::grid::{Grid, IntensityRow};
use noether_core::metric::{self, Metric};

use super::writer::{Value, Writer};

/// All of it.
pub(super) fn carbon(writer: &mut Writer<'_>, grid: &Grid) {
    intensities(writer, &grid.intensities);
    writer.family(&metric::GRID_REQUESTS, |w, m| {
        grid.providers.iter().for_each(|row| w.sample(m, &[row.provider], row.requests));
    });
    writer.family(&metric::GRID_FAILURES, |w, m| {
        for row in &grid.providers {
            row.failures.iter().for_each(|(reason, count)| w.sample(m, &[row.provider, reason], *count));
        }
    });
    writer.family(&metric::NODE_GRID_INFO, |w, m| {
        grid.node_zone.iter().for_each(|zone| w.sample(m, &[zone], 1_u64));
    });
    writer.family(&metric::PUE, |w, m| {
        grid.pue.iter().for_each(|pue| w.sample(m, &[], pue.ratio()));
    });
    writer.family(&metric::ENERGY_PRICE, |w, m| {
        grid.usd_per_kwh.iter().for_each(|price| w.sample(m, &[], *price));
    });
    writer.family(&metric::SOCIAL_COST, |w, m| {
        for cost in &grid.social_costs {
            w.sample(m, &[&cost.country, &cost.percentile], cost.usd_per_tonne);
        }
    });
    writer.family(&metric::ENERGY_BUDGET, |w, m| {
        for (budget, energy) in grid.budgets.iter().filter_map(|budget| Some((budget, budget.energy?))) {
            push_budget(w, m, budget, energy);
        }
    });
    writer.family(&metric::CARBON_BUDGET, |w, m| {
        for (budget, carbon) in grid.budgets.iter().filter_map(|budget| Some((budget, budget.carbon?))) {
            push_budget(w, m, budget, carbon.grams());
        }
    });
}

fn intensities(writer: &mut Writer<'_>, rows: &[IntensityRow]) {
    let labels = |p: &Provenance| {
        [p.zone.to_string(), p.provider.into(), p.signal.label().into(), p.basis.label().into()]
    };
    let observed = || rows.iter().filter_map(|row| Some((&row.provenance, row.observation?)));
    writer.family(&metric::GRID_INTENSITY, |w, m| {
        for (provenance, observation) in observed() {
            let [zone, provider, signal, basis] = &labels(provenance);
            let estimated = if observation.estimated { "true" } else { "false" };
            w.sample(m, &[zone, provider, signal, basis, estimated], observation.intensity.grams_per_kwh());
        }
    });
    writer.family(&metric::GRID_DATA_TIMESTAMP, |w, m| {
        for (provenance, observation) in observed() {
            w.sample(m, &labels(provenance).each_ref().map(String::as_str), observation.at);
        }
    });
    writer.family(&metric::GRID_LAST_SUCCESS, |w, m| {
        for (provenance, success) in rows.iter().filter_map(|row| Some((&row.provenance, row.last_success?)))
        {
            w.sample(m, &labels(provenance).each_ref().map(String::as_str), success);
        }
    });
}

fn push_budget(writer: &mut Writer<'_>, metric: &Metric, budget: &Budget, value: impl Value) {
    let subject = budget.subject.iter().map(|(name, value)| (*name, &**value));
    writer.labelled(metric, subject.chain([("period", budget.period.label())]), value);
}
