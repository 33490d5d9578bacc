use super::*;
use relay_event::{Code, ErrorFilter, Value};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

fn workers(min: usize, max: usize) -> (Workers, ErrorBus) {
    let errors = ErrorBus::new();
    let owner = Component::adapter("in");
    let bounds = PoolBounds::new(min, max);
    (Workers::new(&owner, bounds, errors.clone()), errors)
}

fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn as_many_work_as_there_are_and_shrinking_interrupts_none() {
    let (pool, _) = workers(1, 4);
    let mut busy: Vec<_> = (0..4).map(|_| now(pool.acquire()).unwrap()).collect();
    assert!(now(pool.acquire()).is_none());
    pool.set_workers(2);
    assert_eq!((pool.reading().workers, pool.reading().busy), (2, 4));
    drop(busy.pop());
    drop(busy.pop());
    assert!(now(pool.acquire()).is_none(), "two still work");
    drop(busy.pop());
    busy.push(now(pool.acquire()).unwrap());
    assert!(now(pool.acquire()).is_none());
    pool.set_workers(3);
    busy.push(now(pool.acquire()).unwrap());
    assert!(now(pool.acquire()).is_none());
}

#[test]
fn growing_again_takes_back_what_shrinking_could_not_take_yet() {
    let (pool, _) = workers(1, 4);
    let busy: Vec<_> = (0..4).map(|_| now(pool.acquire()).unwrap()).collect();
    pool.set_workers(1);
    pool.set_workers(3);
    drop(busy);
    let busy: Vec<_> = (0..3).map(|_| now(pool.acquire()).unwrap()).collect();
    assert!(now(pool.acquire()).is_none());
    assert_eq!(pool.reading().busy, busy.len());
}

#[test]
fn bounds_hold_and_each_change_is_told_with_its_utilisation() {
    let (pool, errors) = workers(2, 4);
    let mut told = errors.subscribe(ErrorFilter::all()).unwrap();
    let one = now(pool.acquire()).unwrap();
    for n in [9, 4, 0, 2, 3] {
        pool.set_workers(n);
    }
    one.finish(5, 1);
    let told: Vec<_> = std::iter::from_fn(|| told.try_recv()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        told[0].to_string(),
        "ADAPTER_SCALED_DOWN pool:adapter:in: a pool of workers shrank \
         (from=4, to=2, utilisation=0.250, queue=0)"
    );
    assert_eq!(told[1].code, Code::AdapterScaledUp);
    assert_eq!(told[1].fields.get("utilisation"), Some(Value::F64(0.5)));
    let reading = pool.reading();
    assert_eq!((reading.done, reading.errors), (5, 1));
    assert_eq!((reading.min, reading.max, reading.busy), (2, 4, 0));
}

#[test]
fn those_who_wait_are_counted_also_when_they_give_up() {
    let (pool, _) = workers(1, 1);
    let _busy = now(pool.acquire()).unwrap();
    {
        let mut waiting = pin!(pool.acquire());
        let polled = waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        assert_eq!(pool.reading().queue, 1);
    }
    assert_eq!(pool.reading().queue, 0);
}

/// Never more at work than there may be, however the number moves: the most that ever worked at once is no more than the
/// most that was ever allowed, and in the end exactly as many as are allowed find a place.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_number_holds_while_it_moves_under_load() {
    let (pool, _) = workers(1, 8);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for _ in 0..500 {
                    let worker = pool.acquire().await;
                    assert!(pool.reading().busy <= 8);
                    tokio::task::yield_now().await;
                    worker.finish(1, 0);
                }
            })
        })
        .collect();
    for n in (0..400).map(|n| [1, 8, 3, 5][n % 4]) {
        pool.set_workers(n);
        tokio::task::yield_now().await;
    }
    pool.set_workers(3);
    for task in tasks {
        tokio::time::timeout(Duration::from_mins(1), task)
            .await
            .unwrap()
            .unwrap();
    }
    assert_eq!(pool.reading().done, 16 * 500);
    let busy: Vec<_> = (0..3).map(|_| now(pool.acquire()).unwrap()).collect();
    assert!(now(pool.acquire()).is_none(), "{} and no more", busy.len());
}
