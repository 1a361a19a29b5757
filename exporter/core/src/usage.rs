//! Who used what: cumulative, so that any interval's usage is a difference.

use alloc::vec::Vec;
use core::time::Duration;

use crate::ledger::AccountId;
use crate::reading::Moment;
use crate::sample::{NodeUsage, Reserved, Sockets};

/// Busy time that the kernel may count later than the cgroups do: five fields of whole clock ticks.
const LATE: u64 = 50_000_000;

/// A workload's place in [`Usage`].
pub type ConsumerId = usize;

/// One living workload, or one that ended and whose last interval is not closed yet.
#[derive(Clone, Copy, Debug)]
pub struct Consumer {
    /// Where it pays.
    pub account: AccountId,
    /// Where it may run.
    pub sockets: Sockets,
    /// What is reserved for it.
    pub reserved: Reserved,
}

/// Cumulative usage of all workloads and of nobody. Sums may wrap: only differences are used.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    consumers: Vec<Option<Consumer>>,
    vacant: Vec<ConsumerId>,
    ties: Vec<u64>,
    totals: Totals,
    cpus: u32,
    memory_total: u64,
    last_busy: Vec<Duration>,
    /// Busy time that the cgroups had first, not yet seen in the processors' times.
    debt: u64,
    tick: TickUsage,
}

/// Usage since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Totals {
    /// CPU time by consumer, in ns.
    cpu: Vec<u64>,
    /// Working set × time by consumer, in KiB·ms.
    memory: Vec<u64>,
    /// Busy time by socket, in ns.
    busy: Vec<u64>,
    /// CPU time that no workload used, in ns.
    rest_cpu: u64,
    /// Memory × time that no workload held, in KiB·ms.
    rest_memory: u64,
    /// Time that all processors had, busy or not, in ns.
    capacity: u64,
}

/// What was added in the present tick.
#[derive(Clone, Copy, Debug, Default)]
struct TickUsage {
    cpu: u64,
    memory: u64,
}

/// The state of [`Usage`] at the start of an interval.
#[derive(Clone, Debug)]
pub struct Base {
    /// The instant.
    pub at: Moment,
    totals: Totals,
}

impl Usage {
    /// A workload begins. `tie` orders it among equals, whatever its place.
    pub fn begin(&mut self, consumer: Consumer, tie: u64) -> ConsumerId {
        if let Some(place) = self.vacant.pop()
            && let (Some(slot), Some(old)) = (self.consumers.get_mut(place), self.ties.get_mut(place))
        {
            (*slot, *old) = (Some(consumer), tie);
            return place;
        }
        self.consumers.push(Some(consumer));
        self.ties.push(tie);
        self.totals.cpu.push(0);
        self.totals.memory.push(0);
        self.consumers.len() - 1
    }

    /// The consumer at a place.
    pub fn consumer(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        self.consumers.get_mut(id)?.as_mut()
    }

    /// All consumers with their places.
    pub fn consumers(&self) -> impl Iterator<Item = (ConsumerId, &Consumer)> {
        self.consumers.iter().enumerate().filter_map(|(place, consumer)| Some((place, consumer.as_ref()?)))
    }

    /// How many places there are, vacant ones included.
    pub const fn places(&self) -> usize {
        self.consumers.len()
    }

    /// What orders the consumers among equals.
    pub fn ties(&self) -> &[u64] {
        &self.ties
    }

    /// Adds what a consumer used in the present tick: CPU time in ns, and `memory` bytes held for `interval`.
    pub fn add(&mut self, id: ConsumerId, cpu: u64, memory: u64, interval: Duration) {
        self.tick.cpu = self.tick.cpu.saturating_add(cpu);
        self.tick.memory = self.tick.memory.saturating_add(memory);
        if let Some(total) = self.totals.cpu.get_mut(id) {
            *total = total.wrapping_add(cpu);
        }
        if let Some(total) = self.totals.memory.get_mut(id) {
            *total = total.wrapping_add(held(memory, interval));
        }
    }

    /// Ends the tick: what the node used beyond the workloads is nobody's. Busy time is the larger of what the
    /// processors tell and what all `top_level` cgroups (in ns) have.
    pub fn end_tick(&mut self, node: &NodeUsage, top_level: u64, interval: Duration) {
        let tick = core::mem::take(&mut self.tick);
        (self.cpus, self.memory_total) = (node.cpus, node.memory_total);
        let held_by_all = node.memory_held.max(tick.memory);
        let rest = held(held_by_all - tick.memory, interval);
        self.totals.rest_memory = self.totals.rest_memory.wrapping_add(rest);
        let capacity = nanos(interval).wrapping_mul(u64::from(node.cpus.max(1)));
        self.totals.capacity = self.totals.capacity.wrapping_add(capacity);

        self.totals.busy.resize(node.busy.len().max(1), 0);
        // A socket that is new has been busy since it came.
        self.last_busy.resize(node.busy.len(), Duration::ZERO);
        let gain = |now: &Duration, last: &Duration| nanos(now.saturating_sub(*last));
        let told: u64 = node.busy.iter().zip(&self.last_busy).map(|(now, last)| gain(now, last)).sum();
        let need = top_level.max(tick.cpu);
        let left = told.saturating_sub(self.debt);
        let busy = left.max(need);
        self.debt = (busy - left).min(LATE);
        self.totals.rest_cpu = self.totals.rest_cpu.wrapping_add(busy - tick.cpu);
        let mut counts = node.busy.iter().zip(&self.last_busy);
        let even = busy / self.totals.busy.len().max(1) as u64;
        for total in &mut self.totals.busy {
            let gain = counts.next().map_or(0, |(now, last)| gain(now, last));
            *total = total.wrapping_add(if told == 0 { even } else { scaled(gain, busy, told) });
        }
        self.last_busy.clone_from(&node.busy);
    }

