//! A file of `/proc/PID/fdinfo`.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &str| {
    noether_sources::fuzzing::fdinfo(content);
});
