use super::*;
use relay_event::{Bus, SubscribeOptions};

fn slots(min: usize, max: usize) -> (Arc<EmitterPool>, Slots) {
    let subscription = Bus::new("b").subscribe(SubscribeOptions::new("s")).unwrap();
    let owner = Component::emitter("out");
    let bounds = PoolBounds::new(min, max);
    let pool = EmitterPool::new(&owner, bounds, ErrorBus::new(), subscription.monitor());
    (
        Arc::clone(&pool),
        Slots::new(pool, EmitterOptions::default()),
    )
}

fn take(slots: &mut Slots) -> Vec<Slot> {
    std::iter::from_fn(|| slots.take()).collect()
}

fn numbers(taken: &[Slot]) -> Vec<usize> {
    taken.iter().map(|slot| slot.number).collect()
}

#[test]
fn the_last_ones_in_are_the_first_ones_out() {
    let (pool, mut slots) = slots(1, 4);
    let taken = take(&mut slots);
    assert_eq!(numbers(&taken), [0, 1, 2, 3]);
    pool.set_workers(2);
    for slot in taken {
        slots.put_back(slot.number, Some(slot.batch));
        if slot.number < 2 {
            assert!(slots.take().is_none(), "two or more are still under way");
        }
    }
    let taken = take(&mut slots);
    assert_eq!(numbers(&taken), [0, 1]);
    pool.set_workers(3);
    assert_eq!(numbers(&take(&mut slots)), [2]);
}

#[test]
fn a_batch_that_is_lost_is_replaced() {
    let (_, mut slots) = slots(1, 1);
    let lost = slots.take().unwrap();
    assert!(slots.take().is_none());
    slots.put_back(lost.number, None);
    assert_eq!(slots.take().unwrap().number, 0);
}

#[tokio::test]
async fn growing_wakes_whoever_waits() {
    let (pool, mut slots) = slots(1, 2);
    pool.set_workers(1);
    let _first = slots.take().unwrap();
    assert!(slots.take().is_none());
    pool.set_workers(2);
    slots.grown().await;
    assert_eq!(slots.take().unwrap().number, 1);
}
