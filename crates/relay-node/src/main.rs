//! The binary `relay`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Gives pages back soon after they were freed, which glibc's does not: what is freed must count as free, or a limit
/// is reached by memory that nobody uses. Settings: `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    ExitCode::from(relay_node::main(std::env::args_os(), std::env::vars_os()))
}
