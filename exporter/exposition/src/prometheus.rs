//! The Prometheus text format 0.0.4 and OpenMetrics 1.0: a snapshot as a page.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>

mod carbon;
mod gpu;
mod writer;

use noether_core::grid::Grid;
use noether_core::metric::{self, Metric};
use noether_core::reading::Component;
use noether_core::snapshot::{Mode, Row, Snapshot, Totals};
use noether_core::vitals::Vitals;
use noether_core::workload::Family;

use carbon::carbon;
use writer::{Value, Writer};

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Text,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

/// Appends the whole page of a snapshot: what the command `node` serves.
pub fn render(snapshot: &Snapshot, vitals: &Vitals, grid: &Grid, format: Format, page: &mut Vec<u8>) {
    let mut writer = Writer::new(page, format);
    domains(&mut writer, snapshot);
    node(&mut writer, snapshot);
    for family in Family::ALL {
        workload_energy(&mut writer, snapshot, family);
    }
    totals(&mut writer, &metric::UNATTRIBUTED_ENERGY, snapshot, &snapshot.unattributed);
    held_back(&mut writer, snapshot);
    for family in Family::ALL {
        workload_cpu(&mut writer, snapshot, family);
    }
    infos(&mut writer, snapshot);
    meters(&mut writer, snapshot);
    gpu::gpus(&mut writer, snapshot);
    sources(&mut writer, vitals);
    writer.family(&metric::WORKLOADS_FOLDED, |w, m| w.sample(m, &[], snapshot.folded));
    carbon(&mut writer, grid);
    ticks(&mut writer, vitals);
    process(&mut writer, vitals);
    writer.end();
}

/// Appends the whole page of the grid: what the command `grid` serves.
pub fn render_grid(vitals: &Vitals, grid: &Grid, format: Format, page: &mut Vec<u8>) {
    let mut writer = Writer::new(page, format);
    carbon(&mut writer, grid);
    process(&mut writer, vitals);
    writer.end();
}

fn domains(writer: &mut Writer<'_>, snapshot: &Snapshot) {
    writer.family(&metric::DOMAIN_ENERGY, |w, m| {
        for row in &snapshot.domains {
            w.sample(m, &[row.domain.meter, &row.domain.name, row.domain.component.label()], row.energy);
        }
    });
    writer.family(&metric::DOMAIN_POWER, |w, m| {
        for row in &snapshot.domains {
            if let Some(power) = row.power {
                w.sample(
                    m,
                    &[row.domain.meter, &row.domain.name, row.domain.component.label()],
                    power.watts(),
                );
            }
        }
    });
}

fn node(writer: &mut Writer<'_>, snapshot: &Snapshot) {
    totals(writer, &metric::NODE_ENERGY, snapshot, &snapshot.node);
    writer.family(&metric::NODE_IDLE_POWER, |w, m| {
        for row in &snapshot.components {
            if let Some(power) = row.floor {
                w.sample(m, &[row.component.label()], power.watts());
            }
        }
    });
}

fn totals(writer: &mut Writer<'_>, metric: &Metric, snapshot: &Snapshot, totals: &Totals) {
    writer.family(metric, |w, m| {
        for component in snapshot.components.iter().map(|row| row.component) {
            for mode in Mode::ALL {
                w.sample(m, &[component.label(), mode.label()], totals.of(component, mode));
            }
        }
    });
}

fn held_back(writer: &mut Writer<'_>, snapshot: &Snapshot) {
    writer.family(&metric::PENDING_ENERGY, |w, m| {
        snapshot.components.iter().for_each(|row| w.sample(m, &[row.component.label()], row.pending));
    });
    writer.family(&metric::RETIRED_ENERGY, |w, m| {
        snapshot.components.iter().for_each(|row| w.sample(m, &[row.component.label()], row.retired));
    });
}

fn rows(snapshot: &Snapshot, family: Family) -> impl Iterator<Item = &Row> {
    snapshot.rows.iter().filter(move |row| row.key.family == family)
}

