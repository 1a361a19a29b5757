//! What the shipped rules would have recorded: computed from what was drawn, not from what was scraped.
//!
//! `promtool tsdb create-blocks-from rules` does not see what it has just written, and these rules build on each other and
//! on their own last values. Whether the rules themselves are right is tested elsewhere, on scraped counters.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::sync::Arc;

use noether_core::budget::{Budget, Period};
use noether_core::workload::Family;

use crate::draw::{Parts, add};
use crate::grid::{Market, USD_PER_KWH, USD_PER_TONNE};
use crate::levels::{Amount, CLUSTER, COMPONENTS, Level, Levels};
use crate::world::{Kind, World};

const HOUR: i64 = 3600;
/// A series of something that ended is shown so long.
pub(crate) const LINGER: i64 = 300;

/// How much is written: what is asked over many days needs no container by the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Every level.
    Full,
    /// No containers, and no jobs by node.
    Coarse,
    /// No pods either.
    Coarser,
}

impl Detail {
    fn shows(self, level: &str) -> bool {
        match level {
            "unattributed" => false,
            "container" | "job_node" => self == Self::Full,
            "pod" => self != Self::Coarser,
            _ => true,
        }
    }
}

/// The evaluations, one after the other.
#[derive(Debug)]
pub(crate) struct Recorder<'a> {
    world: &'a World,
    levels: &'a Levels,
    market: Market,
    lines: Vec<Lines>,
    /// Since the hour began; `None` where nothing was there.
    hour: Vec<Option<Amount>>,
    budgets: Vec<Account>,
    last: i64,
}

/// The beginnings of a level's lines, up to the value.
#[derive(Debug)]
struct Lines {
    increase: [String; 4],
    power: [String; 4],
    facility: String,
    grams: String,
    dollars: [String; 2],
    increase1h: [String; 4],
    facility1h: String,
    grams1h: String,
    dollars1h: [String; 2],
}

impl Lines {
    fn new(level: &Level) -> Self {
        let (name, head) = (level.name, level.head());
        let of = |what: &str, more: &str| format!("{name}:noether_{what}{head}{more}}} ");
        let parts = |what: &str| COMPONENTS.map(|component| of(what, &format!(",component=\"{component}\"")));
        let costs = |what: &str| ["energy", "carbon"].map(|cost| of(what, &format!(",cost=\"{cost}\"")));
        Self {
            increase: parts("energy_joules:increase"),
            power: parts("power_watts:rate5m"),
            facility: of("energy_joules:facility_increase", ""),
            grams: of("emissions_grams:increase", ""),
            dollars: costs("cost_dollars:increase"),
            increase1h: parts("energy_joules:increase1h"),
            facility1h: of("energy_joules:facility_increase1h", ""),
            grams1h: of("emissions_grams:increase1h", ""),
            dollars1h: costs("cost_dollars:increase1h"),
        }
    }
}

impl<'a> Recorder<'a> {
    /// Nothing is recorded yet.
    pub(crate) fn new(world: &'a World, levels: &'a Levels, market: Market, budgets: &[Budget]) -> Self {
        let account = |budget: &Budget| Account::new(budget, levels);
        Self {
            world,
            levels,
            market,
            lines: levels.list.iter().map(Lines::new).collect(),
            hour: vec![None; levels.list.len()],
            budgets: budgets.iter().flat_map(account).collect(),
            last: world.begin,
        }
    }

