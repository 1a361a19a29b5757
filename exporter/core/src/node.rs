//! One machine from tick to tick: readings in, a snapshot out.
//!
//! The order of a tick: usage, then each domain's interval, closed and charged where it has a reading, then who feeds the
//! node's total in the next interval, then the ledger's publication.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::attribution::{Attribution, IdlePolicy, Interval};
use crate::counter::{Doubt, LeftOut};
use crate::domain::{DomainState, OpenInterval};
use crate::gpu::{Claims, Devices, Method};
use crate::granularity::Granularity;
use crate::hierarchy::Hierarchy;
use crate::idle::Floor;
use crate::ledger::{Ledger, Publication, Terms};
use crate::mirror::Mirrors;
use crate::reading::{Component, Domain, DomainReading, Fault, Moment, Role};
use crate::roster::{Names, Roster};
use crate::sample::Sample;
use crate::snapshot::{DomainRow, Feed, GpuRow, MeterRow, Snapshot};
use crate::split::Splitter;
use crate::standstill;
use crate::units::{Energy, Power};
use crate::usage::Usage;
use crate::window::Window;

/// How a node is to be accounted.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long series live.
    pub terms: Terms,
    /// Who pays for the idle floor.
    pub idle: IdlePolicy,
    /// Idle floors that the operator has set.
    pub floors: Vec<(Component, Power)>,
    /// For how long a workload's name is waited for.
    pub identity_timeout: Duration,
    /// How finely energy is shown. It is counted and split to the microjoule all the same.
    pub granularity: Granularity,
}

/// One machine.
#[derive(Debug)]
pub struct Node {
    granularity: Granularity,
    last: Option<Moment>,
    hierarchy: Hierarchy,
    usage: Usage,
    roster: Roster,
    ledger: Ledger,
    attribution: Attribution,
    domains: Vec<DomainState>,
    mirrors: Mirrors,
    devices: Devices,
    floors: [Floor; Component::COUNT],
    splitter: Splitter,
    parts: Vec<Energy>,
    /// What the components used since the whole-node meter's interval began.
    beside_whole: Energy,
    /// By how much the components exceeded the whole-node meter so far.
    deficit: Energy,
    errors: BTreeMap<(&'static str, &'static str), u64>,
    left_out: Vec<(Arc<Domain>, LeftOut)>,
}

impl Node {
    /// A machine of which nothing is known yet.
    pub fn new(policy: &Policy) -> Self {
        let set = |component| {
            let mut floors = policy.floors.iter().filter(|(of, _)| *of == component);
            Floor::new(floors.next_back().map(|(_, power)| *power))
        };
        Self {
            granularity: policy.granularity,
            last: None,
            hierarchy: Hierarchy::default(),
            usage: Usage::default(),
            roster: Roster::new(policy.identity_timeout),
            ledger: Ledger::new(policy.terms, policy.granularity),
            attribution: Attribution::new(policy.idle),
            domains: Vec::new(),
            mirrors: Mirrors::default(),
            devices: Devices::default(),
            floors: Component::ALL.map(set),
            splitter: Splitter::default(),
            parts: Vec::new(),
            beside_whole: Energy::ZERO,
            deficit: Energy::ZERO,
            errors: BTreeMap::new(),
            left_out: Vec::new(),
        }
    }

    /// Takes a tick's sample, and writes what is to be shown after it.
    pub fn advance(
        &mut self,
        sample: &Sample<'_>,
        names: &dyn Names,
        publication: &Publication,
        snapshot: &mut Snapshot,
    ) {
        self.use_up(sample, names);
        if !sample.gpus.is_empty() {
            let consumers = self.roster.consumers();
            self.devices.take(sample.gpus, sample.holdings, |workload| consumers.get(workload).copied());
        }
        self.take_readings(sample.domains, sample.at);
        let domains = &self.domains;
        self.devices.forget_unmetered(|domain| domains.iter().any(|state| is_of(state, domain)));
        if sample.node.changed {
            self.domains
                .iter_mut()
                .filter_map(|state| state.feed.as_mut())
                .for_each(|feed| feed.distorted = true);
        }
        for component in [Component::Cpu, Component::Dram, Component::Gpu] {
            self.close(component, sample);
        }
        self.close_whole(sample.at);
        self.choose_feeds();
        for state in self.domains.iter().filter(|state| state.fresh()) {
            self.devices.clear(&state.domain);
        }
        self.settle();
        self.ledger.publish(publication, snapshot);
        self.show(publication, snapshot);
    }

