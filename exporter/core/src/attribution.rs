//! Who is charged: one interval's energy of one domain, split to the microjoule.
//!
//! `e = Σ p·e` over the components (Henderson et al. 2020, eq. 1), p the part of the resource *in use*.

use alloc::vec::Vec;

use crate::gpu::Claims;
use crate::ledger::Ledger;
use crate::reading::Component;
use crate::sample::Sockets;
use crate::snapshot::Mode;
use crate::sockets::{Class, Fit};
use crate::split::Splitter;
use crate::units::Energy;
use crate::usage::{Base, Usage};

/// Who pays for the idle floor: `--attribution.idle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdlePolicy {
    /// As the active part: by what was used.
    #[default]
    Usage,
    /// By what is reserved.
    Requests,
    /// Nobody.
    None,
}

/// The energy of one domain in one interval.
#[derive(Clone, Copy, Debug)]
pub struct Interval<'a> {
    /// What the domain is a part of.
    pub component: Component,
    /// The socket that it meters, where there are several and it meters one.
    pub socket: Option<usize>,
    /// Above the idle floor.
    pub active: Energy,
    /// The idle floor.
    pub idle: Energy,
    /// The usage at its start.
    pub base: &'a Base,
    /// Who used and who held the accelerator that it is of.
    pub claims: Option<&'a Claims>,
}

/// Splits intervals; keeps its room between them.
#[derive(Clone, Debug, Default)]
pub struct Attribution {
    policy: IdlePolicy,
    splitter: Splitter,
    weights: Vec<u64>,
    reserved: Vec<u64>,
    busy: Vec<u64>,
    parts: Vec<Energy>,
    fit: Fit,
    classes: Vec<Class>,
    of_class: Vec<usize>,
}

impl Attribution {
    /// With the policy for the idle floor.
    pub fn new(policy: IdlePolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Whether those who hold an accelerator pay for it while nobody uses it.
    pub fn charges_holders(&self) -> bool {
        self.policy != IdlePolicy::None
    }

    /// Charges the interval's energy, all of it: to the workloads by what they used, the rest to nobody.
    pub fn charge(&mut self, interval: &Interval<'_>, usage: &Usage, ledger: &mut Ledger) {
        self.weigh(interval, usage);
        Self::hand_out(
            &mut self.splitter,
            &mut self.parts,
            (&self.weights, usage),
            (interval.component, Mode::Active, interval.active),
            ledger,
        );
        let weights = match self.policy {
            IdlePolicy::Usage => &self.weights,
            IdlePolicy::Requests => {
                self.reserve(interval, usage);
                &self.reserved
            }
            IdlePolicy::None => {
                ledger.charge_nobody(interval.component, Mode::Idle, interval.idle);
                return;
            }
        };
        let what = (interval.component, Mode::Idle, interval.idle);
        Self::hand_out(&mut self.splitter, &mut self.parts, (weights, usage), what, ledger);
    }

    fn hand_out(
        splitter: &mut Splitter,
        parts: &mut Vec<Energy>,
        (weights, usage): (&[u64], &Usage),
        (component, mode, whole): (Component, Mode, Energy),
        ledger: &mut Ledger,
    ) {
        if whole == Energy::ZERO {
            return;
        }
        if !splitter.split(whole, weights, usage.ties(), parts) {
            ledger.charge_nobody(component, mode, whole);
            return;
        }
        for (place, consumer) in usage.consumers() {
            match parts.get_mut(place).map(core::mem::take) {
                Some(part) if part > Energy::ZERO => ledger.charge(consumer.account, component, mode, part),
                _ => {}
            }
        }
        // What is left: nobody's weight stands last, and a vacant place has none.
        ledger.charge_nobody(component, mode, parts.iter().copied().sum());
    }

    fn weigh(&mut self, interval: &Interval<'_>, usage: &Usage) {
        match interval.component {
            Component::Dram => usage.memory_since(interval.base, &mut self.weights),
            Component::Gpu => self.weigh_claims(interval.claims, usage),
            Component::Cpu | Component::Other => {
                usage.cpu_since(interval.base, &mut self.weights);
                if let Some(socket) = interval.socket {
                    self.keep_to_socket(socket, interval.base, usage);
                }
            }
        }
    }

    /// Those who used an accelerator; where nobody did, those who hold it.
    fn weigh_claims(&mut self, claims: Option<&Claims>, usage: &Usage) {
        let places = usage.places();
        let used = claims.is_some_and(|claims| claims.used(places, &mut self.weights));
        if !used && self.policy != IdlePolicy::None {
            claims.map(|claims| claims.held(places, &mut self.weights));
        }
        if claims.is_none() {
            self.weights.clear();
        }
    }

    fn reserve(&mut self, interval: &Interval<'_>, usage: &Usage) {
        match interval.component {
            Component::Gpu => {
                let held = |claims: &Claims| claims.held(usage.places(), &mut self.reserved);
                if !interval.claims.is_some_and(held) {
                    self.reserved.clone_from(&self.weights);
                }
            }
            Component::Dram => usage.reserved(usage.memory_capacity(), |one| one.memory, &mut self.reserved),
            _ => usage.reserved(usage.cpu_capacity(), |one| one.cpu_milli, &mut self.reserved),
        }
    }

    /// Takes of each weight only what ran on the socket; leaves them as they are where that is not to be told.
    fn keep_to_socket(&mut self, socket: usize, base: &Base, usage: &Usage) {
        usage.busy_since(base, &mut self.busy);
        if self.busy.len() < 2 {
            return;
        }
        self.classify(usage);
        let busy: Vec<f64> = self.busy.iter().map(|busy| *busy as f64).collect();
        if !self.fit.fit(&self.classes, &busy) {
            return;
        }
        let parts: Vec<f64> = (0..self.classes.len()).map(|class| self.fit.part(class, socket)).collect();
        for (weight, class) in self.weights.iter_mut().zip(&self.of_class) {
            *weight = (*weight as f64 * parts.get(*class).copied().unwrap_or(0.0)) as u64;
        }
    }

    /// Sorts the consumers into classes of equal cpusets; nobody's time may run anywhere.
    fn classify(&mut self, usage: &Usage) {
        self.classes.clear();
        self.of_class.clear();
        self.of_class.resize(self.weights.len(), 0);
        self.classes.push(Class {
            sockets: Sockets::ALL,
            time: self.weights.last().map_or(0.0, |rest| *rest as f64),
        });
        for (place, consumer) in usage.consumers() {
            let known = self.classes.iter().position(|class| class.sockets == consumer.sockets);
            let class = known.unwrap_or_else(|| {
                self.classes.push(Class { sockets: consumer.sockets, time: 0.0 });
                self.classes.len() - 1
            });
            let weight = self.weights.get(place).copied().unwrap_or(0);
            if let (Some(known), Some(slot)) = (self.classes.get_mut(class), self.of_class.get_mut(place)) {
                known.time += weight as f64;
                *slot = class;
            }
        }
    }
}
