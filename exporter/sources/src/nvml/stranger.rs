//! A device that cannot be asked what it is: it was lost or suspended before it could be.

use std::path::Path;
use std::sync::Arc;

use noether_core::pci::PciAddress;
use noether_core::reading::{Component, Domain, Place, Quality, Reading, Role};
use noether_core::units::Power;
use nvml_wrapper::error::NvmlError;

use super::bus::Bus;
use super::device::location;
use super::fault::fault;
use crate::Error;
use crate::meter::Note;

/// A device of which only its place is known.
#[derive(Clone, Debug)]
pub(super) struct Stranger {
    pub(super) index: u32,
    /// Where it is on the bus; empty where that is not known either.
    pub(super) address: String,
    /// Its domain, until it can be asked; it will go on under the same name.
    pub(super) domain: Arc<Domain>,
    /// What is wrong with it; nothing with one that is suspended.
    error: Option<Arc<NvmlError>>,
}

impl Stranger {
    pub(super) fn new(index: u32, address: &str, error: Option<Arc<NvmlError>>) -> Self {
        let domain = Domain {
            meter: super::PROBE.name,
            name: format!("gpu-{index}").into(),
            component: Component::Gpu,
            role: Role::Part,
            place: Place { device: Some(location(PciAddress::parse(address), index)), ..Place::default() },
            quality: Quality::Integrated,
            max_power: None,
            generation: 0,
            may_mirror: false,
        };
        Self { index, address: address.to_owned(), domain: Arc::new(domain), error }
    }

    pub(super) fn is_suspended(&self, bus: &Bus) -> bool {
        self.error.is_none() && bus.is_suspended(&self.address)
    }

    /// 0 W while it is suspended, and what is wrong with it otherwise.
    pub(super) fn read(&self, library: &Path) -> Result<Reading, Error> {
        match &self.error {
            Some(error) => Err(fault(library, &self.name(), error)),
            None => Ok(Reading::Power(Power::ZERO)),
        }
    }

    pub(super) fn note(&self) -> Option<Note> {
        let text = format!("{} is suspended by the kernel: it counts as 0 W and is not woken", self.name());
        self.error.is_none().then(|| Note::usual(text))
    }

    fn name(&self) -> String {
        let address = if self.address.is_empty() { "at an unknown address" } else { &self.address };
        format!("GPU {} ({address})", self.index)
    }
}