    /// The steps of counters that the last tick did not count.
    pub fn left_out(&self) -> &[(Arc<Domain>, LeftOut)] {
        &self.left_out
    }

    fn use_up(&mut self, sample: &Sample<'_>, names: &dyn Names) {
        let interval = self.last.map(|last| sample.at.since(last));
        self.hierarchy.advance(sample.cgroups, interval.unwrap_or_default());
        self.roster.meet(sample, names, &mut self.usage, &mut self.ledger);
        match interval {
            Some(interval) => {
                self.roster.add_usage(sample, &self.hierarchy, interval, &mut self.usage, &mut self.ledger);
                self.usage.end_tick(sample.node, self.hierarchy.top_level(), interval);
            }
            None => self.usage.first_tick(sample.node),
        }
        self.last = Some(sample.at);
    }

    /// Lets go of the ended workloads of which nothing is left to be charged. What accelerators tell of an instant comes
    /// later than it, so they keep who ended in their open interval.
    fn settle(&mut self) {
        let (domains, devices) = (&self.domains, &self.devices);
        let slow = |state: &&DomainState| state.is_slow() && state.awaited();
        let starts =
            || domains.iter().filter(slow).filter_map(|state| state.feed.as_ref()).map(|feed| feed.base.at);
        let settled = |consumer, ended| !devices.names(consumer) && starts().all(|start| start >= ended);
        self.roster.settle(&mut self.usage, &mut self.ledger, &open_intervals(domains), settled);
    }

    fn take_readings(&mut self, readings: &[DomainReading], now: Moment) {
        self.domains.iter_mut().for_each(DomainState::begin_tick);
        self.left_out.clear();
        for reading in readings {
            let place = self.place_of(&reading.domain);
            let Some(state) = self.domains.get_mut(place) else { continue };
            let error = match state.take(reading) {
                Ok(None) => continue,
                Ok(Some(left_out)) => {
                    self.left_out.push((Arc::clone(&state.domain), left_out));
                    left_out.doubt.label()
                }
                Err(fault) => fault.label(),
            };
            *self.errors.entry((reading.domain.meter, error)).or_default() += 1;
        }
        self.domains.iter_mut().for_each(|state| state.end_tick(now));
        let work = self.usage.work();
        for state in &mut self.domains {
            if state.watch(work) {
                *self.errors.entry((state.domain.meter, standstill::REASON)).or_default() += 1;
            }
        }
        self.mirrors.compare(&self.domains);
        for place in 0..self.domains.len() {
            let kinship = self.mirrors.kinship(place, &self.domains);
            let stands_for_others = self.mirrors.is_shared(place);
            if let Some(state) = self.domains.get_mut(place) {
                state.relate(kinship, stands_for_others);
            }
        }
    }

    fn place_of(&mut self, domain: &Arc<Domain>) -> usize {
        if let Some(place) = self.domains.iter().position(|state| same_domain(&state.domain, domain)) {
            return place;
        }
        for reason in Fault::ALL
            .map(Fault::label)
            .into_iter()
            .chain(Doubt::ALL.map(Doubt::label))
            .chain([standstill::REASON])
        {
            self.errors.entry((domain.meter, reason)).or_default();
        }
        self.domains.push(DomainState::new(Arc::clone(domain), self.granularity));
        self.domains.len() - 1
    }

