//! A pod in JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &str| {
    noether_sources::fuzzing::pod_json(content);
});
