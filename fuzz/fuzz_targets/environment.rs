//! A process's environment: `/proc/PID/environ`, which a user fills.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    noether_sources::fuzzing::environment(content);
});
