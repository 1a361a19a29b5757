//! The committed dashboards as Grafana would ask them: panels, their queries with the variables filled in, and when.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::prometheus::{Prometheus, Series};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A dashboard.
#[derive(Clone, Debug)]
pub struct Board {
    /// Its uid.
    pub uid: String,
    /// All of it.
    pub json: Value,
    /// Its panels, those in rows too, without the rows.
    pub panels: Vec<Panel>,
}

/// A panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The uid of its dashboard.
    pub board: String,
    /// Its title.
    pub title: String,
    /// Grafana's name of what draws it.
    pub kind: String,
    /// The unit of its fields.
    pub unit: String,
    /// What it shows where there is nothing; empty where it does not say.
    pub no_value: String,
    /// Its queries.
    pub queries: Vec<Query>,
    /// All of it.
    pub json: Value,
}

/// A query of a panel.
#[derive(Clone, Debug)]
pub struct Query {
    /// The expression, with Grafana's variables.
    pub expr: String,
    /// Whether it is asked once, at the end.
    pub instant: bool,
}

/// The time that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Unix times of begin and end.
    pub from: i64,
    /// See `from`.
    pub to: i64,
}

impl Board {
    /// The values that it gives its own variables when everything is chosen.
    pub fn all(&self) -> Vec<(String, String)> {
        let list = self.json["templating"]["list"].as_array().cloned().unwrap_or_default();
        let variables = list.iter().filter(|variable| variable["type"] != "datasource");
        let filled = variables.map(|variable| {
            let name = text(&variable["name"]);
            let many = variable["includeAll"] == true;
            let current = &variable["current"]["value"];
            let first = if current.is_array() { &current[0] } else { current };
            let value = match (many, text(first)) {
                (true, _) => ".*".to_owned(),
                (false, value) => value,
            };
            (name, value)
        });
        filled.collect()
    }
}

impl Board {
    /// The same, where it shows `range` seconds up to `end`: what is asked of Prometheus (`query_result`) is asked.
    pub fn all_over(&self, range: i64, end: i64, prometheus: &Prometheus) -> Vec<(String, String)> {
        let list = self.json["templating"]["list"].as_array().cloned().unwrap_or_default();
        let asked = |name: &str| {
            let variable = list.iter().find(|variable| variable["name"] == name)?;
            let definition = text(&variable["definition"]);
            let query = definition.strip_prefix("query_result(")?.strip_suffix(')')?;
            let query = query.replace("$__range_s", &range.to_string());
            let answer = prometheus.try_instant(&query, end as f64).expect("an answer");
            Some(answer.first()?.label(name).to_owned())
        };
        let value = |(name, value): (String, String)| {
            let value = asked(&name).unwrap_or(value);
            (name, value)
        };
        self.all().into_iter().map(value).collect()
    }
}

impl Panel {
    /// What it asks for, where the dashboard shows `range` seconds up to `end`.
    pub fn span(&self, range: i64, end: i64) -> Span {
        let from = match text(&self.json["timeFrom"]).as_str() {
            "" => end - range,
            "now/d" => midnight(end),
            "now/M" => first_of_month(end),
            relative => end - seconds(relative.strip_prefix("now-").unwrap_or(relative)),
        };
        match text(&self.json["timeShift"]).as_str() {
            "" => Span { from, to: end },
            "1M" => {
                let before = first_of_month(from - DAY);
                Span { from: before, to: before + (end - from) }
            }
            shift => Span { from: from - seconds(shift), to: end - seconds(shift) },
        }
    }

    /// Seconds between two points of a graph about 1,000 pixels wide, or of as many points as it asks for, in the manner of Grafana.
    pub fn step(&self, span: Span) -> i64 {
        let least = match text(&self.json["interval"]).as_str() {
            "" => 15,
            given => seconds(given),
        };
        let nice = [15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];
        let points = self.json["maxDataPoints"].as_i64().unwrap_or(1000);
        let wanted = (span.to - span.from) / points;
        nice.into_iter().find(|step| *step >= wanted).unwrap_or(86_400).max(least)
    }

