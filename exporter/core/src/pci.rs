//! Addresses on the PCI bus, as the kernel and drivers spell them.

use core::fmt;

/// A PCI function: domain (segment), bus, device and function.
///
/// Domains have up to 32 bits: VMD and Hyper-V number theirs above the 16 bits of ACPI, as in `10000:00:02.0`.
/// <https://docs.kernel.org/PCI/sysfs-pci.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

impl PciAddress {
    /// `None` where the device has more than 5 bits or the function more than 3.
    pub const fn new(domain: u32, bus: u8, device: u8, function: u8) -> Option<Self> {
        if device > 0x1f || function > 7 {
            return None;
        }
        Some(Self { domain, bus, device, function })
    }

    /// Reads `0000:03:00.0`; NVML's `00000000:3B:00.0` is the same address as the kernel's `0000:3b:00.0`.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, function) = text.trim().rsplit_once('.')?;
        let mut parts = rest.split(':');
        let (domain, bus, device) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let byte = |text| u8::try_from(hexadecimal(text)?).ok();
        Self::new(hexadecimal(domain)?, byte(bus)?, byte(device)?, byte(function)?)
    }

    /// The domain (segment).
    pub const fn domain(self) -> u32 {
        self.domain
    }

    /// Bus, device and function in 16 bits, as drivers pack them.
    pub const fn location(self) -> u16 {
        (self.bus as u16) << 8 | (self.device as u16) << 3 | self.function as u16
    }
}

/// Digits only: `from_str_radix` takes a sign, too.
fn hexadecimal(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

/// As the kernel spells it: at least four digits of the domain, in lower case.
impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn a_domain_has_up_to_32_bits() {
        for text in ["0000:03:00.0", "10000:00:02.0", "c0ff:00:00.0", "ffffffff:ff:1f.7"] {
            assert_eq!(PciAddress::parse(text).map(|address| address.to_string()).as_deref(), Some(text));
        }
        let addresses = ["10000:00:02.0", "0000:00:02.0", "20000:00:02.0"].map(PciAddress::parse);
        assert!(addresses.iter().all(Option::is_some));
        assert!(addresses[0] != addresses[1] && addresses[0] != addresses[2]);
    }

    #[test]
    fn nvml_and_the_kernel_name_one_address() {
        for (nvml, kernel) in [
            ("00000000:3B:00.0", "0000:3b:00.0"),
            ("00010000:01:00.0", "10000:01:00.0"),
            ("0000C0FF:00:00.0", "c0ff:00:00.0"),
        ] {
            assert_eq!(PciAddress::parse(nvml), PciAddress::parse(kernel));
            assert_eq!(PciAddress::parse(nvml).map(|address| address.to_string()).as_deref(), Some(kernel));
        }
    }

    #[test]
    fn other_texts_are_no_addresses() {
        for text in ["", "0000:03:00", "03:00.0", "0000:03:20.0", "0000:03:00.8", "+000:03:00.0"] {
            assert_eq!(PciAddress::parse(text), None, "{text}");
        }
        for text in ["1:0000:03:00.0", "100000000:03:00.0", "0000:103:00.0", ":03:00.0x", "::."] {
            assert_eq!(PciAddress::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(domain in any::<u32>(), bus in any::<u8>(), device in 0..32_u8, function in 0..8_u8) {
            let address = PciAddress::new(domain, bus, device, function);
            prop_assert_eq!(PciAddress::parse(&address.unwrap().to_string()), address);
        }

        #[test]
        fn any_text_is_read(text in "[0-9a-fA-F:. +]{0,20}") {
            PciAddress::parse(&text);
        }
    }
}
