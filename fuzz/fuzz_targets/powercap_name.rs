//! The `name` of a zone of powercap, alone and below a package.
#![no_main]

use noether_sources::powercap::meaning;

libfuzzer_sys::fuzz_target!(|name: &str| {
    let outer = meaning(&[0], name, None);
    let inner = meaning(&[0, 1], name, Some(&outer));
    assert!(!outer.name.is_empty() && !inner.name.is_empty());
});
