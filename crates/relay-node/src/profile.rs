//! Configurations to begin with: four by the container's limit, two by what matters more.
//!
//! A profile is an ordinary configuration file. `relay config --profile NAME` prints it, to be kept, read and changed; there
//! is no hidden layer between it and the node.

use clap::ValueEnum;

/// A configuration to begin with.
///
/// ```
/// use relay_node::config::Sources;
/// use relay_node::profile::Profile;
///
/// let config = Sources::default().load_text(Profile::LatencyFirst.text())?.into_config();
/// assert_eq!(config.control.max_queue_delay.as_millis(), 250);
/// # Ok::<(), relay_node::config::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// A container of 128 MiB: everything begins early.
    #[value(name = "128MiB")]
    Mib128,
    /// A container of 512 MiB.
    #[value(name = "512MiB")]
    Mib512,
    /// A container of 1 GiB: the defaults, written out.
    #[value(name = "1GiB")]
    Gib1,
    /// A container of 4 GiB: everything begins late.
    #[value(name = "4GiB")]
    Gib4,
    /// Delivered soon or refused soon.
    LatencyFirst,
    /// Whatever fits is kept and delivered in large batches.
    ThroughputFirst,
}

impl Profile {
    /// The file.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Mib128 => include_str!("../profiles/128MiB.toml"),
            Self::Mib512 => include_str!("../profiles/512MiB.toml"),
            Self::Gib1 => include_str!("../profiles/1GiB.toml"),
            Self::Gib4 => include_str!("../profiles/4GiB.toml"),
            Self::LatencyFirst => include_str!("../profiles/latency-first.toml"),
            Self::ThroughputFirst => include_str!("../profiles/throughput-first.toml"),
        }
    }
}
