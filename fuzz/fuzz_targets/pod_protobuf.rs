//! A pod in protobuf.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    noether_sources::fuzzing::pod_protobuf(content);
});