    /// Takes the processors' times as the base, without an interval before them.
    pub fn first_tick(&mut self, node: &NodeUsage) {
        self.tick = TickUsage::default();
        (self.cpus, self.memory_total) = (node.cpus, node.memory_total);
        self.last_busy.clone_from(&node.busy);
        self.totals.busy.resize(node.busy.len().max(1), 0);
    }

    /// An interval starts at `at`.
    pub fn base(&self, at: Moment) -> Base {
        Base { at, totals: self.totals.clone() }
    }

    /// An interval starts at `at`; the room of the one before is used again.
    pub fn rebase(&self, base: &mut Base, at: Moment) {
        base.at = at;
        base.totals.clone_from(&self.totals);
    }

    /// CPU time of each consumer since `base`, in ns, and last that of nobody.
    pub fn cpu_since(&self, base: &Base, into: &mut Vec<u64>) {
        since(&self.totals.cpu, &base.totals.cpu, into);
        into.push(self.totals.rest_cpu.wrapping_sub(base.totals.rest_cpu));
    }

    /// Memory × time of each consumer since `base`, in KiB·ms, and last that of nobody.
    pub fn memory_since(&self, base: &Base, into: &mut Vec<u64>) {
        since(&self.totals.memory, &base.totals.memory, into);
        into.push(self.totals.rest_memory.wrapping_sub(base.totals.rest_memory));
    }

    /// Busy time of each socket since `base`, in ns.
    pub fn busy_since(&self, base: &Base, into: &mut Vec<u64>) {
        since(&self.totals.busy, &base.totals.busy, into);
    }

    /// Busy time of all sockets since the start, in ns; it may wrap.
    pub fn work(&self) -> u64 {
        self.totals.busy.iter().fold(0, |sum: u64, busy| sum.wrapping_add(*busy))
    }

    /// The part of all processors' time since `base` in which they were busy, 0 to 1: between the same two ticks as the
    /// usage, whenever a meter was read.
    pub fn utilisation_since(&self, base: &Base) -> f64 {
        let gains = self.totals.busy.iter().zip(base.totals.busy.iter().chain(core::iter::repeat(&0)));
        let busy: u64 = gains.map(|(now, then)| now.wrapping_sub(*then)).sum();
        let capacity = self.totals.capacity.wrapping_sub(base.totals.capacity);
        if capacity > 0 { (busy as f64 / capacity as f64).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// What is reserved by each consumer, as `of` tells, and last what of the `capacity` is left.
    pub fn reserved(&self, capacity: u64, of: impl Fn(&Reserved) -> u64, into: &mut Vec<u64>) {
        into.clear();
        into.extend(
            self.consumers.iter().map(|consumer| consumer.as_ref().map_or(0, |one| of(&one.reserved))),
        );
        let sum = into.iter().fold(0_u64, |sum, one| sum.saturating_add(*one));
        into.push(capacity.saturating_sub(sum));
    }

    /// Thousandths of a processor that the machine has.
    pub fn cpu_capacity(&self) -> u64 {
        u64::from(self.cpus) * 1000
    }

    /// Bytes of memory that the machine has.
    pub const fn memory_capacity(&self) -> u64 {
        self.memory_total
    }

    /// Gives the place of an ended consumer away, if nothing of it is left to be charged in any of the open intervals.
    pub fn release<'a>(&mut self, id: ConsumerId, mut open: impl Iterator<Item = &'a Base>) -> bool {
        let same = |now: &[u64], then: &[u64]| now.get(id) == then.get(id);
        let settled = |base: &Base| {
            same(&self.totals.cpu, &base.totals.cpu) && same(&self.totals.memory, &base.totals.memory)
        };
        if !open.all(settled) {
            return false;
        }
        if let Some(slot) = self.consumers.get_mut(id) {
            *slot = None;
            self.vacant.push(id);
        }
        true
    }
}

/// `bytes` held for `time`, in KiB·ms.
fn held(bytes: u64, time: Duration) -> u64 {
    (bytes / 1024).wrapping_mul(u64::try_from(time.as_millis()).unwrap_or(0))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// `part` of `from`, made a part of `to`.
fn scaled(part: u64, to: u64, from: u64) -> u64 {
    (u128::from(part) * u128::from(to)).checked_div(u128::from(from)).map_or(0, |scaled| scaled as u64)
}

/// The differences; what is new counts from 0.
fn since(now: &[u64], then: &[u64], into: &mut Vec<u64>) {
    into.clear();
    let then = then.iter().copied().chain(core::iter::repeat(0));
    into.extend(now.iter().zip(then).map(|(now, then)| now.wrapping_sub(then)));
}
