//! Prints what limits this process and how close it is: `cargo run -p relay-sense --example limits`.
//! A folder given as argument is examined in place of the running system.

#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use std::time::Instant;

use relay_sense::{Root, Sampler, SenseError, detect};

fn main() -> Result<(), SenseError> {
    let root = std::env::args_os()
        .nth(1)
        .map_or_else(Root::system, Root::at);

    let detection = detect(&root, None)?;
    match &detection.memory {
        Some(limit) => {
            println!("memory limit   {} bytes from {}", limit.bytes, limit.source);
            if let Some(path) = &limit.path {
                println!("set by         {}", path.display());
            }
        }
        None => println!("memory limit   unknown"),
    }
    println!("worker threads {}", detection.cpu.worker_threads());

    let sample = Sampler::new(&root)?.sample(Instant::now());
    print_bytes("current", sample.current_bytes);
    print_bytes("working set", sample.working_set_bytes);
    print_bytes("unreclaimable", sample.unreclaimable_bytes);
    print_bytes("resident", sample.resident_bytes);
    print_bytes("headroom", sample.headroom_bytes);
    for note in &detection.notes {
        println!("note           {note}");
    }
    Ok(())
}

fn print_bytes(name: &str, bytes: Option<u64>) {
    match bytes {
        Some(bytes) => println!("{name:14} {bytes} bytes"),
        None => println!("{name:14} unknown"),
    }
}
