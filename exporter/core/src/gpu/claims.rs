//! Who is to be charged for the open interval of each device, gathered look by look.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Holding, Look, Method};
use crate::reading::Domain;
use crate::usage::ConsumerId;
use crate::workload::Workload;

/// A device without a look for this long is gone.
const GONE: Duration = Duration::from_secs(60);

/// Weights by consumer; `None` is nobody.
type Weights = BTreeMap<Option<ConsumerId>, u64>;

/// Who used and who held one device since its interval began.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    used: Weights,
    held: Weights,
    time: Duration,
    /// Whether the newest look found it suspended.
    suspended: bool,
    /// Busy seconds; `None` where the device does not tell.
    busy: Option<f64>,
}

impl Claims {
    /// The weights of use of `places` consumers, and last that of nobody; `false` where nobody used the device.
    pub fn used(&self, places: usize, into: &mut Vec<u64>) -> bool {
        laid_out(&self.used, places, into);
        into.iter().any(|weight| *weight > 0)
    }

    /// The weights of holding it, as [`Claims::used`]; `false` where nobody held it.
    pub fn held(&self, places: usize, into: &mut Vec<u64>) -> bool {
        laid_out(&self.held, places, into);
        into.iter().take(places).any(|weight| *weight > 0)
    }

    /// Whether the device is off rather than idle.
    pub const fn suspended(&self) -> bool {
        self.suspended
    }

    /// How busy the device was since its interval began, 0 to 1; `None` where it does not tell.
    pub fn utilisation(&self) -> Option<f64> {
        let time = self.time.as_secs_f64();
        self.busy.filter(|_| time > 0.0).map(|busy| (busy / time).clamp(0.0, 1.0))
    }

    fn names(&self, consumer: ConsumerId) -> bool {
        self.used.contains_key(&Some(consumer)) || self.held.contains_key(&Some(consumer))
    }

    fn add(
        &mut self,
        look: &Look,
        holdings: &[Holding],
        find: impl Fn(&Workload) -> Option<ConsumerId>,
    ) -> Method {
        let (method, shares) = look.shares(holdings);
        for (weights, shares) in [(&mut self.used, shares.used), (&mut self.held, shares.held)] {
            for (owner, weight) in shares.into_iter().filter(|(_, weight)| *weight > 0) {
                let total = weights.entry(owner.and_then(&find)).or_default();
                *total = total.saturating_add(weight);
            }
        }
        // One that is suspended is off, not idle: what idle GPUs draw is not learned from it.
        self.suspended = look.gauges.suspended;
        if self.suspended {
            return method;
        }
        let before = if self.time.is_zero() { Some(0.0) } else { self.busy };
        self.busy = before.zip(look.utilisation()).map(|(sum, busy)| sum + busy * look.time.as_secs_f64());
        self.time += look.time;
        method
    }
}

fn laid_out(weights: &Weights, places: usize, into: &mut Vec<u64>) {
    into.clear();
    into.resize(places + 1, 0);
    for (consumer, weight) in weights {
        // A consumer that is gone cannot be: it is not let go while it is named here.
        let place = consumer.filter(|place| *place < places).unwrap_or(places);
        if let Some(slot) = into.get_mut(place) {
            *slot = slot.saturating_add(*weight);
        }
    }
}

/// The devices of a machine.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    states: Vec<State>,
}

/// One domain's open interval.
#[derive(Clone, Debug)]
struct State {
    domain: Arc<Domain>,
    claims: Claims,
    /// The devices that its meter counts, each with its newest look and the method of its split: one, or all the dies of
    /// a package that has one meter.
    devices: Vec<(Arc<Look>, Method)>,
}

impl Devices {
    /// Takes the looks of a tick; `find` tells a workload's consumer.
    pub fn take(
        &mut self,
        looks: &[Arc<Look>],
        holdings: &[Holding],
        find: impl Fn(&Workload) -> Option<ConsumerId>,
    ) {
        for look in looks {
            let domain = &look.device.domain;
            let place = self.states.iter().position(|state| state.is(domain));
            let place = place.unwrap_or_else(|| {
                let (domain, claims) = (Arc::clone(domain), Claims::default());
                self.states.push(State { domain, claims, devices: Vec::new() });
                self.states.len() - 1
            });
            self.drop_elsewhere(place, look);
            if let Some(state) = self.states.get_mut(place) {
                let method = state.claims.add(look, holdings, &find);
                state.keep(look, method);
            }
        }
    }

    /// A die that was found to be a part of a package is shown there alone. What it was used for before stays claimed.
    fn drop_elsewhere(&mut self, place: usize, look: &Look) {
        let others = self.states.iter_mut().enumerate().filter(|(other, _)| *other != place);
        for (_, state) in others.filter(|(_, state)| state.domain.meter == look.device.domain.meter) {
            state.devices.retain(|(known, _)| known.device.gpu != look.device.gpu);
        }
    }

    /// Who is to be charged for a domain's open interval.
    pub fn claims(&self, domain: &Domain) -> Option<&Claims> {
        self.states.iter().find(|state| state.is(domain)).map(|state| &state.claims)
    }

    /// A domain's interval is closed, or one begins.
    pub fn clear(&mut self, domain: &Domain) {
        if let Some(state) = self.states.iter_mut().find(|state| state.is(domain)) {
            state.claims = Claims::default();
        }
    }

    /// Forgets who used devices that have no energy to be charged: `is_metered` tells whether a domain was ever read.
    pub fn forget_unmetered(&mut self, is_metered: impl Fn(&Domain) -> bool) {
        for state in self.states.iter_mut().filter(|state| !is_metered(&state.domain)) {
            state.claims = Claims::default();
        }
    }

    /// Whether a consumer is still to be charged for something.
    pub fn names(&self, consumer: ConsumerId) -> bool {
        self.states.iter().any(|state| state.claims.names(consumer))
    }

    /// The newest look at each device, and by what its energy was split.
    pub fn newest(&self) -> impl Iterator<Item = (&Arc<Look>, Method)> {
        self.states.iter().flat_map(|state| &state.devices).map(|(look, method)| (look, *method))
    }
}

impl State {
    fn is(&self, domain: &Domain) -> bool {
        self.domain.meter == domain.meter && self.domain.name == domain.name
    }

    fn keep(&mut self, look: &Arc<Look>, method: Method) {
        // A die that is gone is shown no longer, though the package's meter goes on.
        self.devices.retain(|(known, _)| look.at.since(known.at) < GONE);
        match self.devices.iter_mut().find(|(known, _)| known.device.gpu == look.device.gpu) {
            Some(known) => *known = (Arc::clone(look), method),
            None => self.devices.push((Arc::clone(look), method)),
        }
    }
}
