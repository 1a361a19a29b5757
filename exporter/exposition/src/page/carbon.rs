//! Intensities, prices and budgets: everything that turns joules into something else.

use noether_core::budget::Budget;
use noether_core::carbon::Provenance;
use noether_core::grid::{Grid, IntensityRow};
use noether_core::metric::{self, Metric};

use super::{Sink, Value};

/// All of it.
pub(super) fn carbon(sink: &mut impl Sink, grid: &Grid) {
    intensities(sink, &grid.intensities);
    sink.family(&metric::GRID_REQUESTS, |s, m| {
        grid.providers.iter().for_each(|row| s.sample(m, &[row.provider], row.requests));
    });
    sink.family(&metric::GRID_FAILURES, |s, m| {
        for row in &grid.providers {
            row.failures.iter().for_each(|(reason, count)| s.sample(m, &[row.provider, reason], *count));
        }
    });
    sink.family(&metric::NODE_GRID_INFO, |s, m| {
        grid.node_zone.iter().for_each(|zone| s.sample(m, &[zone], 1_u64));
    });
    sink.family(&metric::PUE, |s, m| {
        grid.pue.iter().for_each(|pue| s.sample(m, &[], pue.ratio()));
    });
    sink.family(&metric::ENERGY_PRICE, |s, m| {
        grid.usd_per_kwh.iter().for_each(|price| s.sample(m, &[], *price));
    });
    sink.family(&metric::SOCIAL_COST, |s, m| {
        for cost in &grid.social_costs {
            s.sample(m, &[&cost.country, &cost.percentile], cost.usd_per_tonne);
        }
    });
    sink.family(&metric::ENERGY_BUDGET, |s, m| {
        for (budget, energy) in grid.budgets.iter().filter_map(|budget| Some((budget, budget.energy?))) {
            push_budget(s, m, budget, energy);
        }
    });
    sink.family(&metric::CARBON_BUDGET, |s, m| {
        for (budget, carbon) in grid.budgets.iter().filter_map(|budget| Some((budget, budget.carbon?))) {
            push_budget(s, m, budget, carbon.grams());
        }
    });
}

fn intensities(sink: &mut impl Sink, rows: &[IntensityRow]) {
    let labels = |p: &Provenance| {
        [p.zone.to_string(), p.provider.into(), p.signal.label().into(), p.basis.label().into()]
    };
    let observed = || rows.iter().filter_map(|row| Some((&row.provenance, row.observation?)));
    sink.family(&metric::GRID_INTENSITY, |s, m| {
        for (provenance, observation) in observed() {
            let [zone, provider, signal, basis] = &labels(provenance);
            let estimated = if observation.estimated { "true" } else { "false" };
            s.sample(m, &[zone, provider, signal, basis, estimated], observation.intensity.grams_per_kwh());
        }
    });
    sink.family(&metric::GRID_DATA_TIMESTAMP, |s, m| {
        for (provenance, observation) in observed() {
            s.sample(m, &labels(provenance).each_ref().map(String::as_str), observation.at);
        }
    });
    sink.family(&metric::GRID_LAST_SUCCESS, |s, m| {
        for (provenance, success) in rows.iter().filter_map(|row| Some((&row.provenance, row.last_success?)))
        {
            s.sample(m, &labels(provenance).each_ref().map(String::as_str), success);
        }
    });
}

fn push_budget(sink: &mut impl Sink, metric: &Metric, budget: &Budget, value: impl Into<Value>) {
    let subject = budget.subject.iter().map(|(name, value)| (*name, &**value));
    sink.labelled(metric, subject.chain([("period", budget.period.label())]), value);
}
