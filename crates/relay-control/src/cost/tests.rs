use super::*;

const LIMIT: u64 = 64 * MIB;
const TICK: Duration = Duration::from_millis(50);

struct Run {
    ledger: Ledger,
    tick: u32,
}

impl Run {
    /// An idle process of 8 MiB.
    fn new() -> Self {
        let ledger = Ledger::try_new(LedgerConfig::default()).unwrap();
        let mut run = Self { ledger, tick: 0 };
        run.ticks(1, 8.0, 0.0);
        run
    }

    fn ticks(&mut self, ticks: u32, resident_mib: f64, used_mib: f64) {
        for _ in 0..ticks {
            self.tick += 1;
            let memory = Memory {
                unreclaimable_bytes: (resident_mib * MIB as f64) as u64,
                limit_bytes: LIMIT,
                soft_limit_bytes: None,
            };
            let used_bytes = (used_mib * MIB as f64) as u64;
            self.ledger.step(&memory, used_bytes, TICK * self.tick);
        }
    }
}

#[test]
fn a_cost_twice_as_high_as_believed_is_found_within_seconds_and_the_ledger_shrinks() {
    let mut run = Run::new();
    let expected = (0.85 * 64.0 - 8.0) / 2.0 * MIB as f64;
    assert_eq!(run.ledger.bytes(), expected as u64);
    run.ticks(100, 8.0 + 4.0 * 10.0, 10.0);
    assert!((run.ledger.cost_factor() - 4.0).abs() < 0.02);
    let affordable = (0.85 * 64.0 - 8.0) / 4.0;
    let found = run.ledger.bytes() as f64 / MIB as f64;
    assert!((found / affordable - 1.0).abs() < 0.06, "{found} MiB");
}

#[test]
fn a_ledger_with_little_in_it_teaches_nothing() {
    let mut run = Run::new();
    run.ticks(100, 40.0, 2.0);
    assert_eq!(run.ledger.cost_factor(), 2.0);
}

/// The allocator keeps what a full queue needed: neither the cost nor the size may follow.
#[test]
fn pages_kept_while_the_queue_empties_do_not_shrink_the_ledger() {
    let mut run = Run::new();
    run.ticks(200, 8.0 + 1.6 * 20.0, 20.0);
    let (cost, bytes) = (run.ledger.cost_factor(), run.ledger.bytes());
    for used in (0..20).rev() {
        run.ticks(20, 40.0, f64::from(used));
    }
    assert!(run.ledger.cost_factor() <= cost * 1.05);
    assert!(
        run.ledger.bytes() >= bytes * 9 / 10,
        "{}",
        run.ledger.bytes()
    );
}

#[test]
fn the_base_rises_slowly_and_falls_at_once() {
    let mut run = Run::new();
    run.ticks(20 * 300, 50.0, 0.0);
    let narrow = run.ledger.bytes();
    assert!(narrow < 4 * MIB, "(54.4 − 50) ÷ 2: {narrow}");
    run.ticks(1, 8.0, 0.0);
    assert_eq!(run.ledger.bytes(), 23 * MIB + MIB / 5);
}

#[test]
fn the_size_never_falls_below_its_least_and_returns_without_a_limit() {
    let mut run = Run::new();
    run.ticks(20 * 600, 64.0, 0.0);
    assert!((MIB..=MIB * 21 / 20).contains(&run.ledger.bytes()));
    run.ledger.release();
    assert_eq!(run.ledger.bytes(), 256 * MIB);
}

#[test]
fn small_movements_do_not_resize() {
    let mut run = Run::new();
    run.ticks(100, 8.0 + 2.0 * 10.0, 10.0);
    let mut sizes = 0;
    let mut before = run.ledger.bytes();
    for tick in 0..2000 {
        run.ticks(1, 28.0 + f64::from(tick % 7) * 0.3, 10.0);
        sizes += u32::from(before != run.ledger.bytes());
        before = run.ledger.bytes();
    }
    assert!(sizes <= 2, "{sizes} sizes in 100 s");
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let refused = |config: LedgerConfig| Ledger::try_new(config).unwrap_err().field;
    let base = LedgerConfig::default;
    assert_eq!(
        refused(LedgerConfig {
            share: 0.0,
            ..base()
        }),
        "ledger.share"
    );
    assert_eq!(
        refused(LedgerConfig {
            ceiling: 1.01,
            ..base()
        }),
        "ledger.ceiling"
    );
    assert_eq!(
        refused(LedgerConfig {
            initial_cost: f64::NAN,
            ..base()
        }),
        "ledger.initial_cost"
    );
    assert_eq!(
        refused(LedgerConfig {
            unlimited_bytes: 0,
            ..base()
        }),
        "ledger.unlimited_bytes"
    );
}