    /// What was used since the evaluation before, by level; `None` for what is not there.
    pub(crate) fn evaluate(&mut self, at: i64, detail: Detail, page: &mut Vec<u8>) -> Vec<Option<Amount>> {
        let last = std::mem::replace(&mut self.last, at);
        let mut amounts: Vec<Option<Amount>> = vec![None; self.levels.list.len()];
        let mut watts: Vec<Parts> = vec![[0.0; 4]; self.levels.list.len()];
        let grams: Vec<f64> =
            self.world.nodes.iter().map(|node| self.market.selected(node.zone, at) / 3.6e6).collect();
        for (draw, mine) in self.world.draws.iter().zip(&self.levels.of_draw) {
            if draw.from >= at || draw.to + LINGER < at {
                continue;
            }
            let joules = draw.joules_over(last, at);
            let power = draw.joules_over(at - 300, at).map(|joules| joules / 300.0);
            let facility = joules.iter().sum::<f64>() * self.world.pue(draw.node);
            let amount = Amount { joules, facility, grams: facility * grams[draw.node] };
            for place in mine {
                amounts[*place].get_or_insert_default().add(&amount);
                add(&mut watts[*place], &power);
            }
        }
        for (place, (level, lines)) in self.levels.list.iter().zip(&self.lines).enumerate() {
            let Some(amount) = &amounts[place] else { continue };
            self.hour[place].get_or_insert_default().add(amount);
            if detail.shows(level.name) {
                write(page, lines, level, amount, &watts[place], at);
            }
        }
        self.once(at, &grams, page);
        self.owners(at, "", detail == Detail::Full, page);
        self.kinds_of_power(at, page);
        self.account(&amounts, at, last, page);
        amounts
    }

    /// The sums of the hour that has just ended.
    pub(crate) fn turn_hour(&mut self, at: i64, page: &mut Vec<u8>) {
        for ((level, lines), hour) in self.levels.list.iter().zip(&self.lines).zip(&mut self.hour) {
            let Some(amount) = hour.take().filter(|_| !matches!(level.name, "unattributed" | "job_node"))
            else {
                continue;
            };
            for part in (0..4).filter(|part| level.has[*part]) {
                line(page, &lines.increase1h[part], amount.joules[part], at);
            }
            if level.name == "cluster" {
                line(page, &lines.facility1h, amount.facility, at);
            }
            line(page, &lines.grams1h, amount.grams, at);
            for (head, dollars) in lines.dollars1h.iter().zip(amount.dollars()) {
                line(page, head, dollars, at);
            }
        }
        self.owners(at, "1h", true, page);
        for name in ["noether:new_hour:timestamp_seconds", "noether:hourly_evaluation_timestamp_seconds:last"]
        {
            line(page, &format!("{name} "), at as f64, at);
        }
    }

    /// What is neither energy nor power.
    fn once(&self, at: i64, grams: &[f64], page: &mut Vec<u8>) {
        line(page, "noether:evaluation_timestamp_seconds:last ", at as f64, at);
        for zone in Market::zones() {
            for what in ["selected", "mean"] {
                let head = format!(
                    "grid_zone:noether_carbon_intensity_grams_per_kwh:{what}{{grid_zone=\"{zone}\"}} "
                );
                line(page, &head, self.market.selected(zone, at), at);
            }
        }
        for (place, node) in self.world.nodes.iter().enumerate() {
            let head = format!("{{cluster=\"{CLUSTER}\",node=\"{}\"}} ", node.name);
            line(page, &format!("node:noether_energy_joules:seen{head}"), 1.0, at);
            line(page, &format!("node:noether_pue_ratio:selected{head}"), self.world.pue(place), at);
            line(page, &format!("node:noether_emissions_grams_per_joule:mean{head}"), grams[place], at);
        }
        let head = format!("{{cluster=\"{CLUSTER}\"}} ");
        line(
            page,
            &format!("cluster:noether_energy_price_usd_per_joule:selected{head}"),
            USD_PER_KWH / 3.6e6,
            at,
        );
        line(
            page,
            &format!("cluster:noether_social_cost_of_carbon_usd_per_gram:selected{head}"),
            USD_PER_TONNE / 1e6,
            at,
        );
    }

