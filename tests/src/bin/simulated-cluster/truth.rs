//! The known truth: what each level used in the windows that dashboards show.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::levels::{Amount, CLUSTER, COMPONENTS, Levels};
use crate::recorded::{labels, month};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Sums by window and level.
#[derive(Debug)]
pub(crate) struct Truth {
    windows: Vec<(&'static str, i64, i64)>,
    sums: Vec<Vec<Option<Amount>>>,
    /// What all nodes together used, by the hour that it ended before.
    hours: BTreeMap<i64, Amount>,
}

impl Truth {
    /// The windows that end with the data, and those before them. All begin and end on evaluations.
    pub(crate) fn new(levels: &Levels, begin: i64, end: i64) -> Self {
        let today = end.div_euclid(DAY) * DAY;
        let mut first = today;
        while month(first - DAY) == month(end) {
            first -= DAY;
        }
        let windows: Vec<_> = [
            ("hour", end - HOUR, end),
            ("previous_hour", end - 2 * HOUR, end - HOUR),
            ("six_hours", end - 6 * HOUR, end),
            ("day", end - DAY, end),
            ("previous_day", end - 2 * DAY, end - DAY),
            ("today", today, end),
            ("yesterday", today - DAY, today),
            ("week", end - 7 * DAY, end),
            ("month", first.max(begin), end),
            ("all", begin, end),
        ]
        .into();
        let sums = vec![vec![None; levels.list.len()]; windows.len()];
        Self { windows, sums, hours: BTreeMap::new() }
    }

    /// Adds what was used in the interval that ends here.
    pub(crate) fn add(&mut self, levels: &Levels, at: i64, amounts: &[Option<Amount>]) {
        let all = levels.list.iter().zip(amounts).find(|(level, _)| level.name == "cluster");
        if let Some(amount) = all.and_then(|(_, amount)| amount.as_ref()) {
            self.hours.entry((at - 1).div_euclid(HOUR) * HOUR).or_default().add(amount);
        }
        for ((_, from, to), sums) in self.windows.iter().zip(&mut self.sums) {
            if *from < at && at <= *to {
                for (sum, amount) in sums.iter_mut().zip(amounts) {
                    if let Some(amount) = amount {
                        sum.get_or_insert_default().add(amount);
                    }
                }
            }
        }
    }

    /// Writes `truth.json`.
    pub(crate) fn write(&self, levels: &Levels, facts: Value, path: &Path) {
        let mut truth = facts;
        let windows =
            self.windows.iter().map(|(name, from, to)| ((*name).to_owned(), json!({"from": from, "to": to})));
        truth["cluster"] = json!(CLUSTER);
        truth["windows"] = Value::Object(windows.collect());
        let mut totals = Map::new();
        for ((name, ..), sums) in self.windows.iter().zip(&self.sums) {
            let mut total = Amount::default();
            let nodes = levels.list.iter().zip(sums).filter(|(level, _)| level.name == "node");
            nodes.filter_map(|(_, sum)| sum.as_ref()).for_each(|sum| total.add(sum));
            totals.insert((*name).to_owned(), figures(&total));
        }
        truth["totals"] = Value::Object(totals);
        let hour = |(from, amount): (&i64, &Amount)| {
            let mut figures = figures(amount);
            figures["from"] = json!(from);
            figures
        };
        truth["hours"] = self.hours.iter().map(hour).collect();
        for (place, level) in levels.list.iter().enumerate().filter(|(_, level)| level.name != "job_node") {
            let sums = self
                .windows
                .iter()
                .zip(&self.sums)
                .filter_map(|((name, ..), sums)| Some((name, sums[place]?)));
            let sums: Map<String, Value> =
                sums.map(|(name, sum)| ((*name).to_owned(), figures(&sum))).collect();
            let list = &mut truth["levels"][level.name];
            if list.is_null() {
                *list = json!([]);
            }
            list.as_array_mut().expect("a list").push(json!({"labels": labels(level), "used": sums}));
        }
        fs::write(path, format!("{truth:#}\n")).expect("truth.json");
    }
}

fn figures(amount: &Amount) -> Value {
    let [energy, carbon] = amount.dollars();
    let parts = COMPONENTS.iter().zip(amount.joules).filter(|(_, joules)| *joules > 0.0);
    let parts: Map<String, Value> =
        parts.map(|(name, joules)| ((*name).to_owned(), json!(joules / 3.6e6))).collect();
    json!({
        "kwh_at_meter": amount.joules.iter().sum::<f64>() / 3.6e6,
        "kwh_by_component": parts,
        "kwh": amount.facility / 3.6e6,
        "grams": amount.grams,
        "usd_energy": energy,
        "usd_carbon": carbon,
    })
}
