//! `/proc/stat`.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    let _ = noether_sources::stat::parse(content, 100, &mut noether_sources::stat::CpuTimes::default());
});