    /// What of the nodes' power is the idle floor, what nobody is charged with, and what no meter measured.
    fn kinds_of_power(&self, at: i64, page: &mut Vec<u8>) {
        let (mut watts, mut nobody) =
            (vec![[0.0; 4]; self.world.nodes.len()], vec![[0.0; 4]; self.world.nodes.len()]);
        for draw in self.world.draws.iter().filter(|draw| draw.from < at && draw.to > at - 300) {
            let power = draw.joules_over(at - 300, at).map(|joules| joules / 300.0);
            add(&mut watts[draw.node], &power);
            if draw.key.is_none() {
                add(&mut nobody[draw.node], &power);
            }
        }
        // By quantity, component and mode, as labels.
        let mut sums: BTreeMap<(&str, String), f64> = BTreeMap::new();
        for (place, node) in self.world.nodes.iter().enumerate() {
            for part in (0..4).filter(|part| node.has[*part]) {
                let all = watts[place][part];
                let idle = node.floor[part].min(all);
                let share = if all > 0.0 { idle / all } else { 0.0 };
                let modelled = (node.kind == Kind::Batch).then_some(("modelled", "", all));
                let kinds = [
                    ("idle", "", idle),
                    ("unattributed", ",mode=\"active\"", nobody[place][part] * (1.0 - share)),
                    ("unattributed", ",mode=\"idle\"", nobody[place][part] * share),
                ];
                for (what, mode, value) in kinds.into_iter().chain(modelled) {
                    let more = format!(",component=\"{}\"{mode}", COMPONENTS[part]);
                    let labels = format!("cluster=\"{CLUSTER}\",node=\"{}\"{more}", node.name);
                    line(page, &format!("node:noether_{what}_power_watts:rate5m{{{labels}}} "), value, at);
                    *sums.entry((what, more)).or_default() += value;
                }
            }
        }
        for ((what, more), value) in sums {
            let head = format!("cluster:noether_{what}_power_watts:rate5m{{cluster=\"{CLUSTER}\"{more}}} ");
            line(page, &head, value, at);
        }
    }

    /// Who pods and jobs belong to, at an evaluation or (`1h`) in the hour before.
    fn owners(&self, at: i64, hourly: &str, pods: bool, page: &mut Vec<u8>) {
        let since = if hourly.is_empty() { at - LINGER } else { at - HOUR };
        for (draw, mine) in self.world.draws.iter().zip(&self.levels.of_draw) {
            let is_pod = pods && draw.info.iter().any(|(name, _)| *name == "workload_kind");
            let is_job = draw.key.as_ref().is_some_and(|key| key.family == Family::Job);
            if draw.from >= at || draw.to < since || !(is_job || is_pod) {
                continue;
            }
            let level = |name: &str| {
                mine.iter().map(|place| &self.levels.list[*place]).find(|level| level.name == name)
            };
            if is_job {
                let known = draw.info.iter().map(|(name, value)| format!(",{name}=\"{value}\""));
                let head = level("job").expect("a job has its level").head() + &known.collect::<String>();
                line(page, &format!("job:noether_job_info:selected{hourly}{head}}} "), 1.0, at);
                if !hourly.is_empty() {
                    continue;
                }
            }
            for (what, who, whose) in [
                ("pod:noether_workload:owner", "pod", "workload"),
                ("job:noether_user:owner", "job", "user"),
                ("job:noether_account:owner", "job", "account"),
            ] {
                if let (Some(one), Some(above)) = (level(who), level(whose)) {
                    let more = above.labels.iter().filter(|(name, _)| *name != "namespace").cloned();
                    let labels = one.labels.iter().cloned().chain(more).collect();
                    let level = Level { name: "", labels, has: [false; 4] };
                    line(page, &format!("{what}{hourly}{}}} ", level.head()), 1.0, at);
                }
            }
        }
    }

    fn account(&mut self, amounts: &[Option<Amount>], at: i64, last: i64, page: &mut Vec<u8>) {
        for period in ["lifetime", "day", "month"] {
            let same = match period {
                "day" => at / 86_400 == last / 86_400,
                "month" => month(at) == month(last),
                _ => true,
            };
            line(
                page,
                &format!("noether:same_period:bool{{period=\"{period}\"}} "),
                f64::from(u8::from(same)),
                at,
            );
        }
        for budget in &mut self.budgets {
            budget.book(amounts[budget.place].as_ref(), at, last);
            budget.write(at, page);
        }
    }
}

fn write(page: &mut Vec<u8>, lines: &Lines, level: &Level, amount: &Amount, watts: &Parts, at: i64) {
    for part in (0..4).filter(|part| level.has[*part]) {
        line(page, &lines.increase[part], amount.joules[part], at);
        line(page, &lines.power[part], watts[part], at);
    }
    line(page, &lines.facility, amount.facility, at);
    line(page, &lines.grams, amount.grams, at);
    if level.name != "job_node" {
        for (head, dollars) in lines.dollars.iter().zip(amount.dollars()) {
            line(page, head, dollars, at);
        }
    }
}

