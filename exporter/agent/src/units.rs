//! Whether systemd units are shown: `--systemd.units`, by default where no kubelet runs.

use std::time::Duration;

use noether_core::reading::Moment;
use noether_core::sample::{Birth, Cgroup};
use noether_core::workload::Workload;
use noether_sources::cgroup::CgroupTree;
use noether_sources::pattern;

use crate::settings::Switch;

/// Units are shown again when no pod has been there for so long: between two pods of a CronJob the kubelet still runs.
const WITHOUT_PODS: Duration = Duration::from_secs(60);

/// Follows the switch, and under `auto` the kubelet.
#[derive(Debug)]
pub struct UnitSwitch {
    switch: Switch,
    shown: bool,
    /// When pods were last seen.
    pods: Option<Moment>,
    /// Whether pods have come since the last look.
    news: bool,
}

impl UnitSwitch {
    /// Units are shown until a kubelet is seen.
    pub fn new(switch: Switch) -> Self {
        Self { switch, shown: switch != Switch::Off, pods: None, news: false }
    }

    /// What a path is, as it stands.
    pub fn recogniser(&self) -> fn(&str) -> Option<Workload> {
        if self.shown { pattern::recognise } else { recognise_without_units }
    }

    /// Takes note of pods that have come.
    pub fn meet(&mut self, cgroups: &[Cgroup]) {
        let is_pod = |cgroup: &Cgroup| {
            let pod = matches!(
                cgroup.workload.as_deref(),
                Some(Workload::Pod { .. } | Workload::Container { pod: Some(_), .. })
            );
            cgroup.birth != Birth::Earlier && pod
        };
        self.news |= self.switch == Switch::Auto && self.shown && cgroups.iter().any(is_pod);
    }

    /// Whether [`UnitSwitch::follow`] has something to look at before it is due.
    pub const fn has_news(&self) -> bool {
        self.news
    }

    /// Looks at the tree, and changes what it recognises where a kubelet has come or gone.
    pub fn follow(&mut self, tree: &mut CgroupTree, now: Moment) {
        self.news = false;
        if self.switch != Switch::Auto {
            return;
        }
        if tree.has_kubelet() {
            self.pods = Some(now);
        }
        let shown = self.pods.is_none_or(|pods| now.since(pods) >= WITHOUT_PODS);
        if shown == self.shown {
            return;
        }
        self.shown = shown;
        tree.recognise_with(self.recogniser());
        if shown {
            tracing::info!("no pods any more: systemd units are shown again (--systemd.units=auto)");
        } else {
            tracing::info!("a kubelet keeps pods here: systemd units are not shown (--systemd.units=auto)");
        }
    }
}

fn recognise_without_units(path: &str) -> Option<Workload> {
    pattern::recognise(path).filter(|workload| !matches!(workload, Workload::Unit { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_units_all_else_is_recognised() {
        assert!(recognise_without_units("/system.slice/sshd.service").is_none());
        assert!(recognise_without_units("/lxc.payload.web").is_some());
        assert!(UnitSwitch::new(Switch::Off).recogniser()("/system.slice/sshd.service").is_none());
        for switch in [Switch::Auto, Switch::On] {
            assert!(UnitSwitch::new(switch).recogniser()("/system.slice/sshd.service").is_some());
        }
    }
}
