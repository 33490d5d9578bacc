//! The binary `relay`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use relay_sense::alloc::Counting;
use tikv_jemallocator::Jemalloc;

/// Gives pages back soon after they were freed, which glibc's does not: what is freed must count as free, or a limit
/// is reached by memory that nobody uses. Settings: `.cargo/config.toml`. Counted, so that the thread that allocates looks
/// at the level each so many bytes.
#[global_allocator]
static ALLOCATOR: Counting<Jemalloc> = Counting::new(Jemalloc);

fn main() -> ExitCode {
    ExitCode::from(relay_node::main(std::env::args_os(), std::env::vars_os()))
}