/// A sample.
pub(crate) fn line(page: &mut Vec<u8>, head: &str, value: f64, at: i64) {
    writeln!(page, "{head}{value} {at}").expect("memory is writable");
}

/// A budget, and what was used of it.
#[derive(Debug)]
struct Account {
    place: usize,
    period: Period,
    /// `energy_joules` or `emissions_grams`.
    quantity: &'static str,
    limit: f64,
    used: f64,
    head: String,
    level: &'static str,
    /// Of the last hours, oldest first: for burn rates.
    ratios: VecDeque<(i64, f64)>,
}

impl Account {
    fn new(budget: &Budget, levels: &Levels) -> Vec<Self> {
        let level = match budget.subject.last().map(|(name, _)| *name) {
            Some("namespace") => "namespace",
            Some("workload") => "workload",
            Some("user") => "user",
            _ => "account",
        };
        let Some(place) = levels.find(level, &budget.subject) else { return Vec::new() };
        let subject = Level { name: level, labels: budget.subject.clone(), has: [false; 4] };
        let head = format!("{},period=\"{}\"}} ", subject.head(), budget.period.label());
        let energy = budget.energy.map(|energy| ("energy_joules", energy.joules()));
        let carbon = budget.carbon.map(|carbon| ("emissions_grams", carbon.grams()));
        let account = |(quantity, limit)| Self {
            place,
            period: budget.period,
            quantity,
            limit,
            used: 0.0,
            head: head.clone(),
            level,
            ratios: VecDeque::new(),
        };
        energy.into_iter().chain(carbon).map(account).collect()
    }

    fn book(&mut self, amount: Option<&Amount>, at: i64, last: i64) {
        let same = match self.period {
            Period::Lifetime => true,
            Period::Day => at / 86_400 == last / 86_400,
            Period::Month => month(at) == month(last),
        };
        let more =
            amount.map_or(
                0.0,
                |amount| if self.quantity == "energy_joules" { amount.facility } else { amount.grams },
            );
        self.used = if same { self.used } else { 0.0 } + more;
        self.ratios.push_back((at, self.used / self.limit));
        while self.ratios.front().is_some_and(|(then, _)| at - then > 7 * HOUR) {
            self.ratios.pop_front();
        }
    }

    fn write(&self, at: i64, page: &mut Vec<u8>) {
        let (quantity, head, ratio) = (self.quantity, &self.head, self.used / self.limit);
        line(page, &format!("{}:noether_{quantity}:budget_used{head}", self.level), self.used, at);
        line(page, &format!("budget:noether_{quantity}:used_ratio{head}"), ratio, at);
        let length = match self.period {
            Period::Lifetime => return,
            Period::Day => 86_400.0,
            Period::Month => 86_400.0 * f64::from(days_in_month(at)),
        };
        for (name, window) in [("5m", 300), ("30m", 1800), ("1h", 3600), ("6h", 21_600)] {
            let then =
                self.ratios.iter().rfind(|(then, _)| *then <= at - window && *then > at - window - 300);
            if let Some((_, before)) = then.filter(|(_, before)| *before <= ratio) {
                let rate = (ratio - before) * length / window as f64;
                line(page, &format!("budget:noether_{quantity}:burn_rate{name}{head}"), rate, at);
            }
        }
    }
}

/// Year and month of an instant, after <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
pub(crate) fn month(at: i64) -> (i64, u32) {
    let days = at.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month as u32)
}

fn days_in_month(at: i64) -> u32 {
    match month(at) {
        (_, 4 | 6 | 9 | 11) => 30,
        (year, 2) if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        (_, 2) => 28,
        _ => 31,
    }
}

/// The name of a level's labels and their values, for JSON.
pub(crate) fn labels(level: &Level) -> serde_json::Map<String, serde_json::Value> {
    let text = |value: &Arc<str>| serde_json::Value::from(&**value);
    level.labels.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect()
}
