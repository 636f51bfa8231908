//! The protobuf code in the tree is what the definitions give.
//!
//! `UPDATE_GENERATED=1 cargo test --test generated` writes it anew.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::{env, fs, path::Path};

#[test]
fn protobuf_code_matches_the_definitions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(["status.proto"], [root.join("proto")]).unwrap();
    let out = tempfile::tempdir().unwrap();
    prost_build::Config::new().out_dir(out.path()).compile_fds(descriptors).unwrap();
    let generated = fs::read_to_string(out.path().join("status.rs")).unwrap();

    let path = root.join("src/payload/proto.rs");
    if env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "src/payload/proto.rs is not what proto/status.proto gives; \
         run: UPDATE_GENERATED=1 cargo test --test generated"
    );
}
