#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apollo_foreign_bytes::kube_objects(bytes));
