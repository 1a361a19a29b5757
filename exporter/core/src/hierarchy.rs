//! What each cgroup used itself: its own figure without its descendants', the dead included.
//!
//! A cgroup's CPU time holds that of all its descendants, living and dead, so
//! `own = node − Σ descendants in the sample`. What a vanished cgroup used after it was last read is in its parent's
//! total, where the living do not explain it.

use alloc::vec::Vec;
use core::time::Duration;

use crate::sample::{Birth, Cgroup, CgroupId, Reserved};
use crate::split::Splitter;
use crate::units::Energy;

/// How far a cgroup may fall behind its children before the difference is forgotten: readings of parent and child are
/// microseconds apart, and v1 counts on each processor in batches.
const SKEW: i64 = 50_000_000;

/// The cgroups' own usage, from tick to tick.
#[derive(Clone, Debug, Default)]
pub struct Hierarchy {
    states: Vec<State>,
    lost: Vec<CgroupId>,
    shares: Shares,
    top_level: u64,
    falls: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// CPU time at the previous reading, in ns.
    last: Option<u64>,
    /// What the whole cgroup gained in this interval, in ns.
    gain: u64,
    /// Whether `gain` was read, not assumed.
    read: bool,
    /// What of `gain` is its children's.
    children: u64,
    /// What is left.
    own: u64,
    /// Own CPU time per second of the interval before, where there was one.
    rate: Option<u64>,
    /// By how much the children's sum exceeded `gain` in earlier intervals.
    debt: i64,
    /// Children's memory, and what they reserve.
    child_memory: u64,
    child_reserved: Reserved,
}

/// Room for sharing out what the vanished used.
#[derive(Clone, Debug, Default)]
struct Shares {
    splitter: Splitter,
    members: Vec<CgroupId>,
    weights: Vec<u64>,
    parts: Vec<Energy>,
}

impl Hierarchy {
    /// Takes the cgroups of a tick, `interval` after those of the tick before.
    pub fn advance(&mut self, cgroups: &[Cgroup], interval: Duration) {
        self.states.resize(cgroups.len(), State::default());
        self.falls = 0;
        for (state, cgroup) in self.states.iter_mut().zip(cgroups) {
            self.falls += u64::from(state.gain(cgroup));
        }
        self.top_level = 0;
        self.add_to_parents(cgroups);
        self.take_out_of_others(cgroups, false);
        self.share_out(cgroups, interval);
        self.take_out_of_others(cgroups, true);
        for (state, cgroup) in self.states.iter_mut().zip(cgroups) {
            if cgroup.present && !cgroup.gone {
                state.settle(interval);
            }
        }
    }

    /// The cgroup's own CPU time in this interval, in ns.
    pub fn cpu(&self, id: CgroupId) -> u64 {
        self.states.get(id as usize).map_or(0, |state| state.own)
    }

    /// The cgroup's own working set, in bytes.
    pub fn memory(&self, id: CgroupId, cgroup: &Cgroup) -> u64 {
        let children = self.states.get(id as usize).map_or(0, |state| state.child_memory);
        cgroup.memory.unwrap_or(0).saturating_sub(children)
    }

    /// What is reserved for the cgroup itself.
    pub fn reserved(&self, id: CgroupId, cgroup: &Cgroup) -> Reserved {
        let children = self.states.get(id as usize).map(|state| state.child_reserved).unwrap_or_default();
        Reserved {
            cpu_milli: cgroup.reserved.cpu_milli.saturating_sub(children.cpu_milli),
            memory: cgroup.reserved.memory.saturating_sub(children.memory),
        }
    }

    /// CPU time of all top-level cgroups in this interval, in ns.
    pub const fn top_level(&self) -> u64 {
        self.top_level
    }

    /// How many counters fell in this interval.
    pub const fn falls(&self) -> u64 {
        self.falls
    }