    /// A query with everything filled in.
    pub fn fill(&self, query: &Query, span: Span, variables: &[(String, String)]) -> String {
        let (range, step) = (span.to - span.from, self.step(span));
        let own = [
            ("__rate_interval", format!("{}s", (step + 30).max(120))),
            ("__range_s", range.to_string()),
            ("__range_ms", (range * 1000).to_string()),
            ("__range", format!("{range}s")),
            ("__interval_ms", (step * 1000).to_string()),
            ("__interval", format!("{step}s")),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        let mut values: Vec<_> = own.iter().chain(variables).collect();
        // The longer name first, so that none is taken for a shorter one.
        values.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        values.into_iter().fold(query.expr.clone(), |expr, (name, value)| {
            let braced = ["", ":regex", ":pipe", ":raw"].map(|how| format!("${{{name}{how}}}"));
            let expr = braced.iter().fold(expr, |expr, braced| expr.replace(braced, value));
            expr.replace(&format!("${name}"), value)
        })
    }

    /// Asks a query; or tells what is wrong with it.
    pub fn ask(
        &self,
        query: &Query,
        span: Span,
        variables: &[(String, String)],
        prometheus: &Prometheus,
    ) -> Result<Vec<Series>, String> {
        let expr = self.fill(query, span, variables);
        let (from, to, step) = (span.from as f64, span.to as f64, self.step(span) as f64);
        let answer = if query.instant {
            prometheus.try_instant(&expr, to)
        } else {
            prometheus.try_range(&expr, from, to, step)
        };
        answer.map_err(|wrong| format!("{expr}: {wrong}"))
    }
}

/// The dashboards of a folder, in order.
pub fn read(folder: &Path) -> Vec<Board> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    files.iter().map(|file| board(file)).collect()
}

fn board(file: &Path) -> Board {
    let text_of_file = fs::read_to_string(file).expect("a dashboard");
    let json: Value =
        serde_json::from_str(&text_of_file).unwrap_or_else(|wrong| panic!("{}: {wrong}", file.display()));
    let uid = text(&json["uid"]);
    let mut panels = Vec::new();
    collect(&json["panels"], &uid, &mut panels);
    Board { uid, json, panels }
}

fn collect(list: &Value, board: &str, panels: &mut Vec<Panel>) {
    for json in list.as_array().into_iter().flatten() {
        if json["type"] == "row" {
            collect(&json["panels"], board, panels);
            continue;
        }
        let queries = json["targets"].as_array().into_iter().flatten();
        let defaults = &json["fieldConfig"]["defaults"];
        panels.push(Panel {
            board: board.to_owned(),
            title: text(&json["title"]),
            kind: text(&json["type"]),
            unit: text(&defaults["unit"]),
            no_value: text(&defaults["noValue"]),
            queries: queries
                .map(|query| Query { expr: text(&query["expr"]), instant: query["instant"] == true })
                .collect(),
            json: json.clone(),
        });
    }
}

/// A JSON string, or nothing.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn seconds(text: &str) -> i64 {
    let split = text.len().saturating_sub(1);
    let number: i64 = text[..split].parse().unwrap_or_else(|_| panic!("{text} is no duration"));
    number
        * match &text[split..] {
            "s" => 1,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            "w" => 7 * DAY,
            _ => panic!("{text} is no duration"),
        }
}

fn midnight(at: i64) -> i64 {
    at.div_euclid(DAY) * DAY
}

/// Midnight of the first day of a month, counted back from `at` by <https://howardhinnant.github.io/date_algorithms.html>.
fn first_of_month(at: i64) -> i64 {
    let days = at.div_euclid(DAY) + 719_468;
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5;
    midnight(at) - day * DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(json: &str) -> Panel {
        let mut panels = Vec::new();
        collect(&Value::Array(vec![serde_json::from_str(json).unwrap()]), "b", &mut panels);
        panels.pop().unwrap()
    }

    #[test]
    fn months_and_days_begin_at_midnight() {
        // 2024-02-29T12:00:00Z, 2025-12-01T00:00:00Z.
        assert_eq!(first_of_month(1_709_208_000), 1_706_745_600);
        assert_eq!(first_of_month(1_764_547_200), 1_764_547_200);
        assert_eq!(
            panel(r#"{"timeFrom": "now/d", "timeShift": "1d"}"#).span(0, 1_709_208_000),
            Span { from: 1_709_164_800 - DAY, to: 1_709_208_000 - DAY }
        );
        // As much of January as of February.
        let shifted = panel(r#"{"timeFrom": "now/M", "timeShift": "1M"}"#).span(0, 1_709_208_000);
        assert_eq!(shifted, Span { from: 1_704_067_200, to: 1_704_067_200 + 28 * DAY + 12 * HOUR });
    }

    #[test]
    fn variables_are_filled_in_the_longest_first() {
        let panel = panel(
            r#"{"targets": [{"expr": "x{a=~\"$node\", b=~\"${node_type:regex}\"}[$__range] + $__range_s"}]}"#,
        );
        let variables =
            [("node", "A"), ("node_type", "B")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let filled = panel.fill(&panel.queries[0], Span { from: 0, to: 3600 }, &variables);
        assert_eq!(filled, r#"x{a=~"A", b=~"B"}[3600s] + 3600"#);
    }
}
