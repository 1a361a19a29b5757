//! `<procfs>/cpuinfo`: which processor this is.
//!
//! The fields differ by architecture, and a hypervisor may shorten or make up any of them.

/// What the file says of the processors; all are taken to be like the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// `vendor_id`: `GenuineIntel`, `AuthenticAMD`, `HygonGenuine`.
    pub vendor: String,
    /// `model name` (x86), `cpu` (POWER) or `cpu model` (MIPS).
    pub name: String,
    /// `cpu family`
    pub family: Option<u32>,
    /// `model`
    pub model: Option<u32>,
    /// `stepping`
    pub stepping: Option<u32>,
    /// `CPU implementer` and `CPU part` (ARM).
    pub arm: Option<(u32, u32)>,
    /// Logical processors that are visible.
    pub threads: u32,
    /// `siblings`: logical processors of one package.
    pub siblings: Option<u32>,
    /// `cpu cores`: cores of one package.
    pub cores: Option<u32>,
    /// Whether the flag `hypervisor` is set: siblings and cores are then what the guest was given.
    pub is_virtual: bool,
}

/// Takes them out of the content. Nothing is required: what cannot be read stays unknown.
pub fn parse(content: &[u8]) -> Processor {
    let mut cpu = Processor::default();
    let (mut implementer, mut part) = (None, None);
    for line in String::from_utf8_lossy(content).lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let (name, value) = (name.trim(), value.trim());
        match name {
            "processor" => cpu.threads = cpu.threads.saturating_add(1),
            "vendor_id" => first(&mut cpu.vendor, value),
            "model name" | "cpu" | "cpu model" => first(&mut cpu.name, value),
            "cpu family" => cpu.family = cpu.family.or(integer(value)),
            "model" => cpu.model = cpu.model.or(integer(value)),
            "stepping" => cpu.stepping = cpu.stepping.or(integer(value)),
            "siblings" => cpu.siblings = cpu.siblings.or(integer(value)),
            "cpu cores" => cpu.cores = cpu.cores.or(integer(value)),
            "CPU implementer" => implementer = implementer.or(integer(value)),
            "CPU part" => part = part.or(integer(value)),
            "flags" => cpu.is_virtual |= value.split(' ').any(|flag| flag == "hypervisor"),
            // IBM Z: `processor 0: version = FF, …`
            _ if name.starts_with("processor ") => cpu.threads = cpu.threads.saturating_add(1),
            _ => {}
        }
    }
    cpu.arm = implementer.zip(part);
    cpu
}

fn first(place: &mut String, value: &str) {
    if place.is_empty() {
        value.clone_into(place);
    }
}

/// Decimal, or hexadecimal with `0x` as ARM has it.
fn integer(value: &str) -> Option<u32> {
    match value.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_guest_on_amd() {
        let block = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\n\
            model name\t: AMD EPYC\nstepping\t: 1\nsiblings\t: 2\ncpu cores\t: 2\nflags\t\t: fpu hypervisor lm\n\n";
        let cpu = parse(block.repeat(2).as_bytes());
        let expected = Processor {
            vendor: "AuthenticAMD".into(),
            name: "AMD EPYC".into(),
            family: Some(25),
            model: Some(1),
            stepping: Some(1),
            arm: None,
            threads: 2,
            siblings: Some(2),
            cores: Some(2),
            is_virtual: true,
        };
        assert_eq!(cpu, expected);
    }

    #[test]
    fn arm_has_numbers_only() {
        let cpu = parse(b"processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c\n");
        assert_eq!((cpu.arm, cpu.threads, &*cpu.name), (Some((0x41, 0xd0c)), 1, ""));
    }

    #[test]
    fn other_architectures() {
        assert_eq!(
            parse(b"processor\t: 0\ncpu\t\t: POWER9, altivec supported\n").name,
            "POWER9, altivec supported"
        );
        assert_eq!(parse(b"processor 0: version = FF\nprocessor 1: version = FF\n").threads, 2);
    }

    proptest! {
        #[test]
        fn no_content_panics(content: Vec<u8>, value in "[0-9a-fx]{0,12}") {
            parse(&content);
            parse(format!("processor: {value}\nmodel: {value}\nCPU part: {value}\n").as_bytes());
        }
    }
}
