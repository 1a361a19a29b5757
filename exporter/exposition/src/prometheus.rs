//! The Prometheus text format 0.0.4 and OpenMetrics 1.0: a snapshot as a page.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>

mod writer;

use noether_core::grid::Grid;
use noether_core::snapshot::Snapshot;
use noether_core::vitals::Vitals;

use crate::page::{grid_page, node_page};
use writer::Writer;

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
    node_page(&mut writer, snapshot, vitals, grid);
    writer.end();
}

/// Appends the whole page of the grid: what the command `grid` serves.
pub fn render_grid(vitals: &Vitals, grid: &Grid, format: Format, page: &mut Vec<u8>) {
    let mut writer = Writer::new(page, format);
    grid_page(&mut writer, vitals, grid);
    writer.end();
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_core::reading::{Component, Moment};
    use noether_core::snapshot::{ComponentRow, Mode, Row, Totals};
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
        let since = Moment::default();
        let row = Row { key, info: Arc::default(), since, energy, cpu: Duration::from_millis(1500) };
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
        // A name has no line feed: the core replaces it.
        let page = page(&snapshot("a\"b\\c\nd"), Format::Text);
        let line = "noether_container_energy_joules_total{namespace=\"\",pod=\"\",container=\"a\\\"b\\\\c\u{fffd}d\",component=\"cpu\",mode=\"active\"} 12.000034";
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