/// By far the most series: the name and the workload's labels are made once per workload, and copied.
fn workload_energy(writer: &mut Writer<'_>, snapshot: &Snapshot, family: Family) {
    let metric = match family {
        Family::Container => &metric::CONTAINER_ENERGY,
        Family::Job => &metric::JOB_ENERGY,
        Family::Unit => &metric::UNIT_ENERGY,
        Family::Vm => &metric::VM_ENERGY,
    };
    let tails: Vec<(Component, Mode, String)> = snapshot
        .components
        .iter()
        .flat_map(|row| Mode::ALL.map(|mode| (row.component, mode)))
        .map(|(component, mode)| {
            (component, mode, format!("component=\"{}\",mode=\"{}\"}} ", component.label(), mode.label()))
        })
        .collect();
    writer.family(metric, |w, m| {
        for row in rows(snapshot, family) {
            w.set_head(m.name, row);
            for (component, mode, tail) in &tails {
                w.page.extend_from_slice(&w.head);
                w.page.extend_from_slice(tail.as_bytes());
                row.energy.of(*component, *mode).push(w.page);
                w.page.push(b'\n');
            }
        }
    });
}

fn workload_cpu(writer: &mut Writer<'_>, snapshot: &Snapshot, family: Family) {
    let metric = match family {
        Family::Container => &metric::CONTAINER_CPU,
        Family::Job => &metric::JOB_CPU,
        Family::Unit => &metric::UNIT_CPU,
        Family::Vm => &metric::VM_CPU,
    };
    writer.family(metric, |w, m| {
        for row in rows(snapshot, family) {
            let values = row.key.values.iter().map(|value| &**value);
            w.labelled(m, row.key.family.labels().iter().copied().zip(values), row.cpu);
        }
    });
}

fn infos(writer: &mut Writer<'_>, snapshot: &Snapshot) {
    let is_pod = |row: &Row| {
        row.key.family == Family::Container && row.key.values.last().is_some_and(|c| &**c == "POD")
    };
    let mut info = |metric: &Metric, is: &dyn Fn(&Row) -> bool| {
        writer.family(metric, |w, m| {
            for row in snapshot.rows.iter().filter(|row| is(row)) {
                // A pod's series has container="POD"; its info has only what joins.
                let values = row.key.values.iter().map(|value| &**value);
                let own = row.key.family.labels().iter().copied().zip(values);
                let own = own.filter(|(name, _)| m.labels.contains(name));
                let more = row.info.iter().map(|(name, value)| (*name, &**value));
                w.labelled(m, own.chain(more), 1_u64);
            }
        });
    };
    info(&metric::CONTAINER_INFO, &|row| row.key.family == Family::Container && !is_pod(row));
    info(&metric::POD_INFO, &is_pod);
    info(&metric::JOB_INFO, &|row| row.key.family == Family::Job);
    info(&metric::VM_INFO, &|row| row.key.family == Family::Vm);
}

fn meters(writer: &mut Writer<'_>, snapshot: &Snapshot) {
    writer.family(&metric::METER_INFO, |w, m| {
        for feed in &snapshot.feeds {
            w.sample(m, &[feed.meter, feed.component.label(), feed.quality], 1_u64);
        }
    });
    writer.family(&metric::METER_UP, |w, m| {
        snapshot.meters.iter().for_each(|row| w.sample(m, &[row.meter], u64::from(row.up)));
    });
    writer.family(&metric::METER_ERRORS, |w, m| {
        for row in &snapshot.meters {
            row.errors.iter().for_each(|(reason, count)| w.sample(m, &[row.meter, reason], *count));
        }
    });
}

fn sources(writer: &mut Writer<'_>, vitals: &Vitals) {
    writer.family(&metric::SOURCE_UP, |w, m| {
        vitals.sources.iter().for_each(|row| w.sample(m, &[row.source], u64::from(row.up)));
    });
    writer.family(&metric::SOURCE_READ, |w, m| {
        vitals.sources.iter().for_each(|row| w.histogram(m, row.source, &row.read));
    });
    writer.family(&metric::SOURCE_ERRORS, |w, m| {
        for row in &vitals.sources {
            row.errors.iter().for_each(|(reason, count)| w.sample(m, &[row.source, reason], *count));
        }
    });
}