    /// Closes and charges the intervals of all domains that feed the component and were read.
    fn close(&mut self, component: Component, sample: &Sample<'_>) {
        let feeds = |state: &&mut DomainState| state.domain.component == component && state.feeds();
        let count = self.domains.iter_mut().filter(feeds).count();
        let floor = self.floors.get(component as usize).and_then(Floor::power).unwrap_or(Power::ZERO);
        let (mut energies, mut idle, mut whole) = (Vec::new(), Energy::ZERO, Energy::ZERO);
        for state in self.domains.iter_mut().filter(feeds).filter(|state| state.closes()) {
            let Some(feed) = &state.feed else { continue };
            let share = Power::from_microwatts(floor.microwatts() / count.max(1) as u64);
            idle += share.during(state.read_at().since(feed.base.at));
            whole += feed.energy;
            energies.push(feed.energy.microjoules());
        }
        if energies.is_empty() {
            return;
        }
        self.splitter.split(idle.min(whole), &energies, &[], &mut self.parts);
        let mut idles = self.parts.iter().copied();
        let mut certain = true;
        for state in self.domains.iter_mut().filter(feeds).filter(|state| state.closes()) {
            let at = state.read_at();
            let package = state.domain.place.socket;
            let socket = package.and_then(|id| sample.node.packages.iter().position(|other| *other == id));
            let Some(feed) = &mut state.feed else { continue };
            let idle = idles.next().unwrap_or_default().min(feed.energy);
            let active = feed.energy.checked_sub(idle).unwrap_or_default();
            let claims = self.devices.claims(&state.domain);
            let interval = Interval { component, socket, active, idle, base: &feed.base, claims };
            self.attribution.charge(&interval, &self.usage, &mut self.ledger);
            let utilisation = match component {
                Component::Gpu => claims.and_then(Claims::utilisation),
                _ => Some(self.usage.utilisation_since(&feed.base)),
            };
            feed.suspended = claims.is_some_and(Claims::suspended);
            certain &= feed.learn(feed.energy, at, utilisation) || feed.suspended;
            feed.restart(&self.usage, at);
            feed.beside_whole = true;
        }
        self.beside_whole += whole;
        self.observe(component, certain);
    }

    /// Shows the floor a window in which every domain of the component was read, and none with doubt.
    fn observe(&mut self, component: Component, certain: bool) {
        let feed = |state: &&mut DomainState| state.domain.component == component && state.feeds();
        let feeds = self.domains.iter_mut().filter(feed).filter_map(|state| state.feed.as_mut());
        let awake = feeds.filter(|feed| !feed.suspended);
        let mut windows: Vec<&mut Window> = awake.map(|feed| &mut feed.window).collect();
        if windows.is_empty() || certain && !windows.iter().all(|window| window.is_full(component)) {
            return;
        }
        if let (true, Some(floor)) = (certain, self.floors.get_mut(component as usize)) {
            let power = windows.iter().map(|window| window.power().microwatts()).sum();
            let utilisation =
                windows.iter().map(|window| window.utilisation()).sum::<f64>() / windows.len().max(1) as f64;
            let time = windows.iter().map(|window| window.time()).min().unwrap_or_default();
            floor.observe(Power::from_microwatts(power), time, utilisation);
        }
        windows.iter_mut().for_each(|window| **window = Window::default());
    }

