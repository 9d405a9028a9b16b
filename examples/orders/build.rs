//! Compiles the proto file without a `protoc` on the machine.

use std::path::PathBuf;
use std::{env, fs};

use gateless::proto::INCLUDE_DIR;

const FILE: &str = "orders/v1/orders.proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed={INCLUDE_DIR}");
    let mut compiler = protox::Compiler::new(["proto", INCLUDE_DIR])?;
    compiler.open_file(FILE)?;

    // The bytes of the compiler: the types below know no options of others.
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?);
    fs::write(
        out.join("orders.bin"),
        compiler.encode_file_descriptor_set(),
    )?;

    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