fn ticks(writer: &mut Writer<'_>, vitals: &Vitals) {
    writer.family(&metric::TICK_DURATION, |w, m| {
        vitals.stages.iter().for_each(|(stage, histogram)| w.histogram(m, stage, histogram));
    });
    writer.family(&metric::TICKS_MISSED, |w, m| w.sample(m, &[], vitals.missed));
    writer.family(&metric::LAST_TICK, |w, m| w.sample(m, &[], vitals.last_tick));
}

fn process(writer: &mut Writer<'_>, vitals: &Vitals) {
    writer.family(&metric::HTTP_REQUESTS, |w, m| {
        vitals.requests.iter().for_each(|(code, count)| w.sample(m, &[code], *count));
    });
    writer.family(&metric::HTTP_CONNECTIONS, |w, m| w.sample(m, &[], vitals.connections));
    writer.family(&metric::BUILD_INFO, |w, m| w.sample(m, &[vitals.version], 1_u64));
    writer.family(&metric::PROCESS_CPU, |w, m| w.sample(m, &[], vitals.cpu));
    writer.family(&metric::PROCESS_MEMORY, |w, m| w.sample(m, &[], vitals.resident));
    writer.family(&metric::PROCESS_START, |w, m| w.sample(m, &[], vitals.start));
    writer.family(&metric::PROCESS_FDS, |w, m| w.sample(m, &[], vitals.descriptors.0));
    writer.family(&metric::PROCESS_MAX_FDS, |w, m| w.sample(m, &[], vitals.descriptors.1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_core::snapshot::ComponentRow;
    use noether_core::units::Energy;
    use noether_core::workload::Key;
    use std::sync::Arc;
    use std::time::Duration;

    fn page(snapshot: &Snapshot, format: Format) -> String {
        let mut page = Vec::new();
        let vitals = Vitals { version: "0", ..Vitals::default() };
        render(snapshot, &vitals, &Grid::default(), format, &mut page);
        String::from_utf8(page).unwrap()
    }

    fn snapshot(container: &str) -> Snapshot {
        let mut energy = Totals::ZERO;
        energy.add(Component::Cpu, Mode::Active, Energy::from_microjoules(12_000_034));
        let key = Arc::new(Key::container("", "", container));
        let row = Row { key, info: Arc::default(), energy, cpu: Duration::from_millis(1500) };
        let cpu = ComponentRow {
            component: Component::Cpu,
            pending: Energy::ZERO,
            retired: Energy::ZERO,
            floor: None,
        };
        Snapshot { components: vec![cpu], node: energy, rows: vec![row], ..Snapshot::default() }
    }

    #[test]
    fn six_decimals_and_escaped_labels() {
        let page = page(&snapshot("a\"b\\c\nd"), Format::Text);
        let line = r#"noether_container_energy_joules_total{namespace="",pod="",container="a\"b\\c\nd",component="cpu",mode="active"} 12.000034"#;
        assert!(page.contains(line), "{page}");
        assert!(page.contains("\"} 1.500000\n"), "{page}");
    }

    #[test]
    fn openmetrics_has_units_bare_family_names_and_an_end() {
        let page = page(&snapshot("a"), Format::OpenMetrics);
        assert!(
            page.contains(
                "# TYPE noether_node_energy_joules counter\n# UNIT noether_node_energy_joules joules\n"
            ),
            "{page}"
        );
        assert!(
            page.contains(
                "\nnoether_node_energy_joules_total{component=\"cpu\",mode=\"active\"} 12.000034\n"
            )
        );
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn a_node_without_meters_shows_no_energy_at_all() {
        let page = page(&Snapshot::default(), Format::Text);
        assert!(!page.contains("_energy_"), "{page}");
    }
}
