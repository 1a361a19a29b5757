//! `/proc/meminfo`.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    let _ = noether_sources::meminfo::parse(content);
});