    /// The nearest cgroup, this one or an ancestor, for which `is` holds.
    pub fn nearest(cgroups: &[Cgroup], id: CgroupId, is: impl Fn(&Cgroup) -> bool) -> Option<CgroupId> {
        let mut at = Some(id);
        // As many steps as there are cgroups: a broken sample may hold a circle.
        for _ in 0..=cgroups.len() {
            let cgroup = cgroups.get(at? as usize)?;
            if is(cgroup) {
                return at;
            }
            at = cgroup.parent;
        }
        None
    }

    fn add_to_parents(&mut self, cgroups: &[Cgroup]) {
        self.lost.clear();
        for state in &mut self.states {
            (state.children, state.child_memory, state.child_reserved) = (0, 0, Reserved::default());
        }
        for (id, cgroup) in (0..).zip(cgroups) {
            if !cgroup.present {
                continue;
            }
            if cgroup.gone {
                self.lost.push(id);
            }
            let gain = self.states.get(id as usize).map_or(0, |state| state.gain);
            if cgroup.top_level {
                self.top_level += gain;
            }
            let Some(above) = cgroup.parent else { continue };
            let Some(parent) = self.states.get_mut(above as usize) else { continue };
            // What the gone used goes to their nearest living ancestor in `share_among`.
            if !cgroup.gone || cgroups.get(above as usize).is_some_and(|above| above.gone) {
                parent.children = parent.children.saturating_add(gain);
            }
            if !cgroup.gone {
                parent.child_memory = parent.child_memory.saturating_add(cgroup.memory.unwrap_or(0));
                parent.child_reserved.cpu_milli += cgroup.reserved.cpu_milli;
                parent.child_reserved.memory =
                    parent.child_reserved.memory.saturating_add(cgroup.reserved.memory);
            }
        }
    }

    /// What is counted in a cgroup of another hierarchy too is not that one's own: of the living first, because the rest
    /// explains what the vanished used.
    fn take_out_of_others(&mut self, cgroups: &[Cgroup], gone: bool) {
        for (id, cgroup) in (0..).zip(cgroups).filter(|(_, cgroup)| cgroup.present && cgroup.gone == gone) {
            let Some(overlap) = cgroup.overlap else { continue };
            let Some(state) = self.states.get(id as usize) else { continue };
            let own = if cgroup.gone { state.own } else { state.gain.saturating_sub(state.children) };
            let memory = cgroup.memory.unwrap_or(0).saturating_sub(state.child_memory);
            let living =
                |id: CgroupId| cgroups.get(id as usize).is_some_and(|other| other.present && !other.gone);
            if !living(overlap.within) {
                continue;
            }
            debug_assert_ne!(id, overlap.within, "a cgroup does not overlap with itself");
            if let Some(other) = self.states.get_mut(overlap.within as usize) {
                other.children = other.children.saturating_add(own);
                if overlap.memory && !cgroup.gone {
                    other.child_memory = other.child_memory.saturating_add(memory);
                }
            }
            let top = overlap.beyond.and_then(|id| cgroups.get(id as usize));
            if top.is_none_or(|above| above.parent.is_none() && !above.top_level) {
                // The top-level cgroup around `within` is of the other hierarchy, and holds it as well.
                self.top_level = self.top_level.saturating_sub(own);
            }
            let beyond = overlap.beyond.and_then(|id| self.states.get_mut(id as usize));
            if let Some(beyond) = beyond {
                beyond.children = beyond.children.saturating_sub(own);
            }
        }
    }

    /// Gives the vanished what their nearest living ancestor's total has and the living do not explain.
    fn share_out(&mut self, cgroups: &[Cgroup], interval: Duration) {
        for id in &self.lost {
            if let Some(state) = self.states.get_mut(*id as usize) {
                state.own = state.gain.saturating_sub(state.children);
            }
        }
        let mut lost = core::mem::take(&mut self.lost);
        let living = |id: &CgroupId| Self::nearest(cgroups, *id, |cgroup| cgroup.present && !cgroup.gone);
        lost.sort_unstable_by_key(living);
        for family in lost.chunk_by(|a, b| living(a) == living(b)) {
            let Some(ancestor) = family.first().and_then(living) else { continue };
            self.share_among(cgroups, ancestor, family, interval);
        }
        self.lost = lost;
    }

