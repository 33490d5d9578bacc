//! Every field of the configuration, once: its place, kind, default and purpose.

pub(crate) mod actuators;
pub(crate) mod adapters;
pub(crate) mod blackbox;
pub(crate) mod breaker;
pub(crate) mod control;
pub(crate) mod emitters;
pub(crate) mod log_filter;
pub(crate) mod pools;
pub(crate) mod process;
pub(crate) mod subscription;

use std::collections::BTreeMap;

use adapters::Adapter;
use blackbox::Blackbox;
use control::Control;
use emitters::Emitter;
use pools::Pools;
use process::{Admin, Errors, Log, Memory, Psi, Runtime, Shutdown};

use super::reader::Section;

/// Everything `relay run` can be told, complete and checked.
///
/// A value of this type exists only if every field is within its range and consistent with its
/// neighbours; it is made by [`Sources::load`](super::Sources::load).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// `[memory]`: what must not be exceeded.
    pub memory: Memory,
    /// `[psi]`: how long tasks wait for memory.
    pub psi: Psi,
    /// `[control]`: how it is kept.
    pub control: Control,
    /// `[errors]`: the error bus.
    pub errors: Errors,
    /// `[blackbox]`: what is recorded.
    pub blackbox: Blackbox,
    /// `[log]`: what is written to stderr.
    pub log: Log,
    /// `[admin]`: metrics, health, state.
    pub admin: Admin,
    /// `[shutdown]`: how the node ends.
    pub shutdown: Shutdown,
    /// `[runtime]`: threads.
    pub runtime: Runtime,
    /// `[pools]`: the workers of adapters.
    pub pools: Pools,
    /// `[adapters.<id>]`: where events come in, by id.
    pub adapters: BTreeMap<String, Adapter>,
    /// `[emitters.<id>]`: where events go, by id.
    pub emitters: BTreeMap<String, Emitter>,
}

impl Config {
    pub(crate) fn read(s: &mut Section<'_, '_>) -> Self {
        let control = s.section("control", Control::read);
        Self {
            memory: s.section("memory", Memory::read),
            psi: s.section("psi", Psi::read),
            control,
            errors: s.section("errors", Errors::read),
            blackbox: s.section("blackbox", Blackbox::read),
            log: s.section("log", Log::read),
            admin: s.section("admin", Admin::read),
            shutdown: s.section("shutdown", Shutdown::read),
            runtime: s.section("runtime", Runtime::read),
            pools: s.section("pools", Pools::read),
            adapters: s.each("adapters", "http", Adapter::read),
            emitters: s.each("emitters", "file", |id, s| {
                Emitter::read(id, s, &control.queue)
            }),
        }
    }
}
