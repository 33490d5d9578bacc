//! One file per peer: how it is opened, what it can do, and for which workloads it enrols.

mod async_broadcast;
mod bus;
mod channel;
mod crossbeam;
mod crossfire;
mod disruptor;
mod floor;
mod flume;
mod kanal;
mod naive;
mod relay;
mod rtrb;
mod tokio_broadcast;
mod tokio_mpsc;

use crate::suite::Suite;

pub(crate) fn enrol(suite: &mut Suite) {
    relay::enrol(suite);
    floor::enrol(suite);
    naive::enrol(suite);
    flume::enrol(suite);
    crossbeam::enrol(suite);
    kanal::enrol(suite);
    crossfire::enrol(suite);
    tokio_mpsc::enrol(suite);
    tokio_broadcast::enrol(suite);
    async_broadcast::enrol(suite);
    bus::enrol(suite);
    disruptor::enrol(suite);
    rtrb::enrol(suite);
}
