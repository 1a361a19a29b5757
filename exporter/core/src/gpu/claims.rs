//! Who is to be charged for the open interval of each device, gathered look by look.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Holding, Look, Method};
use crate::reading::Domain;
use crate::usage::ConsumerId;
use crate::workload::Workload;

/// Weights by consumer; `None` is nobody.
type Weights = BTreeMap<Option<ConsumerId>, u64>;

/// Who used and who held one device since its interval began.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    used: Weights,
    held: Weights,
    time: Duration,
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

#[derive(Clone, Debug)]
struct State {
    claims: Claims,
    look: Arc<Look>,
    method: Method,
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
            let place = self.states.iter().position(|state| state.is(&look.device.domain));
            let place = place.unwrap_or_else(|| {
                let (look, method) = (Arc::clone(look), Method::Nobody);
                self.states.push(State { claims: Claims::default(), look, method });
                self.states.len() - 1
            });
            if let Some(state) = self.states.get_mut(place) {
                state.method = state.claims.add(look, holdings, &find);
                state.look = Arc::clone(look);
            }
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

    /// How busy the devices with open claims were, 0 to 1; `None` where one does not tell.
    pub fn utilisation(&self) -> Option<f64> {
        let open = || self.states.iter().map(|state| &state.claims).filter(|claims| !claims.time.is_zero());
        let sum = open().try_fold(0.0, |sum, claims| Some(sum + claims.busy? / claims.time.as_secs_f64()))?;
        let count = open().count();
        (count > 0).then(|| sum / count as f64)
    }

    /// Whether a consumer is still to be charged for something.
    pub fn names(&self, consumer: ConsumerId) -> bool {
        self.states.iter().any(|state| state.claims.names(consumer))
    }

    /// The newest look at each device, and by what its energy was split.
    pub fn newest(&self) -> impl Iterator<Item = (&Arc<Look>, Method)> {
        self.states.iter().map(|state| (&state.look, state.method))
    }
}

impl State {
    fn is(&self, domain: &Domain) -> bool {
        let own = &self.look.device.domain;
        own.meter == domain.meter && own.name == domain.name
    }
}