    /// What the whole-node meter has beyond the components is `other`; a deficit is carried on.
    /// Accelerators are read at a pace of their own: the whole waits for them, or it would hold energy of theirs that is not
    /// subtracted yet.
    fn close_whole(&mut self, now: Moment) {
        if self.domains.iter().any(|state| state.lags(now)) {
            return;
        }
        let is_whole = |state: &&mut DomainState| state.domain.role == Role::Whole && state.feed.is_some();
        let Some(state) = self.domains.iter_mut().find(is_whole).filter(|state| state.closes()) else {
            return;
        };
        let at = state.read_at();
        let Some(feed) = &mut state.feed else { return };
        let parts = core::mem::take(&mut self.beside_whole);
        let mut certain = false;
        // Nothing is known of the whole in a doubtful interval, so nothing of what lies beside the components.
        if !feed.doubtful {
            let needed = parts + self.deficit;
            let beyond = feed.energy.checked_sub(needed).unwrap_or_default();
            self.deficit = needed.checked_sub(feed.energy).unwrap_or_default();
            let component = Component::Other;
            let floor = self.floors.get(component as usize).and_then(Floor::power).unwrap_or_default();
            let idle = floor.during(at.since(feed.base.at)).min(beyond);
            let active = beyond.checked_sub(idle).unwrap_or_default();
            let interval = Interval { component, socket: None, active, idle, base: &feed.base, claims: None };
            self.attribution.charge(&interval, &self.usage, &mut self.ledger);
            certain = feed.learn(beyond, at, Some(self.usage.utilisation_since(&feed.base)));
        }
        feed.restart(&self.usage, at);
        self.domains
            .iter_mut()
            .filter_map(|state| state.feed.as_mut())
            .for_each(|feed| feed.beside_whole = false);
        self.observe(Component::Other, certain);
    }

    /// Chooses, for each piece of silicon, the domain that feeds the node's total in the next interval: the first of the
    /// meters that can be read. A domain that fails keeps its place for a while, and for good where nothing takes it: its
    /// counter goes on, so its energy comes with its next reading.
    fn choose_feeds(&mut self) {
        for place in 0..self.domains.len() {
            let Some(state) = self.domains.get(place) else { continue };
            let feeds = match state.domain.role {
                Role::Nested => false,
                Role::Part | Role::Whole => !state.is_inert() && self.is_first_choice(place),
                Role::Model => !state.failed() && !self.is_measured(state.domain.component),
            };
            self.feed(place, feeds);
        }
        // A measured domain that failed for long leaves when a model has taken over: else its energy would count twice.
        for component in Component::ALL {
            let stands_in = |state: &DomainState| state.domain.role == Role::Model && state.feed.is_some();
            let of_component = |state: &&mut DomainState| state.domain.component == component;
            if self.domains.iter_mut().filter(of_component).any(|state| stands_in(state)) {
                let parts = self.domains.iter_mut().filter(of_component);
                parts.filter(|state| state.domain.role == Role::Part).for_each(|state| state.feed = None);
            }
            let feeds = |state: &DomainState| state.domain.component == component && state.feed.is_some();
            if !self.domains.iter().any(feeds) {
                self.ledger.unmeter(component);
            }
        }
        // With a part more or less it is another component, and draws another power when nothing runs.
        for state in &mut self.domains {
            if let Some(floor) = self.floors.get_mut(state.domain.component as usize)
                && state.fed != state.feeds()
            {
                floor.forget();
            }
            state.fed = state.feeds();
        }
    }

    /// Whether any measured domain of the component can be read, or could a moment ago.
    fn is_measured(&self, component: Component) -> bool {
        let measured = |state: &DomainState| state.domain.role == Role::Part && !state.failed();
        self.domains.iter().any(|state| state.domain.component == component && measured(state))
    }

    fn feed(&mut self, place: usize, feeds: bool) {
        let Some(state) = self.domains.get_mut(place) else { return };
        if !feeds {
            state.feed = None;
        } else if state.feed.is_none() && state.fresh() {
            state.feed = Some(OpenInterval::new(self.usage.base(state.read_at())));
            self.ledger.meter(state.domain.component);
        }
    }

    /// Whether no better domain counts the same silicon, or none that can be read.
    fn is_first_choice(&self, place: usize) -> bool {
        let Some(state) = self.domains.get(place) else { return false };
        // While a repetition is not sure, the later one's interval is kept; but one that failed makes way at once.
        let repeats = |other| match state.failed() {
            true => self.mirrors.are_one(other, place),
            false => self.mirrors.are_surely_one(other, place),
        };
        let rivals = || {
            self.domains.iter().enumerate().filter(|(other, rival)| {
                let same = rival.same_place(&state.domain) && rival.domain.role == state.domain.role;
                *other != place && (same || repeats(*other))
            })
        };
        if state.failed() {
            // It keeps the place that it has, unless somebody can take it.
            return state.feed.is_some() && rivals().all(|(_, rival)| rival.failed());
        }
        rivals().all(|(other, rival)| {
            rival.failed() || (other > place && (state.fresh() || rival.feed.is_none()))
        })
    }