    fn share_among(
        &mut self,
        cgroups: &[Cgroup],
        ancestor: CgroupId,
        family: &[CgroupId],
        interval: Duration,
    ) {
        let Some(above) = self.states.get(ancestor as usize).copied() else { return };
        if !above.read {
            return;
        }
        // What the ancestor itself goes on using is explained by the living too.
        let usual = during(above.rate.unwrap_or(0), interval);
        let known =
            family.iter().filter_map(|id| self.states.get(*id as usize)).map(|state| state.own).sum::<u64>();
        let unexplained = above.gain.saturating_sub(above.children).saturating_sub(usual.max(known));
        let shares = &mut self.shares;
        shares.members.clear();
        shares.weights.clear();
        let claims =
            |id: &&CgroupId| cgroups.get(**id as usize).is_some_and(|cgroup| cgroup.workload.is_some());
        let rates = || family.iter().filter(claims).filter_map(|id| self.states.get(*id as usize)?.rate);
        // One that never lived to a tick's end is taken for an average one.
        let unknown = rates().sum::<u64>().checked_div(rates().count() as u64).unwrap_or(0).max(1);
        for id in family.iter().filter(claims) {
            shares.members.push(*id);
            shares
                .weights
                .push(self.states.get(*id as usize).and_then(|state| state.rate).unwrap_or(unknown));
        }
        if shares.weights.iter().all(|weight| *weight == 0) {
            shares.weights.fill(1);
        }
        let whole = Energy::from_microjoules(unexplained);
        shares.splitter.split(whole, &shares.weights, &[], &mut shares.parts);
        let mut given = 0;
        for (id, part) in shares.members.iter().zip(&shares.parts) {
            if let Some(state) = self.states.get_mut(*id as usize) {
                state.own = state.own.saturating_add(part.microjoules());
                given += part.microjoules();
            }
        }
        if let Some(state) = self.states.get_mut(ancestor as usize) {
            state.children = state.children.saturating_add(known).saturating_add(given);
        }
        let below_root =
            cgroups.get(ancestor as usize).is_some_and(|above| above.parent.is_none() && !above.top_level);
        if below_root {
            self.top_level += given;
        }
    }
}

impl State {
    /// Takes the reading; tells whether the counter fell.
    fn gain(&mut self, cgroup: &Cgroup) -> bool {
        if !cgroup.present {
            *self = Self::default();
            return false;
        }
        match cgroup.birth {
            Birth::Earlier => {}
            Birth::Now => *self = Self { last: Some(0), ..Self::default() },
            Birth::Unknown => *self = Self::default(),
        }
        (self.gain, self.read) = (0, false);
        let Some(now) = cgroup.cpu.map(nanos) else { return false };
        self.read = true;
        let Some(last) = self.last.replace(now) else { return false };
        self.gain = now.saturating_sub(last);
        now < last
    }

