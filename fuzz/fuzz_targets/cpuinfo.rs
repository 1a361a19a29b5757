//! `/proc/cpuinfo`.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    let _ = noether_sources::cpuinfo::parse(content);
});