    fn show(&mut self, publication: &Publication, snapshot: &mut Snapshot) {
        for row in &mut snapshot.components {
            let floor = self.floors.get(row.component as usize);
            row.floor = floor.and_then(|floor| floor.shown(self.granularity));
        }
        let zero_hold = self.ledger.zero_hold();
        snapshot.domains.clear();
        snapshot.feeds.clear();
        snapshot.meters.clear();
        snapshot.still.clear();
        let still = self.domains.iter().filter(|state| state.stands_still());
        snapshot.still.extend(still.map(|state| Arc::clone(&state.domain)));
        let standing = self.standing_meters();
        for state in &mut self.domains {
            // What lies inside domains that stand still shows no power of its own.
            let inside = state.domain.role == Role::Nested && standing.contains(&state.domain.meter);
            if state.shown() && !inside {
                state.hold.advance(publication, zero_hold);
                snapshot.domains.push(DomainRow {
                    domain: Arc::clone(&state.domain),
                    energy: state.shown_energy(),
                    power: state.power,
                    feeds: state.feeds(),
                });
                if state.feeds() {
                    snapshot.feeds.push(Feed::of(&state.domain));
                }
            } else if state.domain.role == Role::Model {
                // It stands by.
                continue;
            }
            let (domain, up) = (&state.domain, state.up(publication.at) && !inside);
            match snapshot.meters.iter_mut().find(|row| row.meter == domain.meter) {
                Some(row) => row.up |= up,
                None => snapshot.meters.push(MeterRow { meter: domain.meter, up, errors: Vec::new() }),
            }
        }
        snapshot.feeds.sort_unstable();
        snapshot.feeds.dedup();
        self.show_devices(publication.at, snapshot);
        for ((meter, reason), count) in &self.errors {
            if let Some(row) = snapshot.meters.iter_mut().find(|row| row.meter == *meter) {
                row.errors.push((reason, *count));
            }
        }
    }
}

impl Node {
    /// Meters of which every domain that is no part of another one stands still, or cannot be read.
    fn standing_meters(&self) -> Vec<&'static str> {
        let whole = || self.domains.iter().filter(|state| state.domain.role != Role::Nested);
        let mut meters: Vec<_> =
            whole().filter(|state| state.stands_still()).map(|state| state.domain.meter).collect();
        meters.retain(|meter| whole().filter(|state| state.domain.meter == *meter).all(DomainState::failed));
        meters
    }

    fn show_devices(&self, now: Moment, snapshot: &mut Snapshot) {
        snapshot.gpus.clear();
        for (look, method) in self.devices.newest() {
            let state = self.domains.iter().find(|state| is_of(state, &look.device.domain));
            // A device that reports no power has no domain, and the rest of it is shown all the same.
            if state.map_or_else(|| look.is_recent(now), |state| state.up(now)) {
                let kept = self.attribution.charges_holders() || method != Method::Holder;
                let method = if kept { method } else { Method::Nobody };
                let look = look.shown(self.granularity);
                snapshot.gpus.push(GpuRow { look, method: method.label() });
            }
        }
    }
}

fn same_domain(one: &Arc<Domain>, other: &Arc<Domain>) -> bool {
    Arc::ptr_eq(one, other) || (one.meter == other.meter && one.name == other.name)
}

fn is_of(state: &DomainState, domain: &Domain) -> bool {
    state.domain.meter == domain.meter && state.domain.name == domain.name
}

/// The intervals in which something may still be charged. A suspected mirror's may stay open for long, so it does not
/// keep ended workloads.
fn open_intervals(domains: &[DomainState]) -> Vec<&crate::usage::Base> {
    let kept = domains.iter().filter(|state| state.awaited());
    kept.filter_map(|state| state.feed.as_ref()).map(|feed| &feed.base).collect()
}