    fn settle(&mut self, interval: Duration) {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let balance = signed(self.gain).saturating_sub(signed(self.children)).saturating_sub(self.debt);
        self.own = u64::try_from(balance).unwrap_or(0);
        self.debt = balance.min(0).saturating_neg().min(SKEW);
        self.rate = per_second(self.own, interval);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn per_second(own: u64, interval: Duration) -> Option<u64> {
    let rate = (u128::from(own) * 1_000_000_000).checked_div(interval.as_nanos())?;
    u64::try_from(rate).ok()
}

fn during(rate: u64, interval: Duration) -> u64 {
    u64::try_from(u128::from(rate) * interval.as_nanos() / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Overlap, Sockets};
    use crate::workload::Workload;
    use alloc::sync::Arc;
    use alloc::vec;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn cgroup(parent: Option<CgroupId>, milliseconds: u64) -> Cgroup {
        Cgroup {
            present: true,
            parent,
            top_level: parent == Some(0),
            workload: parent.map(|_| Arc::new(Workload::Unit { name: "a.service".into() })),
            cpu: Some(Duration::from_millis(milliseconds)),
            memory: None,
            sockets: Sockets::ALL,
            reserved: Reserved::default(),
            overlap: None,
            birth: Birth::Earlier,
            gone: false,
        }
    }

    /// Advances through ticks of milliseconds of CPU time; every cgroup is there from the start.
    fn run(parents: &[Option<CgroupId>], ticks: &[&[Option<u64>]]) -> (Hierarchy, Vec<Cgroup>) {
        let mut hierarchy = Hierarchy::default();
        let mut cgroups: Vec<Cgroup> = parents.iter().map(|parent| cgroup(*parent, 0)).collect();
        for (tick, values) in ticks.iter().enumerate() {
            for (cgroup, value) in cgroups.iter_mut().zip(*values) {
                cgroup.birth = if tick == 0 { Birth::Unknown } else { Birth::Earlier };
                cgroup.present &= !cgroup.gone;
                cgroup.gone = value.is_none();
                cgroup.cpu = value.map(Duration::from_millis);
            }
            hierarchy.advance(&cgroups, SECOND);
        }
        for cgroup in &mut cgroups {
            cgroup.birth = Birth::Earlier;
        }
        (hierarchy, cgroups)
    }

    fn own(hierarchy: &Hierarchy, id: CgroupId) -> u64 {
        hierarchy.cpu(id) / 1_000_000
    }

    #[test]
    fn own_is_the_node_without_its_descendants() {
        let (h, _) = run(
            &[None, Some(0), Some(1), Some(1)],
            &[&[Some(0), Some(0), Some(0), Some(0)], &[Some(1000), Some(900), Some(300), Some(200)]],
        );
        assert_eq!([own(&h, 0), own(&h, 1), own(&h, 2), own(&h, 3)], [100, 400, 300, 200]);
        assert_eq!(h.top_level() / 1_000_000, 900);
    }

    #[test]
    fn a_cgroup_found_late_starts_at_its_present_value() {
        let (h, _) = run(&[None, Some(0)], &[&[Some(5000), Some(4000)]]);
        assert_eq!([own(&h, 0), own(&h, 1)], [0, 0]);
    }

    #[test]
    fn a_newborn_counts_from_zero() {
        let (mut h, mut cgroups) = run(&[None], &[&[Some(0)]]);
        cgroups[0].cpu = Some(Duration::from_millis(500));
        cgroups.push(Cgroup { birth: Birth::Now, ..cgroup(Some(0), 450) });
        h.advance(&cgroups, SECOND);
        assert_eq!([own(&h, 0), own(&h, 1)], [50, 450]);
    }

    #[test]
    fn what_the_living_do_not_explain_is_the_vanished() {
        // 2 and 3 ran at 300 and 100 ms/s and vanished; their parent gained 200 ms more than the living child 4.
        let (h, _) = run(
            &[None, Some(0), Some(1), Some(1), Some(1)],
            &[
                &[Some(0), Some(0), Some(0), Some(0), Some(0)],
                &[Some(900), Some(900), Some(300), Some(100), Some(500)],
                &[Some(1600), Some(1600), None, None, Some(1000)],
            ],
        );
        assert_eq!([own(&h, 1), own(&h, 2), own(&h, 3), own(&h, 4)], [0, 150, 50, 500]);
    }

    #[test]
    fn a_parents_own_work_is_not_taken_for_that_of_the_vanished() {
        let (h, _) = run(
            &[None, Some(0), Some(1)],
            &[
                &[Some(0), Some(0), Some(0)],
                &[Some(500), Some(500), Some(300)],
                &[Some(800), Some(800), None],
            ],
        );
        assert_eq!([own(&h, 1), own(&h, 2)], [200, 100]);
    }

    #[test]
    fn a_whole_subtree_vanishes_at_once() {
        let (h, _) = run(
            &[None, Some(0), Some(1), Some(2)],
            &[
                &[Some(0), Some(0), Some(0), Some(0)],
                &[Some(400), Some(400), Some(400), Some(400)],
                &[Some(700), Some(700), None, None],
            ],
        );
        assert_eq!([own(&h, 1), own(&h, 2), own(&h, 3)], [0, 0, 300]);
    }

    #[test]
    fn what_two_hierarchies_count_is_one_cgroups_own() {
        // A service (2) in a slice (1) that has 300 ms of its own and 600 ms of the container 4, in `docker` (3) of v1.
        let within = |cgroups: &mut Vec<Cgroup>| {
            cgroups[4].overlap = Some(Overlap { within: 2, beyond: Some(1), memory: false });
        };
        let parents = [None, Some(0), Some(1), Some(0), Some(3)];
        let mut cgroups: Vec<Cgroup> = parents.iter().map(|parent| cgroup(*parent, 0)).collect();
        within(&mut cgroups);
        let mut h = Hierarchy::default();
        cgroups.iter_mut().for_each(|cgroup| cgroup.birth = Birth::Unknown);
        h.advance(&cgroups, SECOND);
        for (cgroup, milliseconds) in cgroups.iter_mut().zip([1000, 350, 900, 600, 600]) {
            (cgroup.cpu, cgroup.birth) = (Some(Duration::from_millis(milliseconds)), Birth::Earlier);
        }
        h.advance(&cgroups, SECOND);
        assert_eq!([1, 2, 3, 4].map(|id| own(&h, id)), [50, 300, 0, 600]);

        // The container goes: what it used last is in both, too.
        for (cgroup, milliseconds) in cgroups.iter_mut().zip([1500, 400, 1250, 900, 0]) {
            cgroup.cpu = Some(Duration::from_millis(milliseconds));
        }
        (cgroups[4].cpu, cgroups[4].gone) = (None, true);
        h.advance(&cgroups, SECOND);
        assert_eq!([1, 2, 3, 4].map(|id| own(&h, id)), [0, 50, 0, 300]);
    }

    #[test]
    fn what_two_top_level_cgroups_count_is_busy_time_once() {
        // A service (2) in a slice (1) of the unified tree alone, and the container 4 in `docker` (3) of v1.
        for root in [Some(0), None] {
            let parents = [None, Some(0), Some(1), Some(0), Some(3)];
            let mut cgroups: Vec<Cgroup> = parents.iter().map(|parent| cgroup(*parent, 0)).collect();
            cgroups[4].overlap = Some(Overlap { within: 2, beyond: root, memory: false });
            let mut h = Hierarchy::default();
            cgroups.iter_mut().for_each(|cgroup| cgroup.birth = Birth::Unknown);
            h.advance(&cgroups, SECOND);
            for (cgroup, milliseconds) in cgroups.iter_mut().zip([1000, 950, 900, 600, 600]) {
                (cgroup.cpu, cgroup.birth) = (Some(Duration::from_millis(milliseconds)), Birth::Earlier);
            }
            h.advance(&cgroups, SECOND);
            assert_eq!([1, 2, 3, 4].map(|id| own(&h, id)), [50, 300, 0, 600]);
            assert_eq!(h.top_level() / 1_000_000, 950);
        }
    }

    #[test]
    fn born_and_gone_within_a_tick() {
        let (mut h, mut cgroups) = run(&[None, Some(0)], &[&[Some(0), Some(0)], &[Some(0), Some(0)]]);
        cgroups[1].cpu = Some(Duration::from_millis(250));
        cgroups.push(Cgroup { birth: Birth::Now, gone: true, cpu: None, ..cgroup(Some(1), 0) });
        h.advance(&cgroups, SECOND);
        assert_eq!([own(&h, 1), own(&h, 2)], [0, 250]);
    }

    #[test]
    fn a_last_reading_of_the_dead_counts() {
        let (mut h, mut cgroups) = run(&[None, Some(0), Some(1)], &[&[Some(0), Some(0), Some(0)]]);
        cgroups[1].cpu = Some(Duration::from_millis(250));
        cgroups[2] = Cgroup { gone: true, ..cgroup(Some(1), 240) };
        h.advance(&cgroups, SECOND);
        assert_eq!([own(&h, 1), own(&h, 2)], [0, 250]);
    }

    #[test]
    fn a_counter_that_falls_adds_nothing_and_is_the_next_base() {
        let (h, _) = run(&[None, Some(0)], &[&[Some(0), Some(900)], &[Some(0), Some(100)]]);
        assert_eq!((own(&h, 1), h.falls()), (0, 1));
        let (h, _) =
            run(&[None, Some(0)], &[&[Some(0), Some(900)], &[Some(0), Some(100)], &[Some(0), Some(150)]]);
        assert_eq!((own(&h, 1), h.falls()), (50, 0));
    }

    #[test]
    fn skew_between_parent_and_child_is_settled_later() {
        let (h, _) = run(
            &[None, Some(0), Some(1)],
            &[
                &[Some(0), Some(0), Some(0)],
                &[Some(100), Some(100), Some(110)],
                &[Some(200), Some(200), Some(200)],
            ],
        );
        assert_eq!([own(&h, 1), own(&h, 2)], [0, 90]);
    }

    proptest! {
        /// Own times never exceed what the root gained, whatever dies, and nothing panics.
        #[test]
        fn own_times_add_up(parents in prop::collection::vec(any::<prop::sample::Index>(), 1..20), ticks in prop::collection::vec(prop::collection::vec((0..1000_u64, any::<bool>()), 20), 1..8)) {
            let parents: Vec<Option<CgroupId>> = core::iter::once(None)
                .chain(parents.iter().enumerate().map(|(place, index)| Some(index.index(place + 1) as u32)))
                .collect();
            let mut hierarchy = Hierarchy::default();
            let mut cgroups: Vec<Cgroup> = parents.iter().map(|parent| cgroup(*parent, 0)).collect();
            hierarchy.advance(&cgroups, SECOND);
            let mut totals = vec![0_u64; parents.len()];
            for tick in ticks {
                for id in (0..cgroups.len()).rev() {
                    cgroups[id].present &= !cgroups[id].gone;
                    let orphan = parents[id].is_some_and(|parent| !cgroups[parent as usize].present);
                    let (gain, dies) = tick[id];
                    if !cgroups[id].present || orphan { cgroups[id].present = false; continue; }
                    let mut at = Some(id as u32);
                    while let Some(up) = at { totals[up as usize] += gain; at = parents[up as usize]; }
                    cgroups[id].gone = dies && id > 0;
                }
                for id in 0..cgroups.len() {
                    let parent_gone = parents[id].is_some_and(|parent| cgroups[parent as usize].gone || !cgroups[parent as usize].present);
                    cgroups[id].gone |= parent_gone;
                    cgroups[id].cpu = (!cgroups[id].gone).then(|| Duration::from_millis(totals[id]));
                }
                let before = hierarchy.states[0].last.unwrap_or(0);
                hierarchy.advance(&cgroups, SECOND);
                let own: u64 = (0..cgroups.len() as u32).map(|id| hierarchy.cpu(id)).sum();
                prop_assert!(own <= totals[0] * 1_000_000 - before);
            }
        }
    }
}
